"""Many at once, and readers that do not read: places are given back, and an answer that fails has no end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from httpx import AsyncClient, RemoteProtocolError
from starlette.types import Message, Receive, Scope, Send

from bgpledger import Answers, Archive, Filter, HistoryEntry, StoreError, TopEntry
from collector.http.answering import respond
from collector.http.api.live import _EventStream
from collector.http.concurrency import QueryLimit
from collector.http.live import Listener, Live, SlowError
from collector.http.parameters import Listed
from collector.http.query_context import QueryContext
from collector.http.rislive.feed import Feed
from collector.http.rislive.socket import _Client
from collector.http.server import _configured, _is_no_end, _listening, _Server
from collector.query.follow import FollowedLine
from collector.query.streams import UpdateRow
from collector.settings.http import HttpSettings
from collector.tasks import end
from schemas.keys import make_key
from schemas.peer import Peer
from tests.http.conftest import BEGIN
from tests.running import free_port
from tests.support import until

QUESTION: Scope = {"type": "http", "path": "/api/v1/peers", "headers": [], "method": "GET", "query_string": b""}


async def no_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def never() -> bool:
    return False


async def test_some_are_answered_and_the_others_wait() -> None:
    going, most, leave = 0, 0, asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await leave.wait()
        going -= 1

    async def ignore(_message: Message) -> None:
        pass

    limit = QueryLimit(app, 60, never)
    requests = [asyncio.create_task(limit(QUESTION, no_more, ignore)) for _ in range(50)]
    await until(lambda: going == 16)
    leave.set()
    await asyncio.gather(*requests)
    assert most == 16


async def test_a_client_that_waits_too_long_is_told_so() -> None:
    said: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    async def send(message: Message) -> None:
        said.append(message)

    limit = QueryLimit(app, 0.05, never)
    requests = [asyncio.create_task(limit(QUESTION, no_more, send)) for _ in range(17)]
    await until(lambda: said)
    assert said[0]["status"] == 503
    for one in requests:
        one.cancel()


async def test_while_the_archiver_is_behind_queries_are_answered_one_by_one_and_all_else_at_once() -> None:
    going, most, behind, done = 0, 0, True, list[str]()

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal going, most
        going += scope["path"] == QUESTION["path"]
        most = max(most, going)
        await asyncio.sleep(0)
        going -= scope["path"] == QUESTION["path"]
        done.append(scope["path"])

    async def ignore(_message: Message) -> None:
        pass

    limit = QueryLimit(app, 600, lambda: behind)
    requests = [asyncio.create_task(limit(QUESTION, no_more, ignore)) for _ in range(20)]
    await asyncio.gather(*requests)
    assert (most, len(done)) == (1, 20)
    await limit._turns._turn.acquire()
    waiting = asyncio.create_task(limit(QUESTION, no_more, ignore))
    for other in ({"path": "/health"}, {"path": "/api/v1/live"}, {"path": "/api/v1/announcements", "method": "POST"}):
        await limit({**QUESTION, **other}, no_more, ignore)
        assert done[-1] == other["path"]
    assert not waiting.done()
    limit._turns._turn.release()
    await waiting
    assert done[-1] == QUESTION["path"]


async def test_a_query_that_has_waited_long_for_the_archiver_is_answered() -> None:
    answered = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        answered.set()

    async def ignore(_message: Message) -> None:
        pass

    limit = QueryLimit(app, 0.1, lambda: True)
    await limit._turns._turn.acquire()  # by one that takes very long
    await limit(QUESTION, no_more, ignore)
    assert answered.is_set()


async def test_a_reader_that_does_not_read_gives_up_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.http.concurrency.SEND_SECONDS", 0.05)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def stuck(_message: Message) -> None:
        await asyncio.Event().wait()

    limit = QueryLimit(app, 60, never)
    for _ in range(20):
        await limit(QUESTION, no_more, stuck)


async def test_an_answer_that_fails_in_the_middle_has_no_end() -> None:
    said: list[Message] = []

    async def give(_answers: Answers[TopEntry]) -> AsyncGenerator[TopEntry, None]:
        for number in range(3000):
            yield TopEntry(name=str(number), announcements=1, withdrawals=0, flaps=0, path_changes=0, malformed=0)
        raise StoreError("the store went away", "")

    async def send(message: Message) -> None:
        said.append(message)

    archive: Any = None
    context = QueryContext(archive, Live(archive), HttpSettings())
    wanted = Listed(format="jsonl")
    response = await respond(Request(QUESTION), context, wanted, TopEntry, lambda: Answers(give))
    await response(QUESTION, no_more, send)
    assert said[0]["status"] == 200
    assert sum(len(one.get("body", b"")) for one in said) > 60_000
    assert all(one["more_body"] for one in said[1:])


async def some_lines(asked: Archive) -> list[FollowedLine]:
    """The first entries in the archive."""
    async with asked.follow(Filter(start=BEGIN)) as told:
        return [await anext(told) for _ in range(20)]


async def test_a_client_that_does_not_read_events_is_cut_off_and_another_gets_them_all(
    asked: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.http.endless.SEND_SECONDS", 0.05)
    lines, begin, heard = await some_lines(asked), asyncio.Event(), list[Message]()

    async def give(_answers: Answers[FollowedLine]) -> AsyncGenerator[FollowedLine, None]:
        await begin.wait()
        for one in lines:
            yield one
        await asyncio.Event().wait()

    async def stuck(message: Message) -> None:
        if b"data: " in message.get("body", b""):
            await asyncio.Event().wait()

    async def read(message: Message) -> None:
        heard.append(message)

    archive: Any = SimpleNamespace(follow=lambda **_: Answers(give))
    live = Live(archive)
    slow, quick = (
        asyncio.create_task(_EventStream(live, Filter(), None)(QUESTION, no_more, send)) for send in (stuck, read)
    )
    await until(lambda: len(live._listeners) == 2)
    begin.set()
    await slow
    entries = sum(len(one.entries) for one in lines)
    await until(lambda: sum(one.get("body", b"").count(b"data: ") for one in heard) == entries)
    assert len(live._listeners) == 1
    await end(quick)
    assert not live._listeners


def many_lines(number: int) -> Iterator[FollowedLine]:
    entry = HistoryEntry(ts=datetime.now(UTC), peer=Peer(address="192.0.2.1", asn=64500), event="announce")
    for at in range(1, number + 1):
        key = make_key(entry.ts, 7, at)
        row: UpdateRow = SimpleNamespace(ts=entry.ts, document={"_id": key}, rank=key.binary)  # type: ignore[assignment]
        yield FollowedLine(row, [entry], {})


async def test_a_client_that_does_not_keep_up_is_dropped_and_nothing_is_kept_for_it() -> None:
    listener = Listener()
    for line in many_lines(12_000):
        listener.put(line)
    assert listener.waiting == 0
    with pytest.raises(SlowError):
        await listener.get()


async def test_a_burst_is_read_as_fast_as_the_fastest_client_reads() -> None:
    async def give(_answers: Answers[FollowedLine]) -> AsyncGenerator[FollowedLine, None]:
        for line in many_lines(12_000):
            yield line
        await asyncio.Event().wait()

    archive: Any = SimpleNamespace(follow=lambda **_: Answers(give))
    live, most = Live(archive), 0
    async with live.listening() as fast, live.listening() as stuck:
        for _ in range(12_000):
            await fast.get()
            most = max(most, fast.waiting)
        assert most <= 1_000
        assert stuck.is_lost


async def test_a_client_that_does_not_read_its_socket_is_cut_off(
    asked: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.http.rislive.socket.SEND_SECONDS", 0.05)
    lines, asked_for = await some_lines(asked), ['{"type": "ris_subscribe", "data": {}}']

    async def told() -> AsyncGenerator[FollowedLine, None]:
        await feed.has_subscribed.wait()
        for one in lines:
            yield one
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "websocket.receive", "text": asked_for.pop()} if asked_for else await no_more()

    async def stuck(_text: str) -> None:
        await asyncio.Event().wait()

    socket: Any = SimpleNamespace(receive=receive, send_text=stuck)
    feed = await Feed.open(asked)
    with pytest.raises(SlowError):
        await _Client(socket, feed).run(told())


def test_requests_cancelled_at_the_end_are_no_faults() -> None:
    def of(error: BaseException) -> logging.LogRecord:
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Exception", (), (type(error), error, None))

    assert not _is_no_end(of(asyncio.CancelledError()))
    assert _is_no_end(of(ValueError()))


async def test_answers_that_are_cut_end_their_query_without_a_traceback(
    asked: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One at its deadline, and two, of which one is not read, when the server stops."""
    monkeypatch.setattr("collector.http.server._STOP_SECONDS", 1)
    going, app, archive = set[object](), FastAPI(), asked

    async def give(_answers: Answers[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
        whose = object()
        going.add(whose)
        try:
            while True:
                async for entry in archive.search():
                    yield entry
        finally:
            going.discard(whose)

    @app.get("/{seconds}")
    async def answer(request: Request, seconds: float) -> Response:
        context = QueryContext(archive, Live(archive), HttpSettings())
        wanted = Listed(format="jsonl")
        return await respond(request, context, wanted, HistoryEntry, lambda: Answers(give, deadline=seconds))

    settings = HttpSettings(listen=f"127.0.0.1:{free_port()}")
    server = _Server(_configured(app, settings))
    with _listening(settings.listen) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with AsyncClient(base_url=settings.url, timeout=60) as client:
            async with client.stream("GET", "/2") as cut:
                with pytest.raises(RemoteProtocolError, match="incomplete"):
                    await cut.aread()
            assert not going
            async with client.stream("GET", "/60"), client.stream("GET", "/60") as read:
                pieces = read.aiter_raw()
                await anext(pieces)
                await until(lambda: len(going) == 2)
                server.stop()
                with pytest.raises(RemoteProtocolError, match="incomplete"):
                    async for _ in pieces:
                        pass
                await serving
                assert not going
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert said == [
        "an answer to /2 was cut off: the query took longer than 2 s",
        "Cancel 2 running task(s), timeout graceful shutdown exceeded",
    ]
