"""Loads pmbgpd's JSON log into MongoDB as it grows: `python -m benchmarks.loader LOG URI ROUTES`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern

_BATCH = 1000
_GLANCE = 0.05


def main() -> None:
    """Store one document a route until there are ROUTES of them; print when the last one could be queried."""
    path, uri, wanted = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with MongoClient[dict[str, Any]](uri) as client:
        durable = WriteConcern("majority", j=True)  # as we write ours
        collection = client["pmbgpd"].get_collection("routes", write_concern=durable)
        collection.create_index([("ip_prefix", 1), ("peer_ip_src", 1), ("timestamp", 1)])
        stored = 0
        for routes in _batches(path, wanted):
            collection.insert_many(routes, ordered=False)
            stored += len(routes)
        json.dump({"ended": time.monotonic(), "routes": stored}, sys.stdout)


def _batches(path: Path, wanted: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    with path.open("rb") as file:
        rest = b""
        while wanted:
            line = file.readline()
            if not line.endswith(b"\n"):
                rest += line
                time.sleep(_GLANCE)
                continue
            route = json.loads(rest + line)
            rest = b""
            # The others tell of the session: log_init, log_close.
            if route.get("event_type") == "log":
                batch.append(route)
                wanted -= 1
                if len(batch) == _BATCH or not wanted:
                    yield batch
                    batch = []


if __name__ == "__main__":
    main()
