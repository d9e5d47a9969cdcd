"""The settings: one frozen model, whose fields are the keys of conf/collector.toml."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from collector.settings import values
from collector.settings.announce import AnnounceSettings, StaticSettings
from collector.settings.bgp import BgpSettings, PeerSettings, SessionSettings
from collector.settings.checks import CheckSettings, CommandSettings
from collector.settings.http import HttpSettings
from collector.settings.keeping import ArchiveSettings, RetentionSettings, RibSettings, SpoolSettings
from collector.settings.policies import PolicySettings
from collector.settings.section import SettingsError, SettingsSection
from collector.settings.sources import BmpSettings, ExabgpSettings, RisLiveSettings
from collector.settings.store import StoreSettings


class LogSettings(SettingsSection):
    """What is logged on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description='"debug", "info", "warning" or "error"'
    )


class Settings(StoreSettings):
    """All settings of a collector."""

    collector: values.Name = Field(
        default_factory=socket.gethostname, description="a name of at most 100 characters, in every document"
    )
    bgp: BgpSettings = BgpSettings()
    bmp: BmpSettings | None = None
    peers: tuple[PeerSettings, ...] = ()
    exabgp: ExabgpSettings = ExabgpSettings()
    spool: SpoolSettings = SpoolSettings()
    archive: ArchiveSettings = ArchiveSettings()
    rib: RibSettings = RibSettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    ris_live: RisLiveSettings = RisLiveSettings()
    announce: AnnounceSettings | None = None
    policies: tuple[PolicySettings, ...] = ()
    checks: tuple[CheckSettings, ...] = ()
    commands: tuple[CommandSettings, ...] = ()
    log: LogSettings = LogSettings()

    @field_validator("peers")
    @classmethod
    def _inherit(cls, peers: tuple[PeerSettings, ...], info: ValidationInfo) -> tuple[PeerSettings, ...]:
        """Give each peer the defaults of [bgp] for what it does not set itself."""
        bgp: BgpSettings | None = info.data.get("bgp")
        if bgp is None:  # it is invalid, which is reported
            return peers
        return tuple(
            peer.model_copy(
                update={key: getattr(bgp, key) for key in SessionSettings.model_fields.keys() - peer.model_fields_set}
            )
            for peer in peers
        )

    @model_validator(mode="after")
    def _deciders_fit_together(self) -> Settings:
        for key in ("checks", "commands"):
            names = [one.name for one in getattr(self, key)]
            if names and self.announce is None:
                raise SettingsError(
                    key,
                    "would announce something, but there is no [announce]",
                    "list there which prefixes may be announced",
                )
            if twice := [name for at, name in enumerate(names) if name in names[:at]]:
                raise SettingsError(key, f"has two with the name {twice[0]!r}", "give each a name of its own")
        return self

    @model_validator(mode="after")
    def _selected_peers_are_there(self) -> Settings:
        """A rule, or an announcement, for a misspelt peer would have no effect."""
        addresses = [peer.address for peer in self.peers if not peer.is_range]
        groups = {peer.group for peer in self.peers}
        sections: dict[str, tuple[StaticSettings | PolicySettings | CheckSettings, ...]] = {
            "announce.static": self.announce.static if self.announce else (),
            "policies": self.policies,
            "checks": self.checks,
        }
        for section, chosen in sections.items():
            for at, one in enumerate(chosen):
                if unknown := [peer for peer in one.peers if peer not in addresses]:
                    raise SettingsError(
                        f"{section}[{at}].peers",
                        f"has {unknown[0]}, which is the address of no peer",
                        f"the peers are {', '.join(addresses[:10]) or 'none: add one below [[peers]]'}",
                    )
                if one.group is not None and one.group not in groups:
                    raise SettingsError(
                        f"{section}[{at}].group",
                        f"is {one.group!r}, which no peer has",
                        "give a peer this group below [[peers]], or correct it",
                    )
        return self

    @model_validator(mode="after")
    def _deciders_are_allowed(self) -> Settings:
        if self.announce is None:
            return self
        static = [(f"announce.static[{at}].prefix", one.prefix) for at, one in enumerate(self.announce.static)]
        checked = [(f"checks[{at}].ip", prefix) for at, check in enumerate(self.checks) for prefix in check.ip]
        for key, prefix in (*static, *checked):
            if not any(one.holds(prefix) for one in self.announce.ranges):
                raise SettingsError(
                    key, f"has {prefix}, which is not in announce.prefixes", "add it there if it is yours to announce"
                )
        return self

    @model_validator(mode="after")
    def _peers_fit_together(self) -> Settings:
        for at, peer in enumerate(self.peers):
            key = f"peers[{at}]"
            for before, other in enumerate(self.peers[:at]):
                _no_overlap(key, peer, f"peers[{before}]", other)
            if peer.local_as is None:
                raise SettingsError(
                    "bgp.local_as",
                    "is missing",
                    "give our AS number: local_as in [bgp], or --local-as; a private one is 64512",
                )
            if peer.passive and not peer.local_address and not self.bgp.accepts(peer.address):
                raise SettingsError(
                    f"{key}.passive",
                    f"waits for {peer.address} to connect, but {self.bgp.listen} is not of its family",
                    'set bgp.listen = "[::]:PORT" to listen on both families, or a local_address for this peer',
                )
        return self


def _no_overlap(key: str, peer: PeerSettings, other_key: str, other: PeerSettings) -> None:
    # An address within a range is fine: ExaBGP looks up single addresses first.
    if peer.address == other.address:
        raise SettingsError(f"{key}.address", f"{peer.address} is already {other_key}", "remove one of them")
    if peer.is_range and other.is_range and _overlap(peer.network, other.network):
        raise SettingsError(
            f"{key}.address", f"{peer.address} overlaps {other_key}, {other.address}", "make the ranges disjoint"
        )


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)
