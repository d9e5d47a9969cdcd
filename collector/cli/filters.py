"""The filters as options, the same for every command that asks; letters and long names are monocle's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import LessSpecific, MoreSpecific, prefix_match, with_options

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
    "router": _option("Only what this router, which was asked, has of its peers.", "ADDR", "--router"),
    "rib": _option("Only of this table of such a router: pre-policy, post-policy, local, ...", "NAME", "--rib"),
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
_PREFIXES: Mapping[str, Any] = {
    "prefix": Annotated[_Text, _option("Only routes of this prefix.", "PREFIX", "--prefix", "-p")],
    "more_specific": MoreSpecific,
    "less_specific": LessSpecific,
}
_TIMES = ("start", "end", "duration")
_OF_ENTRIES = (*_TIMES, "elem")


def with_filters(
    command: Callable[..., None], *, times: bool = True, standing: bool = False, prefixes: bool = False
) -> Callable[..., None]:
    """Give a command every filter as an option; it gets them as one `Filter`, `filters`.

    In each of them but the AS path a comma is OR, and a leading ! excludes; so does a leading ! of the AS path.

    Args:
        command: what it wraps; takes `filters`.
        times: those of time as well.
        standing: only those that a route has which stands: none of times, none of kinds of entries.
        prefixes: that of the prefix as well, for who does not ask about one.
    """
    left_out = _OF_ENTRIES if standing else () if times else _TIMES
    annotations = {name: Annotated[_Text, option] for name, option in _OPTIONS.items() if name not in left_out}
    if prefixes:
        annotations = {**_PREFIXES, **annotations}
    return with_options(command, "filters", annotations, _parsed)


def _parsed(*, more_specific: bool | None = None, less_specific: bool | None = None, **texts: str | None) -> Filter:
    from collector.cli.run_query import say
    from collector.query.arguments import parse_filter

    return parse_filter({**texts, "match": prefix_match(more_specific, less_specific)}, say=say)
