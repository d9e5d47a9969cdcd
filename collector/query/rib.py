"""The routes as they stand, or stood at any moment: of one prefix, of the longest that matches, of all."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from collector.query.standing import Known, standing
from collector.store.mongo import Store
from collector.tables.routes import Items, Key, Range, within
from schemas.message import Peer
from schemas.query import Route

Match = Literal["exact", "longest", "less_specific", "more_specific"]

_LONGEST_USUAL = {4: 24, 6: 48}
"""The longest prefixes that are common in the Internet's tables, by the version of IP."""


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
    """One peer's, which an index serves."""
    of_peer: Callable[[Peer], bool] = lambda _peer: True
    """Only of peers for which this holds: the tables of others are not read."""

    @property
    def is_of_tables(self) -> bool:
        """Whether stored tables answer it, and not the index over prefixes."""
        return self.prefix is None or self.match == "more_specific"

    @property
    def span(self) -> Range | None:
        """The part of a table that is asked for; None is all of it."""
        return within(self.prefix) if self.prefix else None


async def rib(
    store: Store, question: RibQuery, *, on_read: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Route]:
    """Routes, by peer, then in the order of their prefixes.

    Args:
        store: an open store.
        question: which routes.
        on_read: called with how much more has been read of tables; `count_stored` says about how much there is.

    A peer of which nothing is known, because a gap may hide its route, yields one that is `unknown`, where a prefix
    is asked for.
    """
    async for known in asked(store, question, on_read=on_read):
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


async def count_stored(store: Store, question: RibQuery) -> int:
    """How many routes the stored tables have that an answer begins with."""
    return sum([await known.count_stored() async for known in asked(store, question)])


async def asked(
    store: Store, question: RibQuery, *, on_read: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Known]:
    """What is known of each session that is asked for."""
    async for known in standing(store, question.at, peer=question.peer):
        if question.of_peer(Peer.model_validate(known.session["peer"])):
            known.on_read = on_read
            yield known


async def matching(known: Known, question: RibQuery) -> AsyncIterator[Items]:
    """The routes of one session that are asked for, in their order, some thousands at a time."""
    if question.prefix is None or question.is_of_tables:
        async for items in known.table(question.span):
            yield items
    else:
        found = await known.few(_prefixes(question.prefix, question.match))
        if question.match == "longest":
            longest = max((_length(key) for key, _ in found), default=0)
            found = [item for item in found if _length(item[0]) == longest]
        yield found


def _prefixes(prefix: str, match: Match) -> list[str]:
    """Those that can be asked for by name.

    The usual lengths first: the embedded server compares each in turn with all prefixes of an UPDATE, up to the one
    that is there.
    """
    if match == "exact":
        return [prefix]
    network = ipaddress.ip_network(prefix)
    usual = _LONGEST_USUAL[network.version]
    lengths = sorted(range(network.prefixlen + 1), key=lambda length: (length > usual, -length))
    return [str(network.supernet(new_prefix=length)) for length in lengths]


def _length(key: Key) -> int:
    return int(key.nlri.rpartition("/")[2])
