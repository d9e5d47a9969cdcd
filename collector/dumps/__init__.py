"""RIB dumps (RFC 6396 4.2, 4.3): imports the tables of peers at one time as stored tables."""
