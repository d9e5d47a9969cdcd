"""A loss of power costs the spool no more than the settings allow."""

import os
from pathlib import Path

import pytest

from collector.spool.sync import Sync
from collector.spool.writer import SpoolWriter
from tests.support import until


class Disk:
    """A disk that knows how much of each file has been synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: dict[int, int] = {}
        self.names: set[int] = set()
        self._fdatasync, self._fsync = os.fdatasync, os.fsync
        monkeypatch.setattr("collector.spool.sync.os.fdatasync", self.fdatasync)
        monkeypatch.setattr("collector.spool.segment.os.fsync", self.fsync)

    def fdatasync(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        self._fdatasync(descriptor)
        self.synced[facts.st_ino] = facts.st_size

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self.names.update(entry.stat().st_ino for entry in os.scandir(descriptor))

    @property
    def bytes(self) -> int:
        """The bytes that are synced, in files whose directory entry is synced."""
        return sum(size for inode, size in self.synced.items() if inode in self.names)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_without_a_pause_every_write_is_synced(tmp_path: Path, disk: Disk) -> None:
    sync = Sync(tmp_path, seconds=0, size=2**30)
    with SpoolWriter(tmp_path, segment_bytes=100, sync=sync) as writer:
        for number in range(1, 100):
            writer.write(b"123456789\n")
            assert disk.bytes == number * 10


def test_no_more_than_the_set_number_of_bytes_is_unsynced(tmp_path: Path, disk: Disk) -> None:
    sync = Sync(tmp_path, seconds=3600, size=50)
    with SpoolWriter(tmp_path, segment_bytes=10_000, sync=sync) as writer:
        for number in range(1, 100):
            writer.write(b"123456789\n")
            assert number * 10 - disk.bytes < 50
    assert disk.bytes == 990, "and the rest when it ends"


async def test_no_bytes_are_unsynced_for_longer_than_the_set_time(tmp_path: Path, disk: Disk) -> None:
    sync = Sync(tmp_path, seconds=0.05, size=2**30)
    with SpoolWriter(tmp_path, sync=sync) as writer:
        writer.write(b"123456789\n")
        await until(lambda: disk.bytes == 10)
        writer.write(b"123456789\nabc")
        await until(lambda: disk.bytes == 23)


def test_a_failing_disk_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr("collector.spool.sync.os.fdatasync", fail)
    with SpoolWriter(tmp_path, sync=Sync(tmp_path, seconds=0, size=1)) as writer:
        writer.write(b"123456789\n")
    assert "the disk of the spool fails: Input/output error" in caplog.text
