"""BMP (RFC 7854) as a source: routers tell of their peers, of each table that they have of them, and of themselves."""
