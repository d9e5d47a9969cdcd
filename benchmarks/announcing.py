"""Orders to a running collector: how long until a peer has the UPDATE, and what that costs a table that comes in."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.collecting import Collector, collecting
from benchmarks.data import Table
from benchmarks.speakers import ADDRESS
from collector.acting.client import ActingClient
from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST
from collector.bgp.open_messages import Abilities, open_message
from collector.errors import CollectorError
from schemas.intents import Order, Withdrawal

LISTENER, LISTENER_AS = "127.0.0.9", 64_999
_ORDERS = 200
_MANY = 10_000
_PAUSE = 0.1
"""Between two orders while a table comes in, in seconds."""
_PATIENCE = 120.0
_GLANCE = 0.05
_WHO = {"who": "bench", "why": "to measure", "source": "api"}
_ALLOWED = "198.18.0.0/15"
_CONFIG = f"""
[announce]
prefixes = ["{_ALLOWED} le 32"]
rate = 10000
limit = 100000

[[peers]]
address = "{LISTENER}"
asn = {LISTENER_AS}
passive = true
"""


class Listener(threading.Thread):
    """A peer that takes everything, and counts what it has been told."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._counted = threading.Condition()
        self._announced = self._withdrawn = 0
        self._socket = socket.create_connection((ADDRESS, port), _PATIENCE, (LISTENER, 0))
        self._socket.settimeout(None)
        abilities = Abilities(as4=True, families=frozenset((IPV4_UNICAST,)))
        self._socket.sendall(open_message(LISTENER_AS, 0, "192.0.2.99", abilities) + bgp.KEEPALIVE)

    def run(self) -> None:
        """Read until the other side closes."""
        file = self._socket.makefile("rb")
        while header := file.read(bgp.HEADER_LENGTH):
            body = file.read(int.from_bytes(header[16:18]) - bgp.HEADER_LENGTH)
            if header[18] == bgp.UPDATE:
                withdrawn = int.from_bytes(body[:2])
                attributes = int.from_bytes(body[2 + withdrawn : 4 + withdrawn])
                with self._counted:
                    # Each is a /32, which takes five bytes (RFC 4271 4.3).
                    self._withdrawn += withdrawn // 5
                    self._announced += (len(body) - 4 - withdrawn - attributes) // 5
                    self._counted.notify_all()

    def wait_for_routes(self, announced: int, withdrawn: int = 0) -> float:
        """Wait until it has been told of so many; when that was, in seconds of CLOCK_MONOTONIC."""
        with self._counted:
            if not self._counted.wait_for(
                lambda: self._announced >= announced and self._withdrawn >= withdrawn, timeout=_PATIENCE
            ):
                raise SystemExit(f"the peer has {self._announced} of {announced} announcements")
            return time.monotonic()


def orders(table: Table) -> dict[str, float]:
    """Orders of one prefix each, one after the other; then 10,000 in one, and their withdrawal."""
    with collecting(table, more=_CONFIG) as running, _listening(running) as listener:
        client = ActingClient(running.data_dir)
        seconds = []
        for number in range(_ORDERS):
            began = time.monotonic()
            asyncio.run(client.announce(_order(number, 1)))
            seconds.append(listener.wait_for_routes(number + 1) - began)
        began = time.monotonic()
        asyncio.run(client.announce(_order(_ORDERS, _MANY)))
        announced = listener.wait_for_routes(_ORDERS + _MANY) - began
        began = time.monotonic()
        asyncio.run(client.withdraw(_withdrawal(_ORDERS, _MANY)))
        withdrawn = listener.wait_for_routes(_ORDERS + _MANY, _MANY) - began
    return {"p95": sorted(seconds)[_ORDERS * 95 // 100], "announced": announced, "withdrawn": withdrawn}


def quiet(table: Table) -> dict[str, float]:
    """The whole table into a collector that may announce, and is not asked to."""
    with collecting(table, more=_CONFIG) as running, _listening(running):
        played, ended = running.take(table)
    return {"seconds": ended - played.began}


def ordered(table: Table) -> dict[str, float]:
    """The same while an order comes each tenth of a second."""
    with collecting(table, more=_CONFIG) as running, _listening(running), _ordering(running) as given:
        played, ended = running.take(table)
        return {"seconds": ended - played.began, "orders": len(given)}


def _order(first: int, count: int) -> Order:
    routes = [{"prefix": _prefix(number), "med": 1} for number in range(first, first + count)]
    return Order.model_validate({"announcements": routes, "peers": [LISTENER], **_WHO})


def _withdrawal(first: int, count: int) -> Withdrawal:
    return Withdrawal.model_validate({"prefixes": [_prefix(number) for number in range(first, first + count)], **_WHO})


def _prefix(number: int) -> str:
    return f"198.18.{number >> 8}.{number & 255}/32"


@contextmanager
def _listening(running: Collector) -> Iterator[Listener]:
    """The peer that is told, once orders are accepted."""
    running.until_receiving()
    _until_accepting(ActingClient(running.data_dir))
    listener = Listener(running.port)
    listener.start()
    yield listener


def _until_accepting(client: ActingClient) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            asyncio.run(client.intents())
        except CollectorError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_GLANCE)
        else:
            return


@contextmanager
def _ordering(running: Collector) -> Iterator[list[int]]:
    """Give orders until the block ends; yields the numbers of those that were accepted.

    Raises:
        CollectorError: one was not, so that nothing was measured.
    """
    given: list[int] = []
    over = threading.Event()

    def order() -> None:
        client = ActingClient(running.data_dir)
        while not over.wait(_PAUSE):
            asyncio.run(client.announce(_order(len(given), 1)))
            given.append(len(given))

    with ThreadPoolExecutor(1) as thread:
        ordering = thread.submit(order)
        try:
            yield given
        finally:
            over.set()
        ordering.result()
