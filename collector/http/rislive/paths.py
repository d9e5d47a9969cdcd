"""AS paths in RIS Live's form, and the patterns that match them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

PathItem = int | list[int]
"""An AS, or the ASes of a set."""

_ITEM = r"(?:\d{1,10}|\[\d{1,10}(?:,\d{1,10})*\])"
_PATTERN = re.compile(rf"(!?)(\^?)({_ITEM}(?:,{_ITEM})*)(\$?)", re.ASCII)


class PathPattern(NamedTuple):
    """A pattern: ASes in a row, which may have to be at the beginning or at the end of the path."""

    items: list[PathItem]
    is_first: bool
    is_last: bool
    is_inverted: bool

    def matches(self, path: list[PathItem]) -> bool:
        """Whether it matches a path."""
        return self._is_in(path) != self.is_inverted

    def _is_in(self, path: list[PathItem]) -> bool:
        last = len(path) - len(self.items)
        return any(
            all(map(_is_same, self.items, path[at:]))
            for at in range(last + 1)
            if not (self.is_first and at > 0) and not (self.is_last and at < last)
        )


@lru_cache(20_000)
def path_pattern(text: str) -> PathPattern:
    """The pattern in a text.

    Raises:
        ValueError: it is none.
    """
    found = _PATTERN.fullmatch(text)
    if not found:
        raise ValueError(
            "is not a list of ASes with commas, an AS_SET in brackets, with ^ before and $ after it, and ! before all"
        )
    inverted, first, items, last = found.groups()
    return PathPattern(_items(items), bool(first), bool(last), bool(inverted))


def _items(text: str) -> list[PathItem]:
    return [
        sorted(int(number) for number in item.strip("[]").split(",")) if item.startswith("[") else int(item)
        for item in re.findall(_ITEM, text)
    ]


def _is_same(wanted: PathItem, item: PathItem) -> bool:
    """Whether an item of a path is the wanted one; an AS is also found in a set."""
    if isinstance(item, list):
        return wanted in item if isinstance(wanted, int) else wanted == sorted(item)
    return wanted == item


def path_items(path: str) -> list[PathItem]:
    """An AS path of the archive in RIS Live's form: ASes, and sets of ASes as lists."""
    found: list[PathItem] = []
    for word in re.findall(r"[{(\[][^})\]]*[})\]]|\d+", path):
        numbers = [int(number) for number in re.findall(r"\d+", word)]
        found += numbers if word.isdecimal() or word.startswith("(") else [numbers]
    return found
