"""Peers, and what identifies them."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.scalars import Asn, address_order

Rib = Literal["pre-policy", "post-policy", "local", "out-pre-policy", "out-post-policy"]
"""Which of a router's tables: Adj-RIB-In before and after its policy (RFC 7854 4.2), Loc-RIB (RFC 9069), Adj-RIB-Out
before and after its policy (RFC 8671)."""


def peer_name(address: str, router: str | None = None, rd: str | None = None, rib: str | None = None) -> str:
    """What identifies a peer: `192.0.2.1`, or `192.0.2.1 at 198.51.100.1 0:0 post-policy`.

    Its AS is not part of this: it may change with the next session.
    """
    if router is rd is rib is None:
        return address
    return " ".join(filter(None, (address, "at", router, rd, rib)))


def name_order(name: str) -> tuple[int, bytes, str]:
    """The sort key of a peer: its address, then the router, distinguisher and table."""
    return *address_order(name.partition(" ")[0]), name


def _is_absent(value: object) -> bool:
    return value is None


class Peer(BaseModel):
    """The router at the other end of a session; if another router reports it, also which router, and which table.

    A peer that speaks to the collector itself has only an address and an AS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    address: str
    asn: Asn
    router: Annotated[str | None, Field(exclude_if=_is_absent)] = None
    """The router that reports the peer (RFC 7854): its address, or the name of a route collector."""
    rd: Annotated[str | None, Field(exclude_if=_is_absent)] = None
    """The peer's distinguisher at that router, `0:0` in its global instance (RFC 7854 4.2); or the name of a view."""
    rib: Annotated[Rib | None, Field(exclude_if=_is_absent)] = None
    """Which of that router's tables."""

    @cached_property
    def name(self) -> str:
        """What identifies it; see `peer_name`."""
        return peer_name(self.address, self.router, self.rd, self.rib)

    @cached_property
    def itself(self) -> Peer:
        """The peer of a router itself, without the table; for a Loc-RIB, the router."""
        if self.rib in (None, "local"):
            return self
        return Peer(address=self.address, asn=self.asn, router=self.router, rd=self.rd)
