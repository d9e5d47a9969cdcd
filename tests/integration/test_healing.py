"""A receiver dies before it has written a router's lines: they are a gap, and the routes are requested again."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import termios
from pathlib import Path

import pytest

from tests.faults.harness import parts
from tests.integration.routers import Bird, Frr, Gobgpd, Route, Router
from tests.integration.test_routers import V4, V6, Bench
from tests.support import until


def waiting_bytes(pid: int) -> int:
    """The number of bytes in the pipe that a process reads from."""
    pipe = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
    try:
        count = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, count)
        return count[0]
    finally:
        os.close(pipe)


@pytest.mark.parametrize("kind", [Gobgpd, Bird, Frr])
async def test_lost_routes_are_sent_again(tmp_path: Path, kind: type[Router]) -> None:
    bench = Bench(tmp_path)
    router = bench.router(kind, 41)
    known, lost = Route(V4, 50, ("65041:100",)), Route(V6, 60, ("65041:100",))
    async with bench.running(router, hold_time="9"):
        with router:
            await bench.until_states("up")
            router.announce(known)
            await bench.until_events(V4, 1)
            receiver = parts(bench.collector.process.pid)["receive"]
            os.kill(receiver, signal.SIGSTOP)
            router.announce(known, lost)
            await until(lambda: waiting_bytes(receiver), what="the router's words are in the pipe")
            os.kill(receiver, signal.SIGKILL)
            await until(lambda: bench.documents("gaps"), what="a gap")
            await bench.until_events(V6, 2)
            await bench.until_states("up")
            (gap,) = await bench.documents("gaps")
            events = [entry["event"] for entry in bench.history(V6)]
            assert events == ["gap", "announce"], "and no gap since"
            await until(
                lambda: (status := bench.collector.status())["gaps"] == 1 and status["lost"] == gap["lines"],
                what="status counts the gap",
            )
            assert gap["cause"] == "pipe"
            assert gap["peer"]["address"] == router.address
            assert gap["after"] < gap["ts"]
            assert f"lines of {router.address} are lost: requested its routes again" in bench.collector.log.read_text()
        (session,) = await bench.documents("sessions")
        assert session["began"] == "up"
