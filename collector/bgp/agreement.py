"""What the two OPENs of a session negotiate, which decides how its messages are encoded."""

from __future__ import annotations

import struct

from collector.bgp.families import Family
from collector.bgp.messages import HEADER_LENGTH
from collector.bgp.open_messages import Abilities, capabilities, parse_open

_ADD_PATH, _SENDS = 69, 2
"""The capability of RFC 7911, and its mode for senders of path identifiers (3: senders and receivers)."""


def agreed(ours: bytes, theirs: bytes) -> Abilities:
    """What applies to the messages that the other side sends us.

    AS numbers have four bytes if both OPENs say so (RFC 6793 4.1); a family's routes have path identifiers if we
    receive and they send them (RFC 7911 4).

    Args:
        ours: our OPEN, with its header.
        theirs: the other side's.

    Raises:
        ValueError: one of them is not an OPEN of BGP-4.
    """
    mine, its = (parse_open(one[HEADER_LENGTH:]).abilities for one in (ours, theirs))
    return Abilities(
        as4=mine.as4 and its.as4,
        families=mine.families & its.families,
        add_path=mine.add_path & _with_path_ids(theirs[HEADER_LENGTH:]),
        extended=mine.extended and its.extended,
        ipv6_next_hops=mine.ipv6_next_hops & its.ipv6_next_hops,
    )


def _with_path_ids(body: bytes) -> frozenset[Family]:
    """The families whose routes the sender of an OPEN sends with path identifiers, if the other side accepts them."""
    values = [value for code, value in capabilities(body) if code == _ADD_PATH]
    return frozenset(
        (afi, safi)
        for value in values
        for afi, safi, mode in struct.iter_unpack(">HBB", value[: len(value) - len(value) % 4])
        if mode & _SENDS
    )
