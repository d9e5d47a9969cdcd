"""Lines that are invalid JSON through a known fault of ExaBGP, as it prints them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from collector.sources.exabgp.decode import decode
from collector.sources.source import Rejection
from schemas.exabgp.json_repair import mended
from schemas.message import Detail, Refresh, Update
from tests import families
from tests.exabgp_lines import ORIGIN, Speaker, as_path, attribute, packed, prefixes, reach
from tests.support import Router, shared

SID = b"\0" + packed("2001:db8:5::1") + b"\0\0\x13\0"


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2) + value


SRV6 = tlv(5, b"\0" + tlv(1, SID)) + tlv(6, b"\0" + tlv(1, SID + tlv(1, bytes((32, 16, 16, 0, 0, 0)))))
STRUCTURE = {
    "locator-block-length": 32,
    "locator-node-length": 16,
    "function-length": 16,
    "argument-length": 0,
    "transposition-length": 0,
    "transposition-offset": 0,
}


def read(raw: bytes) -> Update:
    with pytest.raises(ValueError, match=r"."):
        json.loads(raw)
    message = decode(raw)
    assert isinstance(message, Update), message
    return message


@pytest.mark.parametrize("consolidate", [False, True])
def test_srv6_sids_are_null_or_those_of_the_bytes(*, consolidate: bool) -> None:
    said = ORIGIN + as_path(64500) + attribute(0xC0, 40, SRV6)
    message = read(
        Speaker(consolidate=consolidate).hear(said + reach(2, 1, packed("2001:db8::1"), prefixes("2001:db8:44::/48")))
    )
    assert message.attributes is not None
    assert message.attributes.get("as_path") == "64500"
    assert [group.get("nlri") for group in message.announce or ()] == [["2001:db8:44::/48"]]
    sid = dict.fromkeys(("sid", "flags", "endpoint_behavior"), None)
    if consolidate:
        sid |= {"sid": "2001:db8:5::1", "flags": 0, "endpoint_behavior": 0x13}
    assert message.attributes.get("prefix_sid") == {
        "l3-service": [sid],
        "l2-service": [{**sid, "structure": STRUCTURE}],
    }


@pytest.mark.parametrize("source", [b"", b"\x20" + packed("10.0.0.2")])
def test_mup_sessions_are_routes(source: bytes) -> None:
    nlri = families.session("192.168.0.2/32", 12345, "10.0.0.1") + source
    nlri = nlri[:3] + bytes((len(nlri) - 4,)) + nlri[4:]
    (group,) = read(Speaker().hear(ORIGIN + as_path(1) + reach(1, 85, packed("192.0.2.1"), nlri))).announce or []
    (route,) = group.get("objects") or []
    assert (route["prefix_ip"], route["teid"], route["raw"]) == ("192.168.0.2", "12345", nlri.hex().upper())


def test_faults_of_exabgp_4_2_are_repaired() -> None:
    line = Router().line("refresh", **{"route-refresh": {"afi": "ipv4", "safi": "unicast", "subtype": "begin"}})
    doubled = line.replace(b'"ipv4"', b'""ipv4""').replace(b'"unicast"', b'""unicast""')
    refresh = decode(doubled)
    assert isinstance(refresh, Refresh)
    assert refresh.family == "ipv4 unicast"
    line = Router().update(attribute={"bgp-ls": {"a": "x: nan, y", "b": 1, "c": [1, 2]}}, withdraw={})
    spoilt = line.replace(b'"b": 1, "c": [1, 2]', b'"b": nan, "c": [ -inf, inf ]')
    assert json.loads(mended(spoilt))["neighbor"]["message"]["update"]["attribute"]["bgp-ls"]["a"] == "x: nan, y"
    assert isinstance(decode(spoilt), Update)


@pytest.mark.parametrize("name", ["v5-INVALID-or-duplicate-key.jsonl", "v42-INVALID-or-duplicate-key.jsonl"])
def test_every_recorded_fault_is_repaired(name: str) -> None:
    for raw in shared(f"exabgp-json/{name}").read_bytes().splitlines():
        assert isinstance(decode(raw), Update | Refresh | Detail), raw


def test_an_as_that_is_not_printed_cannot_be_repaired() -> None:
    raw = Router().keepalive().replace(b'"peer": 64500', b'"peer": None')
    message = decode(raw)
    assert isinstance(message, Rejection)
    assert "give the AS number" in message.reason


PARTS = st.sampled_from(
    [
        '{ "sid": "%s", "flags": 0, "endpoint_behavior": %d',
        '"endpoint_ip": "10.0.0.1""source_ip_len": 0',
        ': ""ipv4"" ',
        ": nan, ",
        "[ inf ]",
        '"',
        "\\",
        " ",
        "%d",
    ]
)
HOSTILE = st.lists(PARTS | st.text(max_size=4), max_size=6).map("".join)


@given(HOSTILE)
def test_no_text_of_a_peer_is_mistaken_for_a_fault(text: str) -> None:
    said = {"attribute": {"bgp-ls": {"node-name": text}}, "withdraw": {"ipv4 unicast": [{"nlri": "10.0.0.0/8"}]}}
    good = Router().update(**said)
    for fault in (b'"x": [ nan ], ', b'"x": { "sid": "%s", "flags": 0, "endpoint_behavior": %d }, ', b'"x": ""a"" , '):
        message = decode(good.replace(b'"node-name"', fault + b'"node-name"'))
        if isinstance(message, Rejection):
            continue
        assert isinstance(message, Update)
        assert message.attributes is not None
        assert message.attributes["bgp_ls"]["node-name"] == text


@given(st.binary(max_size=60) | HOSTILE.map(str.encode))
def test_any_bytes_are_repaired_or_left_unchanged(raw: bytes) -> None:
    decode(b"{" + raw)
    try:
        from_json(raw)
    except ValueError:
        mended(raw)
