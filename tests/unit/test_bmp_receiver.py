"""What routers may send, and which may connect: the receiver alone, without a router."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import CollectorError
from collector.settings.sources import BmpSettings
from collector.sources.bmp import messages
from collector.sources.bmp.connection import Fed, RouterConnection
from collector.sources.bmp.decode import decode
from collector.sources.bmp.md5 import sign
from collector.sources.bmp.receiver import BmpReceiver
from collector.sources.bmp.record import Facts, Ways, unpack
from collector.sources.bmp.state import BmpState
from collector.sources.source import Rejection
from collector.spool.framing import unframe
from schemas.message import RouterEvent
from tests.bmp_builder import IPV4, PeerOf, bmp, initiation, open_of, record, termination, update
from tests.running import free_port
from tests.support import until

PEER = PeerOf()
NOW = 1.8e9
ROUTER = bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 1))


def connection() -> RouterConnection:
    return RouterConnection(ROUTER, 4711)


STREAM = [initiation(), PEER.up(NOW), PEER.route(update("10.0.0.0/8"), time=NOW), PEER.down(time=NOW), termination()]


@given(st.lists(st.integers(0, sum(map(len, STREAM)))))
def test_a_stream_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    whole, taken, records = b"".join(STREAM), 0, []
    feeding = connection()
    for cut in [*sorted(cuts), len(whole)]:
        fed = feeding.feed(whole[taken:cut], NOW)
        assert fed.fault is None
        records += fed.records
        taken = cut
    assert [unpack(one).message for one in records] == STREAM
    assert feeding.end(NOW) == []


@given(st.binary(max_size=300))
def test_any_bytes_become_records_and_perhaps_a_fault(data: bytes) -> None:
    feeding = connection()
    fed = feeding.feed(initiation() + data, NOW)
    kept = [unpack(one).message for one in (*fed.records, *feeding.end(NOW))]
    assert b"".join(kept) == initiation() + data


def test_a_record_has_what_its_session_agreed_on() -> None:
    sends = open_of(64500, add_path=frozenset((IPV4,)), as4=False)
    takes = open_of(65000, add_path=frozenset((IPV4,))).replace(bytes((69, 4, 0, 1, 1, 2)), bytes((69, 4, 0, 1, 1, 1)))
    route = PEER.route(update("10.0.0.0/8"), time=NOW)
    said = [route, PEER.up(NOW, sent=takes, received=sends), route, PEER.down(time=NOW), route]
    before, _, within, down, behind = map(unpack, connection().feed(b"".join(said), NOW).records)
    assert (before.facts, before.add_path) == (Facts(0), ())
    assert (within.facts, within.add_path) == (Facts.PEER_IS_UP | Facts.TWO_BYTE_AS, ((IPV4, Ways.IN),))
    assert Facts.PEER_IS_UP in down.facts
    assert behind.facts == Facts(0)
    assert (within.arrival, within.router, within.port) == (NOW, "192.0.2.1", 4711)


def test_an_impossible_time_of_a_router_is_marked_as_doubtful() -> None:
    boot = NOW - 10_000
    said = [
        PEER.route(update("10.0.0.0/8"), time=boot),  # a route may be old
        PEER.route(update("10.0.0.0/8"), time=boot - 1),
        PEER.down(2, bytes(2), time=boot),
        PEER.up(boot),
        PEER.down(time=NOW - 1),
        PEER.route(update("10.0.0.0/8"), time=0),
    ]
    told = [unpack(one).facts & ~Facts.PEER_IS_UP for one in connection().feed(b"".join(said), NOW).records]
    assert told == [Facts(0), Facts.BACKWARDS, Facts.STANDING, Facts.STANDING, Facts(0), Facts(0)]


FAULTS = [
    (b"GET / HTTP/1.0\r\n\r\n", "does not speak BMP: it begins with b'GET / HTTP/1.0"),
    (b"\x16\x03\x01", "does not speak BMP"),
    (bmp(4, version=1), "speaks version 1 of BMP"),
    (b"\xff" * 16 + b"\0\x13\4", "speaks BGP, not BMP"),
    (b"\3\xff\xff\xff\xff\4", "its message 1 claims a length of 4294967295 bytes, of 1048576 at most"),
    (b"\3\0\0\0\5\4", "its message 1 claims a length of 5 bytes"),
    (initiation() + b"rubbish", "its message 2 has version 114"),
]


@pytest.mark.parametrize(("data", "cause"), FAULTS)
def test_bytes_that_are_not_bmp_are_reported_and_kept(data: bytes, cause: str) -> None:
    fed = connection().feed(data, NOW)
    assert fed.fault
    assert cause in fed.fault.cause
    assert fed.fault.cure
    assert isinstance(decode(fed.records[-1]), Rejection)
    assert b"".join(unpack(one).message for one in fed.records) == data


# --- over TCP ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.sources.bmp.receiver._TELL_SECONDS", 0.01)


class Station:
    """A receiver that keeps what it writes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.written: list[Any] = []
        self.state = BmpState(pid=0)
        self.is_dropping = self.full = False

    def write(self, data: bytes) -> None:
        if self.full:
            self.is_dropping = True
            return
        self.is_dropping = False
        self.written += [decode(unframe(line)) for line in data.split(b"\n")[:-1]]

    def tell(self, state: BmpState) -> None:
        self.state = state

    @property
    def events(self) -> list[tuple[str, str | None]]:
        return [(one.event, one.reason) for one in self.written if isinstance(one, RouterEvent)]

    def connect(self, data: bytes = b"") -> socket.socket:
        router = socket.create_connection(("127.0.0.1", self.port))
        router.sendall(data)
        return router


@asynccontextmanager
async def station(password: bytes | None = None, **more: Any) -> AsyncIterator[Station]:
    port = free_port()
    one = Station(port)
    stopping = asyncio.Event()
    told = BmpSettings(listen=f"127.0.0.1:{port}", **more)
    running = asyncio.create_task(BmpReceiver(told, password, one, one.tell).run(stopping))
    try:
        await until(lambda: running.done() or one.state.pid)
        if running.done():
            await running
        yield one
    finally:
        stopping.set()
        await running


async def test_a_routers_records_come_between_its_connecting_and_its_disconnecting() -> None:
    async with station() as one:
        with one.connect(initiation() + PEER.up()) as router:
            await until(lambda: one.state.connected)
            assert [(router.name, router.description) for router in one.state.connected] == [("r1", "a router")]
            router.sendall(PEER.route(update("10.0.0.0/8"))[:-1])
        await until(lambda: not one.state.connected)
    assert one.events == [("connected", None), ("initiation", None), ("disconnected", "the router closed it")]
    torn = one.written[-2]
    assert isinstance(torn, Rejection)
    assert torn.reason == "a BMP message of 93 bytes, of which 92 are here"


async def test_a_router_that_connects_again_has_one_connection() -> None:
    async with station() as one:
        with one.connect(initiation()):
            await until(lambda: one.state.connected)
            with one.connect(initiation()):
                await until(lambda: len(one.events) == 5)
                with one.connect(initiation("r2")):
                    await until(lambda: one.state.refused)
                assert len(one.state.connected) == 1
    first = [("connected", None), ("initiation", None)]
    ends = [("disconnected", f"the {what}") for what in ("router connected again", "receiver was stopped")]
    assert one.events == [*first, ends[0], *first, ends[1]]
    assert "calls itself 'r2', but 'r1' is connected from the same address" in one.state.refused[0].cause


async def test_routers_are_disconnected_to_resend_what_had_no_room() -> None:
    async with station() as one:
        with one.connect(initiation()) as router:
            await until(lambda: one.state.connected)
            one.full = True
            router.sendall(PEER.up())
            await until(lambda: one.is_dropping)
            one.full = False
            router.sendall(PEER.route(update("10.0.0.0/8")))
            await until(lambda: not one.state.connected)
    assert "it is to send its tables again" in str(one.events[-1])


async def test_a_stranger_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "bmp")
    async with station() as one:
        with one.connect(initiation()):
            await until(lambda: one.state.connected)
            for _ in range(3):
                with one.connect(b"GET / HTTP/1.0\r\n\r\n") as stranger, suppress(ConnectionResetError):
                    await asyncio.to_thread(stranger.recv, 1)
            await until(lambda: [stranger.times for stranger in one.state.refused] == [3])
            assert len(one.state.connected) == 1
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("connection from 127.0.0.1 port ")
    assert "closed: it does not speak BMP" in said
    assert sum(isinstance(found, Rejection) for found in one.written) == 3


@pytest.mark.parametrize("begin", [b"\3", b"\3\0\0\0", initiation()[:-1]])
async def test_a_connection_that_ends_within_its_first_message_is_reported_and_kept(begin: bytes) -> None:
    async with station() as one:
        with one.connect(begin):
            pass
        await until(lambda: one.state.refused)
    assert one.state.refused[0].cause == "it ended within its first message"
    assert [isinstance(found, Rejection) for found in one.written] == [True]
    assert not one.state.connected


async def test_a_first_message_that_is_cut_by_a_stop_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    came, feed = asyncio.Event(), RouterConnection.feed

    def watched(self: RouterConnection, data: bytes, now: float) -> Fed:
        came.set()
        return feed(self, data, now)

    monkeypatch.setattr(RouterConnection, "feed", watched)
    async with station() as one:
        router = one.connect(initiation()[:-1])
        await came.wait()
    router.close()
    assert [isinstance(found, Rejection) for found in one.written] == [True]


async def test_only_allowed_addresses_may_connect() -> None:
    async with station(allow=("192.0.2.0/24",)) as one:
        with one.connect():
            await until(lambda: one.state.refused)
    assert one.state.refused[0].cause == "bmp.allow does not have its address"
    assert one.written == []


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.sources.bmp.router.FIRST_SECONDS", 0.01)
    async with station() as one:
        with one.connect():
            await until(lambda: one.state.refused)
    assert "said nothing" in one.state.refused[0].cause


async def test_a_passive_router_is_connected_to() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as router:
        router.settimeout(0)
        async with station(connect=(f"127.0.0.1:{port}",)) as one:
            connected, _ = await asyncio.get_running_loop().sock_accept(router)
            with connected:
                connected.sendall(initiation())
                await until(lambda: one.state.connected)
                assert one.state.connected[0].port == port


async def test_a_signed_connection_needs_the_password() -> None:
    network = ip_network("127.0.0.0/8")
    try:
        with socket.socket() as probe:
            sign(probe, network, b"secret")
    except CollectorError as error:
        pytest.skip(error.cause)
    async with station(b"secret") as one:
        with socket.socket() as stranger, socket.socket() as router:
            sign(stranger, network, b"another")
            stranger.settimeout(0)
            with pytest.raises(BlockingIOError):
                stranger.connect(("127.0.0.1", one.port))
            sign(router, network, b"secret")
            router.connect(("127.0.0.1", one.port))
            router.sendall(initiation())
            await until(lambda: one.state.connected)
            with pytest.raises(OSError, match="not connected"):
                stranger.getpeername()


def test_names_of_all_types_are_known() -> None:
    assert set(messages.NAMES) == set(range(7))
    assert record(initiation())
