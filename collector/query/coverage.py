"""What the archive covers: from when, until when, and which peers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, NamedTuple

from collector.query.filters import Filter, Network
from collector.query.running import KnownPeer
from collector.query.sessions_at import sessions_at
from collector.store.mongo import Store
from schemas.peer import Peer
from schemas.stored import SessionDocument

_FIRST_ONES = 200
"""Sessions: keys sort by the second, and within one by collector and line."""
_LATELY = timedelta(days=1)


class Coverage(NamedTuple):
    """The time that the archive covers; both None if it is empty."""

    since: datetime | None
    """When the first stored session came up."""
    upto: datetime | None
    """When the last message was received."""

    def with_one(self, session: SessionDocument) -> Coverage:
        """The time that is covered by one more session."""
        since, last = session["since"], session.get("until") or session["last_seen"]
        return Coverage(min(self.since or since, since), max(self.upto or last, last))


async def coverage(store: Store, now: datetime) -> Coverage:
    """The time that the archive covers; after a clock was set back, its end may be in the future."""
    return Coverage(await _since(store), await _upto(store, now))


async def began_after(store: Store, moment: datetime) -> datetime | None:
    """When the archive began, if after a time; None if it did not, or if the archive is empty."""
    # Most queries are about a time when current sessions had begun, and these are few.
    async for session in store.find("sessions", {"until": None}, fields=("since",)):
        if session["since"] <= moment:
            return None
    since = await _since(store)
    return since if since and since > moment else None


async def removed_after(store: Store, moment: datetime, now: datetime) -> datetime | None:
    """The time from which UPDATEs are kept ([retention] updates_days), if after a given time."""
    if now - moment < timedelta(days=1):  # the least that is certain
        return None
    seconds = (await store.lifetimes()).get("updates_days")
    kept = now - timedelta(seconds=seconds) if seconds else None
    return kept if kept and moment < kept else None


async def unseen_since(store: Store, moment: datetime | None, filters: Filter) -> SessionDocument | None:
    """The last session of the wanted peers, if it ended before a time only because nobody received any more.

    None if any of them had a session at that time, or if a peer ended the last one.

    Args:
        store: the archive.
        moment: the time; None: now.
        filters: which peers.
    """
    peer = filters.only_peer
    async for session, _ in sessions_at(store, moment, peer):
        if filters.of_peer(Peer.model_validate(session["peer"])):
            return None
    query = {"until": {"$lte": moment or datetime.now(UTC)}, **({"peer.address": peer} if peer else {})}
    async for session in store.find("sessions", query, sort=(("until", -1),)):
        if filters.of_peer(Peer.model_validate(session["peer"])):
            return session if session["ended_by"] == "collector" else None
    return None


async def unknown_peers(store: Store, filters: Filter, configured: Sequence[KnownPeer]) -> list[str]:
    """The conditions on peers that match no peer that is configured, or has ever had a session.

    Returns:
        Addresses and prefixes as written in the filter, and AS numbers as `AS64500`.
    """
    peers = filters.peers.values if filters.peers else ()
    asns = filters.peer_asns.values if filters.peer_asns else ()
    if not peers and not asns:
        return []
    one_by_one = not asns and not any("/" in one for one in peers)
    seen = [await _seen_peers(store, one) for one in peers] if one_by_one else [await _seen_peers(store)]
    known = {(one.address, one.asn) for one in configured}.union(*seen)
    addresses = [ip_network(address) for address, _ in known]
    return [
        *(one for one in peers if not any(_holds(ip_network(one), address) for address in addresses)),
        *(f"AS{asn}" for asn in asns if asn not in {known_asn for _, known_asn in known}),
    ]


async def _seen_peers(store: Store, address: str | None = None) -> set[tuple[str, int]]:
    """The peers that have had sessions, as address and AS number; with an address, at most one of it."""
    query, limit = ({"peer.address": address}, 1) if address else ({}, 0)
    found = store.find("sessions", query, limit=limit, fields=("peer",))
    return {(session["peer"]["address"], session["peer"]["asn"]) async for session in found}


def _holds(network: Network, address: Network) -> bool:
    return network.version == address.version and network.overlaps(address)


async def _since(store: Store) -> datetime | None:
    first = store.find("sessions", {}, sort=(("_id", 1),), limit=_FIRST_ONES, fields=("since",))
    return min([session["since"] async for session in first], default=None)


async def _upto(store: Store, now: datetime) -> datetime | None:
    """The last message of current sessions, or of those that ended recently; if there are none, of all."""
    lately: tuple[Any, ...] = ({"until": None}, {"until": {"$gt": now - _LATELY}})
    for queries in (lately, ({"until": {"$exists": True}},)):
        times: list[datetime] = []
        for query in queries:
            async for session in store.find("sessions", query, fields=("last_seen", "until")):
                times.append(session.get("until") or session["last_seen"])  # noqa: PERF401 - it is asynchronous
        if times:
            return max(times)
    return None
