"""Frames of a connection: whole, in order, acknowledged. Other programs read them in endtoend/test_exporting.py."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.bgp.messages import KEEPALIVE
from collector.export.pcap import CaptureWriter
from collector.export.tcp import ACK, SYN, TcpConnection, checksum
from collector.query.messages import SessionChange, StoredMessage
from tests.unit.test_export_parquet import PEER, announced, each, update


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert checksum(b"\xff") == 0x00FF


@pytest.mark.parametrize("addresses", [("192.0.2.1", "192.0.2.254"), ("2001:db8::1", "2001:db8::254")])
def test_all_data_is_in_order_and_acknowledged(addresses: tuple[str, str]) -> None:
    header = 14 + (40 if ":" in addresses[0] else 20) + 20
    connection = TcpConnection(addresses, 50_000)
    assert [frame[header - 7] for frame in connection.open()] == [SYN, SYN | ACK, ACK]
    data = bytes(range(256)) * 200
    frames = list(connection.send(0, data))
    sent = [frame for frame in frames if int.from_bytes(frame[header - 20 : header - 18]) == 50_000]
    assert b"".join(frame[header:] for frame in sent) == data
    assert all(len(frame) <= 1514 for frame in frames)
    at = 1001
    for frame in sent:
        assert int.from_bytes(frame[header - 16 : header - 12]) == at
        at += len(frame) - header
    assert 0 < len(frames) - len(sent) < len(sent)


async def captured(*said: StoredMessage | SessionChange) -> bytes:
    stream = io.BytesIO()
    await CaptureWriter(stream).write(each(said))
    return stream.getvalue()


async def test_a_connection_ends_with_its_session_and_when_the_encoding_changes() -> None:
    session: Any = {"_id": 1, "collector": "rrc", "peer": PEER, "began": "up", "reason": "closed"}
    ts = datetime(2027, 1, 2, tzinfo=UTC)
    one, other = update(**announced("10.0.0.0/8")), update(**announced("10.0.0.0/8", path_id=7))
    alone = await captured(one)
    assert alone.count(KEEPALIVE) == 0
    assert alone.count(b"\xff" * 16) == 3  # two OPENs, one UPDATE
    assert (await captured(one, one)).count(b"\xff" * 16) == 4
    assert (await captured(one, other)).count(b"\xff" * 16) == 6
    assert (await captured(one, SessionChange(ts, session, ended=True), one)).count(b"\xff" * 16) == 6
    capabilities = [{"code": 65, "asn4": 64500}]
    said: dict[str, Any] = {"kind": "open", "version": 4, "asn": 64500, "hold_time": 90, "router_id": "10.0.0.1"}
    assert (await captured(update(**said, capabilities=capabilities), one)).count(b"\xff" * 16) == 3
    assert await captured(update(kind="packet")) == b""
