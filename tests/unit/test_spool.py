"""The spool passes on every line once, in order, under its number, whatever is restarted."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import SpoolError
from collector.instances import Instance
from collector.query.archivers import is_behind
from collector.spool.reader import SpoolReader
from collector.spool.segment import SpooledLine, path_of, segments
from collector.spool.state import bytes_waiting, inspect
from collector.spool.writer import SpoolWriter
from tests.support import read_all

ALL = 10**9


def drain(reader: SpoolReader) -> list[bytes]:
    return [line.raw for line in read_all(reader)]


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer, SpoolReader(tmp_path) as reader:
        assert reader.read(ALL, ALL) == []
        writer.write(b"one\ntw")
        assert reader.read(ALL, ALL) == [SpooledLine(0, b"one")]
        assert reader.read(ALL, ALL) == []
        writer.write(b"o\n\nthree\r\n")
        assert reader.read(ALL, ALL) == [SpooledLine(1, b"two"), SpooledLine(2, b""), SpooledLine(3, b"three\r")]
        assert reader.next_line == 4


def test_batches_keep_to_their_limits_but_always_hold_a_line(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"".join(b"%04d\n" % number for number in range(10)) + b"x" * 100 + b"\nlast\n")
        assert [line.number for line in reader.read(3, ALL)] == [0, 1, 2]
        assert [line.number for line in reader.read(ALL, 12)] == [3, 4, 5]
        assert len(reader.read(ALL, 50)) == 4
        assert [len(line.raw) for line in reader.read(ALL, 50)] == [100]
        assert drain(reader) == [b"last"]


def test_segments_end_with_a_line_and_are_named_after_their_first(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=10) as writer:
        writer.write(b"aaaa\nbbbb\ncccc")
        writer.write(b"cccccccccc\nd\n")
    assert [(segment.first, segment.path.read_bytes()) for segment in segments(tmp_path)] == [
        (0, b"aaaa\nbbbb\n"),
        (2, b"cccccccccccccc\n"),
        (3, b"d\n"),
    ]
    assert segments(tmp_path)[1].path.name == "00000000000000000002.jsonl"


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with SpoolWriter(spool) as writer, SpoolReader(spool) as reader:
        writer.write(b"one\n")
        reader.read(ALL, ALL)
        reader.acknowledge(1, {})
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()}
    assert modes == dict.fromkeys(
        ["00000000000000000000.jsonl", "position.json", "reader.lock", "reserve", "writer.lock"], 0o600
    )


def test_the_reader_continues_after_the_last_acknowledged_line(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        writer.write(b"0\n1\n2\n3\n4\n5\n")
        with SpoolReader(tmp_path) as reader:
            assert reader.note == {}
            reader.read(2, ALL)
            reader.read(2, ALL)
            reader.read(1, ALL)
            reader.acknowledge(4, {"peers": [1]})
        with SpoolReader(tmp_path) as reader:
            assert (reader.next_line, reader.note) == (4, {"peers": [1]})
            reader.acknowledge(4, {"peers": [2]})
            assert reader.note == {"peers": [2]}
            with pytest.raises(ValueError, match="line 5"):
                reader.acknowledge(5, {})
            assert drain(reader) == [b"4", b"5"]
    assert json.loads((tmp_path / "position.json").read_text()) == {
        "line": 4, "segment": 0, "offset": 8, "note": {"peers": [2]},
    }  # fmt: skip


def test_acknowledged_segments_are_removed_but_never_the_newest(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=4) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"000\n111\n222\n")
        assert [len(reader.read(2, ALL)), len(reader.read(1, ALL))] == [1, 1], "a batch ends with its segment"
        reader.acknowledge(2, {})
        assert [segment.first for segment in segments(tmp_path)] == [2]
        assert drain(reader) == [b"222"]
        reader.acknowledge(3, {})
        assert [segment.first for segment in segments(tmp_path)] == [2]
    with SpoolWriter(tmp_path, segment_bytes=4) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"333\n")
        assert reader.read(ALL, ALL) == [SpooledLine(3, b"333")]


def test_a_segment_that_cannot_be_read_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the reader once there is another segment, and by a new writer, which cannot know how many lines it had."""
    with SpoolWriter(tmp_path, segment_bytes=4) as writer:
        writer.write(b"000\n111\n")
    damaged = path_of(tmp_path, 1)
    damaged.unlink()
    damaged.mkdir()  # reading a directory fails for good, as reading a bad sector does
    with pytest.raises(SpoolError, match="Is a directory"), SpoolReader(tmp_path) as reader:
        read_all(reader)
    with SpoolWriter(tmp_path, segment_bytes=4) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"222\n")
        first, after = read_all(reader)
        assert first == SpooledLine(0, b"000")
        assert (after.raw, after.number) == (b"222", segments(tmp_path)[-1].first)
        assert after.number > 2
        assert "cannot be read from line 1 on: Is a directory" in caplog.text
        assert damaged.with_name(f"{damaged.name}.damaged").is_dir()
        reader.acknowledge(after.number + 1, {})
        assert len(segments(tmp_path)) == 1


def test_a_torn_line_is_unchanged_and_counts_as_one(tmp_path: Path) -> None:
    torn = b"half a li\0\0\0\0"
    with SpoolReader(tmp_path) as reader:
        with SpoolWriter(tmp_path) as writer:
            writer.write(b"one\n" + torn)
        assert drain(reader) == [b"one"]
        with SpoolWriter(tmp_path) as successor:
            assert drain(reader) == []
            successor.write(b"three\n")
            assert read_all(reader) == [SpooledLine(1, torn, torn=True), SpooledLine(2, b"three")]
            reader.acknowledge(3, {})
    assert [segment.first for segment in segments(tmp_path)] == [2]


def test_a_torn_line_alone_can_be_acknowledged(tmp_path: Path) -> None:
    for data in (b"torn", b"next\n"):
        with SpoolWriter(tmp_path) as writer:
            writer.write(data)
    with SpoolReader(tmp_path) as reader:
        assert reader.read(1, ALL) == [SpooledLine(0, b"torn", torn=True)]
        reader.acknowledge(1, {})
    with SpoolReader(tmp_path) as reader:
        assert reader.read(ALL, ALL) == [SpooledLine(1, b"next")]


def test_a_very_long_line_may_come_in_small_chunks(tmp_path: Path) -> None:
    long = b"x" * (8 * 2**20)
    with SpoolWriter(tmp_path, segment_bytes=2**20) as writer, SpoolReader(tmp_path) as reader:
        for start in range(0, len(long), 2**16):
            writer.write(long[start : start + 2**16])
            assert reader.read(ALL, 1000) == []
        writer.write(b"\nshort\n")
        assert reader.read(ALL, 1000) == [SpooledLine(0, long)]
        assert reader.read(ALL, 1000) == [SpooledLine(1, b"short")]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"line": 1',
        b"[]",
        b'{"line": "1", "segment": 0, "offset": 2, "note": {}}',
        b'{"line": 1, "segment": 0, "offset": 999, "note": {}}',
        b'{"line": 1, "segment": 77, "offset": 0, "note": {}}',
    ],
)
def test_a_damaged_position_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes) -> None:
    with SpoolWriter(tmp_path) as writer:
        writer.write(b"0\n1\n")
    (tmp_path / "position.json").write_bytes(damage)
    with caplog.at_level(logging.WARNING), SpoolReader(tmp_path) as reader:
        assert drain(reader) == [b"0", b"1"]
        assert reader.note == {}
    assert (tmp_path / "position.json.damaged-1").read_bytes() == damage
    assert "damaged" in caplog.text


def test_numbers_are_not_given_twice_when_segments_were_removed_by_hand(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"0\n1\n")
        drain(reader)
        reader.acknowledge(2, {"kept": True})
    path_of(tmp_path, 0).unlink()
    with SpoolWriter(tmp_path) as writer, SpoolReader(tmp_path) as reader:
        assert reader.note == {"kept": True}
        assert reader.read(ALL, ALL) == []
        writer.write(b"2\n")
        assert reader.read(ALL, ALL) == [SpooledLine(2, b"2")]


def test_missing_numbers_are_reported_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SpoolWriter(tmp_path, segment_bytes=1) as writer:
        writer.write(b"0\n1\n2\n")
    path_of(tmp_path, 1).unlink()
    with caplog.at_level(logging.WARNING), SpoolReader(tmp_path) as reader:
        assert read_all(reader) == [SpooledLine(0, b"0"), SpooledLine(2, b"2")]
    assert "no lines 1 to 1" in caplog.text


@pytest.mark.parametrize("end", ["writer", "reader"])
def test_only_one_writer_and_one_reader_at_a_time(tmp_path: Path, end: str) -> None:
    open_end = {"writer": SpoolWriter, "reader": SpoolReader}[end]
    with open_end(tmp_path), pytest.raises(SpoolError) as refused:
        open_end(tmp_path)
    assert str(tmp_path) in refused.value.cause
    assert str(os.getpid()) in refused.value.cause
    assert str(os.getpid()) in refused.value.cure
    open_end(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for use in (SpoolWriter, SpoolReader, inspect):
        with pytest.raises(SpoolError, match="Not a directory") as refused:
            use(tmp_path / "file" / "spool")
        assert refused.value.cure


def test_a_full_disk_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """A limit on the size of files refuses in the middle of a write, as a full disk does."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from collector.spool.writer import SpoolWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = SpoolWriter(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: writer.write(b'0123\\n5678\\nabcd\\n')\n"
        "except Exception as error: sys.exit(f'{error.written} {error.reason}: {error.cause}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("10 File too large: the spool cannot be written: ")
    with SpoolWriter(tmp_path) as writer, SpoolReader(tmp_path) as reader:
        writer.write(b"more\n")
        assert drain(reader) == [b"0123", b"5678", b"more"]


def test_an_archiver_is_behind_while_it_stores_and_much_waits(tmp_path: Path) -> None:
    spool = Instance(tmp_path).spool
    with SpoolWriter(spool) as writer, SpoolReader(spool) as reader:
        writer.write(b"first\n" + b"x" * 2**20 + b"\n")
        reader.read(1, ALL)
        reader.acknowledge(1, {})
        assert not is_behind(tmp_path)
        writer.write((b"x" * 2**20 + b"\n") * 4)
        assert is_behind(tmp_path)
        os.utime(spool / "position.json", (0, 0))  # it hangs, or its store is away
        assert not is_behind(tmp_path)
    assert not is_behind(tmp_path / "nothing")


def test_a_spool_can_be_inspected_while_in_use(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    nothing = inspect(spool)
    assert (nothing.read, nothing.acknowledged, nothing.waiting, nothing.oldest_waiting) == (0, 0, 0, None)
    assert bytes_waiting(spool) == 0
    assert not spool.exists()
    with SpoolWriter(spool, segment_bytes=8) as writer, SpoolReader(spool) as reader:
        writer.write(b"000\n111\n222\n33")
        fresh = inspect(spool)
        assert (fresh.read, fresh.acknowledged, fresh.waiting, fresh.bytes_waiting) == (3, 0, 3, 14)
        assert fresh.oldest_waiting == b"000"
        reader.read(1, ALL)
        reader.read(1, ALL)
        reader.acknowledge(1, {"stored": 1})
        later = inspect(spool)
        assert (later.read, later.acknowledged, later.waiting, later.bytes_waiting) == (3, 1, 2, 10)
        assert (later.oldest_waiting, later.note) == (b"111", {"stored": 1})
        reader.acknowledge(2, {})
        assert inspect(spool).oldest_waiting == b"222"
        assert bytes_waiting(spool) == inspect(spool).bytes_waiting
        drain(reader)
        reader.acknowledge(3, {})
        done = inspect(spool)
        assert (done.read, done.acknowledged, done.waiting, done.oldest_waiting) == (3, 3, 0, None)
