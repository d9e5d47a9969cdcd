"""Plays recorded files into a BGP daemon: a tool beside the way in."""
