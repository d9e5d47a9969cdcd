"""`prometheus`: a status and its peers in Prometheus' text format, for a scrape or the textfile collector."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, TextIO

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from pydantic import BaseModel

from schemas.status import CollectorStatus, PeerStatus


class _Metric(NamedTuple):
    kind: str
    help: str
    value: Callable[[Any], float | None]
    """None: there is no value."""


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


METRICS = {
    "bgpledger_up": _Metric("gauge", "1 while a collector runs.", lambda s: s.state == "running"),
    "bgpledger_lines_read_total": _Metric("counter", "Lines that the spool has taken.", lambda s: s.read),
    "bgpledger_lines_stored_total": _Metric("counter", "Lines that became documents.", lambda s: s.stored),
    "bgpledger_lines_rejected_total": _Metric("counter", "Lines that became rejects.", lambda s: s.rejected),
    "bgpledger_lines_waiting": _Metric("gauge", "Lines that are not stored yet.", lambda s: s.waiting),
    "bgpledger_spool_bytes": _Metric("gauge", "Bytes that are not stored yet.", lambda s: s.bytes_waiting),
    "bgpledger_spool_full": _Metric(
        "gauge", "1 while new lines are dropped for want of room.", lambda s: bool(s.spool_full)
    ),
    "bgpledger_lag_seconds": _Metric("gauge", "Age of the oldest line that waits.", lambda s: s.lag_seconds),
    "bgpledger_rib_behind": _Metric(
        "gauge", "UPDATEs that the stored tables of sessions that are up do not hold yet.", lambda s: s.rib_behind or 0
    ),
    "bgpledger_gaps_total": _Metric(
        "counter", "How often lines were lost on their way to the spool, or could not be read.", lambda s: s.gaps
    ),
    "bgpledger_lines_lost_total": _Metric(
        "counter", "Lines that ExaBGP counted and that never came.", lambda s: s.lost
    ),
    "bgpledger_lines_unreadable_total": _Metric(
        "counter", "Lines of peers that could not be read, and may have said anything.", lambda s: s.unreadable
    ),
    "bgpledger_clock_steps_total": _Metric(
        "counter", "How often the clock was set, forward or back.", lambda s: s.clock_steps
    ),
    "bgpledger_bmp_routers": _Metric("gauge", "Routers that are connected by BMP.", lambda s: s.routers or 0),
    "bgpledger_feed_up": _Metric(
        "gauge", "1 while RIS Live is connected, where it is listened to.", lambda s: s.feed and s.feed == "connected"
    ),
    "bgpledger_feed_since_timestamp_seconds": _Metric(
        "gauge", "Since when it is, or is not.", lambda s: _seconds(s.feed_since)
    ),
    "bgpledger_feed_last_message_timestamp_seconds": _Metric(
        "gauge", "When RIS Live spoke last.", lambda s: _seconds(s.feed_last_message)
    ),
    "bgpledger_feed_reconnects_total": _Metric(
        "counter", "How often it had to be connected to again.", lambda s: s.feed_reconnects
    ),
    "bgpledger_store_up": _Metric(
        "gauge", "1 while the store answers.", lambda s: not s.store.startswith(("none", "un"))
    ),
    "bgpledger_store_away_since_timestamp_seconds": _Metric(
        "gauge",
        "Since when the store has not taken what is written; 0 while it does.",
        lambda s: s.store_away_since.timestamp() if s.store_away_since else 0,
    ),
    "bgpledger_store_attempts": _Metric(
        "gauge", "Attempts to write that have failed since then.", lambda s: s.attempts or 0
    ),
}
"""Metrics of the collector."""

SPOOL_METRICS = {
    "bgpledger_archiver_up": _Metric(
        "gauge", "1 while the archiver of the spool runs.", lambda s: s.archiver is not None
    ),
    "bgpledger_archiver_last_stored_timestamp_seconds": _Metric(
        "gauge", "When it was done with lines last.", lambda s: _seconds(s.last_stored)
    ),
    "bgpledger_spool_lines_waiting": _Metric(
        "gauge", "Lines of the spool that are not stored yet.", lambda s: s.waiting
    ),
    "bgpledger_spool_lag_seconds": _Metric("gauge", "Age of the oldest of them.", lambda s: s.lag_seconds),
}
"""Metrics of each spool, with its name as a label."""

PEER_METRICS = {
    "bgpledger_peer_up": _Metric("gauge", "1 while the peer's session is Established.", lambda p: p.state == "up"),
    "bgpledger_peer_state_since_timestamp_seconds": _Metric(
        "gauge", "Since when its session is up, or down.", lambda p: _seconds(p.since)
    ),
    "bgpledger_peer_routes": _Metric("gauge", "Routes of the peer that stand; 0 while it is down.", lambda p: p.routes),
    "bgpledger_peer_updates_total": _Metric(
        "counter", "UPDATEs of the session, or of the last one; each session counts from 0.", lambda p: p.updates
    ),
    "bgpledger_peer_last_message_timestamp_seconds": _Metric(
        "gauge", "The newest message of the session, or of the last one.", lambda p: _seconds(p.last_message)
    ),
}
"""Metrics of each configured peer, with its address and AS number as labels; a removed peer causes no alert."""

PEER_PREFIXES = "bgpledger_peer_prefixes"
"""Metrics of each peer and each family."""
STRANGERS = "bgpledger_unconfigured_routers"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write a status, and the peers that follow it; each metric with its help and type."""
    found = [answer async for answer in answers]
    peers = [answer for answer in found if isinstance(answer, PeerStatus)]
    stream.writelines(text(metrics_of(answer)) for answer in found if isinstance(answer, CollectorStatus))
    if peers:
        stream.write(text(metrics_of_peers(peers)))
    return len(found)


def text(*metrics: Iterable[Metric]) -> str:
    """Metrics in Prometheus' text format."""

    class _Collected:
        def collect(self) -> Iterator[Metric]:
            return chain(*metrics)

    return generate_latest(_Collected()).decode()


def metrics_of(status: CollectorStatus) -> Iterator[Metric]:
    """The metrics of a collector and of each of its spools."""
    for name, metric in METRICS.items():
        yield _family(name, metric, [({}, metric.value(status))])
    for name, metric in SPOOL_METRICS.items():
        yield _family(name, metric, [({"spool": spool.spool}, metric.value(spool)) for spool in status.spools])


def metrics_of_peers(peers: Sequence[PeerStatus]) -> Iterator[Metric]:
    """The metrics of each configured peer, and the number of refused routers."""
    known = [(_labels(peer), peer) for peer in peers if peer.state != "unconfigured" and peer.configured is not False]
    for name, metric in PEER_METRICS.items():
        yield _family(name, metric, [(labels, metric.value(peer)) for labels, peer in known])
    prefixes = _Metric("gauge", "Routes of the peer that stand, by family.", float)
    by_family = [
        ({**labels, "family": family}, float(count))
        for labels, peer in known
        for family, count in (peer.routes_by_family or {}).items()
    ]
    if by_family:
        yield _family(PEER_PREFIXES, prefixes, by_family)
    refused = float(sum(peer.state == "unconfigured" for peer in peers))
    strangers = _Metric("gauge", "Routers that connect and are refused, as no peer has their address.", float)
    yield _family(STRANGERS, strangers, [({}, refused)])


def _labels(peer: PeerStatus) -> dict[str, str]:
    """The labels of a peer's metrics."""
    named = {"peer": peer.address, "asn": peer.asn, "router": peer.router, "rd": peer.rd, "rib": peer.rib}
    return {name: str(value) for name, value in named.items() if value is not None}


def _family(name: str, metric: _Metric, samples: Iterable[tuple[dict[str, str], float | None]]) -> Metric:
    found = Metric(name.removesuffix("_total") if metric.kind == "counter" else name, metric.help, metric.kind)
    for labels, value in samples:
        if value is not None:
            found.add_sample(name, labels, float(value))
    return found
