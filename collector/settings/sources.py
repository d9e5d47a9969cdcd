"""`[exabgp]`, `[bmp]` and `[ris_live]`: where messages come from."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field, model_validator

from collector.settings import values
from collector.settings.section import ALL_ADDRESSES, SettingsError, SettingsSection


class ExabgpSettings(SettingsSection):
    """How ExaBGP runs."""

    python: str | None = Field(
        None, min_length=1, description='the Python that runs ExaBGP, a name or a path: "pypy3"; default: our own'
    )
    processes: values.Processes = Field(1, description="the number of processes that share the peers, 1 to 16")


class BmpSettings(SettingsSection):
    """Routers that report their peers over BMP (RFC 7854)."""

    listen: values.Endpoint = Field(
        "127.0.0.1:11019", description="ADDR:PORT; 0.0.0.0:11019 is all IPv4 addresses, [::]:11019 all of IPv4 and IPv6"
    )
    allow: values.Sources = Field(
        ("127.0.0.0/8", "::1"), description='addresses and prefixes of routers that may connect: ["192.0.2.0/24"]'
    )
    connect: values.Endpoints = Field((), description='routers to connect to, a list of ADDR:PORT: ["192.0.2.1:1790"]')
    password_file: values.PossiblePath | None = Field(
        None, description="a file whose first line is the MD5 password of all connections (RFC 2385)"
    )
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable with the password"
    )

    @property
    def listen_places(self) -> tuple[tuple[str, int], ...]:
        """The addresses and ports to bind."""
        address, port = values.split_endpoint(self.listen)
        return tuple((one, port) for one in (ALL_ADDRESSES if address == "::" else (address,)))

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The addresses from which routers may connect."""
        return tuple(values.network(one) for one in self.allow)

    @model_validator(mode="after")
    def _one_password(self) -> BmpSettings:
        if self.password_file is not None and self.password_env is not None:
            raise SettingsError("password_env", "is given together with password_file", "keep one of them")
        return self


class RisLiveSettings(SettingsSection):
    """RIS Live: what RIPE NCC's route collectors receive, in real time."""

    url: values.WebSocketUrl = Field(
        "", description='a WebSocket URL, "wss://ris-live.ripe.net/v1/ws/"; without it RIS Live is off'
    )
    client: values.Name = Field("bgpledger", description="a name of at most 100 characters, to identify us to RIS")
    subscribe: values.Subscriptions = Field(
        ({},), description='a list of tables such as {host = "rrc21", prefix = "192.0.2.0/24"}; {} is all'
    )

    @property
    def is_on(self) -> bool:
        """Whether it is configured."""
        return bool(self.url)
