"""The types of single settings: what is allowed in a configuration file, and thus in exabgp.conf."""

from __future__ import annotations

import errno
import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from schemas.json_object import JsonObject
from schemas.scalars import normalise_address, normalise_prefix, parse_asn

EVERY_FAMILY = "all"
FAMILIES = (
    *(
        f"ipv4 {name}"
        for name in ("unicast", "multicast", "nlri-mpls", "mpls-vpn", "mcast-vpn", "flow", "flow-vpn", "mup")
    ),
    *(f"ipv6 {name}" for name in ("unicast", "nlri-mpls", "mpls-vpn", "mcast-vpn", "flow", "flow-vpn", "mup")),
    "l2vpn vpls",
    "l2vpn evpn",
    "bgp-ls bgp-ls",
    "bgp-ls bgp-ls-vpn",
)
"""The families that ExaBGP 5.0 accepts in a `family` block (exabgp/configuration/neighbor/family.py); no block means
all."""

_RESERVED_ASNS = {
    0: "reserved (RFC 7607)",
    23456: "AS_TRANS, which stands for an AS number of four bytes (RFC 6793)",
    65535: "reserved (RFC 7300)",
    4294967295: "reserved (RFC 7300)",
}


def _whole(value: object) -> object:
    # Pydantic would accept true for 1 and 1.0 for 1.
    if isinstance(value, bool | float):
        raise ValueError("is not a whole number")  # noqa: TRY004 - pydantic lets a TypeError pass
    return value


def _as_number(value: object) -> object:
    """An AS number in any notation, `1.10` too; pydantic reports what is invalid."""
    if isinstance(value, str):
        with suppress(ValueError):
            return parse_asn(value.strip())
    return _whole(value)


def _asn(number: int) -> int:
    if number in _RESERVED_ASNS:
        raise ValueError(f"is {_RESERVED_ASNS[number]}: no BGP speaker may use it")
    return number


def _hold_time(seconds: int) -> int:
    if seconds in (1, 2):
        raise ValueError("is neither 0 nor at least 3 (RFC 4271 4.2)")
    return seconds


def _router_id(text: str) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise ValueError("is not an IPv4 address") from None
    if not int(address):
        raise ValueError("is 0.0.0.0, which RFC 6286 forbids")
    return str(address)


def _divides_the_day(hours: int) -> int:
    if hours < 1 or 24 % hours:
        raise ValueError("does not divide the day: give 1, 2, 3, 4, 6, 8, 12 or 24")
    return hours


def comma_separated(value: object) -> object:
    """A list from one text with commas between its values, as in an environment variable."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _known_families(names: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(" ".join(name.lower().split()) for name in names)
    for at, name in enumerate(names):
        if name == EVERY_FAMILY and len(names) > 1:
            raise ValueError(f"has {EVERY_FAMILY!r} beside other families")
        if name not in (EVERY_FAMILY, *FAMILIES):
            raise ValueError(f"has {name[:40]!r}, which ExaBGP does not support")
        if name in names[:at]:
            raise ValueError(f"has {name!r} twice")
    return names


def _peer_address(text: str) -> str:
    if "/" not in text:
        return normalise_address(text)
    prefix = normalise_prefix(text)
    given = normalise_address(text.partition("/")[0])
    address, _, length = prefix.partition("/")
    if given != address:
        raise ValueError(f"has host bits set: the range is {prefix}")
    return address if int(length) == (128 if ":" in address else 32) else prefix


def is_range(text: str) -> bool:
    """Whether this is a prefix of more than one address."""
    _address, slash, length = text.partition("/")
    return bool(slash) and length != ("128" if ":" in text else "32")


def split_endpoint(text: str) -> tuple[str, int]:
    """`ADDR:PORT` or `[ADDR]:PORT` as its address and its port.

    Raises:
        ValueError: it is neither, or the port is not from 1 to 65535.
    """
    address, _, port = text.rpartition(":")
    if ":" in address:
        if not (address.startswith("[") and address.endswith("]")):
            raise ValueError("needs brackets around an IPv6 address: [::1]:1790")
        address = address[1:-1]
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 2**16):
        raise ValueError("is not ADDR:PORT with a port from 1 to 65535")
    return normalise_address(address), int(port)


def _endpoint(text: str) -> str:
    address, port = split_endpoint(text)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoint_or_off(text: str) -> str:
    return "" if text in ("", "off") else _endpoint(text)


def is_loopback(address: str) -> bool:
    """Whether an address can only be reached from this machine."""
    return ip_address(address).is_loopback


def _web_socket_url(text: str) -> str:
    parts = urlsplit(text)  # of a port that is none, `port` raises what is wrong
    if text and (parts.scheme not in ("ws", "wss") or not parts.hostname or parts.fragment or parts.port == 0):
        raise ValueError(f"{text[:60]!r} is not a WebSocket URL, such as wss://ris-live.ripe.net/v1/ws/")
    return text


_SUBSCRIPTION: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("host", "type", "require", "peer"), str),
    "path": (str, int),
    "prefix": (str, list),
    **dict.fromkeys(("moreSpecific", "lessSpecific"), bool),
}
"""The fields of a RIS Live subscription, and the type of each."""


def _read_subscriptions(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not a JSON list: {error}") from None


def _some(wanted: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    if not wanted:
        raise ValueError("is empty: without a subscription RIS Live sends nothing")
    return wanted


def _subscription(wanted: JsonObject) -> JsonObject:
    for key, value in wanted.items():
        if key not in _SUBSCRIPTION:
            raise ValueError(f"has {key[:40]!r}, which RIS Live does not support: {', '.join(_SUBSCRIPTION)}")
        if not isinstance(value, _SUBSCRIPTION[key]):
            raise ValueError(f"has {str(value)[:60]!r} as {key}")  # noqa: TRY004  # pydantic tells it as it is
    return wanted


def _host_name(text: str) -> str:
    name = text.lower()
    if len(name) > 253 or not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*", name):
        raise ValueError("is not a host name, such as bgp.example.net")
    return name


def _origin(text: str) -> str:
    origin = text.lower()
    if not re.fullmatch(r"https?://[a-z0-9.\[\]:-]{1,260}", origin):
        raise ValueError("is not a web origin, such as https://portal.example.net")
    return origin


def _possible_path(path: Path) -> Path:
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("is too long for a file name") from None
    except ValueError:
        raise ValueError("has a null character, which no file name may have") from None
    return path


def _line_of_text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def _mongodb_uri(uri: SecretStr) -> SecretStr:
    if not re.match(r"mongodb(\+srv)?://.", uri.get_secret_value()):
        raise ValueError("does not begin with mongodb:// or mongodb+srv://")
    return uri


def network(address: str) -> IPv4Network | IPv6Network:
    """The addresses of a peer's address or range."""
    return ip_network(address)


def source_address(listen: str) -> str:
    """An IPv4 address to identify this machine: the one we listen on, or else the default route's source address."""
    address, _port = split_endpoint(listen)
    if ":" in address or address.startswith("127.") or address == "0.0.0.0":  # noqa: S104 - compared, not bound
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # no packet is sent: the kernel only chooses a source (RFC 5737 address)
                probe.connect(("192.0.2.1", 9))
                address = probe.getsockname()[0]
            except OSError:
                address = "127.0.0.1"
    return address


PeerAsn = Annotated[int, BeforeValidator(_as_number), Field(ge=0, le=2**32 - 1), AfterValidator(_asn)]
HoldTime = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=65535), AfterValidator(_hold_time)]
RestartTime = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=4095)]
Processes = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=16)]
Port = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=65535)]
Hops = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=254)]
Mebibytes = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=4096)]
Days = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=24_855)]
"""MongoDB counts a TTL in seconds, 2**31 - 1 at most."""
HoursOfDay = Annotated[int, BeforeValidator(_whole), AfterValidator(_divides_the_day)]
Lines = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=100_000)]
RouterId = Annotated[str, AfterValidator(_router_id)]
Families = Annotated[
    tuple[str, ...], BeforeValidator(comma_separated), Field(min_length=1), AfterValidator(_known_families)
]
PeerAddress = Annotated[str, AfterValidator(_peer_address)]
Sources = Annotated[tuple[PeerAddress, ...], BeforeValidator(comma_separated), Field(min_length=1)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Endpoints = Annotated[tuple[Endpoint, ...], BeforeValidator(comma_separated)]
EndpointOrOff = Annotated[str, AfterValidator(_endpoint_or_off)]
"""Empty: off."""
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(comma_separated)]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(comma_separated)]
WebSocketUrl = Annotated[str, AfterValidator(_web_socket_url)]
Subscriptions = Annotated[
    tuple[Annotated[JsonObject, AfterValidator(_subscription)], ...],
    BeforeValidator(_read_subscriptions),
    AfterValidator(_some),
]
"""A JSON list in an environment variable."""
PossiblePath = Annotated[Path, AfterValidator(_possible_path)]
Text = Annotated[str, Field(max_length=200), AfterValidator(_line_of_text)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_line_of_text)]
MongodbUri = Annotated[SecretStr, AfterValidator(_mongodb_uri)]
