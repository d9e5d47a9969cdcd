"""Attached commands: programs that print commands of ExaBGP's API, which become orders."""
