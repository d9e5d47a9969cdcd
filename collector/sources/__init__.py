"""The sources of BGP messages: a folder for each."""
