"""Archives: turns spooled lines into documents."""
