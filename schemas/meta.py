"""Documents of `meta` as they are read, and what is written to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict


class SelectionDocument(TypedDict):
    """Which records of a file were imported, or which of its tables."""

    start: datetime | None
    end: datetime | None
    peers: list[str]


class ImportFacts(TypedDict):
    """What is known of an imported file when its import begins."""

    file: str
    """Its name, without the directory."""
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
    note: Mapping[str, Any]
    """The sessions behind the last stored record, and how many records were stored, rejected and refused."""
    times: list[datetime]
    """The times of its RIB dumps."""
    tables: int
    """How many tables of its RIB dumps are stored."""
    last: datetime | None
    """The time at which its sessions end; None if it has none."""


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
