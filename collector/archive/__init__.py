"""From spooled lines to documents."""
