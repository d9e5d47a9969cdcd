"""Any order of writes, reads, acknowledgements and restarts; and processes that are really killed."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.spool.reader import SpoolReader
from collector.spool.state import inspect
from collector.spool.writer import SpoolWriter

ALL = 10**9

chunks = st.lists(st.sampled_from([b"a", b"\n", b"bc\n", b"\0", b"long" * 9, b"\n\n"]), max_size=6).map(b"".join)
steps = st.one_of(
    st.tuples(st.just("write"), chunks),
    st.tuples(st.just("restart writer"), st.none()),
    st.tuples(st.just("read"), st.integers(1, 5)),
    st.tuples(st.just("acknowledge"), st.integers(0, 3)),
    st.tuples(st.just("restart reader"), st.none()),
)


class Model:
    """The spool and its expected content: the bytes of each writer, split into lines."""

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        self.directory, self.segment_bytes = directory, segment_bytes
        self.finished: list[bytes] = []
        self.current = b""
        self.writer = SpoolWriter(directory, segment_bytes=segment_bytes)
        self.reader = SpoolReader(directory)
        self.acknowledged = self.next = 0
        self.ends: list[int] = []
        self.seen: dict[int, bytes] = {}

    @property
    def complete(self) -> list[bytes]:
        return self.finished + self.current.split(b"\n")[:-1]

    def write(self, data: bytes) -> None:
        self.writer.write(data)
        self.current += data

    def restart_writer(self, _: None) -> None:
        self.writer.close()
        self.writer = SpoolWriter(self.directory, segment_bytes=self.segment_bytes)
        *lines, torn = self.current.split(b"\n")
        self.finished += [*lines, torn] if torn else lines
        self.current = b""

    def read(self, limit: int) -> None:
        batch = self.reader.read(limit, ALL)
        assert [line.number for line in batch] == list(range(self.next, self.next + len(batch)))
        for line in batch:
            assert self.complete[line.number] == line.raw
            self.seen[line.number] = line.raw
        if batch:
            self.next += len(batch)
            self.ends.append(self.next)

    def acknowledge(self, which: int) -> None:
        if which < len(self.ends):
            self.acknowledged = self.ends[which]
            self.ends = self.ends[which + 1 :]
            self.reader.acknowledge(self.acknowledged, {"line": self.acknowledged})

    def restart_reader(self, _: None) -> None:
        self.reader.close()
        self.reader = SpoolReader(self.directory)
        assert self.reader.next_line == self.acknowledged
        assert self.reader.note == ({"line": self.acknowledged} if self.acknowledged else {})
        self.next, self.ends = self.acknowledged, []

    def check_end(self) -> None:
        self.restart_writer(None)
        self.write(b"the end\n")
        state = inspect(self.directory)
        assert (state.read, state.acknowledged) == (len(self.complete), self.acknowledged)
        assert state.oldest_waiting == self.complete[self.acknowledged]
        for _ in range(len(self.complete) + 1):  # a batch has lines of one segment only
            self.read(ALL)
        assert [self.seen[number] for number in range(len(self.complete))] == self.complete
        self.reader.close()
        self.writer.close()


@given(st.lists(steps, max_size=40), st.integers(1, 60))
def test_each_line_is_read_once_in_order(sequence: list[tuple[str, object]], segment_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        model = Model(Path(directory), segment_bytes)
        for name, argument in sequence:
            getattr(model, name.replace(" ", "_"))(argument)
        model.check_end()


WRITER = """
import random, sys
from pathlib import Path
from collector.spool.writer import SpoolWriter
life, chance = sys.argv[2], random.Random(int(sys.argv[2]))
writer = SpoolWriter(Path(sys.argv[1]), segment_bytes=20_000)
number, left = 0, b""
while True:
    while len(left) < 3000:
        left += f"{life} {number} ".encode() + b"x" * chance.randrange(300) + b".\\n"
        number += 1
    size = chance.randrange(1, 3000)
    writer.write(left[:size])
    left = left[size:]
"""

READER = """
import sys
from pathlib import Path
from collector.spool.reader import SpoolReader
reader = SpoolReader(Path(sys.argv[1]))
out = Path(sys.argv[2]).open("a+b", buffering=0)
out.seek(0)
out.truncate(out.read().rfind(b"\\n") + 1)  # the one before us may have been killed within a line
while True:
    batch = reader.read(50, 10_000)
    if batch:
        out.write(b"".join(b"%d %s\\n" % (line.number, line.raw) for line in batch))
        reader.acknowledge(batch[-1].number + 1, {})
"""


def test_kill_9_of_writer_and_reader_loses_no_line(tmp_path: Path) -> None:
    """The lines of each writer arrive without a gap from the first one, torn at most at the end."""
    spool, out = tmp_path / "spool", tmp_path / "out"
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)

    def start(script: str, argument: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script, str(spool), str(argument)])

    lives = 12
    reader = start(READER, out)
    for life in range(lives):
        before = inspect(spool).read
        writer = start(WRITER, life)
        while inspect(spool).read < before + chance.randrange(500, 2000):
            assert writer.poll() is None
        writer.kill()
        writer.wait()
        if life % 3 == 1:
            reader.kill()
            reader.wait()
            reader = start(READER, out)
    with SpoolWriter(spool) as writer_end:
        writer_end.write(b"end\n")
    deadline = time.monotonic() + 150
    while inspect(spool).waiting and time.monotonic() < deadline:
        assert reader.poll() is None
    reader.kill()
    reader.wait()

    # A reader that was killed between writing and acknowledging writes the same lines again, under the same numbers.
    lines: dict[int, bytes] = {}
    for written in out.read_bytes().splitlines():
        name, _, raw = written.partition(b" ")
        assert lines.setdefault(int(name), raw) == raw
    assert sorted(lines) == list(range(inspect(spool).read))
    ordered = [lines[number] for number in sorted(lines)]
    assert ordered.pop() == b"end"
    whole = [tuple(map(int, raw.split()[:2])) for raw in ordered if raw.endswith(b".")]
    assert len(ordered) - len(whole) <= lives
    assert [life for life, number in whole if number == 0] == list(range(lives))
    for (life, number), (next_life, next_number) in pairwise(whole):
        assert (next_life, next_number) in {(life, number + 1), (life + 1, 0)}
