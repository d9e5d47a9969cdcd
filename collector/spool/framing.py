"""Frames binary records in a spool whose records end with a newline: a newline within one becomes two other bytes.

Records of text are lines, and stand in the spool as they are.
"""

from __future__ import annotations

_NEWLINE = b"\n"
_ESCAPE = b"\xe6"
"""The rarest byte in BGP messages: 0.04 % of 16 MB of them."""
_FOR_NEWLINE = _ESCAPE + b"n"
_FOR_ESCAPE = _ESCAPE + b"e"


def frame(record: bytes) -> bytes:
    """A binary record as the spool takes it: without a newline except at its end."""
    return record.replace(_ESCAPE, _FOR_ESCAPE).replace(_NEWLINE, _FOR_NEWLINE) + _NEWLINE


def unframe(line: bytes) -> bytes:
    """The record in a line of the spool.

    Args:
        line: without its newline. Of one that is torn the record is as far as it came, perhaps with half of such a
            pair behind it.
    """
    return line.replace(_FOR_NEWLINE, _NEWLINE).replace(_FOR_ESCAPE, _ESCAPE)
