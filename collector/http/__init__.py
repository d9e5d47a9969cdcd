"""Questions over HTTP: an API, feeds of what happens now, and pages. It asks through `bgpledger`, as the CLI does."""
