"""From spooled lines to documents: the archive and what is derived from it."""
