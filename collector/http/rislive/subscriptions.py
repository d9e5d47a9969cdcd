"""The subscriptions of a client: thousands of prefixes, matched by looking up those that contain a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from bgpledger import UsageError
from collector.http.rislive.messages import KINDS
from collector.http.rislive.paths import path_pattern
from schemas.json_object import JsonObject
from schemas.scalars import normalise_address, normalise_prefix

MOST = 10_000
"""The maximum number of subscriptions of one client."""
_MOST_AT_ONCE = 1000
_LONGEST_PATH = 200
_Network = IPv4Network | IPv6Network


class SocketOptions(BaseModel):
    """How messages are sent; for all subscriptions of a client."""

    includeRaw: bool = False  # noqa: N815  # as RIS Live has it
    acknowledge: bool = False


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Subscription(BaseModel):
    """One subscription; absent conditions always match."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: str | None = Field(None, max_length=100)
    type: str | None = None
    require: (
        Literal["path", "community", "origin", "med", "aggregator", "announcements", "withdrawals", "state"] | None
    ) = None
    peer: str | None = Field(None, max_length=100)
    path: Annotated[str | None, BeforeValidator(_text), Field(max_length=_LONGEST_PATH)] = None
    prefix: str | None = None
    moreSpecific: bool = True  # noqa: N815  # as RIS Live has it
    lessSpecific: bool = False  # noqa: N815

    @field_validator("type")
    @classmethod
    def _type(cls, value: str | None) -> str | None:
        if value is not None and value not in KINDS:
            raise ValueError(f"messages of type {value[:40]!r} are not sent here, only {' and '.join(KINDS)}")
        return value

    @field_validator("prefix", mode="before")
    @classmethod
    def _prefix(cls, value: object) -> str | None:
        return None if value is None else normalise_prefix(str(value))

    @field_validator("peer")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else normalise_address(value)

    @field_validator("path")
    @classmethod
    def _as_path(cls, value: str | None) -> str | None:
        if value is not None:
            path_pattern(value)
        return value

    def takes(self, message: JsonObject) -> bool:
        """Whether a message matches, apart from its prefix."""
        return (
            (self.host is None or self.host.removesuffix(".ripe.net").lower() == message["host"])
            and (self.type is None or self.type == message["type"])
            and (self.require is None or message.get(self.require) not in (None, []))
            and (self.peer is None or self.peer == message["peer"])
            and (self.path is None or ("path" in message and path_pattern(self.path).matches(message["path"])))
        )

    def holders(self) -> Iterator[tuple[_Network, bool]]:
        """The prefixes under which it is looked up, and whether prefixes within them match too."""
        if self.prefix is not None:
            network = ip_network(self.prefix)
            yield network, self.moreSpecific
            if self.lessSpecific:
                yield from ((network.supernet(new_prefix=length), False) for length in range(network.prefixlen))


class Request(NamedTuple):
    """What a client asks for."""

    subscriptions: list[Subscription]
    """One for each prefix, or one."""
    options: SocketOptions | None
    """None: they stay as they are."""

    @classmethod
    def parse(cls, data: object) -> Self:
        """The `data` of a `ris_subscribe`; null and "" are conditions that are not given.

        Raises:
            UsageError: it is invalid.
        """
        if not isinstance(data, dict | None):
            raise UsageError("data is not an object", 'send {"type": "ris_subscribe", "data": {}}')
        given = {name: one for name, one in (data or {}).items() if one is not None and one != ""}
        options, prefixes = given.pop("socketOptions", None), given.pop("prefix", [])
        if not isinstance(prefixes, list):
            prefixes = [prefixes]
        if len(prefixes) > _MOST_AT_ONCE:
            raise UsageError(f"prefix: these are more than {_MOST_AT_ONCE}", "subscribe several times")
        try:
            return cls(
                [Subscription.model_validate(given | one) for one in ({"prefix": one} for one in prefixes)]
                or [Subscription.model_validate(given)],
                None if options is None else SocketOptions.model_validate(options),
            )
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(str(one) for one in fault["loc"]) or "data"
            raise UsageError(f"{place}: {fault['msg']}", "see the manual of RIS Live") from None


class Subscriptions:
    """All subscriptions of one client."""

    def __init__(self) -> None:
        self._all: dict[Subscription, None] = {}
        self._by_prefix: dict[_Network, dict[Subscription, bool]] = {}
        self._of_any: dict[Subscription, None] = {}
        self.options = SocketOptions()

    def add(self, one: Subscription) -> None:
        """Add a subscription.

        Raises:
            UsageError: there are too many.
        """
        if len(self._all) >= MOST and one not in self._all:
            raise UsageError(f"a client has at most {MOST} subscriptions", "open another connection")
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
