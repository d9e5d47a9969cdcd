"""`prometheus`: a status as metrics in Prometheus' text format, as its node exporter's textfile collector takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, TextIO, cast

from pydantic import BaseModel

from schemas.query import CollectorStatus


class _Metric(NamedTuple):
    kind: str
    help: str
    value: Callable[[CollectorStatus], float]


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
        "counter", "How often lines were lost on their way to the spool.", lambda s: s.gaps
    ),
    "bgpledger_lines_lost_total": _Metric(
        "counter", "Lines that ExaBGP counted and that never came.", lambda s: s.lost
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
"""Every metric there is."""


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write a single status; each metric with its help and type."""
    count = 0
    async for answer in answers:
        for name, metric in METRICS.items():
            value = float(metric.value(cast("CollectorStatus", answer)))
            stream.write(f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n{name} {value!r}\n")
        count += 1
    return count
