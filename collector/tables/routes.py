"""A peer's routes: what tells them apart, what was said of each, and the order in which they stand."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Key(NamedTuple):
    """What tells a peer's routes apart (RFC 7911, RFC 4364)."""

    family: str
    rd: str | None
    path_id: int | None
    nlri: str
    """A prefix; of a route that is none (FlowSpec, EVPN, ...) what ExaBGP prints of it, as JSON."""

    @property
    def is_prefix(self) -> bool:
        """Whether this route is one of a prefix."""
        return self.nlri[0] not in '{["'


class Held(NamedTuple):
    """A route as it was announced."""

    since: int
    """Unix milliseconds: as a date it would cost more than the rest, and most are never shown."""
    facts: bytes
    """Attributes, next hop and labels as BSON: one object for all routes of a group, a fifth of its size as a dict."""


GONE = Held(-1, b"")
"""In the place of a route that was withdrawn."""


class Range(NamedTuple):
    """From the first route to the last, in the order of `order`."""

    first: bytes
    last: bytes

    def has(self, key: Key) -> bool:
        """Whether a route lies in it."""
        return self.first <= order(key) <= self.last


Items = list[tuple[Key, Held]]
"""Routes in their order."""


def milliseconds(moment: datetime) -> int:
    """A time as unix milliseconds."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    """Unix milliseconds as a UTC time."""
    return _EPOCH + ms * _MILLISECOND


def order(key: Key) -> bytes:
    """Where a route stands among others: IPv4 first, by address, then length, then what else tells it apart."""
    family, rd, path_id, nlri = key
    rest = f"{family} {rd or ''}".encode() + (path_id or 0).to_bytes(4)
    if not key.is_prefix:
        return b"\x06" + nlri.encode() + b"\0" + rest
    address, _, length = nlri.partition("/")
    if ":" in address:
        return b"\x05" + socket.inet_pton(socket.AF_INET6, address) + bytes((int(length),)) + rest
    return b"\x04" + socket.inet_pton(socket.AF_INET, address) + bytes((int(length),)) + rest


def within(prefix: str) -> Range:
    """All prefixes that lie within one, itself included."""
    address, _, length = prefix.partition("/")
    version, kind = (b"\x05", socket.AF_INET6) if ":" in address else (b"\x04", socket.AF_INET)
    first = socket.inet_pton(kind, address)
    hosts = (1 << (8 * len(first) - int(length))) - 1
    last = (int.from_bytes(first) | hosts).to_bytes(len(first))
    return Range(version + first + bytes((int(length),)), version + last + b"\xff")
