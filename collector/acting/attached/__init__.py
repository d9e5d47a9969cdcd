"""Attached commands: programs that print commands of ExaBGP's API, whose words become orders."""
