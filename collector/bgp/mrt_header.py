"""The header of an MRT record (RFC 6396 2): its type and length."""

from __future__ import annotations

import struct
from typing import Final

# RFC 6396 section 4.
TABLE_DUMP: Final = 12
TABLE_DUMP_V2: Final = 13
BGP4MP: Final = 16
BGP4MP_ET: Final = 17

HEADER: Final = struct.Struct(">IHHI")
"""Time in unix seconds, type, subtype, and the length of what follows."""

# Types that may occur in an old or mixed file: RFC 6396 section 4 and appendix B, and IANA's registry.
TYPES: Final = {
    1: "START",
    2: "DIE",
    3: "I_AM_DEAD",
    4: "PEER_DOWN",
    5: "BGP",
    6: "RIP",
    7: "IDRP",
    8: "RIPNG",
    9: "BGP4PLUS",
    10: "BGP4PLUS_01",
    11: "OSPFv2",
    12: "TABLE_DUMP",
    13: "TABLE_DUMP_V2",
    16: "BGP4MP",
    17: "BGP4MP_ET",
    32: "ISIS",
    33: "ISIS_ET",
    48: "OSPFv3",
    49: "OSPFv3_ET",
}


def describe_type(kind: int) -> str:
    """An MRT type by name and number, as in `OSPFv2 (11)`."""
    return f"{TYPES[kind]} ({kind})" if kind in TYPES else str(kind)


class UnreadableError(Exception):
    """An invalid record of known length; the text says why, as in `record 7 ...`."""


def type_of(raw: bytes) -> int:
    """The MRT type of a record (RFC 6396 4)."""
    return int.from_bytes(raw[4:6])


def is_of_table(raw: bytes) -> bool:
    """Whether a record belongs to a RIB dump (RFC 6396 4.2, 4.3)."""
    return type_of(raw) in (TABLE_DUMP, TABLE_DUMP_V2)


def is_of_session(raw: bytes) -> bool:
    """Whether a record holds a BGP message or a state change (RFC 6396 4.4)."""
    return type_of(raw) in (BGP4MP, BGP4MP_ET)
