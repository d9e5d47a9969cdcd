"""Parses the values of filters: lists of numbers, families and other words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar, get_args

from collector.errors import UsageError
from collector.query.filters import Choice
from schemas.peer import Rib

T = TypeVar("T")

_OF_IP = ("unicast", "multicast", "nlri-mpls", "mpls-vpn", "mcast-vpn", "flow", "flow-vpn", "mup", "rtc")
FAMILIES = (
    *(f"{ip} {name}" for ip in ("ipv4", "ipv6") for name in _OF_IP),
    *("l2vpn vpls", "l2vpn evpn", "bgp-ls bgp-ls", "bgp-ls bgp-ls-vpn"),
)
"""All families that ExaBGP 5.0 names (exabgp/protocol/family.py)."""
RIBS: tuple[str, ...] = get_args(Rib)
"""The tables of a router."""
_UINT32 = 2**32 - 1


def parse_choice(
    text: str, parse: Callable[[str], T], what: str, cure: str, why: Callable[[str], str] = lambda _: ""
) -> Choice[T]:
    """Parse a comma-separated list of values, either all or none of them with a leading `!`.

    Args:
        text: the text.
        parse: parses one value; raises ValueError.
        what: what a value is, for the message.
        cure: what to type instead.
        why: says what is wrong with a value, if known.

    Raises:
        UsageError: a value is invalid, or wanted and unwanted values are mixed; the message names `what`, and the
            `cure`.
    """
    words = [word.strip() for word in text.split(",")]
    excluded = words[0].startswith("!")
    if any(word.startswith("!") for word in words) and not all(word.startswith("!") for word in words):
        raise UsageError(f"{text!r} mixes included and excluded values", "write '!A,!B', or 'A,B'")
    values = []
    for word in words:
        try:
            values.append(parse(word.removeprefix("!")))
        except ValueError:
            value = word.removeprefix("!")
            fault = why(value)
            raise UsageError(f"{value!r} is not {what}{fault and f': {fault}'}", cure) from None
    return Choice(tuple(values), excluded)


def parse_number(text: str) -> int:
    """A number of 32 bits.

    Raises:
        ValueError: it is not one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _UINT32):
        raise ValueError(text)
    return int(text)


def parse_family(text: str) -> str:
    """A family as named by ExaBGP; `ipv4` means `ipv4 unicast`, and `/` may replace the space.

    Raises:
        ValueError: it is not a family.
    """
    words = text.lower().replace("/", " ").split()
    family = " ".join(words if len(words) > 1 else (*words, "unicast"))
    if family not in FAMILIES:
        raise ValueError(text)
    return family


def parse_word(words: Collection[str], text: str) -> str:
    """One of some words, such as the kinds of entries.

    Raises:
        ValueError: it is none of them.
    """
    if text not in words:
        raise ValueError(text)
    return text
