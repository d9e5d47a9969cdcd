"""MRT update files (RFC 6396 4.4): a record for each stored message, and for each session that came up or ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import IO, Final, cast

from collector.bgp.mrt_messages import MrtPeer
from collector.bgp.mrt_records import message_record, state_record
from collector.export.message_bytes import OURS, MessageEncoder, was_received
from collector.export.summary import ExportSummary
from collector.query.messages import SessionChange, StoredMessage
from schemas.stored import MessageDocument

_IDLE, _OPEN_CONFIRM, _ESTABLISHED = 1, 5, 6
_STATES: Final = {"Idle": 1, "Connect": 2, "Active": 3, "OpenSent": 4, "OpenConfirm": 5, "Established": 6}


async def write_updates(messages: AsyncIterator[StoredMessage | SessionChange], stream: IO[bytes]) -> ExportSummary:
    """Write peers' messages, and their sessions."""
    written = ExportSummary()
    encoder = MessageEncoder(written)
    async for one in messages:
        records = _messages(one, encoder) if isinstance(one, StoredMessage) else _states(one)
        for record in records:
            stream.write(record)
            written.records += 1
    return written


def _messages(message: StoredMessage, encoder: MessageEncoder) -> Iterator[bytes]:
    peer, local = encoder.peer(message), encoder.local(message)
    document = message.document
    if "kind" in document and (states := _between(cast("MessageDocument", document))):
        yield state_record(message.ts, peer, local, *states)
    is_ours = document.get("kind") in OURS
    for data, as4, add_path in encoder.messages(message):
        yield message_record(message.ts, peer, local, data, as4=as4, add_path=add_path, local=is_ours)


def _between(document: MessageDocument) -> tuple[int, int] | None:
    """The states in a message about a state change that no session has."""
    if document["kind"] == "fsm" and {"from", "state"} <= document["detail"].keys():  # from an imported file
        detail = document["detail"]
        return _number(detail["from"]), _number(detail["state"])
    if document.get("state") == "down" and "session" not in document:
        return _ESTABLISHED, _ended_in(document.get("reason", ""))
    return None


def _states(change: SessionChange) -> Iterator[bytes]:
    session = change.session
    if not was_received(change):
        return
    peer = MrtPeer(session["peer"]["address"], session["peer"]["asn"])
    there = session.get("local")
    local = MrtPeer(there["address"], there["asn"]) if there else MrtPeer("::" if ":" in peer.address else "0.0.0.0", 0)  # noqa: S104
    states = (_ESTABLISHED, _ended_in(session.get("reason", ""))) if change.ended else (_OPEN_CONFIRM, _ESTABLISHED)
    yield state_record(change.ts, peer, local, *states)


def _ended_in(reason: str) -> int:
    """The state that a session changed to, which imported ones may have."""
    return _number(reason.rpartition(" to ")[2])


def _number(state: str) -> int:
    return _STATES.get(state, _IDLE)
