"""Odd requests: each is refused with cause and cure, and none is a failure of ours.

HTTP_ODD=1 (make http-schema) asks all of it, some minutes long, and not some by chance.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from bgpledger.cursors import LineMark
from tests.http.conftest import PATIENCE, connect

ODD = [
    *("", " ", "\0", "\r\nX: y", "%", "%00", "../../etc/passwd", "💥", "۱۲۳", "\u202e", "\ud800", "'\"><script>"),
    *("{$ne: 1}", "[", "(" * 500, "-1", "1e999", "nan", "9" * 400, "0x10", "A" * 5000, "AS4294967296", "0.0"),
    *("::", "0.0.0.0/0", "::/0", "1.2.3.4/-1", "fe80::1%eth0"),
    *("9999-12-31T23:59:59.999999Z", "0001-01-01", "1969-12-31", "2106-02-07T06:28:15.999Z", "99999999999d"),
    *("\\p{Greek}+", "(?i)", "a{1000}{1000}"),
]
PATHS = [
    *(f"/api/v1/prefixes/{{}}/{kind}" for kind in ("history", "rib", "lookup")),
    *("/api/v1/peers/{}/sessions", "/api/v1/top/{}", "/api/v1/announcements/{}", "/api/v1/{}", "/data/{}/data.json"),
    *("/prefix/{}", "/replay/{}", "/replay/{}.svg", "/peer/{}", "/as/{}", "/static/{}", "/document/{}"),
    *("/announcements/{}", "/{}"),
]
FILTERS = """
start end duration elem peer peer_asn origin as_path community next_hop family med attribute router rib prefix
"""
ASKED = {
    "/api/v1/updates": [*FILTERS.split(), "limit", "page", "cursor", "format"],
    "/api/v1/rib": ["at", "cursor", "limit", "page", "as_path", "format"],
    "/api/v1/diff": ["earlier", "later"],
    "/api/v1/top/prefixes": ["by", "limit", "start"],
    "/data/bgplay/data.json": ["resource", "starttime", "endtime", "rrcs", "unix_timestamps"],
    "/data/bgp-update-activity/data.json": ["resource", "max_samples", "min_sampling_period", "num_hours"],
    "/data/routing-history/data.json": ["resource", "max_rows", "min_peers"],
    "/data/looking-glass/data.json": ["resource", "look_back_limit", "timestamp"],
    "/prefix/203.0.113.0/24": ["start", "end", "until", "peer", "at"],
    "/replay/203.0.113.0/24": ["start", "end", "at", "peer"],
    "/peer/192.0.2.1": ["start", "end", "router", "rib", "whole"],
    "/as/64500": ["at", "whole"],
    "/lookup": ["q", "at", "match"],
    "/updates": ["as_path", "start", "peer"],
    "/compare": ["earlier", "later", "prefix"],
    "/live": ["peer", "elem"],
    "/search": ["q"],
    "/sign-in": ["next"],
}
HEADERS = {
    "Host": ["", "evil.example", "[::1", "127.0.0.1:99999999", "a" * 3000, "\xff"],
    "Accept": ["text/html;q=\xff", "application/jsonl," * 500, ";;;,,,"],
    "Authorization": ["Bearer \xff", "Basic \xff", "Basic " + "A" * 3000, "Bearer " * 100, "Negotiate"],
    "Cookie": ["bgpledger=\xff", "=;=;=", "bgpledger=" + "x" * 4000],
    "Content-Length": ["-1", "9" * 40, "x"],
    "Origin": ["null", "\xff", "http://"],
    "Last-Event-ID": ["\xff", "x" * 7000],
    "Range": ["bytes=0-,-1"],
    "X-Forwarded-For": ["\xff"],
}


@pytest.fixture(autouse=True)
def no_bug(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The log has no failure of ours either: one may come when the answer is already there."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if "a bug" in record.getMessage()] == []


def refused_well(response: httpx.Response, what: object) -> None:
    """It is no failure of ours, and where it is refused, it says why and what to do."""
    assert response.status_code < 500, (what, response.text[:500])
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    if response.headers["content-type"].startswith("application/problem+json"):
        problem = response.json()
        assert all((problem["detail"], problem["cure"])), what
    elif response.headers["content-type"].startswith("application/json"):
        assert response.json()["messages"], what  # RIPEstat's shape
    else:
        assert "<main" in response.text, (what, response.text[:500])


def asked_oddly() -> list[str]:
    named = [
        path.format(quote(odd.encode(errors="surrogatepass"), safe=safe))
        for path in PATHS
        for odd in ODD
        for safe in ("", "/")
    ]
    given = [
        f"{path}?{name}={quote(odd.encode(errors='surrogatepass'))}"
        for path, names in ASKED.items()
        for name in names
        for odd in ODD
    ]
    return [
        *dict.fromkeys(named),
        *given,
        "/lookup?" + "q=1&" * 5000,
        "/updates?" + "x" * 60_000,
        "/api/v1/rib?%ff=%ff",
    ]


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_odd_queries_are_refused(http: httpx.AsyncClient, accept: str) -> None:
    urls = asked_oddly()
    for url in urls if os.environ.get("HTTP_ODD") else ["/api/v1/prefixes//history", *random.sample(urls, 25)]:
        try:
            response = await http.get(url, headers={"Accept": accept})
        except httpx.InvalidURL:
            continue
        refused_well(response, url)


async def test_odd_headers_are_no_failure(http: httpx.AsyncClient) -> None:
    for path in ("/api/v1/peers", "/", "/api/v1/live") if os.environ.get("HTTP_ODD") else ("/api/v1/live",):
        for name, values in HEADERS.items():
            for value in values:
                if path == "/api/v1/live" and name not in ("Host", "Content-Length", "Last-Event-ID"):
                    continue  # it is answered, without end
                headers = {name.encode(): value.encode("latin-1"), b"accept": b"*/*"}
                refused_well(await http.get(path, headers=headers), (path, name, value))


def token(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


async def test_unknown_event_ids_are_no_failure(http: httpx.AsyncClient) -> None:
    version, digest, *_ = json.loads(base64.urlsafe_b64decode(LineMark().token() + "=="))
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode()
    forged: list[list[object]] = [
        [],
        [{}],
        [{}, {}, {}],
        [1, 2],
        [{"x": [1, 2]}, {}],
        [{"1": [1, 10**18]}, {}],
        [{}, {"1": [1, -1, "", 0]}],
    ]
    for name in (deep, token(), token(version), token(9, digest), *(token(version, digest, *one) for one in forged)):
        refused_well(said := await http.get("/api/v1/live", headers={"Last-Event-ID": name}), name)
        assert said.status_code == 400, name
    refused_well(await http.get("/api/v1/rib", params={"cursor": deep}), deep)


async def test_bodies_that_are_no_orders_are_refused(http: httpx.AsyncClient) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 60_000, b'{"announcements": 1e999}', b"null", b'"\\ud800"'):
        for path in ("/api/v1/announcements", "/api/v1/peers", "/sign-in", "/data/bgplay/data.json"):
            headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
            refused_well(await http.post(path, content=body, headers=headers), (path, body[:20]))


async def wrong(socket: ClientConnection) -> None:
    said = json.loads(await socket.recv())
    assert said["type"] == "ris_error", said


async def test_rubbish_at_the_socket_is_no_failure(served: str) -> None:
    url = f"{served.replace('http', 'ws')}/v1/ws/"
    async with connect(url) as socket:
        for text in (
            "",
            "null",
            "[]",
            "[" * 50_000,
            '"\\ud800"',
            "{}",
            '{"type": []}',
            '{"type": "ris_subscribe", "data": {"path": []}}',
        ):
            await socket.send(text)
            await wrong(socket)
        await socket.send(b"\x00\xff")
        await wrong(socket)
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv())["type"] == "pong"
    for query in ("speed=x", "speed=nan", "speed=0", "from=" + "9" * 500, "from=%00"):
        async with connect(f"{url}?{query}") as socket:
            await wrong(socket)


async def test_half_a_request_holds_up_nobody(served: str) -> None:
    host, port = served.removeprefix("http://").split(":")
    halves = [await asyncio.open_connection(host, int(port)) for _ in range(30)]
    try:
        for number, (_, writer) in enumerate(halves):
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "[: 10 + number])
            await writer.drain()
        async with httpx.AsyncClient() as asking:
            assert (await asking.get(f"{served}/health", timeout=PATIENCE)).status_code == 200
    finally:
        for _, writer in halves:
            writer.close()
