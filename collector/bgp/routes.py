"""Decodes routes (NLRI and Withdrawn Routes, RFC 4271 4.3 and RFC 4760 5) to groups in the form of documents.

A group is a `schemas.message_parts.Announced`: routes of one family with the same path identifier, route
distinguisher and labels.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, Literal, NamedTuple

from collector.bgp import exabgp_library
from collector.bgp.families import Family, family_name
from schemas.message_parts import Announced
from schemas.scalars import one_next_hop

Event = Literal["announce", "withdraw"]

_IPV4, _IPV6 = 1, 2
_PLAIN: Final = frozenset((1, 2))
"""SAFI of unicast and multicast."""
_LABELLED, _VPN = 4, 128
_PREFIXES: Final = frozenset((afi, safi) for afi in (_IPV4, _IPV6) for safi in (*_PLAIN, _LABELLED, _VPN))
"""The families whose routes are prefixes."""
_WITHDRAWN: Final = 0x800000
"""The value in place of labels of withdrawn routes (RFC 8277 2.4; some write 0)."""
_LABEL_BITS, _RD_BITS = 24, 64


class BadRouteError(ValueError):
    """A route whose end cannot be determined: the message is lost (RFC 7606 5.3)."""


class NextHop(NamedTuple):
    """The next hop of an MP_REACH_NLRI."""

    address: str | None
    """None: there is none (RFC 8955 4), or its form is unknown."""
    link_local: str | None


def groups(family: Family, data: bytes, event: Event, *, add_path: bool = False, hop: bytes = b"") -> list[Announced]:
    """All routes of one field.

    Args:
        family: the family of the routes.
        data: the field.
        event: whether they are announced or withdrawn, which affects how labels are read.
        add_path: whether they have path identifiers (RFC 7911 3).
        hop: the field Network Address of Next Hop, which ExaBGP prints within some routes that are not prefixes.

    Raises:
        BadRouteError: the bytes are not such routes.
    """
    name = _names(family)
    if family not in _PREFIXES:
        return [{"family": name, "objects": _objects(family, data, event, add_path=add_path, hop=hop)}]
    afi, safi = family
    form = _FORMS[afi]
    if safi in _PLAIN and not add_path:
        return [_plain(name, form, data)]
    found: dict[tuple[Any, ...], Announced] = {}
    for key, (prefix, came) in _qualified(safi, form, data, event, add_path=add_path):
        group = found.get(key)
        if group is None:
            path_id, rd, labels = key
            group = found[key] = {"family": name}
            if path_id is not None:
                group["path_id"] = path_id
            if rd is not None:
                group["rd"] = rd
            if labels:
                group["labels"] = [list(label) for label in labels]
            group["nlri"] = []
        group["nlri"].append(prefix)
        if came:
            group.setdefault("host_bits", []).append(came)
    return list(found.values())


@lru_cache(maxsize=256)
def _names(family: Family) -> str:
    return family_name(family)


_Spelt = tuple[str, str | None]
"""A prefix in normal form, and as it arrived if that differs."""


class _PrefixLength(NamedTuple):
    """What all prefixes of one length share."""

    size: int
    """Their size in bytes, including the length byte."""
    host_bits: int
    """A mask for the unused bits of their last byte."""
    rest: bytes
    """The bytes missing to a whole address."""
    written: str
    """Such as `/24`."""


class _PrefixForm(NamedTuple):
    """How the prefixes of an IP version are written."""

    spell: Callable[[bytes], str]
    """Formats an address."""
    lengths: tuple[_PrefixLength, ...]
    """The lengths, by number of bits."""


def _form(size: int, spell: Callable[[bytes], str]) -> _PrefixForm:
    """The form of addresses of a size in bytes."""
    lengths = ((bits, (bits + 7) // 8) for bits in range(8 * size + 1))
    return _PrefixForm(
        spell,
        tuple(
            _PrefixLength(1 + taken, (1 << -bits % 8) - 1, bytes(size - taken), f"/{bits}") for bits, taken in lengths
        ),
    )


_FORMS: Final = {_IPV4: _form(4, socket.inet_ntoa), _IPV6: _form(16, partial(socket.inet_ntop, socket.AF_INET6))}


def _plain(name: str, form: _PrefixForm, data: bytes) -> Announced:
    """All prefixes of a field; a table has a million of them, with few repetitions."""
    nlri: list[str] = []
    host_bits: list[str] = []
    spell, lengths = form
    at, end = 0, len(data)
    try:
        while at < end:
            size, beyond, rest, written = lengths[data[at]]
            route_end = at + size
            if data[route_end - 1] & beyond:
                prefix, came = _spelt(form, data[at:route_end])
                nlri.append(prefix)
                host_bits.append(came or prefix)
            else:
                nlri.append(spell(data[at + 1 : route_end] + rest) + written)
            at = route_end
    except IndexError:
        left = f", and {end - at - 1} bytes are left" if data[at] < len(lengths) else ""
        raise BadRouteError(f"byte {at}: a prefix of {data[at]} bits{left}") from None
    return {"family": name, "nlri": nlri, "host_bits": host_bits} if host_bits else {"family": name, "nlri": nlri}


def _spelt(form: _PrefixForm, route: bytes) -> _Spelt:
    """A prefix from its length in bits and the bytes that this needs.

    Raises:
        BadRouteError: it is longer than an address.
    """
    bits, octets = route[0], route[1:]
    if bits >= len(form.lengths):
        raise BadRouteError(f"a prefix of {bits} bits")
    _, host_bits, rest, written = form.lengths[bits]
    came = form.spell(octets + rest) + written
    if beyond := route[-1] & host_bits:
        return form.spell(octets[:-1] + bytes((octets[-1] - beyond,)) + rest) + written, came
    return came, None


def _qualified(
    safi: int, form: _PrefixForm, data: bytes, event: Event, *, add_path: bool
) -> Iterator[tuple[tuple[int | None, str | None, tuple[tuple[int], ...]], _Spelt]]:
    """Routes with their qualifiers: path identifier, route distinguisher, labels."""
    at, end = 0, len(data)
    while at < end:
        began, path_id, rd = at, None, None
        labels: tuple[tuple[int], ...] = ()
        if add_path:
            path_id = int.from_bytes(data[at : at + 4])
            at += 4
        bits = data[at] if at < end else 0
        route_end = at + 1 + ((bits + 7) >> 3)
        if at >= end or route_end > end:
            raise BadRouteError(f"byte {began}: a route of {bits} bits, and {max(end - at - 1, 0)} bytes are left")
        at += 1
        if safi in (_LABELLED, _VPN):
            labels = _labels(data[at:route_end], bits - (_RD_BITS if safi == _VPN else 0), event)
            at, bits = at + 3 * len(labels), bits - _LABEL_BITS * len(labels)
        if safi == _VPN:
            rd, at, bits = distinguisher(data[at : at + 8]), at + 8, bits - _RD_BITS
        if bits < 0 or at > route_end:
            raise BadRouteError(f"byte {began}: a route too short for its labels and its distinguisher")
        yield (path_id, rd, labels), _spelt(form, bytes((bits,)) + data[at:route_end])
        at = route_end


def _labels(data: bytes, bits: int, event: Event) -> tuple[tuple[int], ...]:
    """The labels at the start of a route.

    The last one has the bottom-of-stack bit, which is to be ignored on a single label (RFC 8277 2.2, 2.4): then the
    length says whether a prefix follows, except for a prefix of zero bits, for which only the values for "withdrawn"
    are certain.

    Args:
        data: from the first label on.
        bits: the maximum length in bits of a label and what follows the labels, without the distinguisher.
        event: whether the route is announced or withdrawn.

    Raises:
        BadRouteError: the labels do not end.
    """
    found: list[tuple[int]] = []
    while bits >= _LABEL_BITS and 3 * len(found) + 3 <= len(data):
        raw = int.from_bytes(data[3 * len(found) : 3 * len(found) + 3])
        found.append((raw >> 4,))
        bits -= _LABEL_BITS
        alone = len(found) == 1
        if raw & 1 or (alone and (bits > 0 or raw == 0 or (raw == _WITHDRAWN and event == "withdraw"))):
            return tuple(found)
    raise BadRouteError("labels without an end (RFC 8277 2.1)")


@lru_cache(maxsize=65_536)
def distinguisher(rd: bytes) -> str:
    """A route distinguisher (RFC 4364 4.2) as ExaBGP writes it: types 0 and 2 look alike."""
    kind = int.from_bytes(rd[:2])
    if kind == 0:
        return f"{int.from_bytes(rd[2:4])}:{int.from_bytes(rd[4:8])}"
    if kind == 1:
        return f"{socket.inet_ntoa(rd[2:6])}:{int.from_bytes(rd[6:8])}"
    if kind == 2:
        return f"{int.from_bytes(rd[2:6])}:{int.from_bytes(rd[6:8])}"
    return f"0x{rd.hex().upper()}"  # as ExaBGP writes it: it identifies routes


def _objects(family: Family, data: bytes, event: Event, *, add_path: bool, hop: bytes) -> list[Any]:
    """Routes that are not prefixes, as ExaBGP prints them; if it cannot decode them, the bytes of all of them."""
    if exabgp_library.reads(family):
        try:
            return list(exabgp_library.routes(family, data, event, add_path=add_path, hop=hop))
        except exabgp_library.UnreadError:
            pass
    return [{"bytes": data.hex(), "add_path": True} if add_path else {"bytes": data.hex()}]


@lru_cache(maxsize=4096)
def next_hop(data: bytes) -> NextHop:
    """The field Network Address of Next Hop.

    It has 4, 16 or two times 16 bytes (RFC 2545 3), each after a distinguisher of 8 bytes if the routes have one (RFC
    4364 4.3.2, RFC 4659 3.2.1, RFC 8950 3).
    """
    size = len(data)
    if size == 12 or size in (24, 48):
        data = data[8:] if size != 48 else data[8:24] + data[32:]
    if len(data) == 4:
        return NextHop(socket.inet_ntoa(data), None)
    if len(data) == 16:
        return NextHop(socket.inet_ntop(socket.AF_INET6, data), None)
    if len(data) == 32:
        halves = [socket.inet_ntop(socket.AF_INET6, half) for half in (data[:16], data[16:])]
        return NextHop(*one_next_hop(*halves))
    return NextHop(None, None)


def reach(value: bytes) -> tuple[Family, bytes, bytes]:
    """Family, next hop (see `next_hop`) and routes of an MP_REACH_NLRI (RFC 4760 3).

    Raises:
        BadRouteError: it is truncated.
    """
    if len(value) < 5:
        raise BadRouteError("MP_REACH_NLRI is cut")
    afi, safi, length = struct.unpack_from(">HBB", value)
    if 5 + length > len(value):
        raise BadRouteError("MP_REACH_NLRI has a next hop longer than itself")
    return (afi, safi), value[4 : 4 + length], value[5 + length :]


def unreach(value: bytes) -> tuple[Family, bytes]:
    """Family and routes of an MP_UNREACH_NLRI (RFC 4760 4).

    Raises:
        BadRouteError: it is truncated.
    """
    if len(value) < 3:
        raise BadRouteError("MP_UNREACH_NLRI is cut")
    return (int.from_bytes(value[:2]), value[2]), value[3:]
