"""The routes as they stand, or stood at any moment: of one prefix, of the longest that matches, of all."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.query.standing import Known, standing
from collector.store.mongo import Store
from collector.tables.routes import Items, Key, within
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
    async for known in standing(store, question.at, peer=question.peer):
        shown = False
        async for items in matching(known, question):
            for key, held in items:
                shown = True
                yield known.route(key, held)
        if not shown and question.prefix:
            family = "ipv6 unicast" if ":" in question.prefix else "ipv4 unicast"
            if known.hides(family) and known.gap:
                yield Route(
                    peer=known.session["peer"],
                    collector=known.session["collector"],
                    prefix=question.prefix,
                    family=family,
                    state="unknown",
                    since=known.gap,
                )


async def matching(known: Known, question: RibQuery) -> AsyncIterator[Items]:
    """The routes of one session that are asked for, in their order, some thousands at a time."""
    if question.prefix is None:
        async for items in known.table():
            yield items
    elif question.match == "more_specific":
        async for items in known.table(within(question.prefix)):
            yield items
    else:
        found = await known.few(_prefixes(question.prefix, question.match))
        if question.match == "longest":
            longest = max((_length(key) for key, _ in found), default=0)
            found = [item for item in found if _length(item[0]) == longest]
        yield found


def _prefixes(prefix: str, match: Match) -> list[str]:
    """Those that can be asked for by name."""
    if match == "exact":
        return [prefix]
    network = ipaddress.ip_network(prefix)
    return [str(network.supernet(new_prefix=length)) for length in range(network.prefixlen + 1)]


def _length(key: Key) -> int:
    return int(key.nlri.rpartition("/")[2])
