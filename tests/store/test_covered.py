"""Queries for what the archive cannot have, times that it does not cover and peers that do not exist, say so."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.query.coverage import coverage
from collector.query.times import parse_moment
from collector.store.mongo import Store
from schemas.scalars import spoken
from tests.store.test_asking import archive
from tests.support import Router
from tests.unit.test_command_line import refused, typed

PREFIX = "203.0.113.0/24"
PEER = "192.0.2.1"
BGPREADER = dict.fromkeys(("history", "search"), ("bgpreader",))
TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\b\d{10}\.\d+")


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
def began(mongodb_uri: str, database: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The begin of a small archive, an hour ago, which the commands of this process query."""
    monkeypatch.setenv("BGPLEDGER_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("BGPLEDGER_MONGODB_DATABASE", database)
    monkeypatch.setenv("BGPLEDGER_DATA_DIR", str(data_dir))
    router = Router(PEER, 64500, start=round(time.time()) - 3600)

    async def fill() -> datetime:
        async with Store.open(mongodb_uri, database=database) as store:
            await store.prepare()
            await archive(data_dir, store, [*router.up(), router.announce(PREFIX, path=(64500, 64499))])
            found = await coverage(store, datetime.now(UTC))
        assert found.since
        assert found.upto == datetime.fromtimestamp(router.time, UTC)
        return found.since

    return asyncio.run(fill())


ALL_TIME = [("rib", "--at"), ("lookup", "203.0.113.7", "--at"), ("search", "-t"), ("history", PREFIX, "-t")]


def test_the_future_is_refused(began: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = spoken(datetime.now(UTC) + timedelta(days=1))
    for command in (*ALL_TIME, ("top", "peers", "--start"), ("tail", "--from"), ("diff", "1h")):
        assert f"{tomorrow} UTC is in the future" in refused(capsys, *command, tomorrow), command
    # A range may end there.
    assert typed(capsys, "search", "-t", spoken(began), "-T", tomorrow, "--format", "jsonl")[2] == ""


def test_what_was_before_the_archive_is_not_called_nothing(began: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    long_ago = "2026-01-01"
    words = f"the archive begins at {spoken(began)} UTC: nothing is known about earlier times\n"
    for command in (*ALL_TIME, ("search", "-T"), ("top", "peers", "--start")):
        status, _, stderr_of = typed(capsys, *command, long_ago, "--format", "jsonl")
        assert (status, stderr_of) == (0, words), command
    assert typed(capsys, "diff", long_ago, "now")[2] == words
    assert typed(capsys, "history", PREFIX, "--duration", "52w")[2] == words
    assert typed(capsys, "tail", "--from", long_ago, "--limit", "1")[2] == words
    for moment in (spoken(began), began.isoformat(), "now"):
        assert "begins" not in typed(capsys, "rib", "--at", moment)[2]


def test_status_says_what_is_covered(began: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(typed(capsys, "status", "--format", "json")[1])
    assert datetime.fromisoformat(found["archive_since"]) == began
    assert found["archive_upto"] > found["archive_since"]


def test_peers_that_there_are_not(began: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    def stderr_of(*filters: str, command: tuple[str, ...] = ("rib",)) -> str:
        return typed(capsys, *command, *filters)[2]

    for command in (("rib",), ("search",), ("history", PREFIX), ("top", "origins"), ("diff", "10m", "now")):
        words = stderr_of("-j", "192.0.2.99", command=command)
        assert "no peer 192.0.2.99 is configured here, or was ever heard of" in words
        assert "no peer" not in stderr_of("-j", PEER, command=command)
    assert "no peer 10.0.0.0/8" in stderr_of("-j", "10.0.0.0/8,192.0.2.0/24")
    assert "no peer" not in stderr_of("-j", "192.0.2.0/24", "-J", "AS0.64500")
    assert "no peer AS64999" in stderr_of("-J", "64999")
    assert "no peer 192.0.2.99" in stderr_of("-j", "!192.0.2.99")


def test_a_time_that_is_printed_is_the_same_moment_when_it_is_typed(
    began: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the millisecond, in every format; `--start` is inclusive, `--end` exclusive, `--at` includes messages of that
    time."""
    (stderr_of,) = json.loads(typed(capsys, "search", "-m", "announce", "--format", "json")[1])
    announced = datetime.fromisoformat(stderr_of["ts"])
    before = spoken(announced - timedelta(milliseconds=1))
    printed = {
        (*command, form): typed(capsys, *command, "--format", form)[1]
        for command in (("history", PREFIX), ("search", "-m", "announce"), ("rib",), ("diff", before, "now"))
        for form in (
            "table",
            "json",
            "jsonl",
            "csv",
            "psv",
            *(("bgpreader",) if command[0] in ("history", "search") else ()),
        )
    }
    spellings = set()
    for form, text in printed.items():
        times = {one for one in TIME.findall(text) if parse_moment(one, announced) == announced}
        assert times, (form, text)
        spellings |= times
    for one in spellings:
        assert PREFIX in typed(capsys, "rib", "--at", one)[1], one
        assert PREFIX in typed(capsys, "search", "-m", "announce", "-t", one)[1], one
        assert PREFIX not in typed(capsys, "search", "-m", "announce", "-T", one)[1], one
        assert "appeared" in typed(capsys, "diff", before, one)[1], one
    assert PREFIX not in typed(capsys, "rib", "--at", before)[1]
    for command in ("status", "peers"):
        for one in TIME.findall(typed(capsys, command)[1]):
            assert "is not a time" not in typed(capsys, "rib", "--at", one)[2], one
            assert "." in one


def test_what_was_removed(began: datetime, mongodb_uri: str, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def age(days: int) -> None:
        async with Store.open(mongodb_uri, database=database) as store:
            kept = dict.fromkeys(("keepalives_days", "messages_days", "sessions_days", "rejects_days"), 0)
            await store.maintain({**kept, "updates_days": days})
            sessions = [one async for one in store.find("sessions", {})]
            await store.replace("sessions", [{**one, "since": began - timedelta(days=30)} for one in sessions])

    asyncio.run(age(2))
    assert "have been removed ([retention] updates_days)" in typed(capsys, "rib", "--at", "3d")[2]
    assert "removed" not in typed(capsys, "rib", "--at", "1d")[2]
