"""ExaBGP's neighbours: each is a peer, or a range of addresses whose peers share a counter."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache


class Neighbours:
    """Tells which neighbour counts a peer's lines.

    Args:
        ranges: the configured peer ranges (`192.0.2.0/24`).
    """

    def __init__(self, ranges: Iterable[str]) -> None:
        self._ranges = [ipaddress.ip_network(one) for one in ranges]
        self.name_of = lru_cache(maxsize=4096)(self._name_of)
        """The range that counts for an address, or the address itself."""

    def _name_of(self, address: str) -> str:
        parsed = ipaddress.ip_address(address)
        return next((str(network) for network in self._ranges if parsed in network), address)
