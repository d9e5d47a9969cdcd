"""`docs/acting.md`, "Getting started", followed with BIRD: its files and commands as they are printed, except for
ports. The printed output must appear, except for times, ids and the order of lines.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from tests.running import bgpledger, free_port
from tests.support import ROOT, program, until

PAGE = (ROOT / "docs/acting.md").read_text()
SECTION = PAGE.split("## Getting started\n")[1].split("\n## ")[0]
ASKING = ("birdc -s bird.ctl show", "bgpledger intents", "bgpledger history")
"""Commands that change nothing: they are typed again until they say what is printed."""
PORT = {port: str(free_port()) for port in ("1790", "1791", "8080", "8480")}
"""The ports of the page, and those of this test."""
DATA_DIR = "data"
"""As the page sets it."""
KEEPING = re.compile(r"([A-Z]+)=\$\((bgpledger .*)\)")
_END = b"-- that was all --\n"
_PATIENCE = 120.0


class Typed(NamedTuple):
    """A command of the page, and what is printed below it."""

    command: str
    output: str


def typed() -> list[Typed]:
    """All commands of the section, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = one.splitlines(keepends=True)
            words = 1 + next(at for at, line in enumerate(lines) if not line.endswith("\\\n"))
            found.append(Typed("".join(lines[:words]), "".join(lines[words:])))
    return found


def stable_lines(output: str) -> list[str]:
    """The lines of an output, without what differs each time."""
    text = re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3}", "TIME", output)
    return sorted(re.sub(r"\b[0-9a-f]{24}\b", "ID", text).splitlines())


class Terminal:
    """A shell in which commands are typed, one after the other.

    Commands of bgpledger that need nothing of the shell but variables are run by the Python process that tests share.
    """

    def __init__(self, shell: subprocess.Popen[bytes], directory: Path) -> None:
        assert shell.stdin is not None
        assert shell.stdout is not None
        self._typed, self._printed = shell.stdin, shell.stdout.fileno()
        self._directory = directory
        self._watched = selectors.DefaultSelector()
        self._watched.register(self._printed, selectors.EVENT_READ)

    def type(self, command: str) -> str:
        """Type a command; returns what it prints.

        Raises:
            AssertionError: it does not end.
        """
        if (kept := KEEPING.match(command)) or (command.startswith("bgpledger ") and "&" not in command):
            words = shlex.split(kept[2] if kept else command)
            done = bgpledger(*words[1:], BGPLEDGER_DATA_DIR=str(self._directory / DATA_DIR))
            if not kept:
                return done.stdout + done.stderr
            command = f"{kept[1]}={shlex.quote(done.stdout.strip())}"
        self._typed.write(f"{command.rstrip()}\necho '{_END.decode().strip()}'\n".encode())
        self._typed.flush()
        printed, deadline = b"", monotonic() + _PATIENCE
        while not printed.endswith(_END):
            assert self._watched.select(deadline - monotonic()), f"{command} does not end: {printed!r}"
            more = os.read(self._printed, 2**16)
            assert more, f"the shell ended: {printed!r}"
            printed += more
        return printed.removesuffix(_END).decode()


@contextmanager
def terminal(directory: Path) -> Iterator[Terminal]:
    """A shell, of which nothing is left in the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    with subprocess.Popen(
        ["bash"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env={**kept, "PATH": path, "BGPLEDGER_HTTP_LISTEN": f"127.0.0.1:{PORT['8480']}"},
        start_new_session=True,
    ) as shell:
        typing = Terminal(shell, directory)
        try:
            yield typing
            typing.type("kill $(jobs -p); birdc -s bird.ctl down; wait")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


def here(text: str) -> str:
    """The text of the page, with ports that a test may use."""
    return re.sub(r"\b\d{4}\b", lambda port: PORT.get(port[0], port[0]), text)


async def test_the_printed_output_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bird", "birdc", "curl"):
        program(name)
    monkeypatch.setenv("LOGNAME", "root")
    bird, toml = re.findall(r"```(?:toml)?\n([^$]*?)```\n", SECTION)
    (tmp_path / "bird.conf").write_text(here(bird))
    (tmp_path / "collector.toml").write_text(here(toml))
    with terminal(tmp_path) as shell:
        for command, output in typed():
            if command.startswith("curl"):
                health = f"curl -s -o health.json -w '%{{http_code}}\\n' http://127.0.0.1:{PORT['8480']}/health"
                await until(partial(answers, shell, health), what="the API answers")
            if command.startswith(ASKING):
                await until(partial(says, shell, command, output), what=f"{command} says:\n{output}")
            else:
                assert stable_lines(shell.type(here(command))) == stable_lines(output)


def answers(shell: Terminal, health: str) -> bool:
    """Whether the API answers."""
    return shell.type(health) == "200\n"


def says(shell: Terminal, command: str, output: str) -> bool:
    """Whether a command now prints this."""
    return stable_lines(shell.type(here(command))) == stable_lines(output)
