"""Sets of prefixes in filters: RFC 2622's operators, or `ge` and `le` as routers write them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from schemas.flows import strict_prefix

_RANGE = re.compile(
    r"(?P<prefix>[0-9a-fA-F.:]+/[0-9]{1,3})"
    r"(?:\^(?P<operator>[-+]|[0-9]{1,3}(?:-[0-9]{1,3})?)|(?: +ge +(?P<ge>[0-9]{1,3}))?(?: +le +(?P<le>[0-9]{1,3}))?)"
)


class PrefixRange(NamedTuple):
    """The prefixes within one, with some lengths."""

    network: IPv4Network | IPv6Network
    least: int
    """The shortest length."""
    most: int
    """The longest length."""

    def holds(self, prefix: str) -> bool:
        """Whether a normalised prefix is one of these."""
        length = int(prefix.rpartition("/")[2])
        if not self.least <= length <= self.most or (":" in prefix) != (self.network.version == 6):
            return False
        return self.network.supernet_of(_network(prefix))  # type: ignore[arg-type]  # both are of one version


@lru_cache(maxsize=4096)
def _network(prefix: str) -> IPv4Network | IPv6Network:
    return ip_network(prefix)


def parse_range(text: str) -> PrefixRange:
    """A set of prefixes (RFC 2622 2).

    `192.0.2.0/24` is only that prefix; with `^+` also all more specific ones, with `^-` only those more specific, with
    `^28` those of this length, with `^25-28` those of these lengths; `le 28`, `ge 25` and `ge 25 le 28` are the same in
    routers' notation.

    Raises:
        ValueError: it is not such a set.
    """
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text[:60]!r} is not a prefix, or one with ^+, ^-, ^N, ^N-M, ge N or le N after it")
    network = ip_network(strict_prefix(found["prefix"]))
    own, longest = network.prefixlen, int(network.max_prefixlen)
    least = most = own
    operator = found["operator"]
    if operator in ("+", "-"):
        least, most = own + (operator == "-"), longest
    elif operator:
        first, _, last = operator.partition("-")
        least, most = int(first), int(last or first)
    elif found["ge"] or found["le"]:
        least, most = int(found["ge"] or own), int(found["le"] or longest)
    if not own <= least <= most <= longest:
        raise ValueError(f"{text[:60]!r} holds no prefix: lengths go from {own} to {longest}")
    return PrefixRange(network, least, most)


def _checked(text: str) -> str:
    parse_range(text)
    return text.strip()


WrittenPrefixRange = Annotated[str, Field(max_length=80), AfterValidator(_checked)]
"""A set of prefixes as it is written; `parse_range` reads it."""
