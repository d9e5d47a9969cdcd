"""Plays recorded files into a BGP daemon."""
