"""Uses ExaBGP's own decoder as a library: for routes that are not prefixes, and for rare attributes.

The result is what ExaBGP prints, so that documents do not depend on the source of a message. The library is loaded when
it is first needed, which takes a tenth of a second.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, Literal

from pydantic_core import from_json

from schemas.exabgp.json_repair import mended
from schemas.json_object import JsonObject
from schemas.message_parts import Capability
from schemas.scalars import storable

_FAMILIES: Final = frozenset(
    [
        (afi, safi)
        for afi, safis in ((1, (5, 85, 132, 133, 134)), (2, (5, 85, 133, 134)), (25, (65, 70)), (16388, (71, 72)))
        for safi in safis
    ]
)


_BGP_LS: Final = 16388


class UnreadError(ValueError):
    """ExaBGP cannot decode this."""


def reads(family: tuple[int, int]) -> bool:
    """Whether it can decode the routes of a family that does not consist of prefixes."""
    return family in _FAMILIES


def routes(
    family: tuple[int, int], data: bytes, event: Literal["announce", "withdraw"], *, add_path: bool, hop: bytes
) -> list[JsonObject]:
    """The routes in a field NLRI, each as ExaBGP prints it; for BGP-LS with the bytes, which the text does not contain.

    Raises:
        UnreadError: one of them cannot be decoded.
    """
    _silent()
    from exabgp.bgp.message.action import Action  # type: ignore[import-untyped]
    from exabgp.bgp.message.update.nlri import NLRI  # type: ignore[import-untyped]
    from exabgp.protocol.family import AFI, SAFI  # type: ignore[import-untyped]
    from exabgp.protocol.ip import IP, NoNextHop  # type: ignore[import-untyped]

    action = Action.ANNOUNCE if event == "announce" else Action.WITHDRAW
    afi, safi = AFI.create(family[0]), SAFI.create(family[1])
    found: list[JsonObject] = []
    try:
        while data:
            nlri, left = NLRI.unpack_nlri(afi, safi, data, action, add_path)
            if len(left) >= len(data):
                raise UnreadError("it reads nothing")  # noqa: TRY301
            if event == "announce":
                nlri.nexthop = IP.unpack(hop[-16:] if len(hop) > 4 else hop) if hop else NoNextHop
            route = _parsed(nlri.json(compact=False))
            if family[0] == _BGP_LS and not add_path and "raw" not in route:
                route["bytes"] = data[: len(data) - len(left)].hex()
            found.append(route)
            data = left
    except UnreadError:
        raise
    except Exception as error:
        raise UnreadError(str(error)[:300] or type(error).__name__) from error
    return found


def capabilities(parameters: bytes) -> list[Capability]:
    """The capabilities in an OPEN's optional parameters (RFC 5492 4, RFC 9072 2), as ExaBGP prints them.

    Args:
        parameters: the field with its length.

    Raises:
        UnreadError: one of them cannot be decoded.
    """
    _silent()
    from exabgp.bgp.message.open.capability.capabilities import Capabilities  # type: ignore[import-untyped]

    try:
        read = Capabilities.unpack(parameters)
        capabilities = {int(code): _parsed(one.json()) for code, one in read.items()}
    except UnreadError:
        raise
    except Exception as error:
        raise UnreadError(str(error)[:300] or type(error).__name__) from error
    return [
        {"code": code, **{key: value for key, value in one.items() if key != "code"}}
        for code, one in capabilities.items()
    ]


def attribute(code: int, flags: int, value: bytes) -> Any:
    """The value of an attribute, in the form in which ExaBGP prints it.

    Raises:
        UnreadError: it cannot be decoded.
    """
    _silent()
    from exabgp.bgp.message.direction import Direction  # type: ignore[import-untyped]
    from exabgp.bgp.message.update.attribute import Attribute  # type: ignore[import-untyped]

    try:
        read = Attribute.unpack(code, flags, value, Direction.IN, _negotiated())
        text = read.json() if hasattr(read, "json") else None
        return _parsed(text) if text else str(read)
    except UnreadError:
        raise
    except Exception as error:
        raise UnreadError(str(error)[:300] or type(error).__name__) from error


@lru_cache(maxsize=65_536)
def community_words(value: bytes) -> str:
    """An extended community as ExaBGP's text; "" if it has none."""
    _silent()
    from exabgp.bgp.message.update.attribute.community.extended import ExtendedCommunity, ExtendedCommunityIPv6  # type: ignore[import-untyped]

    kind = ExtendedCommunity if len(value) == 8 else ExtendedCommunityIPv6
    try:
        fields = from_json(kind.unpack(value).json())
        return str(fields.get("string", ""))
    except Exception:
        return ""


def _parsed(text: str) -> Any:
    raw = text.encode()
    try:
        value = from_json(raw)
    except ValueError:
        try:
            value = from_json(mended(raw))
        except ValueError as error:
            raise UnreadError(f"ExaBGP prints no JSON: {error}") from error
    return storable(value)


@lru_cache(maxsize=1)
def _silent() -> None:
    """ExaBGP logs each step of its decoder, and cannot work without a log."""
    from exabgp.logger import log  # type: ignore[import-untyped]

    log.silence()


@lru_cache(maxsize=1)
def _negotiated() -> Any:
    return SimpleNamespace(asn4=True, aigp=True, nexthop=[], families=[], cached_attributes=None)
