"""The numbers in the environment that say how much is measured."""

from __future__ import annotations

import os

ROUNDS = 5
TABLES = 20


def rounds() -> int:
    """How often each figure is measured.

    Raises:
        SystemExit: ROUNDS is not such a number.
    """
    return _number("ROUNDS", ROUNDS, above=0)


def tables() -> int:
    """How many tables a collector takes one after the other; its growth is measured from the second on.

    Raises:
        SystemExit: TABLES is not such a number.
    """
    return _number("TABLES", TABLES, above=1)


def _number(name: str, otherwise: int, *, above: int) -> int:
    text = os.environ.get(name, "")
    if text and not (text.isascii() and text.isdigit() and int(text) > above):
        raise SystemExit(f"{name}={text}: it is not a number above {above}")
    return int(text or otherwise)
