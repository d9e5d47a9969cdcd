"""How the peers stand: their sessions, and how many routes each has announced that still stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from collector.query.running import KnownPeer
from collector.query.standing import known
from collector.store.mongo import Document, Store
from schemas.query import PeerStatus
from schemas.scalars import address_order


async def peers(store: Store, configured: Sequence[KnownPeer] = ()) -> AsyncIterator[PeerStatus]:
    """Every configured peer and every other that has ever had a session, by address."""
    latest: dict[str, Document] = {}
    async for session in store.find("sessions", {}, sort=(("since", 1),)):
        latest[session["peer"]["address"]] = session
    expected = {peer.address: peer for peer in configured}
    for address in sorted(expected.keys() | latest.keys(), key=address_order):
        peer, last = expected.get(address), latest.get(address)
        if last is not None:
            yield await _status(store, last, peer)
        elif peer is not None:
            yield PeerStatus(address=address, asn=peer.asn, description=peer.description, state="never")


async def _status(store: Store, session: Document, peer: KnownPeer | None) -> PeerStatus:
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
        routes=await (await known(store, session, None)).count() if up else 0,
        reason=session.get("reason"),
    )
