"""The key of routes that are not prefixes: the part of the NLRI that identifies the route.

A route replaces, and a withdrawal ends, the route with the same key. Labels, ESIs and next hops that are printed with a
route are not part of its key. All code that compares routes uses this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from schemas.json_object import JsonObject

_NlriObject = JsonObject


def nlri_key(family: str, route: Any) -> str:
    """The key of a route that is not a prefix, as JSON.

    Args:
        family: such as `l2vpn evpn`.
        route: what ExaBGP prints for it; if it is printed in an unknown form, all of it is the key.
    """
    key = route
    if isinstance(route, dict):
        read = _KEYS.get(family.rpartition(" ")[2])
        key = (read and read(route)) or route
    return json.dumps(key, sort_keys=True, default=str)


def _without(*names: str) -> Callable[[_NlriObject], _NlriObject]:
    return lambda route: {name: value for name, value in route.items() if name not in names}


def _vpls(route: _NlriObject) -> _NlriObject | None:
    """RFC 4761 3.2.2: a block of labels is identified by its site and its offset; its base and size may change."""
    names = ("rd", "endpoint", "offset")
    return {name: route[name] for name in names} if all(name in route for name in names) else None


def _bytes(route: _NlriObject) -> bytes:
    raw = route.get("raw")
    try:
        return bytes.fromhex(raw) if isinstance(raw, str) else b""
    except ValueError:
        return b""


def _evpn(route: _NlriObject) -> _NlriObject | None:
    """RFC 7432 7.1 to 7.4, RFC 9136 3.1, RFC 9251 9.1 to 9.3; for other types all of the route is the key.

    Read from the bytes: ExaBGP's text lacks the second label and the type of the route distinguisher.
    """
    nlri = _bytes(route)
    if len(nlri) < _EVPN_HEADER:
        return None
    code, body = nlri[0], nlri[_EVPN_HEADER:]
    return {"code": code, "key": _EVPN_KEYS.get(code, bytes)(body).hex()}


_EVPN_HEADER = 2  # the type, the length
_RD_AND_ESI = 8 + 10
_MAC_END = _RD_AND_ESI + 4 + 1 + 6
_LENGTH_OF_TYPE_5_IPV4 = 34


def _ethernet_segment_and_tag(body: bytes) -> bytes:
    return body[: _RD_AND_ESI + 4]


def _mac_and_ip(body: bytes) -> bytes:
    end = _MAC_END + 1 + body[_MAC_END] // 8 if len(body) > _MAC_END else len(body)
    return body[:8] + body[_RD_AND_ESI:end]


def _ip_prefix(body: bytes) -> bytes:
    address = 4 if len(body) == _LENGTH_OF_TYPE_5_IPV4 else 16
    return body[:8] + body[_RD_AND_ESI : _RD_AND_ESI + 4 + 1 + address]


_EVPN_KEYS: dict[int, Callable[[bytes], bytes]] = {
    1: _ethernet_segment_and_tag,
    2: _mac_and_ip,
    5: _ip_prefix,
    6: lambda body: body[:-1],  # without flags
    7: lambda body: body[:-1],
    8: lambda body: body[:-6],  # and without reserved bytes and the maximum response time
}


def _mup(route: _NlriObject) -> _NlriObject | None:
    """draft-ietf-bess-mup-safi 3.1.3: a type 1 session is identified by its prefix; its tunnel, QFI, addresses vary."""
    nlri = _bytes(route)
    if len(nlri) < _MUP_HEADER:
        return None
    header, body = nlri[:3], nlri[_MUP_HEADER:]
    if header == _TYPE_1_SESSION and len(body) > _RD:
        body = body[: _RD + 1 + (body[_RD] + 7) // 8]
    return {"code": header.hex(), "key": body.hex()}


_MUP_HEADER = 4  # the architecture, the type in two bytes, the length
_TYPE_1_SESSION = bytes((1, 0, 3))
_RD = 8


def _mvpn(route: _NlriObject) -> _NlriObject | None:
    """RFC 6514 4: all of it."""
    nlri = _bytes(route)
    return {"key": nlri.hex()} if nlri else None


_KEYS: dict[str, Callable[[_NlriObject], _NlriObject | None]] = {
    "evpn": _evpn,
    "vpls": _vpls,
    "mcast-vpn": _mvpn,
    "mup": _mup,
    # RFC 9552 5.2: the descriptors.
    "bgp-ls": _without("nexthop", "bytes"),
    "bgp-ls-vpn": _without("nexthop", "bytes"),
    # RFC 8955 4: what is matched, and the route distinguisher.
    "flow": _without("next-hop", "string"),
    "flow-vpn": _without("next-hop", "string"),
}
"""By subsequent family; for others, such as `rtc` (RFC 4684 4), all of the route is the key."""
