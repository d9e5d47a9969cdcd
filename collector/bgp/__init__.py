"""Encodes and decodes BGP messages and MRT records."""
