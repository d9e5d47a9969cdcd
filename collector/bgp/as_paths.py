"""AS paths as BGP encodes them (RFC 4271 4.3, RFC 5065), with two-byte and four-byte AS numbers (RFC 6793)."""

from __future__ import annotations

import struct
from typing import Final

from schemas.attributes import SegmentKind, format_as_path

_KINDS: Final[dict[int, SegmentKind]] = {1: "set", 2: "sequence", 3: "confed_sequence", 4: "confed_set"}
_SEQUENCE: Final = 2
Segments = tuple[tuple[SegmentKind, tuple[int, ...]], ...]


class FaultError(ValueError):
    """A malformed attribute; the text says how."""


def read_as_path(value: bytes, as4: bool) -> str:
    """AS_PATH as documents have it; see `segments`."""
    if len(value) > 2 and value[0] == _SEQUENCE and len(value) == 2 + value[1] * (4 if as4 else 2):  # nearly all paths
        return " ".join(map(str, struct.unpack_from(f">{value[1]}{'I' if as4 else 'H'}", value, 2)))
    return format_segments(segments(value, as4=as4))


def segments(value: bytes, *, as4: bool) -> Segments:
    """The segments of an AS_PATH (RFC 4271 4.3, RFC 5065).

    Raises:
        FaultError: they are malformed (RFC 7606 7.2).
    """
    found, at, width = [], 0, 4 if as4 else 2
    while at < len(value):
        if at + 2 > len(value):
            raise FaultError("segment")
        kind, count = _KINDS.get(value[at]), value[at + 1]
        end = at + 2 + count * width
        if kind is None or not count or end > len(value):
            raise FaultError("segment")
        found.append((kind, struct.unpack_from(f">{count}{'I' if as4 else 'H'}", value, at + 2)))
        at = end
    return tuple(found)


def merged_path(path: Segments, newer: Segments) -> Segments:
    """AS_PATH with its tail replaced by AS4_PATH, which never has confederation segments (RFC 6793 4.2.3 and 6)."""
    newer = tuple(segment for segment in newer if not segment[0].startswith("confed"))
    lead = _length(path) - _length(newer)
    if lead < 0:
        return path
    kept: list[tuple[SegmentKind, tuple[int, ...]]] = []
    for kind, asns in path:
        if kind.startswith("confed"):
            if lead > 0 or not kept:
                kept.append((kind, asns))
        elif lead > 0 and kind == "set":
            kept.append((kind, asns))
            lead -= 1
        elif lead > 0:
            kept.append((kind, asns[:lead]))
            lead -= len(asns[:lead])
    return (*kept, *newer)


def _length(path: Segments) -> int:
    """The path length of RFC 4271 9.1.2.2 (a) and RFC 5065 5.3."""
    return sum({"sequence": len(asns), "set": 1}.get(kind, 0) for kind, asns in path)


def format_segments(path: Segments) -> str:
    """Segments as documents have them."""
    return format_as_path([(kind, list(asns)) for kind, asns in path])
