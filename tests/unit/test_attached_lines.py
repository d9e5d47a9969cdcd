"""Lines that attached commands print: which are accepted, which are refused, and that nothing slips through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.acting.attached.lines import CommandError, read_command
from collector.acting.commands import command_text, commands
from collector.acting.speakers import Speaker
from schemas.announcements import FlowAnnouncement, RouteAnnouncement

ROUTES = {
    "announce route 203.0.113.0/24 next-hop self": RouteAnnouncement(prefix="203.0.113.0/24"),
    "announce route 203.0.113.1 next-hop 192.0.2.1 med 100": RouteAnnouncement(
        prefix="203.0.113.1/32", next_hop="192.0.2.1", med=100
    ),
    "announce ipv6 unicast 2001:db8::/32 next-hop 2001:db8::1 origin EGP": RouteAnnouncement(
        prefix="2001:db8::/32", next_hop="2001:db8::1", origin="egp"
    ),
    "announce  route\t203.0.113.0/24 next-hop self community [64512:1 no-export] large-community 1:2:3": (
        RouteAnnouncement(prefix="203.0.113.0/24", communities=("64512:1", "65535:65281"), large_communities=("1:2:3",))
    ),
    "announce route 203.0.113.0/24 next-hop self as-path [ 64512, 64513 ] local-preference 200": RouteAnnouncement(
        prefix="203.0.113.0/24", as_path=(64512, 64513), local_pref=200
    ),
    "announce route 203.0.113.0/24 next-hop self as-path 64512 extended-community [ 64512:7 origin:64512:8 ]": (
        RouteAnnouncement(
            prefix="203.0.113.0/24",
            as_path=(64512,),
            extended_communities=("target:64512:7", "origin:64512:8"),
        )
    ),
}


@pytest.mark.parametrize("line", ROUTES)
def test_route_commands_are_read(line: str) -> None:
    said = read_command(line)
    assert (said.announces, said.announcements, said.peers) == (True, (ROUTES[line],), ())
    withdrawn = read_command(line.replace("announce", "withdraw", 1))
    assert (withdrawn.announces, withdrawn.announcements) == (False, (ROUTES[line],))


def test_neighbor_selections_are_read() -> None:
    route = "announce route 203.0.113.0/24 next-hop self"
    assert read_command(f"neighbor 192.0.2.1 {route}").peers == ("192.0.2.1",)
    assert read_command(f"neighbor 192.0.2.1, neighbor 2001:db8:0::1 {route}").peers == ("192.0.2.1", "2001:db8::1")
    assert read_command(f"neighbor * {route}").peers == ()


def test_one_line_may_announce_many_routes() -> None:
    said = read_command("announce attributes next-hop self med 7 nlri 203.0.113.0/25 203.0.113.128/25")
    assert [one.nlri for one in said.announcements] == ["203.0.113.0/25", "203.0.113.128/25"]
    assert all(isinstance(one, RouteAnnouncement) and one.med == 7 for one in said.announcements)


def test_flow_specifications_of_commands_are_read() -> None:
    match = "match { source 192.0.2.0/24; destination 203.0.113.1/32; destination-port [ =53 =123 ]; protocol udp; }"
    said = read_command(f"announce flow route {{ {match} then {{ rate-limit 0; community [ 64512:1 ]; }} }}")
    (flow,) = said.announcements
    assert isinstance(flow, FlowAnnouncement)
    assert (flow.match.destination_ports, flow.match.protocols, flow.then.discard, flow.communities) == (
        ("=53", "=123"),
        ("=17",),
        True,
        ("64512:1",),
    )
    withdrawn = read_command(f"withdraw flow route {{ {match} }}")
    assert [one.nlri for one in withdrawn.announcements] == [flow.nlri]
    assert not withdrawn.announces


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("", "announce or withdraw is missing at the end"),
        ("shutdown", "'shutdown' is not taken here: only announce and withdraw are"),
        ("neighbor 192.0.2.1 teardown 4", "'teardown' is not taken here"),
        ("neighbor 192.0.2.1 local-as 64512 announce route 203.0.113.0/24", "name neighbors by their addresses"),
        ("neighbor here announce route 203.0.113.0/24 next-hop self", "'here' is not an IPv4 or IPv6 address"),
        ("announce eor ipv4 unicast", "'eor' is not taken here"),
        ("announce ipv4 mpls-vpn 203.0.113.0/24", "ipv4 'mpls-vpn' is not taken here"),
        ("announce ipv4 unicast 2001:db8::/32 next-hop self", "'2001:db8::/32' is not of ipv4"),
        ("announce route 203.0.113.1/24 next-hop self", "has host bits set"),
        ("announce route 203.0.113.0/24 next-hop self path-information 1", "'path-information' is not taken here"),
        ("announce route 203.0.113.0/24 next-hop self med", "a number is missing at the end"),
        ("announce route 203.0.113.0/24 next-hop self med 1 med 2", "med is given twice"),
        ("announce route 203.0.113.0/24 next-hop self med 99999999999", "'99999999999' is not a number"),
        ("announce route 203.0.113.0/24 next-hop self community [ 64512:1", "is missing at the end"),
        ("announce route 203.0.113.0/24 next-hop self as-path [ ( 1 2 ) ]", "is missing before '('"),
        ("announce route 203.0.113.0/24 next-hop self community [ x ]", "community[0]: 'x' is neither N:N nor one of"),
        (
            "announce flow route { match { destination 203.0.113.1/32; port =x; } then { discard; } }",
            "match.ports[0]: '=x' is neither a number nor a range",
        ),
        ("announce attributes next-hop self", "nlri and prefixes have to follow"),
        ("announce flow route { match { destination 203.0.113.1/32; } }", "then"),
        ("announce route 203.0.113.0/24 next-hop self\x07", "characters that no command has"),
        ("announce route 203.0.113.0/24 next-hop self community [ nón ]", "characters that no command has"),
    ],
)
def test_unsupported_and_invalid_commands_are_refused(line: str, cause: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_command(line)
    assert cause in str(refused.value)


WORDS = [
    *("announce", "withdraw", "route", "ipv4", "ipv6", "unicast", "flow", "attributes", "nlri", "neighbor"),
    *("next-hop", "self", "med", "community", "as-path", "local-preference", "extended-community"),
    *("large-community", "origin", "igp", "match", "then", "destination", "discard", "rate-limit"),
    *("203.0.113.0/24", "203.0.113.1", "2001:db8::/32", "192.0.2.1", "*", ",", "[", "]", "{", "}", ";"),
    *("(", ")", "0", "1", "64512", "4294967296", "64512:1", "1:2:3", "no-export", "target:64512:1", "=80"),
    *("split", "/25", "watchdog", "\\n", "\\", "'", '"', "#", "shutdown"),
]
LINES = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join),
    st.tuples(st.sampled_from(sorted(ROUTES)), st.text(max_size=10), st.integers(0, 80)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
    ),
)


@given(LINES)
def test_any_line_becomes_models_or_is_refused(line: str) -> None:
    try:
        said = read_command(line)
    except CommandError:
        return
    assert said.announcements
    for one in said.announcements:
        # The models have validated an accepted line: they give the same again.
        assert type(one).model_validate(one.model_dump()) == one


SPEAKERS = (Speaker("192.0.2.1", 64500, 65000, ("all",)), Speaker("2001:db8::1", 65000, 65000, ("all",)))
WORD = re.compile(
    r"[0-9a-fx.:/]+|(?:=|!=|<=|>=|<|>)?[0-9]+|>=[0-9]+&<=[0-9]+|[\[\],]|self|igp|egp|incomplete|announce|withdraw|neighbor"
    r"|attributes|next-hop|origin|as-path|med|local-preference|nlri|flow|route|(?:extended-|large-)?community"
    r"|(?:source|destination)(?:-ipv[46])?|protocol|next-header|(?:source-|destination-)?port|icmp-type|icmp-code"
    r"|tcp-flags|packet-length|dscp|traffic-class|fragment|flow-label|[=!]?[a-z+&-]+"
)


@given(LINES)
def test_only_bytes_that_the_models_wrote_reach_exabgp(line: str) -> None:
    try:
        said = read_command(line)
    except CommandError:
        return
    for speaker in SPEAKERS:
        for one in said.announcements:
            for command, _ in commands("announce", [speaker.address], command_text(one, speaker), [one.nlri]):
                text = command.decode("ascii")
                assert text.endswith("\n")
                assert text[:-1].isprintable()
                words = text[:-1].replace(",", " , ").split(" ")
                assert all(WORD.fullmatch(word) for word in words if word), text
                assert not set(words) & {"shutdown", "split", "watchdog", "teardown", "restart", "#", ";", "{", "}"}
