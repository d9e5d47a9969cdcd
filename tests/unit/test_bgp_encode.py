"""Documents are encoded as bytes that decode to the same documents."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import mrt
from collector.bgp.decode import BadMessageError, decode_message
from collector.bgp.encode import MessageBytes, encode_message
from collector.bgp.encode_routes import UnwritableError, nlri_bytes
from collector.bgp.families import FAMILIES, Family, family_name, family_number
from collector.bgp.messages import MARKER
from collector.bgp.mrt_messages import MrtMessage
from collector.bgp.open_messages import Abilities
from collector.bgp.routes import groups
from schemas.attributes import SegmentKind, format_as_path
from schemas.message_fields import MessageFields
from schemas.stored import GroupDocument
from tests.exabgp_lines import packed
from tests.families import ROUTES, Route
from tests.support import ROOT, SHARED

PLAIN = Abilities(as4=True, families=FAMILIES)
WITH_IDS = Abilities(as4=True, families=FAMILIES, add_path=FAMILIES)
NUMBER = st.integers(0, 2**32 - 1)
SHORT = st.integers(0, 2**16 - 1)


def encode(document: Any) -> list[MessageBytes]:
    """Encode a document that the tests built as a plain dictionary."""
    return encode_message(document)


def read(document: Any) -> list[MessageFields]:
    """Encode a document and decode its bytes, with four-byte AS numbers."""
    return [decode_message(one.data, WITH_IDS if one.add_path else PLAIN) for one in encode(document)]


# --- which documents there are ----------------------------------------------------------------------------------------


@st.composite
def prefixes(draw: st.DrawFn, version: int) -> str:
    size = 32 if version == 4 else 128
    length = draw(st.integers(0, size))
    address = draw(st.integers(0, 2**size - 1)) >> (size - length) << (size - length)
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(family, kind(address).packed)}/{length}"


DISTINGUISHERS = st.one_of(
    st.builds("{}:{}".format, SHORT, NUMBER),
    st.builds("{}:{}".format, st.integers(2**16, 2**32 - 1), SHORT),
    st.builds("{}:{}".format, st.ip_addresses(v=4), SHORT),
    st.binary(min_size=7, max_size=7).map(lambda rest: f"0x{(bytes((0, 3)) + rest[:6]).hex().upper()}"),
)
# One label: of several the decoder reads only the first, as in RFC 8277 2.2 without the Multiple Labels Capability.
LABELS = st.integers(0, 2**20 - 1).filter(lambda one: one != 0x80000).map(lambda one: [[one]])
SEGMENT: st.SearchStrategy[tuple[SegmentKind, list[int]]] = st.tuples(
    st.sampled_from(["sequence", "set", "confed_sequence", "confed_set"]), st.lists(NUMBER, min_size=1, max_size=6)
)
# Two successive AS_SEQUENCEs are one in a document.
PATHS = st.lists(SEGMENT, max_size=4).map(format_as_path)


def community(parts: int, number: st.SearchStrategy[int]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.lists(number, min_size=parts, max_size=parts).map(lambda ns: ":".join(map(str, ns))), min_size=1)


def address4() -> st.SearchStrategy[str]:
    return st.ip_addresses(v=4).map(str)


ATTRIBUTES = st.fixed_dictionaries(
    {"origin": st.sampled_from(["igp", "egp", "incomplete"]), "as_path": PATHS},
    optional={
        "med": NUMBER,
        "local_pref": NUMBER,
        "atomic_aggregate": st.just(True),  # noqa: FBT003
        "aggregator": st.fixed_dictionaries({"asn": NUMBER, "address": address4()}),
        "communities": community(2, SHORT),
        "large_communities": community(3, NUMBER),
        "originator_id": address4(),
        "cluster_list": st.lists(address4(), min_size=1),
        "aigp": st.integers(0, 2**64 - 1).map(lambda value: f"0x{value:016x}"),
        "otc": NUMBER,
        "bgp_ls": st.just({"node-name": "r1", "bytes": "040200027231"}),
        "unknown": st.lists(
            st.fixed_dictionaries(
                {"code": st.integers(200, 250), "flags": st.sampled_from([0x80, 0xC0, 0xE0, 0xD0])}
                | {"hex": st.binary(max_size=300).map(bytes.hex)}
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda one: one["code"],
        ),
    },
)


@st.composite
def routes(draw: st.DrawFn, family: str, event: str, *, ids: bool) -> list[dict[str, Any]]:
    """All groups of one field."""
    afi, safi = family_number(family)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(draw(st.integers(1, 3)) if ids or safi > 2 else 1):
        group: dict[str, Any] = {"family": family}
        if ids:
            group["path_id"] = draw(NUMBER)
        if safi == 128:
            group["rd"] = draw(DISTINGUISHERS)
        if safi > 2:
            group["labels"] = draw(LABELS if event == "announce" else st.one_of(LABELS, st.just([[0x80000]])))
        group["nlri"] = draw(st.lists(prefixes(4 if afi == 1 else 6), min_size=1, max_size=4))
        found[str({**group, "nlri": None})] = group
    return list(found.values())


@st.composite
def updates(draw: st.DrawFn) -> dict[str, Any]:
    """An UPDATE that fits into one message."""
    ids = draw(st.booleans())
    family = family_name((draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2, 4, 128]))))
    document: dict[str, Any] = {"kind": "update"}
    for event in ("withdraw", "announce"):
        said: list[dict[str, Any]] = []
        if draw(st.booleans()):
            hop = {"next_hop": draw(address4())} if event == "announce" else {}
            said += [{**one, **hop} for one in draw(routes("ipv4 unicast", event, ids=ids))]
        if draw(st.booleans()) and family != "ipv4 unicast":
            hop = {}
            if event == "announce":
                hop = {"next_hop": str(draw(st.ip_addresses(v=6, network="2001:db8::/32")))}
                if draw(st.booleans()):
                    hop["link_local"] = str(draw(st.ip_addresses(v=6, network="fe80::/64")))
            said += [{**one, **hop} for one in draw(routes(family, event, ids=ids))]
        if said:
            document[event] = said
    if "announce" in document or draw(st.booleans()):
        document["attributes"] = draw(ATTRIBUTES)
    return document


@given(updates())
def test_an_encoded_update_decodes_to_the_same_document(document: dict[str, Any]) -> None:
    if len(document) == 1:
        with pytest.raises(UnwritableError, match="say nothing"):
            encode(document)
        return
    [one] = encode(document)
    assert one.left_out == ()
    session = WITH_IDS if one.add_path else PLAIN
    expected = {"kind": "update"} | {name: document[name] for name in ("announce", "withdraw") if name in document}
    if "attributes" in document:
        expected["attributes"] = document["attributes"]
    assert decode_message(one.data, session) == expected


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("event", ["announce", "withdraw"])
def test_routes_of_any_family_are_encoded(route: Route, event: Any) -> None:
    nlri = route.announced if event == "announce" else route.withdrawn
    found = groups((route.afi, route.safi), nlri, event, hop=packed("192.0.2.1") if event == "announce" else b"")
    document = {event: [{**one, "next_hop": "192.0.2.1"} if event == "announce" else one for one in found]}
    if event == "announce":
        document["attributes"] = {"origin": "igp", "as_path": ""}  # type: ignore[assignment]
    assert read(document) == [{"kind": "update", **document}]


# RFC 8955 4.2.2: a destination, a source, protocols, a range of ports, TCP flags, fragments.
RULE = bytes.fromhex("0118c00002" + "02180a0000" + "03010681 11" + "05130400d50800" + "098102" + "0c8101")


@pytest.mark.parametrize(
    ("family", "nlri"),
    [
        ((1, 133), bytes((len(RULE),)) + RULE),
        ((1, 134), bytes((len(RULE) + 8,)) + bytes.fromhex("00010a0000010007") + RULE),
        ((2, 133), bytes.fromhex("0f" + "01300020010db80002" + "038106" + "0d8107")),
        *(((1, 132), bytes.fromhex("600000fbf4" + target)) for target in ("0002fbf500000064", "01020a0000010064")),
        ((1, 132), bytes.fromhex("600000fbf4" + "0202000100000064")),
        ((1, 132), b"\0"),
    ],
)
def test_flowspec_rules_are_encoded_from_their_text(family: Family, nlri: bytes) -> None:
    [found] = groups(family, nlri, "withdraw")
    assert "bytes" not in found["objects"][0]  # ExaBGP reads it
    assert nlri_bytes(found, found["objects"][0]) == nlri


@pytest.mark.parametrize(
    ("family", "route"),
    [
        ("ipv4 flow", {"protocol": ["=nonsense"]}),
        ("ipv4 flow", {"new-component": ["=1"], "string": "flow new-component =1"}),
        ("ipv4 flow-vpn", {"rd": "x", "protocol": ["=tcp"]}),
        ("ipv4 rtc", {"origin": 1, "route-target": "target:64500:1.1"}),
        ("ipv4 rtc", {"origin": 1, "route-target": "target:64500:4294967296"}),
        ("ipv4 rtc", {"origin": 1}),
    ],
)
def test_text_that_does_not_say_everything_is_not_encoded(family: str, route: dict[str, Any]) -> None:
    with pytest.raises(UnwritableError):
        nlri_bytes({"family": family, "objects": [route]}, route)


def test_each_recorded_message_decodes_to_the_same_document() -> None:
    for path in (ROOT / "collector/data/demo.mrt.gz", SHARED / "mrt/updates.20160811.1600.gz"):
        if not path.exists():
            continue
        for record in mrt.read(path):
            if not isinstance(record, MrtMessage):
                continue
            try:
                said = decode_message(record.data, Abilities(as4=record.as4, families=FAMILIES))
            except BadMessageError:
                continue
            assert read(said) == [said]


def test_routes_with_several_next_hops_are_encoded_as_several_messages() -> None:
    hops = [{"family": "ipv4 unicast", "nlri": [f"10.{n}.0.0/16"], "next_hop": f"192.0.2.{n}"} for n in (1, 2)]
    ids = {"family": "ipv4 unicast", "path_id": 7, "nlri": ["10.9.0.0/16"], "next_hop": "192.0.2.2"}
    attributes = {"origin": "igp", "as_path": "64500"}
    said = read({"attributes": attributes, "announce": [*hops, ids]})
    assert said == [{"kind": "update", "attributes": attributes, "announce": [one]} for one in (*hops, ids)]


def test_host_bits_are_encoded_as_received() -> None:
    group = {"family": "ipv4 unicast", "nlri": ["10.0.0.0/8", "10.1.0.0/9"], "host_bits": ["10.64.0.0/9"]}
    group["nlri"] = ["10.0.0.0/8", "10.0.0.0/9"]
    assert read({"withdraw": [group]}) == [{"kind": "update", "withdraw": [group]}]


def test_ipv4_routes_with_ipv6_next_hops_are_encoded_in_mp_reach_nlri() -> None:
    group = {"family": "ipv4 unicast", "nlri": ["10.0.0.0/8"], "next_hop": "2001:db8::1", "link_local": "fe80::1"}
    document = {"kind": "update", "attributes": {"origin": "igp", "as_path": "1"}, "announce": [group]}
    assert read(document) == [document]


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "eor", "family": "ipv4 unicast"},
        {"kind": "eor", "family": "l2vpn evpn"},
        {"kind": "keepalive"},
        {"kind": "notification", "code": 6, "subcode": 2, "data": "0461626364", "text": "abcd"},
        {"kind": "notification", "code": 1, "subcode": 1, "data": ""},
        {"kind": "refresh", "family": "ipv6 unicast", "subtype": "begin"},
        {"kind": "refresh", "family": "afi-77 safi-88", "subtype": "9"},
    ],
    ids=lambda document: f"{document['kind']} {document.get('family', '')}",
)
def test_other_encoded_messages_decode_to_the_same_documents(document: dict[str, Any]) -> None:
    assert read(document) == [document]


def test_a_shutdown_communication_is_encoded_without_the_words_of_exabgp() -> None:
    data = b'Shutdown Communication: "bye"'.hex()
    [said] = read({"kind": "notification", "code": 6, "subcode": 2, "data": data})
    assert said == {"kind": "notification", "code": 6, "subcode": 2, "data": b"\3bye".hex(), "text": "bye"}


def test_an_encoded_open_decodes_to_the_same_document() -> None:
    """With the capabilities that daemons send (their lines are in tests/exabgp_lines.py)."""
    values = {
        1: [bytes.fromhex("00010001"), bytes.fromhex("00190046")],
        2: [b""],
        5: [bytes.fromhex("000100010002")],
        6: [b""],
        64: [bytes.fromhex("c07800010180")],
        65: [(4_200_000_000).to_bytes(4)],
        69: [bytes.fromhex("0001010300020101")],
        70: [b""],
        71: [bytes.fromhex("00010180000e10")],
        73: [b"\4host\3dom"],
        128: [b""],
        200: [b"\1\2"],
    }
    capabilities = b"".join(bytes((c, len(v))) + v for c, some in values.items() for v in some)
    body = b"\4" + (23456).to_bytes(2) + (180).to_bytes(2) + packed("192.0.2.1")
    body += bytes((len(capabilities) + 2, 2, len(capabilities))) + capabilities
    said = decode_message(MARKER + (19 + len(body)).to_bytes(2) + b"\1" + body, PLAIN)
    [one] = encode(said)
    assert one.left_out == ()
    assert decode_message(one.data, PLAIN) == said


@pytest.mark.parametrize("count", [1, 90])
def test_an_open_may_have_more_than_255_bytes_of_capabilities(count: int) -> None:
    """More than 255 bytes need the extended form (RFC 9072)."""
    offered = [{"code": 200 + n % 50, "bytes": "0102"} for n in range(count)]
    base = {"kind": "open", "version": 4, "asn": 64500, "hold_time": 90, "router_id": "10.0.0.1"}
    [one] = encode(base | {"capabilities": [*offered, {"code": 68, "name": "multisession"}]})
    assert one.left_out == ("capability 68",)
    assert len(decode_message(one.data, PLAIN)["capabilities"]) == min(count, 50)


def test_what_cannot_be_encoded_is_named() -> None:
    attributes: dict[str, Any] = {
        "origin": "igp",
        "as_path": "",
        "pmsi_tunnel": "pmsi:x",
        "prefix_sid": {},
        "error": "discard",
    }
    attributes["other"] = {"x": 1}
    attributes["unknown"] = [{"code": 25, "flags": 192, "hex": "123"}]
    [one] = encode({"attributes": {**attributes, "communities": ["no-export"]}})
    assert one.left_out == (
        *("PMSI_TUNNEL", "BGP Prefix-SID", "attributes that ExaBGP has only in words", "what was malformed"),
        *("communities", "attribute 25"),
    )
    assert decode_message(one.data, PLAIN)["attributes"] == {"origin": "igp", "as_path": ""}
    for document, what in (
        ({"kind": "detail"}, "kind detail"),
        ({"kind": "sent", "detail": {"code": 4}}, "that ExaBGP sent"),
        ({"announce": [{"family": "ipv4 nlri-mpls", "nlri": ["10.0.0.0/8"]}]}, "without their labels"),
        ({"withdraw": [{"family": "ipv4 mpls-vpn", "rd": "x", "nlri": ["10.0.0.0/8"]}]}, "distinguisher x"),
        ({"withdraw": [{"family": "ipv4 unicast", "nlri": ["10.0.0/8"]}]}, "do not fit"),
        ({"kind": "notification", "code": 999, "subcode": 0, "data": ""}, "do not fit"),
        ({"withdraw": [{"family": "ipv4 unicast", "nlri": ["10.0.0.0/24"] * 20_000}]}, "do not fit"),
    ):
        with pytest.raises(UnwritableError, match=what):
            encode(document)


def test_withdrawn_routes_without_a_stored_label_have_the_label_of_the_rfc() -> None:
    [said] = read({"withdraw": [{"family": "ipv4 nlri-mpls", "nlri": ["10.0.0.0/8"]}]})
    assert said["withdraw"] == [{"family": "ipv4 nlri-mpls", "labels": [[0x80000]], "nlri": ["10.0.0.0/8"]}]


def test_a_group_in_which_one_route_lacks_its_path_id() -> None:
    group: GroupDocument = {
        "family": "ipv4 mpls-vpn",
        "rd": "1:2",
        "labels": [[16]],
        "path_id": 9,
        "nlri": ["10.0.0.0/8"],
    }
    assert nlri_bytes(group, "10.0.0.0/8").hex() == "60" + "000101" + "0000000100000002" + "0a"
