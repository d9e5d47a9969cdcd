"""Lines of RIS Live as messages: decoded from their bytes, or from their fields without bytes, and never an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sources.ris_live import lines
from collector.sources.ris_live.decode import counted, decode
from collector.sources.source import Rejection
from tests.mrt_builder import announcement, withdrawal

T = 1_800_000_000.25
PEER = {"peer": "2001:db8::9", "peer_asn": "64500", "host": "rrc21", "id": "x-1", "timestamp": T}


def line(arrival: float = T + 1, **data: Any) -> bytes:
    said = {"type": "ris_message", "data": {**PEER, **data}}
    return b"%.6f %s" % (arrival, json.dumps(said).encode())


def read(**data: Any) -> Any:
    found = decode(line(**data))
    assert not isinstance(found, Rejection), found
    return found


FIELDS: dict[str, Any] = {
    "type": "UPDATE",
    "path": [64500, 7, [8, 9]],
    "community": [[64500, 1], [65535, 65281]],
    "origin": "IGP",
    "med": 10,
    "aggregator": "64501:192.0.2.8",
    "announcements": [
        {"next_hop": "2001:db8::1", "prefixes": ["2001:db8:0:0:0:0:0:0/32"]},
        {"next_hop": "fe80::1", "prefixes": ["2001:db8:0:0:0:0:0:0/32"]},
        {"next_hop": "192.0.2.1", "prefixes": ["203.0.113.0/24"]},
    ],
    "withdrawals": ["2001:db8:0:1::/64", "198.51.100.0/24"],
}


def test_the_bytes_of_a_message_say_more_than_its_fields() -> None:
    raw = announcement("203.0.113.0/24", 64500, 7).hex().upper()
    found = read(type="UPDATE", raw=raw, path=[1], origin="egp", announcements=[])
    assert found.announce == [{"family": "ipv4 unicast", "next_hop": "192.0.2.1", "nlri": ["203.0.113.0/24"]}]
    assert found.attributes == {"origin": "igp", "as_path": "64500 7"}
    assert (found.peer.address, found.peer.asn, found.peer.router) == ("2001:db8::9", 64500, "rrc21")
    assert found.ts.timestamp() == T


def test_as_numbers_of_two_bytes_are_noticed() -> None:
    found = read(type="UPDATE", raw=announcement("203.0.113.0/24", 64500, 7, as4=False).hex())
    assert found.attributes["as_path"] == "64500 7"


@pytest.mark.parametrize("raw", [{}, {"raw": ""}, {"raw": "zz"}, {"raw": "ffff"}])
def test_the_fields_are_read_if_there_are_no_bytes(raw: dict[str, str]) -> None:
    found = read(**FIELDS, **raw)
    assert found.attributes == {
        "origin": "igp",
        "as_path": "64500 7 {8,9}",
        "med": 10,
        "aggregator": {"asn": 64501, "address": "192.0.2.8"},
        "communities": ["64500:1", "65535:65281"],
    }
    assert found.announce == [
        {"family": "ipv6 unicast", "next_hop": "2001:db8::1", "link_local": "fe80::1", "nlri": ["2001:db8::/32"]},
        {"family": "ipv4 unicast", "next_hop": "192.0.2.1", "nlri": ["203.0.113.0/24"]},
    ]
    assert found.withdraw == [
        {"family": "ipv6 unicast", "nlri": ["2001:db8:0:1::/64"]},
        {"family": "ipv4 unicast", "nlri": ["198.51.100.0/24"]},
    ]


def test_all_kinds_of_messages_are_decoded() -> None:
    notification = {"code": 6, "subcode": 2, "data": "0568656c6c6f"}
    assert (read(type="NOTIFICATION", notification=notification).code, read(type="KEEPALIVE").kind) == (6, "keepalive")
    assert read(type="UPDATE", withdrawals=["eor"]).family == "ipv6 unicast"
    assert [read(type="RIS_PEER_STATE", state=one).state for one in ("connected", "up", "down")] == [
        "connected",
        "up",
        "down",
    ]
    opened = {"version": 4, "asn": 64500, "hold_time": 90, "router_id": "192.0.2.9"}
    received = read(type="OPEN", direction="received", capabilities={"65": {"name": "asn4"}}, **opened)
    assert received.capabilities == [{"code": 65, "name": "asn4"}]
    assert read(type="OPEN", direction="sent", capabilities={}, **opened).kind == "sent"
    assert decode(b'1800000000.000000 {"type": "ris_error", "data": {"message": "no"}}').kind == "answer"  # type: ignore[union-attr]
    assert [decode(one).kind for one in (lines.connected(), lines.ended(), lines.dropped(1.0, 2, 3, "full"))] == [  # type: ignore[union-attr]
        "helper_start",
        "helper_end",
        "dropped",
    ]


def test_collectors_have_short_names_and_times_are_never_in_the_future() -> None:
    assert read(type="KEEPALIVE", host="RRC25.ripe.net").peer.router == "rrc25"
    assert read(type="KEEPALIVE", timestamp=T + 3600).ts.timestamp() == T + 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"type": "UPDATE", "path": ["x"]}, "invalid literal"),
        ({"type": "UPDATE", "withdrawals": ["10.0.0.0/99"]}, "is not a prefix"),
        ({"type": "UPDATE", "origin": "who"}, "is no ORIGIN"),
        ({"type": "RIS_PEER_STATE", "state": "odd"}, "the state 'odd'"),
        ({"type": "GOSSIP"}, "a message of type 'GOSSIP'"),
        ({"type": "KEEPALIVE", "peer_asn": "-1"}, ""),
        ({"type": "KEEPALIVE", "timestamp": 1e300}, ""),
    ],
)
def test_lines_that_break_ris_lives_format_are_rejected(data: dict[str, Any], reason: str) -> None:
    found = decode(line(**data))
    assert isinstance(found, Rejection)
    assert reason in found.reason


def test_a_rejected_line_names_its_peer() -> None:
    found = counted(line(type="UPDATE", path=["x"]))
    assert found is not None
    assert (found.peer.router, found.kind) == ("rrc21", "update")
    assert counted(b"1.000000 nothing") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda of: st.lists(of) | st.dictionaries(st.sampled_from([*FIELDS, "raw", "state", "x"]), of),
        max_leaves=8,
    ),
    st.sampled_from([*FIELDS, *PEER, "raw", "notification", "capabilities"]),
    st.sampled_from(["UPDATE", "OPEN", "NOTIFICATION", "RIS_PEER_STATE"]),
)
def test_no_value_raises_an_error(value: Any, field: str, kind: str) -> None:
    said = {**FIELDS, "state": "up", "direction": "received", "type": kind, field: value}
    with_bytes = {**said, "raw": withdrawal("10.0.0.0/8").hex()}
    for one in (line(T, **said), line(T, **with_bytes)):
        if isinstance(decode(one), Rejection):
            counted(one)


@given(st.integers(0, 500), st.binary(max_size=3), st.integers(0, 3))
def test_no_bytes_raise_an_error(at: int, put: bytes, cut: int) -> None:
    one = line(**FIELDS)
    changed = one[:at] + put + one[at + cut :]
    if isinstance(decode(changed), Rejection):
        counted(changed)
