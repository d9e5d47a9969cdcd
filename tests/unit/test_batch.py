"""Routes that are printed straight from stored documents: the same text as from their models, in every format."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, cast

import bson
from hypothesis import given
from hypothesis import strategies as st

from collector.present import bgpdump, bgpreader, lines, separated
from collector.present.formats import write
from collector.present.names import Format
from collector.query.batch import Batch, routes_of
from collector.query.filters import Choice, Filter
from collector.query.last_gap import LastGap
from collector.query.newest import newest_routes
from collector.query.peer_ribs import PeerRib
from collector.rib.routes import RouteEntry, RouteKey, milliseconds
from collector.store.mongo import Store
from schemas.query import HistoryEntry, Route
from tests.unit.test_peer_ribs import ATTRIBUTES, OWN, SESSION, SINCE

WORDS = st.text(max_size=8)
"""Whatever a peer, or ExaBGP, may say."""
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS.filter(lambda one: "\0" not in one), inner, max_size=3)
    ),
    max_leaves=5,
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "as_path": st.sampled_from(["64500 64496 {4,5}", "(6 7) 8", "8 (6 7)", "[8,9] 1"]),
        "prefix_sid": st.dictionaries(st.sampled_from(["a", 'b"', "c,|"]), ANYTHING, max_size=2),
        "other": st.dictionaries(st.sampled_from(["x", "y"]), ANYTHING, max_size=2),
        "communities": st.lists(st.sampled_from(["65535:65281", "65535:65283", "1:2"]), max_size=3),
    },
)
KEYS = st.builds(
    RouteKey,
    family=st.sampled_from(["ipv4 unicast", "ipv6 unicast", "ipv4 mpls-vpn"]),
    rd=st.sampled_from([None, "64500:1", "192.0.2.1:7"]),
    path_id=st.none() | st.integers(0, 2**32 - 1),
    nlri=st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", '{"rule":1}', '"text"', "[1]"]),
)


@st.composite
def entries(draw: st.DrawFn) -> tuple[RouteKey, RouteEntry]:
    key = draw(KEYS)
    facts = {**draw(ATTRIBUTES), **draw(OWN), **draw(ODD)}
    facts |= {} if key.is_prefix else {"object": draw(ANYTHING)}
    since = milliseconds(SINCE) + draw(st.integers(-2000, 2000))
    return key, RouteEntry(since, bson.encode(facts))


GAPS = st.none() | st.just(LastGap(SINCE, SINCE, 1, 1))
RIBS = st.builds(
    PeerRib,
    store=st.just(cast("Store", None)),
    session=st.just(SESSION) | st.just({**SESSION, "collector": 'a "b", c|d'}),
    end=st.none(),
    gap=GAPS,
    mended=st.sampled_from([{}, {"ipv4 unicast": SINCE - timedelta(seconds=1)}]),
    stale=st.booleans(),
)
BATCHES = st.lists(st.builds(Batch, rib=RIBS, items=st.lists(entries(), max_size=5), hidden=st.booleans()), max_size=3)


async def each(answers: Sequence[Any]) -> AsyncIterator[Any]:
    for answer in answers:
        yield answer


async def written(batches: Sequence[Batch], form: Format) -> str:
    stream = io.StringIO()
    await write(each(batches), Route, form, stream, at=SINCE)
    return stream.getvalue()


@given(BATCHES)
def test_stored_routes_are_printed_as_their_models_are(batches: list[Batch]) -> None:
    asyncio.run(compare(batches))


async def compare(batches: list[Batch]) -> None:
    routes = [route async for route in routes_of(each(batches))]
    assert [route.state for route in routes] == [batch.state(*item) for batch in batches for item in batch.items]
    models: dict[Format, Any] = {
        "jsonl": lines.write,
        "json": lines.write_json,
        "csv": separated.write_csv,
        "psv": separated.write_psv,
    }
    for form, of_models in models.items():
        expected = io.StringIO()
        await of_models(each(routes), Route, expected)
        assert await written(batches, form) == expected.getvalue(), form
    shown = [announced(route) for route in routes if route.prefix is not None and route.state != "unknown"]
    await compare_with_entries(batches, shown)


async def compare_with_entries(batches: list[Batch], shown: list[HistoryEntry]) -> None:
    """Routes of a dumped table are printed as announcements are, except for the beginning of each line."""
    forms: tuple[tuple[Format, Any, dict[str, str]], ...] = (
        ("bgpdump", bgpdump.write, {"BGP4MP": "TABLE_DUMP2", "BGP4MP_AP": "TABLE_DUMP2_AP"}),
        ("bgpreader", bgpreader.write, {"U": "R"}),
    )
    for form, of_entries, begins in forms:
        stream = io.StringIO()
        await of_entries(each(shown), HistoryEntry, stream)
        kind = "B" if form == "bgpdump" else "R"
        at = 2 if form == "bgpdump" else 1
        expected = []
        for line in stream.getvalue().split("\n"):
            cells = line.split("|")
            if len(cells) > at and cells[0] in begins and cells[at] == "A":
                cells[0], cells[at] = begins[cells[0]], kind
            expected.append("|".join(cells))
        assert await written(batches, form) == "\n".join(expected), form


def announced(route: Route) -> HistoryEntry:
    said = {name: value for name, value in vars(route).items() if name not in ("state", "since")}
    return HistoryEntry.model_construct(**said, ts=SINCE, event="announce")


@given(BATCHES, st.integers(1, 6))
def test_the_latest_routes_are_those_with_the_latest_times(batches: list[Batch], limit: int) -> None:
    async def ask() -> tuple[list[Route], list[Route]]:
        routes = [route async for route in routes_of(each(batches))]
        return routes, [route async for route in routes_of(newest_routes(each(batches), limit))]

    routes, found = asyncio.run(ask())
    chosen = sorted(range(len(routes)), key=lambda at: (-routes[at].since.timestamp(), at))[:limit]
    assert found == [routes[at] for at in sorted(chosen)]


@given(BATCHES)
def test_filters_let_the_same_routes_through(batches: list[Batch]) -> None:
    filters = Filter(communities=Choice(("65535:65281",)), families=Choice(("ipv4 unicast",)))
    for batch in batches:
        assert list(batch.only(filters.stands).routes()) == [one for one in batch.routes() if filters.stands(one)]
