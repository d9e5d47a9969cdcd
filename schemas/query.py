"""Answers about routes, as `--format jsonl` prints them, key by key; `schemas.status` has the others."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

from schemas.attributes import Aggregator, ExtendedCommunity, UnknownAttribute
from schemas.json_object import JsonObject
from schemas.peer import Peer
from schemas.scalars import Timestamp

_new, _set = object.__new__, object.__setattr__

OwnEvent = Literal["ordered", "accepted", "sent", "withdrawal_ordered", "withdrawn", "expired", "replaced", "failed"]
"""The state of one of our own announcements at a peer, as in `schemas.intents`."""
OWN_EVENTS: frozenset[str] = frozenset(get_args(OwnEvent))
Event = Literal["announce", "withdraw", "session_up", "session_end", "gap", "table"] | OwnEvent


class QueryModel(BaseModel):
    """The base class of all answers, which are immutable."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class _Attributed(QueryModel):
    """What distinguishes a route from its peer's others with the same prefix, and its attributes."""

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
    prefix_sid: JsonObject | None = None
    bgp_ls: JsonObject | None = None
    unknown_attributes: list[UnknownAttribute] | None = None
    """Those unknown to ExaBGP, which may have changed their flags."""
    other_attributes: JsonObject | None = None
    """Those that ExaBGP knows but this version does not, as ExaBGP prints them."""
    error: str | None = None
    """How malformed attributes were handled (RFC 7606): `treat-as-withdraw: malformed COMMUNITIES` for a `withdraw`
    that the peer did not send, `attribute-discard: malformed AGGREGATOR` for an announcement."""


class _Entry(QueryModel):
    ts: Timestamp
    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    event: Event
    """`session_up`: the peer's session came up. `session_end`: the session that had announced the route ended, and the
    route with it, without a withdrawal; without a prefix, the session itself. `gap`: lines of this peer were lost
    between `since` and `ts`; what they said about the prefix is unknown. `table`: at `ts` the route was in the peer's
    table in a RIB dump, and has been since `since`. `OwnEvent`: the state of our own announcement at this peer; only if
    requested."""
    prefix: str | None = None
    """Null if the entry is about a whole session, as in `search` and `tail`, or if the route is not a prefix."""
    family: str | None = None
    object: Any = None
    """A route that is not a prefix (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints it; for a flow specification of our
    own its `match` and `then`, as ordered."""


class HistoryEntry(_Attributed, _Entry):
    """One event of a prefix at one peer, or of the peer's session.

    A `withdraw` and the `session_end` of a route have the next hop and the attributes of the route that ended: those of
    its last announcement in that session, or null if the archive does not have it. `error` is the entry's own.
    """

    reason: str | None = None
    """For a `session_end`: why. For a `gap`: how the lines were lost. For `ordered` and `withdrawal_ordered`: by whom,
    and why. For `replaced` and `failed`: an explanation."""
    since: Timestamp | None = None
    """For a `gap`: the time of the last line before it. For a `table`: when the route was announced, according to the
    dump."""
    lines: int | None = None
    """For a `gap`: how many lines are lost; null if unknown."""
    intent: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    """For an `OwnEvent`: the id of our intent."""


class FoundEntry(HistoryEntry):
    """An entry of any prefix: what `search` answers."""


class LiveEntry(FoundEntry):
    """An entry that has just been stored: what `tail` answers."""


class TopEntry(QueryModel):
    """The number of messages about one prefix, origin, peer or path."""

    name: str
    """The prefix, the origin's AS number, the peer's address, or the AS path."""
    announcements: int
    withdrawals: int
    """Those that the peer sent."""
    flaps: int
    """Announcements of a route that its peer had withdrawn."""
    path_changes: int
    """Announcements of a route with another AS path than the one before."""
    malformed: int
    """Announcements with malformed attributes (RFC 7606): those taken without these attributes, which are also counted
    as announcements, and those treated as withdrawals, which are counted nowhere else."""


class PeerConvergence(QueryModel):
    """When a peer first announced a route of ours, and when it last withdrew it."""

    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    heard: Timestamp
    """When it first announced the prefix after our order."""
    heard_seconds: float
    """Since the order."""
    looped: bool = False
    """Whether the peer only sends back the route that we announced to it, as FRR does: it has taken the route. For us
    that is a loop (RFC 4271 9.1.2), and says nothing about others."""
    gone: Timestamp | None = None
    """When it finally withdrew it after our withdrawal; null if it has not yet, or if we withdrew nothing."""
    gone_seconds: float | None = None
    """Since the withdrawal was ordered."""


class ActivitySample(QueryModel):
    """The number of messages in one of several consecutive time spans."""

    start: Timestamp
    updates: int
    """UPDATEs."""
    announcements: int
    """Routes in them that were announced."""
    withdrawals: int
    """Routes that the peer withdrew."""
    bytes: int
    """The size of the documents of these UPDATEs as stored (BSON)."""
    routes: int | None = None
    """The number of routes when a table was last stored in this span; null if none was."""


RouteState = Literal["stands", "stale", "uncertain", "unknown"]


class _Standing(QueryModel):
    peer: Peer
    collector: str | None = None
    """The name of the collector that the peer speaks to."""
    prefix: str | None
    """Null if the route is not a prefix."""
    object: Any = None
    """A route that is not a prefix (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints it."""
    state: RouteState
    """`stale`: its session has ended, and its peer is restarting gracefully (RFC 4724). `uncertain`: lines of the peer
    were lost after it was announced. `unknown`: no route is known, but lines of the peer were lost."""
    since: Timestamp
    """When it was announced with these attributes; for an unknown route: when lines were lost."""
    family: str


class Route(_Attributed, _Standing):
    """A route of one peer at a given time."""

    def with_own(self, own: JsonObject) -> Self:
        """This route with some values replaced, without validation: `model_copy` in a third of its time.

        A table has half a million routes (docs/benchmarks.md, `rib`).
        """
        copy = _new(self.__class__)
        _set(copy, "__dict__", self.__dict__ | own)
        _set(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        _set(copy, "__pydantic_extra__", None)
        _set(copy, "__pydantic_private__", None)
        return copy


class RouteChange(QueryModel):
    """How a route changed between two times."""

    event: Literal["appeared", "went", "changed"]
    peer: Peer
    prefix: str | None
    object: Any = None
    changed: list[str] | None = None
    """The names of the fields that changed."""
    before: Route | None = None
    after: Route | None = None

    @property
    def route(self) -> Route:
        """The route afterwards; if it disappeared, as it was before."""
        route = self.after or self.before
        assert route is not None  # noqa: S101  # one of them is there
        return route
