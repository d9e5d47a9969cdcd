"""A route's key is what its RFC says: announced, announced again and withdrawn, it is one route."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.rib.fold import Fold
from collector.rib.routes import WITHDRAWN, groups
from collector.sources.exabgp.decode import decode
from schemas.documents import Place, to_document
from schemas.identity import nlri_key
from schemas.keys import make_key
from schemas.message import Update
from schemas.stored import UpdateDocument
from tests.exabgp_lines import ORIGIN, Speaker, as_path, packed, reach, unreach
from tests.families import ROUTES, Route


def next_hop(route: Route, last: int) -> bytes:
    return (bytes(8) if route.safi == 128 else b"") + packed(f"192.0.2.{last}")


def document(line: bytes) -> UpdateDocument:
    message = decode(line)
    assert isinstance(message, Update), message
    return to_document(message, Place(make_key(message.ts, 1, 7), message.ts, "test", None))


def facts_after(*documents: UpdateDocument) -> list[dict[str, Any]]:
    fold = Fold(None)
    for one in documents:
        asyncio.run(fold.add(cast("UpdateDocument", {**one, "session": None})))
    return [bson.decode(held.facts) for _, _, held in fold.changes() if held is not WITHDRAWN]


def documents_of(route: Route) -> tuple[UpdateDocument, ...]:
    router = Speaker()
    before = ORIGIN + as_path(64500)
    announced = router.hear(before + reach(route.afi, route.safi, next_hop(route, 1), route.announced))
    changed = router.hear(before + reach(route.afi, route.safi, next_hop(route, 2), route.changed))
    other = router.hear(before + reach(route.afi, route.safi, next_hop(route, 1), route.other))
    withdrawn = router.hear(unreach(route.afi, route.safi, route.withdrawn))
    return tuple(map(document, (announced, changed, other, withdrawn)))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_change_replaces_a_route_and_a_withdrawal_ends_it(route: Route) -> None:
    announced, changed, other, withdrawn = documents_of(route)
    assert len(facts_after(announced)) == 1
    (now,) = facts_after(announced, changed)
    assert now["next_hop"] == "192.0.2.2"
    if "objects" in changed["announce"][0]:  # the one printed last
        assert now["object"] == changed["announce"][0]["objects"][0]
    assert facts_after(announced, changed, withdrawn) == []
    assert len(facts_after(announced, changed, other)) == 2
    (left,) = facts_after(announced, changed, other, withdrawn)
    assert left == facts_after(other)[0]


def test_an_nlri_in_another_form_is_its_own_key() -> None:
    for family in ("l2vpn evpn", "ipv4 mup", "ipv4 mcast-vpn", "l2vpn vpls", "ipv4 rtc", "bgp-ls bgp-ls", "ipv4 flow"):
        for route in ({"raw": "zz"}, {"raw": 7}, {"new": 1}, {}, "text"):
            assert json.loads(nlri_key(family, route)) == route


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda some: st.lists(some) | st.dictionaries(st.text(max_size=5), some),
)


@given(
    st.sampled_from(["l2vpn evpn", "ipv4 mup", "ipv4 mcast-vpn", "l2vpn vpls", "bgp-ls bgp-ls", "ipv4 flow", "x"]),
    st.dictionaries(st.sampled_from(["code", "raw", "rd", "endpoint", "offset", "string"]), JSON)
    | st.binary(max_size=40).map(lambda raw: {"raw": raw.hex()}),
)
def test_no_route_is_without_a_key(family: str, route: Any) -> None:
    assert nlri_key(family, route)[0] == "{"
    assert nlri_key(family, route) == nlri_key(family, json.loads(json.dumps(route)))


@pytest.mark.parametrize(
    ("hops", "nlri", "next_hop", "link_local"),
    [
        (("2001:db8::1", "::"), ["2001:db8:1::/48"], "2001:db8::1", None),
        (("2001:db8::1", "2001:db8::2"), ["2001:db8:1::/48", "2001:db8:2::/48"], "2001:db8::1", None),
        (("2001:db8::1", "febf::1"), ["2001:db8:1::/48"], "2001:db8::1", "febf::1"),
        (("fe80::1",), ["2001:db8:1::/48", "2001:db8:1::/48"], "fe80::1", None),
    ],
)
def test_a_route_that_0_1_stored_twice_is_read_once(
    hops: tuple[str, ...], nlri: list[str], next_hop: str, link_local: str | None
) -> None:
    stored = [{"family": "ipv6 unicast", "next_hop": hop, "nlri": nlri} for hop in hops]
    (group,) = groups(cast("UpdateDocument", {"announce": stored}), "announce")
    assert (group["next_hop"], group.get("link_local"), group["nlri"]) == (
        next_hop,
        link_local,
        list(dict.fromkeys(nlri)),
    )


def test_routes_with_different_next_hops_are_unchanged() -> None:
    stored = [
        {"family": "ipv6 unicast", "next_hop": "2001:db8::1", "nlri": ["2001:db8:1::/48"]},
        {"family": "ipv6 unicast", "next_hop": "2001:db8::2", "nlri": ["2001:db8:2::/48"]},
        {"family": "ipv6 multicast", "next_hop": "2001:db8::2", "nlri": ["2001:db8:1::/48"]},
    ]
    assert list(groups(cast("UpdateDocument", {"announce": stored}), "announce")) == stored
