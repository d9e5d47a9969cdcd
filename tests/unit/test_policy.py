"""Policies for the routes that peers are sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.acting.policy import apply
from collector.acting.speakers import Speaker
from collector.settings.policies import PolicySettings
from schemas.announcements import FlowAnnouncement, RouteAnnouncement

PE = Speaker("192.0.2.1", 64500, 65000, ("ipv4 unicast",), "pe")
RR = Speaker("192.0.2.2", 65000, 65000, ("ipv4 unicast",))
ROUTE = RouteAnnouncement(
    prefix="203.0.113.0/25",
    communities=("64512:1", "64512:2"),
    large_communities=("64512:1:1",),
    extended_communities=("target:64512:1",),
    as_path=(64513, 64514),
)
FLOW = FlowAnnouncement.model_validate({"match": {"destination": "203.0.113.1/32"}, "then": {"discard": True}})


def rule(**keys: Any) -> PolicySettings:
    if keys.keys().isdisjoint(ACTIONS):
        keys["reject"] = True
    return PolicySettings.model_validate({"name": "rule", **keys})


ACTIONS = PolicySettings.model_fields.keys() & {
    *("set_communities", "remove_communities", "add_communities"),
    *("med", "local_preference", "prepend", "next_hop"),
}


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({}, True),
        ({"peers": "192.0.2.1"}, True),
        ({"peers": "192.0.2.2"}, False),
        ({"group": "pe"}, True),
        ({"group": "rr"}, False),
        ({"prefixes": "203.0.113.0/24"}, False),
        ({"prefixes": "203.0.113.0/24^+"}, True),
        ({"prefixes": "203.0.113.0/25^-"}, False),
        ({"prefixes": "2001:db8::/32^+, 203.0.113.0/24^25"}, True),
        ({"prefixes": "203.0.113.0/24^26-32"}, False),
        ({"communities": "64512:3, 64512:2"}, True),
        ({"communities": "64512:3"}, False),
        ({"communities": "64512:1:1"}, True),
        ({"communities": "target:64512:1"}, True),
        ({"communities": "no-export"}, False),
        ({"as_path": "^64513_64514$"}, True),
        ({"as_path": "^$"}, False),
        ({"family": "ipv4 unicast"}, True),
        ({"family": "ipv6 unicast"}, False),
        ({"family": "ipv4 unicast", "prefixes": "203.0.113.0/25", "communities": "64512:3"}, False),
    ],
)
def test_rules_match_routes(keys: dict[str, Any], matches: bool) -> None:
    outcome = apply([rule(**keys)], ROUTE, PE)
    assert outcome == ((None, ("rule",)) if matches else (ROUTE, ()))


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        (
            {"add_communities": "no-export, 64512:1:2"},
            {
                "communities": ("64512:1", "64512:2", "65535:65281"),
                "large_communities": ("64512:1:1", "64512:1:2"),
            },
        ),
        ({"remove_communities": "64512:1, 64512:1:1"}, {"communities": ("64512:2",), "large_communities": ()}),
        (
            {"set_communities": "graceful-shutdown"},
            {"communities": ("65535:0",), "large_communities": (), "extended_communities": ()},
        ),
        ({"set_communities": []}, {"communities": (), "large_communities": (), "extended_communities": ()}),
        ({"med": 0}, {"med": 0}),
        ({"prepend": 3}, {"prepend": 3}),
        ({"next_hop": "192.0.2.77", "family": "ipv4 unicast"}, {"next_hop": "192.0.2.77"}),
        ({"local_preference": 50}, {}),
    ],
)
def test_rules_change_routes(keys: dict[str, Any], changed: dict[str, Any]) -> None:
    assert apply([rule(**keys)], ROUTE, PE) == (ROUTE.model_copy(update=changed), ("rule",))


def test_local_pref_is_for_our_own_as() -> None:
    told = apply([rule(local_preference=50)], ROUTE, RR).announcement
    assert isinstance(told, RouteAnnouncement)
    assert told.local_pref == 50


def test_rules_act_one_after_the_other() -> None:
    rules = [
        rule(name="mark", add_communities="64512:9"),
        rule(name="other", peers="192.0.2.2", med=7),
        rule(name="marked", communities="64512:9", prepend=2),
        rule(name="last", communities="64512:9", group="pe"),
        rule(name="never", med=9),
    ]
    assert apply(rules, ROUTE, PE) == (None, ("mark", "marked", "last"))
    told = apply(rules, ROUTE, RR)
    assert told.rules == ("mark", "other", "marked", "never")


def test_rules_change_only_the_communities_of_flow_specifications() -> None:
    told = apply([rule(med=5, prepend=2, add_communities="64512:1")], FLOW, PE).announcement
    assert told == FLOW.model_copy(update={"communities": ("64512:1",)})


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"reject": True, "med": 1}, "is given together with reject"),
        ({"reject": False}, "the rule does nothing else"),
        ({"next_hop": "192.0.2.1"}, "is not that of next_hop"),
        ({"peers": "192.0.2.1", "group": "pe"}, "is given together with peers"),
        ({"as_path": "(64500"}, "is not a regular expression"),
        ({"as_path": "(?=64500)"}, "looks ahead or back"),
        ({"prefixes": "203.0.113.0/24^8"}, "holds no prefix"),
        ({"communities": "70000:1"}, "is not N:N, each N from 0 to 65535"),
        ({"add_communities": "64512:1:2:3"}, "is not N:N"),
    ],
)
def test_invalid_rules_are_refused(keys: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        PolicySettings.model_validate({"name": "rule", **({} if "reject" in keys else {"med": 1}), **keys})
    assert fault in str(wrong.value)


COMMUNITIES = st.lists(st.sampled_from(("64512:1", "64512:2", "no-export", "64512:1:1", "target:64512:1")), max_size=4)


@given(COMMUNITIES, COMMUNITIES, COMMUNITIES | st.none())
def test_communities_are_those_that_were_kept_and_added(
    add: list[str], remove: list[str], only: list[str] | None
) -> None:
    one = rule(add_communities=add, remove_communities=remove, **({} if only is None else {"set_communities": only}))
    told = apply([one], ROUTE, PE).announcement
    assert told is not None
    before = {*ROUTE.communities, *ROUTE.large_communities, *ROUTE.extended_communities}
    start = before if one.set_communities is None else set(one.set_communities)
    after = [*told.communities, *told.large_communities, *told.extended_communities]
    assert set(after) == (start - set(one.remove_communities)) | set(one.add_communities)
    assert type(told).model_validate(told.model_dump()) == told
