"""How answers look: one file a format."""
