"""Converts announced and withdrawn routes of ExaBGP's JSON to groups."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.exabgp.shapes import JsonRoutes, required
from schemas.identity import nlri_key
from schemas.json_object import JsonObject
from schemas.message_parts import Announced, Withdrawn
from schemas.scalars import Uint32, check_family, normalise_address, normalise_prefixes, one_next_hop, storable

_LABEL = TypeAdapter(list[Uint32])
_NLRI = itemgetter("nlri")
_MAX_PATH_ID = 2**32 - 1
_PREFIX_FAMILIES = ("unicast", "multicast", "nlri-mpls", "mpls-vpn")


class _NextHopRoutes(NamedTuple):
    """The next hop of some routes, and the link-local one beside it."""

    address: str | None
    link_local: str | None
    routes: JsonRoutes


def read_withdrawn(withdraw: dict[str, JsonRoutes]) -> list[Withdrawn]:
    """The withdrawn routes, by family."""
    return [group for family, routes in withdraw.items() for group in _groups(family, routes)]


def read_announced(announce: dict[str, dict[str, JsonRoutes]]) -> list[Announced]:
    """The announced routes, by family and next hop."""
    announced: list[Announced] = []
    for family, hops in announce.items():
        for address, link_local, routes in _next_hops(family, hops):
            groups: list[Announced] = _groups(family, routes)  # type: ignore[assignment]  # they become that here
            for group in groups:
                if address:
                    group["next_hop"] = address
                if link_local:
                    group["link_local"] = link_local
                announced.append(group)
    return announced


def _next_hops(family: str, hops: dict[str, JsonRoutes]) -> list[_NextHopRoutes]:
    """Next hops, each with its routes.

    For a next hop of 32 bytes (RFC 2545 3) ExaBGP prints the routes under each half, in the order of the halves, or
    each of them twice in a row if the halves are equal. A message has one MP_REACH_NLRI (RFC 7606 3), hence one IPv6
    next hop for each family: two of them with the same routes are its halves.
    """
    found = [
        _NextHopRoutes(_read_hop(hop), None, _once(routes) if ":" in hop else routes) for hop, routes in hops.items()
    ]
    if len(found) == 1:  # nearly always
        return found
    halves = [one for one in found if one.address and ":" in one.address]
    if len(halves) != 2 or not _same(family, halves[0].routes, halves[1].routes):
        return found
    return [one for one in found if one not in halves] + [_whole(*halves)]


@lru_cache(maxsize=4096)
def _read_hop(hop: str) -> str | None:
    return None if hop == "no-nexthop" else normalise_address(hop)


def _once(routes: JsonRoutes) -> JsonRoutes:
    return routes[::2] if len(routes) > 1 and routes[::2] == routes[1::2] else routes


def _same(family: str, some: JsonRoutes, others: JsonRoutes) -> bool:
    return some == others or [nlri_key(family, one) for one in some] == [nlri_key(family, one) for one in others]


def _whole(first: _NextHopRoutes, second: _NextHopRoutes) -> _NextHopRoutes:
    address, link_local = one_next_hop(str(first.address), str(second.address))
    return (first if first.address == address else second)._replace(link_local=link_local)


def _groups(family: str, routes: JsonRoutes) -> list[Withdrawn]:
    """Routes of one family and next hop, grouped by path ID, distinguisher and labels."""
    if not family.endswith(_PREFIX_FAMILIES):
        return [{"family": check_family(family), "objects": [storable(route) for route in routes]}]
    plain = _plain(routes)
    if plain is not None:
        return [_with_prefixes({"family": check_family(family)}, plain)] if plain else []
    groups: dict[tuple[Any, ...], list[str]] = {}
    for route in routes:
        if isinstance(route, str):
            groups.setdefault(_PLAIN, []).append(route)
        else:
            prefix = required(route, "nlri")
            groups.setdefault(_properties(route), []).append(prefix)
    return [_with_prefixes(_with_properties(family, *key), prefixes) for key, prefixes in groups.items()]


def _plain(routes: JsonRoutes) -> list[str] | None:
    """The prefixes of routes without further properties, as nearly all are; None if any route has some."""
    try:
        prefixes = list(map(_NLRI, routes))
    except (KeyError, TypeError):
        return None
    return prefixes if sum(map(len, routes)) == len(routes) else None


def _with_prefixes(group: Withdrawn, prefixes: list[str]) -> Withdrawn:
    group["nlri"] = nlri = normalise_prefixes(prefixes)
    if nlri is not prefixes and nlri != prefixes:
        group["host_bits"] = [given for given, prefix in zip(prefixes, nlri, strict=True) if given != prefix]
    return group


_PLAIN = (None, None, None)


def _properties(route: JsonObject) -> tuple[int | None, str | None, tuple[tuple[int, ...], ...] | None]:
    """Path ID, route distinguisher and labels of a route, if it has any."""
    path_id = rd = labels = None
    for name, value in route.items():
        if name == "path-information":
            path_id = int.from_bytes(map(int, value.split(".")))
            if path_id > _MAX_PATH_ID:
                raise ValueError(f"path-information {value[:60]!r} has more than four bytes")
        elif name == "rd":
            if not isinstance(value, str):
                raise ValueError("a route distinguisher that is no string")
            rd = value
        elif name == "label":
            labels = tuple(tuple(_LABEL.validate_python(label)) for label in value)
        elif name != "nlri":
            raise ValueError(f"a route with an unknown property {name[:60]!r}")
    return path_id, rd, labels


def _with_properties(
    family: str, path_id: int | None, rd: str | None, labels: tuple[tuple[int, ...], ...] | None
) -> Withdrawn:
    group: Withdrawn = {"family": check_family(family)}
    if path_id is not None:
        group["path_id"] = path_id
    if rd is not None:
        group["rd"] = rd
    if labels is not None:
        group["labels"] = [list(label) for label in labels]
    return group
