"""The parts of messages that are dictionaries in messages and documents alike: routes, and capabilities."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from schemas.json_object import JsonObject
from schemas.scalars import Family, Uint32

Capability = JsonObject
"""A capability of an OPEN (RFC 5492 4): its `code`, usually its `name`, and its contents, as ExaBGP prints them."""


class _Routes(TypedDict):
    family: Family
    """Such as `ipv4 unicast` (RFC 4760)."""


@with_config(ConfigDict(extra="forbid"))
class Withdrawn(_Routes, total=False):
    """Routes of one family withdrawn together, in the form of documents: only keys that are present.

    Path ID, route distinguisher and labels apply to all of them.
    """

    path_id: Uint32
    """RFC 7911 3."""
    rd: str
    """The route distinguisher (RFC 4364 4.2)."""
    labels: list[list[int]]
    """MPLS labels (RFC 8277 2), as ExaBGP prints them."""
    nlri: list[str]
    """Prefixes, normalised."""
    host_bits: list[str]
    """Prefixes of `nlri` that arrived with host bits set, unchanged."""
    objects: list[Any]
    """Routes of families that are not prefixes (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints them; those of BGP-LS
    with their `bytes` (hexadecimal) if the message's bytes were read."""


class Announced(Withdrawn, total=False):
    """Routes of one family announced together with one next hop."""

    next_hop: str
    """The address; for an IPv6 next hop of 32 bytes the global one, or the first if both are global."""
    link_local: str
    """The link-local address that came with it (RFC 2545 3)."""


class PeerOpens(TypedDict):
    """Both OPENs of a session between a router and its peer; each as in `Open`, or its bytes if it cannot be parsed."""

    sent: JsonObject
    received: JsonObject
