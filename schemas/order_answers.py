"""What the acting process answers to orders, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class CheckedRoute(TypedDict):
    """What one route of a dry run would result in."""

    nlri: str
    peers: Mapping[str, str]
    """By the peer's address, the command that ExaBGP would be given."""
    policies: Mapping[str, Sequence[str]]
    """By the peer's address, the rules that matched, in order. Where the peer is not in `peers`, the last of its rules
    rejects the route."""
    failing: Mapping[str, str]
    """By the peer's address, why it would not be sent for now, as in the reason of a `failed` intent."""


class OrderedIntent(TypedDict):
    """An intent of an accepted order; if it is the only one, with the other fields of `schemas.intents.Intent`."""

    id: str
