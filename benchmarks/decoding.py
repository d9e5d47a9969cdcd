"""From lines to BSON on one core, without a store."""

from __future__ import annotations

import cProfile
import pstats
import time
from itertools import islice

import bson

from benchmarks.data import COLLECTOR, Table
from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import to_document

_PROFILED = 20_000


def decode_and_encode(table: Table) -> dict[str, float]:
    """Every line of the table: decoded, given its session, made a document, encoded; CPU seconds."""
    lines = table.lines
    began = time.process_time()
    size = _encode(lines)
    return {"cpu": time.process_time() - began, "updates": table.updates, "bson": size}


def _encode(lines: list[bytes]) -> int:
    tracker = SessionTracker(EXABGP, COLLECTOR)
    size = 0
    for number, raw in enumerate(lines):
        message = decode(raw)
        if isinstance(message, Rejection):
            raise SystemExit(f"line {number + 1}: {message.reason}")
        size += len(bson.encode(to_document(message, tracker.follow(number, message))))
    return size


def profile(table: Table, rows: int) -> list[tuple[str, float, float]]:
    """Where the time goes: functions, each with its share of the time, its own and with what it calls, in percent."""
    lines = list(islice(table.lines, _PROFILED))
    profiler = cProfile.Profile()
    profiler.runcall(_encode, lines)
    stats = pstats.Stats(profiler).get_stats_profile()
    total = stats.total_tt
    functions = sorted(stats.func_profiles.items(), key=lambda item: -item[1].tottime)[:rows]
    return [(name, 100 * one.tottime / total, 100 * one.cumtime / total) for name, one in functions]
