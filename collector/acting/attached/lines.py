"""What an attached command prints, read strictly: commands of ExaBGP's API, and nothing else (text form, 5.0).

No text of a line is passed on to ExaBGP. A line is parsed to the models of `schemas.announcements`, which validate it,
and from which new commands for ExaBGP are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from collector.acting.attached.flows import read_flow
from collector.acting.attached.word_reader import WordReader, quoted, to_words
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.faults import fault_of, spelled
from schemas.json_object import JsonObject
from schemas.scalars import normalise_address


class ParsedCommand(NamedTuple):
    """What one command orders."""

    announces: bool
    """False: they are withdrawn, whatever their attributes."""
    announcements: tuple[RouteAnnouncement | FlowAnnouncement, ...]
    peers: tuple[str, ...]
    """Addresses; empty: all peers."""


class CommandError(ValueError):
    """A line that is not a command that we accept, and why."""


def read_command(line: str) -> ParsedCommand:
    """Parse a line.

    Raises:
        CommandError: it is not a command, or not one that we accept.
    """
    line = line.replace("\t", " ")
    if not (line.isascii() and line.isprintable()):
        raise CommandError("it has characters that no command has")
    words = to_words(line)
    try:
        peers = _neighbors(words)
        verb = words.take("announce or withdraw")
        if verb not in ("announce", "withdraw"):
            raise ValueError(f"{quoted(verb)} is not taken here: only announce and withdraw are")  # noqa: TRY301
        announcements = _routes(words, announces=verb == "announce")
        words.end()
    except ValidationError as error:
        model = FlowAnnouncement if error.title == FlowAnnouncement.__name__ else RouteAnnouncement
        fault = fault_of(error.errors(include_url=False)[0], model)
        field, *inner = fault.place or ("",)
        raise CommandError(fault.at(spelled((_KEYWORDS.get(field, field), *inner)))) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    return ParsedCommand(verb == "announce", announcements, peers)


def _neighbors(words: WordReader) -> tuple[str, ...]:
    """Addresses of the peers that a command is for; none for all."""
    found: list[str] = []
    every = False
    while words.skip("neighbor"):
        address = words.take("the address of a neighbor")
        if address == "*":
            every = True
        else:
            found.append(normalise_address(address))
        if words.next in _SELECTORS:
            raise ValueError(f"{quoted(words.next)} is not taken here: name neighbors by their addresses")
        if not words.skip(","):
            break
    return () if every else tuple(dict.fromkeys(found))


_SELECTORS = ("local-ip", "local-as", "peer-as", "router-id", "family-allowed")


def _routes(words: WordReader, *, announces: bool) -> tuple[RouteAnnouncement | FlowAnnouncement, ...]:
    kind = words.take("what: route, ipv4 unicast, ipv6 unicast, attributes or flow route")
    if kind == "route":
        return (_route(words.take("a prefix"), _attributes(words)),)
    if kind in ("ipv4", "ipv6"):
        if not words.skip("unicast"):
            raise ValueError(f"{kind} {quoted(words.next)} is not taken here: unicast is")
        prefix = words.take("a prefix")
        if (":" in prefix) != (kind == "ipv6"):
            raise ValueError(f"{quoted(prefix)} is not of {kind}")
        return (_route(prefix, _attributes(words)),)
    if kind in ("attribute", "attributes"):
        shared = _attributes(words)
        if not words.skip("nlri"):
            raise ValueError("nlri and prefixes have to follow the attributes")
        return tuple(_route(prefix, shared) for prefix in words.rest("a prefix"))
    if kind == "flow":
        words.skip("route")
        return (read_flow(words, announces=announces),)
    raise ValueError(f"{quoted(kind)} is not taken here: route, ipv4 and ipv6 unicast, attributes and flow route are")


def _route(prefix: str, attributes: JsonObject) -> RouteAnnouncement:
    if "/" not in prefix:  # a host's, which ExaBGP accepts
        prefix = f"{prefix}/{128 if ':' in prefix else 32}"
    return RouteAnnouncement.model_validate({"prefix": prefix, **attributes})


def _attributes(words: WordReader) -> JsonObject:
    found: JsonObject = {}
    while words.next and words.next != "nlri":
        keyword = words.take("an attribute")
        if keyword not in _ATTRIBUTES:
            raise ValueError(f"{quoted(keyword)} is not taken here: of attributes {', '.join(_ATTRIBUTES)} are")
        field, read = _ATTRIBUTES[keyword]
        if field in found:
            raise ValueError(f"{keyword} is given twice")
        found[field] = read(words)
    return found


def _one(words: WordReader) -> str:
    return words.take("a value")


def _number(words: WordReader) -> int:
    text = words.take("a number")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise ValueError(f"{quoted(text)} is not a number")
    return int(text)


def _some(words: WordReader) -> Sequence[str]:
    return words.some("a value")


def _extended(words: WordReader) -> Sequence[str]:
    """Two numbers without a type are a route target."""
    return [f"target:{one}" if one.count(":") == 1 else one for one in words.some("a community")]


def _next_hop(words: WordReader) -> str:
    text = words.take("a next hop")
    return "self" if text.lower() == "self" else text


_ATTRIBUTES: Mapping[str, tuple[str, Callable[[WordReader], Any]]] = {
    "next-hop": ("next_hop", _next_hop),
    "origin": ("origin", lambda words: _one(words).lower()),
    "med": ("med", _number),
    "local-preference": ("local_pref", _number),
    "as-path": ("as_path", _some),
    "community": ("communities", _some),
    "large-community": ("large_communities", _some),
    "extended-community": ("extended_communities", _extended),
}
"""ExaBGP's keywords, the field of each, and how it is parsed."""
_KEYWORDS: Mapping[str | int, str] = {field: keyword for keyword, (field, _) in _ATTRIBUTES.items()}
"""The keyword of a field."""
