"""Every stored attribute can be seen and queried; malformed ones are reported as such."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.query.diff import diff
from collector.query.filter_text import parse_filter
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, history
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.query.top import top
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from tests.exabgp_lines import NEXT_HOP, ORIGIN, Speaker, as_path, attribute, packed, prefixes, reach
from tests.store.test_archive import archive

PREFIX = "198.51.100.0/24"
RICH = b"".join(
    (
        *(ORIGIN, as_path(64500, 64511), NEXT_HOP),
        attribute(0x40, 6, b""),
        attribute(0xC0, 7, (64511).to_bytes(4) + packed("192.0.2.9")),
        attribute(0x80, 9, packed("192.0.2.7")),
        attribute(0x80, 10, packed("10.0.0.1", "10.0.0.2")),
        attribute(0xC0, 16, bytes.fromhex("0002fbf4000000644004fbf44cee6b284300000000000002030b000000000064")),
        attribute(0xC0, 25, bytes.fromhex("000220010db80000000000000000000000010064")),
        attribute(0x80, 26, b"\1\0\x0b" + (300).to_bytes(8)),
        attribute(0xC0, 35, (64511).to_bytes(4)),
        attribute(0xC0, 250, b"\1\2\3"),
        attribute(0xC0, 40, bytes.fromhex("01000700000000000064")),
    )
)
SEEN = {
    "atomic_aggregate": True,
    "aggregator": {"asn": 64511, "address": "192.0.2.9"},
    "originator_id": "192.0.2.7",
    "cluster_list": ["10.0.0.1", "10.0.0.2"],
    "aigp": 300,
    "otc": 64511,
    "unknown_attributes": [{"code": 250, "flags": 0xE0, "hex": "010203"}],
    "prefix_sid": {"sr-label-index": 100},
}
WORDS = {
    "target:64500:100",
    "link-bandwidth:64500:1Gbps",
    "origin-validation-state:invalid",
    "color:100",
}
ASKED = [
    *("otc", "otc=64511", "aigp", "aigp=300", "aggregator=64511", "aggregator=192.0.2.9", "aggregator=64511:*"),
    *(
        "originator-id=192.0.2.7",
        "cluster-list=10.0.0.2",
        "cluster-list=10.0.*",
        "atomic-aggregate",
        "250",
        "0xfa=010203",
    ),
    *("250=0x01*", "prefix-sid", "otc=1,250"),
    # The codes of those that have names.
    *("1=igp", "2", "3", "6", "7=64511", "9=192.0.2.7", "10=10.0.0.2", "16", "25", "26=300", "35=64511", "0x23", "40"),
]
NOT_ASKED = ["otc=1", "35=1", "8", "32", "29", "251", "250=02*", "malformed", "bgp-ls", "!otc", "link-local"]


def filter_of(**texts: str) -> Filter:
    return parse_filter(texts)


async def entries(store: Store, filters: Filter | None = None) -> list[HistoryEntry]:
    return [entry async for entry in search(store, filters or Filter())]


def moment(router: Speaker) -> datetime:
    return datetime.fromtimestamp(router.time, UTC)


async def test_each_is_seen_and_can_be_asked_for(data_dir: Path, store: Store) -> None:
    router = Speaker()
    lines = [*router.up(), router.hear(RICH, prefixes(PREFIX))]
    announced = moment(router)
    for code, old, new in ((35, b"\0\0\xfb\xff", b"\0\0\xfb\xf0"), (250, b"\1\2\3", b"\1\2\4")):
        RICH_CHANGED = RICH.replace(attribute(0xC0, code, old), attribute(0xC0, code, new))
        lines.append(router.hear(RICH_CHANGED, prefixes(PREFIX)))
        lines.append(router.hear(RICH, prefixes(PREFIX)))
    lines.append(router.hear(b"", withdraw=prefixes(PREFIX)))
    next_hop = packed("2001:db8::1", "fe80::1")
    lines.append(router.hear(ORIGIN + as_path(64500) + reach(2, 1, next_hop, prefixes("2001:db8:1::/48"))))
    await archive(data_dir, store, *lines)

    (stood,) = [one async for one in rib(store, RibQuery(at=announced))]
    told = [one async for one in history(store, HistoryQuery(PREFIX))]
    found = [one for one in await entries(store) if one.prefix == PREFIX]
    for answer in (stood, told[0], told[-1], found[0], found[-1]):
        said: dict[str, Any] = json.loads(answer.model_dump_json())
        assert {name: said[name] for name in SEEN} == SEEN
        assert {one["text"] for one in said["extended_communities"]} == WORDS
        assert [one["text"] for one in said["ipv6_extended_communities"]] == ["target:2001:db8::1:100"]
    assert [one.event for one in told] == ["announce"] * 5 + ["withdraw"]

    for text in ASKED:
        assert {one.event for one in await entries(store, filter_of(attribute=text))} == {"announce", "withdraw"}, text
        assert [one async for one in rib(store, RibQuery(at=announced), filter_of(attribute=text))], text
    for text in NOT_ASKED:
        assert not [one for one in await entries(store, filter_of(attribute=text)) if one.prefix == PREFIX], text
    for text in (*WORDS, "link-bandwidth:*:*", "link-bandwidth:*", "color:*", "target:*", "target:2001:db8::1:100"):
        assert await entries(store, filter_of(community=text)), text
    (linked,) = await entries(store, filter_of(attribute="link-local=fe80::*"))
    assert (linked.next_hop, linked.link_local) == ("2001:db8::1", "fe80::1")

    changed = [
        one
        async for one in diff(store, RibQuery(), announced, datetime.fromtimestamp(announced.timestamp() + 0.25, UTC))
    ]
    assert [one.changed for one in changed] == [["otc"]]


async def test_what_is_malformed_is_not_the_peers_withdrawal(data_dir: Path, store: Store) -> None:
    router = Speaker()
    good = ORIGIN + as_path(64500) + NEXT_HOP
    lines = [
        *router.up(),
        router.hear(good, prefixes(PREFIX)),
        router.hear(good + attribute(0xC0, 8, b"\0\1\2"), prefixes(PREFIX)),  # COMMUNITIES of three bytes
        router.hear(good + attribute(0xC0, 7, b"\0"), prefixes(PREFIX)),  # AGGREGATOR of one
        router.hear(b"", withdraw=prefixes(PREFIX)),
        router.hear(good, prefixes(PREFIX)),
        router.hear(good + attribute(0xC0, 8, b""), prefixes(PREFIX)),  # COMMUNITIES of none
        router.down(),
    ]
    await archive(data_dir, store, *lines)
    expected = [
        ("announce", None),
        ("withdraw", "treat-as-withdraw: malformed attribute"),
        ("announce", "attribute-discard: malformed attribute"),
        ("withdraw", None),
        ("announce", None),
        ("withdraw", "treat-as-withdraw: malformed COMMUNITIES"),
    ]
    told = [one async for one in history(store, HistoryQuery(PREFIX))]
    assert [(one.event, one.error) for one in told] == expected  # nothing stood when the session ended
    found = [one for one in await entries(store) if one.prefix]
    assert [(one.event, one.error) for one in found] == expected
    assert {one.as_path for one in found} == {"64500"}  # each withdrawal with the route that it ends
    (peer,) = [one async for one in top(store, "peers", "malformed", Filter(), 5)]
    assert (peer.announcements, peer.withdrawals, peer.flaps, peer.malformed) == (3, 1, 1, 3)
    of_malformed = await entries(store, filter_of(attribute="malformed"))
    assert [one.error for one in of_malformed] == [error for _, error in expected if error]
    (one,) = await entries(store, filter_of(attribute="malformed=attribute-discard*"))
    assert one.event == "announce"
    at = told[2].ts
    (stood,) = [one async for one in rib(store, RibQuery(at=at))]
    assert stood.error == "attribute-discard: malformed attribute"


@pytest.mark.parametrize("consolidate", [False, True])
async def test_flags_are_those_of_the_wire_where_its_bytes_are(
    data_dir: Path, store: Store, *, consolidate: bool
) -> None:
    router = Speaker(consolidate=consolidate)
    unknown = attribute(0xC0, 250, bytes(300)) + attribute(0xC0, 251, b"\7")
    await archive(
        data_dir, store, *router.up(), router.hear(ORIGIN + as_path(1) + NEXT_HOP + unknown, prefixes(PREFIX))
    )
    (entry,) = [one for one in await entries(store) if one.prefix]
    flags = {one.code: one.flags for one in entry.unknown_attributes or ()}
    assert flags == {250: 0xD0 if consolidate else 0xF0, 251: 0xC0 if consolidate else 0xE0}


async def test_only_to_customer_of_0_1(data_dir: Path, store: Store) -> None:
    router = Speaker()
    await archive(data_dir, store, *router.up(), router.hear(RICH, prefixes(PREFIX)))
    async for document in store.find("updates", {}):
        attributes = document["attributes"]
        assert attributes.pop("otc") == 64511
        attributes["unknown"].append({"code": 35, "flags": 0xE0, "hex": "0000fbff"})
        await store.replace("updates", [{**document}])
    (entry,) = [one for one in await entries(store, filter_of(attribute="otc=64511")) if one.prefix]
    assert (entry.otc, [one.code for one in entry.unknown_attributes or ()]) == (64511, [250])
