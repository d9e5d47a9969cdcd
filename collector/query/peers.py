"""How the peers stand: their sessions, and how many routes each has announced that still stand."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from collector.store.mongo import Store
from schemas.query import PeerStatus

_FIELDS = ("announce", "withdraw", "session")


class KnownPeer(NamedTuple):
    """A configured peer, which may never have been heard of."""

    address: str
    asn: int
    description: str | None = None


async def peers(store: Store, configured: Sequence[KnownPeer] = ()) -> AsyncIterator[PeerStatus]:
    """Every configured peer and every other that has ever had a session, by address."""
    latest: dict[str, Mapping[str, Any]] = {}
    async for session in store.find("sessions", {}, sort=(("since", 1),), fields=_SESSION_FIELDS):
        latest[session["peer"]["address"]] = session
    known = {peer.address: peer for peer in configured}
    for address in sorted(known.keys() | latest.keys(), key=_numerically):
        peer, last = known.get(address), latest.get(address)
        if last is not None:
            yield await _status(store, last, peer)
        elif peer is not None:
            yield PeerStatus(address=address, asn=peer.asn, description=peer.description, state="never")


_SESSION_FIELDS = ("peer", "since", "until", "last_keepalive", "updates", "reason")


async def _status(store: Store, session: Mapping[str, Any], peer: KnownPeer | None) -> PeerStatus:
    up = "until" not in session
    keepalive = session.get("last_keepalive")
    return PeerStatus(
        address=session["peer"]["address"],
        asn=session["peer"]["asn"],
        description=peer.description if peer else None,
        state="up" if up else "down",
        since=session["since"] if up else session["until"],
        last_keepalive=keepalive,
        keepalive_age=(datetime.now(UTC) - keepalive).total_seconds() if up and keepalive else None,
        updates=session["updates"],
        routes=await _count_routes(store, session) if up else 0,
        reason=session.get("reason"),
    )


async def _count_routes(store: Store, session: Mapping[str, Any]) -> int:
    """The routes that stand, counted by going through the session's UPDATEs."""
    standing: set[tuple[Any, ...]] = set()
    query = {"peer.address": session["peer"]["address"], "ts": {"$gte": session["since"]}}
    async for update in store.find("updates", query, sort=(("ts", 1),), fields=_FIELDS):
        if update.get("session") == session["_id"]:
            standing.difference_update(_routes(update.get("withdraw", ())))
            standing.update(_routes(update.get("announce", ())))
    return len(standing)


def _routes(groups: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for group in groups:
        shared = (group["family"], group.get("rd"), group.get("path_id"))
        for prefix in group.get("nlri", ()):
            yield (*shared, prefix)
        for route in group.get("objects", ()):
            yield (*shared, json.dumps(route, sort_keys=True, default=str))


def _numerically(address: str) -> tuple[int, bytes]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed.packed
