"""The fields of messages before their models exist: what decoders return, and what the messages of a peer share."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, Required, TypedDict

from schemas.attributes import Attributes
from schemas.message import ExabgpProcess, OtherSource
from schemas.message_parts import Announced, Capability
from schemas.peer import Peer


class MessageFields(TypedDict, total=False):
    """A decoded BGP message: its `kind`, and the fields of the model of that kind in `schemas.message`."""

    kind: Required[Literal["update", "eor", "open", "keepalive", "notification", "refresh"]]
    attributes: Attributes
    announce: list[Announced]
    withdraw: list[Announced]
    """By family; without next hops."""
    family: str
    version: int
    asn: int
    hold_time: int
    router_id: str
    capabilities: list[Capability]
    code: int
    subcode: int
    data: str
    text: str
    subtype: str


def without_kind(fields: MessageFields) -> dict[str, Any]:
    """The fields of the model."""
    return {name: value for name, value in fields.items() if name != "kind"}


class PeerFields(TypedDict):
    """What all messages of a peer have."""

    ts: datetime
    source: ExabgpProcess | OtherSource
    peer: Peer
    wire: NotRequired[bytes | None]
