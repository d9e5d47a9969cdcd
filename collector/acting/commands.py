"""Commands for ExaBGP, built only from the models: our own words, numbers, addresses and prefixes, in ASCII."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from collector.acting.policy import towards
from collector.acting.speakers import Speaker
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.flows import FlowActions

Announced = RouteAnnouncement | FlowAnnouncement

_MOST_TOGETHER = 2_000
"""Prefixes in one command: ExaBGP takes a line of a MiB, 16 KiB at a time."""
_TRAFFIC = 0x80
"""The type of the flow specifications' extended communities (RFC 8955 7)."""
_COMPONENTS = {
    "ports": "port",
    "destination_ports": "destination-port",
    "source_ports": "source-port",
    "icmp_types": "icmp-type",
    "icmp_codes": "icmp-code",
    "tcp_flags": "tcp-flags",
    "packet_lengths": "packet-length",
    "fragments": "fragment",
    "flow_labels": "flow-label",
}
"""ExaBGP's words for fields of `FlowMatch`; those that differ for IPv6 are below."""


def command_text(announcement: Announced, speaker: Speaker) -> str:
    """What a peer is told after its policies, without the prefix: routes with the same text share a command."""
    announcement = towards(announcement, speaker).announcement or announcement
    if isinstance(announcement, FlowAnnouncement):
        return f"flow route {_match(announcement)} {_list('extended-community', _actions(announcement))}".rstrip() + (
            _communities(announcement, extended=False)
        )
    words = [f"next-hop {announcement.next_hop}", f"origin {announcement.origin}"]
    ours = [] if speaker.is_internal else [speaker.local_as] * (1 + announcement.prepend)
    if announcement.as_path or len(ours) > 1:
        words.append(_list("as-path", [str(asn) for asn in (*ours, *announcement.as_path)]))
    if announcement.med is not None:
        words.append(f"med {announcement.med}")
    if announcement.local_pref is not None and speaker.is_internal:
        words.append(f"local-preference {announcement.local_pref}")
    return "attributes " + " ".join(words) + _communities(announcement, extended=True)


def commands(
    verb: str, peers: Sequence[str], text: str, prefixes: Sequence[str]
) -> Iterator[tuple[bytes, Sequence[str]]]:
    """The commands for these peers, each with some of the prefixes.

    Args:
        verb: `announce` or `withdraw`.
        peers: their addresses.
        text: the result of `command_text`.
        prefixes: those of the routes; for a flow, which is in its text, a placeholder.
    """
    to = ", ".join(f"neighbor {address}" for address in peers)
    if text.startswith("flow "):
        yield f"{to} {verb} {text}\n".encode("ascii"), prefixes
        return
    for at in range(0, len(prefixes), _MOST_TOGETHER):
        part = prefixes[at : at + _MOST_TOGETHER]
        yield f"{to} {verb} {text} nlri {' '.join(part)}\n".encode("ascii"), part


def flow_components(announcement: FlowAnnouncement) -> dict[str, list[str]]:
    """The components of a flow specification in ExaBGP's words, in the order of RFC 8955 4.2.2."""
    match, version = announcement.match, "ipv6" if announcement.match.is_ipv6 else "ipv4"
    components = {f"destination-{version}": [match.destination]}
    if match.source is not None:
        components[f"source-{version}"] = [match.source]
    components["next-header" if match.is_ipv6 else "protocol"] = [_numbers(one) for one in match.protocols]
    for field, word in _COMPONENTS.items():
        components[word] = [_numbers(one) for one in getattr(match, field)]
    components["traffic-class" if match.is_ipv6 else "dscp"] = [_numbers(one) for one in match.dscp]
    return {word: values for word, values in components.items() if values}


def _match(announcement: FlowAnnouncement) -> str:
    parts = []
    for word, values in flow_components(announcement).items():
        is_address = word.startswith(("destination-ipv", "source-ipv"))
        parts.append(f"{word} {values[0]}" if is_address else _list(word, values))
    return " ".join(parts)


def _numbers(text: str) -> str:
    first, dash, last = text.partition("-")
    return f">={first}&<={last}" if dash and last.isdecimal() else text


def _list(word: str, values: Sequence[str]) -> str:
    return f"{word} [ {' '.join(values)} ]"


def _communities(announcement: Announced, *, extended: bool) -> str:
    lists = [("community", announcement.communities), ("large-community", announcement.large_communities)]
    if extended:
        lists.append(("extended-community", announcement.extended_communities))
    return "".join(f" {_list(word, values)}" for word, values in lists if values)


def _actions(announcement: FlowAnnouncement) -> list[str]:
    return [*announcement.extended_communities, *(f"0x{one.hex()}" for one in action_communities(announcement.then))]


def action_communities(then: FlowActions) -> Iterator[bytes]:
    """The extended communities for the actions (RFC 8955 7), with 0 in place of our AS."""
    if then.discard or then.rate_bytes is not None:
        yield struct.pack(">BBHf", _TRAFFIC, 0x06, 0, then.rate_bytes or 0)
    if then.rate_packets is not None:
        yield struct.pack(">BBHf", _TRAFFIC, 0x0C, 0, then.rate_packets)
    if then.sample:
        yield struct.pack(">BBIH", _TRAFFIC, 0x07, 0, 0b10)
    if then.redirect is not None:
        administrator, number = map(int, then.redirect.split(":"))
        short = administrator < 2**16
        yield struct.pack(">BBHI" if short else ">BBIH", _TRAFFIC if short else 0x82, 0x08, administrator, number)
    if then.mark is not None:
        yield struct.pack(">BBIH", _TRAFFIC, 0x09, 0, then.mark)
