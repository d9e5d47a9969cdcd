"""Checks that everything received is stored exactly once."""
