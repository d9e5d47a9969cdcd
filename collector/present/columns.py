"""Columns of tables, and how a value stands in a cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.attributes import Aggregator, ExtendedCommunity, UnknownAttribute
from schemas.scalars import spoken


class Column(NamedTuple):
    """A column: its title, and what stands in it for an answer."""

    title: str
    cell: Callable[[Any], object]
    right: bool = False
    folds: bool = False
    """On a terminal long cells of this column may be wrapped; other columns are never narrower than their cells."""
    usual: int = 0
    """The width for answers that arrive one by one, when the width of later ones is unknown."""


ALWAYS = {"time (UTC)", "peer", "AS", "prefix", "event", "address", "state", "updates", "routes"}
"""Columns that are there even if all of their cells are empty."""


def cell_text(value: object) -> str:
    """A value as it stands in a cell, always on one line."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return spoken(value)
    if isinstance(value, list):
        return " ".join(map(cell_text, value))
    if isinstance(value, ExtendedCommunity):
        return value.text or f"0x{value.hex}"
    if isinstance(value, Aggregator):
        return f"{value.asn} {value.address}"
    if isinstance(value, UnknownAttribute):
        return f"{value.code} flags 0x{value.flags:02x} 0x{value.hex}"
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A peer's own text (RFC 9003) must neither break a row nor control the terminal.
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
