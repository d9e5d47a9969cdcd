"""What several tests need: where real data is, programs that may be missing, ExaBGP's lines, waiting."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from inspect import isawaitable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import pytest

from collector.spool.reader import SpoolReader
from collector.spool.segment import SpooledLine

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
"""Real input, beside the checkout; tests that use it skip where it is not."""


def missing(reason: str) -> NoReturn:
    """Skip for want of a tool; with CI=true a missing tool is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have it: {reason}")
    pytest.skip(reason)


def program(*names: str) -> str:
    """The path of the first of these programs that is here, or a skip."""
    for name in names:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib/frr")
        if path:
            return path
    missing(f"none of {', '.join(names)} is installed; `make tools` installs it where it may")


def shared(name: str) -> Path:
    """A file of the real data, or a skip."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def read_all(reader: SpoolReader) -> list[SpooledLine]:
    """Every line that is complete, over all segments."""
    lines: list[SpooledLine] = []
    while batch := reader.read(10**9, 10**9):
        lines += batch
    return lines


async def until(condition: Callable[[], Any], *, timeout: float = 120.0, what: str = "") -> Any:
    """Wait for a condition, plain or to be awaited, to hold, and return what it gave.

    The time-out only ends what would never end: a loaded machine may take long. What takes long to look at (a command
    that is typed) is looked at less often.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        found = condition()
        value = await found if isawaitable(found) else found
        if value:
            return value
        ended = time.monotonic()
        if ended > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        await asyncio.sleep(max(0.1, 3 * (ended - began)))  # what is waited for needs the cores more


Named = tuple[str, int | None]
"""A route's prefix and path ID."""


class Router:
    """Writes lines as ExaBGP 5.0.15 writes them for one neighbour."""

    def __init__(self, address: str = "192.0.2.1", asn: int = 64500, *, pid: int = 100, start: float = 1.8e9) -> None:
        self.address = address
        self.asn = asn
        self.pid = pid
        self.time = start
        self.counter = 0

    def line(self, kind: str, **neighbour: Any) -> bytes:
        """One line; a quarter of a second after the one before."""
        self.counter += 1
        self.time += 0.25  # exact in binary
        body = {
            "exabgp": "5.0.0",
            "time": self.time,
            "host": "collector",
            "pid": self.pid,
            "ppid": 1,
            "counter": self.counter,
            "type": kind,
            "neighbor": {
                "address": {"local": "192.0.2.254", "peer": self.address},
                "asn": {"local": 64999, "peer": self.asn},
                "router-id": "192.0.2.254",
                **neighbour,
            },
        }
        return json.dumps(body).encode()

    def up(self) -> list[bytes]:
        """The lines of a session that comes up."""
        return [
            self.line("state", state="connected"),
            self.line(
                "open",
                direction="receive",
                open={
                    "version": 4,
                    "asn": self.asn,
                    "hold_time": 180,
                    "router_id": self.address,
                    "capabilities": {
                        "1": {"name": "multiprotocol", "families": ["ipv4/unicast"]},
                        "65": {"name": "asn4", "asn4": self.asn},
                    },
                },
            ),
            self.line("keepalive", direction="receive"),
            self.line("state", state="up"),
        ]

    def down(self, reason: str = "closing connection") -> bytes:
        """The line of a session's end."""
        return self.line("state", state="down", reason=reason)

    def keepalive(self) -> bytes:
        """A KEEPALIVE."""
        return self.line("keepalive", direction="receive")

    def announce(self, *prefixes: str, path: tuple[int, ...] | None = None, next_hop: str = "192.0.2.1") -> bytes:
        """An UPDATE with announcements."""
        segment = {"element": "as-sequence", "value": list(path or (self.asn,))}
        return self.update(
            attribute={"origin": "igp", "as-path": {"0": segment}},
            announce={_family(prefixes[0]): {next_hop: [{"nlri": prefix} for prefix in prefixes]}},
        )

    def withdraw(self, *prefixes: str) -> bytes:
        """An UPDATE with withdrawals."""
        return self.update(withdraw={_family(prefixes[0]): [{"nlri": prefix} for prefix in prefixes]})

    def say(self, *, announce: Sequence[Named] = (), withdraw: Sequence[Named] = (), path: tuple[int, ...]) -> bytes:
        """An UPDATE with both, of routes that have path IDs or None; those of one kind are of one family."""
        said: dict[str, Any] = {}
        if announce:
            attribute = {"origin": "igp", "as-path": {"0": {"element": "as-sequence", "value": list(path)}}}
            said = {"attribute": attribute, "announce": {_family(announce[0][0]): {"192.0.2.1": _nlri(announce)}}}
        if withdraw:
            said["withdraw"] = {_family(withdraw[0][0]): _nlri(withdraw)}
        return self.update(**said)

    def update(self, **update: Any) -> bytes:
        """Any UPDATE."""
        return self.line("update", direction="receive", message={"update": update})


def _nlri(routes: Sequence[Named]) -> list[dict[str, str]]:
    return [
        {"nlri": prefix} if path_id is None else {"nlri": prefix, "path-information": str(ip_address(path_id))}
        for prefix, path_id in routes
    ]


def _family(prefix: str) -> str:
    return "ipv6 unicast" if ":" in prefix else "ipv4 unicast"
