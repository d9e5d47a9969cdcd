"""Checks of services: real ones that answer, refuse, hang, or send what no such service sends."""

from __future__ import annotations

import asyncio
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.acting.health import dns
from collector.acting.health.checker import probe
from collector.acting.health.probe_result import shown
from collector.settings.checks import CheckSettings, RecordType
from tests.running import free_port, processes
from tests.support import until


def check(**keys: Any) -> CheckSettings:
    return CheckSettings.model_validate({"name": "www", "ip": ["203.0.113.1/32"], "timeout": 60, **keys})


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """A server that sends this, or nothing, to everybody; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is not None:
            await reader.read(4096)
            writer.write(answer)
            writer.close()
        else:
            silent.append(writer)

    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for writer in silent:
        writer.close()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", (True, "HTTP 200")),
        (b"HTTP/1.0 302 Found\r\n\r\n", (True, "HTTP 302")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", (False, "HTTP 503")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", (False, "HTTP 100")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", (False, "the answer is not HTTP")),
        (b"x" * 200_000, (False, "the answer is not HTTP")),
        (b"", (False, "connection closed without an answer")),
    ],
)
async def test_http_checks_depend_on_the_status(answer: bytes, result: tuple[bool, str]) -> None:
    async with answering(answer) as port:
        assert await probe(check(http=f"http://127.0.0.1:{port}/health?deep=1")) == result


async def test_tcp_checks_connect() -> None:
    async with answering(None) as port:
        assert await probe(check(tcp=f"127.0.0.1:{port}")) == (True, "connected")
    assert await probe(check(tcp=f"127.0.0.1:{free_port()}")) == (False, "connection refused")
    assert await probe(check(http=f"http://[::1]:{free_port()}/")) == (False, "connection refused")


async def test_a_service_that_does_not_answer_is_not_waited_for() -> None:
    async with answering(None) as port:
        assert await probe(check(http=f"http://127.0.0.1:{port}/", timeout=0.05)) == (False, "timed out after 0.05 s")


async def test_https_requires_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ),
            *("-subj", "/CN=www.example.net", "-addext", "subjectAltName=DNS:www.example.net"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await probe(check(http=url, http_host="www.example.net")) == (
            False,
            "certificate: self-signed certificate",
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await probe(check(http=url, http_host="www.example.net")) == (True, "HTTP 200")
        assert b"\r\nHost: www.example.net\r\n" in asked[0]
        is_healthy, result = await probe(check(http=url))
        assert (is_healthy, result[:12]) == (False, "certificate:")
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        is_healthy, result = await probe(check(http=f"https://127.0.0.1:{port}/"))
        assert (is_healthy, result[:4]) == (False, "TLS:")


Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def name_server(*answers: Answer) -> AsyncIterator[int]:
    """A server that answers a question with all of these; gives its port."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for answer in answers:
                self.transport.sendto(answer(data), addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def answer(flags: int, records: int) -> Answer:
    return lambda asked: asked[:2] + struct.pack(">5H", flags, 1, records, 0, 0) + asked[12:]


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ((answer(0x8180, 1),), (True, "NOERROR, 1 record")),
        ((answer(0x8180, 0),), (False, "NOERROR, 0 records")),
        ((answer(0x8380, 0),), (True, "NOERROR, cut")),
        ((answer(0x8183, 0),), (False, "NXDOMAIN")),
        ((answer(0x818B, 0),), (False, "RCODE 11")),
        ((lambda asked: bytes([asked[0] ^ 1]) + answer(0x8180, 1)(asked)[1:], answer(0x8182, 0)), (False, "SERVFAIL")),
        ((lambda _: b"?", answer(0x8185, 0)), (False, "REFUSED")),
    ],
)
async def test_dns_checks_compare_the_answer(answers: tuple[Answer, ...], result: tuple[bool, str]) -> None:
    async with name_server(*answers) as port:
        server = f"127.0.0.1:{port}"
        assert await probe(check(dns={"name": "www.example.net.", "type": "AAAA", "server": server})) == result


async def test_a_missing_dns_server_fails_the_check() -> None:
    server = f"127.0.0.1:{free_port()}"
    assert await probe(check(dns={"name": "www.example.net", "server": server})) == (False, "connection refused")


def test_every_type_of_record_can_be_asked_for() -> None:
    assert set(dns.TYPES) == set(get_args(RecordType))
    assert dns.query(7, "www.example.net", "MX") == bytes.fromhex(
        "0007 0100 0001 0000 0000 0000 03777777 076578616d706c65 036e6574 00 000f 0001"
    )


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_a_failed_check(answer: bytes) -> None:
    dns.read(dns.query(7, "www.example.net", "A"), answer)


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("true", (True, "exit status 0")),
        (["sh", "-c", "echo fine; exit 0"], (True, "exit status 0: fine")),
        ("echo; echo 'not well'\necho more; exit 3", (False, "exit status 3: not well")),
        ("printf '\\033[1m\\377'; false", (False, "exit status 1: ?[1m\N{REPLACEMENT CHARACTER}")),
        ("kill -9 $$", (False, "killed by signal 9")),
        ("yes | head -c 3000000", (True, "exit status 0: y")),
    ],
)
async def test_commands_are_checked_by_their_exit_status(command: str | list[str], result: tuple[bool, str]) -> None:
    assert await probe(check(command=command)) == result


async def test_a_command_that_hangs_is_killed_with_its_children() -> None:
    assert await probe(check(command="sleep 98.7654 & sleep 98.7654; true", timeout=0.3)) == (
        False,
        "timed out after 0.3 s",
    )
    await until(lambda: not processes("sleep 98.7654"))


async def test_commands_are_not_told_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGPLEDGER_MONGODB_URI", "mongodb://u:p@localhost/")
    assert await probe(check(command='test -z "$BGPLEDGER_MONGODB_URI"')) == (True, "exit status 0")


async def test_a_service_without_a_check_is_well() -> None:
    assert await probe(check()) == (True, "nothing is looked at")


@given(st.text())
def test_what_a_check_reports_is_printable(text: str) -> None:
    assert shown(text).isprintable()
