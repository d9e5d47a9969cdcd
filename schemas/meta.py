"""Documents of `meta` as they are read, and what is written to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from schemas.notes import ArchiverNote


class SchemaDocument(TypedDict):
    """The version of the database's schema."""

    version: int


class NumberDocument(TypedDict):
    """Which collector has a number in keys."""

    collector: str


class StoredUptoDocument(TypedDict):
    """Up to which line everything is stored."""

    line: int
    ts: datetime


class ClaimFacts(TypedDict):
    """Which spool has an instance's name (`instance_name`)."""

    spool: str


class ClaimDocument(ClaimFacts):
    """A claimed name, and how far its spool is stored."""

    _id: str
    """`collector:` and the name."""
    stored: NotRequired[StoredUptoDocument]


class PositionDocument(TypedDict):
    """A position in an instance's lines; see `collector.store.meta.InstancePosition`."""

    instance: str
    spool: str
    line: int
    ts: datetime


class ConsumerDocument(TypedDict):
    """What a named consumer has read."""

    positions: Mapping[str, PositionDocument]
    """By the instance's number in keys, in hexadecimal."""


class SelectionDocument(TypedDict):
    """Which records of a file were imported, or which of its tables."""

    start: datetime | None
    end: datetime | None
    peers: list[str]


class ImportFacts(TypedDict):
    """What is known of an imported file when its import begins."""

    file: str
    """Its name, without the directory."""
    size: NotRequired[int]
    """How many bytes its SHA-256 is of; missing if it was imported before that was recorded."""
    source: str
    selection: SelectionDocument
    first: datetime
    """The time of its first record."""
    done: bool
    dump: NotRequired[Literal[True]]
    """It holds RIB dumps."""


class _Reached(TypedDict, total=False):
    next_line: int
    """Of messages: the number of the first record that is not stored yet."""
    note: ArchiverNote
    """The sessions behind the last stored record, and how many records were stored, rejected and refused."""
    times: list[datetime]
    """The times of its RIB dumps."""
    tables: int
    """How many tables of its RIB dumps are stored."""
    last: datetime | None
    """The time at which its sessions end; None if it has none."""
    follows: str
    """The key of the file whose sessions continue in it."""
    begins_with: str
    """A digest of the sessions at the end of that file (`followed_files.state_digest`); empty while they are joined."""
    joined: bool
    """Of messages: whether its sessions continue in the files that follow it, and were imported before it."""
    tables_are_stored: Literal[True]
    """The tables that were due for its sessions are stored; later they may be removed again (`rib.snapshot_days`)."""


class ImportProgress(_Reached, total=False):
    """How far an import has come: only the fields that change."""

    done: bool


class ImportDocument(ImportFacts, _Reached):
    """An imported file, or one whose import was interrupted."""

    _id: str
    """With the collector's number and the file's SHA-256."""
    collector: str
    number: int
    """Counts a collector's files; part of the keys of their documents."""
    grown: NotRequired[Literal[True]]
    """A longer file with the same beginning was imported, whose document has the same number, and counts instead."""
