"""Parses filters as people write them: the options of the command line, the parameters of a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast, get_args

from collector.errors import UsageError
from collector.query import filter_values, filters
from collector.query.address_faults import fault_of_address, fault_of_prefix
from collector.query.arguments import Say, ignore, parse_peer, parse_prefix, parse_router
from collector.query.attributes import ATTRIBUTES, parse_attribute
from collector.query.communities import fault_of_community, parse_community
from collector.query.filter_names import FILTERS
from collector.query.filters import Filter, PrefixMatch
from collector.query.times import parse_span
from collector.regex import as_path_pattern, stranger_in
from schemas.scalars import normalise_address, parse_asn


def parse_filter(texts: Mapping[str, str | None], *, say: Say = ignore) -> Filter:
    """Parse a filter from text: the options of the command line, or the parameters of a URL.

    In each condition but the AS path a comma is OR, and a leading `!` excludes; in the AS path too, a leading `!`
    excludes.

    Args:
        texts: conditions by name, None for none. The names are those of the long options, with `_` (`peer_asn`), and
            `match` says which prefixes `prefix` means: `exact`, `more_specific` or `less_specific`.
        say: called with notes about what looks odd but is valid.

    Raises:
        UsageError: a condition is invalid, or there is no filter of its name.
    """
    if unknown := texts.keys() - FILTERS.keys():
        raise UsageError(f"there is no filter {min(unknown)!r}", f"use {', '.join(FILTERS)}")
    start, end = parse_span(texts.get("start"), texts.get("end"), texts.get("duration"), datetime.now(UTC))
    if (pattern := texts.get("as_path")) is not None:
        _check_as_path(pattern.removeprefix("!"), say)
    choices = {one.field: one.choice(text) for one in _conditions(say) if (text := texts.get(one.name)) is not None}
    match = _parse_match(texts.get("match"))
    parsed = Filter(start=start, end=end, as_path=pattern, match=match, **choices)
    _check_prefixes(parsed, texts.get("match"))
    if not any(parsed.wants(kind) for kind in filters.KINDS.values()):
        raise UsageError("every kind of entry is excluded", "leave one out: announce, withdraw, session or table")
    return parsed


@dataclass(frozen=True, slots=True)
class _Condition:
    """A filter that is a list of values: its name and its field, and how a value is parsed (see `parse_choice`)."""

    name: str
    field: str
    parse: Callable[[str], Any]
    what: str
    cure: str
    why: Callable[[str], str] = lambda _: ""

    def choice(self, text: str) -> Any:
        return filter_values.parse_choice(text, self.parse, self.what, self.cure, self.why)


def _conditions(say: Say) -> tuple[_Condition, ...]:
    asn = (parse_asn, "an AS number", "give 0 to 4294967295, also as AS64500 or 1.10")
    number = (filter_values.parse_number, "a number of 32 bits", "give 0 to 4294967295")
    router = "give the address of a router, without a port, or a prefix"
    community = "write 64500:1, 64500:1:2, target:64500:1 or no-export; * stands for any part: 64500:*"
    attribute = f"write one of: {', '.join(ATTRIBUTES)}; or the type code of another; =VALUE after it where it has one"
    return (
        _Condition("prefix", "prefixes", partial(parse_prefix, say=say), "a prefix", ""),
        _Condition("peer", "peers", partial(parse_peer, say=say), "an address", router, fault_of_prefix),
        _Condition("peer_asn", "peer_asns", *asn),
        _Condition(
            "router", "routers", parse_router, "a router", "give an IPv4 or IPv6 address, or a RIS collector: rrc21"
        ),
        _Condition(
            "rib",
            "ribs",
            partial(filter_values.parse_word, filter_values.RIBS),
            "a table",
            f"write one of: {', '.join(filter_values.RIBS)}",
        ),
        _Condition("origin", "origins", *asn),
        _Condition("community", "communities", parse_community, "a community", community, fault_of_community),
        _Condition(
            "next_hop",
            "next_hops",
            normalise_address,
            "an address",
            "give an IPv4 or IPv6 address",
            fault_of_address,
        ),
        _Condition(
            "family",
            "families",
            filter_values.parse_family,
            "a family",
            f"write ipv4, ipv6 or one of: {', '.join(filter_values.FAMILIES)}",
        ),
        _Condition(
            "elem",
            "elems",
            partial(filter_values.parse_word, filters.KINDS.values()),
            "a kind of entry",
            "write announce, withdraw, session or table",
        ),
        _Condition("med", "med", *number),
        _Condition("local_pref", "local_pref", *number),
        _Condition("attribute", "attributes", parse_attribute, "an attribute", attribute),
    )


def _parse_match(text: str | None) -> PrefixMatch:
    ways = get_args(PrefixMatch)
    if text is None or text in ways:
        return cast("PrefixMatch", text or "exact")
    raise UsageError(f"{text!r} is not a way to match a prefix", f"write {', '.join(ways)}")


def _check_prefixes(filters: Filter, match: str | None) -> None:
    if filters.prefixes is None:
        if match is not None:
            raise UsageError("more or less specific than what?", "give a prefix")
    elif not filters.prefixes.excluded and not any(filters.may_have(one) for one in filters.prefixes.values):
        check_family_of_prefix(filters, filters.prefixes.values[0])


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


def check_family_of_prefix(filters: Filter, prefix: str | None) -> None:
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
