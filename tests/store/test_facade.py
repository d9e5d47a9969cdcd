"""`from bgpledger import Archive`: the same answers as the functions behind it, resumable anywhere, with deadlines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgpledger import Answers, Archive, DeadlineError, Filter, UsageError, parse_filter
from collector.query.history import HistoryQuery, history
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.store.mongo import Store
from tests.store.test_asking import PREFIX, T0, archive, some_day

EVERYTHING = Filter()


@pytest.fixture
async def store(embedded_uri: str, database: str, data_dir: Path) -> AsyncIterator[Store]:
    async with Store.open(embedded_uri, database=database) as opened:
        await opened.prepare()
        for seed in range(2):
            await archive(data_dir, opened, some_day(seed), f"collector{seed}")
        yield opened


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
def asked(store: Store, data_dir: Path) -> Archive:
    return Archive(store, data_dir)


async def every(answers: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in answers]


def _after(ask: Callable[..., Answers[Any]], cursor: str | None) -> Answers[Any]:
    return ask(after=cursor)


async def in_pages(ask: Callable[[str | None], Answers[Any]], chance: random.Random) -> list[Any]:
    """All answers, in pages, each requested with the cursor of the previous one."""
    found: list[Any] = []
    cursor = None
    while True:
        async with ask(cursor) as answers:
            wanted = chance.randint(1, 20)
            page = []
            async for one in answers:
                page.append(one)
                if len(page) == wanted:
                    break
            if not page:
                assert answers.cursor == cursor
                return found
            found += page
            cursor = answers.cursor
            assert cursor


async def test_answers_are_those_of_the_functions_behind(asked: Archive, store: Store) -> None:
    assert await every(asked.search()) == await every(search(store, EVERYTHING)) != []
    assert await every(asked.history(PREFIX)) == await every(history(store, HistoryQuery(PREFIX))) != []
    assert await every(asked.rib()) == await every(rib(store, RibQuery())) != []
    assert await every(asked.rib("10.0.0.0/8", match="more_specific")) == await every(
        rib(store, RibQuery("10.0.0.0/8", "more_specific"))
    )


FILTERS: list[dict[str, str | None]] = [{}, {"elem": "withdraw"}, {"origin": "64496", "peer": "192.0.2.0/24"}]

ROUTES: list[dict[str, Any]] = [
    {},
    {"at": T0 + timedelta(seconds=20)},
    *({"prefix": "10.1.0.0/16", "match": match} for match in ("exact", "more_specific", "less_specific", "longest")),
]


@pytest.mark.parametrize("texts", FILTERS, ids=str)
async def test_pages_are_the_whole(asked: Archive, texts: dict[str, str | None]) -> None:
    chance = random.Random(1)
    filters = parse_filter(texts)
    whole = await every(asked.search(filters, everything=True))
    assert await in_pages(lambda after: asked.search(filters, everything=True, after=after), chance) == whole
    assert await in_pages(lambda after: asked.history(PREFIX, filters, after=after), chance) == await every(
        asked.history(PREFIX, filters)
    )
    for options in ROUTES if not texts else ROUTES[1:2]:
        ask = partial(asked.rib, filters=filters, **options)
        assert await in_pages(partial(_after, ask), chance) == await every(ask()), options


async def test_a_cursor_is_of_its_question_alone(asked: Archive) -> None:
    answers = asked.history(PREFIX)
    assert answers.cursor is None
    await anext(answers)
    with pytest.raises(UsageError, match="belongs to another query"):
        asked.history("10.0.0.0/8", after=answers.cursor)
    with pytest.raises(UsageError, match="is not a cursor"):
        asked.search(after="no cursor")
    await answers.aclose()


async def test_a_deadline_ends_a_question_by_its_name(asked: Archive) -> None:
    with pytest.raises(DeadlineError, match=r"longer than 0\.2 s") as failure:
        await every(asked.tail(deadline=0.2))
    assert failure.value.cure
    assert await every(asked.search(deadline=300)) == await every(asked.search())


async def test_a_deadline_ends_a_question_whose_answers_are_there(asked: Archive) -> None:
    """Where nothing is waited for, nothing can be cancelled."""

    async def endless(_answers: Answers[int]) -> AsyncGenerator[int, None]:
        while True:
            yield 1

    with pytest.raises(DeadlineError, match=r"longer than 0\.01 s"):
        await every(Answers(endless, deadline=0.01))
    with pytest.raises(DeadlineError, match="longer than 0 s"):
        await every(asked.search(deadline=0))


async def test_what_the_archive_does_not_know_is_said(asked: Archive) -> None:
    answers = asked.history(PREFIX, parse_filter({"start": "2001-01-01", "peer": "198.51.100.99"}))
    assert await every(answers) == []
    assert not answers.covered
    begins, unknown = answers.notes
    assert begins.startswith("the archive begins at 2027-01-15 08:00:0")
    assert unknown.startswith("no peer 198.51.100.99 is configured here, or was ever heard of")


async def test_questions_run_side_by_side(asked: Archive) -> None:
    whole = await every(asked.search())
    assert await asyncio.gather(*(every(asked.search()) for _ in range(4))) == [whole] * 4


async def test_it_is_opened_by_its_uri(embedded_uri: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGPLEDGER_DATA_DIR", str(data_dir))
    async with Archive.open(embedded_uri) as opened:
        assert (await opened.status()).state == "stopped"
        assert await every(opened.peers()) == await every(opened.peers(deadline=9))


async def test_what_cannot_be_meant_is_refused_at_once(asked: Archive) -> None:
    for ask in (
        lambda: asked.history("prefix"),
        lambda: asked.rib(match="longest"),
        lambda: asked.diff("1h", "2h"),
        lambda: asked.rib("10.0.0.0/8", at="then"),
    ):
        with pytest.raises(UsageError):
            ask()
