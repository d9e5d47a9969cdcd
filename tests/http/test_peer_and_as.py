"""The pages of a peer and of an AS: their numbers are those of the API."""

from __future__ import annotations

import re

import httpx
import pytest

from collector.http.pages import asn, peer
from tests.http.conftest import PATIENCE


async def peer_of(http: httpx.AsyncClient) -> str:
    return str((await http.get("/api/v1/peers")).json()["answers"][0]["address"])


async def test_a_peer_has_its_sessions_and_charts(http: httpx.AsyncClient) -> None:
    address = await peer_of(http)
    sessions = (await http.get(f"/api/v1/peers/{address}/sessions")).json()["answers"]
    start, end = min(one["since"] for one in sessions), max(one["last_message"] for one in sessions)
    page = await http.get(f"/peer/{address}", params={"start": start, "end": end})
    assert page.status_code == 200
    began = re.search(r'<h2 id="sessions">.*?</table>', page.text, re.DOTALL)
    assert began
    assert began[0].count("<tr>") == len(sessions) + 1
    assert page.text.count('class="pygal-chart"') >= 3
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert page.text.count("<script") == page.text.count('<script type="module" src=')


async def test_an_unknown_peer_is_reported(http: httpx.AsyncClient) -> None:
    assert "No peer has, or had, the address 198.51.100.99" in (await http.get("/peer/198.51.100.99")).text
    assert (await http.get("/peer/198.51.100.0%2F24")).status_code in (400, 404)
    assert (await http.get("/peer/nonsense")).status_code == 400


async def test_an_as_has_what_it_originates(http: httpx.AsyncClient) -> None:
    routes = (await http.get("/api/v1/rib")).json()["answers"]
    origins = {route["as_path"].split()[-1] for route in routes if route["as_path"] and route["as_path"][-1].isdigit()}
    for origin in sorted(origins)[:3]:
        found = {
            route["prefix"]
            for route in routes
            if route["as_path"] and route["as_path"].split()[-1] == origin and route["state"] != "unknown"
        }
        page = (await http.get(f"/as/{origin}")).text
        assert f"Originates {len(found)} prefixes" in page
        assert all(f">{prefix}<" in page for prefix in found)


async def test_an_as_is_written_as_people_do(http: httpx.AsyncClient) -> None:
    for written, number in (("AS64500", 64500), ("1.10", 65546), ("4200000001", 4200000001)):
        assert f"<h1>AS{number}</h1>" in (await http.get(f"/as/{written}")).text
    refused = await http.get("/as/x%3Cscript%3E")
    assert refused.status_code == 400
    assert "<script>" not in refused.text


async def test_a_slow_page_says_so_and_can_be_had_all_the_same(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asn, "_SECONDS", PATIENCE)
    whole = (await http.get("/as/64496")).text
    for module, name in ((asn, "_SECONDS"), (peer, "_PATIENCE")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(peer, "_FEW", 0)
    monkeypatch.setattr("collector.http.pages.patience.FEW", 0)
    cut = (await http.get("/as/64496")).text
    assert "The tables of all peers are large" in cut
    assert "Too much was said of its prefixes" in cut
    assert 'href="/as/64496?whole=true"' in cut
    assert facts_of((await http.get("/as/64496?whole=true")).text) == facts_of(whole)
    address = await peer_of(http)
    cut = (await http.get(f"/peer/{address}")).text
    assert cut.count("It said too much to be counted at once") == 2
    link = re.search(r'href="([^"]*whole=true)"', cut)
    assert link
    assert 'class="pygal-chart"' in (await http.get(link[1].replace("&amp;", "&"))).text


def facts_of(page: str) -> list[str]:
    return re.findall(r"<h2[^<]*<|<th scope=\"row\">.*?</tr>", page)
