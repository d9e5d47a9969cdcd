"""Flow specifications in the syntax of ExaBGP's API: `flow route { match { destination P; .. } then { discard; } }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collector.acting.attached.word_reader import WordReader, quoted
from schemas.announcements import FlowAnnouncement
from schemas.json_object import JsonObject

_ONE: Mapping[str, str] = {
    "destination": "destination",
    "destination-ipv4": "destination",
    "destination-ipv6": "destination",
    "source": "source",
    "source-ipv4": "source",
    "source-ipv6": "source",
}
_SEVERAL: Mapping[str, str] = {
    "protocol": "protocols",
    "next-header": "protocols",
    "port": "ports",
    "destination-port": "destination_ports",
    "source-port": "source_ports",
    "icmp-type": "icmp_types",
    "icmp-code": "icmp_codes",
    "tcp-flags": "tcp_flags",
    "packet-length": "packet_lengths",
    "dscp": "dscp",
    "traffic-class": "dscp",
    "fragment": "fragments",
    "flow-label": "flow_labels",
}
_COMMUNITIES: Mapping[str, str] = {
    "community": "communities",
    "large-community": "large_communities",
    "extended-community": "extended_communities",
}
_DONE = True
_ANY = {"discard": _DONE}


def read_flow(words: WordReader, *, announces: bool) -> FlowAnnouncement:
    """The flow specification in the following braces.

    Args:
        words: the rest of the line.
        announces: whether it must contain actions; for a withdrawal they are ignored.

    Raises:
        ValueError: it is invalid, or contains what we do not accept.
    """
    words.expect("{")
    match: JsonObject = {}
    then: JsonObject = {}
    more: JsonObject = {}
    while not words.skip("}"):
        part = words.take("match or then")
        words.expect("{")
        while not words.skip("}"):
            if part == "match":
                _component(words, match)
            elif part == "then":
                _action(words, then, more)
            else:
                raise ValueError(f"{quoted(part)} is not taken here: match and then are")
            words.skip(";")
        words.skip(";")
    return FlowAnnouncement.model_validate({"match": match, "then": then if announces else then or _ANY, **more})


def _component(words: WordReader, match: JsonObject) -> None:
    keyword = words.take("a component")
    if keyword in _ONE:
        _put(match, _ONE[keyword], keyword, words.take("a prefix"))
    elif keyword in _SEVERAL:
        _put(match, _SEVERAL[keyword], keyword, words.some("a value"))
    else:
        raise ValueError(f"{quoted(keyword)} is not taken here: of components {', '.join((*_ONE, *_SEVERAL))} are")


def _action(words: WordReader, then: JsonObject, more: JsonObject) -> None:
    keyword = words.take("an action")
    if keyword == "discard":
        _put(then, "discard", keyword, _DONE)
    elif keyword == "rate-limit":
        rate = words.take("bytes a second")
        _put(then, *(("discard", keyword, _DONE) if rate == "0" else ("rate_bytes", keyword, rate)))
    elif keyword == "redirect":
        _put(then, "redirect", keyword, words.take("a route target"))
    elif keyword == "mark":
        _put(then, "mark", keyword, words.take("a DSCP"))
    elif keyword == "action":
        what = words.take("an action")
        if what != "sample":
            raise ValueError(f"action {quoted(what)} is not taken here: sample is")
        _put(then, "sample", keyword, _DONE)
    elif keyword in _COMMUNITIES:
        _put(more, _COMMUNITIES[keyword], keyword, words.some("a community"))
    else:
        raise ValueError(
            f"{quoted(keyword)} is not taken here: of actions discard, rate-limit, redirect, mark, action sample and "
            f"{', '.join(_COMMUNITIES)} are"
        )


def _put(found: JsonObject, field: str, keyword: str, value: Any) -> None:
    if field in found:
        raise ValueError(f"{keyword} is given twice")
    found[field] = value
