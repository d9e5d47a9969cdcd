"""The page Replay: what it draws is what the history of the prefix says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx

from bgpledger import Archive, Filter
from collector.http.graph.story import Story, tell
from tests.http.conftest import Filled
from tests.http.ris_live import filled_with
from tests.store.test_asking import PREFIX
from tests.support import Router

SVG = "{http://www.w3.org/2000/svg}"


async def prefix_of(http: httpx.AsyncClient) -> str:
    """The prefix with the most messages."""
    top = (await http.get("/api/v1/top/prefixes")).json()["answers"]
    return str(next(one["name"] for one in top if "/" in one["name"]))


def moves_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="moves">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


async def test_each_change_of_the_history_is_in_the_page(http: httpx.AsyncClient) -> None:
    prefix = await prefix_of(http)
    history = (await http.get(f"/api/v1/prefixes/{prefix}/history", params={"limit": 1000})).json()["answers"]
    page = await http.get(f"/replay/{prefix}", params={"start": history[0]["ts"]})
    assert page.status_code == 200
    changes = moves_of(page.text)["changes"]
    assert isinstance(changes, list)
    assert len(changes) == len(history)
    assert sum(change["line"] is not None for change in changes) == sum(one["event"] == "announce" for one in history)


async def test_the_picture_of_a_moment_has_a_line_for_each_route_that_stands(http: httpx.AsyncClient) -> None:
    prefix = await prefix_of(http)
    history = (await http.get(f"/api/v1/prefixes/{prefix}/history", params={"limit": 1000})).json()["answers"]
    for entry in history[:: max(len(history) // 5, 1)]:
        standing = (await http.get(f"/api/v1/prefixes/{prefix}/rib", params={"at": entry["ts"]})).json()["answers"]
        picture = await http.get(f"/replay/{prefix}.svg", params={"start": history[0]["ts"], "at": entry["ts"]})
        assert picture.headers["content-type"] == "image/svg+xml"
        drawn = ET.fromstring(picture.text)
        assert len(drawn.findall(f".//{SVG}path")) == sum(
            route["as_path"] is not None and route["state"] != "stale" for route in standing
        )


async def story_of(filled: Filled) -> Story:
    async with Archive.found(filled.settings) as archive:
        return await tell(archive, PREFIX, Filter())


def test_gaps_of_peers_that_never_had_a_route_are_one_note(embedded_uri: str, tmp_path: Path) -> None:
    one, other = (Router(address, 64500, start=round(time.time()) - 60) for address in ("192.0.2.1", "192.0.2.2"))
    lines = [*one.up(), *other.up(), one.announce(PREFIX)]
    for router in (one, other):
        router.counter += 3  # lines that never came
        lines.append(router.announce("10.0.0.0/8"))
    with filled_with(embedded_uri, tmp_path, {"one": [*lines, one.withdraw(PREFIX)]}) as filled:
        told = asyncio.run(story_of(filled))
    assert [(change.event, change.speaker.peer) for change in told.changes] == [
        ("announce", "192.0.2.1"),
        ("gap", "192.0.2.1"),
        ("withdraw", "192.0.2.1"),
    ]
    assert told.notes == ["UPDATEs of 192.0.2.2 were lost in this time: whether there was a route in them is not known"]


async def test_what_has_no_route_says_so_and_what_is_no_prefix_is_refused(http: httpx.AsyncClient) -> None:
    assert "No route to 198.18.0.0/15" in (await http.get("/replay/198.18.0.0/15")).text
    refused = await http.get("/replay/nonsense")
    assert (refused.status_code, "nonsense" in refused.text) == (400, True)
