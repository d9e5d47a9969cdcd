"""`bgpledger receive` as ExaBGP runs it: a process with pipes, signals and an odd umask."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.instances import Instance
from collector.sources.exabgp import reloads
from collector.sources.exabgp.files import reloads_file
from collector.spool.reader import SpoolReader
from tests.support import read_all

COMMAND = str(Path(sys.executable).with_name("bgpledger"))


def start(data_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [COMMAND, "receive", "--data-dir", str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        umask=0o137,
        cwd="/",
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited for 30 s"
        time.sleep(0.005)


def newest(data_dir: Path) -> bytes:
    segments = sorted((data_dir / "spool").glob("*.jsonl"))
    return segments[-1].read_bytes() if segments else b""


def started(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start a receiver and wait until it has enlarged its pipe: the last thing that it does before it reads."""
    helper = start(data_dir)
    pipe = helper.stdin
    assert pipe
    wait_until(lambda: fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) == 2**20)
    return helper


def lines(data_dir: Path) -> list[bytes]:
    with SpoolReader(data_dir / "spool") as reader:
        return [line.raw for line in read_all(reader)]


def test_bytes_from_stdin_are_in_the_spool(data_dir: Path) -> None:
    helper = started(data_dir)
    out, err = helper.communicate(b'{"a": 1}\n\xff\0\nlast, torn')
    assert (helper.returncode, out, err) == (0, b"", b"")
    marker, *rest = lines(data_dir)
    assert rest == [b'{"a": 1}', b"\xff\0"], "no word that all was read: the last line was not"
    found = json.loads(marker)
    assert found.pop("incarnation")
    assert found.pop("time") == pytest.approx(time.time(), abs=60)
    assert isinstance(found.pop("host"), str)
    assert found == {"bgpledger": "receive", "event": "start", "pid": helper.pid, "ppid": os.getpid(), "reloads": 0}
    spool = data_dir / "spool"
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()} == {0o600}


def test_a_receiver_whose_exabgp_has_ended_does_not_mistake_its_parent_for_it(data_dir: Path) -> None:
    out, into = os.pipe()
    os.write(into, b"bye\n")
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        subprocess.run([COMMAND, "receive", "--data-dir", str(data_dir)], stdin=pipe, check=True)
    first, words, last = lines(data_dir)
    assert [json.loads(one)["ppid"] for one in (first, last)] == [0, 0]
    assert (words, "incarnation" in json.loads(first)) == (b"bye", False)
    assert "ended" not in json.loads(last), "whose sessions these are is not known"


STARTER = """
import subprocess, sys
receiver = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
receiver.stdin.write(b"bye\\n")
receiver.stdin.flush()
sys.stdin.readline()
receiver.stdin.close()
receiver.wait()
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "alive"])
def test_the_receivers_last_line_says_whether_exabgp_has_ended(data_dir: Path, killed: bool) -> None:
    command = [sys.executable, "-c", STARTER, COMMAND, "receive", "--data-dir", str(data_dir)]
    exabgp = subprocess.Popen(command, stdin=subprocess.PIPE)
    wait_until(lambda: b"bye" in newest(data_dir))
    if killed:
        exabgp.kill()
    exabgp.communicate(b"\n")
    wait_until(lambda: b'"end"' in newest(data_dir))
    last = json.loads(lines(data_dir)[-1])
    assert (last["event"], last.get("ended")) == ("end", True if killed else None)


def test_sigterm_drains_a_pipe_that_stays_open(data_dir: Path) -> None:
    """ExaBGP ends so: it writes its last lines, sends SIGTERM, and keeps its end of the pipe open until we end."""
    helper = started(data_dir)
    assert helper.stdin
    helper.send_signal(signal.SIGSTOP)
    words = b"".join(b"%d\n" % number for number in range(5000))
    helper.stdin.write(words)
    helper.stdin.flush()
    helper.send_signal(signal.SIGTERM)
    helper.send_signal(signal.SIGCONT)
    assert helper.wait(10) == 0
    _, *between, last = lines(data_dir)
    assert b"\n".join(between) + b"\n" == words
    assert json.loads(last)["event"] == "end"
    helper.communicate()


def test_sigint_is_ignored_by_the_receiver(data_dir: Path) -> None:
    helper = started(data_dir)
    helper.send_signal(signal.SIGINT)
    assert helper.communicate(b"still here\n") == (b"", b"")
    assert helper.returncode == 0
    assert lines(data_dir)[1] == b"still here"


def test_a_second_receiver_is_refused_with_the_cure(data_dir: Path) -> None:
    helper = started(data_dir)
    second = start(data_dir)
    out, err = second.communicate(timeout=30)
    assert (second.returncode, out) == (1, b"")
    cause, cure = err.decode().splitlines()
    assert cause == f"error: the spool {data_dir}/spool already has a writer: process {helper.pid}"
    assert cure.startswith(f"cure: end that process (kill {helper.pid})")
    helper.communicate()


def test_a_new_receiver_takes_over_from_a_killed_one(data_dir: Path) -> None:
    for life in range(3):
        helper = start(data_dir)
        assert helper.stdin
        helper.stdin.write(b"%d\ntorn" % life)
        helper.stdin.flush()
        wait_until(lambda end=b"\n%d\ntorn" % life: newest(data_dir).endswith(end))  # type: ignore[misc]
        helper.kill()
        helper.communicate()
    found = [b"marker" if b"bgpledger" in line else line for line in lines(data_dir)]
    assert found == [b"marker", b"0", b"torn", b"marker", b"1", b"torn", b"marker", b"2"]


def test_a_reload_is_noted_between_two_lines(data_dir: Path) -> None:
    data_dir.mkdir()
    reloads.tell(reloads_file(Instance(data_dir)))
    helper = started(data_dir)
    pipe = helper.stdin
    assert pipe
    pipe.write(b"one\nbegun ")
    pipe.flush()
    wait_until(lambda: newest(data_dir).endswith(b"begun "))
    reloads.tell(reloads_file(Instance(data_dir)))
    pipe.write(b"before\n")
    pipe.flush()
    wait_until(lambda: b'reload"' in newest(data_dir))
    helper.communicate(b"two\n")
    start, one, before, reload, two, _ = lines(data_dir)
    assert (one, before, two) == (b"one", b"begun before", b"two")
    assert (json.loads(start)["reloads"], json.loads(reload)["event"], json.loads(reload)["reloads"]) == (
        1,
        "reload",
        2,
    )
