"""Flow specifications (RFC 8955, for IPv6 RFC 8956): which packets to match, and what to do with them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.scalars import normalise_prefix

PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "sctp": 132}
"""Names of IP protocols, allowed in place of their numbers (IANA's registry)."""
TCP_FLAGS = ("fin", "syn", "rst", "push", "ack", "urg", "ece", "cwr")
FRAGMENTS = ("dont-fragment", "is-fragment", "first-fragment", "last-fragment")
_NUMBERS = re.compile(r"(=|!=|<=|>=|<|>)?([0-9]{1,10})|([0-9]{1,10})-([0-9]{1,10})")
_ROUTE_TARGET = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")


def strict_prefix(text: str) -> str:
    """A prefix, normalised.

    Raises:
        ValueError: it is not a prefix, or has host bits set: what is announced must be what was meant.
    """
    prefix = normalise_prefix(text)
    if (
        normalise_prefix(f"{text.partition('/')[0]}/{128 if ':' in text else 32}").partition("/")[0]
        != (prefix.partition("/")[0])
    ):
        raise ValueError(f"{text[:60]!r} has host bits set: the prefix is {prefix}")
    return prefix


def _protocol(value: Any) -> Any:
    if isinstance(value, str) and value.isalpha() and value.lower() not in PROTOCOLS:
        raise ValueError(f"{value[:60]!r} is neither a number nor one of {', '.join(PROTOCOLS)}")
    return str(PROTOCOLS.get(value.lower(), value)) if isinstance(value, str) else value


def _numbers(most: int) -> AfterValidator:
    def check(text: str) -> str:
        found = _NUMBERS.fullmatch(text)
        if not found:
            raise ValueError(f"{text[:60]!r} is neither a number nor a range: 80, >=1024, !=53, 1024-65535")
        values = [int(number) for number in found.groups()[1:] if number is not None]
        if max(values) > most or values != sorted(values):
            raise ValueError(f"{text[:60]!r} is not within 0 to {most}")
        return "-".join(map(str, values)) if len(values) == 2 else f"{found[1] or '='}{values[0]}"

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    """A list from one value, or from several separated by commas."""
    if isinstance(value, str):
        return [one.strip() for one in value.split(",")]
    return [str(value)] if isinstance(value, int) and not isinstance(value, bool) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _bits(known: tuple[str, ...]) -> AfterValidator:
    def check(text: str) -> str:
        names = text.removeprefix("=").lower().split("+")
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"{unknown[0][:60]!r} is none of {', '.join(known)}")
        return ("=" if text.startswith("=") else "") + "+".join(sorted(set(names), key=known.index))

    return AfterValidator(check)


def _route_target(text: str) -> str:
    found = _ROUTE_TARGET.fullmatch(text)
    if not found or int(found[1]) > 2**32 - 1 or int(found[2]) > (2**32 if int(found[1]) < 2**16 else 2**16) - 1:
        raise ValueError(f"{text[:60]!r} is not a route target such as 64500:100")
    return f"{int(found[1])}:{int(found[2])}"


_Byte = Annotated[str, BeforeValidator(_as_text), _numbers(2**8 - 1)]
_Short = Annotated[str, BeforeValidator(_as_text), _numbers(2**16 - 1)]
_Dscp = Annotated[str, BeforeValidator(_as_text), _numbers(2**6 - 1)]
_Label = Annotated[str, BeforeValidator(_as_text), _numbers(2**20 - 1)]
_Protocol = Annotated[str, BeforeValidator(_protocol), BeforeValidator(_as_text), _numbers(2**8 - 1)]
_TcpFlags = Annotated[str, _bits(TCP_FLAGS)]
_Fragment = Annotated[str, _bits(FRAGMENTS)]
_MOST = 32
"""The maximum number of entries of one component, as routers have room for few."""


_One = TypeVar("_One")
_Some = Annotated[tuple[_One, ...], BeforeValidator(_listed), Field(max_length=_MOST)]

StrictPrefix = Annotated[str, Field(max_length=60), AfterValidator(strict_prefix)]
"""A prefix without host bits."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FlowMatch(_Model):
    """Which packets (RFC 8955 4.2.2): those that match every given component, by any of its entries.

    Numbers are `80`, `!=53`, `>=1024` or `1024-65535`.
    """

    destination: StrictPrefix
    """Type 1. Required: traffic to addresses that are not ours must not be touched."""
    source: StrictPrefix | None = None
    """Type 2."""
    protocols: _Some[_Protocol] = ()
    """Type 3: the IP protocol, or for IPv6 the upper-layer protocol, as a number or a name (`udp`)."""
    ports: _Some[_Short] = ()
    """Type 4: source or destination port."""
    destination_ports: _Some[_Short] = ()
    """Type 5."""
    source_ports: _Some[_Short] = ()
    """Type 6."""
    icmp_types: _Some[_Byte] = ()
    """Type 7."""
    icmp_codes: _Some[_Byte] = ()
    """Type 8."""
    tcp_flags: _Some[_TcpFlags] = ()
    """Type 9: with `syn+ack` one of them must be set, with `=syn+ack` both (4.2.1.2)."""
    packet_lengths: _Some[_Short] = ()
    """Type 10: in bytes, with the IP header."""
    dscp: _Some[_Dscp] = ()
    """Type 11."""
    fragments: _Some[_Fragment] = ()
    """Type 12, as `tcp_flags`."""
    flow_labels: _Some[_Label] = ()
    """Type 13, only for IPv6 (RFC 8956 3.7)."""

    @property
    def is_ipv6(self) -> bool:
        """Whether it matches IPv6 packets."""
        return ":" in self.destination

    @model_validator(mode="after")
    def _of_one_family(self) -> Self:
        if self.source is not None and (":" in self.source) != self.is_ipv6:
            raise ValueError("source and destination are not of one family")
        if self.flow_labels and not self.is_ipv6:
            raise ValueError("flow_labels are only for IPv6 (RFC 8956 3.7)")
        if self.is_ipv6 and any("dont-fragment" in one for one in self.fragments):
            raise ValueError("dont-fragment is only for IPv4 (RFC 8956 3.6)")
        return self


class FlowActions(_Model):
    """What routers do with these packets (RFC 8955 7)."""

    discard: bool = False
    """Drop them: a rate of 0 (7.1)."""
    rate_bytes: Annotated[int, Field(ge=9600, le=10**12)] | None = None
    """Let this many bytes a second pass (7.1)."""
    rate_packets: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Let this many packets a second pass (7.2)."""
    redirect: Annotated[str, AfterValidator(_route_target)] | None = None
    """Send them to the VRF of this route target, `ASN:NUMBER` (7.4)."""
    mark: Annotated[int, Field(ge=0, le=63)] | None = None
    """Set their DSCP (7.5)."""
    sample: bool = False
    """Log or sample them (7.3)."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        rates = [self.discard, self.rate_bytes is not None, self.rate_packets is not None]
        if sum(rates) > 1:
            raise ValueError("discard, rate_bytes and rate_packets exclude each other: give one of them")
        if not any((*rates, self.redirect, self.mark is not None, self.sample)):
            raise ValueError("it does nothing: give an action, such as discard")
        return self
