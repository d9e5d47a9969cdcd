"""What all pages have in common: where the search box leads, and how a page says that it failed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bgpledger import Archive, Filter, parse_filter
from collector.http.pages.minutes import Minutes
from collector.http.pages.rendering import iso
from tests.http.conftest import BEGIN, END
from tests.store.test_asking import PREFIX

LEADS_TO = {
    "203.0.113.0/24": "/prefix/203.0.113.0/24",
    " 203.0.113.9/24 ": "/prefix/203.0.113.0/24",
    "2001:DB8:42::/48": "/prefix/2001:db8:42::/48",
    "203.0.113.7": "/lookup?q=203.0.113.7",
    "2001:db8::0:1": "/lookup?q=2001%3Adb8%3A%3A1",
    "peer 203.0.113.7": "/peer/203.0.113.7",
    "AS64500": "/as/64500",
    "as 64500": "/as/64500",
    "1.10": "/as/65546",
    "64500:100": "/updates?community=64500%3A100",
    "64500:1:*": "/updates?community=64500%3A1%3A%2A",
    "no-export": "/updates?community=no-export",
    "64497 64511": "/updates?as_path=64497+64511",
    "_64511$": "/updates?as_path=_64511%24",
}
MEAN_NOTHING = ["<script>alert(1)</script>", "203.0.113.0/33", "203.0.113", "64500:x", "hello", "(("]


async def test_what_is_typed_leads_to_its_page(http: httpx.AsyncClient) -> None:
    for typed, leads_to in LEADS_TO.items():
        said = await http.get("/search", params={"q": typed})
        assert (said.status_code, said.headers["location"]) == (303, leads_to)


async def test_an_address_of_a_peer_leads_to_the_peer(http: httpx.AsyncClient) -> None:
    peer = (await http.get("/api/v1/peers")).json()["answers"][0]["address"]
    assert (await http.get("/search", params={"q": peer})).headers["location"] == f"/peer/{peer}"


async def test_a_meaningless_search_is_told_what_can_be_searched(http: httpx.AsyncClient) -> None:
    for typed in MEAN_NOTHING:
        said = await http.get("/search", params={"q": typed})
        assert said.status_code == 400, typed
        assert "203.0.113.0/24" in said.text
        assert "<script>alert" not in said.text


async def test_a_page_that_fails_is_a_page(http: httpx.AsyncClient) -> None:
    said = await http.get("/search?qq=1")
    assert (said.status_code, said.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "there is no parameter &#39;qq&#39; here" in said.text


@pytest.mark.parametrize(
    "page",
    [
        f"/lookup?q={PREFIX}&at={{at}}",
        "/as/64496?at={at}",
        "/compare?earlier={begin}&later={at}",
        "/peer/192.0.2.1?end={at}",
        f"/prefix/{PREFIX}?end={{at}}",
        f"/replay/{PREFIX}?start={{begin}}&end={{at}}",
        "/updates?end={at}",
    ],
)
async def test_links_keep_the_time_that_is_shown(http: httpx.AsyncClient, page: str) -> None:
    begin, at = (iso(BEGIN + timedelta(seconds=seconds)) for seconds in (3, 20))
    text = (await http.get(page.format(begin=begin, at=at))).text
    found = re.findall(
        r'href="(/(?:prefix|peer|as|lookup|replay|updates|compare)[/?][^"]*)', text[text.index("<main") :]
    )
    links = [urlsplit(unescape(one)) for one in found]
    elsewhere = [one for one in links if one.path != urlsplit(page).path]  # "Now" and "All events" are for other times
    assert len(elsewhere) > 3
    assert [one for one in elsewhere if not {"at", "end", "later"} & parse_qs(one.query).keys()] == []


async def test_minutes_are_counted_as_a_search_does(asked: Archive) -> None:
    peers = [peer.address async for peer in asked.peers() if peer.updates]
    counted = Minutes()
    first = await counted.of(asked, peers, 120)
    again = await counted.of(asked, peers, 120)
    for peer in peers:
        said = parse_filter({"peer": peer, "start": (datetime.now(UTC) - timedelta(hours=1)).isoformat()})
        updates = sum([sample.updates async for sample in asked.activity(_until_now(said))])
        assert sum(filter(None, first[peer])) == sum(filter(None, again[peer])) == updates > 0
        assert len(first[peer]) == 60


async def test_minutes_that_were_not_counted_in_time_are_no_zeros_and_are_counted_later(asked: Archive) -> None:
    peer, *_ = [peer.address async for peer in asked.peers() if peer.updates]
    now, counted = datetime.now(UTC), Minutes()
    assert set(await counted._of_one(asked, peer, now - timedelta(seconds=90), 1e-6)) == {None}
    assert set((await counted._of_one(asked, peer, now - timedelta(seconds=60), 120))[:-1]) == {None}
    assert await counted._of_one(asked, peer, now, 120) == (await Minutes().of(asked, [peer], 120))[peer]


def _until_now(filters: Filter) -> Filter:
    return replace(filters, end=datetime.now(UTC))


async def test_the_looking_glass_counts_unknown_routes_by_themselves(http: httpx.AsyncClient) -> None:
    never = "198.51.100.0/24"  # lines were lost that may have announced it
    routes = (await http.get(f"/api/v1/prefixes/{never}/rib", params={"at": END.isoformat()})).json()["answers"]
    assert {one["state"] for one in routes} == {"unknown"}
    page = (await http.get("/lookup", params={"q": never, "at": END.isoformat()})).text
    assert f">0 routes, {len(routes)} unknown<" in page
    assert "</span>: no route is known" in page


async def test_sessions_alone_have_no_columns_of_routes(http: httpx.AsyncClient) -> None:
    asked = {"start": BEGIN.isoformat(), "end": END.isoformat()}
    assert ">AS path</th>" in (await http.get("/updates", params=asked)).text
    sessions = (await http.get("/updates", params={**asked, "elem": "session"})).text
    assert ">Reason</th>" in sessions
    assert ">AS path</th>" not in sessions
