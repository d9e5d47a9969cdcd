"""BMP records as messages: every type, every view, unknown types and rubbish."""

from typing import Any

import pytest
from bson import ObjectId, encode
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp.messages import HEADER_LENGTH
from collector.bgp.notifications import notification
from collector.sources.bmp.decode import counted, decode
from collector.sources.bmp.record import Agreed, Facts, Ways, agreed
from collector.sources.bmp.source import BMP
from collector.sources.source import Rejection
from schemas.documents import Place, make_reject, to_document, to_message
from schemas.message import Detail, EndOfRib, Message, Notification, Open, OtherSource, RouterEvent, StateChange, Update
from schemas.scalars import from_unix
from tests.bmp_builder import (
    IPV4,
    LOC_RIB,
    OUT,
    POST,
    TWO_BYTE,
    PeerOf,
    bmp,
    end_of_rib,
    initiation,
    open_of,
    record,
    split,
    termination,
    tlv,
    update,
)
from tests.support import shared

PEER = PeerOf()


def read(whole: bytes, **more: Any) -> Any:
    found = decode(record(whole, **more))
    assert not isinstance(found, Rejection), found
    return found


def reason(whole: bytes) -> str:
    found = decode(record(whole))
    assert isinstance(found, Rejection), found
    return found.reason


def own(message: Any) -> dict[str, Any]:
    """The fields of the message's source beside its name."""
    assert isinstance(message.source, OtherSource)
    return dict(message.source.model_extra or {})


def test_an_initiation_describes_its_router() -> None:
    said = read(initiation() + b"")
    assert isinstance(said, RouterEvent)
    assert (said.router, said.port, said.event) == ("192.0.2.1", 4711, "initiation")
    assert said.detail == {"sys_descr": "a router", "sys_name": "r1"}
    ended = read(bmp(5, tlv(1, b"\0\2") + tlv(0, b"good\nbye") + tlv(77, b"\1")))
    assert (ended.event, ended.reason, ended.detail) == ("termination", "out of resources; goodbye", {"tlv_77": "01"})
    assert read(termination()).reason == "administratively closed"


def test_unknown_types_are_kept_with_their_bytes() -> None:
    assert read(bmp(9, b"\1\2")).detail == {"type": 9, "bytes": "0102"}
    assert read(bmp(4, tlv(2, b"r1") + tlv(900, b"\xff"))).detail == {"sys_name": "r1", "tlv_900": "ff"}


VIEWS = [
    (0, 0, "pre-policy"),
    (0, POST, "post-policy"),
    (0, OUT, "out-pre-policy"),
    (0, OUT | POST, "out-post-policy"),
    (LOC_RIB, 0, "local"),
]


@pytest.mark.parametrize(("kind", "flags", "rib"), VIEWS)
def test_each_table_is_a_view_of_its_own(kind: int, flags: int, rib: str) -> None:
    address = "0.0.0.0" if kind == LOC_RIB else "198.51.100.7"
    peer = PeerOf(address, kind=kind, rd=bytes((0, 0, 0xFD, 0xE8, 0, 0, 0, 5)))
    said = read(peer.route(update("203.0.113.0/24", path=(64500, 4_200_000_000)), flags))
    assert isinstance(said, Update)
    assert said.peer.name == f"{address} at 192.0.2.1 65000:5 {rib}"
    assert said.attributes
    assert said.attributes["as_path"] == "64500 4200000000"
    assert isinstance(read(peer.route(end_of_rib(), flags)), EndOfRib)


def test_a_part_of_a_loc_rib_says_so() -> None:
    assert own(read(PeerOf("0.0.0.0", kind=LOC_RIB).route(update("10.0.0.0/8"), 0x80)))["filtered"] is True


def test_the_flag_says_how_wide_as_numbers_are() -> None:
    said = read(PEER.route(update("10.0.0.0/8", path=(64500, 64501), as_width=2), TWO_BYTE))
    assert said.attributes["as_path"] == "64500 64501"


def test_a_mirrored_message_is_decoded_as_its_session_agreed() -> None:
    pdu = tlv(0, update("10.0.0.0/8", path=(64500, 64501), as_width=2))
    said = read(PEER.mirror(pdu), facts=Facts.PEER_IS_UP | Facts.TWO_BYTE_AS)
    assert said.attributes["as_path"] == "64500 64501"
    assert said.peer.rib is None
    assert own(said)["mirrored"] is True
    errored = read(PEER.mirror(tlv(1, b"\0\0"), tlv(0, notification(6, 2))))
    assert isinstance(errored, Notification)
    assert own(errored)["information"] == "errored"
    lost = read(PEER.mirror(tlv(1, b"\0\1")))
    assert isinstance(lost, Detail)
    assert (lost.kind, lost.detail) == ("mirroring", {"information": "lost"})
    assert isinstance(read(PEER.mirror(tlv(0, open_of(64500)))), Open)
    assert "2 BGP messages" in reason(PEER.mirror(pdu, pdu))


def test_path_identifiers_depend_on_the_direction() -> None:
    route = update("10.0.0.0/8")
    with_id = route[:-2] + bytes((0, 0, 0, 9)) + route[-2:]
    with_id = with_id[:16] + len(with_id).to_bytes(2) + with_id[18:]
    for flags, ways in ((0, Ways.IN), (OUT, Ways.OUT)):
        said = read(PEER.route(with_id, flags), add_path=((IPV4, ways),))
        assert said.announce == [
            {"family": "ipv4 unicast", "path_id": 9, "nlri": ["10.0.0.0/8"], "next_hop": "192.0.2.1"}
        ]
    assert "path_id" not in read(PEER.route(route, OUT), add_path=((IPV4, Ways.IN),)).announce[0]


def test_what_two_opens_agree_on() -> None:
    sends = open_of(64500, add_path=frozenset((IPV4,)))[HEADER_LENGTH:]  # mode 2
    takes = sends.replace(bytes((69, 4, 0, 1, 1, 2)), bytes((69, 4, 0, 1, 1, 3)))
    old = open_of(64500, as4=False)[HEADER_LENGTH:]
    assert agreed(takes, sends) == Agreed(as4=True, add_path=((IPV4, Ways.IN),))
    assert agreed(sends, takes) == Agreed(as4=True, add_path=((IPV4, Ways.OUT),))
    assert agreed(takes, takes) == Agreed(as4=True, add_path=((IPV4, Ways.IN | Ways.OUT),))
    assert agreed(sends, sends) == Agreed()
    assert agreed(old, sends) == agreed(sends, old) == Agreed(as4=False)
    assert agreed(b"", b"\xff" * 40) == Agreed()


def test_a_peer_up_has_both_opens() -> None:
    said = read(PEER.up(more=tlv(3, b"blue")))
    assert isinstance(said, StateChange)
    assert (said.state, said.peer.name) == ("up", "198.51.100.7 at 192.0.2.1 0:0")
    assert (said.local.address, said.local.asn) == ("198.51.100.1", 65000)
    assert own(said)["ports"] == [179, 33333]
    assert own(said)["information"] == {"table_name": "blue"}
    assert said.opens
    assert [said.opens[which]["asn"] for which in ("sent", "received")] == [65000, 64500]
    assert BMP.session_facts(said)["hold_time"] == 90
    place = Place(ObjectId(), said.ts, "test", None)
    assert to_message(to_document(said, place)) == said


ENDS = [
    (1, notification(6, 2, b"\3bye"), "router", "NOTIFICATION sent: Cease / Administrative Shutdown: bye", (6, 2)),
    (2, b"\0\x0a", "router", "the router closed it, FSM event HoldTimer_Expires", None),
    (2, b"\0\0", "router", "the router closed it", None),
    (3, notification(4, 0), "peer", "NOTIFICATION received: Hold Timer Expired", (4, 0)),
    (4, b"", "peer", "the peer closed the connection", None),
    (5, b"", "router", "the router tells of it no more, by its configuration", None),
    (6, tlv(3, b"blue"), "router", "the router closed its table, table_name blue", None),
    (6, b"", "router", "the router closed its table", None),
    (6, b"\0\3\0\5blue", "router", "the router closed its table, 00030005626c7565", None),
    (99, b"\1", "router", "reason 99, 01", None),
]


@pytest.mark.parametrize(("code", "data", "by", "words", "codes"), ENDS)
def test_a_peer_down_says_why_the_session_ended(
    code: int, data: bytes, by: str, words: str, codes: tuple[int, int] | None
) -> None:
    said = read(PEER.down(code, data))
    assert said.state == "down"
    end = BMP.explain(said.reason)
    assert (end.by, end.reason) == (by, words)
    assert (end.notification and (end.notification.code, end.notification.subcode)) == codes


def test_statistics_have_names() -> None:
    family = b"\0\2\1" + (7).to_bytes(8)
    said = read(PEER.stats(tlv(0, bytes(4)), tlv(7, (2**63).to_bytes(8)), tlv(9, family), tlv(65531, b"\0\0\0\1")))
    assert said.kind == "statistics"
    assert said.detail == {
        "rejected_prefixes": 0,
        "adj_rib_in_routes": str(2**63),
        "adj_rib_in_family_routes": {"ipv6 unicast": 7},
        "statistic_65531": "00000001",
    }


def test_both_times_are_kept_and_a_doubtful_one_of_the_router_is_marked() -> None:
    said = read(PEER.route(end_of_rib(), time=1000.25), arrival=1.8e9 + 0.5)
    assert (said.ts, own(said)["router_time"]) == (from_unix(1.8e9 + 0.5), from_unix(1000.25))
    assert "time_doubt" not in own(said)
    doubts = {Facts.BACKWARDS: "backwards", Facts.STANDING: "standing"}
    for fact, doubt in doubts.items():
        assert own(read(PEER.route(end_of_rib()), facts=Facts.PEER_IS_UP | fact))["time_doubt"] == doubt
    absent = own(read(PEER.route(end_of_rib(), time=0)))
    assert absent == {"port": 4711, "time_doubt": "absent"}


def test_a_route_without_a_peer_up_is_marked() -> None:
    assert own(read(PEER.route(update("10.0.0.0/8")), facts=Facts(0)))["no_peer_up"] is True


REJECTED = [
    (b"", "0 bytes, of which a header alone takes 6"),
    (bmp(4, version=1), "BMP of version 1; RFC 7854 is version 3"),
    (initiation()[:-1], "of which 23 are here"),
    (bmp(0, b"short"), "Route Monitoring: 11 bytes, of which a per-peer header alone takes 48"),
    (PEER.route(b""), "it does not hold an UPDATE"),
    (PEER.route(open_of(1)), "it does not hold an UPDATE"),
    (PEER.route(update("10.0.0.0/8") + b"more"), "a message of 45 bytes in 49"),
    (PEER.down()[:-1][:1] + (48).to_bytes(4) + PEER.down()[5:-1], "there is no reason in it"),
    (PEER.down(3, b"xx"), "there is no NOTIFICATION in it"),
    (bmp(3, PEER.header(0, 0) + bytes(20) + open_of(1)), "it does not hold both OPENs"),
    (bmp(3, PEER.header(0, 0)), "too few for addresses and ports"),
    (bmp(4, b"\0\1\0\xff"), "a TLV of 255 bytes, and 0 are left"),
    (bmp(4, b"\0"), "1 bytes are left, too few"),
]


@pytest.mark.parametrize(("whole", "why"), REJECTED)
def test_records_that_cannot_be_read_are_rejected(whole: bytes, why: str) -> None:
    assert why in reason(whole)


def test_a_rejected_route_is_attributed_to_its_peer() -> None:
    said = counted(record(PEER.route(b"", POST)))
    assert said
    assert (said.peer.name, said.kind) == ("198.51.100.7 at 192.0.2.1 0:0 post-policy", "update")
    assert counted(record(initiation())) is None
    assert counted(b"\1") is None


def decode_whatever(raw: bytes) -> None:
    """A document or a reject, and never anything else."""
    found: Message | Rejection = decode(raw)
    counted(raw)
    place = Place(ObjectId(), from_unix(1.8e9), "test", None)
    if isinstance(found, Rejection):
        make_reject(place, 1, raw, found.reason, binary=True)
    else:
        encode(to_document(found, place))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_reject(raw: bytes) -> None:
    decode_whatever(raw)
    decode_whatever(b"{" + raw)
    decode_whatever(record(raw))
    for kind in range(8):
        decode_whatever(record(bmp(kind, PEER.header(0, 0) + raw)))


@given(st.data())
def test_any_change_of_a_message_is_a_document_or_a_reject(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            [PEER.up(), PEER.down(3, notification(6, 2, b"\3bye")), PEER.route(update("10.0.0.0/8")), initiation()]
        )
    )
    changed = bytearray(record(whole))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    decode_whatever(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    decode_whatever(bytes(changed))


@pytest.mark.parametrize("name", ["frr-8.4.4-monitor-and-mirror.bin", "gobgpd-3.10-all.bin"])
def test_records_of_real_routers_are_decoded(name: str) -> None:
    for whole in split(shared(f"bmp/{name}").read_bytes()):
        read(whole)
