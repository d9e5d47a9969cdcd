"""Address families and their names (RFC 4760), as ExaBGP writes them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from schemas.message_parts import Capability

_MULTIPROTOCOL: Final = 1
"""The capability code of RFC 4760 8."""
IPV4: Final = 1
IPV6: Final = 2
_AFI_NAMES: Final = {1: "ipv4", 2: "ipv6", 25: "l2vpn", 16388: "bgp-ls"}
_SAFI_NAMES: Final = {
    1: "unicast",
    2: "multicast",
    4: "nlri-mpls",
    5: "mcast-vpn",
    65: "vpls",
    70: "evpn",
    71: "bgp-ls",
    72: "bgp-ls-vpn",
    85: "mup",
    128: "mpls-vpn",
    132: "rtc",
    133: "flow",
    134: "flow-vpn",
}

_AFI_NUMBERS: Final = {name: number for number, name in _AFI_NAMES.items()}
_SAFI_NUMBERS: Final = {name: number for number, name in _SAFI_NAMES.items()}

Family = tuple[int, int]
"""Address family and subsequent address family, as numbers (RFC 4760)."""

FAMILIES: Final[frozenset[Family]] = frozenset((afi, safi) for afi in _AFI_NAMES for safi in _SAFI_NAMES)
"""All families with names, including some that nobody uses."""
IPV4_UNICAST: Final[Family] = (1, 1)
IPV6_UNICAST: Final[Family] = (2, 1)


def family_name(family: Family) -> str:
    """A family in ExaBGP's words, such as `ipv4 unicast`; numbers if it has no name."""
    afi, safi = family
    return f"{_AFI_NAMES.get(afi, f'afi-{afi}')} {_SAFI_NAMES.get(safi, f'safi-{safi}')}"


def offered_families(capabilities: Iterable[Capability]) -> list[str] | None:
    """The families in an OPEN's multiprotocol capability (RFC 4760 8), with names from `family_name`; None without it.

    Args:
        capabilities: those of the OPEN.
    """
    families = next((one.get("families") for one in capabilities if one.get("code") == _MULTIPROTOCOL), None)
    return [str(family).replace("/", " ") for family in families] if isinstance(families, list) else None


@lru_cache(maxsize=256)
def family_number(name: str) -> Family:
    """The family with a name from `family_name`.

    Raises:
        ValueError: no family has this name.
    """
    afi, _, safi = name.partition(" ")
    numbers = _AFI_NUMBERS.get(afi), _SAFI_NUMBERS.get(safi)
    first = int(afi.removeprefix("afi-")) if numbers[0] is None else numbers[0]
    second = int(safi.removeprefix("safi-")) if numbers[1] is None else numbers[1]
    return first, second
