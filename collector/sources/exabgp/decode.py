"""Decodes one line of the spool to one message, or to a rejection with its reason. Bad input never raises."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from collector.sources.source import Rejection
from schemas.exabgp import to_message
from schemas.exabgp.json_repair import mended
from schemas.message import Answer, Counted, Message, Open, Peer, StateChange
from schemas.scalars import from_unix, normalise_address

MAX_LINE_BYTES = 8 * 2**20
"""The longest line that is looked at: parsing takes up to 45 bytes of memory for each of a line's.

ExaBGP's longest known line, of a message of 65,535 bytes (RFC 8654), has 382 kB.
"""

_MAX_SESSION_BYTES = 2**20
"""The longest line that may become part of a session's document, which must not grow to MongoDB's limit."""


# What ExaBGP 5.0.15 and 4.2.25 print between messages, on the helper's stdin, in answer to commands.
_ANSWER = re.compile(
    r"""
      (?: done | error | exabgp\ [0-9][\w.+-]*
        | Peer\s+AS\s+up/down\s.* | [0-9a-fA-F.:/]+\s+\d+\s+(?:down|[\d:]+(?:\ days?,\ [\d:]+)?)\s+\w+\s.*
        | (?:neighbor\ )?[0-9a-fA-F.:/]+\ (?:ipv4|ipv6|l2vpn|bgp-ls)\ .*
        | available\ API\ commands\ are\ listed\ here: | =+ | -+ | \#\  | filter\ can\ be:\ .* | command\ are:
        | \[neighbor\ <ip>\ \[filters\]\]\ .*
        | (?:disable-ack|enable-ack|silence-ack|help|reload|reset|restart|shutdown|version|show\ [a-z -]++(?:\[.*\])?+)
          \s*+
      )?
    """,
    re.VERBOSE,
)
_TEXT_ENCODER = re.compile(r"neighbor [0-9a-fA-F.:]+ (?:receive|send|connected|up|down|update)\b")


def decode(raw: bytes) -> Message | Rejection:
    """Read one line, without its newline.

    Returns:
        The message; an `Answer` for ExaBGP's answers to commands; a `Rejection` for all else. Never raises on
        account of what a line holds.
    """
    if len(raw) > MAX_LINE_BYTES:
        return Rejection(f"too long: {len(raw)} bytes, of {MAX_LINE_BYTES} at most")
    if not raw.startswith(b"{"):
        return _without_object(raw)
    try:
        line = _parsed(raw)
    except ValueError as error:
        return Rejection(f"not valid JSON: {error}{_AUTO_CURE if _AUTO in raw else ''}")
    except RecursionError:
        return Rejection("not valid JSON: nested too deep")
    try:
        message = to_message(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Rejection(f"not as ExaBGP prints it: {'.'.join(map(str, first['loc']))[:200]}: {first['msg'][:300]}")
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        # The shapes leave routes and details open; a wrong type deep within one of them ends here.
        return Rejection(f"not as ExaBGP prints it: {str(error)[:300] or type(error).__name__}")
    if len(raw) > _MAX_SESSION_BYTES and isinstance(message, Open | StateChange):
        return Rejection(f"not as ExaBGP prints it: {len(raw)} bytes of {message.kind}")
    return message


def _parsed(raw: bytes) -> Any:
    try:
        return from_json(raw, cache_strings="keys")
    except ValueError:
        if (whole := mended(raw)) == raw:
            raise
        return from_json(whole, cache_strings="keys")


_AUTO = b'": None'
_AUTO_CURE = " (ExaBGP prints None with `peer-as auto` or `local-as auto`: give the AS number)"

_SELF = re.compile(
    rb"""\{\ ?"exabgp":\ "[^"]*",\ "time":\ (\d{1,10}(?:\.\d{1,9})?),.{0,300}?
    "pid"\ ?:\ (\d{1,9}),.{0,100}?"counter":\ (\d{1,18})
    (?:,\ "type":\ "([a-z]{1,20})")?,.{0,300}?
    "address":\ \{.{0,100}?"peer":\ "([0-9a-fA-F.:]{2,45})".{0,20}?"asn":\ \{.{0,100}?"peer":\ (\d{1,10}|None)""",
    re.VERBOSE,
)


def counted(raw: bytes, size: int) -> Counted | None:
    """What a rejected line says of whose it is and of its count, if it came whole and can be read so far.

    The AS is 0 where ExaBGP prints None: with `peer-as auto`, which may stand in a configuration that is not ours.

    Args:
        raw: the line, or its beginning.
        size: bytes of the whole line.
    """
    found = _SELF.match(raw[:2000])
    if found is None or (len(raw) == size and not raw.rstrip().endswith(b"}")):
        return None
    time, pid, count, kind, address, asn = found.groups()
    if b'"direction": "send"' in raw[:2000]:
        kind = b"sent"
    try:
        peer = Peer(address=normalise_address(address.decode()), asn=0 if asn == b"None" else int(asn))
        return Counted(peer, int(pid), int(count), kind.decode() if kind else None, from_unix(float(time)))
    except ValueError:
        return None


def _without_object(raw: bytes) -> Message | Rejection:
    if b"\0" in raw:
        return Rejection("not a line of text: it holds NUL bytes, as after a loss of power")
    try:
        text = raw.rstrip(b"\r").decode()
    except UnicodeDecodeError as error:
        return Rejection(f"not a line of text: byte {error.start} is not UTF-8")
    if _ANSWER.fullmatch(text) or _is_array(raw):
        return Answer(text=text)
    if _TEXT_ENCODER.match(text):
        return Rejection("ExaBGP's text encoder; set `encoder json;` in the process block of exabgp.conf")
    return Rejection("neither a JSON object nor an answer to a command")


def _is_array(raw: bytes) -> bool:
    if not raw.startswith(b"["):
        return False
    try:
        from_json(raw)
    except (ValueError, RecursionError):
        return False
    return True
