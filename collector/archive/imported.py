"""The result of importing a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from collector.bgp.mrt import CutError


@dataclass
class Imported:
    """The result of importing a file."""

    path: Path
    key: str = ""
    """The key of its document in `meta`."""
    records: int = 0
    """Records stored by this import, as messages or as rejects."""
    rejected: int = 0
    joined: int = 0
    """Files behind it that were imported before, in which its sessions continue."""
    left_out: int = 0
    """Records that the selection excludes."""
    others: dict[str, int] = field(default_factory=dict)
    """Records that hold no message of a session, by their MRT type."""
    continued: bool = False
    """Whether an earlier import has stored a part of it, which is not counted here."""
    grown: bool = False
    """Whether that part was the whole file then."""
    was_imported: bool = False
    """Whether it was imported before, so that nothing was done."""
    tables_are_stored: bool = False
    """Whether the tables that were due for its sessions are stored too."""
    first: datetime | None = None
    """The time of its first record."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why records were rejected, if they were only looked through."""
    fault: CutError | None = None
    """Why it could not be read to its end."""
    tables: int = 0
    """For a RIB dump: the number of stored tables,"""
    routes: int = 0
    """and of their routes."""
    twice: int = 0
    """Duplicate routes in a dump, of which the last one is stored."""
    differ: int = 0
    """Tables that differ from what the UPDATEs before them give."""
    seconds: float = 0.0

    @property
    def has_no_bgp(self) -> bool:
        """Whether it has records, but none of a type with BGP: it has OSPF's, or never was an MRT file."""
        return bool(self.others) and not (self.records or self.left_out or self.tables)
