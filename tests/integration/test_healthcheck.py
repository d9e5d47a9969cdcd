"""ExaBGP's own `healthcheck` as the reference for ours: equal results of checks must give equal announcements."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.acting.attached.lines import ParsedCommand, read_command
from collector.acting.health.orders import order_for
from collector.acting.health.states import DECIDED, ServiceState, State, after
from collector.settings.checks import CheckSettings
from schemas.intents import Order
from schemas.json_object import JsonObject

BASE = {"name": "www", "ip": "203.0.113.1/32, 203.0.113.2/32", "interval": 0.001, "fast_interval": 0.001}
CHECKS: dict[str, JsonObject] = {
    "defaults": {},
    "at once": {"rise": 1, "fall": 1, "up_metric": 7, "down_metric": 70, "disabled_metric": 700, "increase": 10},
    "withdrawn": {
        "rise": 2,
        "fall": 1,
        "withdraw_on_down": True,
        "next_hop": "192.0.2.1",
        "local_preference": 200,
        "community": "64512:1, 64512:2",
        "large_community": "64512:1:1",
        "peers": "192.0.2.9, 2001:db8::9",
    },
    "attributes": {
        "rise": 1,
        "fall": 2,
        "community": "64512:1",
        "disabled_community": "64512:9",
        "extended_community": "target:64512:1",
        "as_path": "64513 64514",
        "down_as_path": "64513 64513 64514",
    },
}


def options(check: JsonObject) -> Iterator[str]:
    """The same options for ExaBGP's `healthcheck`."""
    for key, value in {**BASE, **check}.items():
        option = f"--{key.replace('_', '-')}"
        if key == "peers":
            yield from (f"--neighbor={peer.strip()}" for peer in value.split(","))
        elif key == "ip":
            yield from (f"--ip={prefix.strip()}" for prefix in value.split(","))
        elif key in ("withdraw_on_down", "debounce"):
            yield option
        else:
            yield f"{option}={str(value).replace(',', '')}"


class Judge:
    """ExaBGP's `healthcheck`, given the result of each of its checks, and answered as ExaBGP would."""

    def __init__(self, process: subprocess.Popen[str], asking: int, telling: int, disable: Path, lines: int) -> None:
        self._process = process
        self._asking, self._telling = asking, telling
        self._disable = disable
        self._lines = lines

    def look(self, look: str, next_look: str | None) -> None:
        """Give this result to the check that it has begun."""
        if look == "disabled":
            return  # it does not check
        while not select.select([self._asking], [], [], 1)[0]:
            assert self._process.poll() is None
        os.read(self._asking, 1)
        self.prepare(next_look)
        os.write(self._telling, f"{int(look == 'unwell')}\n".encode())

    def prepare(self, next_look: str | None) -> None:
        if next_look == "disabled":
            self._disable.touch()
        else:
            self._disable.unlink(missing_ok=True)

    def rest(self) -> None:
        """Wait until it sleeps: while it prints, its handler of SIGTERM fails."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.01)

    def said(self, next_look: str | None) -> list[ParsedCommand]:
        """The lines that it prints now, one for each prefix."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        found = []
        for at in range(self._lines):
            found.append(read_command(self._process.stdout.readline().rstrip("\n")))
            if at == self._lines - 1:
                self.prepare(next_look)
            self._process.stdin.write("done\n")
            self._process.stdin.flush()
        return found


@contextmanager
def judging(directory: Path, check: JsonObject, first: str) -> Iterator[Judge]:
    disable = directory / "disable"
    if first == "disabled":
        disable.touch()
    with ExitStack() as stack:
        asking, telling = (stack.enter_context(pipe(directory / name)) for name in ("asked", "told"))
        command = [sys.executable, "-m", "exabgp", "healthcheck", "--no-syslog", "--no-ip-setup", "--timeout=600"]
        look = f"echo > {directory}/asked; read found < {directory}/told; exit $found"
        process = stack.enter_context(
            subprocess.Popen(
                [*command, f"--command={look}", f"--disable={disable}", *options(check)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.kill)
        yield Judge(process, asking, telling, disable, len(settings(check).ip))


@contextmanager
def pipe(path: Path) -> Iterator[int]:
    """A named pipe, open for reading and writing, so that neither side waits for the other to open it."""
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    try:
        yield end
    finally:
        os.close(end)


def settings(check: JsonObject) -> CheckSettings:
    return CheckSettings.model_validate({**BASE, **check})


def ours(check: CheckSettings, state: State) -> list[tuple[bool, Any, tuple[str, ...]]]:
    """What we order in a state, prefix by prefix."""
    wanted = order_for(check, state, "as it was told")
    if isinstance(wanted, Order):
        return [(True, announcement, wanted.peers) for announcement in wanted.announcements]
    return [(False, prefix, check.peers) for prefix in wanted.prefixes]


def theirs(said: Sequence[ParsedCommand]) -> list[tuple[bool, Any, tuple[str, ...]]]:
    return [
        (one.announces, one.announcements[0] if one.announces else one.announcements[0].nlri, one.peers) for one in said
    ]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("debounce", [False, True])
def test_the_same_results_of_checks_lead_to_the_same_announcements(name: str, debounce: bool, tmp_path: Path) -> None:
    check = {**CHECKS[name], **({"debounce": True} if debounce else {})}
    chosen = random.Random(name)
    # How often it finds itself disabled cannot be seen if it does not print that each time.
    kinds = ["well", "unwell"] if debounce else ["well", "unwell", "disabled"]
    looks = [look for _ in range(10) for look in [chosen.choice(kinds)] * chosen.randint(1, 4)]
    held = settings(check)
    said: list[State] = []
    service = ServiceState()
    with judging(tmp_path, check, looks[0]) as judge:
        for look, next_look in zip(looks, [*looks[1:], None], strict=True):
            before = service
            service = after(
                service, is_healthy=look == "well", disabled=look == "disabled", rise=held.rise, fall=held.fall
            )
            judge.look(look, next_look)
            if service.state in DECIDED and (service.state is not before.state or not debounce):
                said.append(service.state)
                assert theirs(judge.said(next_look)) == ours(held, service.state), (looks, said)
    assert {State.UP, State.DOWN} <= set(said)


def test_both_withdraw_the_same_at_the_end(tmp_path: Path) -> None:
    check = CHECKS["at once"]
    with judging(tmp_path, check, "well") as judge:
        judge.look("well", "well")
        judge.said("well")
        judge.rest()
        judge._process.terminate()
        assert theirs(judge.said("well")) == ours(settings(check), State.EXIT)
