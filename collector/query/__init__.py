"""Questions to the archive, answered as models."""
