"""Communities in filters: standard, large and extended ones, well-known names, patterns."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from schemas.extended import LONE_WORDS, WORDS
from schemas.query import HistoryEntry, Route

WELL_KNOWN = {
    "graceful-shutdown": "65535:0",
    "accept-own": "65535:1",
    "llgr-stale": "65535:6",
    "no-llgr": "65535:7",
    "blackhole": "65535:666",
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "no-export-subconfed": "65535:65283",
    "local-as": "65535:65283",
    "nopeer": "65535:65284",
}
"""Names of IANA's registry (RFC 1997, 3765, 7611, 7999, 8326, 9494)."""

_STANDARD, _LARGE = 2, 3
"""The number of parts of each kind."""
_MOST = {_STANDARD: 2**16 - 1, _LARGE: 2**32 - 1}
_NUMBER = re.compile(r"[0-9*]+")
_AS_DOT = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})")
_ANY_CHARACTERS = re.compile(r"[\w.:*+-]+", re.ASCII)


def communities_of(route: HistoryEntry | Route) -> list[str]:
    """All communities of a route: standard, large, extended, and those of IPv6."""
    extended = (*(route.extended_communities or ()), *(route.ipv6_extended_communities or ()))
    words = (one.text or f"0x{one.hex}" for one in extended)
    return [*(route.communities or ()), *(route.large_communities or ()), *words]


def parse_community(text: str) -> str:
    """Parse a community, or a pattern; well-known names and AS numbers with a dot become plain numbers.

    Raises:
        ValueError: it is neither.
    """
    named = _numbered(text)
    if named is None or fault_of_community(text):
        raise ValueError(text)
    return named


def fault_of_community(text: str) -> str:
    """Why a text is not a community, such as `70000 is more than 65535`; empty if it may be one."""
    named = _numbered(text)
    if named is None:
        return ""
    first, *more = parts = named.split(":")
    if not more:
        fits = re.fullmatch(r"0x[0-9a-f*]+", first, re.IGNORECASE) or first in LONE_WORDS
        return "" if fits else "it is no name of a well-known one, and has no parts such as 64500:1"
    if not _NUMBER.fullmatch(first):
        known = any(fnmatchcase(word, first) for word in WORDS)
        return "" if known else f"no extended community begins with {first}; they do with {', '.join(sorted(WORDS))}"
    if strange := [part for part in more if not _NUMBER.fullmatch(part)]:
        return "" if "*" in first else f"{strange[0]!r} is no number"
    most = _MOST.get(len(parts))
    if most is None:
        return f"it has {len(parts)} parts; a standard one has 2, a large one 3"
    if "*" in first:  # these may be the word of an extended one
        return ""
    high = next((part for part in parts if "*" not in part and int(part[:20]) > most), None)
    return f"{high} is more than {most}" if high else ""


def _numbered(text: str) -> str | None:
    """The text with numbers in place of names; None if it has characters that no community has."""
    if not _ANY_CHARACTERS.fullmatch(text):
        return None
    known = WELL_KNOWN.get(text.lower().replace("_", "-"))
    return known or ":".join(_AS_DOT.sub(_plain, part) if _AS_DOT.fullmatch(part) else part for part in text.split(":"))


def _plain(dotted: re.Match[str]) -> str:
    return str((int(dotted[1]) << 16) + int(dotted[2]))
