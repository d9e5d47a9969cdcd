"""Answers about routes, as `--format jsonl` prints them, key by key; `schemas.status` has the others."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

from schemas.attributes import Aggregator, ExtendedCommunity, UnknownAttribute
from schemas.message import Peer
from schemas.scalars import Timestamp

_new, _set = object.__new__, object.__setattr__

OwnEvent = Literal["ordered", "accepted", "sent", "withdrawal_ordered", "withdrawn", "expired", "replaced", "failed"]
"""What became of an announcement of ours at a peer: the states of `schemas.intents`."""
OWN_EVENTS: frozenset[str] = frozenset(get_args(OwnEvent))
Event = Literal["announce", "withdraw", "session_up", "session_end", "gap", "table"] | OwnEvent


class QueryModel(BaseModel):
    """What all answers have in common: they are not changed."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class _Attributed(QueryModel):
    """What tells a route from its peer's others with the same prefix, and its attributes."""

    path_id: int | None = None
    rd: str | None = None
    labels: list[list[int]] | None = None
    next_hop: str | None = None
    link_local: str | None = None
    """The link-local address beside the next hop (RFC 2545 3)."""
    as_path: str | None = None
    origin: str | None = None
    med: int | None = None
    local_pref: int | None = None
    communities: list[str] | None = None
    large_communities: list[str] | None = None
    extended_communities: list[ExtendedCommunity] | None = None
    ipv6_extended_communities: list[ExtendedCommunity] | None = None
    atomic_aggregate: bool | None = None
    aggregator: Aggregator | None = None
    originator_id: str | None = None
    cluster_list: list[str] | None = None
    otc: int | None = None
    """Only to Customer (RFC 9234): an AS."""
    aigp: int | None = None
    """The accumulated IGP metric (RFC 7311)."""
    pmsi_tunnel: str | None = None
    prefix_sid: dict[str, Any] | None = None
    bgp_ls: dict[str, Any] | None = None
    unknown_attributes: list[UnknownAttribute] | None = None
    """Those that ExaBGP does not know; their flags may be its own."""
    other_attributes: dict[str, Any] | None = None
    """Those that ExaBGP knows and this version does not, as it prints them."""
    error: str | None = None
    """What became of malformed attributes (RFC 7606): `treat-as-withdraw: malformed COMMUNITIES` of a `withdraw` that
    the peer did not say, `attribute-discard: malformed AGGREGATOR` of an announcement."""


class _Entry(QueryModel):
    ts: Timestamp
    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    event: Event
    """`session_up`: the peer's session came up. `session_end`: the session that had announced the route ended, and the
    route with it, without a withdrawal; without a prefix, the session itself.
    `gap`: lines of this peer were lost, between `since` and `ts`; what they said of the prefix is not known.
    `table`: at `ts` the route was in the peer's table in a RIB dump, where it was since `since`.
    `OwnEvent`: what became of an announcement of ours, towards this peer; only where it was asked for."""
    prefix: str | None = None
    """Null where a whole session is meant, in the answers of `search` and `tail`, and where the route is no prefix."""
    family: str | None = None
    object: Any = None
    """A route that is no prefix (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints it."""


class HistoryEntry(_Attributed, _Entry):
    """One thing that happened to a prefix at one peer, or to the peer's session.

    A `withdraw` and the `session_end` of a route carry the next hop and the attributes of the route that went: those
    of the newest announcement in that session, null where the archive does not have it. `error` is the entry's own.
    """

    reason: str | None = None
    """Of a `session_end`: why. Of a `gap`: how the lines were lost. Of `ordered` and `withdrawal_ordered`: by whom, and
    why. Of `replaced` and `failed`: in words."""
    since: Timestamp | None = None
    """Of a `gap`: the last line before it. Of a `table`: when the dump says that the route was announced."""
    lines: int | None = None
    """Of a `gap`: how many are lost; null when that cannot be known."""
    intent: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    """Of an `OwnEvent`: which of our intents."""


class FoundEntry(HistoryEntry):
    """An entry of any prefix: what `search` answers."""


class LiveEntry(FoundEntry):
    """An entry that has just been stored: what `tail` answers."""


class TopEntry(QueryModel):
    """How much was said of one prefix, origin, peer or path."""

    name: str
    """The prefix, the origin's AS number, the peer's address, or the AS path."""
    announcements: int
    withdrawals: int
    """Those that the peer said."""
    flaps: int
    """Announcements of a route that its peer had withdrawn."""
    path_changes: int
    """Announcements of a route with another AS path than the one before."""
    malformed: int
    """Announcements with malformed attributes (RFC 7606): those that were taken without these, which are counted as
    announcements too, and those that were treated as withdrawals, which are not counted elsewhere."""


class PeerConvergence(QueryModel):
    """When a peer heard of what we announced, and when it was gone there."""

    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    heard: Timestamp
    """When it first announced the prefix after our order."""
    heard_seconds: float
    """Since the order."""
    gone: Timestamp | None = None
    """When it ceased to, for good, after our withdrawal; null while it has not, or nothing was withdrawn."""
    gone_seconds: float | None = None
    """Since the withdrawal was ordered."""


class ActivitySample(QueryModel):
    """What was said in one of several spans of time that follow each other."""

    start: Timestamp
    updates: int
    """UPDATEs."""
    announcements: int
    """Routes in them that were announced."""
    withdrawals: int
    """Routes that the peer withdrew."""
    bytes: int
    """Of the documents of these UPDATEs, as they are stored (BSON)."""
    routes: int | None = None
    """How many stood when a table was last stored in this time; null where none was."""


RouteState = Literal["stands", "stale", "uncertain", "unknown"]


class _Standing(QueryModel):
    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    prefix: str | None
    """Null where the route is no prefix."""
    object: Any = None
    """A route that is no prefix (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints it."""
    state: RouteState
    """`stale`: its session has ended, and its peer restarts gracefully (RFC 4724). `uncertain`: lines of the peer were
    lost since it was announced. `unknown`: none is known, but lines of the peer were lost."""
    since: Timestamp
    """When it was announced as it is; of an unknown one: when lines were lost."""
    family: str


class Route(_Attributed, _Standing):
    """A route of one peer at a moment."""

    def with_own(self, own: dict[str, Any]) -> Self:
        """This route with other values, which are not checked: `model_copy` in a third of its time.

        A table has half a million of them (docs/benchmarks.md, `rib`).
        """
        copy = _new(self.__class__)
        _set(copy, "__dict__", self.__dict__ | own)
        _set(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        _set(copy, "__pydantic_extra__", None)
        _set(copy, "__pydantic_private__", None)
        return copy


class RouteChange(QueryModel):
    """What became of a route between two moments."""

    event: Literal["appeared", "went", "changed"]
    peer: Peer
    prefix: str | None
    object: Any = None
    changed: list[str] | None = None
    """The names of what is another than before."""
    before: Route | None = None
    after: Route | None = None

    @property
    def route(self) -> Route:
        """The route afterwards; of one that went, as it was."""
        route = self.after or self.before
        assert route is not None  # noqa: S101  # one of them is there
        return route
