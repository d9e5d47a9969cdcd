"""Filters: which entries and routes a query is about. Options are named as in monocle.

Whether a filter matches is decided by `Filter.matches` for an entry, and by `Filter.stands` for a current route. The
server is only asked for conditions that an index serves: the prefix, the peer, the time range (`span`), an origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Generic, Literal, TypeVar

from collector.query.attributes import AttributeCondition
from collector.query.communities import communities_of
from collector.regex import as_path_pattern, community_pattern
from schemas.attributes import origins
from schemas.peer import Peer, Rib
from schemas.query import OWN_EVENTS, HistoryEntry, Route

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KINDS = {
    "announce": "announce",
    "withdraw": "withdraw",
    "table": "table",
    "session_up": "session",
    "session_end": "session",
}
"""The kind, as named by `--elem`, of each event; a gap belongs to every kind."""
_WITH_PREFIXES = ("unicast", "multicast", "nlri-mpls", "mpls-vpn")
_OF_NO_ROUTE = OWN_EVENTS | {"gap"}
"""Events that filters on routes do not exclude."""
PrefixMatch = Literal["exact", "more_specific", "less_specific"]


@dataclass(frozen=True)
class Choice(Generic[T]):
    """Any of these values, or none of them (`!`)."""

    values: tuple[T, ...]
    excluded: bool = False

    def allows(self, found: Iterable[T]) -> bool:
        """Whether an entry with these values matches."""
        return any(one in self.values for one in found) != self.excluded


@dataclass(frozen=True, repr=False)
class Filter:
    """The conditions; absent ones always match. `start` is included, `end` is not.

    A gap (lost lines of a peer) is only excluded by time and peer, because what it hides is unknown.
    """

    start: datetime | None = None
    end: datetime | None = None
    peers: Choice[str] | None = None
    """Addresses and prefixes."""
    peer_asns: Choice[int] | None = None
    routers: Choice[str] | None = None
    """Addresses of routers that report the peers."""
    ribs: Choice[Rib] | None = None
    """Which of the routers' tables."""
    origins: Choice[int] | None = None
    as_path: str | None = None
    """A regular expression; `_` as in Cisco's, a leading `!` excludes."""
    communities: Choice[str] | None = None
    """`A:B`, `A:B:C`, or an extended one as printed by ExaBGP; `*` stands for any part."""
    next_hops: Choice[str] | None = None
    families: Choice[str] | None = None
    elems: Choice[str] | None = None
    """`announce`, `withdraw`, `session`, `table`."""
    med: Choice[int] | None = None
    local_pref: Choice[int] | None = None
    attributes: Choice[AttributeCondition] | None = None
    prefixes: Choice[str] | None = None
    """Normalised. Ignored for current routes, where the query itself has a prefix."""
    match: PrefixMatch = "exact"
    """`more_specific` includes all prefixes within one of `prefixes`, `less_specific` all that contain one of them."""

    def __repr__(self) -> str:
        """The conditions that are set."""
        values = vars(self)
        given = (f"{one.name}={values[one.name]!r}" for one in fields(self) if values[one.name] != one.default)
        return f"Filter({', '.join(given)})"

    def matches(self, entry: HistoryEntry) -> bool:
        """Whether an entry matches."""
        return (
            self.is_in_time(entry.ts)
            and self.of_peer(entry.peer)
            and (entry.event in _OF_NO_ROUTE or (self._of_kind(entry) and self._of_route(entry)))
        )

    def is_in_time(self, ts: datetime) -> bool:
        """Whether a time is in the wanted range."""
        return (self.start is None or self.start <= ts) and (self.end is None or ts < self.end)

    def stands(self, route: Route) -> bool:
        """Whether a current route matches; times and kinds do not apply to it.

        An unknown route is only excluded by peer and family, because what the lost lines said about it is unknown.
        """
        return (
            self.of_peer(route.peer)
            and _allows(self.families, route.family)
            and (route.state == "unknown" or self._has_attributes(route))
        )

    @property
    def of_peers_alone(self) -> Filter:
        """Only the conditions on peers."""
        return Filter(peers=self.peers, peer_asns=self.peer_asns, routers=self.routers, ribs=self.ribs)

    @property
    def span(self) -> dict[str, datetime]:
        """The time range as MongoDB operators; empty if there is none."""
        span = {"$gte": self.start, "$lt": self.end}
        return {operator: moment for operator, moment in span.items() if moment is not None}

    @property
    def asks_for_routes(self) -> bool:
        """Whether there is a condition that only routes can meet."""
        return any(check is not None for check in (*self._routes, self.families))

    @property
    def wants_sessions_alone(self) -> bool:
        """Whether announcements and withdrawals are left out."""
        return not self.wants("announce") and not self.wants("withdraw")

    def may_have(self, prefix: str) -> bool:
        """Whether a prefix may belong to one of the wanted families."""
        ip = "ipv6" if ":" in prefix else "ipv4"
        return any(_allows(self.families, f"{ip} {name}") for name in _WITH_PREFIXES)

    @property
    def named_prefixes(self) -> tuple[str, ...]:
        """The prefixes, if only routes to these are wanted; an index serves them by name."""
        if self.prefixes is None or self.prefixes.excluded or self.match == "more_specific":
            return ()
        if self.match == "exact":
            return self.prefixes.values
        networks = [ipaddress.ip_network(one) for one in self.prefixes.values]
        return tuple(
            dict.fromkeys(
                str(one.supernet(new_prefix=length)) for one in networks for length in range(one.prefixlen + 1)
            )
        )

    def of_prefix(self, prefix: str | None) -> bool:
        """Whether routes of a prefix are wanted; None: routes that are not prefixes."""
        if self.prefixes is None:
            return True
        return (prefix is not None and self._relates(prefix)) != self.prefixes.excluded

    @property
    def wanted_origins(self) -> tuple[int, ...]:
        """The origin ASes, if only routes of these are wanted; an index serves them."""
        return self.origins.values if self.origins and not self.origins.excluded else ()

    @property
    def only_peer(self) -> str | None:
        """The peer's address, if only one peer is wanted."""
        if self.peers is None or self.peers.excluded or len(self.peers.values) != 1 or "/" in self.peers.values[0]:
            return None
        return self.peers.values[0]

    def of_peer(self, peer: Peer) -> bool:
        """Whether messages of this peer match."""
        if self.peer_asns is not None and not self.peer_asns.allows([peer.asn]):
            return False
        if not (_allows(self.routers, peer.router) and _allows(self.ribs, peer.rib)):
            return False
        if self.peers is None:
            return True
        if self.peers.excluded:
            return not _within(peer.address, self._networks, whole=True)
        return _within(peer.address, self._networks, whole=False)

    def wants(self, kind: str) -> bool:
        """Whether entries of a kind (`announce`, `withdraw`, `session`, `table`) can match."""
        return self.elems is None or self.elems.allows([kind])

    # --- of one entry, or route -------------------------------------------------------------------------------------

    @property
    def _routes(self) -> tuple[object, ...]:
        return (
            *(self.origins, self.as_path, self.communities, self.next_hops, self.med, self.local_pref),
            *(self.attributes, self.prefixes),
        )

    def _of_kind(self, entry: HistoryEntry) -> bool:
        return self.wants(KINDS[entry.event])

    def _of_route(self, entry: HistoryEntry) -> bool:
        if not self.asks_for_routes:
            return True
        if entry.family is None:  # a session
            return False
        return _allows(self.families, entry.family) and self.of_prefix(entry.prefix) and self._has_attributes(entry)

    def _has_attributes(self, route: HistoryEntry | Route) -> bool:
        return (
            _allows(self.next_hops, route.next_hop)
            and _allows(self.med, route.med)
            and _allows(self.local_pref, route.local_pref)
            and (self.origins is None or self.origins.allows(origins_of(route.as_path)))
            and (self._path is None or self._path(route.as_path))
            and (self.communities is None or self._has_community(route) != self.communities.excluded)
            and (self.attributes is None or self._has_attribute(route) != self.attributes.excluded)
        )

    def _has_attribute(self, route: HistoryEntry | Route) -> bool:
        return any(one.is_in(route) for one in (self.attributes.values if self.attributes else ()))

    def _has_community(self, route: HistoryEntry | Route) -> bool:
        return any(map(self._wanted, communities_of(route)))

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(one) for one in (self.peers.values if self.peers else ()))

    @cached_property
    def _relates(self) -> Callable[[str], bool]:
        """Whether a prefix matches `prefixes`: exactly, as a more specific or as a less specific one."""
        names = frozenset(self.prefixes.values if self.prefixes else ())
        if self.match == "exact":
            return names.__contains__
        networks, within = [ipaddress.ip_network(one) for one in names], self.match == "more_specific"

        @lru_cache(maxsize=65536)
        def found(prefix: str) -> bool:
            own = ipaddress.ip_network(prefix)
            return any(_lies_within(own, one) if within else _lies_within(one, own) for one in networks)

        return found

    @cached_property
    def _wanted(self) -> Callable[[str], bool]:
        patterns = [community_pattern(one) for one in (self.communities.values if self.communities else ())]

        @lru_cache(maxsize=65536)
        def found(community: str) -> bool:
            return any(pattern.fullmatch(community) for pattern in patterns)

        return found

    @cached_property
    def _path(self) -> Callable[[str | None], bool] | None:
        if self.as_path is None:
            return None
        pattern, excluded = as_path_pattern(self.as_path.removeprefix("!")), self.as_path.startswith("!")

        @lru_cache(maxsize=4096)
        def found(path: str | None) -> bool:
            return (path is not None and pattern.search(path) is not None) != excluded

        return found


def _allows(choice: Choice[T] | None, found: T | None) -> bool:
    return choice is None or choice.allows(() if found is None else (found,))


@lru_cache(maxsize=4096)
def origins_of(path: str | None) -> tuple[int, ...]:
    """The ASes that originated a route, from its path; none without a path."""
    return origins(path) if path else ()


def _lies_within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.prefixlen >= other.prefixlen and one.network_address in other


@lru_cache(maxsize=4096)
def _within(address: str, networks: tuple[Network, ...], *, whole: bool) -> bool:
    """Whether a peer is in one of the networks; for a range of peers (in some gaps), whether all or part of it is."""
    own = ipaddress.ip_network(address)
    lengths = [network.prefixlen for network in networks if network.version == own.version and network.overlaps(own)]
    return any(length <= own.prefixlen for length in lengths) if whole else bool(lengths)


EVERYTHING = Filter()
"""The filter that matches everything."""
