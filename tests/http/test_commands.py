"""Commands that a running collector's HTTP server answers: byte for byte what they print by themselves."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import random
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import PIPE
from typing import Any, TextIO

import httpx
import pytest

from bgpledger import Archive
from collector import local_server
from collector.cli.command_client import answer_from_server
from collector.http.app import ForCommands, make_app
from schemas.json_object import JsonObject
from tests.http.conftest import PATIENCE, Filled, serving
from tests.http.test_equal import TIMES, by_command_line, some_question, timeless
from tests.running import BGPLEDGER, free_port
from tests.store.test_asking import PREFIX
from tests.support import until

QUESTIONS = int(os.environ.get("HTTP_QUESTIONS") or 12)
PATIENT = [
    *(sys.executable, "-c"),
    f"from collector.cli import command_client, main; command_client._PATIENCE = {PATIENCE}; main()",
]
"""`bgpledger`, for a machine that is busy."""
MORE = ["table", "json", "bgpreader"]
"""Formats that `some_question` leaves out."""


@pytest.fixture(scope="module")
def collector(filled: Filled) -> Iterator[local_server.Server]:
    """A server that answers commands, as a collector has one."""
    with serving(f"127.0.0.1:{free_port()}", filled.environment, "--commands"):
        found = local_server.find_server(str(filled.data_dir))
        assert found is not None
        yield found


class Shell:
    """Commands, typed where a collector runs."""

    def __init__(self, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
        self._filled = filled
        self._monkeypatch = monkeypatch

    def by_itself(self, command: Sequence[str]) -> tuple[int, str, str]:
        with self._monkeypatch.context() as patch:
            for name, value in self._filled.environment.items():
                patch.setenv(name, value)
            return by_command_line(command)

    def elsewhere(self, command: Sequence[str]) -> tuple[int | None, str, str]:
        printed, said = io.BytesIO(), io.BytesIO()
        out, err = io.TextIOWrapper(printed, encoding="utf-8"), io.TextIOWrapper(said, encoding="utf-8")
        with self._monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in self._filled.environment:
                patch.delenv(name, raising=False)
            patch.setenv("BGPLEDGER_DATA_DIR", str(self._filled.data_dir))
            status = answer_from_server(command)
        return status, printed.getvalue().decode(), said.getvalue().decode()


@pytest.fixture
def shell(filled: Filled, monkeypatch: pytest.MonkeyPatch, collector: local_server.Server) -> Shell:
    monkeypatch.setattr("collector.cli.command_client._PATIENCE", PATIENCE)
    return Shell(filled, monkeypatch)


def test_answers_are_those_of_a_command_by_itself(shell: Shell) -> None:
    chance = random.Random(os.environ.get("HTTP_SEED") or random.randrange(2**32))
    commands = [some_question(chance).command for _ in range(QUESTIONS)]
    commands += [["history", PREFIX, "--format", form] for form in MORE]
    commands += [["diff", TIMES[1], TIMES[4], "--format", form] for form in MORE[:2]]
    commands += [["rib", "--at", TIMES[4], "--format", form] for form in MORE]
    commands += [["lookup", "10.1.2.3", "--at", TIMES[4]], ["top", "origins"], ["search", "--limit", "3"], ["peers"]]
    answers = 0
    for command in commands:
        by_itself, elsewhere = shell.by_itself(command), shell.elsewhere(command)
        if elsewhere[0] is None:
            assert by_itself[0] == 2, (command, by_itself)
            assert elsewhere[1:] == ("", "")
            continue
        answers += 1
        for one, other in zip(elsewhere[1:], by_itself[1:], strict=True):
            assert timeless(one) == timeless(other), command
        assert elsewhere[0] == by_itself[0], command
    assert answers > QUESTIONS / 2


@pytest.mark.parametrize(
    "command",
    [
        ("history", PREFIX, "--help"),
        ("history", "10.0.0.0/33"),
        ("history", PREFIX, "--no-such-option"),
        ("history", PREFIX, "--mongodb-uri", "mongodb://127.0.0.1:1"),
        ("rib", "--data-dir", "/nowhere"),
        ("--data-dir", "/nowhere", "rib"),
        ("status",),
        ("tail", "--limit", "1"),
        ("--version",),
        (),
    ],
)
def test_a_command_that_is_not_a_plain_query_answers_by_itself(shell: Shell, command: Sequence[str]) -> None:
    assert shell.elsewhere(command) == (None, "", "")


def test_a_named_data_directory_is_used(shell: Shell, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(filled.data_dir.parent)
    for named in (str(filled.data_dir), filled.data_dir.name):
        for command in (("--data-dir", named, "peers"), ("peers", f"--data-dir={named}")):
            assert shell.elsewhere(command)[0] == 0, command


def test_another_store_named_in_the_environment_is_used(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in filled.environment.items():
        monkeypatch.setenv(name, value)
    assert answer_from_server(["peers"]) is None


def test_the_output_on_a_terminal_is_the_same(filled: Filled, collector: local_server.Server) -> None:
    plain = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "72"}
    asked = {"BGPLEDGER_DATA_DIR": str(filled.data_dir)}
    seen = [on_a_terminal(["history", PREFIX], plain | environment) for environment in (asked, filled.environment)]
    assert seen[0] == seen[1]
    assert b"\x1b[1m" in seen[0]


async def test_a_command_that_is_typed_is_answered(filled: Filled, collector: local_server.Server) -> None:
    asked = {"PATH": os.environ["PATH"], "BGPLEDGER_DATA_DIR": str(filled.data_dir)}
    before = count_commands(collector)

    def is_answered() -> bool:  # a server that is too busy to answer it is not waited for
        subprocess.run([BGPLEDGER, "peers"], env=asked, check=True, capture_output=True)
        return count_commands(collector) > before

    await until(is_answered)


def on_a_terminal(command: Sequence[str], environment: dict[str, str]) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen([BGPLEDGER, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as asking:
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 65536):
                seen += more
        except OSError:  # it has been closed
            pass
        finally:
            os.close(ours)
    assert asking.returncode == 0, seen
    return seen


def count_commands(server: local_server.Server) -> float:
    """How many were answered."""
    said = httpx.get(f"http://{server.address}:{server.port}/metrics", timeout=PATIENCE).text
    lines = [line for line in said.splitlines() if 'path="/command",status="200"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_only_commands_of_its_user_are_answered(filled: Filled, collector: local_server.Server, served: str) -> None:
    file = filled.data_dir / "http.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    command = {
        "words": ["peers"],
        "directory": "/",
        "data_dir": str(filled.data_dir),
        "columns": None,
        "bold": False,
        "errors_to_terminal": False,
    }
    url = f"http://{collector.address}:{collector.port}{local_server.PATH}"
    token = {"Authorization": f"Bearer {collector.token}"}
    with httpx.Client(timeout=PATIENCE) as asking:
        assert asking.post(url, json=command, headers=token).status_code == 200
        assert asking.post(url, json=command | {"words": ["status"]}, headers=token).status_code == 422
        assert asking.post(url, json=command).status_code == 403
        assert asking.post(url, json=command, headers={"Authorization": "Bearer x"}).status_code == 403
        assert asking.post(f"{served}{local_server.PATH}", json=command, headers=token).status_code == 403
        assert local_server.PATH not in asking.get(f"{served}/api/v1/openapi.json").json()["paths"]


def test_a_server_that_was_killed_or_is_of_another_version_is_not_asked(tmp_path: Path) -> None:
    here = str(tmp_path)
    server = local_server.Server("127.0.0.1", 1, "x", local_server.installed_version() or "")
    assert local_server.find_server(here) is None
    with local_server.published(here, server):
        assert local_server.find_server(here) == server
    assert local_server.find_server(here) is None
    with local_server.published(here, server._replace(version="0.0.1")):
        assert local_server.find_server(here) is None
    (tmp_path / "http.json").write_text(json.dumps(server._asdict()))  # as after SIGKILL
    assert local_server.find_server(here) is None


class Endless:
    """A command that is never done."""

    def __init__(self) -> None:
        self.ended = False

    async def answer(self, _archive: Archive, out: TextIO, _err: TextIO, between: Callable[[], Awaitable[None]]) -> int:
        try:
            while True:
                out.write("x" * 1000)
                await between()
                await asyncio.sleep(0)
        finally:
            self.ended = True


def asking(token: str) -> JsonObject:
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    headers.append((b"content-type", b"application/json"))
    path = {
        "path": local_server.PATH,
        "raw_path": local_server.PATH.encode(),
        "root_path": "",
        "query_string": b"",
    }
    scope = {"type": "http", "method": "POST", "scheme": "http", "http_version": "1.0", "headers": headers}
    return {**scope, **path, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}


async def test_a_question_ends_when_its_reader_goes_and_waits_for_one_who_is_slow(
    asked: Archive, filled: Filled
) -> None:
    endless: list[Endless] = []

    def read(*_: object) -> Endless:
        endless.append(Endless())
        return endless[-1]

    app = make_app(asked, filled.settings, ForCommands(read, "secret"))
    command: JsonObject = {"words": [], "directory": "/", "data_dir": "/", "columns": None}
    body = json.dumps(command | {"bold": False, "errors_to_terminal": False}).encode()
    taken, leave, statuses = 0, asyncio.Event(), []

    async def ask() -> None:
        begun = False

        async def receive() -> JsonObject:
            nonlocal begun
            if not begun:
                begun = True
                return {"type": "http.request", "body": body, "more_body": False}
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal taken
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            elif statuses[-1] == 200:
                taken += 1
                await leave.wait()  # it stops reading

        await app(asking("secret"), receive, send)

    going = [asyncio.create_task(ask()) for _ in range(8)]
    await until(lambda: taken == 8)
    await ask()
    assert statuses == [200] * 8 + [503]
    leave.set()
    await asyncio.gather(*going)
    assert len(endless) == 8
    assert all(one.ended for one in endless)


def test_an_answer_that_breaks_off_says_so(tmp_path: Path) -> None:
    sent = b"HTTP/1.1 200 OK\r\n\r\n" + local_server.piece(local_server.OUT, b"begun\n") + b"out 100\nand"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = local_server.Server(
            "127.0.0.1", listener.getsockname()[1], "x", local_server.installed_version() or ""
        )
        environment = {"PATH": os.environ["PATH"], "BGPLEDGER_DATA_DIR": str(tmp_path)}
        with (
            local_server.published(str(tmp_path), server),
            subprocess.Popen([*PATIENT, "peers"], stdout=PIPE, stderr=PIPE, text=True, env=environment) as asking,
        ):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(sent)
            out, err = asking.communicate()
    assert (asking.returncode, out) == (1, "begun\nand")
    assert err.startswith("error: the collector's HTTP server ended in the middle of an answer\ncure: ")
