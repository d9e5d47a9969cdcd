"""pybgpflux, a client of RIS Live that others wrote, follows our routers: what it yields is what the archive says."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bgpledger import Archive, Filter, HistoryEntry
from collector.query.filters import Choice
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.http.conftest import Filled
from tests.http.ris_live import HALF, LAST, PREFIX, TWICE, answering, collected, filled_with
from tests.store.test_asking import archive
from tests.support import ROOT, Router, missing

PYTHON = ROOT / ".tools" / "pybgpflux" / "bin" / "python"
COLLECTORS = {"one": "rrc00", "two": "rrc01"}
ANNOUNCED = Choice(("announce",))


class Stream(NamedTuple):
    """Filters of pybgpflux, and ours: of each tuple one has to match an entry of the message."""

    theirs: JsonObject
    ours: Sequence[tuple[Filter, ...]]
    collectors: Sequence[str] = tuple(COLLECTORS.values())


def about(prefix: str, match: Any = "exact") -> Filter:
    return Filter(prefixes=Choice((prefix,)), match=match)


STREAMS = {
    "all": Stream({}, []),
    "of a collector": Stream({}, [], ["rrc01"]),
    "of a prefix": Stream({"prefix": PREFIX}, [(about(PREFIX),)]),
    "within a prefix": Stream({"prefix_sub": TWICE}, [(about(TWICE, "more_specific"),)]),
    "around a prefix": Stream(
        {"prefix_super_sub": HALF}, [(about(HALF, "more_specific"), about(HALF, "less_specific"))]
    ),
    "of a peer": Stream({"peer_ip": "2001:db8:0::3"}, [(Filter(peers=Choice(("2001:db8::3",))),)]),
    "of a peer's AS": Stream({"peer_asn": 64500}, [(Filter(as_path="^64500", elems=ANNOUNCED),)]),
    "of an origin": Stream({"origin_asn": 64496}, [(Filter(origins=Choice((64496,)), elems=ANNOUNCED),)]),
    "announced": Stream({"update_type": "announce"}, [(Filter(elems=ANNOUNCED),)]),
    "withdrawn": Stream(
        {"update_type": "withdraw", "prefix": PREFIX}, [(about(PREFIX),), (Filter(elems=Choice(("withdraw",))),)]
    ),
}


@pytest.fixture(scope="module")
def collected_here(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    if not PYTHON.exists():
        missing("pybgpflux is not installed; `make tools` installs it")
    with filled_with(embedded_uri, tmp_path_factory.mktemp("pybgpflux"), collected()) as one:
        yield one


@asynccontextmanager
async def yielded(
    listen: str, query: str, names: Sequence[str]
) -> AsyncIterator[AsyncIterator[tuple[str, JsonObject]]]:
    """What pybgpflux's streams yield, each until the last peer's element: their names, and elements."""
    script = Path(__file__).with_name("pybgpflux_streams.py")
    pipe = asyncio.subprocess.PIPE
    url = f"ws://{listen}/v1/ws/?{query}"
    running = await asyncio.create_subprocess_exec(PYTHON, script, url, LAST, stdin=pipe, stdout=pipe)
    assert running.stdin
    assert running.stdout
    running.stdin.write(json.dumps([(name, STREAMS[name].collectors, STREAMS[name].theirs) for name in names]).encode())
    running.stdin.close()
    lines = running.stdout

    async def each() -> AsyncIterator[tuple[str, JsonObject]]:
        async for line in lines:
            name, element = json.loads(line)
            yield name, element

    try:
        yield each()
        assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()


def element(entry: HistoryEntry, message: Sequence[HistoryEntry]) -> JsonObject:
    """An entry in the form of pybgpflux, which gives a withdrawal the attributes of what its message announces."""
    announced = next((one for one in message if one.event == "announce"), None)
    path = ((announced and announced.as_path) or "").replace("{", "[").replace("}", "]").replace(" ", ",")
    fields: JsonObject = {
        "as-path": json.loads(f"[{path}]"),
        "communities": list((announced and announced.communities) or ()),
        "prefix": entry.prefix,
    }
    if entry.event == "announce":
        fields["next-hop"] = entry.next_hop
    return {
        "time": entry.ts.timestamp(),
        "type": entry.event[0].upper(),
        "collector": COLLECTORS[entry.collector or ""],
        "peer_asn": entry.peer.asn,
        "peer_address": entry.peer.address,
        "fields": fields,
    }


async def messages(archive: Archive, *filters: Filter) -> dict[tuple[object, ...], list[HistoryEntry]]:
    """The announcements and withdrawals that match one of these, by the message that they are in."""
    found: dict[tuple[object, ...], list[HistoryEntry]] = defaultdict(list)
    for one in filters or (Filter(),):
        async with archive.search(one, everything=True) as entries:
            async for entry in entries:
                if entry.event in ("announce", "withdraw") and entry.peer.address != LAST:
                    found[entry.ts, entry.collector, entry.peer.address].append(entry)
    return found


async def said(archive: Archive, stream: Stream) -> list[JsonObject]:
    """What the archive says of a stream: whole messages, as RIS Live sends them."""
    whole = await messages(archive)
    kept = set(whole)
    for alternatives in stream.ours:
        kept &= (await messages(archive, *alternatives)).keys()
    return in_order(
        [
            element(entry, one)
            for place, one in whole.items()
            for entry in one
            if place in kept and COLLECTORS[entry.collector or ""] in stream.collectors
        ]
    )


def in_order(elements: list[JsonObject]) -> list[JsonObject]:
    """By time; those of one message begin with what is withdrawn."""
    return sorted(
        elements, key=lambda one: (one["time"], one["peer_address"], one["type"] != "W", one["fields"]["prefix"])
    )


async def test_it_yields_what_the_archive_says_of_the_past(collected_here: Filled) -> None:
    found: dict[str, list[JsonObject]] = {name: [] for name in STREAMS}
    async with answering(collected_here) as (archive, listen):
        async with yielded(listen, "from=10m&speed=1000000", list(STREAMS)) as elements:
            async for name, one in elements:
                if one["peer_address"] != LAST:
                    found[name].append(one)
        for name, stream in STREAMS.items():
            assert in_order(found[name]) == await said(archive, stream), name
            assert found[name], name
        assert [one["time"] for one in found["all"]] == sorted(one["time"] for one in found["all"])


async def test_it_yields_what_comes(collected_here: Filled) -> None:
    router, last = Router("192.0.2.9", 64509), Router(LAST, 64999)
    async with answering(collected_here) as (asked, listen):
        async with (
            Store.open(collected_here.uri, database=collected_here.database) as store,
            yielded(listen, "", ["of a prefix"]) as elements,
        ):
            first = asyncio.ensure_future(anext(elements))
            while not first.done():  # it listens from some moment on
                await archive(collected_here.data_dir, store, [*router.up(), router.announce(PREFIX)], "one")
                await asyncio.wait((first,), timeout=1)
            begun = router.time
            lines = [router.announce(HALF), router.announce(PREFIX, TWICE), router.withdraw(PREFIX)]
            await archive(collected_here.data_dir, store, [*lines, *last.up(), last.announce(PREFIX)], "one")
            found = [one async for _, one in elements if one["peer_address"] != LAST and one["time"] > begun]
        expected = await said(asked, Stream({}, [(about(PREFIX),), (Filter(peers=Choice(("192.0.2.9",))),)]))
        assert in_order(found) == [one for one in expected if one["time"] > begun]
        assert [one["fields"]["prefix"] for one in in_order(found)] == [TWICE, PREFIX, PREFIX]
