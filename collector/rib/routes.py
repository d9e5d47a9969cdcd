"""Routes in tables: their keys, their order, and what was announced."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import bson

from schemas.identity import nlri_key
from schemas.scalars import one_next_hop, rfc3339
from schemas.stored import GroupDocument, UpdateDocument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Nlri = Any
"""A prefix, or what ExaBGP prints for a route of another kind."""


class RouteKey(NamedTuple):
    """The key of a route among its peer's routes (RFC 7911, RFC 4364)."""

    family: str
    rd: str | None
    path_id: int | None
    nlri: str
    """A prefix; of a route of another kind (FlowSpec, EVPN, ...) its key as JSON (`schemas.identity`)."""

    @property
    def is_prefix(self) -> bool:
        """Whether this is a route to a prefix."""
        return self.nlri[0] not in '{["'


def key_of(group: GroupDocument, nlri: Nlri) -> RouteKey:
    """The key of a route in a group, which distinguishes it from all others of its peer."""
    family = group["family"]
    name = nlri if "nlri" in group else nlri_key(family, nlri)
    return RouteKey(family, group.get("rd"), group.get("path_id"), name)


def groups(update: UpdateDocument, event: Literal["announce", "withdraw"]) -> Sequence[GroupDocument]:
    """The groups of routes that an UPDATE's document announces or withdraws.

    bgpledger 0.1 stored most routes with a next hop of 32 bytes twice, once for each half; these are returned once.
    """
    groups = update.get(event, ())
    halves = [group for group in groups if ":" in group.get("next_hop", "")]
    if len({group["next_hop"] for group in halves}) > 1 or any(map(_is_doubled, halves)):
        return list(_once(groups))
    return groups


def _is_doubled(group: GroupDocument) -> bool:
    nlri = group.get("nlri", ())
    return len(nlri) > 1 and nlri[::2] == nlri[1::2]


def _once(groups: Sequence[GroupDocument]) -> Iterator[GroupDocument]:
    found: dict[tuple[str, ...], GroupDocument] = {}
    for group in groups:
        if ":" not in group.get("next_hop", ""):
            yield group
            continue
        whole = group.copy()
        if _is_doubled(group):
            whole["nlri"] = group["nlri"][::2]
        names = [str(key_of(whole, route)) for route in (*whole.get("nlri", ()), *whole.get("objects", ()))]
        first = found.setdefault((str(whole.get("labels")), *names), whole)
        if first is not whole:
            first["next_hop"], link_local = one_next_hop(first["next_hop"], whole["next_hop"])
            if link_local:
                first["link_local"] = link_local
    yield from found.values()


def routes(update: UpdateDocument, event: Literal["announce", "withdraw"]) -> Iterator[tuple[GroupDocument, Nlri]]:
    """Every route that an UPDATE's document announces or withdraws, with its group."""
    for group in groups(update, event):
        for nlri in (*group.get("nlri", ()), *group.get("objects", ())):
            yield group, nlri


class RouteEntry(NamedTuple):
    """A route as it was announced."""

    since: int
    """Unix milliseconds: dates would be the most expensive part, and most are never shown."""
    facts: bytes
    """Attributes, next hop and labels as BSON: one object for all routes of a group, a fifth of the size of a dict.

    For a route that is not a prefix, also what ExaBGP prints for it, as `object`.
    """


NO_FACTS = bson.encode({})
"""Facts of a route of which nothing is known."""

WITHDRAWN = RouteEntry(-1, b"")
"""In place of the entry of a withdrawn route."""


class Range(NamedTuple):
    """From the first route to the last, inclusive, in the order of `order`."""

    first: bytes
    last: bytes

    def has(self, key: RouteKey) -> bool:
        """Whether a route is in the range."""
        return self.first <= order(key) <= self.last


Item = tuple[RouteKey, RouteEntry]
Items = list[Item]
"""Routes in order."""


def milliseconds(moment: datetime) -> int:
    """A time as unix milliseconds."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    """Unix milliseconds as a UTC time."""
    return _EPOCH + ms * _MILLISECOND


def moment_text(ms: int) -> str:
    """Unix milliseconds as a time in JSON answers (RFC 3339), cached because a table has few distinct seconds."""
    return f"{_second_text(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    return rfc3339(moment(1000 * seconds)).partition(".")[0]


BEHIND_PREFIXES = b"\x06"
"""Where routes that are not prefixes begin in the order."""
LAST = b"\xff"
"""After all routes."""


def order(key: RouteKey) -> bytes:
    """The sort key of a route: IPv4 first, then by address and length, then by the rest of its key."""
    family, rd, path_id, nlri = key
    rest = f"{family} {rd or ''}".encode() + (path_id or 0).to_bytes(4)
    if not key.is_prefix:
        return BEHIND_PREFIXES + nlri.encode() + b"\0" + rest
    return place(nlri) + rest


def place(prefix: str) -> bytes:
    """The common start of the sort keys of all routes to a prefix."""
    address, _, length = prefix.partition("/")
    if ":" in address:
        return b"\x05" + socket.inet_pton(socket.AF_INET6, address) + bytes((int(length),))
    return b"\x04" + socket.inet_pton(socket.AF_INET, address) + bytes((int(length),))


def within(prefix: str) -> Range:
    """The range of all prefixes within one, including itself."""
    address, _, length = prefix.partition("/")
    version, kind = (b"\x05", socket.AF_INET6) if ":" in address else (b"\x04", socket.AF_INET)
    first = socket.inet_pton(kind, address)
    hosts = (1 << (8 * len(first) - int(length))) - 1
    last = (int.from_bytes(first) | hosts).to_bytes(len(first))
    return Range(version + first + bytes((int(length),)), version + last + b"\xff")
