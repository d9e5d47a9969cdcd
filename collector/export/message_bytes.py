"""The bytes of stored messages: the original ones if they are stored, otherwise encoded from the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bson import ObjectId

from collector.bgp.decode import BadMessageError, decode_message
from collector.bgp.encode import encode_message
from collector.bgp.encode_routes import UnwritableError, has_path_ids
from collector.bgp.families import FAMILIES
from collector.bgp.messages import UPDATE
from collector.bgp.mrt_messages import MrtPeer
from collector.bgp.open_messages import Abilities
from collector.export.summary import ExportSummary
from collector.query.messages import SessionChange, StoredMessage
from collector.sources.mrt.source import MRT
from schemas.stored import MessageDocument, UpdateDocument, name_of

NO_MESSAGES = frozenset(("state", "packet", "negotiated", "fsm", "signal"))
"""Kinds of documents without a BGP message, or with one that another document has too (`packet`)."""
OURS = frozenset(("sent", "sent_update"))
"""Kinds of documents with messages that the peer did not send but received."""
_KIND_AT = 18
_ASN = re.compile(r"[0-9]+", re.ASCII)
_UNKNOWN = {4: MrtPeer("0.0.0.0", 0), 6: MrtPeer("::", 0)}  # noqa: S104  # no address to listen on
_PLAIN = Abilities(as4=True, families=FAMILIES)
_WITH_IDS = Abilities(as4=True, families=FAMILIES, add_path=FAMILIES)


def was_received(change: SessionChange) -> bool:
    """Whether a change is more than the first message of a session, or the end of imported files."""
    session = change.session
    return session.get("reason") != MRT.silence if change.ended else session["began"] == "up"


class WireMessage(NamedTuple):
    """One BGP message, and how it is encoded."""

    data: bytes
    as4: bool
    """Whether AS numbers in it have four bytes (RFC 6793)."""
    add_path: bool
    """Whether its routes have path identifiers (RFC 7911)."""


class MessageEncoder:
    """Encodes messages, which come in order of time.

    Args:
        written: gets the counts of what cannot be written.
    """

    def __init__(self, written: ExportSummary) -> None:
        self._written = written
        self._as4: dict[ObjectId | str, bool] = {}
        """For sessions with stored bytes, whose messages alone do not say it."""
        self._local: dict[str, MrtPeer] = {}

    def peer(self, message: StoredMessage) -> MrtPeer:
        """The sender of a message."""
        peer = message.document["peer"]
        return MrtPeer(peer["address"], peer["asn"])

    def local(self, message: StoredMessage) -> MrtPeer:
        """The other end of its session; before the session, as in the last OPEN."""
        name = name_of(message.document["peer"])
        end = message.session.get("local") if message.session else None
        end = message.document.get("local") or end  # type: ignore[assignment]
        if end:
            self._local[name] = MrtPeer(end["address"], end["asn"])
        return self._local.get(name) or _UNKNOWN[6 if ":" in message.document["peer"]["address"] else 4]

    def messages(self, message: StoredMessage) -> Iterator[WireMessage]:
        """A message as bytes: usually one, several for an UPDATE that does not fit into one, none if impossible."""
        document = message.document
        if document.get("kind") in NO_MESSAGES:
            return
        if "wire" in document and (kept := self._kept(document)):
            yield kept
            return
        try:
            for one in encode_message(document):
                self._written.without.update(one.left_out)
                yield WireMessage(one.data, as4=True, add_path=one.add_path)
        except UnwritableError as error:
            self._written.messages[str(error)] += 1

    def _kept(self, document: UpdateDocument | MessageDocument) -> WireMessage | None:
        """The original bytes; None if the file format cannot say how to read them."""
        wire: bytes = document["wire"]
        if len(wire) <= _KIND_AT or wire[_KIND_AT] != UPDATE:
            return WireMessage(wire, as4=True, add_path=False)
        groups = (*document.get("withdraw", ()), *document.get("announce", ()))
        with_ids = {has_path_ids(group) for group in groups}
        if len(with_ids) > 1:
            return None
        add_path = True in with_ids
        return WireMessage(wire, self._has_as4(document, wire, add_path=add_path), add_path)

    def _has_as4(self, document: UpdateDocument | MessageDocument, wire: bytes, *, add_path: bool) -> bool:
        """Whether AS numbers have four bytes: if read so, they are the ASes of the document's path."""
        session = document.get("session") or name_of(document["peer"])
        path = document.get("attributes", {}).get("as_path")
        if session not in self._as4 and path:
            try:
                read = decode_message(wire, _WITH_IDS if add_path else _PLAIN)
                path4 = read.get("attributes", {}).get("as_path", "")
            except BadMessageError:
                path4 = ""
            self._as4[session] = _ASN.findall(path4) == _ASN.findall(path)
        return self._as4.get(session, True)
