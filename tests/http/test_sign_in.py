"""Signing in with a browser: a token once, then a key that no script, no other site and no log has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bgpledger import Archive
from collector.http import tokens
from collector.settings.load import load
from tests.http.conftest import Filled, client

PAGE = {"Accept": "text/html,application/xhtml+xml"}
OURS = {**PAGE, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def browser(asked: Archive, filled: Filled, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    environment = {**filled.environment, "BGPLEDGER_HTTP_TOKENS": "true", "BGPLEDGER_DATA_DIR": str(tmp_path)}
    async with client(asked, load(None, environ=environment)) as one:
        yield one


async def sign_in(browser: httpx.AsyncClient, token: str, there: str = "/search") -> httpx.Response:
    return await browser.post("/sign-in", data={"token": token, "next": there}, headers=OURS)


async def test_a_page_leads_to_the_form_and_the_form_to_the_page(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    token = tokens.add(tmp_path, "noc", "read")
    led = await browser.get("/search?q=nothing+at+all", headers=PAGE)
    assert led.status_code == 303
    assert parse_qs(urlsplit(led.headers["location"]).query) == {"next": ["/search?q=nothing+at+all"]}
    form = await browser.get(led.headers["location"], headers=PAGE)
    assert 'value="/search?q=nothing+at+all"' in form.text
    assert (await browser.get("/static/page.css")).status_code == 200
    done = await sign_in(browser, token, "/search?q=nothing+at+all")
    assert (done.status_code, done.headers["location"]) == (303, "/search?q=nothing+at+all")
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token not in cookie
    assert "Sign out" in (await browser.get("/search", headers=PAGE)).text
    assert (await browser.get("/api/v1/peers")).status_code == 200
    assert (await browser.get("/sign-in?next=/live", headers=PAGE)).headers["location"] == "/live"


async def test_a_wrong_token_is_told_and_opens_nothing(browser: httpx.AsyncClient) -> None:
    said = await sign_in(browser, "bgpledger_<b>")
    assert (said.status_code, "not one of our tokens" in said.text) == (403, True)
    assert "<b>" not in said.text
    assert "set-cookie" not in said.headers
    browser.cookies.set("bgpledger-sign-in", "x")
    assert (await browser.get("/search", headers=PAGE)).status_code == 303


@pytest.mark.parametrize(
    "there", ["//evil.example", "/\\evil.example", "https://evil.example/", "", "/\n/evil.example"]
)
async def test_it_leads_nowhere_else(browser: httpx.AsyncClient, tmp_path: Path, there: str) -> None:
    token = tokens.add(tmp_path, "noc", "read")
    assert (await sign_in(browser, token, there)).headers["location"] == "/"


async def test_a_key_ends_with_its_token_and_when_one_signs_out(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    await sign_in(browser, tokens.add(tmp_path, "noc", "read"))
    tokens.remove(tmp_path, "noc")
    assert (await browser.get("/search", headers=PAGE)).status_code == 303
    await sign_in(browser, tokens.add(tmp_path, "noc", "read"))
    key = browser.cookies["bgpledger-sign-in"]
    assert (await browser.post("/sign-out", headers=OURS)).status_code == 303
    browser.cookies.set("bgpledger-sign-in", key)
    assert (await browser.get("/search", headers=PAGE)).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}],
)
async def test_pages_of_others_change_nothing(
    browser: httpx.AsyncClient, tmp_path: Path, headers: dict[str, str]
) -> None:
    await sign_in(browser, tokens.add(tmp_path, "noc", "read"))
    assert (await browser.post("/sign-out", headers={**PAGE, **headers})).status_code == 403
    assert (await browser.get("/search", headers=PAGE)).status_code == 200
    origin = {"Origin": "http://127.0.0.1:8480"}
    assert (await browser.post("/sign-out", headers={**PAGE, **origin})).status_code == 303
