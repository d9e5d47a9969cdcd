"""The routes as they stand, or stood at any moment: of one prefix, of the longest that matches, of all."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.query.standing import Held, Key, Known, standing
from collector.store.mongo import Store
from schemas.query import Route

Match = Literal["exact", "longest", "less_specific", "more_specific"]


@dataclass(frozen=True)
class RibQuery:
    """Which routes."""

    prefix: str | None = None
    """Normalised; None for all."""
    match: Match = "exact"
    """`longest`: of those that contain the prefix, the longest, for each peer. `less_specific` and `more_specific`
    include the prefix itself."""
    at: datetime | None = None
    """The moment; None: now."""
    peer: str | None = None


async def rib(store: Store, question: RibQuery) -> AsyncIterator[Route]:
    """Routes, by peer, then in the order of their prefixes.

    A peer of which nothing is known, because a gap may hide its route, yields one that is `unknown`, where a prefix
    is asked for.
    """
    prefixes = _prefixes(question)
    async for known in standing(store, question.at, peer=question.peer, prefixes=prefixes):
        chosen = _choose(question, known)
        for key, held in sorted(chosen, key=lambda one: order(one[0])):
            yield known.route(key, held)
        if not chosen and question.prefix and known.gap and not known.stale:
            family = "ipv6 unicast" if ":" in question.prefix else "ipv4 unicast"
            if family not in known.mended:
                peer = known.session["peer"]
                yield Route(peer=peer, prefix=question.prefix, family=family, state="unknown", since=known.gap)


def order(key: Key) -> tuple[int, bytes, int, str, int]:
    """Where a route stands among others: IPv4 first, by address, then length, then what else tells it apart."""
    family, rd, path_id, prefix = key
    address, _, length = prefix.partition("/")
    if ":" in address:
        return 1, socket.inet_pton(socket.AF_INET6, address), int(length), f"{family} {rd}", path_id or 0
    return 0, socket.inet_pton(socket.AF_INET, address), int(length), f"{family} {rd}", path_id or 0


def _prefixes(question: RibQuery) -> list[str] | None:
    """Those that can be asked for by name."""
    if question.prefix is None or question.match == "more_specific":
        return None
    if question.match == "exact":
        return [question.prefix]
    network = ipaddress.ip_network(question.prefix)
    return [str(network.supernet(new_prefix=length)) for length in range(network.prefixlen + 1)]


def _choose(question: RibQuery, known: Known) -> list[tuple[Key, Held]]:
    routes = list(known.routes.items())
    if question.match == "longest":
        longest = max((_length(key) for key, _ in routes), default=0)
        return [(key, held) for key, held in routes if _length(key) == longest]
    if question.match == "more_specific" and question.prefix:
        within = ipaddress.ip_network(question.prefix)
        first, last = within.network_address.packed, within.broadcast_address.packed
        version = int(within.version == 6)
        return [(key, held) for key, held in routes if _lies_within(key, version, first, last, within.prefixlen)]
    return routes


def _length(key: Key) -> int:
    return int(key[3].rpartition("/")[2])


def _lies_within(key: Key, version: int, first: bytes, last: bytes, shortest: int) -> bool:
    its_version, address, length, *_ = order(key)
    return its_version == version and first <= address <= last and length >= shortest
