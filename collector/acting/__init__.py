"""Announcing and withdrawing: orders checked and kept on disk, ExaBGP told of them, and what it has told its peers.

One process has it all in hand (`process.py`). What is to stand is its own, in a journal; ExaBGP is told of what it
lacks, again and again if need be, and believed only by its own word of what it has sent.
"""
