"""An MRT file's UPDATEs from bytes to BSON, and what others take to read it, in turns of a moment each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import bson

from benchmarks.data import COLLECTOR, Table
from collector.archive.archiver import AT_ONCE
from collector.archive.session_tracker import SessionTracker
from collector.bgp.mrt import MrtFile
from collector.sources.mrt.source import MRT
from collector.sources.source import Rejection
from schemas.documents import to_document

_TURNS = 40
_READERS = ("pybgpkit_parser", "mrtparse")


def missing() -> str | None:
    """Why the other readers cannot be run here."""
    lacks = [name for name in _READERS if find_spec(name) is None]
    return f"not installed: {', '.join(lacks)} (the group `dev` has them)" if lacks else None


def compare(table: Table) -> dict[str, float]:
    """CPU seconds from the file to BSON, to bgpkit-parser's elements, and to mrtparse's records."""
    ways = {"ours": _ours(table.path), "bgpkit": _bgpkit(table.path), "mrtparse": _mrtparse(table.path)}
    shares = {"ours": table.updates, "bgpkit": table.routes, "mrtparse": table.updates}
    cpu = dict.fromkeys(ways, 0.0)
    for turn in range(_TURNS + 1):  # the last one reads what is left
        for name in sorted(ways, reverse=turn % 2 == 1):
            most = None if turn == _TURNS else shares[name] // _TURNS
            began = time.process_time()
            for _ in islice(ways[name], most):
                pass
            cpu[name] += time.process_time() - began
    return {**cpu, "updates": table.updates}


def _ours(path: Path) -> Iterator[bytes]:
    """Documents as BSON, as an import makes them."""
    tracker, frames, first = SessionTracker(MRT, COLLECTOR), MrtFile(path).frames(), 0
    while some := list(islice(frames, AT_ONCE)):
        messages = [MRT.decode(frame.raw) for frame in some]
        readable = [message for message in messages if not isinstance(message, Rejection)]
        if len(readable) < len(messages):
            raise SystemExit(f"{path}: a record ahead of {first + len(some)} cannot be read")
        places = [tracker.follow(number, message) for number, message in enumerate(readable, first)]
        documents = [to_document(message, place) for message, place in zip(readable, places, strict=True)]
        yield from map(bson.encode, documents)
        first += len(some)


def _bgpkit(path: Path) -> Iterator[object]:
    from pybgpkit_parser import Parser  # type: ignore[import-untyped]

    return iter(Parser(url=str(path)))


def _mrtparse(path: Path) -> Iterator[object]:
    from mrtparse import Reader  # type: ignore[import-untyped]

    return (record.data for record in Reader(str(path)))
