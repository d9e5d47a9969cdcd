"""Routes that are announced and withdrawn, put together in groups."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.exabgp.shapes import SaidRoutes, required
from schemas.identity import identity
from schemas.message import Announced, Withdrawn
from schemas.scalars import Uint32, normalise_address, normalise_prefix, one_next_hop, storable

_LABEL = TypeAdapter(list[Uint32])
_PREFIX_FAMILIES = ("unicast", "multicast", "nlri-mpls", "mpls-vpn")


class _NextHop(NamedTuple):
    """The next hop of some routes, and the link-local one beside it."""

    address: str | None
    link_local: str | None
    routes: SaidRoutes


def read_withdrawn(family: str, routes: SaidRoutes) -> list[Withdrawn]:
    """What is withdrawn of one family."""
    return [Withdrawn(**group) for group in _groups(family, routes)]


def read_announced(announce: dict[str, dict[str, SaidRoutes]]) -> list[Announced]:
    """What is announced, by family and next hop."""
    announced: list[Announced] = []
    for family, hops in announce.items():
        for address, link_local, routes in _next_hops(family, hops):
            extra: dict[str, str] = {}
            if address:
                extra["next_hop"] = address
            if link_local:
                extra["link_local"] = link_local
            announced.extend(Announced(**group, **extra) for group in _groups(family, routes))
    return announced


def _next_hops(family: str, hops: dict[str, SaidRoutes]) -> list[_NextHop]:
    """Next hops, each with its routes.

    Of a next hop of 32 bytes (RFC 2545 3) ExaBGP prints the routes under each half, in the order of the halves, and
    each of them twice in a row where the halves are equal. A message has one MP_REACH_NLRI (RFC 7606 3), hence one
    IPv6 next hop a family: two of them with the same routes are its halves.
    """
    found = [_NextHop(*_read_hop(hop), _once(routes) if ":" in hop else routes) for hop, routes in hops.items()]
    if len(found) == 1:  # as nearly always
        return found
    halves = [one for one in found if one.address and ":" in one.address]
    if len(halves) != 2 or not _same(family, halves[0].routes, halves[1].routes):
        return found
    return [one for one in found if one not in halves] + [_whole(*halves)]


@lru_cache(maxsize=4096)
def _read_hop(hop: str) -> tuple[str | None, None]:
    return None if hop == "no-nexthop" else normalise_address(hop), None


def _once(routes: SaidRoutes) -> SaidRoutes:
    return routes[::2] if len(routes) > 1 and routes[::2] == routes[1::2] else routes


def _same(family: str, some: SaidRoutes, others: SaidRoutes) -> bool:
    return some == others or [identity(family, one) for one in some] == [identity(family, one) for one in others]


def _whole(first: _NextHop, second: _NextHop) -> _NextHop:
    address, link_local = one_next_hop(str(first.address), str(second.address))
    return (first if first.address == address else second)._replace(link_local=link_local)


def _groups(family: str, routes: SaidRoutes) -> list[dict[str, Any]]:
    """Routes of one family and next hop, put together where path ID, distinguisher and labels are the same."""
    if not family.endswith(_PREFIX_FAMILIES):
        return [{"family": family, "objects": [storable(route) for route in routes]}]
    plain = _plain(routes)
    if plain:
        nlri = [normalise_prefix(prefix) for prefix in plain]
        host_bits = [prefix for prefix, normalised in zip(plain, nlri, strict=True) if normalised != prefix]
        return [{"family": family, "nlri": nlri, **({"host_bits": host_bits} if host_bits else {})}]
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, str):
            prefix, key = route, ()
        elif len(route) == 1 and "nlri" in route:
            prefix, key = route["nlri"], ()
        else:
            prefix, key = required(route, "nlri"), _group_key(route)
        group = groups.get(key)
        if group is None:
            group = groups[key] = {"family": family, "nlri": [], **dict(key)}
            if "labels" in group:
                group["labels"] = [list(label) for label in group["labels"]]
        normalised = normalise_prefix(prefix)
        group["nlri"].append(normalised)
        if normalised != prefix:
            group.setdefault("host_bits", []).append(prefix)
    return list(groups.values())


def _plain(routes: SaidRoutes) -> list[str] | None:
    """The prefixes of routes that are nothing else, as nearly all are; None where one of them has more to it."""
    try:
        prefixes = [route["nlri"] for route in routes if len(route) == 1]  # type: ignore[index]  # no str has one letter
    except (KeyError, TypeError):
        return None
    return prefixes if len(prefixes) == len(routes) else None


def _group_key(route: dict[str, Any]) -> tuple[Any, ...]:
    key: list[tuple[str, Any]] = []
    for name, value in route.items():
        if name == "path-information":
            key.append(("path_id", int.from_bytes(map(int, value.split(".")))))
        elif name == "rd":
            key.append(("rd", value))
        elif name == "label":
            key.append(("labels", tuple(tuple(_LABEL.validate_python(label)) for label in value)))
        elif name != "nlri":
            raise ValueError(f"a route with an unknown property {name[:60]!r}")
    return tuple(sorted(key))
