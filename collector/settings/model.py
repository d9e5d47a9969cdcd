"""The settings: one frozen model, whose fields are the keys of conf/collector.toml."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from collector.settings import values
from schemas.scalars import Address

ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


class SettingsError(ValueError):
    """What is wrong with a value, where it takes more than one key to see it."""

    def __init__(self, key: str, what: str, cure: str) -> None:
        super().__init__(what)
        self.key = key
        self.cure = cure


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class SessionSettings(_Section):
    """What every session has: set for all peers in [bgp], for one in its [[peers]]."""

    local_as: values.PeerAsn | None = Field(None, description="our AS number, 1 to 4294967294")
    hold_time: values.HoldTime = Field(180, description="seconds: 0 (no keepalives), or 3 to 65535")
    families: values.Families = Field(
        ("ipv4 unicast", "ipv6 unicast"),
        description='a list of ExaBGP\'s families, such as ["ipv4 unicast", "ipv6 unicast"], or "all"',
    )
    add_path: bool = Field(default=False, description="true or false: receive several paths for a prefix (RFC 7911)")
    graceful_restart: values.RestartTime = Field(
        120, description="seconds that a peer may keep our routes (RFC 4724), 0 to 4095; 0 does without"
    )
    wire_bytes: bool = Field(default=False, description="true or false: keep the bytes of every message as well")


class BgpSettings(SessionSettings):
    """Our side of BGP, and the defaults of all peers."""

    listen: values.Endpoint = Field(
        "127.0.0.1:1790", description="ADDR:PORT; 0.0.0.0:179 is all IPv4 addresses, [::]:179 all of IPv4 and IPv6"
    )
    router_id: values.RouterId = Field(
        default_factory=lambda data: values.source_address(data.get("listen", "127.0.0.1:1790")),
        description="our BGP Identifier: an IPv4 address other than 0.0.0.0, unlike those of all peers",
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
        """Whether a peer of this address could connect to where we listen."""
        return any((":" in address) == (":" in ours) for ours in self.listen_addresses)


class PeerSettings(SessionSettings):
    """A router, or all routers of a range of addresses."""

    address: values.PeerAddress = Field(description="the address of a router, or a range such as 192.0.2.0/24")
    asn: values.PeerAsn = Field(description="the peer's AS number, 1 to 4294967294")
    description: values.Text | None = Field(None, description="a line of text, at most 200 characters")
    passive: bool = Field(default=False, description="true: only the peer connects; false: whoever is first")
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
        """Whether this stands for many routers."""
        return values.is_range(self.address)

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The addresses that this stands for: one, or those of a range."""
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
            raise SettingsError("password_env", "stands beside password_file", "keep one of them")
        if password and self.is_range:
            raise SettingsError(
                password[0],
                "is given for a range, for which ExaBGP cannot set MD5 keys",
                "give each router of the range its own [[peers]], or no password",
            )
        return self


class MongodbSettings(_Section):
    """Where documents go."""

    uri: values.MongodbUri | None = Field(
        None, description="mongodb://HOST/ or mongodb+srv://HOST/ and what follows; without it, a store of our own"
    )
    uri_file: values.PossiblePath | None = Field(None, description="a file that holds the URI, and nothing else")
    database: str = Field(
        "bgpledger",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="the database's name: letters, digits, - and _, at most 63",
    )
    embedded: str | None = Field(
        None,
        min_length=1,
        description='the server that is a store of our own, a name or a path: "secantusd-rs"; without, that of pip',
    )
    driver: Literal["pymongo", "motor"] = Field("pymongo", description='"pymongo" or "motor"')


class BmpSettings(_Section):
    """Routers that tell of their peers (RFC 7854)."""

    listen: values.Endpoint = Field(
        "127.0.0.1:11019", description="ADDR:PORT; 0.0.0.0:11019 is all IPv4 addresses, [::]:11019 all of IPv4 and IPv6"
    )
    allow: values.Sources = Field(
        ("127.0.0.0/8", "::1"), description='addresses and prefixes of routers that may connect: ["192.0.2.0/24"]'
    )
    connect: values.Endpoints = Field(
        (), description='routers that wait for us to connect, a list of ADDR:PORT: ["192.0.2.1:1790"]'
    )
    password_file: values.PossiblePath | None = Field(
        None, description="a file whose first line is the MD5 password of all connections (RFC 2385)"
    )
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable with the password"
    )

    @property
    def listen_places(self) -> tuple[tuple[str, int], ...]:
        """Addresses and ports to bind."""
        address, port = values.split_endpoint(self.listen)
        return tuple((one, port) for one in (ALL_ADDRESSES if address == "::" else (address,)))

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Whence routers may connect."""
        return tuple(values.network(one) for one in self.allow)

    @model_validator(mode="after")
    def _one_password(self) -> BmpSettings:
        if self.password_file is not None and self.password_env is not None:
            raise SettingsError("password_env", "stands beside password_file", "keep one of them")
        return self


class ExabgpSettings(_Section):
    """How ExaBGP runs."""

    python: str | None = Field(
        None, min_length=1, description='the Python that runs ExaBGP, a name or a path: "pypy3"; without, our own'
    )
    processes: values.Processes = Field(1, description="processes that the peers are spread over, 1 to 16")


class SpoolSettings(_Section):
    """The lines on disk between ExaBGP and the archiver."""

    segment_mib: values.Mebibytes = Field(64, description="MiB in a file of the spool, 1 to 4096")
    sync_seconds: float = Field(1.0, ge=0, le=60, description="seconds until a line is on disk at most, 0 to 60")
    sync_mib: values.Mebibytes = Field(16, description="MiB that are not on disk yet at most, 1 to 4096")
    limit_mib: int | None = Field(None, ge=16, description="MiB that the spool may take, 16 or more")
    keep_days: float = Field(0, ge=0, le=36_500, description="days that segments are kept when they are done")
    keep_free_mib: int = Field(256, ge=0, description="MiB of its disk that the spool leaves free, 0 or more")


class ArchiveSettings(_Section):
    """How the archiver writes."""

    batch_lines: values.Lines | None = Field(
        None, description="lines in a batch at most, 1 to 100000; without: as many as the store takes best"
    )
    batch_seconds: float = Field(0.2, ge=0, le=60, description="seconds that a line waits for others, 0 to 60")


class RibSettings(_Section):
    """When each peer's table is stored, so that a question for all of it has few UPDATEs to fold."""

    snapshot_hours: values.HoursOfDay = Field(8, description="hours between whole tables: 1, 2, 3, 4, 6, 8, 12 or 24")
    snapshot_updates: int = Field(
        5000, ge=1, le=10_000_000, description="UPDATEs after which what has changed is stored, 1 to 10000000"
    )
    snapshot_days: values.Days = Field(30, description="days that whole tables are kept, 1 to 24855; 0 is for ever")
    snapshot_changes_days: values.Days = Field(
        2, description="days that what changed in between is kept, 1 to 24855; 0 is as long as whole tables"
    )


class RetentionSettings(_Section):
    """How many days the database keeps what; 0 is for ever."""

    keepalives_days: values.Days = Field(7, description="days that KEEPALIVEs are kept, 1 to 24855; 0 is for ever")
    updates_days: values.Days = Field(0, description="days that UPDATEs are kept, 1 to 24855; 0 is for ever")
    messages_days: values.Days = Field(
        0, description="days that all other messages are kept, and KEEPALIVEs at most, 1 to 24855; 0 is for ever"
    )
    sessions_days: values.Days = Field(
        0, description="days that a session is kept after its end, 1 to 24855; 0 is for ever"
    )
    rejects_days: values.Days = Field(0, description="days that rejects are kept, 1 to 24855; 0 is for ever")


class HttpSettings(_Section):
    """Where the HTTP API and its pages are, and who may ask."""

    listen: values.EndpointOrOff = Field(
        "127.0.0.1:8480", description='ADDR:PORT, [::]:8480 for all addresses of IPv4 and IPv6; "off" does without'
    )
    tokens: bool = Field(
        default=False, description="true or false: ask for a token on loopback too (bgpledger token add)"
    )
    tls_cert: values.PossiblePath | None = Field(None, description="a PEM file with our certificate and its chain")
    tls_key: values.PossiblePath | None = Field(None, description="a PEM file with the certificate's key")
    behind_tls: bool = Field(
        default=False, description="true or false: a proxy in front of it speaks TLS with those who ask"
    )
    hosts: values.HostNames = Field(
        (), description='names that it is asked by beside "localhost", such as ["bgp.example.net"]'
    )
    origins: values.Origins = Field(
        (), description='other sites whose pages may ask, such as ["https://portal.example.net"]; nobody\'s otherwise'
    )
    rate: float = Field(200.0, gt=0, le=1e6, description="requests a second that one client may send, in the long run")
    seconds: float = Field(30.0, gt=0, le=3600, description="seconds that a question may take, up to 3600")

    @property
    def is_on(self) -> bool:
        """Whether anything listens."""
        return bool(self.listen)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        return not self.is_on or values.is_loopback(values.split_endpoint(self.listen)[0])

    @property
    def asks_for_tokens(self) -> bool:
        """Whether nobody may ask without a token."""
        return self.tokens or not self.is_local

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        address, port = values.split_endpoint(self.listen)
        host = "localhost" if address in ALL_ADDRESSES else f"[{address}]" if ":" in address else address
        return f"http{'s' if self.tls_cert else ''}://{host}:{port}/"

    @model_validator(mode="after")
    def _is_safe(self) -> HttpSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            lacking = "tls_key" if self.tls_key is None else "tls_cert"
            raise SettingsError(lacking, "is missing", "give both tls_cert and tls_key, or neither")
        if not self.is_local and self.tls_cert is None and not self.behind_tls:
            raise SettingsError(
                "listen",
                f"{self.listen} can be reached from elsewhere, and tokens would go there in the clear",
                "give tls_cert and tls_key, or behind_tls = true where a proxy speaks TLS, or listen on 127.0.0.1",
            )
        return self


class RisLiveSettings(_Section):
    """RIS Live: what RIPE NCC's route collectors hear, as it comes."""

    url: values.WebSocketUrl = Field(
        "", description='a WebSocket URL, "wss://ris-live.ripe.net/v1/ws/"; without it nobody listens'
    )
    client: values.Name = Field("bgpledger", description="a name of at most 100 characters, by which RIS knows us")
    subscribe: values.Subscriptions = Field(
        ({},), description='a list of tables such as {host = "rrc21", prefix = "192.0.2.0/24"}; {} is all'
    )

    @property
    def is_on(self) -> bool:
        """Whether anybody listens."""
        return bool(self.url)


class LogSettings(_Section):
    """What is said on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description='"debug", "info", "warning" or "error"'
    )


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the collector keeps its files unless told: the XDG Base Directory Specification's data directory."""
    given = environ.get("XDG_DATA_HOME", "")
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    # A relative XDG_DATA_HOME is invalid, says the specification, and to be ignored.
    return (Path(given) if given.startswith("/") else home / ".local" / "share") / "bgpledger"


class Settings(_Section):
    """All that a collector is told."""

    collector: values.Name = Field(
        default_factory=socket.gethostname, description="a name of at most 100 characters, for every document"
    )
    data_dir: values.PossiblePath = Field(
        default_factory=default_data_dir, description="a directory for all that the collector keeps"
    )
    bgp: BgpSettings = BgpSettings()
    bmp: BmpSettings | None = None
    peers: tuple[PeerSettings, ...] = ()
    mongodb: MongodbSettings = MongodbSettings()
    exabgp: ExabgpSettings = ExabgpSettings()
    spool: SpoolSettings = SpoolSettings()
    archive: ArchiveSettings = ArchiveSettings()
    rib: RibSettings = RibSettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    ris_live: RisLiveSettings = RisLiveSettings()
    log: LogSettings = LogSettings()

    @field_validator("peers")
    @classmethod
    def _inherit(cls, peers: tuple[PeerSettings, ...], info: ValidationInfo) -> tuple[PeerSettings, ...]:
        """Give each peer the defaults of [bgp] for what it does not say itself."""
        bgp: BgpSettings | None = info.data.get("bgp")
        if bgp is None:  # it is wrong, which is reported
            return peers
        return tuple(
            peer.model_copy(
                update={key: getattr(bgp, key) for key in SessionSettings.model_fields.keys() - peer.model_fields_set}
            )
            for peer in peers
        )

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
    # An address within a range is well: ExaBGP looks at single addresses first.
    if peer.address == other.address:
        raise SettingsError(f"{key}.address", f"{peer.address} is already {other_key}", "remove one of them")
    if peer.is_range and other.is_range and _overlap(peer.network, other.network):
        raise SettingsError(
            f"{key}.address", f"{peer.address} overlaps {other_key}, {other.address}", "make the ranges disjoint"
        )


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)
