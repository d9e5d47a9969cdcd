"""Routes as answers, built without validation: the same as with it."""

from datetime import UTC, datetime
from typing import cast

import bson
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from collector.query.peer_ribs import PeerRib
from collector.rib.routes import RouteEntry, RouteKey, milliseconds
from collector.store.mongo import Store
from schemas.query import Route
from schemas.stored import SessionDocument

SINCE = datetime(2026, 11, 25, 3, tzinfo=UTC)
SESSION = {"_id": ObjectId(), "peer": {"address": "192.0.2.1", "asn": 64500}, "collector": "c", "since": SINCE}
NUMBERS = st.integers(0, 2**32 - 1)
TEXTS = st.lists(st.sampled_from(["64500:1", "65535:666", "64500:1:2"]))
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "origin": st.sampled_from(["igp", "egp", "incomplete", "invalid"]),
        "as_path": st.sampled_from(["", "64500", "64500 {1,2}"]),
        "med": NUMBERS,
        "local_pref": NUMBERS,
        "atomic_aggregate": st.just(value=True),
        "aggregator": st.just({"asn": 4200000000, "address": "192.0.2.9"}),
        "communities": TEXTS,
        "large_communities": TEXTS,
        "extended_communities": st.just([{"hex": "0002fbf400000001", "text": "target:64500:1"}]),
        "ipv6_extended_communities": st.just([{"hex": "00" * 20, "text": ""}]),
        "cluster_list": TEXTS,
        "originator_id": st.just("192.0.2.7"),
        "aigp": st.just("0x00000000000000ff"),
        "otc": NUMBERS,
        "prefix_sid": st.just({"sr-label-index": 7}),
        "unknown": st.just([{"code": 250, "flags": 0xE0, "hex": "01"}]),
        "error": st.just("discard"),
        "other": st.just({"new": [1]}),
    },
)
AS_ANSWERED = {"unknown": "unknown_attributes", "other": "other_attributes"}
OWN = st.fixed_dictionaries(
    {},
    optional={
        "next_hop": st.just("192.0.2.1"),
        "link_local": st.just("fe80::1"),
        "labels": st.just([[800001], [3, 4]]),
    },
)


@given(ATTRIBUTES, OWN)
def test_a_route_is_the_same_as_when_validated(attributes: dict[str, object], own: dict[str, object]) -> None:
    stored = {**attributes, **own}
    known = PeerRib(cast("Store", None), cast("SessionDocument", SESSION), None, None, {}, stale=False)
    key = RouteKey("ipv4 mpls-vpn", "64500:1", 7, "10.0.0.0/8")
    route = known.route(key, RouteEntry(milliseconds(SINCE), bson.encode(stored)))
    facts = {"family": key.family, "rd": key.rd, "path_id": key.path_id, "prefix": key.nlri, "since": SINCE}
    whose = {"peer": SESSION["peer"], "collector": "c", "state": "stands"}
    expected = {AS_ANSWERED.get(name, name): value for name, value in stored.items()}
    expected |= {"aigp": 255} if "aigp" in attributes else {}
    expected |= {"error": "attribute-discard: malformed attribute"} if "error" in attributes else {}
    assert route == Route.model_validate({**expected, **facts, **whose})
    assert Route.model_validate_json(route.model_dump_json()) == route
