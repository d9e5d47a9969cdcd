"""The summary of an export: what was written, and what had to be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator


class ExportSummary:
    """What an export wrote, and what it had to leave out."""

    def __init__(self) -> None:
        self.records = 0
        """Records in the file."""
        self.without = Counter[str]()
        """Records that lack something, by what they lack."""
        self.messages = Counter[str]()
        """What is missing in the file entirely, by kind."""

    def sentences(self) -> Iterator[str]:
        """The summary as sentences."""
        for what, count in self.messages.most_common():
            yield f"left out {count:,}: {what}, as their bytes are not stored"
        for what, count in self.without.most_common():
            yield f"{count:,} are written without {what}, as its bytes are not stored"
