"""Runs in pybgpflux's own environment: prints what its RISLiveStream yields, as JSON lines.

Its address is fixed: connections go to ours, and end with the last peer's announcement. Everything else is its own.

Usage: pybgpflux_streams.py URL LAST < STREAMS
"""

import json
import sys
from threading import Thread

from pybgpflux import FilterOptions  # type: ignore[import-not-found]
from pybgpflux.rislive import RISLiveStream  # type: ignore[import-not-found]
from websocket import WebSocket  # type: ignore[import-not-found]

url, last = sys.argv[1:]
connect = WebSocket.connect


def connect_here(socket: WebSocket, address: str, **options: object) -> None:
    """Connect to ours with the query that pybgpflux makes, and subscribe to the last peer too."""
    connect(socket, f"{url}&{address.partition('?')[2]}", **options)
    socket.send(json.dumps({"type": "ris_subscribe", "data": {"peer": last, "type": "UPDATE"}}))


def follow(name: str, collectors: list[str], filters: dict[str, object]) -> None:
    """Print what one stream yields."""
    for element in RISLiveStream(collectors, filters=FilterOptions(**filters)):
        print(json.dumps([name, element._asdict()]), flush=True)
        if element.peer_address == last:
            return


WebSocket.connect = connect_here
for stream in json.load(sys.stdin):
    Thread(target=follow, args=stream).start()
