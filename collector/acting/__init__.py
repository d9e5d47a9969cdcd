"""Announcing and withdrawing: checks orders, keeps them on disk, tells ExaBGP, and tracks what it has told its peers.

One process does all of this (`process.py`). It keeps the wanted state in a journal, tells ExaBGP what it lacks,
repeatedly if necessary, and relies only on what ExaBGP itself reports as sent.
"""
