"""`prometheus`: a status and its peers in Prometheus' text format, for the node exporter's textfile collector."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TextIO

from pydantic import BaseModel

from schemas.query import PeerStatus


class _Metric(NamedTuple):
    kind: str
    help: str
    value: Callable[[Any], float | None]
    """None: there is none to tell."""


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
"""Those of the collector."""

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
"""Those of each configured peer, with its address and AS number as labels: one that was taken out is no alert."""

STRANGERS = "bgpledger_unconfigured_routers"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write a status, and the peers that come behind it; each metric with its help and type."""
    peers: list[PeerStatus] = []
    count = 0
    async for answer in answers:
        count += 1
        if isinstance(answer, PeerStatus):
            peers.append(answer)
            continue
        for name, metric in METRICS.items():
            _write(name, metric, [("", answer)], stream)
    if not peers:
        return count
    known = [(_labels(peer), peer) for peer in peers if peer.state != "unconfigured" and peer.configured is not False]
    for name, metric in PEER_METRICS.items():
        _write(name, metric, known, stream)
    refused = sum(peer.state == "unconfigured" for peer in peers)
    strangers = _Metric("gauge", "Routers that connect and are refused, as no peer has their address.", float)
    _write(STRANGERS, strangers, [("", refused)], stream)
    return count


def _labels(peer: PeerStatus) -> str:
    """Whose a metric is, and where it was asked for."""
    named = {"peer": peer.address, "asn": peer.asn, "router": peer.router, "rd": peer.rd, "rib": peer.rib}
    return f"{{{','.join(f'{name}={chr(34)}{value}{chr(34)}' for name, value in named.items() if value is not None)}}}"


def _write(name: str, metric: _Metric, of: Sequence[tuple[str, Any]], stream: TextIO) -> None:
    stream.write(f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n")
    for labels, what in of:
        value = metric.value(what)
        if value is not None:
            stream.write(f"{name}{labels} {float(value)!r}\n")
