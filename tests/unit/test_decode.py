import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from bson import BSON, CodecOptions, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from collector.sources.exabgp.decode import decode
from collector.sources.source import Rejection
from schemas.documents import Place, to_document, to_message
from schemas.keys import make_key
from schemas.message import (
    Answer,
    Detail,
    EndOfRib,
    Message,
    Notification,
    Open,
    Packet,
    ReceiverStart,
    Refresh,
    Sent,
    SentUpdate,
    Shutdown,
    StateChange,
    Update,
)
from schemas.stored import MessageDocument, UpdateDocument
from tests.support import Router, shared

AWARE: CodecOptions[Any] = CodecOptions(tz_aware=True)


def read(raw: bytes) -> Message:
    message = decode(raw)
    assert not isinstance(message, Rejection), message.reason
    return message


def update(**parts: Any) -> Update:
    message = read(Router().update(**parts))
    assert isinstance(message, Update)
    return message


def rejected(raw: bytes) -> str:
    message = decode(raw)
    assert isinstance(message, Rejection)
    return message.reason


def there_and_back(message: Message) -> Message:
    ts = read(Router().keepalive()).ts if isinstance(message, Answer) else message.ts  # type: ignore[union-attr]
    place = Place(make_key(ts, 1, 7), ts, "test", None)
    stored = BSON.encode(to_document(message, place))
    read_again = to_message(cast("UpdateDocument | MessageDocument", stored.decode(AWARE)))
    # What was made of a checked line is what the models make of a document: the same keys, in the same order.
    assert BSON.encode(to_document(read_again, place)) == stored
    return read_again


def test_announce_and_withdraw_in_one_message() -> None:
    message = update(
        attribute={"origin": "igp", "as-path": {"0": {"element": "as-sequence", "value": [64500, 64496]}}, "med": 0},
        announce={"ipv4 unicast": {"192.0.2.1": [{"nlri": "203.0.113.0/24"}]}, "ipv6 unicast": {"2001:db8::1": []}},
        withdraw={"ipv4 unicast": [{"nlri": "198.51.100.0/24"}]},
    )
    assert message.attributes is not None
    assert (message.attributes.get("as_path"), message.attributes.get("med")) == ("64500 64496", 0)
    assert message.announce is not None
    assert (message.announce[0].get("next_hop"), message.announce[0].get("nlri")) == ("192.0.2.1", ["203.0.113.0/24"])
    assert message.withdraw is not None
    assert message.withdraw[0].get("nlri") == ["198.51.100.0/24"]


def test_global_and_link_local_next_hop_are_one_route() -> None:
    routes = [{"nlri": "2001:db8:1::/48"}]
    message = update(attribute={"origin": "igp"}, announce={"ipv6 unicast": {"2001:db8::1": routes, "fe80::1": routes}})
    assert message.announce is not None
    (group,) = message.announce
    assert (group.get("next_hop"), group.get("link_local"), group.get("nlri")) == (
        "2001:db8::1",
        "fe80::1",
        ["2001:db8:1::/48"],
    )


def test_two_next_hops_with_other_routes_stay_apart() -> None:
    hops = {"2001:db8::1": [{"nlri": "2001:db8:1::/48"}], "fe80::1": [{"nlri": "2001:db8:2::/48"}]}
    message = update(attribute={"origin": "igp"}, announce={"ipv6 unicast": hops})
    assert [group.get("next_hop") for group in message.announce or ()] == ["2001:db8::1", "fe80::1"]


def test_add_path_labels_and_distinguishers_group_routes() -> None:
    message = update(
        withdraw={
            "ipv4 mpls-vpn": [
                {"nlri": "10.0.0.0/24", "path-information": "0.0.1.1", "label": [[100], [200]], "rd": "64500:1"},
                {"nlri": "10.0.1.0/24", "path-information": "0.0.1.1", "label": [[100], [200]], "rd": "64500:1"},
                {"nlri": "10.0.1.0/24", "path-information": "255.255.255.255", "label": [[100]], "rd": "64500:1"},
            ]
        }
    )
    first, second = message.withdraw or []
    assert (first.get("path_id"), first.get("labels"), first.get("rd")) == (257, [[100], [200]], "64500:1")
    assert first.get("nlri") == ["10.0.0.0/24", "10.0.1.0/24"]
    assert (second.get("path_id"), second.get("nlri")) == (2**32 - 1, ["10.0.1.0/24"])


def test_compact_routes_and_host_bits() -> None:
    message = update(
        attribute={}, announce={"ipv4 unicast": {"no-nexthop": ["10.1.255.0/20", {"nlri": "192.0.2.1/32"}]}}
    )
    (group,) = message.announce or []
    assert group.get("next_hop") is None
    assert (group.get("nlri"), group.get("host_bits")) == (["10.1.240.0/20", "192.0.2.1/32"], ["10.1.255.0/20"])
    assert message.attributes is not None
    assert message.attributes.get("as_path") == ""


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (
            {
                "as-path": {
                    "0": {"element": "as-sequence", "value": [1, 2]},
                    "1": {"element": "as-set", "value": [3, 4]},
                }
            },
            "1 2 {3,4}",
        ),
        ({"as-path": {"0": {"element": "as-set", "value": []}}}, "{}"),
        (
            {"as-path": [1, 2], "as-set": [3], "confederation-path": [64512], "confederation-set": [5, 6]},
            "(64512) [5,6] 1 2 {3}",
        ),
        ({"as-path": [], "confederation-path": []}, ""),
    ],
)
def test_as_path_of_both_versions(said: dict[str, Any], path: str) -> None:
    message = update(attribute=said)
    assert message.attributes is not None
    assert message.attributes.get("as_path") == path


def test_communities_survive_exactly() -> None:
    message = update(
        attribute={
            "community": [[65535, 666], [64500, 1]],
            "large-community": [[4200000001, 1, 2]],
            "extended-community": [{"value": 0x8006000000000000, "string": "rate-limit:0"}],
            "extended-community-ipv6": [{"value": 2**159 + 1, "string": ""}],
        }
    )
    assert there_and_back(message) == message
    assert message.attributes is not None
    assert message.attributes.get("communities") == ["65535:666", "64500:1"]
    assert message.attributes.get("large_communities") == ["4200000001:1:2"]
    (extended,) = message.attributes.get("extended_communities") or []
    assert (extended["hex"], extended["text"]) == ("8006000000000000", "rate-limit:0")
    (ipv6,) = message.attributes.get("ipv6_extended_communities") or []
    assert int(ipv6["hex"], 16) == 2**159 + 1
    assert len(ipv6["hex"]) == 40


def test_a_stored_update_is_written_in_the_order_of_its_model() -> None:
    router = Router()
    attributes = {
        "error": "discard due to med",
        "attribute-0xFA-0xE0": "0x01",
        "attribute-0x23-0xE0": "0x0000fbf4",
        "new": 1,
        "bgp-ls": {"a": 1},
        "pmsi": "x",
        "aigp": "0x00000000000000ff",
        "community": [[64500, 1]],
        "aggregator": "64500:192.0.2.9",
        "atomic-aggregate": False,
        "local-preference": 100,
        "med": 0,
        "as-path": [64500, 64496],
        "origin": "igp",
    }
    route = {"rd": "64500:1", "label": [[16]], "nlri": "10.1.255.0/20", "path-information": "0.0.0.7"}
    line = router.update(attribute=attributes, announce={"ipv4 mpls-vpn": {"192.0.2.1": [route]}})
    message, ts = read(line), datetime(2027, 2, 1, tzinfo=UTC)
    assert isinstance(message, Update)
    document = to_document(message, Place(make_key(ts, 1, 7), ts, "test", ObjectId()))
    assert " ".join(document) == "_id v ts collector session source peer attributes announce clock origin_asns"
    assert (document["ts"], document["clock"], document["origin_asns"]) == (ts, message.ts, [64496])
    assert " ".join(document["attributes"]) == (
        "origin as_path med local_pref aggregator communities aigp otc pmsi_tunnel bgp_ls unknown error other"
    )
    assert document["announce"] == [
        {
            "family": "ipv4 mpls-vpn",
            "path_id": 7,
            "rd": "64500:1",
            "labels": [[16]],
            "nlri": ["10.1.240.0/20"],
            "host_bits": ["10.1.255.0/20"],
            "next_hop": "192.0.2.1",
        }
    ]
    assert " ".join(document["announce"][0]) == "family path_id rd labels nlri host_bits next_hop"
    there_and_back(message)


def test_unknown_attributes_are_kept() -> None:
    message = update(attribute={"attribute-0xFA-0xE0": "0x0102", "bgp-next-thing": {"a.b": 2**70, "$c": [None]}})
    assert there_and_back(message) == message
    assert message.attributes is not None
    (unknown,) = message.attributes.get("unknown") or []
    assert (unknown["code"], unknown["flags"], unknown["hex"]) == (0xFA, 0xE0, "0102")
    assert message.attributes.get("other") == {"bgp-next-thing": {"a．b": hex(2**70), "＄c": [None]}}


def test_families_that_are_no_prefixes_are_kept_whole() -> None:
    route = {"code": 2, "parsed": True, "raw": "0221", "rd": "192.0.2.1:7", "label": [[5, 81]], "esi": "-"}
    message = update(attribute={}, announce={"l2vpn evpn": {"192.0.2.1": [route]}})
    assert there_and_back(message) == message
    assert (message.announce or [])[0].get("objects") == [route]


def test_wire_bytes() -> None:
    router = Router()
    line = json.loads(router.keepalive())
    line["header"] = "0x" + "FF" * 16 + "001304"
    message = read(json.dumps(line).encode())
    assert message.wire == b"\xff" * 16 + b"\x00\x13\x04"  # type: ignore[union-attr]


def test_every_kind() -> None:
    router = Router()
    connected, opened, keepalive, up = (read(line) for line in router.up())
    assert isinstance(connected, StateChange)
    assert isinstance(opened, Open)
    assert opened.capabilities[1] == {"code": 65, "name": "asn4", "asn4": 64500}
    assert isinstance(up, StateChange)
    assert (up.state, up.local.asn) == ("up", 64999)
    notification = read(
        router.line(
            "notification", direction="receive", notification={"code": 6, "subcode": 2, "data": "0x", "message": ""}
        )
    )
    assert isinstance(notification, Notification)
    assert (notification.code, notification.subcode, notification.text) == (6, 2, None)
    eor = read(router.line("update", direction="receive", message={"eor": {"afi": "ipv6", "safi": "unicast"}}))
    assert isinstance(eor, EndOfRib)
    assert eor.family == "ipv6 unicast"
    refresh = read(router.line("refresh", **{"route-refresh": {"afi": "ipv4", "safi": "unicast", "subtype": "begin"}}))
    assert isinstance(refresh, Refresh)
    details = [
        read(router.line("operational", operational={"name": "ASM", "advisory": "x"})),
        read(router.line("negotiated", negotiated={"hold_time": 180})),
        read(router.line("fsm", state="OPENSENT")),
        read(router.line("signal", code="15", name="SIGTERM")),
    ]
    assert all(isinstance(detail, Detail) for detail in details)
    packet = read(router.line("route refresh", message={"category": 5, "header": "0xFF", "body": "0x00010001"}))
    assert isinstance(packet, Packet)
    sent = read(router.line("update", direction="send", message={"update": {"withdraw": {"ipv4 unicast": []}}}))
    assert isinstance(sent, SentUpdate)
    end = read(router.line("update", direction="send", message={"eor": {"afi": "ipv4", "safi": "unicast"}}))
    assert isinstance(end, Sent)
    shutdown = read(
        b'{"exabgp": "5.0.0", "time": 1800000000.5, "pid": 1, "type": "notification", "notification": "shutdown"}'
    )
    assert isinstance(shutdown, Shutdown)
    helper = read(b'{"bgpledger": "receive", "event": "start", "time": 1800000000.5, "pid": 2, "ppid": 1}')
    assert isinstance(helper, ReceiverStart)
    for message in (
        connected,
        opened,
        keepalive,
        up,
        notification,
        eor,
        refresh,
        *details,
        packet,
        sent,
        shutdown,
        helper,
    ):
        assert there_and_back(message) == message


@pytest.mark.parametrize(
    "text", ["", "done", "error", "exabgp 5.0.15", "[]", '[{"state": "up"}]', "show adj-rib in [ extensive ] "]
)
def test_answers_to_commands(text: str) -> None:
    message = read(text.encode())
    assert isinstance(message, Answer)
    assert there_and_back(message) == message


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"{}", "without a neighbor"),
        (b"hello", "neither a JSON object nor an answer"),
        (b"\x00\x00\x00", "NUL"),
        (b"neighbor 192.0.2.1 up", "encoder json"),
        (b'{"neighbor": 5}', "time: Field required"),
        (b'{"time": 1.8e9, "pid": 1, "type": "update", "neighbor": 5}', "neighbor: Input should be"),
        (b'{"neighbor": {"asn": {"local": None, "peer": 1}}}', "peer-as auto"),
        (b'{"a":' * 10_000, "not valid JSON"),
        (
            b'{"time": 1.8e9, "pid": 1, "type": "open", "neighbor": {"open": ' + b"[" * 150 + b"]" * 150 + b"}}",
            "neighbor",
        ),
        (b'{"bgpledger": "other"}', "bgpledger"),
        (b'{"time": ' + b"9" * 10_000 + b', "neighbor": {}}', ""),
    ],
)
def test_rejections_name_the_fault(raw: bytes, reason: str) -> None:
    assert reason in rejected(raw)


def test_rejections_within_a_line() -> None:
    router = Router()
    assert "'10.0.0.0/33' is not a prefix" in rejected(router.announce("10.0.0.0/33"))
    assert "no such type" in rejected(router.line("weather"))
    assert "origin" in rejected(router.update(attribute={"origin": "moon"}))
    assert "unknown property" in rejected(
        router.update(withdraw={"ipv4 unicast": [{"nlri": "10.0.0.0/8", "colour": "red"}]})
    )
    deep: Any = 1
    for _ in range(90):
        deep = [deep]
    assert "nested deeper" in rejected(router.line("negotiated", negotiated={"a": deep}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_rejection(raw: bytes) -> None:
    decode(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["update", "open", "state", "notification", "refresh", "negotiated", "signal"]), st.data())
def test_any_mutation_of_a_line_is_stored_or_rejected(value: Any, kind: str, data: st.DataObject) -> None:
    """Put any value in any place of a good line: it decodes to what BSON can hold, or is rejected."""
    router = Router()
    line = json.loads(
        data.draw(st.sampled_from([*router.up(), router.announce("10.0.0.0/8"), router.withdraw("2001:db8::/32")]))
    )
    at: Any = line
    while True:
        name = data.draw(st.sampled_from(sorted(at)))
        if isinstance(at[name], dict) and at[name] and data.draw(st.booleans()):
            at = at[name]
        else:
            at[name] = value
            break
    message = decode(json.dumps(line).encode())
    if not isinstance(message, Rejection):
        assert repr(there_and_back(message)) == repr(message)


def test_every_recorded_line_is_stored_whole_or_rejected_with_the_fault() -> None:
    stored = 0
    for file in sorted(shared("exabgp-json").glob("*.jsonl")):
        for raw in file.read_bytes().split(b"\n")[:-1]:
            message = decode(raw)
            if isinstance(message, Rejection):
                assert message.reason
                assert not _is_strict_json_object(raw) or "::/200" in message.reason
            else:
                stored += 1
                assert repr(there_and_back(message)) == repr(message)  # repr: a BGP-LS NaN is not equal to itself
    assert stored > 1000


def _is_strict_json_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), dict)
    except ValueError:
        return False
