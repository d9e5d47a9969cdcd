"""The receiver of RIS Live: it reconnects, says why, and writes only what it received."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from collector.settings.sources import RisLiveSettings
from collector.sources.ris_live import receiver
from collector.sources.ris_live.receiver import RisLiveReceiver
from tests.ris_live_server import Listener, ris_live
from tests.support import until


async def received(url: str, done: Callable[[list[bytes]], bool], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The first lines that are written, until there are enough."""
    monkeypatch.setattr(receiver, "_FIRST_PAUSE", 0.01)
    lines: list[bytes] = []
    stopping = asyncio.Event()
    running = asyncio.create_task(RisLiveReceiver(RisLiveSettings(url=url), lines.append).run(stopping))
    await until(lambda: done(lines) or running.done(), what="enough has come")
    stopping.set()
    await running
    return lines


async def hello(listener: Listener) -> None:
    await listener.connection.send("hello\nyou")


async def nothing(listener: Listener) -> None:
    await listener.connection.send("")
    await listener.connection.wait_closed()


async def too_long(listener: Listener) -> None:
    await listener.connection.send("x" * (2**20 + 1))
    await listener.connection.wait_closed()


async def test_each_connection_begins_with_a_line_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ris_live(hello, hello, nothing) as (url, listeners):
        lines = await received(url, lambda lines: len(lines) >= 8, monkeypatch)
        assert [b'"start"' in line for line in lines] == [True, False, False, True, False, False, True, False]
        assert lines[2].endswith(b" hello you\n")
        assert len(listeners) == 3


async def test_a_message_that_is_too_long_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with ris_live(too_long, hello, nothing) as (url, _listeners):
        lines = await received(url, lambda lines: any(b"hello" in line for line in lines), monkeypatch)
    assert max(map(len, lines)) < 1000
    assert "the connection was lost" in caplog.text


async def test_the_longest_message_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def longest(listener: Listener) -> None:
        await listener.connection.send("x" * 2**20)
        await listener.connection.wait_closed()

    async with ris_live(longest) as (url, _listeners):
        lines = await received(url, lambda lines: len(lines) >= 3, monkeypatch)
    assert len(lines[2]) > 2**20


async def _closes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _answers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(("server", "word"), [(_closes, "cannot be connected to"), (_answers, "it answers 404")])
async def test_a_server_without_websockets_is_reported(
    server: Callable[..., Awaitable[None]],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        lines = await received(f"ws://127.0.0.1:{port}/", lambda _: caplog.text.count(word) > 2, monkeypatch)
    assert lines == []
    assert "connecting again in" in caplog.text
