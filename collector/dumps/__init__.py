"""RIB dumps (RFC 6396 4.2, 4.3): peers' tables at a moment, straight into the archive as stored tables."""
