"""Nothing reaches ExaBGP's pipe but what the models wrote."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from collector.acting.commands import action_communities, command_text, commands
from collector.acting.speakers import Speaker
from schemas.announcements import Announcement, FlowAnnouncement, RouteAnnouncement
from schemas.flows import FlowActions

ANNOUNCEMENT: TypeAdapter[RouteAnnouncement | FlowAnnouncement] = TypeAdapter(Announcement)
EXTERNAL = Speaker("192.0.2.1", 64501, 64500, ("ipv4 unicast",))
INTERNAL = EXTERNAL._replace(asn=64500)
NUMBER = r"[0-9]+"
LINE = re.compile(
    rb"neighbor [0-9.]+(, neighbor [0-9.]+)* (announce|withdraw) (attributes|flow route)"
    rb"( (next-hop|origin|med|local-preference|destination-ipv[46]|source-ipv[46]) [a-z0-9.:/]+"
    rb"| (as-path|community|large-community|extended-community) \[( [0-9a-fx:]+)+ \]"
    rb"| (protocol|next-header|dscp|traffic-class|fragment|tcp-flags|flow-label|packet-length|icmp-(type|code)"
    rb"|(destination-|source-)?port) \[( [!<>=&0-9a-z+-]+)+ \])*( nlri( [0-9a-f.:]+/[0-9]+)+)?\n"
)
HOSTILE = [
    "\n",
    "\r",
    ";",
    "}",
    "]",
    " ",
    "#",
    "\\",
    '"',
    "shutdown",
    "neighbor * ",
    "announce route 0.0.0.0/0",
    "\0",
    "é",
    "１",
]


def written(announcement: RouteAnnouncement | FlowAnnouncement, speaker: Speaker = EXTERNAL) -> str:
    return next(commands("announce", ["192.0.2.1"], command_text(announcement, speaker), [announcement.nlri]))[
        0
    ].decode()


def test_a_route_becomes_one_command() -> None:
    said = RouteAnnouncement.model_validate(
        {
            "prefix": "203.0.113.0/24",
            "med": 5,
            "as_path": "64510 64511",
            "prepend": 1,
            "communities": "no-export",
            "large_communities": "1:2:3",
            "extended_communities": "target:64500:7",
            "local_pref": 200,
        }
    )
    tail = "community [ 65535:65281 ] large-community [ 1:2:3 ] extended-community [ 0x0002fbf400000007 ]"
    assert written(said) == (
        "neighbor 192.0.2.1 announce attributes next-hop self origin igp"
        f" as-path [ 64500 64500 64510 64511 ] med 5 {tail} nlri 203.0.113.0/24\n"
    )
    assert written(said, INTERNAL) == (
        "neighbor 192.0.2.1 announce attributes next-hop self origin igp"
        f" as-path [ 64510 64511 ] med 5 local-preference 200 {tail} nlri 203.0.113.0/24\n"
    )


def test_a_stored_route_of_ours_has_the_as_path_that_exabgp_sends() -> None:
    assert "as-path" not in written(RouteAnnouncement(prefix="203.0.113.0/24"))


def test_many_prefixes_go_together() -> None:
    found = list(commands("withdraw", ["192.0.2.1", "192.0.2.2"], "attributes next-hop 0.0.0.0", ["a"] * 4001))
    assert [len(part) for _, part in found] == [2000, 2000, 1]
    assert found[2][0] == b"neighbor 192.0.2.1, neighbor 192.0.2.2 withdraw attributes next-hop 0.0.0.0 nlri a\n"


def test_a_flow_specification_as_a_command_for_exabgp() -> None:
    said = ANNOUNCEMENT.validate_python(
        {
            "match": {"destination": "203.0.113.7/32", "protocols": "udp", "destination_ports": "53,1024-2000"},
            "then": {"discard": True},
        }
    )
    assert written(said) == (
        "neighbor 192.0.2.1 announce flow route destination-ipv4 203.0.113.7/32 protocol [ =17 ]"
        " destination-port [ =53 >=1024&<=2000 ] extended-community [ 0x8006000000000000 ]\n"
    )


@pytest.mark.parametrize(
    ("then", "hexadecimal"),
    [
        ({"rate_bytes": 9600}, "8006000046160000"),
        ({"rate_packets": 100}, "800c000042c80000"),
        ({"sample": True}, "8007000000000002"),
        ({"redirect": "64500:7"}, "8008fbf400000007"),
        ({"redirect": "4200000000:7"}, "8208fa56ea000007"),
        ({"mark": 46}, "800900000000002e"),
    ],
)
def test_actions_are_encoded_as_in_rfc_8955(then: dict[str, Any], hexadecimal: str) -> None:
    assert [one.hex() for one in action_communities(FlowActions.model_validate(then))] == [hexadecimal]


def texts(*good: str) -> st.SearchStrategy[Any]:
    """Valid values, and values with something in them that does not belong there."""
    mended = st.tuples(st.sampled_from(good), st.sampled_from(["", "", *HOSTILE]), st.integers(0, 40)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
    )
    return st.sampled_from(good) | mended | st.text(max_size=30)


FIELDS: dict[str, Any] = {
    "prefix": texts("203.0.113.0/24", "2001:db8::/32"),
    "next_hop": texts("self", "192.0.2.9", "2001:db8::9"),
    "origin": texts("igp", "egp"),
    "med": st.integers(-1, 2**33) | texts("5"),
    "as_path": texts("64510 64511", "64510"),
    "prepend": st.integers(-1, 30) | texts("2"),
    "local_pref": st.integers(-1, 2**33) | texts("7"),
    "communities": texts("64500:1,no-export", "1:2"),
    "large_communities": texts("1:2:3"),
    "extended_communities": texts("target:64500:7", "0x0002fbf400000007"),
}
MATCH: dict[str, Any] = {
    "destination": texts("203.0.113.7/32", "2001:db8::/48"),
    "source": texts("198.51.100.0/24"),
    "protocols": texts("udp,6"),
    "ports": texts("53,1024-2000", ">=7"),
    "tcp_flags": texts("syn+ack", "=fin"),
    "fragments": texts("is-fragment"),
    "dscp": texts("46"),
    "packet_lengths": texts("64-128"),
    "icmp_types": texts("8"),
}
THEN: dict[str, Any] = {
    "discard": st.booleans() | texts("true"),
    "redirect": texts("64500:7"),
    "mark": texts("46"),
}


def of(fields: dict[str, Any], required: str) -> st.SearchStrategy[Any]:
    """Dictionaries with this field, and perhaps others."""
    more = {name: field for name, field in fields.items() if name != required}
    return st.fixed_dictionaries({required: fields[required]}, optional=more)


ORDERS = of(FIELDS, "prefix") | st.fixed_dictionaries(
    {"match": of(MATCH, "destination"), "then": st.fixed_dictionaries({}, optional=THEN)}
)


@settings(max_examples=400)
@given(ORDERS)
def test_no_byte_is_written_that_the_model_did_not_write(body: dict[str, Any]) -> None:
    try:
        announcement = ANNOUNCEMENT.validate_python(body)
    except ValidationError:
        return
    for speaker in (EXTERNAL, INTERNAL):
        for verb in ("announce", "withdraw"):
            for line, _ in commands(verb, ["192.0.2.1"], command_text(announcement, speaker), [announcement.nlri]):
                assert LINE.fullmatch(line), line
