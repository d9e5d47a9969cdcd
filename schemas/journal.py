"""The records of the acting process's journal, each a line of JSON; see `collector.acting.book`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from schemas.intents import StateName

JsonModel = Mapping[str, Any]
"""A model of `schemas.intents` as JSON."""


class _Record(TypedDict):
    r: NotRequired[int]
    """The record's number; the journal's first record has that of the last record it replaces."""
    ts: NotRequired[str]
    """When it was written, RFC 3339."""


class AnnounceRecord(_Record):
    """An order was accepted."""

    kind: Literal["announce"]
    first: int
    """The number of its first intent; the others follow."""
    order: JsonModel
    expires: str | None
    to: Sequence[Sequence[str]]
    """For each announcement the peers that it is for; one item if all are for the same."""
    asns: NotRequired[Mapping[str, int]]
    """By address, the AS of each of these peers."""


class WithdrawRecord(_Record):
    """Intents are to be withdrawn."""

    kind: Literal["withdraw"]
    numbers: Sequence[int]
    state: Literal["withdrawing", "expired"]
    who: str | None
    why: str | None
    peers: NotRequired[Sequence[str]]
    """Only from these."""


class StateRecord(_Record):
    """Intents reached a state at a peer."""

    kind: Literal["state"]
    state: StateName
    peer: str
    numbers: Sequence[int]
    reason: NotRequired[str | None]


class RefusalRecord(_Record):
    """An order was refused."""

    kind: Literal["refusal"]
    refusal: JsonModel


class MirroredRecord(_Record):
    """The store has everything up to a record."""

    kind: Literal["mirrored"]
    up_to: int


class HeadRecord(_Record):
    """The first record of a journal that was rewritten."""

    kind: Literal["head"]
    next: int
    mirrored: int
    keys: Mapping[str, tuple[str, list[int]]]
    """By idempotency key, the order and the numbers of its intents."""


class IntentRecord(_Record):
    """An intent with all its states, in a journal that was rewritten."""

    kind: Literal["intent"]
    intent: JsonModel
    peers: Mapping[str, StateName]
    states: Sequence[JsonModel]
    leaving: Sequence[str]
    expired: bool


Record = AnnounceRecord | WithdrawRecord | StateRecord | RefusalRecord | MirroredRecord | HeadRecord | IntentRecord
