"""The configured peers, as announcements see them."""

from __future__ import annotations

from typing import NamedTuple, Self

from collector.settings.bgp import PeerSettings
from collector.settings.policies import PolicySettings
from collector.settings.values import EVERY_FAMILY


class Speaker(NamedTuple):
    """A configured peer, as an announcement sees it."""

    address: str
    asn: int
    local_as: int
    families: tuple[str, ...]
    group: str | None = None
    policies: tuple[PolicySettings, ...] = ()
    """The export policies, including those for other peers."""

    @classmethod
    def of(cls, peer: PeerSettings, policies: tuple[PolicySettings, ...] = ()) -> Self:
        """The peer of these settings."""
        return cls(peer.address, peer.asn, peer.local_as or 0, peer.families, peer.group, policies)

    @property
    def is_internal(self) -> bool:
        """Whether it is of our own AS (iBGP)."""
        return self.asn == self.local_as

    def has(self, family: str) -> bool:
        """Whether it is configured for a family."""
        return family in self.families or EVERY_FAMILY in self.families
