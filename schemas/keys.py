"""The keys of documents: ObjectIds derived from a line's time and number, so that a line cannot be stored twice."""

from __future__ import annotations

import hashlib
from datetime import datetime

from bson import ObjectId

_LINE_BITS = 40
_LINES = (1 << _LINE_BITS) - 1
FILE_BITS, FILE_RECORD_BITS = 16, 24
"""How many of a line's bits are the number of an imported file, and, below them, the number of a record in it."""


def collector_number(collector: str) -> int:
    """A collector's name as 24 bits, for the keys of its documents: several collectors may write to one database."""
    return int.from_bytes(hashlib.blake2b(collector.encode(), digest_size=3).digest())


def instance_name(collector: str, instance: str) -> str:
    """What replaces the collector's name in the keys of one of its spools, as each counts its lines from 0.

    Args:
        collector: the name.
        instance: what distinguishes the spool from the collector's others (`1`, `bmp`); empty for the first one, which
            uses the name itself.
    """
    return f"{collector}#{instance}" if instance else collector


def make_key(ts: datetime, collector: int, line: int) -> ObjectId:
    """The key of the document from line number `line` of a collector's spool.

    Four bytes of seconds, three of collector, five of line (2**40 lines: seven years at 5,000 a second; then they start
    again, and the seconds keep keys distinct). Keys sort by time, and one collector's by line within a second.
    """
    return ObjectId((int(ts.timestamp()) << 64 | collector << _LINE_BITS | line & _LINES).to_bytes(12))


def make_gap_key(ts: datetime, collector: int, line: int, peer: str) -> ObjectId:
    """The key of a gap of one peer, revealed by a line: one line may reveal gaps of many peers."""
    digest = hashlib.blake2b(f"{line} {peer}".encode(), digest_size=5).digest()
    return ObjectId(int(ts.timestamp()).to_bytes(4) + collector.to_bytes(3) + digest)


def make_snapshot_key(ts: datetime, collector: int, session: ObjectId, part: int | None = None) -> ObjectId:
    """The key of a session's table at a time, or of a part; if another document has it, the next free key is used."""
    digest = hashlib.blake2b(f"{session} {ts.timestamp()} {part}".encode(), digest_size=5).digest()
    return ObjectId(int(ts.timestamp()).to_bytes(4) + collector.to_bytes(3) + digest)


def key_behind(key: ObjectId) -> ObjectId:
    """The next key of the same second and collector; after the last key, the first one."""
    last = int.from_bytes(key.binary[7:]) + 1
    return ObjectId(key.binary[:7] + (last & _LINES).to_bytes(5))


def key_line(key: ObjectId) -> int:
    """The line number in a key from `make_key`."""
    return int.from_bytes(key.binary[7:])


def key_collector(key: ObjectId) -> int:
    """The collector's, or instance's, 24 bits in a key."""
    return int.from_bytes(key.binary[4:7])
