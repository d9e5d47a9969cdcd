"""Several batches in flight: each line is stored once, and sessions never go back, whatever is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from collector.archive.archiver import Archiver
from collector.archive.session_documents import SessionDocuments
from collector.query.verify.verify import verify
from collector.sources.exabgp.source import EXABGP
from collector.spool.reader import SpoolReader
from collector.spool.state import inspect
from collector.store.mongo import Store
from collector.store.traits import MONGODB, SECANTUSDB, Traits, traits_of
from collector.tasks import end
from schemas.stored import SessionDocument
from tests.faults.mongo_proxy import Forward, Message, Proxy, closing_on_marked, proxy
from tests.store.test_archive import archive, archiving, documents, feed
from tests.support import Router, until

FAR = Traits(batch_lines=5, batches_in_flight=3)
COLLECTIONS = ("updates", "messages", "sessions", "rejects", "gaps")


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
async def between(embedded_uri: str) -> AsyncIterator[Proxy]:
    async with proxy(urlsplit(embedded_uri).port or 0) as one:
        yield one


@pytest.fixture
def spool(data_dir: Path) -> Path:
    return data_dir / "spool"


def some_lines(count: int) -> list[bytes]:
    router = Router()
    lines = [*router.up(), *[router.announce(f"10.{number}.0.0/16") for number in range(count)]]
    lines[count // 2] = b"rubbish"
    return lines


async def everything(store: Store) -> list[list[dict[str, Any]]]:
    return [await documents(store, collection) for collection in COLLECTIONS]


class Holding:
    """A fault that holds inserts into `updates` back: the first one, or all."""

    def __init__(self, *, all_of_them: bool) -> None:
        self._all = all_of_them
        self.waiting = self.most = 0
        self.let = asyncio.Event()

    async def __call__(self, request: Message, forward: Forward) -> bytes:
        if request.command == "insert" and request.body["insert"] == "updates" and (self._all or not self.most):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await self.let.wait()
            self.waiting -= 1
        return await forward()


def holds(holding: Holding) -> bool:
    return holding.waiting == 1


async def test_batches_are_written_at_once_and_not_too_many(between: Proxy, database: str, spool: Path) -> None:
    holding = Holding(all_of_them=True)
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        await between.set(holding)
        feed(spool, *some_lines(60))
        async with archiving(spool, store, traits=FAR):
            await until(lambda: holding.waiting == 3, what="three are on their way")
            holding.let.set()
        assert holding.most == 3
        assert len(await documents(store, "updates")) == 59 == 60 - len(await documents(store, "rejects"))


async def test_what_is_behind_a_batch_on_its_way_is_not_acknowledged(
    between: Proxy, database: str, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.archive.archiver.CHECKPOINT_SECONDS", 0.0)
    holding = Holding(all_of_them=False)
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        await between.set(holding)
        feed(spool, *some_lines(60))
        async with archiving(spool, store, traits=FAR):

            async def later_ones() -> bool:
                return len(await documents(store, "updates")) >= 10

            await until(later_ones, what="those behind it are stored")
            assert inspect(spool).acknowledged == 0
            assert await documents(store, "sessions") == []
            holding.let.set()
        assert inspect(spool).acknowledged == 64


@pytest.mark.parametrize("checkpoints", [0.0, 3600.0])
async def test_who_is_killed_meanwhile_stores_all_once(
    between: Proxy, database: str, embedded_uri: str, spool: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: float
) -> None:
    """Later batches are already stored when the first one is interrupted; sessions may not be written at all yet."""
    monkeypatch.setattr("collector.archive.archiver.CHECKPOINT_SECONDS", checkpoints)
    lines = some_lines(60)
    async with Store.open(embedded_uri, database=f"{database}_whole") as whole:
        await archive(spool.with_name("whole"), whole, *lines)
        wanted = await everything(whole)
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        feed(spool, *lines[:40])
        for held in (True, False, True):
            holding = Holding(all_of_them=False)
            await between.set(holding)
            with SpoolReader(spool) as reader:
                archiver = Archiver(reader, store, source=EXABGP, collector="test", batch_seconds=0.01, traits=FAR)
                running = asyncio.create_task(archiver.run())
                await until(partial(holds, holding), what="one is held back")
                if not held:
                    holding.let.set()
                    await until(lambda: inspect(spool).acknowledged >= (40 if checkpoints == 0 else 1))
                    feed(spool, *lines[40:])
                await end(running)
            holding.let.set()
        await archive(spool, store, traits=FAR)
        assert await everything(store) == wanted


async def test_sessions_are_written_now_and_then_and_only_what_changed(
    between: Proxy, database: str, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.archive.archiver.CHECKPOINT_SECONDS", 3600.0)
    written: list[bytes] = []

    async def counting(request: Message, forward: Forward) -> bytes:
        if request.command == "update" and request.body["update"] == "sessions":
            written.append(request.raw)
        return await forward()

    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        await between.set(counting)
        router = Router()
        acknowledged: list[int] = []
        feed(spool, *router.up(), router.announce("10.0.0.0/8"))
        with SpoolReader(spool) as reader:
            acknowledge = reader.acknowledge

            def counted(next_line: int, note: Mapping[str, Any]) -> None:
                acknowledge(next_line, note)
                acknowledged.append(next_line)

            monkeypatch.setattr(reader, "acknowledge", counted)
            archiver = Archiver(reader, store, source=EXABGP, collector="test", batch_seconds=0.01, traits=FAR)
            running = asyncio.create_task(archiver.run())
            await until(lambda: acknowledged, what="the first ones are acknowledged")
            feed(spool, *[router.announce(f"10.{number}.0.0/16") for number in range(200)])
            archiver.stop()
            await running
        first, second = written
        assert b"capabilities" in first
        assert b"capabilities" not in second
        assert b"updates" in second
        assert len(acknowledged) == 2
        (session,) = await documents(store, "sessions")
        assert (session["updates"], session["announced"], "capabilities" in session) == (201, 201, True)


async def test_a_session_that_somebody_removed_is_written_whole(embedded_uri: str, database: str) -> None:
    session = cast("SessionDocument", {"_id": 1, "v": 1, "collector": "test", "updates": 1})
    async with Store.open(embedded_uri, database=database) as store:
        writing = SessionDocuments(store)
        await writing.write([session])
        await writing.write([{**session, "updates": 2}])
        assert await documents(store, "sessions") == [{**session, "updates": 2}]
        await store.remove("sessions", {})
        await writing.write([{**session, "updates": 3}])
        assert await documents(store, "sessions") == [{**session, "updates": 3}]
        await writing.write([cast("SessionDocument", {"_id": 1, "v": 1, "updates": 4})])
        assert await documents(store, "sessions") == [{"_id": 1, "v": 1, "updates": 4}]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_line_on_which_the_store_closes_the_connection_is_a_reject_and_no_other_is(
    *,
    between: Proxy,
    database: str,
    spool: Path,
    everywhere: bool,
    no_pauses: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Everywhere: in the reject as well, which is stored without the message."""
    lines = some_lines(60)
    marked = [number for number, line in enumerate(lines) if b"10.7.0.0/16" in line or b"10.8.0.0/16" in line]
    mark = ["10.7.0.0/16", "10.8.0.0/16"]
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        first, second = (closing_on_marked(one.encode(), collections=[] if everywhere else ["updates"]) for one in mark)

        async def both(request: Message, forward: Forward) -> bytes:
            return await first(request, lambda: second(request, forward))

        await between.set(both)
        note = await archive(spool, store, *lines, traits=FAR)
        assert (note["stored"], note["rejected"], note["refused"]) == (len(lines) - 3, 3, 2)
        rejects = {one["line"]: one for one in await documents(store, "rejects")}
        assert set(rejects) == {*marked, len(lines) // 2 - 2}
        for number in marked:
            whole = lines[number].decode()
            assert rejects[number]["raw"] == (whole[: whole.index('"message"')] if everywhere else whole)
            assert rejects[number]["size"] == len(lines[number])
            assert "the store refused it: it closes the connection on it" in rejects[number]["reason"]
        assert f"line {marked[0]}, the store refused it" in caplog.text
        assert (await verify(spool.parent, store, "test")).findings == []
        gaps = [one for one in await documents(store, "gaps") if one["cause"] == "reject"]
        assert {one["line"] for one in gaps} >= set(marked)


async def test_a_server_is_known_by_what_it_says(embedded_uri: str) -> None:
    async with Store.open(embedded_uri) as store:
        assert await store.traits() is SECANTUSDB
    assert traits_of({"version": "8.0.4"}) is MONGODB
