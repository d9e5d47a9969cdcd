"""Encodes FlowSpec rules and route targets (RFC 8955, 8956, 4684) that are stored as ExaBGP's text.

ExaBGP itself parses the text, as it does its configuration. The resulting bytes are decoded again, and rejected unless
they give exactly the same text.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from collector.bgp import exabgp_library
from collector.bgp.families import Family
from schemas.json_object import JsonObject

FLOW, FLOW_VPN, RTC = 133, 134, 132
_NOT_COMPONENTS: Final = ("next-hop", "string")
"""What ExaBGP prints with a rule although it is not part of it."""
_ADDRESSES: Final = ("source", "destination")
_RTC_BITS, _RTC_TYPES = 96, (b"\0\2", b"\1\2", b"\2\2")
"""RFC 4684 4; the types of route targets: RFC 4360 4 and RFC 5668 2."""


def flow_bytes(family: Family, route: JsonObject, distinguisher: bytes) -> bytes:
    """A FlowSpec rule.

    Args:
        family: its family.
        route: what ExaBGP prints for it.
        distinguisher: its route distinguisher; b"": none.

    Raises:
        exabgp_library.UnreadError: ExaBGP cannot parse it, or prints the result differently.
    """
    try:
        data = _packed(family, route, distinguisher)
    except Exception as error:
        raise exabgp_library.UnreadError(str(error)[:300]) from error
    return _checked(family, data, route)


def _packed(family: Family, route: JsonObject, distinguisher: bytes) -> bytes:
    from exabgp.bgp.message.action import Action  # type: ignore[import-untyped]
    from exabgp.bgp.message.update.nlri.flow import Flow  # type: ignore[import-untyped]
    from exabgp.bgp.message.update.nlri.qualifier import RouteDistinguisher  # type: ignore[import-untyped]
    from exabgp.configuration.flow.match import ParseFlowMatch  # type: ignore[import-untyped]
    from exabgp.protocol.family import AFI, SAFI  # type: ignore[import-untyped]

    rule = Flow(AFI.create(family[0]), SAFI.create(family[1]), Action.ANNOUNCE)
    for name, read in ParseFlowMatch.known.items():
        for words in _words(name, route.get(name, ())):
            for component in read(words):
                rule.add(component)
    if distinguisher:
        rule.rd = RouteDistinguisher(distinguisher)
    return bytes(rule.pack_nlri())


def printed_rule(family: str, components: JsonObject) -> JsonObject:
    """A FlowSpec rule as ExaBGP prints it.

    Args:
        family: `ipv4 flow` or `ipv6 flow`.
        components: lists of words as in its configuration, by component name.

    Raises:
        exabgp_library.UnreadError: ExaBGP cannot parse them.
    """
    numbers: Family = (1 if family.startswith("ipv4") else 2, FLOW)
    data = _packed(numbers, components, b"")
    return exabgp_library.routes(numbers, data, "withdraw", add_path=False, hop=b"")[0]


class _Words:
    """Words of ExaBGP's configuration, one by one, followed by empty ones."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = deque(words)

    def __call__(self) -> str:
        return self._words.popleft() if self._words else ""


def _words(name: str, rules: Iterable[str]) -> Iterator[_Words]:
    """A component that ExaBGP printed, as in its configuration: a list in brackets, except for addresses."""
    if name.split("-ipv")[0] in _ADDRESSES:
        yield from (_Words([one]) for one in rules)
    elif rules:
        yield _Words(["[", *(word for one in rules for word in one.split()), "]"])


def rtc_bytes(family: Family, route: JsonObject) -> bytes:
    """A route target membership.

    Raises:
        exabgp_library.UnreadError: see `flow_bytes`.
    """
    try:
        origin = int(route["origin"]).to_bytes(4)
        candidates = [b"\0", bytes((8 * len(origin),)) + origin]  # for all route targets
        if route["route-target"] is not None:
            _, administrator, number = route["route-target"].split(":")
            targets = [kind + _target(kind, administrator, int(number)) for kind in _RTC_TYPES]
            candidates = [bytes((_RTC_BITS,)) + origin + target for target in targets]
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise exabgp_library.UnreadError(str(error)) from error
    for data in candidates:
        try:
            return _checked(family, data, route)
        except exabgp_library.UnreadError:
            continue
    raise exabgp_library.UnreadError(f"no route target is {route['route-target']}")


def _target(kind: bytes, administrator: str, number: int) -> bytes:
    """The value of a route target of some type; if none is possible, a value that is not printed in that way."""
    if "." in administrator:
        return socket.inet_aton(administrator) + (number % 2**16).to_bytes(2)
    if kind == _RTC_TYPES[0]:
        return (int(administrator) % 2**16).to_bytes(2) + (number % 2**32).to_bytes(4)
    return (int(administrator) % 2**32).to_bytes(4) + (number % 2**16).to_bytes(2)


def _checked(family: Family, data: bytes, route: JsonObject) -> bytes:
    again = exabgp_library.routes(family, data, "withdraw", add_path=False, hop=b"")
    if [_rule(one) for one in again] != [_rule(route)]:
        raise exabgp_library.UnreadError("ExaBGP's words do not tell all of it")
    return data


def _rule(route: JsonObject) -> JsonObject:
    return {name: value for name, value in route.items() if name not in _NOT_COMPONENTS}
