"""Intents: what this collector is to announce, who ordered it and why, and its states.

An `Order` or a `Withdrawal` is a request; each route of an order becomes an `Intent`, which is kept forever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.announcements import Announcement, FlowAnnouncement, RouteAnnouncement, once
from schemas.flows import StrictPrefix
from schemas.scalars import Address, Asn, Timestamp

MOST_ROUTES = 20_000
"""The maximum number of routes in one order."""


def _line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("is not a line of text")
    return text.strip()


def _intent_id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{24}", text):
        raise ValueError(f"{text[:60]!r} is neither a prefix (ADDRESS/LENGTH) nor the id of an intent (24 hex digits)")
    return text


def _source(text: str) -> str:
    if not _SOURCE.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is none of api, cli, configuration, healthcheck NAME and command NAME")
    return text


def _key(text: str) -> str:
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("has other characters than ASCII letters, digits and punctuation")
    return text


_SOURCE = re.compile(r"api|cli|configuration|(healthcheck|command|policy) [A-Za-z0-9][A-Za-z0-9 ._:/-]*")

Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_line)]
"""Text on one line."""
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_line)]
"""The name of a person, a program or a thing."""
IntentId = Annotated[str, AfterValidator(_intent_id)]
"""The `_id` of an intent's document, in hexadecimal."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


Source = Annotated[str, Field(max_length=120), AfterValidator(_source)]
"""Where an order came from: `api`, `cli`, `configuration`, `healthcheck NAME`, `command NAME`."""


class _Request(_Model):
    who: Name
    """The name of a token, or a user."""
    why: Line
    """The reason, for later readers."""
    source: Source


class Order(_Request):
    """Announce routes to some peers: all of them or none.

    An earlier announcement of the same prefix, or flow, to a peer is replaced.
    """

    announcements: Annotated[tuple[Announcement, ...], Field(min_length=1, max_length=MOST_ROUTES)]
    peers: Annotated[tuple[Address, ...], AfterValidator(once)] = ()
    """Addresses; without these and a group, all peers that have the family."""
    group: Name | None = None
    """The `group` of peers in the configuration."""
    expires: Timestamp | None = None
    """When it is withdrawn automatically."""
    key: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_key)] | None = None
    """An idempotency key: the same order with the same key is carried out once."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.peers and self.group is not None:
            raise ValueError("peers and group exclude each other: give one of them")
        found: set[str] = set()
        for one in self.announcements:
            if one.nlri in found:
                raise ValueError(f"{one.nlri} is listed twice")
            found.add(one.nlri)
        return self


class Withdrawal(_Request):
    """Withdraw announcements: of these intents, of these prefixes, or everything that a source ordered."""

    ids: Annotated[tuple[IntentId, ...], Field(max_length=MOST_ROUTES)] = ()
    prefixes: Annotated[tuple[StrictPrefix, ...], Field(max_length=MOST_ROUTES)] = ()
    """Routes and flow specifications with exactly this prefix, or destination."""
    of: Source | None = None
    """Only what this source ordered; if given alone, all of it."""
    peers: Annotated[tuple[Address, ...], AfterValidator(once)] = ()
    """Only from these peers; empty: from all."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not (self.ids or self.prefixes or self.of):
            raise ValueError("names neither intents nor prefixes")
        return self


StateName = Literal["pending", "accepted", "sent", "withdrawing", "withdrawn", "expired", "replaced", "failed"]
"""`pending`: on our disk. `accepted`: ExaBGP answered `done`, which it also does for a peer that is down. `sent`:
ExaBGP reports that it has told the peer. `withdrawing`: somebody ordered its withdrawal; `withdrawn`: the withdrawal
was sent, or ExaBGP accepted it for a peer that is down; `expired`: likewise, after its time was over; `replaced`: by a
later intent for the same prefix. `failed`: it cannot be announced to the peer for now, because the session has not
negotiated the family, or because ExaBGP refuses the command: it will be announced as soon as it can be."""
ENDS: frozenset[StateName] = frozenset(("withdrawn", "expired", "replaced"))
"""Final states."""


class IntentState(_Model):
    """A state that an intent reached."""

    state: StateName
    ts: Timestamp
    peer: str | None = None
    """The peer it applies to; absent for `pending`, `withdrawing` and `expired`, which apply to all."""
    who: str | None = None
    """For `withdrawing`: who ordered it."""
    reason: str | None = None
    """For `withdrawing`: why. For `failed` and `replaced`: an explanation."""


def overall(peers: Mapping[str, StateName], leaving: AbstractSet[str], *, expired: bool) -> StateName:
    """The overall state of an intent.

    Args:
        peers: its state at each peer.
        leaving: the peers from which it is still to be withdrawn.
        expired: whether it expired before somebody withdrew it.
    """
    live = {peer for peer, state in peers.items() if state not in ENDS}
    found = set(peers.values())
    if live and live <= leaving:
        return "withdrawing"
    order: Sequence[StateName] = ("sent", "accepted", "pending", "failed") if live else ("withdrawn", "replaced")
    state: StateName = next((one for one in order if one in found), "withdrawn")
    return "expired" if expired and state == "withdrawn" else state


class Intent(_Model):
    """One route or flow specification of an order, and its states."""

    id: IntentId
    number: int
    """The number of its order at this collector, counting up."""
    collector: str
    announcement: Announcement
    peers: tuple[str, ...]
    """Addresses of the peers it is for, as of the time of the order."""
    asns: tuple[Asn, ...] = ()
    """The AS of each of `peers`, in the same order, as of the time of the order; empty in the first documents."""
    group: str | None = None
    who: str
    why: str
    source: str
    key: str | None = None
    created: Timestamp
    expires: Timestamp | None = None
    state: StateName
    """The overall state: `sent` as soon as one peer has been told, `failed` if none can be told, `withdrawn` when none
    is left."""
    states: tuple[IntentState, ...]
    """Oldest first."""

    @property
    def is_over(self) -> bool:
        """Whether it is no longer to be announced to any peer."""
        return self.state in ENDS

    @property
    def failures(self) -> Mapping[str, str]:
        """The peers that it cannot be announced to for now, and why."""
        latest = {one.peer: one for one in self.states if one.peer is not None}
        failed = {peer: one.reason or "" for peer, one in latest.items() if one.state == "failed"}
        return {} if self.state == "withdrawing" else failed

    def asn_of(self, peer: str) -> int | None:
        """The AS of one of its peers at the time of the order; None if that is not known."""
        return dict(zip(self.peers, self.asns, strict=False)).get(peer)

    def at(self, moment: datetime) -> Intent:
        """The intent as it was at a time, which must not be before its creation."""
        states = tuple(one for one in self.states if one.ts <= moment)
        peers: dict[str, StateName] = dict.fromkeys(self.peers, "pending")
        leaving: set[str] = set()
        expired = False
        for one in states:
            if one.state in ("withdrawing", "expired"):
                leaving |= {one.peer} if one.peer is not None else set(peers)
                expired = expired or one.state == "expired"
            elif one.peer is not None:
                peers[one.peer] = one.state
        return self.model_copy(update={"states": states, "state": overall(peers, leaving, expired=expired)})


class Refusal(_Model):
    """An order that was refused: an audit entry."""

    id: IntentId
    number: int
    collector: str
    ts: Timestamp
    who: str
    source: str
    why: str
    order: str
    """A description of the order."""
    cause: str
    cure: str


def summary_of(announcements: Sequence[RouteAnnouncement | FlowAnnouncement]) -> str:
    """A short description of an order: its one prefix, or the first and how many more."""
    more = f" and {len(announcements) - 1} more" if len(announcements) > 1 else ""
    return f"{announcements[0].nlri}{more}"
