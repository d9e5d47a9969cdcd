"""One configuration: a TOML file, overridden by the environment, overridden by the command line.

Every key stands in conf/collector.toml with its meaning and default. The environment variable of a key is
`BGPLEDGER_` and its path: `mongodb.uri` is BGPLEDGER_MONGODB_URI. All that reaches exabgp.conf is typed here.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import socket
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from collector.errors import ConfigurationError
from schemas.scalars import Address, normalise_address

PREFIX = "BGPLEDGER_"
FAMILIES = (
    "ipv4 unicast",
    "ipv4 multicast",
    "ipv4 nlri-mpls",
    "ipv4 mpls-vpn",
    "ipv4 flow",
    "ipv4 flow-vpn",
    "ipv4 mup",
    "ipv4 mcast-vpn",
    "ipv4 rtc",
    "ipv6 unicast",
    "ipv6 multicast",
    "ipv6 nlri-mpls",
    "ipv6 mpls-vpn",
    "ipv6 flow",
    "ipv6 flow-vpn",
    "ipv6 mup",
    "ipv6 mcast-vpn",
    "l2vpn vpls",
    "l2vpn evpn",
    "bgp-ls bgp-ls",
    "bgp-ls bgp-ls-vpn",
)
"""The families of ExaBGP 5.0 (protocol/family.py)."""

# AS 0 (RFC 7607), AS_TRANS (RFC 6793), the last of two and of four bytes (RFC 7300) name no router.
_RESERVED_ASNS = (0, 23456, 65535, 2**32 - 1)


def _check_asn(asn: int) -> int:
    if asn in _RESERVED_ASNS:
        raise ValueError(f"AS {asn} is reserved and cannot be a router's")
    return asn


def _check_family(family: str) -> str:
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, 1)
        raise ValueError(f"no such family{f'; did you mean {near[0]!r}?' if near else ''}")
    return family


def _check_hold_time(seconds: int) -> int:
    if seconds in (1, 2):
        raise ValueError("RFC 4271 4.2 allows 0 (never) or at least 3 seconds")
    return seconds


def _check_listen(text: str) -> str:
    address, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError("must be ADDRESS:PORT, with a port from 1 to 65535")
    bare = address.removeprefix("[").removesuffix("]")
    return f"[{normalise_address(bare)}]:{int(port)}" if ":" in bare else f"{normalise_address(bare)}:{int(port)}"


def _check_router_id(text: str) -> str:
    if ipaddress.IPv4Address(text) == ipaddress.IPv4Address(0):
        raise ValueError("0.0.0.0 is no BGP identifier (RFC 6286)")
    return text


RouterAsn = Annotated[int, Field(ge=1, le=2**32 - 1), AfterValidator(_check_asn)]
KnownFamily = Annotated[str, AfterValidator(_check_family)]
HoldTime = Annotated[int, Field(ge=0, le=65535), AfterValidator(_check_hold_time)]
Seconds12Bit = Annotated[int, Field(ge=0, le=4095)]
"""The Restart Time of RFC 4724: twelve bits."""
Port = Annotated[int, Field(ge=1, le=65535)]
# ExaBGP's tokenizer knows no escapes: what could end a string or a statement is not let in.
Description = Annotated[str, Field(max_length=200, pattern=r'^[^"\'\\;{}\[\]#\x00-\x1f\x7f]*$')]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BgpSettings(_Section):
    """What holds for all peers, unless one says otherwise."""

    local_as: RouterAsn | None = None
    router_id: Annotated[str, AfterValidator(_check_router_id)] | None = None
    listen: Annotated[str, AfterValidator(_check_listen)] = "127.0.0.1:1790"
    hold_time: HoldTime = 180
    families: tuple[KnownFamily, ...] = ("ipv4 unicast", "ipv6 unicast")
    add_path: bool = False
    graceful_restart: Seconds12Bit = 120
    wire_bytes: bool = False

    @property
    def listen_address(self) -> str:
        """The address to listen on, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port to listen on."""
        return int(self.listen.rpartition(":")[2])


class PeerSettings(_Section):
    """One router, or a range of them; what is None here is as `bgp` says."""

    address: str
    asn: RouterAsn
    description: Description | None = None
    passive: bool = False
    port: Port = 179
    local_address: Address | None = None
    local_as: RouterAsn | None = None
    families: tuple[KnownFamily, ...] | None = None
    hold_time: HoldTime | None = None
    add_path: bool | None = None
    graceful_restart: Seconds12Bit | None = None
    password_file: Path | None = None
    password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    ttl_security: Annotated[int, Field(ge=1, le=254)] | None = None

    @field_validator("address")
    @classmethod
    def _check_address(cls, text: str) -> str:
        if "/" not in text:
            return normalise_address(text)
        return str(ipaddress.ip_network(text))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        return self

    @property
    def is_range(self) -> bool:
        """Any router of this network may connect; they share ExaBGP's counter."""
        return "/" in self.address

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The addresses that are meant."""
        return ipaddress.ip_network(self.address)


class MongodbSettings(_Section):
    """Where the archive is; without a URI, in a store of our own under the data directory."""

    uri: SecretStr | None = None
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] = "bgpledger"
    driver: Literal["pymongo", "motor"] = "pymongo"


class SpoolSettings(_Section):
    """Raw lines on disk."""

    segment_mib: Annotated[int, Field(ge=1, le=4096)] = 64


class ArchiveSettings(_Section):
    """How documents are written."""

    batch_lines: Annotated[int, Field(ge=1, le=100_000)] = 1000
    batch_seconds: Annotated[float, Field(ge=0, le=60)] = 0.2


class LogSettings(_Section):
    """What is logged, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


def _default_data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "bgpledger"


class Settings(_Section):
    """The whole configuration."""

    collector: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = Field(default_factory=socket.gethostname)
    data_dir: Path = Field(default_factory=_default_data_dir)
    bgp: BgpSettings = BgpSettings()
    peers: tuple[PeerSettings, ...] = ()
    mongodb: MongodbSettings = MongodbSettings()
    spool: SpoolSettings = SpoolSettings()
    archive: ArchiveSettings = ArchiveSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _check_peers(self) -> Self:
        for number, peer in enumerate(self.peers):
            for other in self.peers[:number]:
                if peer.network.version == other.network.version and peer.network.overlaps(other.network):
                    raise ValueError(f"peers {other.address} and {peer.address} overlap")
            if not (peer.local_as or self.bgp.local_as):
                raise ValueError(f"bgp.local_as is not set, and peer {peer.address} has no local_as of its own")
        return self


def load(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    mongodb_uri: str | None = None,
    local_as: int | None = None,
    listen: str | None = None,
    peers: Sequence[str] = (),
) -> Settings:
    """Read the configuration: command line over environment over file over defaults.

    Args:
        config: the TOML file; None for none.
        environ: the environment; that of this process by default.
        data_dir: `--data-dir`, relative to the working directory.
        mongodb_uri: `--mongodb-uri`.
        local_as: `--local-as`.
        listen: `--listen`.
        peers: `--peer`, each `ADDRESS,AS`; these connect to us.

    Raises:
        ConfigurationError: naming the file or variable, the key and the cure; never a secret's value.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if config is not None:
        values = _read(config)
    for key, variable, text in _from_environment(os.environ if environ is None else environ):
        _put(values, sources, key, text, f"environment variable {variable}")
    given = {"data_dir": data_dir, "mongodb.uri": mongodb_uri, "bgp.local_as": local_as, "bgp.listen": listen}
    for key, value in given.items():
        if value is not None:
            option = "--" + key.rpartition(".")[2].replace("_", "-") if key != "mongodb.uri" else "--mongodb-uri"
            _put(values, sources, key, value, f"option {option}")
    values["peers"] = [*values.get("peers", ()), *map(_parse_peer, peers)]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, config, sources) from None
    base = Path() if data_dir or "data_dir" in sources or config is None else config.parent
    return settings.model_copy(update={"data_dir": (base / settings.data_dir.expanduser()).absolute()})


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"{config} cannot be read: {error.strerror}", "name another file with --config, or leave it out"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{config} is not TOML: {error}", "mend that line; strings need quotes") from error


def _parse_peer(text: str) -> dict[str, Any]:
    address, comma, asn = text.rpartition(",")
    if not comma or not asn.strip().isdecimal() or "/" in address:
        raise ConfigurationError(
            f"--peer {text!r} is not ADDRESS,AS", "write for example --peer 192.0.2.1,64500; ranges go into a file"
        )
    return {"address": address.strip(), "asn": int(asn), "passive": True}


# --- environment ----------------------------------------------------------------------------------------------------

_NOT_KEYS = {"BGPLEDGER_CONFIG"}


def _keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{path}{name}.")
        elif name != "peers":
            yield f"{path}{name}"


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "_").upper()


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = {_variable(key): key for key in _keys(Settings)}
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in _NOT_KEYS:
            if variable not in known:
                near = difflib.get_close_matches(variable, known, 1)
                raise ConfigurationError(
                    f"the environment variable {variable} names no key",
                    f"did you mean {near[0]}?" if near else "unset it; conf/collector.toml lists the keys",
                )
            key = known[variable]
            yield key, variable, [part.strip() for part in text.split(",")] if key == "bgp.families" else text


def _put(values: dict[str, Any], sources: dict[str, str], key: str, value: Any, source: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        values = inner if isinstance(inner, dict) else {}
    values[name] = value
    sources[key] = source


# --- errors ---------------------------------------------------------------------------------------------------------


def _explain(error: ValidationError, config: Path | None, sources: Mapping[str, str]) -> ConfigurationError:
    first = error.errors(include_url=False, include_input=False)[0]
    location = [part for part in first["loc"] if not (isinstance(part, str) and part[:1].isupper())]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    where = sources.get(key, str(config) if config else "configuration")
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key.rpartition(".")[2], _names(), 1)
        return ConfigurationError(
            f"{where}: there is no key {key!r}",
            f"did you mean {near[0]!r}?" if near else "conf/collector.toml lists all",
        )
    if not key:
        return ConfigurationError(f"{where}: {text}", _CURES.get(text.split(" ", 1)[0], "mend the configuration"))
    return ConfigurationError(f"{where}: {key}: {text}", "conf/collector.toml tells what the key means")


_CURES = {
    "peers": "give each router one entry",
    "bgp.local_as": "set it to your AS number (--local-as, BGPLEDGER_BGP_LOCAL_AS or local_as under [bgp])",
}


def _names() -> list[str]:
    return [*{key.rpartition(".")[2] for key in _keys(Settings)}, *PeerSettings.model_fields, *Settings.model_fields]
