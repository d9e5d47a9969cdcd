"""Parses prefixes, times and filters as people write them, for the command line, URLs and programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast, get_args

from collector.errors import UsageError
from collector.query import filters
from collector.query.attributes import ATTRIBUTES, parse_attribute
from collector.query.communities import fault_of_community, parse_community
from collector.query.filter_names import FILTERS
from collector.query.filters import Filter, PrefixMatch
from collector.query.times import parse_moment, parse_span
from collector.regex import as_path_pattern, stranger_in
from schemas.scalars import normalise_address, normalise_prefix, parse_asn

Say = Callable[[str], None]
"""Called with a sentence that the user should know."""


_COLLECTOR_NAME = re.compile(r"[a-z][a-z0-9.-]{0,99}")


def parse_router(text: str) -> str:
    """The address of a router, or the name of a route collector.

    Raises:
        ValueError: it is neither.
    """
    if _COLLECTOR_NAME.fullmatch(text.lower()) and ":" not in text:
        return text.lower()
    return normalise_address(text)


def _ignore(_said: str) -> None:
    pass


_OCTET, _OCTETS, _GROUPS = 255, 4, 8


def parse_prefix(prefix: str, *, say: Say = _ignore) -> str:
    """A normalised prefix; an address becomes its own /32 or /128. Host bits are cleared, with a note.

    Raises:
        UsageError: it is not a prefix.
    """
    whole = prefix if "/" in prefix else f"{prefix}/{128 if ':' in prefix else 32}"
    try:
        normalised = normalise_prefix(whole)
    except ValueError:
        fault = fault_of_prefix(prefix)
        raise UsageError(
            f"{prefix!r} is not a prefix{fault and f': {fault}'}",
            "write ADDRESS/LENGTH, such as 203.0.113.0/24 or 2001:db8::/32",
        ) from None
    if normalise_address(prefix.partition("/")[0]) != normalised.partition("/")[0]:
        say(f"{prefix} has host bits set: showing {normalised}")
    return normalised


def parse_peer(text: str, *, say: Say = _ignore) -> str:
    """An address, or a prefix of addresses, normalised; host bits are cleared, with a note.

    Raises:
        ValueError: it is neither.
    """
    if "/" not in text:
        return normalise_address(text)
    normalise_prefix(text)
    return parse_prefix(text, say=say)


def parse_filter(texts: Mapping[str, str | None], *, say: Say = _ignore) -> Filter:
    """Parse a filter from text: the options of the command line, or the parameters of a URL.

    In each condition but the AS path a comma is OR, and a leading `!` excludes; in the AS path too, a leading `!`
    excludes.

    Args:
        texts: conditions by the names of `FILTERS`; absent ones and None are ignored.
        say: called with notes about what looks odd but is valid.

    Raises:
        UsageError: a condition is invalid, or there is no filter of its name.
    """
    if unknown := texts.keys() - FILTERS.keys():
        raise UsageError(f"there is no filter {min(unknown)!r}", f"use {', '.join(FILTERS)}")
    start, end = parse_span(texts.get("start"), texts.get("end"), texts.get("duration"), datetime.now(UTC))
    if (pattern := texts.get("as_path")) is not None:
        _check_as_path(pattern.removeprefix("!"), say)

    def choice(
        name: str, parse_one: Callable[[str], Any], what: str, cure: str, why: Callable[[str], str] = lambda _: ""
    ) -> Any:
        text = texts.get(name)
        return None if text is None else filters.parse_choice(text, parse_one, what, cure, why)

    number = ("a number of 32 bits", "give 0 to 4294967295")
    asked = filters.Filter(
        start=start,
        prefixes=choice("prefix", partial(parse_prefix, say=say), "a prefix", ""),
        match=_parse_match(texts.get("match")),
        end=end,
        peers=choice(
            "peer",
            partial(parse_peer, say=say),
            "an address",
            "give the address of a router, without a port, or a prefix",
            fault_of_prefix,
        ),
        peer_asns=choice("peer_asn", parse_asn, "an AS number", "give 0 to 4294967295, also as AS64500 or 1.10"),
        routers=choice("router", parse_router, "a router", "give an IPv4 or IPv6 address, or a RIS collector: rrc21"),
        ribs=choice("rib", filters.parse_rib, "a table", f"write one of: {', '.join(filters.RIBS)}"),
        origins=choice("origin", parse_asn, "an AS number", "give 0 to 4294967295, also as AS64500 or 1.10"),
        as_path=pattern,
        communities=choice(
            "community",
            parse_community,
            "a community",
            "write 64500:1, 64500:1:2, target:64500:1 or no-export; * stands for any part: 64500:*",
            fault_of_community,
        ),
        next_hops=choice("next_hop", normalise_address, "an address", "give an IPv4 or IPv6 address", fault_of_address),
        families=choice(
            "family",
            filters.parse_family,
            "a family",
            f"write ipv4, ipv6 or one of: {', '.join(filters.FAMILIES)}",
        ),
        elems=choice("elem", filters.parse_elem, "a kind of entry", "write announce, withdraw, session or table"),
        med=choice("med", filters.parse_number, *number),
        local_pref=choice("local_pref", filters.parse_number, *number),
        attributes=choice(
            "attribute",
            parse_attribute,
            "an attribute",
            f"write one of: {', '.join(ATTRIBUTES)}; or the type code of another; =VALUE after it where it has one",
        ),
    )
    _check_prefixes(asked, texts.get("match"))
    if not any(asked.wants(kind) for kind in filters.KINDS.values()):
        raise UsageError("every kind of entry is excluded", "leave one out: announce, withdraw, session or table")
    return asked


def _parse_match(text: str | None) -> PrefixMatch:
    ways = get_args(PrefixMatch)
    if text is None or text in ways:
        return cast("PrefixMatch", text or "exact")
    raise UsageError(f"{text!r} is not a way to match a prefix", f"write {', '.join(ways)}")


def _check_prefixes(asked: Filter, match: str | None) -> None:
    if asked.prefixes is None:
        if match is not None:
            raise UsageError("more or less specific than what?", "give a prefix")
    elif not asked.prefixes.excluded and not any(asked.may_have(one) for one in asked.prefixes.values):
        check_family(asked, asked.prefixes.values[0])


def _check_as_path(pattern: str, say: Say) -> None:
    if not pattern:
        raise UsageError("the AS path to look for is empty", "write '^$' for the empty path, or leave it out")
    as_path_pattern(pattern)
    if stranger := stranger_in(pattern):
        say(
            f"the AS path {pattern!r} looks for {stranger!r}: AS paths have only numbers, spaces, commas, braces and"
            " parentheses"
        )


def check_routes_can_match(filters: Filter) -> None:
    """Refuse filters on routes together with sessions only.

    Raises:
        UsageError: nothing can match.
    """
    if filters.wants_sessions_alone and filters.asks_for_routes:
        raise UsageError(
            "only sessions are asked for, and the other filters ask for routes: nothing can match",
            "leave one of them out; of sessions, peers, their ASes and times can be asked",
        )


def check_family(filters: Filter, prefix: str | None) -> None:
    """Refuse families that a prefix cannot belong to.

    Raises:
        UsageError: nothing can match.
    """
    if prefix is not None and not filters.may_have(prefix):
        families = filters.families.values if filters.families else ()
        raise UsageError(
            f"{prefix} is not of the family {', '.join(families)}: nothing can match",
            "leave the family out, or search for it without a prefix",
        )


def parse_time(text: str | datetime | None) -> datetime | None:
    """Parse a time (see `collector.query.times`); datetimes and None are returned unchanged.

    Raises:
        UsageError: it is not a time, or outside of 1970 to 2106.
    """
    if isinstance(text, datetime):
        text = text.isoformat()
    return None if text is None else parse_moment(text, datetime.now(UTC))


def fault_of_address(text: str) -> str:
    """Why a text is not an address, such as `octet 300 is more than 255`; empty if the reason is not known."""
    if re.fullmatch(r"[0-9.]+", text) and "." in text:
        octets = text.split(".")
        wrong = next((octet for octet in octets if not octet or len(octet) > 3 or int(octet) > _OCTET), None)
        if len(octets) != _OCTETS:
            return f"it has {len(octets)} octets, not {_OCTETS}"
        if wrong is not None:
            return f"octet {wrong} is more than {_OCTET}" if wrong else "an octet is missing"
        zero = next((octet for octet in octets if octet != str(int(octet))), None)
        return f"octet {zero} begins with 0" if zero else ""
    if ":" in text and re.fullmatch(r"[0-9A-Za-z:.%]+", text):
        if "%" in text:
            return "a zone (%) is no part of it"
        groups = text.split(":")
        wrong = next((one for one in groups if not re.fullmatch(r"[0-9A-Fa-f]{0,4}", one) and "." not in one), None)
        if wrong is not None:
            return f"group {wrong} is not hexadecimal, of at most 4 digits"
        if text.count("::") > 1:
            return ":: stands in it twice"
        return "" if "." in text else f"it has {sum(map(bool, groups))} groups of {_GROUPS}"
    return ""


def fault_of_prefix(text: str) -> str:
    """Why a text is not a prefix, such as `its length is not 0 to 32`; empty if the reason is not known."""
    address, slash, _ = text.partition("/")
    try:
        normalise_address(address)
    except ValueError:
        return fault_of_address(address)
    return f"its length is not 0 to {128 if ':' in address else 32}" if slash else ""
