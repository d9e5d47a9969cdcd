"""BMP (RFC 7854) as a source: routers report their peers, each table that they have of a peer, and themselves."""
