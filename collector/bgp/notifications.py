"""NOTIFICATIONs (RFC 4271 4.5): their codes, and the meaning of these as text."""

from __future__ import annotations

from typing import Final

from collector.bgp.families import family_name
from collector.bgp.messages import NOTIFICATION, message

# Error codes and subcodes, RFC 4271 section 4.5.
MESSAGE_HEADER_ERROR: Final = 1
OPEN_ERROR: Final = 2
HOLD_TIMER_EXPIRED: Final = 4
CEASE: Final = 6
NOT_SYNCHRONIZED: Final = 1
BAD_PEER_AS: Final = 2
UNACCEPTABLE_HOLD_TIME: Final = 6
UNSUPPORTED_CAPABILITY: Final = 7
# RFC 4486 section 3.
MAXIMUM_PREFIXES: Final = 1
ADMINISTRATIVE_SHUTDOWN: Final = 2
ADMINISTRATIVE_RESET: Final = 4
CONNECTION_REJECTED: Final = 5
CONNECTION_COLLISION: Final = 7
OUT_OF_RESOURCES: Final = 8
HARD_RESET: Final = 9  # RFC 8538 section 3

_OF_ANOTHER_CONNECTION: Final = frozenset({(5, 1), (5, 2), (CEASE, CONNECTION_COLLISION)})
"""Errors in OpenSent and OpenConfirm (RFC 6608), and the end of a connection that collides with one that is up."""

_ERRORS: Final[dict[int, tuple[str, dict[int, str]]]] = {
    1: (
        "Message Header Error",
        {1: "Connection Not Synchronized", 2: "Bad Message Length", 3: "Bad Message Type"},
    ),
    2: (
        "OPEN Message Error",
        {
            1: "Unsupported Version Number",
            2: "Bad Peer AS",
            3: "Bad BGP Identifier",
            4: "Unsupported Optional Parameter",
            5: "Authentication Failure",
            6: "Unacceptable Hold Time",
            7: "Unsupported Capability",
            11: "Role Mismatch",
        },
    ),
    3: (
        "UPDATE Message Error",
        {
            1: "Malformed Attribute List",
            2: "Unrecognized Well-known Attribute",
            3: "Missing Well-known Attribute",
            4: "Attribute Flags Error",
            5: "Attribute Length Error",
            6: "Invalid ORIGIN Attribute",
            7: "AS Routing Loop",
            8: "Invalid NEXT_HOP Attribute",
            9: "Optional Attribute Error",
            10: "Invalid Network Field",
            11: "Malformed AS_PATH",
        },
    ),
    4: ("Hold Timer Expired", {}),
    5: (
        "Finite State Machine Error",
        {
            1: "Receive Unexpected Message in OpenSent State",
            2: "Receive Unexpected Message in OpenConfirm State",
            3: "Receive Unexpected Message in Established State",
        },
    ),
    6: (
        "Cease",
        {
            1: "Maximum Number of Prefixes Reached",
            2: "Administrative Shutdown",
            3: "Peer De-configured",
            4: "Administrative Reset",
            5: "Connection Rejected",
            6: "Other Configuration Change",
            7: "Connection Collision Resolution",
            8: "Out of Resources",
            9: "Hard Reset",
            10: "BFD Down",
        },
    ),
    7: ("ROUTE-REFRESH Message Error", {1: "Invalid Message Length"}),
    8: ("Send Hold Timer Expired", {}),
}
"""RFC 4271 4.5 (5 of OPEN and 7 of UPDATE: RFC 1771), 4486, 5492, 6608, 7313, 8538, 9234, 9384 and 9687."""
_SUBCODES_WITH_TEXT: Final = {(CEASE, ADMINISTRATIVE_SHUTDOWN), (CEASE, ADMINISTRATIVE_RESET)}  # RFC 9003


def closes_session(code: int, subcode: int) -> bool:
    """Whether a NOTIFICATION closes a session that is up; others can only be of a second connection with the peer.

    These are errors in an OPEN, or before a session is up, and collisions (RFC 4271 6.2, 6.8; RFC 6608).
    """
    return code != OPEN_ERROR and (code, subcode) not in _OF_ANOTHER_CONNECTION


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    """A NOTIFICATION message (RFC 4271 section 4.5)."""
    return message(NOTIFICATION, bytes((code, subcode)) + data)


def notification_words(body: bytes) -> str:
    """A NOTIFICATION as text, in the RFCs' words: `Cease Administrative Reset: for maintenance`.

    Args:
        body: the message without its header.
    """
    if len(body) < 2:
        return "a NOTIFICATION without an error code"
    code, subcode = body[0], body[1]
    name, subcodes = _ERRORS.get(code, (f"error {code}", {}))
    words = name if subcode == 0 else f"{name} / {subcodes.get(subcode, f'subcode {subcode}')}"
    more = _more_words(code, subcode, body[2:])
    return f"{words}: {more}" if more else words


def shutdown_communication(body: bytes) -> str:
    """The operator's text in a NOTIFICATION (RFC 9003 2); "" if there is none.

    Args:
        body: the message without its header.
    """
    if tuple(body[:2]) not in _SUBCODES_WITH_TEXT or len(body) < 3:
        return ""
    return printable(body[3 : 3 + body[2]].decode("utf-8", "replace"))


def _more_words(code: int, subcode: int, data: bytes) -> str:
    if (code, subcode) in _SUBCODES_WITH_TEXT:
        return shutdown_communication(bytes((code, subcode)) + data)
    if (code, subcode) == (CEASE, HARD_RESET) and len(data) >= 2:
        return notification_words(data)
    if (code, subcode) == (CEASE, MAXIMUM_PREFIXES) and len(data) == 7:  # RFC 4486 section 4
        return f"{family_name((int.from_bytes(data[:2]), data[2]))}, {int.from_bytes(data[3:])} prefixes"
    return ""


def printable(text: str) -> str:
    """A text from outside in printable form: without control characters."""
    return "".join(character for character in text if character.isprintable())
