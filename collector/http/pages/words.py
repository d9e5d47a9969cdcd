"""Communities in words: IANA's well-known ones."""

from __future__ import annotations

from collector.query.communities import WELL_KNOWN

_NAMES = {number: name for name, number in WELL_KNOWN.items()}


def in_words(community: str) -> str:
    """What a community means; empty where nobody says."""
    return _NAMES.get(community, "")
