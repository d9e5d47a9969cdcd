"""A collector's settings: a TOML file, overridden by environment variables, overridden by the command line."""
