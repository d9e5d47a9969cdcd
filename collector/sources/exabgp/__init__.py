"""ExaBGP as a source: runs it, receives what it prints, and decodes it."""
