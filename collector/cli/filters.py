"""The filters as options, the same for every command that queries; named as in monocle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import LessSpecific, MoreSpecific, prefix_match, with_options
from collector.query.filter_names import FILTERS

if TYPE_CHECKING:
    from collector.query.filters import Filter

_Text = str | None


def _option(name: str, metavar: str, *names: str) -> Any:
    return typer.Option(*names, help=FILTERS[name], metavar=metavar)


_OPTIONS: Mapping[str, Any] = {
    "start": _option("start", "T", "--start-ts", "--start", "-t"),
    "end": _option("end", "T", "--end-ts", "--end", "-T"),
    "duration": _option("duration", "SPAN", "--duration", "-d"),
    "peer": _option("peer", "ADDR", "--peer", "-j"),
    "peer_asn": _option("peer_asn", "ASN", "--peer-asn", "-J"),
    "router": _option("router", "ADDR|NAME", "--router"),
    "rib": _option("rib", "NAME", "--rib"),
    "origin": _option("origin", "ASN", "--origin", "-o"),
    "as_path": _option("as_path", "REGEX", "--as-path", "-a"),
    "community": _option("community", "A:B", "--community", "-C"),
    "next_hop": _option("next_hop", "ADDR", "--next-hop"),
    "family": _option("family", "NAME", "--family"),
    "elem": _option("elem", "KIND", "--elem", "-m"),
    "med": _option("med", "N", "--med"),
    "local_pref": _option("local_pref", "N", "--local-pref"),
    "attribute": _option("attribute", "NAME[=VALUE]", "--attribute"),
}
_PREFIXES: Mapping[str, Any] = {
    "prefix": Annotated[_Text, _option("prefix", "PREFIX", "--prefix", "-p")],
    "more_specific": MoreSpecific,
    "less_specific": LessSpecific,
}
_TIMES = ("start", "end", "duration")
_OF_ENTRIES = (*_TIMES, "elem")


def with_filters(
    command: Callable[..., Any], *, times: bool = True, of_routes: bool = False, prefixes: bool = False
) -> Callable[..., Any]:
    """Give a command every filter as an option; it gets them as one `Filter`, `filters`.

    In each of them but the AS path a comma is OR, and a leading ! excludes; in the AS path too, a leading ! excludes.

    Args:
        command: the command to wrap; takes `filters`.
        times: include the filters on time.
        of_routes: only filters that apply to current routes: none on times or kinds of entries.
        prefixes: include the filter on prefixes, for commands without a prefix as argument.
    """
    left_out = _OF_ENTRIES if of_routes else () if times else _TIMES
    annotations = {name: Annotated[_Text, option] for name, option in _OPTIONS.items() if name not in left_out}
    if prefixes:
        annotations = {**_PREFIXES, **annotations}
    return with_options(command, "filters", annotations, _parsed)


def _parsed(*, more_specific: bool | None = None, less_specific: bool | None = None, **texts: str | None) -> Filter:
    from collector.cli.run_query import say
    from collector.query.filter_text import parse_filter

    return parse_filter({**texts, "match": prefix_match(more_specific, less_specific)}, say=say)
