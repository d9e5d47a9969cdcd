"""The state of the peers: their sessions, how many routes each has, and why one is not up."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from bson import ObjectId

from collector.query.peer_ribs import peer_rib_of
from collector.query.running import KnownPeer, find_running
from collector.sources.known import SOURCES, find_instances, source_of
from collector.sources.source import Stranger
from collector.store.mongo import Query, Store
from collector.store.updates import NEWEST_FIRST, pieces
from schemas.documents import to_message
from schemas.message import Notification, Sent
from schemas.peer import name_order
from schemas.status import PeerOpen, PeerStatus
from schemas.stored import MessageDocument, SessionDocument, name_of

_MOMENT = timedelta(seconds=1)
"""How long before a `down` a NOTIFICATION may come and count as its cause."""


async def peers_here(store: Store, data_dir: Path, address: str | None = None) -> AsyncIterator[PeerStatus]:
    """`peers`, including those that the collector running on a data directory has configured, or refuses.

    Args:
        store: the archive.
        data_dir: the collector's.
        address: only peers with this address; None: all.
    """
    running = find_running(data_dir)
    if running is None:
        async for peer in peers(store, address=address):
            yield peer
        return
    named, ranges = {peer.address for peer in running.peers}, [ip_network(one) for one in running.ranges]
    routers = [SOURCES[instance.source].routers(instance) for instance in find_instances(data_dir)]
    strangers = [stranger for one in routers for stranger in one.refused]
    async for peer in peers(store, running.peers, strangers, address=address):
        if peer.router is None:  # peers of other routers are not configured here
            configured = peer.address in named or any(ip_address(peer.address) in one for one in ranges)
            peer = peer.model_copy(update={"configured": configured})
        yield peer


async def peers(
    store: Store,
    configured: Sequence[KnownPeer] = (),
    strangers: Sequence[Stranger] = (),
    *,
    address: str | None = None,
) -> AsyncIterator[PeerStatus]:
    """Every configured peer, every other peer that has ever had a session, and refused routers, by address."""
    latest = await _latest(store, address)
    expected = {peer.address: peer for peer in configured}
    unknown = {stranger.address: stranger for stranger in strangers if stranger.address not in expected}
    for name in sorted(expected.keys() | latest.keys() | unknown.keys(), key=name_order):
        if address not in (None, name.partition(" ")[0]):
            continue
        peer, last = expected.get(name), latest.get(name)
        if last is not None and "until" not in last:
            yield await _up(store, last, peer)
        elif name in unknown:
            yield _refused(unknown[name], last)
        else:
            yield await _down(store, name, peer, last)


async def _latest(store: Store, address: str | None) -> dict[str, SessionDocument]:
    """The last session of each peer, or of those with an address, by peer name."""
    query = {"peer.address": address} if address else {}
    last: dict[str, tuple[datetime, ObjectId]] = {}
    async for one in store.find("sessions", query, fields=("peer", "since")):
        name, place = name_of(one["peer"]), (one["since"], one["_id"])
        last[name] = max(last.get(name, place), place)
    found: dict[str, SessionDocument] = {}
    for keys in pieces([key for _, key in last.values()], (await store.traits()).keys):
        async for one in store.find("sessions", {"_id": {"$in": keys}}):
            found[name_of(one["peer"])] = one
    return found


async def _up(store: Store, session: SessionDocument, peer: KnownPeer | None) -> PeerStatus:
    keepalive = session.get("last_keepalive")
    counted = await (await peer_rib_of(store, session, None)).count()
    return PeerStatus(
        address=session["peer"]["address"],
        asn=session["peer"]["asn"],
        description=peer.description if peer else None,
        state="up",
        since=session["since"],
        last_message=session["last_seen"],
        last_keepalive=keepalive,
        keepalive_age=max((datetime.now(UTC) - keepalive).total_seconds(), 0.0) if keepalive else None,
        updates=session["updates"],
        routes=sum(counted.by_family.values()),
        routes_by_family=dict(sorted(counted.by_family.items())),
        routes_at=counted.at,
        **_view(session),
    )


def _refused(stranger: Stranger, last: SessionDocument | None) -> PeerStatus:
    return PeerStatus(
        address=stranger.address,
        asn=last["peer"]["asn"] if last else None,
        state="unconfigured",
        since=stranger.first,
        reason=f"connects to {stranger.local} and is refused, as no peer has this address: {stranger.times} times",
        reason_at=stranger.last,
    )


async def _down(store: Store, name: str, peer: KnownPeer | None, last: SessionDocument | None) -> PeerStatus:
    ended = (last.get("reason"), last["until"]) if last else None
    failed = await _last_failure(store, name)
    if failed and ended and failed[1] <= ended[1]:
        failed = None  # it describes that very end
    if failed and peer and peer.password and failed[0] == _NOTHING_ARRIVED:
        failed = f"{failed[0]}{_HINT}", failed[1]
    reason, at = ended or failed or (_why_never_up(peer) if peer else None, None)
    attempt, attempt_at = failed if ended and failed else (None, None)
    expected = peer.asn if peer else None
    return PeerStatus(
        address=name.partition(" ")[0],
        asn=last["peer"]["asn"] if last else expected,
        description=peer.description if peer else None,
        state="down" if last else "never",
        since=last["until"] if last else None,
        last_message=last["last_seen"] if last else None,
        last_keepalive=last.get("last_keepalive") if last else None,
        updates=last["updates"] if last else 0,
        reason=reason,
        reason_at=at,
        attempt=attempt,
        attempt_at=attempt_at,
        open=await _last_open(store, name, peer),
        **_view(last),
    )


def _why_never_up(peer: KnownPeer) -> str:
    return f"{'it has not connected yet' if peer.passive else 'no connection yet'}{_HINT if peer.password else ''}"


_HINT = "; if its MD5 password is another than here, nothing of it arrives"
_NOTHING_ARRIVED = f"no connection: {os.strerror(errno.ETIMEDOUT)}"


async def _last_failure(store: Store, name: str) -> tuple[str, datetime] | None:
    """Why and when the last attempt, or session, ended."""
    down = await _newest(store, name, {"kind": "state", "state": "down"})
    if down is None:
        return None
    source = source_of(down["source"])
    span = {"$gte": down["ts"] - _MOMENT, "$lte": down["ts"]}
    for kind in ("sent", "notification"):
        found = await _newest(store, name, {"kind": kind, "ts": span})
        message = to_message(found) if found else None
        notification = source.notification_of(message) if isinstance(message, Notification | Sent) else None
        if notification and f"({notification.code},{notification.subcode})" in down.get("reason", ""):
            return source.explain(down["reason"], notification).reason, down["ts"]
    return source.explain(down.get("reason")).reason, down["ts"]


async def _last_open(store: Store, name: str, peer: KnownPeer | None) -> PeerOpen | None:
    found = await _newest(store, name, {"kind": "open"})
    if found is None:
        return None
    capabilities = {capability.get("code"): capability for capability in found["capabilities"]}
    asn = int(capabilities.get(65, {}).get("asn4", found["asn"]))
    families = (
        [str(name).replace("/", " ") for name in capabilities[1].get("families", ())] if 1 in capabilities else None
    )
    return PeerOpen(
        ts=found["ts"],
        asn=asn,
        hold_time=found["hold_time"],
        router_id=found["router_id"],
        families=families,
        differs=list(_differences(found, asn, families, peer)),
    )


def _differences(opened: Mapping[str, Any], asn: int, families: list[str] | None, peer: KnownPeer | None) -> list[str]:
    found = []
    if peer and asn != peer.asn:
        found.append(f"AS {asn}, where AS {peer.asn} is configured")
    if opened["hold_time"] in (1, 2):
        found.append(f"hold time {opened['hold_time']} s, where 0 or at least 3 is allowed")
    # Without capability 1 a speaker does IPv4 unicast and nothing else (RFC 4760 section 8).
    offered = set(families if families is not None else ["ipv4 unicast"])
    if peer and peer.families and (missing := [family for family in peer.families if family not in offered]):
        found.append(f"no {', '.join(missing)}")
    return found


async def _newest(store: Store, name: str, query: Query) -> MessageDocument | None:
    """A peer's newest message; of several at one time the last."""
    query = {"peer.address": name.partition(" ")[0], **query}
    for limit in (1, 0):  # with several routers, others may have its address
        async for newest in store.find("messages", query, sort=NEWEST_FIRST, limit=limit):
            if name_of(newest["peer"]) == name:
                return newest
    return None


def _view(session: SessionDocument | None) -> Mapping[str, Any]:
    """Where a peer was reported."""
    return {key: value for key, value in session["peer"].items() if key not in ("address", "asn")} if session else {}
