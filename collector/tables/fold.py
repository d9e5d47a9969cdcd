"""Folding UPDATEs: what a peer's words up to a moment leave standing.

A route stands from its announcement until its replacement or its withdrawal (RFC 4271 3.1, 9).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import bson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OF_KEY = {"family", "rd", "path_id", "nlri", "host_bits", "objects"}


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


class Fold:
    """One session's UPDATEs in their order, and what they change.

    Args:
        session: its key; the UPDATEs of others are passed over.
        only: only these prefixes; None: of all.
        span: only routes whose order lies in there; None: all.
    """

    def __init__(self, session: Any, *, only: Collection[str] | None = None, span: Range | None = None) -> None:
        self.changes: dict[Key, Held | None] = {}
        """Of each route that was heard of, what stands behind the UPDATEs; None: nothing."""
        self.updates = 0
        """How many of the session's UPDATEs there were."""
        self._session = session
        self._only = None if only is None else frozenset(only)
        self._span = span

    def add(self, update: Mapping[str, Any]) -> None:
        """Take the next UPDATE into account: its withdrawals, then its announcements (RFC 4271 4.3)."""
        if update.get("session") != self._session:
            return
        self.updates += 1
        for group in update.get("withdraw", ()):
            for key in self._keys(group):
                self.changes[key] = None
        attributes = update.get("attributes", {})
        for group in update.get("announce", ()):
            own = {name: value for name, value in group.items() if name not in _OF_KEY}
            held = Held(milliseconds(update["ts"]), bson.encode({**attributes, **own}))
            for key in self._keys(group):
                self.changes[key] = held

    def sorted(self) -> list[tuple[bytes, Key, Held | None]]:
        """The changes in their order, with what they are sorted by."""
        return sorted((order(key), key, held) for key, held in self.changes.items())

    def _keys(self, group: Mapping[str, Any]) -> Iterator[Key]:
        family, rd, path_id = group["family"], group.get("rd"), group.get("path_id")
        for nlri in group.get("nlri", ()):
            if self._only is None or nlri in self._only:
                key = Key(family, rd, path_id, nlri)
                if self._span is None or self._span.has(key):
                    yield key
        if self._only is None and self._span is None:
            for route in group.get("objects", ()):
                yield Key(family, rd, path_id, json.dumps(route, sort_keys=True, default=str))
