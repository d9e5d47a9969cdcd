"""From lines to BSON on one core, without a store."""

from __future__ import annotations

import time

import bson

from benchmarks.data import COLLECTOR, Table
from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import to_document


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
