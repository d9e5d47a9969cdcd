"""The same document from a message's bytes as from ExaBGP's JSON; where they differ, the bytes are right."""

import re
import struct
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp.decode import BadMessageError, decode_message
from collector.bgp.messages import MARKER
from collector.bgp.open_messages import Abilities
from collector.sources.exabgp.decode import decode
from schemas.documents import Place, to_document
from schemas.keys import make_key
from schemas.message import EndOfRib, Update
from schemas.message_fields import MessageFields
from tests.exabgp_lines import NEXT_HOP, ORIGIN, Speaker, as_path, attribute, body, packed, prefixes, reach, unreach
from tests.families import ROUTES, Route
from tests.fuzz.messages import hostile

AS4 = Abilities(as4=True, families=frozenset())
PATH = ORIGIN + as_path(64500)
ANNOUNCED = prefixes("203.0.113.0/24")
SAID = ("kind", "family", "attributes", "announce", "withdraw")
BGP_LS = 16388


def update(*parts: bytes) -> bytes:
    said = body(*parts)
    return MARKER + struct.pack(">HB", 19 + len(said), 2) + said


def of_bytes(*parts: bytes, session: Abilities = AS4) -> MessageFields:
    return decode_message(update(*parts), session)


def of_json(*parts: bytes) -> dict[str, Any]:
    return said_by(decode(Speaker().hear(*parts)))


def said_by(message: Any) -> dict[str, Any]:
    assert isinstance(message, Update | EndOfRib), message
    document = to_document(message, Place(make_key(message.ts, 1, 1), message.ts, "c", None))
    return {name: value for name, value in {**document, "kind": message.kind}.items() if name in SAID}


def unordered(document: Any) -> dict[str, Any]:
    """ExaBGP sorts communities, and lists the routes of MP_REACH_NLRI after, or before, those of IPv4."""
    attributes = {
        name: sorted(value, key=str) if name.endswith("communities") else value
        for name, value in document.get("attributes", {}).items()
    }
    ordered = {**document, **({"attributes": attributes} if attributes else {})}
    for event in ("announce", "withdraw"):
        if event in document:
            ordered[event] = sorted(document[event], key=str)
    return ordered


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("event", ["announced", "changed", "withdrawn"])
def test_routes_of_any_family_are_those_of_exabgp(route: Route, event: str) -> None:
    hop = packed("2001:db8::1") if route.afi == 2 else packed("192.0.2.1")
    hop = bytes(8) + hop if route.safi == 128 else b"" if route.safi in (133, 134) else hop
    nlri: bytes = getattr(route, event)
    said = (
        unreach(route.afi, route.safi, nlri) if event == "withdrawn" else PATH + reach(route.afi, route.safi, hop, nlri)
    )
    found = of_bytes(said)
    if route.afi == BGP_LS:  # docs/exabgp-differences.md
        for group in (*found.get("announce", ()), *found.get("withdraw", ())):
            assert group["objects"][0].pop("bytes", nlri.hex()) == nlri.hex()
    assert found == of_json(said)


ATTRIBUTES = {
    "none": b"",
    "egp": attribute(0x40, 1, b"\1"),
    "med": PATH + attribute(0x80, 4, bytes(4)),
    "local-pref": PATH + attribute(0x40, 5, (2**32 - 1).to_bytes(4)),
    "atomic-aggregate": PATH + attribute(0x40, 6, b"") + attribute(0xC0, 7, bytes.fromhex("0000fbf4c0000201")),
    "communities": PATH + attribute(0xC0, 8, bytes.fromhex("fbf40001ffffff01fbf40000")),
    "large communities": PATH + attribute(0xC0, 32, bytes.fromhex("0000fbf40000000100000002" + "00000001" * 3)),
    "extended communities": PATH
    + attribute(0xC0, 16, bytes.fromhex("0002fbf400000001" + "030b000000000064" + "99" * 8)),
    "ipv6 extended communities": PATH + attribute(0xC0, 25, bytes.fromhex("000220010db8" + "00" * 13 + "07")),
    "reflected": PATH + attribute(0x80, 9, b"\x0a\0\0\x09") + attribute(0x80, 10, b"\x0a\0\0\1\x0a\0\0\2"),
    "aigp": PATH + attribute(0x80, 26, bytes.fromhex("01000b000000000000000a")),
    "pmsi": PATH + attribute(0xC0, 22, bytes.fromhex("0006000641c0000201")),
    "otc": PATH + attribute(0xC0, 35, (64500).to_bytes(4)),
    "unknown": PATH + attribute(0xE0, 250, b"hello"),
    "prefix sid": PATH + attribute(0xC0, 40, bytes.fromhex("010007000000000000" + "64")),
    "as set": ORIGIN + attribute(0x40, 2, bytes.fromhex("02010000fbf40102" + "0000000700000008")),
    "empty path": ORIGIN + attribute(0x40, 2, b""),
    "extended length": ORIGIN + bytes.fromhex("5002000602010000fbf4"),
}
MALFORMED = {
    "origin cut": attribute(0x40, 1, b"") + as_path(64500),
    "path cut": ORIGIN + attribute(0x40, 2, b"\2\2\0\0\0\1"),
    "segment of no kind": ORIGIN + attribute(0x40, 2, b"\7\1\0\0\0\1"),
    "med of 3 bytes": PATH + attribute(0x80, 4, bytes(3)),
    "communities of 5 bytes": PATH + attribute(0xC0, 8, bytes(5)),
    "large communities of 8 bytes": PATH + attribute(0xC0, 32, bytes(8)),
    "longer than its place": PATH + b"\xc0\x08\x50\0\0",
}
RESET_BY_EXABGP = {
    "originator of 3 bytes": PATH + attribute(0x80, 9, bytes(3)),
    "clusters of 5 bytes": PATH + attribute(0x80, 10, bytes(5)),
}
"""RFC 7606 7.9 and 7.10 have the routes withdrawn, and the session go on."""
DISCARDED = {
    "atomic aggregate of a byte": PATH + attribute(0x40, 6, b"\1"),
    "aggregator of 6 bytes": PATH + attribute(0xC0, 7, bytes(6)),
}


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes_are_those_of_exabgp(attributes: bytes) -> None:
    parts = (attributes + NEXT_HOP, ANNOUNCED)
    assert unordered(of_bytes(*parts)) == unordered(of_json(*parts))


@pytest.mark.parametrize("attributes", MALFORMED.values(), ids=MALFORMED)
def test_routes_are_withdrawn_where_rfc_7606_treats_an_update_as_withdraw(attributes: bytes) -> None:
    mine, theirs = (read(attributes + NEXT_HOP, ANNOUNCED) for read in (of_bytes, of_json))
    assert mine["withdraw"] == theirs["withdraw"] == [{"family": "ipv4 unicast", "nlri": ["203.0.113.0/24"]}]
    # ExaBGP does not always say which attribute is malformed.
    assert mine["attributes"].pop("error").startswith(theirs["attributes"].pop("error"))
    assert "announce" not in mine


@pytest.mark.parametrize("attributes", DISCARDED.values(), ids=DISCARDED)
def test_attributes_are_discarded_where_rfc_7606_says_so(attributes: bytes) -> None:
    mine, theirs = (read(attributes + NEXT_HOP, ANNOUNCED) for read in (of_bytes, of_json))
    assert mine["announce"] == theirs["announce"]
    assert mine["attributes"].pop("error").startswith(theirs["attributes"].pop("error"))
    assert mine["attributes"] == theirs["attributes"]


@pytest.mark.parametrize("attributes", RESET_BY_EXABGP.values(), ids=RESET_BY_EXABGP)
def test_routes_are_withdrawn_where_exabgp_would_end_the_session(attributes: bytes) -> None:
    said = of_bytes(attributes + NEXT_HOP, ANNOUNCED)
    assert said["withdraw"] == [{"family": "ipv4 unicast", "nlri": ["203.0.113.0/24"]}]
    assert re.fullmatch("treat-as-withdraw due to (originator-id|cluster-list)", said["attributes"]["error"])


def test_srv6_sids_are_decoded() -> None:
    value = bytes.fromhex("050018" + "00" + "010014" + "00" + "20010db8000000000000000000000001" + "00" + "0011")
    said = of_bytes(PATH + attribute(0xC0, 40, value) + NEXT_HOP, ANNOUNCED)
    (sid,) = said["attributes"]["prefix_sid"]["l3-service"]
    assert (sid["sid"], sid["endpoint_behavior"]) == ("2001:db8::1", 17)


def test_confederations_and_the_order_of_communities_are_kept() -> None:
    path = bytes.fromhex("03020000fde90000fdea" + "0202" + "0000fbf4" + "0000fbf5" + "04010000fdeb")
    said = of_bytes(
        ORIGIN + attribute(0x40, 2, path) + attribute(0xC0, 8, bytes.fromhex("ffffff01fbf40001")) + NEXT_HOP, ANNOUNCED
    )
    assert said["attributes"]["as_path"] == "(65001 65002) 64500 64501 [65003]"
    assert said["attributes"]["communities"] == ["65535:65281", "64500:1"]


def test_unknown_attributes_keep_their_flags_even_if_not_transitive() -> None:
    said = of_bytes(PATH + attribute(0xC0, 250, b"a") + attribute(0x80, 251, b"b") + NEXT_HOP, ANNOUNCED)
    assert [(one["code"], one["flags"]) for one in said["attributes"]["unknown"]] == [(250, 0xC0), (251, 0x80)]


def read(data: bytes, session: Abilities) -> str:
    """The kind of the decoded document, which can be stored, or the reason why there is none."""
    try:
        said = decode_message(data, session)
    except BadMessageError as error:
        return f"bad: {error}"
    assert bson.encode(said)
    return str(said["kind"])


def test_any_message_gives_a_document_or_a_reason() -> None:
    kinds = {read(data, session) for data, session in hostile(seed=7, count=5000)}
    reasons = {kind for kind in kinds if kind.startswith("bad: ")}
    assert kinds - reasons == {"update", "eor", "open", "notification", "refresh"}
    assert len(reasons) > 10


@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_bytes_give_a_document_or_a_reason(said: bytes, kind: int) -> None:
    assert read(MARKER + struct.pack(">HB", 19 + len(said), kind) + said, AS4)
