"""The filters as options, the same for every command that asks; letters and long names are monocle's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import with_options
from collector.errors import UsageError

if TYPE_CHECKING:
    from collector.query.filters import Filter

_Text = str | None


def _option(help_text: str, metavar: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, metavar=metavar)


_OPTIONS: Mapping[str, Any] = {
    "start": _option("From this time on.", "T", "--start-ts", "--start", "-t"),
    "end": _option("Before this time.", "T", "--end-ts", "--end", "-T"),
    "duration": _option(
        "So long (90s, 2h, 1d12h): from the start, or up to the end or now.", "SPAN", "--duration", "-d"
    ),
    "peer": _option("Only of this peer; a prefix stands for all peers in it.", "ADDR", "--peer", "-j"),
    "peer_asn": _option("Only of peers in this AS.", "ASN", "--peer-asn", "-J"),
    "origin": _option("Only routes that this AS originated (64500, 1.10).", "ASN", "--origin", "-o"),
    "as_path": _option("Only AS paths that match; _ as Cisco has it.", "REGEX", "--as-path", "-a"),
    "community": _option(
        "Only with this community, standard, large or extended; * for any part.", "A:B", "--community", "-C"
    ),
    "next_hop": _option("Only with this next hop.", "ADDR", "--next-hop"),
    "family": _option("Only of this family: ipv4, ipv6, 'ipv4 mpls-vpn', ...", "NAME", "--family"),
    "elem": _option("Only these: announce, withdraw, session.", "KIND", "--elem", "-m"),
    "med": _option("Only with this MULTI_EXIT_DISC.", "N", "--med"),
    "local_pref": _option("Only with this LOCAL_PREF.", "N", "--local-pref"),
    "attribute": _option(
        "Only with this attribute: otc, otc=64500, aigp, cluster-list=10.0.0.*, malformed, 250, ...",
        "NAME[=VALUE]",
        "--attribute",
    ),
}
_TIMES = ("start", "end", "duration")
_OF_ENTRIES = (*_TIMES, "elem")


def with_filters(command: Callable[..., None], *, times: bool = True, standing: bool = False) -> Callable[..., None]:
    """Give a command every filter as an option; it gets them as one `Filter`, `filters`.

    In each of them but the AS path a comma is OR, and a leading ! excludes; so does a leading ! of the AS path.

    Args:
        command: what it wraps; takes `filters`.
        times: those of time as well.
        standing: only those that a route has which stands: none of times, none of kinds of entries.
    """
    left_out = _OF_ENTRIES if standing else () if times else _TIMES
    options = {name: option for name, option in _OPTIONS.items() if name not in left_out}

    annotations = {name: Annotated[_Text, option] for name, option in options.items()}
    return with_options(command, "filters", annotations, lambda **texts: parse(texts))


def parse(texts: Mapping[str, str | None]) -> Filter:
    """The filter that the options' texts mean.

    Raises:
        UsageError: one of them means none.
    """
    from datetime import UTC, datetime

    from collector.cli.arguments import asked_peer, fault_of_address, fault_of_prefix
    from collector.query import filters
    from collector.query.attributes import ATTRIBUTES, parse_attribute
    from collector.query.communities import fault_of_community, parse_community
    from collector.query.times import parse_span
    from schemas.scalars import normalise_address, parse_asn

    start, end = parse_span(texts.get("start"), texts.get("end"), texts.get("duration"), datetime.now(UTC))
    if (pattern := texts["as_path"]) is not None:
        _check_as_path(pattern.removeprefix("!"))

    def choice(
        name: str, parse_one: Callable[[str], Any], what: str, cure: str, why: Callable[[str], str] = lambda _: ""
    ) -> Any:
        text = texts.get(name)
        return None if text is None else filters.parse_choice(text, parse_one, what, cure, why)

    number = ("a number of 32 bits", "give 0 to 4294967295")
    asked = filters.Filter(
        start=start,
        end=end,
        peers=choice(
            "peer",
            asked_peer,
            "an address",
            "give --peer the address of a router, without a port, or a prefix",
            fault_of_prefix,
        ),
        peer_asns=choice("peer_asn", parse_asn, "an AS number", "give 0 to 4294967295, also as AS64500 or 1.10"),
        origins=choice("origin", parse_asn, "an AS number", "give 0 to 4294967295, also as AS64500 or 1.10"),
        as_path=pattern,
        communities=choice(
            "community",
            parse_community,
            "a community",
            "write 64500:1, 64500:1:2, target:64500:1 or no-export; * stands for any part: 64500:*",
            fault_of_community,
        ),
        next_hops=choice(
            "next_hop", normalise_address, "an address", "give --next-hop an IPv4 or IPv6 address", fault_of_address
        ),
        families=choice(
            "family",
            filters.parse_family,
            "a family",
            f"write ipv4, ipv6 or one of: {', '.join(filters.FAMILIES)}",
        ),
        elems=choice("elem", filters.parse_elem, "a kind of entry", "write announce, withdraw or session"),
        med=choice("med", filters.parse_number, *number),
        local_pref=choice("local_pref", filters.parse_number, *number),
        attributes=choice(
            "attribute",
            parse_attribute,
            "an attribute",
            f"write one of: {', '.join(ATTRIBUTES)}; or the type code of another; =VALUE after it where it has one",
        ),
    )
    if not any(asked.wants(kind) for kind in filters.KINDS.values()):
        raise UsageError("--elem excludes every kind of entry", "leave one out: announce, withdraw or session")
    return asked


def _check_as_path(pattern: str) -> None:
    from collector.query.patterns import as_path_pattern, stranger_in

    if not pattern:
        raise UsageError("--as-path is empty", "write '^$' for the empty path, or leave it out")
    as_path_pattern(pattern)
    if stranger := stranger_in(pattern):
        sys.stderr.write(
            f"--as-path {pattern!r} looks for {stranger!r}: AS paths have only numbers, spaces, commas, braces and"
            " parentheses\n"
        )


def check_routes_can_match(filters: Filter) -> None:
    """Refuse filters of routes among sessions alone.

    Raises:
        UsageError: nothing can match.
    """
    if filters.wants_sessions_alone and filters.asks_for_routes:
        raise UsageError(
            "--elem leaves sessions alone, and the other filters ask for routes: nothing can match",
            "leave one of them out; of sessions, --peer, --peer-asn and times can be asked",
        )


def check_family(filters: Filter, prefix: str | None) -> None:
    """Refuse families that a prefix cannot be of.

    Raises:
        UsageError: nothing can match.
    """
    if prefix is not None and not filters.may_have(prefix):
        families = filters.families.values if filters.families else ()
        raise UsageError(
            f"{prefix} is not of the family {', '.join(families)}: nothing can match",
            "leave --family out, or search --family without a prefix",
        )
