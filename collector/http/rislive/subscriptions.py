"""The subscriptions of a socket: thousands of prefixes, matched by looking up those that contain a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from bgpledger import UsageError
from schemas.json_object import JsonObject
from schemas.scalars import normalise_address, normalise_prefix

MOST = 10_000
"""The maximum number of subscriptions of one socket."""
_LONGEST_PATH = 200
_Network = IPv4Network | IPv6Network


class SocketOptions(BaseModel):
    """How messages are sent."""

    includeRaw: bool = False  # noqa: N815  # as RIS Live has it
    acknowledge: bool = True


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Subscription(BaseModel):
    """One subscription; absent conditions always match."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: str | None = Field(None, max_length=100)
    type: str | None = Field(None, max_length=40)
    require: Literal["announcements", "withdrawals", "path", "community", "origin", "med", "aggregator"] | None = None
    peer: str | None = Field(None, max_length=100)
    path: Annotated[str | None, BeforeValidator(_text), Field(max_length=_LONGEST_PATH)] = None
    prefix: tuple[str, ...] = Field((), max_length=1000)
    moreSpecific: bool = True  # noqa: N815  # as RIS Live has it
    lessSpecific: bool = False  # noqa: N815

    @field_validator("prefix", mode="before")
    @classmethod
    def _prefixes(cls, value: object) -> object:
        texts = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(normalise_prefix(str(one)) for one in texts)

    @field_validator("peer")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else normalise_address(value)

    @field_validator("path")
    @classmethod
    def _as_path(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"\^?\d+(,\d+)*\$?", value):
            raise ValueError("is not a list of ASes with commas, with ^ before or $ after it")
        return value or None

    def takes(self, message: JsonObject) -> bool:
        """Whether a message matches, apart from its prefix."""
        return (
            (self.host is None or self.host.removesuffix(".ripe.net").lower() == message["host"])
            and (self.type is None or self.type == message["type"])
            and (self.require is None or self.require in message)
            and (self.peer is None or self.peer == message["peer"])
            and (self.path is None or _matches(self.path, message.get("path")))
        )

    def holders(self) -> Iterator[tuple[_Network, bool]]:
        """The prefixes under which it is looked up, and whether prefixes within them match too."""
        for one in self.prefix:
            network = ip_network(one)
            yield network, self.moreSpecific
            if self.lessSpecific:
                yield from ((network.supernet(new_prefix=length), False) for length in range(network.prefixlen))


def parse(data: object) -> tuple[Subscription, SocketOptions]:
    """The subscription in the `data` of a `ris_subscribe`.

    Raises:
        UsageError: it is invalid.
    """
    fields = data if isinstance(data, dict) else {}
    try:
        options = SocketOptions.model_validate(fields.get("socketOptions") or {})
        return Subscription.model_validate({name: one for name, one in fields.items() if one is not None}), options
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(one) for one in fault["loc"]) or "data"
        raise UsageError(f"{place}: {fault['msg']}", "see the manual of RIS Live") from None


class Subscriptions:
    """All subscriptions of one socket."""

    def __init__(self) -> None:
        self._all: dict[Subscription, None] = {}
        self._by_prefix: dict[_Network, dict[Subscription, bool]] = {}
        self._of_any: dict[Subscription, None] = {}
        self.include_raw = False
        """Whether messages include their bytes: this applies to the whole socket, like all options."""

    def add(self, one: Subscription) -> None:
        """Add a subscription.

        Raises:
            UsageError: there are too many.
        """
        if len(self._all) >= MOST:
            raise UsageError(f"a socket has at most {MOST} subscriptions", "open another one")
        self._all[one] = None
        if not one.prefix:
            self._of_any[one] = None
        for network, within in one.holders():
            known = self._by_prefix.setdefault(network, {})
            known[one] = known.get(one, False) or within

    def remove(self, one: Subscription) -> None:
        """Remove a subscription, if it exists."""
        self._all.pop(one, None)
        self._of_any.pop(one, None)
        for network, _ in one.holders():
            known = self._by_prefix.get(network, {})
            known.pop(one, None)
            if not known:
                self._by_prefix.pop(network, None)

    def clear(self) -> None:
        """Remove all subscriptions."""
        self.__init__()  # type: ignore[misc]  # it begins anew

    def wants(self, message: JsonObject, prefixes: Iterable[str]) -> bool:
        """Whether any subscription matches a message about prefixes, or about none."""
        if any(one.takes(message) for one in self._of_any):
            return True
        return bool(self._by_prefix) and any(self._wants(message, prefix) for prefix in prefixes)

    def _wants(self, message: JsonObject, prefix: str) -> bool:
        network = ip_network(prefix)
        for length in range(network.prefixlen, -1, -1):
            known = self._by_prefix.get(network.supernet(new_prefix=length), {})
            exact = length == network.prefixlen
            if any((within or exact) and one.takes(message) for one, within in known.items()):
                return True
        return False


def _matches(pattern: str, path: list[int | list[int]] | None) -> bool:
    """Whether a path contains these ASes in a row; in a set any of its ASes matches."""
    if path is None:
        return False
    wanted = [int(one) for one in pattern.strip("^$").split(",")]
    places = range(len(path) - len(wanted) + 1)
    if pattern.startswith("^"):
        places = places[:1]
    if pattern.endswith("$"):
        places = places[-1:] if not pattern.startswith("^") or len(path) == len(wanted) else places[:0]
    return any(
        all(asn in has if isinstance(has, list) else asn == has for asn, has in zip(wanted, path[at:], strict=False))
        for at in places
    )
