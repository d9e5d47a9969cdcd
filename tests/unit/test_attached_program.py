"""Attached commands as processes: answered, restarted and ended, with orders given meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector import retry
from collector.acting.attached.program import Program
from collector.errors import RefusedError
from collector.settings.checks import CommandSettings
from collector.tasks import end
from schemas.intents import Order, Withdrawal
from tests.support import until


class Kept:
    """Accepts orders as the acting process does, and refuses prefixes outside 203.0.113.0/24."""

    def __init__(self) -> None:
        self.standing_now: dict[str, str] = {}
        self.whys: list[str] = []

    async def submit(self, order: Order | Withdrawal) -> None:
        if isinstance(order, Withdrawal):
            withdrawn = order.ids or tuple(self.standing_now)
            self.standing_now = {one: nlri for one, nlri in self.standing_now.items() if one not in withdrawn}
        else:
            for one in order.announcements:
                if not one.prefix.startswith("203.0.113."):
                    raise RefusedError("it is not allowed", "allow it")
                self.standing_now[f"{len(self.whys):024x}"] = one.nlri
        self.whys.append(order.why)

    def current_ids(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        assert source == "command script"
        return tuple(one for one, nlri in self.standing_now.items() if nlri in nlris)


@asynccontextmanager
async def running(kept: Kept, run: str | list[str], **more: Any) -> AsyncIterator[Program]:
    program = Program(CommandSettings.model_validate({"name": "script", "run": run, **more}), kept)
    task = asyncio.create_task(program.run())
    try:
        yield program
        await program.stop()
    finally:
        await end(task)


SAYS = """
import sys
for line in sys.argv[2:]:
    print(line, flush=True)
    if line not in ("silence-ack", "debug x") and "silence-ack" not in sys.argv[2:][: sys.argv[2:].index(line)]:
        open(sys.argv[1], "a").write(sys.stdin.readline())
sys.stdin.read()
"""


async def test_each_line_is_carried_out_and_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, told = Kept(), tmp_path / "told"
    lines = [
        "announce route 203.0.113.1 next-hop self",
        "announce route 203.0.113.2 next-hop self",
        "announce route 192.0.2.1 next-hop self",
        "show neighbor summary",
        "# nothing",
        "debug x",
        "withdraw route 203.0.113.1 next-hop self",
        "withdraw route 203.0.113.9 next-hop self",
        "silence-ack",
        "announce route 203.0.113.3 next-hop self",
    ]
    async with running(kept, [sys.executable, "-c", SAYS, str(told), *lines]):
        await until(lambda: sorted(kept.standing_now.values()) == ["203.0.113.2/32", "203.0.113.3/32"])
    assert told.read_text().split() == ["done", "done", "error", "error", "done", "done", "done"]
    assert kept.whys[0] == "it printed: announce route 203.0.113.1 next-hop self"
    assert "command script: not done: 'show' is not taken here" in caplog.text
    assert "command script: it is not allowed (cure: allow it)" in caplog.text


@pytest.mark.parametrize(("on_exit", "left"), [("keep", ["203.0.113.1/32"]), ("withdraw", [])])
async def test_a_command_that_ends_is_restarted(
    on_exit: str, left: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    kept, told = Kept(), tmp_path / "told"
    script = f"echo started >> {told}; test $(wc -l < {told}) -gt 1 && exec sleep 600; "
    async with running(kept, script + "echo announce route 203.0.113.1 next-hop self", on_exit=on_exit):
        await until(lambda: told.exists() and len(told.read_text().split()) == 2)
    assert list(kept.standing_now.values()) == left


async def test_lines_that_a_command_prints_when_it_is_ended_are_carried_out() -> None:
    kept = Kept()
    script = (
        "trap 'echo withdraw route 203.0.113.1 next-hop self; exit' TERM; "
        "echo announce route 203.0.113.1 next-hop self; while :; do sleep 0.05; done"
    )
    async with running(kept, script):
        await until(lambda: kept.standing_now)
    assert not kept.standing_now


async def test_an_endless_line_and_half_a_line_are_not_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 600.0)
    for script in ("head -c 2000000 /dev/zero; echo", "printf 'announce route 203.0.113.1 next-hop self'"):
        kept = Kept()
        async with running(kept, script) as program:
            await until(lambda p=program: p._process is not None and p._process.returncode is not None)  # type: ignore[misc]
        assert not kept.whys
