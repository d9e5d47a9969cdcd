"""A set of integers that is nearly complete, such as line numbers: a bit for each, and nothing for complete blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BITS = 2**16
"""Numbers in one block."""
_FULL = bytearray()
"""In place of a complete block."""
_ABSENT, _PRESENT = re.compile("0+"), re.compile("1+")


class Numbers:
    """Whole numbers from 0 on. Takes at most an eighth of a byte for each, and nothing for 65536 that are complete."""

    def __init__(self) -> None:
        self.count = 0
        self.top = -1
        """The highest number; -1 if empty."""
        self._blocks: dict[int, bytearray] = {}
        self._counts: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Add a number; returns False if it was already there."""
        at, bit = divmod(number, _BITS)
        block = self._blocks.get(at)
        if block is None:
            block = self._blocks[at] = bytearray(_BITS // 8)
            self._counts[at] = 0
        elif block is _FULL:
            return False
        mask = 1 << (bit & 7)
        if block[bit >> 3] & mask:
            return False
        block[bit >> 3] |= mask
        self.count += 1
        self.top = max(self.top, number)
        self._counts[at] += 1
        if self._counts[at] == _BITS:
            self._blocks[at] = _FULL
        return True

    def missing(self, start: int, end: int) -> Iterator[range]:
        """The missing numbers from `start` up to, but without, `end`, as ranges that do not touch."""
        return self._runs(start, end, _ABSENT)

    def present(self) -> Iterator[range]:
        """The numbers in the set, as ranges that do not touch."""
        return self._runs(0, self.top + 1, _PRESENT)

    def _runs(self, start: int, end: int, wanted: re.Pattern[str]) -> Iterator[range]:
        run = range(start, start)
        for piece in self._pieces(start, end, wanted):
            if piece.start == run.stop and run:
                run = range(run.start, piece.stop)
            else:
                if run:
                    yield run
                run = piece
        if run:
            yield run

    def _pieces(self, start: int, end: int, wanted: re.Pattern[str]) -> Iterator[range]:
        """The runs, block by block: a run may continue in the next block."""
        for at in range(start // _BITS, -(-end // _BITS)):
            base = at * _BITS
            first, last = max(start, base), min(end, base + _BITS)
            block = self._blocks.get(at)
            if block is None or block is _FULL:
                if (block is None) == (wanted is _ABSENT):
                    yield range(first, last)
                continue
            digits = f"{int.from_bytes(block, 'little'):0{_BITS}b}"[::-1]
            for run in wanted.finditer(digits, first - base, last - base):
                yield range(base + run.start(), base + run.end())
