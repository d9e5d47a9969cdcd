"""Queries over HTTP: an API, live feeds, and pages. It queries through `bgpledger`, as the CLI does."""
