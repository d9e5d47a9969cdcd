"""What `replay` sends, byte for byte, and how it copes with a slow, silent or broken daemon.

No daemon can be told to stop reading, or not to send keepalives; here a bare TCP endpoint does so. What a daemon makes
of the bytes is tested with daemons, in test_replay.py.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST
from collector.bgp.notifications import (
    ADMINISTRATIVE_RESET,
    ADMINISTRATIVE_SHUTDOWN,
    CEASE,
    CONNECTION_REJECTED,
    HOLD_TIMER_EXPIRED,
    notification,
)
from collector.bgp.open_messages import Abilities, OpenMessage, open_message, parse_open
from collector.errors import ReplayError
from collector.replay import connecting, speaker
from collector.replay.player import PlannedPeer, Summary, plan, play
from tests.mrt_builder import announcement, announcement6, message, state_change
from tests.support import until

UPDATES = [announcement(f"203.0.113.{number}/32", 64500) for number in range(100)]
CEASE_SHUTDOWN = notification(CEASE, ADMINISTRATIVE_SHUTDOWN)
CEASE_RESET = notification(CEASE, ADMINISTRATIVE_RESET)
ALL = Abilities(
    as4=True,
    families=frozenset({IPV4_UNICAST, IPV6_UNICAST}),
    add_path=frozenset({IPV4_UNICAST}),
    extended=True,
)


class Connection:
    """One TCP connection to the endpoint, after its handshake; keeps all that it reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.source = writer.get_extra_info("peername")[0]
        self.open = b""
        self.received = bytearray()
        self.closed = False

    async def shake_hands(self, hold_time: int) -> None:
        header = await self.reader.readexactly(bgp.HEADER_LENGTH)
        self.open = await self.reader.readexactly(int.from_bytes(header[16:18]) - bgp.HEADER_LENGTH)
        # Add-path: the other side can receive what we offer to send.
        answer = open_message(64510, hold_time, "192.0.2.250", ALL).replace(b"\0\1\1\2", b"\0\1\1\1")
        self.writer.write(answer + bgp.KEEPALIVE)
        assert await self.reader.readexactly(bgp.HEADER_LENGTH) == bgp.KEEPALIVE

    async def read_all(self) -> None:
        while data := await self.reader.read(65536):
            self.received += data
        self.closed = True

    @property
    def messages(self) -> list[bytes]:
        """The received messages, without keepalives."""
        found, at = [], 0
        while at < len(self.received):
            length = int.from_bytes(self.received[at + 16 : at + 18])
            found.append(bytes(self.received[at : at + length]))
            at += length
        return [item for item in found if item != bgp.KEEPALIVE]


Behaviour = Callable[[Connection], Awaitable[None]]


async def reads(connection: Connection) -> None:
    """Receive as a daemon should."""
    await connection.read_all()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A port whose connections are served by this function, with a small window; all are closed at the end."""
    tasks: list[asyncio.Task[None]] = []

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection that the test closed needs nothing more.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(closing(reader, writer)))

    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    bound.bind(("127.0.0.1", 0))
    async with await asyncio.start_server(accept, sock=bound, limit=16_384):
        try:
            yield bound.getsockname()[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def endpoint(behave: Behaviour = reads, *, hold_time: int = 180) -> AsyncIterator[tuple[int, list[Connection]]]:
    """A port, and the BGP connections that were made to it."""
    connections: list[Connection] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        await connection.shake_hands(hold_time)
        connections.append(connection)
        await behave(connection)

    async with listening(serve) as port:
        yield port, connections


def file_of(tmp_path: Path, *records: bytes) -> tuple[Path, list[PlannedPeer]]:
    file = tmp_path / "updates"
    file.write_bytes(b"".join(records))
    return file, plan(file)


async def played(tmp_path: Path, port: int, *records: bytes, **settings: Any) -> Summary:
    file, peers = file_of(tmp_path, *records)
    return await play(file, ("127.0.0.1", port), peers, **settings)


async def test_updates_are_sent_unchanged_and_a_cease_at_the_end(tmp_path: Path) -> None:
    records = [message(update, address=address) for update in UPDATES for address in ("192.0.2.1", "2001:db8::1")]
    records.insert(7, message(bgp.KEEPALIVE))
    records.insert(8, message(UPDATES[0], subtype=7))
    async with endpoint() as (port, connections):
        summary = await played(tmp_path, port, *records)
        assert {connection.source for connection in connections} == {"127.0.1.1", "127.0.1.2"}
        for connection in connections:
            assert connection.messages == [*UPDATES, CEASE_SHUTDOWN]
    assert (summary.peers, summary.messages) == (2, 200)


@pytest.mark.parametrize(
    ("records", "asn", "needs"),
    [
        (
            [message(UPDATES[0], asn=4_200_000_001)],
            4_200_000_001,
            Abilities(as4=True, families=frozenset({(1, 1)})),
        ),
        (
            [
                message(announcement("203.0.113.0/24", 64500, as4=False), subtype=1),
                message(announcement6("::/0", 1), subtype=1),
            ],
            64500,
            Abilities(as4=False, families=frozenset({(1, 1), (2, 1)})),
        ),
        (
            [message(bgp.message(bgp.UPDATE, b"\0\0\0\0" + bytes(5000)))],
            64500,
            Abilities(as4=True, families=frozenset({(1, 1)}), extended=True),
        ),
    ],
)
async def test_the_open_offers_what_the_file_needs(
    tmp_path: Path, records: list[bytes], asn: int, needs: Abilities
) -> None:
    async with endpoint() as (port, connections):
        await played(tmp_path, port, *records)
        assert parse_open(connections[0].open) == OpenMessage(asn, 180, "192.0.2.1", needs)


async def test_add_path_is_offered_for_sending(tmp_path: Path) -> None:
    async with endpoint() as (port, connections):
        await played(tmp_path, port, message(announcement("203.0.113.0/24", 64500, path_id=7), subtype=9))
        assert bytes.fromhex("450400010102") in connections[0].open


@pytest.mark.parametrize(
    ("end", "last_words"),
    [
        (message(notification(3, 11)), notification(3, 11)),
        (message(notification(3, 11), subtype=7), CEASE_RESET),
        (state_change(6, 1), CEASE_RESET),
        (message(bgp.message(bgp.OPEN, bytes(10))), CEASE_RESET),
    ],
)
async def test_the_ends_of_sessions_are_replayed(tmp_path: Path, end: bytes, last_words: bytes) -> None:
    records = [message(UPDATES[0]), end, message(bgp.KEEPALIVE), message(UPDATES[1]), message(UPDATES[2])]
    async with endpoint() as (port, connections):
        await played(tmp_path, port, *records)
        assert [connection.messages for connection in connections] == [
            [UPDATES[0], last_words],
            [UPDATES[1], UPDATES[2], CEASE_SHUTDOWN],
        ]


async def test_a_change_of_encoding_starts_another_session(tmp_path: Path) -> None:
    short = announcement("203.0.113.0/24", 64500, as4=False)
    async with endpoint() as (port, connections):
        await played(tmp_path, port, message(UPDATES[0]), message(short, subtype=1))
        assert [parse_open(connection.open).abilities.as4 for connection in connections] == [True, False]
        assert [connection.messages for connection in connections] == [
            [UPDATES[0], CEASE_RESET],
            [short, CEASE_SHUTDOWN],
        ]


async def test_a_loop_continues_in_the_same_session(tmp_path: Path) -> None:
    file, peers = file_of(tmp_path, *[message(update) for update in UPDATES])
    async with endpoint() as (port, connections):
        task = asyncio.create_task(play(file, ("127.0.0.1", port), peers, loop=True))
        await until(lambda: connections and len(connections[0].messages) > 3 * len(UPDATES))
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: connections[0].closed)
        (connection,) = connections
        *updates, last = connection.messages
        assert updates[: 3 * len(UPDATES)] == UPDATES * 3
        assert last == CEASE_SHUTDOWN


async def test_replay_waits_for_a_full_window_and_buffers_nothing(tmp_path: Path) -> None:
    long = [bgp.message(bgp.UPDATE, bytes(4) + number.to_bytes(4) + bytes(4000)) for number in range(5000)]
    file, peers = file_of(tmp_path, *[message(update) for update in long])
    go_on = asyncio.Event()
    sent = 0

    async def stops_reading(connection: Connection) -> None:
        await go_on.wait()
        await connection.read_all()

    def count(more: int) -> None:
        nonlocal sent
        sent += more

    seen = [0] * 10

    def stalled() -> bool:
        # The same count at ten looks in a row.
        seen.append(sent)
        return sent > 0 and seen[-10] == sent

    async with endpoint(stops_reading) as (port, connections):
        task = asyncio.create_task(play(file, ("127.0.0.1", port), peers, progress=count))
        await until(stalled)
        # 20 MB are to be sent: what is on the way is in the kernel's buffers.
        assert sent < len(long) / 2
        go_on.set()
        await task
        assert connections[0].messages == [*long, CEASE_SHUTDOWN]


async def test_a_slow_reader_gets_everything_before_the_end(tmp_path: Path) -> None:
    long = [bgp.message(bgp.UPDATE, bytes(4) + number.to_bytes(4) + bytes(4000)) for number in range(500)]

    async def talks_but_reads_little(connection: Connection) -> None:
        # It sends all the time, as daemons do: replay must read that, or the two would wait for each other.
        while data := await connection.reader.read(8192):
            connection.received += data
            connection.writer.write(announcement("198.51.100.0/24", 64510) * 200)
            await connection.writer.drain()

    async with endpoint(talks_but_reads_little) as (port, connections):
        await played(tmp_path, port, *[message(update) for update in long])
        assert connections[0].messages == [*long, CEASE_SHUTDOWN]


async def test_keepalives_are_sent_while_a_session_stays(tmp_path: Path) -> None:
    file, peers = file_of(tmp_path, message(UPDATES[0]))

    async def keeps_alive(connection: Connection) -> None:
        while data := await connection.reader.read(65536):
            connection.received += data
            connection.writer.write(bgp.KEEPALIVE)

    async with endpoint(keeps_alive, hold_time=3) as (port, connections):
        task = asyncio.create_task(play(file, ("127.0.0.1", port), peers, stay=True))
        # Four keepalives take longer than the hold time: the daemon's have kept our session up as well.
        await until(lambda: task.done() or (connections and connections[0].received.count(bgp.KEEPALIVE) >= 4))
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


async def test_the_hold_timer_expires_if_a_daemon_is_silent(tmp_path: Path) -> None:
    async with endpoint(hold_time=3) as (port, connections):
        with pytest.raises(ReplayError, match="hold timer expired: nothing came from the daemon for 3 seconds"):
            await played(tmp_path, port, message(UPDATES[0]), stay=True)
        await until(lambda: connections[0].closed)
        assert notification(HOLD_TIMER_EXPIRED, 0) in connections[0].messages


async def test_a_notification_is_reported_in_words_and_ends_the_other_sessions(tmp_path: Path) -> None:
    async def complains(connection: Connection) -> None:
        if connection.source == "127.0.1.2":
            await connection.reader.readexactly(len(UPDATES[0]))
            connection.writer.write(notification(3, 11))
        await connection.read_all()

    async with endpoint(complains) as (port, connections):
        records = [message(UPDATES[0], address=f"192.0.2.{number}") for number in (1, 2, 3)]
        with pytest.raises(ReplayError, match=r"UPDATE Message Error / Malformed AS_PATH") as caught:
            await played(tmp_path, port, *records, stay=True)
        assert "peer 192.0.2.2 AS64500 (from 127.0.1.2)" in caught.value.cause
        await until(lambda: all(connection.closed for connection in connections))
        assert all(connection.messages[-1] == CEASE_SHUTDOWN for connection in connections)


async def test_a_complaint_about_the_last_message_is_not_missed(tmp_path: Path) -> None:
    async def complains_late(connection: Connection) -> None:
        await connection.read_all()
        connection.writer.write(notification(3, 11))

    async with endpoint(complains_late) as (port, _):
        with pytest.raises(ReplayError, match="Malformed AS_PATH"):
            await played(tmp_path, port, message(UPDATES[0]))


async def test_a_daemon_that_closes_the_connection_is_reported(tmp_path: Path) -> None:
    async def goes_away(connection: Connection) -> None:
        connection.writer.transport.abort()

    async with endpoint(goes_away) as (port, _):
        with pytest.raises(ReplayError, match="closed the connection without a NOTIFICATION"):
            await played(tmp_path, port, *[message(update) for update in UPDATES], stay=True)


async def test_a_replay_can_keep_the_pace_of_the_file(tmp_path: Path) -> None:
    records = [
        message(UPDATES[number], address=f"192.0.2.{number % 2}", time=1_700_000_000 + number * 5)
        for number in range(4)
    ]
    async with endpoint() as (port, connections):
        summary = await played(tmp_path, port, *records, speed=30)
        assert summary.seconds >= 0.5  # 15 seconds, thirty times as fast
        assert sorted(len(connection.messages) for connection in connections) == [3, 3]


async def test_early_closes_and_passing_refusals_are_tried_again(tmp_path: Path) -> None:
    answers = [b"", notification(CEASE, CONNECTION_REJECTED), b""]
    connections: list[Connection] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answers:
            await reader.readexactly(bgp.HEADER_LENGTH)
            writer.write(answers.pop())
            return
        connections.append(Connection(reader, writer))
        await connections[0].shake_hands(180)
        await connections[0].read_all()

    async with listening(serve) as port:
        await played(tmp_path, port, message(UPDATES[0]))
    assert connections[0].messages == [UPDATES[0], CEASE_SHUTDOWN]


def call(port: int, *, source: str = "127.0.1.1", host: str = "127.0.0.1") -> speaker.SessionCall:
    needs = Abilities(as4=True, families=frozenset({IPV4_UNICAST}))
    return speaker.SessionCall("192.0.2.1 AS64500", (host, port), source, 64500, "192.0.2.1", needs)


async def answer(reply: bytes) -> ReplayError:
    """The failure of a session with a daemon that sends these bytes at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await reader.read()

    async with listening(serve) as port:
        with pytest.raises(ReplayError) as caught:
            await connecting.connect(call(port), patience=0.2)
    return caught.value


GOOD_OPEN = open_message(64510, 180, "192.0.2.250", ALL)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "the answer is not BGP"),
        (bgp.MARKER + b"\0\0\0", "the answer is not BGP"),
        (notification(2, 2), "refused the session: OPEN Message Error / Bad Peer AS"),
        (bgp.message(bgp.NOTIFICATION), "refused the session: a NOTIFICATION without an error code"),
        (notification(CEASE, 5), "refused the session: Cease / Connection Rejected"),
        (bgp.KEEPALIVE, "sent a message of type 4 instead of 1"),
        (bgp.message(bgp.OPEN, bytes(10)), "its OPEN cannot be understood: version 0, not 4"),
        (GOOD_OPEN.replace(b"\0\xb4", b"\0\2"), "wants a hold time of 2 seconds"),
        (
            open_message(64510, 180, "192.0.2.250", Abilities(as4=False, families=frozenset({(1, 1)}))),
            "4-byte AS",
        ),
        (GOOD_OPEN + notification(CEASE, 2), "refused the session: Cease / Administrative Shutdown"),
    ],
)
async def test_refusals_in_the_handshake_are_reported(reply: bytes, words: str) -> None:
    error = await answer(reply)
    assert words in error.cause
    assert re.match(r"peer 192\.0\.2\.1 AS64500 at 127\.0\.0\.1:\d+: ", error.cause)
    assert error.cure


async def test_a_port_where_nobody_listens_is_reported() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(ReplayError, match="connection refused"):
            await connecting.connect(call(closed.getsockname()[1]), patience=0.3)


async def test_a_source_address_that_is_not_ours_is_reported() -> None:
    with pytest.raises(ReplayError, match=r"cannot connect from 192\.0\.2\.77") as caught:
        await connecting.connect(call(1, source="192.0.2.77"), patience=0)
    assert "--source" in caught.value.cure
