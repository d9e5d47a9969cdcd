"""Who may query over HTTP and how often, and which secrets stay secret."""

from __future__ import annotations

import base64
import json
import ssl
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from bgpledger import Archive
from collector.errors import UsageError
from collector.http import tokens
from collector.http.rates import Rates
from collector.settings.load import load
from tests.http.conftest import PATIENCE, Filled, client, serving
from tests.running import bgpledger, free_port


def as_password(token: str) -> str:
    return f"Basic {base64.b64encode(f'anybody:{token}'.encode()).decode()}"


@pytest.fixture
def guarded(asked: Archive, filled: Filled, tmp_path: Path) -> httpx.AsyncClient:
    environment = {**filled.environment, "BGPLEDGER_HTTP_TOKENS": "true", "BGPLEDGER_DATA_DIR": str(tmp_path)}
    return client(asked, load(None, environ=environment))


async def test_a_token_is_required(guarded: httpx.AsyncClient, tmp_path: Path) -> None:
    token = tokens.add(tmp_path, "grafana", "read")
    for path in ("/", "/api/v1/peers", "/data/ris-peers/data.json", "/api/v1/openapi.json", "/nowhere"):
        for authorization in ("", "Bearer x", f"Bearer {token}x", f"Digest {token}", "Basic %%", "Basic eA=="):
            said = await guarded.get(path, headers={"Authorization": authorization})
            assert said.status_code == 401, (path, authorization)
            assert "Basic" in said.headers["www-authenticate"]
            assert token not in said.text
    for authorization in (f"Bearer {token}", f"bearer {token}", as_password(token)):
        assert (await guarded.get("/api/v1/peers", headers={"Authorization": authorization})).status_code == 200
    assert (await guarded.get("/health")).status_code == 200
    tokens.remove(tmp_path, "grafana")
    assert (await guarded.get("/api/v1/peers", headers={"Authorization": f"Bearer {token}"})).status_code == 401


def test_tokens_are_stored_as_hashes_readable_by_the_owner_only(tmp_path: Path) -> None:
    token = tokens.add(tmp_path, "one", "read")
    file = tmp_path / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    assert [one.name for one in tokens.tokens(tmp_path)] == ["one"]
    with pytest.raises(UsageError):
        tokens.add(tmp_path, "one", "read")
    with pytest.raises(UsageError):
        tokens.remove(tmp_path, "two")


def test_tokens_by_the_command_line(tmp_path: Path) -> None:
    directory = ("--data-dir", str(tmp_path))
    made = bgpledger("token", "add", "--name", "noc", *directory)
    assert made.stdout.startswith("bgpledger_")
    listed = json.loads(bgpledger("token", "list", "--format", "json", *directory).stdout)
    assert [(one["name"], one["scope"]) for one in listed] == [("noc", "read")]
    assert made.stdout.strip() not in json.dumps(listed)
    assert "noc   read" in bgpledger("token", "list", *directory).stdout
    assert bgpledger("token", "remove", "--name", "noc", *directory).returncode == 0
    assert "no token 'noc'" in bgpledger("token", "remove", "--name", "noc", *directory).stderr


def test_a_client_that_asks_too_often_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("collector.http.rates.monotonic", lambda: now)
    rates = Rates(5)
    assert [rates.take("a") for _ in range(10)] == [0] * 10
    assert 0 < rates.take("a") <= 0.2
    assert rates.take("b") == 0
    now += 1
    assert [rates.take("a") > 0 for _ in range(6)] == [False] * 5 + [True]


async def test_too_many_requests(asked: Archive, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.http.rates.monotonic", lambda: 100.0)
    async with client(asked, load(None, environ={**filled.environment, "BGPLEDGER_HTTP_RATE": "1"})) as http:
        said = [await http.get("/health") for _ in range(4)]
    assert [one.status_code for one in said] == [200, 200, 429, 429]
    assert int(said[-1].headers["retry-after"]) >= 1


async def test_a_query_has_a_time_limit(asked: Archive, filled: Filled) -> None:
    async with client(asked, load(None, environ={**filled.environment, "BGPLEDGER_HTTP_SECONDS": "1e-9"})) as http:
        for path in ("/api/v1/updates?all=true", "/api/v1/rib?format=csv", "/data/ris-peers/data.json"):
            assert (await http.get(path)).status_code == 504, path


async def test_expressions_are_those_of_re2(http: httpx.AsyncClient) -> None:
    said = await http.get("/api/v1/rib", params={"as_path": r"(64500)\1"})
    assert (said.status_code, "RE2" in said.json()["detail"]) == (400, True)


async def test_other_sites_may_ask_only_when_told(asked: Archive, filled: Filled) -> None:
    origin = {"Origin": "https://portal.example.net"}
    async with client(asked, filled.settings) as http:
        assert "access-control-allow-origin" not in (await http.get("/health", headers=origin)).headers
    told = load(None, environ={**filled.environment, "BGPLEDGER_HTTP_ORIGINS": "https://portal.example.net"})
    async with client(asked, told) as http:
        said = await http.get("/health", headers=origin)
        assert said.headers["access-control-allow-origin"] == "https://portal.example.net"
        said = await http.get("/health", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in said.headers


async def test_answers_hold_no_secret(http: httpx.AsyncClient, filled: Filled) -> None:
    password = filled.uri.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password
    for path in ("/api/v1/status", "/api/v1/peers", "/", "/api/v1/docs", "/metrics"):
        assert password not in (await http.get(path)).text, path


def test_other_addresses_require_tls_and_a_token(filled: Filled, tmp_path: Path) -> None:
    listen = f"0.0.0.0:{free_port()}"
    refused = bgpledger("serve", "--listen", listen, "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert "tls_cert" in refused.stderr
    certificate, key = tmp_path / "http.pem", tmp_path / "http.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    own = {**filled.environment, "BGPLEDGER_HTTP_TLS_CERT": str(certificate), "BGPLEDGER_HTTP_TLS_KEY": str(key)}
    own["BGPLEDGER_DATA_DIR"] = str(tmp_path)
    token = tokens.add(tmp_path, "noc", "read")
    with (
        serving(listen, own),
        httpx.Client(verify=ssl.create_default_context(cafile=certificate), timeout=PATIENCE) as asking,
    ):
        url = f"https://127.0.0.1:{listen.partition(':')[2]}/api/v1/peers"
        assert asking.get(url).status_code == 401
        assert asking.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200
