"""Whether all that was received is stored exactly once."""
