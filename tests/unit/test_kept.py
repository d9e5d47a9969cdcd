"""Archived segments are kept for a while, and their lines can be read again."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from collector.errors import SpoolError
from collector.spool.kept import Keep, kept_segments, lines_of, note_ahead_of
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from tests.support import program

TEXT = b"".join(b"line %d\n" % number for number in range(100))


def archived(spool: Path, *, days: float = 7) -> None:
    """Write and acknowledge, a batch of at most 3 lines at a time; the note says how many lines went before."""
    with SpoolReader(spool, keep=Keep(spool, days)) as reader:
        while batch := reader.read(3, 10**9):
            done = batch[-1].number + 1
            reader.acknowledge(done, {"before": done})


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    directory = tmp_path / "spool"
    with SpoolWriter(directory, segment_bytes=100) as writer:
        writer.write(TEXT + b"torn")
    with SpoolWriter(directory, segment_bytes=100) as writer:
        writer.write(b"last\n")
    return directory


def test_every_line_is_read_again_with_its_number(spool: Path) -> None:
    archived(spool)
    kept = kept_segments(spool)
    assert len(kept) > 5
    lines = [line for segment in kept for line in lines_of(segment)]
    assert [line.raw for line in lines] == [*TEXT.splitlines(), b"torn"]
    assert [line.number for line in lines] == list(range(101))
    assert [line.number for line in lines if line.torn] == [100]
    assert [note_ahead_of(segment) for segment in kept[1:]] == [{"before": segment.first} for segment in kept[1:]]
    assert note_ahead_of(kept[0]) == {}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (spool / "kept").iterdir()} == {0o600}


def test_a_segment_is_as_old_as_its_last_line(spool: Path) -> None:
    then = time.time() - 3 * 86_400
    for path in spool.glob("*.jsonl"):
        os.utime(path, (then, then))
    archived(spool, days=4)
    kept = kept_segments(spool)
    assert kept[0].last_written.timestamp() == pytest.approx(then)
    Keep(spool, days=2).expire()
    assert kept_segments(spool) == []
    # The newest segment is not finished, so the note of what preceded it stays.
    assert [path.name for path in (spool / "kept").iterdir()] == ["00000000000000000101.note.json"]


def test_zstdcat_reads_them(spool: Path) -> None:
    archived(spool)
    first = kept_segments(spool)[0].path
    shown = subprocess.run([program("zstdcat"), first], capture_output=True, check=True).stdout
    assert TEXT.startswith(shown)
    assert shown.endswith(b"\n")


def test_damage_is_reported(spool: Path) -> None:
    archived(spool)
    first = kept_segments(spool)[0]
    content = bytearray(first.path.read_bytes())
    content[len(content) // 2] ^= 1
    first.path.write_bytes(content)
    with pytest.raises(SpoolError, match="is damaged after line"):
        list(lines_of(first))


def test_a_full_disk_for_kept_segments_stops_nothing(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    archived(spool)
    for path in (spool / "kept").iterdir():
        path.unlink()
    (spool / "kept").rmdir()
    keep = Keep(spool, 7)
    (spool / "kept" / "00000000000000000101.jsonl.zst.new").mkdir()
    with SpoolWriter(spool, segment_bytes=1) as writer, SpoolReader(spool, keep=keep) as reader:
        writer.write(b"one\ntwo\n")
        while batch := reader.read(9, 9):
            reader.acknowledge(batch[-1].number + 1, {})
    assert "a segment cannot be kept" in caplog.text
