"""Received bytes are exported unchanged, and what has no bytes is reported."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from collector.bgp.messages import KEEPALIVE
from collector.bgp.mrt_messages import MrtPeer
from collector.errors import ExportError
from collector.export.files import writing
from collector.export.message_bytes import MessageEncoder, WireMessage
from collector.export.summary import ExportSummary
from collector.query.messages import StoredMessage
from tests.mrt_builder import announcement

TS = datetime(2027, 1, 1, tzinfo=UTC)
PEER = {"address": "192.0.2.1", "asn": 64500}
SESSION = ObjectId()
ROUTE = {"family": "ipv4 unicast", "nlri": ["10.0.0.0/8"], "next_hop": "192.0.2.1"}


def stored_message(**document: Any) -> StoredMessage:
    session: Any = {"_id": SESSION, "local": {"address": "192.0.2.254", "asn": 64999}}
    return StoredMessage(TS, {"peer": PEER, "session": SESSION, **document}, session)  # type: ignore[arg-type]


def ahead(**document: Any) -> StoredMessage:
    """A message before any session."""
    return StoredMessage(TS, {"peer": PEER, **document}, None)  # type: ignore[arg-type]


def update(wire: bytes, path: str, **group: Any) -> StoredMessage:
    return stored_message(wire=wire, attributes={"origin": "igp", "as_path": path}, announce=[{**ROUTE, **group}])


@pytest.mark.parametrize("as4", [True, False])
@pytest.mark.parametrize("path_id", [None, 7])
def test_exported_bytes_are_those_received(as4: bool, path_id: int | None) -> None:
    encoder = MessageEncoder(ExportSummary())
    wire = announcement("10.0.0.0/8", 64500, 64501, as4=as4, path_id=path_id)
    ids = {} if path_id is None else {"path_id": path_id}
    one = update(wire, "64500 64501", **ids)
    assert list(encoder.messages(one)) == [WireMessage(wire, as4, path_id is not None)]
    empty = update(announcement("10.0.0.0/8", as4=as4, path_id=path_id), "", **ids)
    [again] = encoder.messages(empty)
    assert again.as4 == as4  # encoded like the session's other messages
    assert list(encoder.messages(stored_message(kind="keepalive", wire=KEEPALIVE))) == [
        WireMessage(KEEPALIVE, as4=True, add_path=False)
    ]


def test_bytes_that_no_mrt_subtype_describes_are_encoded_again() -> None:
    """The IPv4 routes have path identifiers, and the IPv6 routes have none."""
    both = update(b"\xff" * 18 + b"\2", "64500", path_id=1)
    both.document["announce"].append({**ROUTE, "family": "ipv6 unicast", "nlri": ["::/0"], "next_hop": "::1"})  # type: ignore[typeddict-item]
    assert [one.add_path for one in MessageEncoder(ExportSummary()).messages(both)] == [True, False]


def test_documents_that_cannot_be_written_are_reported() -> None:
    written = ExportSummary()
    encoder = MessageEncoder(written)
    links = {"family": "bgp-ls bgp-ls", "objects": [{"ls-nlri-type": "bgpls-node"}]}
    assert list(encoder.messages(stored_message(withdraw=[links]))) == []
    assert list(encoder.messages(stored_message(kind="packet", category="2"))) == []
    treated = stored_message(attributes={"origin": "igp", "error": "treat-as-withdraw due to med"}, withdraw=[ROUTE])
    assert len(list(encoder.messages(treated))) == 1
    assert list(written.sentences()) == [
        "left out 1: routes of bgp-ls bgp-ls, as their bytes are not stored",
        "1 are written without what was malformed, as its bytes are not stored",
    ]


def test_the_local_end_is_that_of_the_session_or_of_the_last_open() -> None:
    encoder = MessageEncoder(ExportSummary())
    before = ahead(kind="keepalive")
    assert encoder.local(before) == MrtPeer("0.0.0.0", 0)
    there = {"address": "192.0.2.254", "asn": 64999}
    opened = ahead(kind="open", local=there)
    assert encoder.local(opened) == encoder.local(before) == encoder.local(stored_message()) == MrtPeer(**there)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["out", "out.gz", "out.bz2", "out.zst"])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Any, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"as it was")
    with pytest.raises(ZeroDivisionError), writing(path) as stream:
        stream.write(bytes(1 // 0))
    assert path.read_bytes() == b"as it was"
    with writing(path) as stream:
        stream.write(b"whole")
    assert [one.name for one in tmp_path.iterdir()] == [name]
    with pytest.raises(ExportError, match="Not a directory"), writing(path / "x"):
        pass
