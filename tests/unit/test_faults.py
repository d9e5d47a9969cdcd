"""Whoever writes an invalid order reads which field is wrong, what is wrong with it, and what is right."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from collector.http.orders import OrderBody
from schemas.faults import fault_of, spelled
from schemas.intents import Order, Withdrawal

REASON = {"who": "noc", "why": "ticket 4711", "source": "api"}
PREFIX = "203.0.113.0/24"
PYDANTIC = ("Input should", "Extra inputs", "String should", "Value should", "Tuple should", "Field required", "'self'")


def said(model: type[BaseModel], body: Any) -> str:
    """The sentence about an invalid input, and its cure."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    fault = fault_of(raised.value.errors(include_url=False)[0], model)
    sentence = fault.at(spelled(fault.place))
    assert not any(words in sentence for words in PYDANTIC), sentence
    return f"{sentence} | {fault.cure}"


def route(**fields: Any) -> dict[str, Any]:
    return {**REASON, "announcements": [{"prefix": PREFIX, **fields}]}


def flow(match: Any = None, then: Any = None) -> dict[str, Any]:
    matched = {"destination": PREFIX, **(match or {})}
    return {**REASON, "announcements": [{"match": matched, "then": then or {"discard": True}}]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (flow({"port": "80"}), "announcements[0].match.port is not known here | did you mean ports?"),
        (
            flow({"colour": "red"}),
            "announcements[0].match.colour is not known here | known here are destination, source,",
        ),
        (route(nexthop="self"), "announcements[0].nexthop is not known here | did you mean next_hop?"),
        (route(next_hop="x"), "announcements[0].next_hop: 'x' is neither self nor an IPv4 or IPv6 address"),
        (route(next_hop=None), "announcements[0].next_hop is not a text"),
        (route(med="x"), "announcements[0].med: 'x' is not a whole number"),
        (route(med=-1), "announcements[0].med: -1 is less than 0, the minimum"),
        (route(med=2**32), "announcements[0].med: 4294967296 is more than 4294967295, the maximum"),
        (route(med=[]), "announcements[0].med is not a whole number"),
        (route(origin="x"), "announcements[0].origin: 'x' is not 'igp', 'egp' or 'incomplete'"),
        (route(as_path=["0"]), "announcements[0].as_path[0]: '0' is less than 1, the minimum"),
        (route(as_path=[1] * 101), "announcements[0].as_path has more than 100 entries"),
        (route(communities=["blackhol"]), "announcements[0].communities[0]: 'blackhol' is neither N:N nor one of"),
        (route(communities=5), "announcements[0].communities: 5 is not a list"),
        (route(prefix="x" * 70), "announcements[0].prefix: 'xxxx"),
        (flow({"protocols": "upd"}), "announcements[0].match.protocols[0]: 'upd' is neither a number nor one of icmp,"),
        (flow({"ports": ["80"] * 33}), "announcements[0].match.ports has more than 32 entries"),
        (flow(then={"discard": "x"}), "announcements[0].then.discard: 'x' is neither true nor false"),
        (flow(then={"rate_bytes": 1}), "announcements[0].then.rate_bytes: 1 is less than 9600, the minimum"),
        (
            flow(then={"mark": True, "sample": False, "x": 1}),
            "announcements[0].then.x is not known here | known here are",
        ),
        ({**REASON, "announcements": [{"match": 5, "then": 5}]}, "announcements[0].match: 5 has no fields: it is not"),
        ({**REASON, "announcements": [{}]}, "announcements[0].prefix is missing"),
        ({**REASON, "announcements": []}, "announcements is empty"),
        (REASON, "announcements is missing"),
        ({**route(), "why": ""}, "why is empty"),
        ({**route(), "why": "a\nb"}, r"why: 'a\nb' is not a line of text"),
        ({**route(), "peers": ["router1"]}, "peers[0]: 'router1' is not an IPv4 or IPv6 address"),
        ({**route(), "expires": "soon"}, "expires: 'soon' is not a time such as 2027-01-01T00:00:00Z"),
        (
            {**route(), "expires": "2030-01-01T00:00:00"},
            "expires: '2030-01-01T00:00:00' has no time zone: add Z for UTC",
        ),
        ({**route(), "key": "a b"}, "key: 'a b' has other characters than"),
        ({**route(), "source": "x"}, "source: 'x' is none of api, cli,"),
        ({**route(), "peers": ["192.0.2.1"], "group": "x"}, "peers and group exclude each other: give one of them"),
        (5, "5 has no fields: it is not an object"),
    ],
)
def test_a_fault_of_an_order(body: Any, says: str) -> None:
    assert said(Order, body).startswith(says)


def test_a_fault_of_a_withdrawal_or_of_a_body() -> None:
    neither = "ids[0]: '203.0.113.7' is neither a prefix (ADDRESS/LENGTH) nor the id of an intent (24 hex digits)"
    assert said(Withdrawal, {**REASON, "ids": ["203.0.113.7"]}).startswith(neither)
    body = {"announcements": [{"prefix": PREFIX}], "why": "ticket 4711"}
    assert said(OrderBody, {**body, "expire": "2h"}) == "expire is not known here | did you mean expires?"


def test_a_place_before_the_model_is_left_out() -> None:
    with pytest.raises(ValidationError) as raised:
        Order.model_validate(flow({"port": "80"}))
    error = raised.value.errors(include_url=False)[0]
    fault = fault_of({**error, "loc": ("body", *error["loc"])}, Order, before=1)
    assert (fault.place, fault.cure) == (("announcements", 0, "match", "port"), "did you mean ports?")
