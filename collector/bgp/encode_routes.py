"""Encodes groups of routes from documents: the inverse of `collector.bgp.routes`."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from collector.bgp import exabgp_flow, exabgp_library
from collector.bgp.families import IPV4_UNICAST, Family, family_number
from collector.bgp.routes import Event
from schemas.json_object import JsonObject
from schemas.scalars import normalise_prefix
from schemas.stored import GroupDocument

_LABELLED, _VPN = 4, 128
_VPLS = 65
_WITHDRAWN: Final = bytes((0x80, 0, 0))
"""The label of withdrawn routes without a stored label (RFC 8277 2.4)."""
_BOTTOM_OF_STACK = 1
_DISTINGUISHER = re.compile(r"([0-9]+|[0-9.]+):([0-9]+)", re.ASCII)


class UnwritableError(ValueError):
    """Not all of the bytes are stored, so it cannot be written; the text names what, as in `routes of ipv4 flow`."""


def field_of(group: GroupDocument, event: Event) -> bytes:
    """The routes of one group as a field NLRI or Withdrawn Routes.

    Raises:
        UnwritableError: its bytes are not stored, and cannot be derived from what is.
    """
    if "objects" in group:
        return b"".join(_object(group, one) for one in group["objects"])
    path_id = group.get("path_id")
    lead = b"" if path_id is None else path_id.to_bytes(4)
    before = qualifiers(group, event)
    prefixes: Any = map(prefix_bytes, group["nlri"])
    if "host_bits" in group:
        prefixes = map(prefix_bytes, _as_they_came(group["nlri"], group["host_bits"]))
    if not lead and not before:
        return b"".join(prefixes)
    return b"".join(lead + bytes((len(before) * 8 + one[0],)) + before + one[1:] for one in prefixes)


def nlri_bytes(group: GroupDocument, nlri: Any) -> bytes:
    """One route of a group without its path identifier.

    Raises:
        UnwritableError: see `field_of`.
    """
    if "objects" in group:
        return _object(group, nlri)
    before, one = qualifiers(group, "announce"), prefix_bytes(nlri)
    return bytes((len(before) * 8 + one[0],)) + before + one[1:]


def qualifiers(group: GroupDocument, event: Event) -> bytes:
    """Labels and route distinguisher, which precede each prefix of a group (RFC 8277 2, RFC 4364 4.3.4)."""
    _, safi = family_number(group["family"])
    if safi not in (_LABELLED, _VPN):
        return b""
    labels = b"".join(label[0].to_bytes(3) for label in _shifted(group.get("labels", ())))
    if not labels:
        if event == "announce":
            raise UnwritableError("routes without their labels")
        labels = _WITHDRAWN
    return labels + (distinguisher_bytes(group["rd"]) if safi == _VPN else b"")


def _shifted(labels: Any) -> Iterator[tuple[int]]:
    for at, (label, *_) in enumerate(labels, 1):
        raw = label << 4
        # RFC 8277 2.4: the label of a withdrawn route has no bottom-of-stack bit.
        is_last = at == len(labels) and raw != int.from_bytes(_WITHDRAWN)
        yield ((raw | _BOTTOM_OF_STACK) if is_last else raw,)


def _as_they_came(nlri: list[str], host_bits: list[str]) -> Iterator[str]:
    """The prefixes with their original host bits."""
    came: dict[str, list[str]] = {}
    for one in host_bits:
        came.setdefault(normalise_prefix(one), []).append(one)
    for prefix in nlri:
        yield came[prefix].pop(0) if came.get(prefix) else prefix


@lru_cache(maxsize=262_144)
def prefix_bytes(prefix: str) -> bytes:
    """A prefix as its length in bits and the bytes of its address that it needs (RFC 4271 4.3)."""
    address, _, length = prefix.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return bytes((int(length),)) + socket.inet_pton(family, address)[: (int(length) + 7) >> 3]


@lru_cache(maxsize=65_536)
def distinguisher_bytes(text: str) -> bytes:
    """The bytes of a route distinguisher; types 0 and 2 are written alike: type 0 if the value fits."""
    if text.startswith("0x"):
        return bytes.fromhex(text[2:])
    found = _DISTINGUISHER.fullmatch(text)
    if not found:
        raise UnwritableError(f"route distinguisher {text[:40]}")
    administrator, number = found[1], int(found[2])
    if "." in administrator:
        return b"\0\1" + socket.inet_aton(administrator) + number.to_bytes(2)
    if int(administrator) < 2**16:
        return b"\0\0" + int(administrator).to_bytes(2) + number.to_bytes(4)
    return b"\0\2" + int(administrator).to_bytes(4) + number.to_bytes(2)


def _object(group: GroupDocument, route: Any) -> bytes:
    """A route that is not a prefix: its bytes if they are stored, as ExaBGP prints them for some families."""
    family: str = group["family"]
    if isinstance(route, dict):
        kept = route.get("bytes")
        kept = route.get("raw") if kept is None else kept
        if isinstance(kept, str):
            return bytes.fromhex(kept)
        try:
            return _of_words(family_number(family), route)
        except (exabgp_library.UnreadError, KeyError):
            pass
    raise UnwritableError(f"routes of {family}")


def _of_words(family: Family, route: JsonObject) -> bytes:
    """A route that ExaBGP prints completely as text.

    Raises:
        exabgp_library.UnreadError: the text is incomplete.
        KeyError: likewise.
    """
    _, safi = family
    if safi in (exabgp_flow.FLOW, exabgp_flow.FLOW_VPN):
        rd = distinguisher_bytes(route["rd"]) if "rd" in route else b""
        return exabgp_flow.flow_bytes(family, route, rd)
    if safi == exabgp_flow.RTC:
        return exabgp_flow.rtc_bytes(family, route)
    if safi == _VPLS:
        return _vpls(route)
    raise exabgp_library.UnreadError(f"routes of SAFI {safi} are not printed as a whole")


def _vpls(route: JsonObject) -> bytes:
    """RFC 4761 3.2.2."""
    numbers = b"".join(int(route[name]).to_bytes(2) for name in ("endpoint", "offset", "size"))
    vpls = distinguisher_bytes(route["rd"]) + numbers + (int(route["base"]) << 4 | _BOTTOM_OF_STACK).to_bytes(3)
    return len(vpls).to_bytes(2) + vpls


def is_classic(group: GroupDocument) -> bool:
    """Whether routes are in an UPDATE's own fields, and not in an attribute: IPv4 unicast with an IPv4 next hop."""
    return family_number(group["family"]) == IPV4_UNICAST and ":" not in group.get("next_hop", "")


def has_path_ids(group: GroupDocument) -> bool:
    """Whether the routes of a group have path identifiers (RFC 7911 3)."""
    return "path_id" in group or any(
        isinstance(one, Mapping) and bool(one.get("add_path")) for one in group.get("objects", ())
    )


def next_hop_bytes(family: Family, group: GroupDocument) -> bytes:
    """The field Network Address of Next Hop; see `collector.bgp.routes.next_hop`."""
    hops = [_packed(group[name]) for name in ("next_hop", "link_local") if name in group]
    return b"".join(bytes(8) + hop for hop in hops) if family[1] == _VPN else b"".join(hops)


@lru_cache(maxsize=4096)
def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
