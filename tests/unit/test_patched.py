"""The pauses between ExaBGP's attempts to reach a router, by a clock of the test's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from collector.sources.exabgp.configuration import program

PATCHED = Path(__file__).parents[2] / "collector/sources/exabgp/patched.py"

SCRIPT = """
import runpy, sys, time
clock = [0.0]
time.time = lambda: clock[0]
patched = runpy.run_path(sys.argv[1])
patched["mend"]()
from exabgp.reactor.delay import Delay
delay, found = Delay(), []
for stood in sys.argv[2].split():
    began = clock[0]
    while delay.backoff():
        clock[0] += 0.125
    found.append(int(clock[0] - began))
    if stood != "refused":  # a session came up, and stood for so many seconds
        delay.reset()
        clock[0] += float(stood)
    delay.increase()
print(*found)
"""


def pauses(*attempts: str) -> list[int]:
    """Seconds before each attempt: `refused`, or a session of so many seconds."""
    command = [sys.executable, "-c", SCRIPT, str(PATCHED), " ".join(attempts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("attempt", ["refused", "0.5"])
def test_pauses_grow_when_a_router_refuses_or_ends_each_session_at_once(attempt: str) -> None:
    assert pauses(*[attempt] * 12) == [0, 0, 1, 2, 3, 4, 5, 7, 9, 11, 14, 15]


def test_a_session_that_stood_is_tried_again_at_once() -> None:
    assert pauses(*["refused"] * 6, "3600", "refused", "refused") == [0, 0, 1, 2, 3, 4, 5, 0, 1]


def test_the_command_line_that_we_start_exabgp_with() -> None:
    found = subprocess.run(program(None, "version"), capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.startswith("ExaBGP : "), found.stderr
