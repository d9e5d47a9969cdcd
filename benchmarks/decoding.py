"""From lines to BSON on one core, without a store."""

from __future__ import annotations

import time

import bson

from benchmarks.data import COLLECTOR, Table
from collector.archive.archiver import AT_ONCE
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
    return sum(_encode_some(tracker, at, lines[at : at + AT_ONCE]) for at in range(0, len(lines), AT_ONCE))


def _encode_some(tracker: SessionTracker, first: int, lines: list[bytes]) -> int:
    """As many lines as the archiver takes through each step together."""
    messages = [decode(raw) for raw in lines]
    for number, message in enumerate(messages, first + 1):
        if isinstance(message, Rejection):
            raise SystemExit(f"line {number}: {message.reason}")
    readable = [message for message in messages if not isinstance(message, Rejection)]
    places = [tracker.follow(number, message) for number, message in enumerate(readable, first)]
    documents = [to_document(message, place) for message, place in zip(readable, places, strict=True)]
    return sum(len(bson.encode(document)) for document in documents)
