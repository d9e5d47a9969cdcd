"""What may be announced, and how it is written: schemas/announcements.py, flows.py, prefix_ranges.py, intents.py."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.announcements import Announcement, FlowAnnouncement, RouteAnnouncement
from schemas.flows import FlowActions, FlowMatch
from schemas.intents import Order, Withdrawal, summary_of
from schemas.prefix_ranges import parse_range

ANNOUNCEMENT: TypeAdapter[RouteAnnouncement | FlowAnnouncement] = TypeAdapter(Announcement)
WHO = {"who": "anna", "why": "maintenance", "source": "cli"}


def route(**more: Any) -> RouteAnnouncement:
    return RouteAnnouncement.model_validate({"prefix": "203.0.113.0/24", **more})


def test_communities_have_one_spelling() -> None:
    said = route(
        communities="no-export, 064500:7,64500:7,BLACKHOLE",
        large_communities=["64500:01:2"],
        extended_communities=["target:64500:7", "origin:192.0.2.1:7", "target:4200000000:7", "0x030B00000000002A"],
    )
    assert said.communities == ("65535:65281", "64500:7", "65535:666")
    assert said.large_communities == ("64500:1:2",)
    assert said.extended_communities == (
        "0x0002fbf400000007",
        "0x0103c00002010007",
        "0x0202fa56ea000007",
        "0x030b00000000002a",
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prefix": "203.0.113.1/24"}, "has host bits set: the prefix is 203.0.113.0/24"),
        ({"prefix": "203.0.113.0"}, "is not a prefix"),
        ({"prefix": "203.0.113.0/24\nshutdown"}, "is not a prefix"),
        ({"prefix": "203.0.113.0/24 ; x"}, "is not a prefix"),
        ({"next_hop": "2001:db8::1"}, "is not of the family"),
        ({"next_hop": "self; shutdown"}, "is neither self nor an IPv4 or IPv6 address"),
        ({"communities": ["64500:65536"]}, "each N from 0 to 65535"),
        ({"communities": ["64500:١"]}, "each N from 0 to 65535"),
        ({"large_communities": ["1:2"]}, "is not N:N:N"),
        ({"extended_communities": ["target:64500:4294967296"]}, "the maximum with"),
        ({"extended_communities": ["0x00"]}, "is none of target:A:N"),
        ({"med": 2**32}, "less than or equal to 4294967295"),
        ({"as_path": "64500 x"}, "valid integer"),
        ({"prepend": 21}, "less than or equal to 20"),
        ({"watchdog": "x"}, "not permitted"),
    ],
)
def test_invalid_communities_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        route(**fields)


def test_a_flow_has_a_match_and_actions() -> None:
    said = ANNOUNCEMENT.validate_python(
        {
            "match": {
                "destination": "203.0.113.7/32",
                "protocols": "udp,6",
                "destination_ports": [53, "1024-2000", ">=60000"],
                "tcp_flags": "SYN+ack,=syn",
                "fragments": ["is-fragment"],
            },
            "then": {"rate_bytes": 9600},
        }
    )
    assert isinstance(said, FlowAnnouncement)
    assert (said.family, said.prefix) == ("ipv4 flow", "203.0.113.7/32")
    assert said.nlri == (
        "flow destination 203.0.113.7/32 protocols =17,=6 destination_ports =53,1024-2000,>=60000"
        " tcp_flags syn+ack,=syn fragments is-fragment"
    )


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"destination": "203.0.113.7/24"},
        {"destination": "203.0.113.7/32", "source": "2001:db8::/32"},
        {"destination": "203.0.113.7/32", "ports": "70000"},
        {"destination": "203.0.113.7/32", "ports": "9-8"},
        {"destination": "203.0.113.7/32", "ports": "80 then { accept }"},
        {"destination": "203.0.113.7/32", "protocols": "tcpp"},
        {"destination": "203.0.113.7/32", "tcp_flags": "syn|ack"},
        {"destination": "203.0.113.7/32", "flow_labels": "1"},
        {"destination": "2001:db8::/32", "fragments": "dont-fragment"},
        {"destination": "203.0.113.7/32", "dscp": 64},
    ],
)
def test_an_invalid_flow_is_refused(match: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FlowMatch.model_validate(match)


@pytest.mark.parametrize("then", [{}, {"discard": True, "rate_bytes": 9600}, {"redirect": "64500:x"}, {"mark": 64}])
def test_an_invalid_action_is_refused(then: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FlowActions.model_validate(then)


@pytest.mark.parametrize(
    "fields",
    [
        {"why": ""},
        {"why": "two\nlines"},
        {"who": ""},
        {"source": "somebody"},
        {"announcements": []},
        {"announcements": [{"prefix": "203.0.113.0/24"}, {"prefix": "203.0.113.0/24", "med": 1}]},
        {"peers": ["192.0.2.1"], "group": "transit"},
        {"key": "white space"},
    ],
)
def test_an_order_says_who_and_why(fields: dict[str, Any]) -> None:
    good = {**WHO, "announcements": [{"prefix": "203.0.113.0/24"}]}
    assert summary_of(Order.model_validate(good).announcements) == "203.0.113.0/24"
    with pytest.raises(ValidationError):
        Order.model_validate({**good, **fields})


def test_a_withdrawal_names_what_it_withdraws() -> None:
    assert Withdrawal.model_validate({**WHO, "of": "healthcheck www"}).of == "healthcheck www"
    with pytest.raises(ValidationError, match="names neither intents nor prefixes"):
        Withdrawal.model_validate(WHO)


@pytest.mark.parametrize(
    ("text", "held", "not_held"),
    [
        ("203.0.113.0/24", "203.0.113.0/24", "203.0.113.0/25"),
        ("203.0.113.0/24^+", "203.0.113.9/32", "203.0.112.0/23"),
        ("203.0.113.0/24^-", "203.0.113.0/25", "203.0.113.0/24"),
        ("203.0.113.0/24^32", "203.0.113.9/32", "203.0.113.0/31"),
        ("203.0.113.0/24^25-26", "203.0.113.64/26", "203.0.113.0/24"),
        ("203.0.113.0/24 le 32", "203.0.113.0/24", "203.0.114.0/24"),
        ("2001:db8::/32 ge 48 le 64", "2001:db8:1::/48", "2001:db8::/32"),
        ("0.0.0.0/0 le 32", "203.0.113.0/24", "2001:db8::/32"),
    ],
)
def test_a_range_of_prefixes_matches_by_address_and_length(text: str, held: str, not_held: str) -> None:
    assert parse_range(text).holds(held)
    assert not parse_range(text).holds(not_held)


@pytest.mark.parametrize(
    "text", ["", "203.0.113.1/24", "203.0.113.0/24^23", "203.0.113.0/24^33", "x^+", "1.0.0.0/8 lt 9"]
)
def test_invalid_ranges_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        parse_range(text)
