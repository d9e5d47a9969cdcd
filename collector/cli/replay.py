"""`bgpledger replay`: play an MRT file into a BGP daemon."""

from __future__ import annotations


def command() -> None:
    """Play an MRT update file into any BGP daemon."""
