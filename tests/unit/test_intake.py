"""How the receiver writes to the spool: whatever the disk does, every line is there, or counted."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.spool.intake import Drop, Intake
from collector.spool.reader import SpoolReader
from collector.spool.room import Room
from collector.spool.state import inspect
from collector.spool.writer import SpoolWriter
from tests.support import read_all, until
from tests.unit.test_receiver import COMMAND

START = b'{"start": 1}\n'
END = b'{"end": 1}\n'


def describe(drop: Drop) -> bytes:
    return json.dumps({"dropped": drop.lines, "size": drop.size}).encode() + b"\n"


def spooled(directory: Path) -> list[bytes]:
    """The lines that are whole in the spool."""
    with SpoolReader(directory) as reader:
        return [line.raw for line in read_all(reader) if not line.torn]


class Disk:
    """A disk with room for the given number of bytes."""

    def __init__(self) -> None:
        self.room = 2**40

    @contextmanager
    def in_place(self) -> Iterator[None]:
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            if self.room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(data[: self.room])
            return real(descriptor, data[: self.room + len(data)][: max(1, min(len(data), self.room + len(data)))])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("collector.spool.writer.os.write", write)
            patch.setattr("collector.spool.intake._TRY_SECONDS", 0.0)
            yield


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 30), max_size=5),  # lengths of lines
            st.integers(1, 12),  # where they are cut
            st.one_of(st.none(), st.integers(0, 200)),  # room on the disk from then on
            st.integers(0, 12),  # the piece with which there is something to notice, if there are that many
        ),
        max_size=20,
    )
)
def test_every_line_is_there_or_counted(steps: list[tuple[list[int], int, int | None, int]]) -> None:
    disk, number, due = Disk(), 0, [b""]
    sent: list[bytes] = []
    behind: list[int] = []
    """Of each notice, the lines that had begun before it."""
    with TemporaryDirectory() as directory, disk.in_place():
        spool = Path(directory)
        with SpoolWriter(spool, segment_bytes=100) as writer:
            intake = Intake(writer, Room(spool), start=START, notices=lambda: due.pop(), describe=describe)
            for lengths, cut, room, notice in steps:
                if room is not None:
                    disk.room = room
                text = b""
                for length in lengths:
                    sent.append(b"%d:" % number + b"x" * length)
                    text += sent[-1] + b"\n"
                    number += 1
                for piece, at in enumerate(range(0, len(text), cut)):
                    due.append(b"")
                    if piece == notice:
                        due = [b'{"notice": %d}\n' % len(behind)]
                        begun = text[:at].count(b"\n") + (not text[:at].endswith(b"\n") and at > 0)
                        behind.append(number - len(lengths) + begun)
                    intake.write(text[at : at + cut])
            disk.room = 2**40
            due = [b""] * 2
            intake.end(END)
        found = spooled(spool)
    told = [json.loads(line) for line in found if line.startswith(b"{")]
    whole = [line for line in found if line in set(sent)]
    assert whole == [line for line in sent if line in set(found)], "in their order, each once"
    assert sum(one.get("dropped", 0) for one in told) == len(sent) - len(whole)
    places = {line: at for at, line in enumerate(found)}
    for at, begun in enumerate(behind):
        place = places[b'{"notice": %d}' % at]
        assert all((places[line] < place) == (sent.index(line) < begun) for line in whole)
    assert told[0] == {"start": 1}
    assert told[-1] == {"end": 1}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB, if this machine permits it."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("keep_free", [0, 2])
async def test_a_disk_may_be_full_for_a_while(small: Path, keep_free: int) -> None:
    """On a disk that others fill and empty again, the receiver goes on reading, and says how many lines are missing."""
    environment = {**os.environ, "BGPLEDGER_SPOOL_KEEP_FREE_MIB": str(keep_free), "BGPLEDGER_SPOOL_SEGMENT_MIB": "1"}
    helper = subprocess.Popen(
        [COMMAND, "receive", "--data-dir", str(small / "data")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert helper.stdin
    assert helper.stderr
    spool, sent = small / "data" / "spool", 0
    with SpoolReader(spool):
        pass
    line = b"%07d " + b"x" * 990 + b"\n"
    while not (os.statvfs(small).f_bavail * 4096 < (keep_free << 20) + 2**15 or sent > 10_000):
        helper.stdin.write(line % sent)
        sent += 1
    for _ in range(3000):
        helper.stdin.write(line % sent)
        sent += 1
    helper.stdin.flush()
    said = helper.stderr.readline()
    assert b"the spool is full" in said, said
    assert helper.poll() is None
    assert "are free on the disk" in (inspect(spool).full or "") or not keep_free
    with SpoolReader(spool) as reader:
        before = [one.raw for one in read_all(reader)]
        reader.acknowledge(reader.next_line, {})

    async def goes_on() -> bool:
        nonlocal sent
        assert helper.stdin
        helper.stdin.write(line % sent)
        helper.stdin.flush()
        sent += 1
        return any(b'"dropped"' in path.read_bytes() for path in spool.glob("*.jsonl"))

    await until(goes_on)
    _, err = helper.communicate(timeout=30)
    assert helper.returncode == 0
    assert b"the spool has room again" in err
    assert inspect(spool).full is None
    found = before + spooled(spool)
    own = [json.loads(one) for one in found if one.startswith(b"{")]
    assert [one["event"] for one in own] == ["start", "dropped", "end"]
    whole = [one for one in found if len(one) == len(line % 0) - 1 and one[:7].isdigit()]
    assert own[1]["lines"] == sent - len(whole)
    assert own[1]["since"] <= own[1]["time"]
    assert ("spool.keep_free_mib" in own[1]["reason"]) == bool(keep_free)


async def test_a_spool_of_limited_size_drops_lines_and_counts_them(data_dir: Path) -> None:
    data_dir.mkdir()
    with SpoolWriter(data_dir, segment_bytes=2**20) as writer, SpoolReader(data_dir) as reader:
        intake = Intake(writer, Room(data_dir, limit=4 * 2**20), start=START, notices=bytes, describe=describe)
        line, sent = b"x" * 1023 + b"\n", 0
        while len(list(data_dir.glob("*.jsonl"))) < 4:
            intake.write(line)
            sent += 1
        for _ in range(5000):
            intake.write(line)
            sent += 1
        assert sum(path.stat().st_size for path in data_dir.glob("*.jsonl")) < 6 * 2**20
        read = read_all(reader)
        reader.acknowledge(reader.next_line, {})

        def goes_on() -> bool:
            nonlocal read, sent
            intake.write(line)
            sent += 1
            read += (new := read_all(reader))
            return any(b"dropped" in one.raw for one in new)

        await until(goes_on)
        (marker,) = (json.loads(one.raw) for one in read if b"dropped" in one.raw)
        assert marker["dropped"] == sent - sum(one.raw == line[:-1] for one in read)
