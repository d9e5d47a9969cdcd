"""Queries to the archive, answered as models."""
