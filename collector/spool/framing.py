"""Frames binary records in a spool whose records end with a newline: a newline within a record becomes two other bytes.

Text records are lines and are stored as they are.
"""

from __future__ import annotations

_NEWLINE = b"\n"
_ESCAPE = b"\xe6"
"""The rarest byte in BGP messages: 0.04 % of 16 MB of them."""
_FOR_NEWLINE = _ESCAPE + b"n"
_FOR_ESCAPE = _ESCAPE + b"e"


def frame(record: bytes) -> bytes:
    """A binary record for the spool: without newlines, except at its end."""
    return record.replace(_ESCAPE, _FOR_ESCAPE).replace(_NEWLINE, _FOR_NEWLINE) + _NEWLINE


def unframe(line: bytes) -> bytes:
    """The record in a line of the spool.

    Args:
        line: without its newline. A torn line gives the beginning of its record, possibly followed by half of an escape
            pair.
    """
    return line.replace(_FOR_NEWLINE, _NEWLINE).replace(_FOR_ESCAPE, _ESCAPE)
