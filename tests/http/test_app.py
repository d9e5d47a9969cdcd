"""What all responses over HTTP have in common: who may ask, security headers, and errors."""

from __future__ import annotations

import httpx
import pytest

from collector.http.problems import MEDIA_TYPE


@pytest.mark.parametrize("host", ["127.0.0.1:8480", "localhost", "LOCALHOST:8480", "[::1]:8480", "192.0.2.1"])
async def test_the_server_answers_to_addresses_and_localhost(http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8480", "127.0.0.1.evil.example", "", "[::1", "[::1]x", "[", "a@b"]
)
async def test_another_host_name_is_refused(http: httpx.AsyncClient, host: str) -> None:
    said = await http.get("/health", headers={"Host": host})
    assert (said.status_code, said.headers["content-type"]) == (421, MEDIA_TYPE)
    assert "hosts" in said.json()["cure"]


@pytest.mark.parametrize("path", ["/", "/health", "/api/v1/peers", "/static/page.css", "/nowhere", "/api/v1/peers?x=1"])
async def test_every_answer_forbids_what_a_page_of_ours_never_does(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, "nothing at /nowhere"),
        ("DELETE", "/api/v1/peers", 405, "not DELETE"),
        ("GET", "/api/v1/peers?peeer=192.0.2.1", 400, "no parameter 'peeer'"),
        ("GET", "/api/v1/peers?format=xml", 400, "format: 'xml' is not"),
    ],
)
async def test_errors_have_cause_and_cure(
    http: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    said = await http.request(method, path)
    assert (said.status_code, said.headers["content-type"]) == (status, MEDIA_TYPE)
    problem = said.json()
    assert problem["status"] == status
    assert words in problem["detail"]
    assert problem["cure"]


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("/api/v1/updates?prefx=10.0.0.0/8", "did you mean prefix?"),
        ("/api/v1/peers?router=192.0.2.1", "known here is format"),
    ],
)
async def test_an_unknown_parameter_is_answered_with_those_that_are_known(
    http: httpx.AsyncClient, path: str, cure: str
) -> None:
    said = await http.get(path)
    assert (said.status_code, said.json()["cure"]) == (400, cure)


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/nowhere", {}, 404, "there is nothing at /nowhere"),
        ("/health", {"Host": "evil.example"}, 421, "nothing here is called &#39;evil.example&#39;"),
        ("/health", {"Host": "<b>"}, 421, "&lt;b&gt;"),
    ],
)
async def test_a_browser_is_refused_on_a_page(
    http: httpx.AsyncClient, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    said = await http.get(path, headers=BROWSER | headers)
    assert (said.status_code, said.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in said.text


async def test_a_query_has_no_body(http: httpx.AsyncClient) -> None:
    assert (await http.request("GET", "/health", content=b"x" * 100_000)).status_code == 413


async def test_health_checks_report_live_and_ready(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json() == {"state": "alive"}
    assert (await http.get("/ready")).json() == {"state": "ready"}
