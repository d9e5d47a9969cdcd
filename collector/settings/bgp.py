"""`[bgp]` and `[[peers]]`: our side of BGP sessions, and the routers on the other side."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from pydantic import Field, model_validator

from collector.settings import values
from collector.settings.section import ALL_ADDRESSES, SettingsError, SettingsSection
from schemas.scalars import Address


class SessionSettings(SettingsSection):
    """Settings of every session: for all peers in [bgp], for one peer in its [[peers]]."""

    local_as: values.PeerAsn | None = Field(None, description="our AS number, 1 to 4294967294")
    hold_time: values.HoldTime = Field(180, description="seconds: 0 (no keepalives), or 3 to 65535")
    families: values.Families = Field(
        ("ipv4 unicast", "ipv6 unicast"),
        description='a list of ExaBGP\'s families, such as ["ipv4 unicast", "ipv6 unicast"], or "all"',
    )
    add_path: bool = Field(default=False, description="true or false: receive several paths for a prefix (RFC 7911)")
    graceful_restart: values.RestartTime = Field(
        120, description="seconds that a peer may keep our routes (RFC 4724), 0 to 4095; 0 disables it"
    )
    wire_bytes: bool = Field(default=False, description="true or false: also keep the bytes of every message")


class BgpSettings(SessionSettings):
    """Our side of BGP, and the defaults for all peers."""

    listen: values.Endpoint = Field(
        "127.0.0.1:1790", description="ADDR:PORT; 0.0.0.0:179 is all IPv4 addresses, [::]:179 all of IPv4 and IPv6"
    )
    router_id: values.RouterId = Field(
        default_factory=lambda data: values.source_address(data.get("listen", "127.0.0.1:1790")),
        description="our BGP Identifier: an IPv4 address other than 0.0.0.0 that no peer uses",
    )

    @property
    def listen_port(self) -> int:
        """The port that peers connect to."""
        return values.split_endpoint(self.listen)[1]

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """The addresses to bind: `[::]` is all of IPv6 and of IPv4, as with most daemons."""
        address = values.split_endpoint(self.listen)[0]
        return ALL_ADDRESSES if address == "::" else (address,)

    def accepts(self, address: str) -> bool:
        """Whether a peer with this address could connect to one of our addresses."""
        return any((":" in address) == (":" in ours) for ours in self.listen_addresses)


class PeerSettings(SessionSettings):
    """A router, or all routers in a range of addresses."""

    address: values.PeerAddress = Field(description="the address of a router, or a range such as 192.0.2.0/24")
    asn: values.PeerAsn = Field(description="the peer's AS number, 1 to 4294967294")
    description: values.Text | None = Field(None, description="a line of text, at most 200 characters")
    group: values.Name | None = Field(None, description="the name of a group of peers that get the same announcements")
    passive: bool = Field(default=False, description="true: only the peer connects; false: both sides may connect")
    port: values.Port = Field(179, description="the port that we connect to, 1 to 65535")
    local_address: Address | None = Field(
        None, description="our address in this session, of the same family as the peer's"
    )
    password_file: values.PossiblePath | None = Field(
        None, description="a file whose first line is the MD5 password (RFC 2385)"
    )
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable with the password"
    )
    ttl_security: values.Hops | None = Field(
        None, description="how many hops away the peer may be, 1 to 254 (RFC 5082)"
    )

    @property
    def is_range(self) -> bool:
        """Whether this is a range of routers."""
        return values.is_range(self.address)

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The addresses of the peer: one, or those of a range."""
        return values.network(self.address)

    @model_validator(mode="before")
    @classmethod
    def _ranges_are_passive(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and values.is_range(str(data.get("address"))):
            return {"passive": True, **data}
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> PeerSettings:
        if self.is_range and not self.passive:
            raise SettingsError("passive", "is false, but nobody can connect to a range", "leave passive out")
        if self.local_address and (":" in self.local_address) != (":" in self.address):
            raise SettingsError(
                "local_address", "is not of the family of the peer's address", "give one of ours in that family"
            )
        password = [key for key in ("password_file", "password_env") if getattr(self, key) is not None]
        if len(password) > 1:
            raise SettingsError("password_env", "is given together with password_file", "keep one of them")
        if password and self.is_range:
            raise SettingsError(
                password[0],
                "is given for a range: ExaBGP cannot set MD5 keys for ranges",
                "give each router of the range its own [[peers]], or no password",
            )
        return self
