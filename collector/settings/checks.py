"""`[[checks]]` and `[[commands]]`: programs that decide by themselves what is announced."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collector.settings import values
from collector.settings.section import SettingsError, SettingsSection
from schemas.announcements import Community, LargeCommunity, NextHop, WrittenExtendedCommunity
from schemas.flows import StrictPrefix
from schemas.scalars import Address, Asn, Uint32, normalise_address

RecordType = Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


def _http_url(text: str) -> str:
    parts = urlsplit(text)  # of a port that is none, `port` raises what is wrong
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or "@" in parts.netloc:
        raise ValueError(f"{text[:60]!r} is not a URL such as http://127.0.0.1:8080/health")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text[:60]!r} has characters that a URL cannot have: write them as %XX")
    try:
        normalise_address(parts.hostname)
    except ValueError:
        raise ValueError(
            f"names {parts.hostname[:60]}, which may lead elsewhere: write an address, and the name as http_host"
        ) from None
    return text


def _domain(text: str) -> str:
    labels = text.removesuffix(".").split(".") if text != "." else []
    if not text.isascii() or not all(0 < len(label) < 64 for label in labels) or len(text) > 253:
        raise ValueError(f"{text[:60]!r} is not a domain name (RFC 1035 2.3.4)")
    return text


def _words(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """A list from one value, or from several separated by commas."""
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


def _unlike(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [one for at, one in enumerate(prefixes) if one in prefixes[:at]]:
        raise ValueError(f"lists {twice[0]} twice")
    return prefixes


def _listed_command(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


one_or_more = BeforeValidator(_listed)
OrderingName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,79}$")]
"""The name after `healthcheck` or `command` in a source."""
Argument = Annotated[str, Field(min_length=1, max_length=4096)]
CommandLine = Argument | Annotated[tuple[Argument, ...], Field(min_length=1, max_length=200)]
"""A line for `/bin/sh`, or a list of arguments."""
CommandLines = Annotated[tuple[CommandLine, ...], BeforeValidator(_listed_command), Field(max_length=20)]
Prefixes = Annotated[
    tuple[StrictPrefix, ...], one_or_more, Field(min_length=1, max_length=1000), AfterValidator(_unlike)
]
PeerAddresses = Annotated[tuple[Address, ...], one_or_more]
Communities = Annotated[tuple[Community, ...], one_or_more, Field(max_length=100)]
LargeCommunities = Annotated[tuple[LargeCommunity, ...], one_or_more, Field(max_length=100)]
ExtendedCommunities = Annotated[tuple[WrittenExtendedCommunity, ...], one_or_more, Field(max_length=100)]
AsPath = Annotated[tuple[Annotated[Asn, Field(ge=1)], ...], BeforeValidator(_words), Field(max_length=100)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Times = Annotated[int, Field(ge=1, le=1000)]
OnExit = Literal["withdraw", "keep"]


class DnsSettings(SettingsSection):
    """A question to a name server."""

    name: Annotated[str, AfterValidator(_domain)] = Field(description='the name to ask for: "www.example.net"')
    type: RecordType = Field("A", description=f"the type of its records: {', '.join(get_args(RecordType))}")
    server: values.Endpoint = Field("127.0.0.1:53", description="ADDR:PORT of the name server")


class CheckSettings(SettingsSection):
    """A service that is checked, and announced by the result; the keys are those of ExaBGP's `healthcheck`."""

    name: OrderingName = Field(description="letters, digits, blanks and ._:/-: orders are from `healthcheck NAME`")

    http: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description='a URL with an address: "http://127.0.0.1:8080/health"; a status below 400 counts as success'
    )
    http_host: values.HostName | None = Field(
        None, description='the host name to request, which must be in the certificate: "www.example.net"'
    )
    tcp: values.Endpoint | None = Field(None, description='ADDR:PORT that accepts connections: "127.0.0.1:5432"')
    dns: DnsSettings | None = Field(
        None, description='a query: {name = "www.example.net", type = "A", server = "127.0.0.1:53"}'
    )
    command: CommandLine | None = Field(
        None, description="a command that ends with status 0: a line for /bin/sh, or a list of arguments"
    )

    interval: Seconds = Field(5.0, description="seconds between two checks; 0: only until it is up or down")
    fast_interval: Seconds = Field(1.0, description="seconds between two checks while it rises or falls")
    timeout: Annotated[float, Field(gt=0, le=3600)] = Field(
        5.0, description="the timeout of a check in seconds, up to 3600"
    )
    rise: Times = Field(3, description="how many checks in a row must succeed until it is up")
    fall: Times = Field(3, description="how many checks in a row must fail until it is down")
    disable: values.PossiblePath | None = Field(None, description="a file: while it exists, the service is disabled")
    debounce: bool = Field(
        default=False,
        description="true: only announce at changes; false: at each check, announce again what was withdrawn",
    )
    on_exit: OnExit = Field(
        "withdraw", description='"withdraw" or "keep": what happens to its routes when the check ends'
    )

    ip: Prefixes = Field(description='the prefixes to announce: ["203.0.113.1/32"]')
    peers: PeerAddresses = Field((), description="addresses of the peers; default: all")
    group: values.Name | None = Field(None, description="instead of peers: those in this group")
    next_hop: NextHop = Field("self", description='an address, or "self": ours in each session')
    local_preference: Uint32 | None = Field(None, description="LOCAL_PREF, for peers in our own AS: 0 to 4294967295")
    up_metric: Uint32 = Field(100, description="MED of the first prefix while it is up")
    down_metric: Uint32 = Field(1000, description="MED of the first prefix while it is down")
    disabled_metric: Uint32 = Field(500, description="MED of the first prefix while it is disabled")
    increase: Uint32 = Field(1, description="the increment of the MED for each further prefix")
    withdraw_on_down: bool = Field(
        default=False, description="true: withdraw it unless it is up; false: announce it with another MED"
    )
    community: Communities = Field((), description='communities: ["64512:1", "no-export"]')
    disabled_community: Communities = Field((), description="communities instead while it is down or disabled")
    extended_community: ExtendedCommunities = Field((), description='extended communities: ["target:64512:1"]')
    large_community: LargeCommunities = Field((), description='large communities: ["64512:1:1"]')
    as_path: AsPath = Field((), description='AS numbers after ours in the AS path: "64513 64514"')
    up_as_path: AsPath | None = Field(None, description="the AS path instead while it is up")
    down_as_path: AsPath | None = Field(None, description="the AS path instead while it is down")
    disabled_as_path: AsPath | None = Field(None, description="the AS path instead while it is disabled")

    execute: CommandLines = Field((), description="commands to run at every change, with STATE in their environment")
    up_execute: CommandLines = Field((), description="commands to run when it is up")
    down_execute: CommandLines = Field((), description="commands to run when it is down")
    disabled_execute: CommandLines = Field((), description="commands to run when it is disabled")

    @property
    def source(self) -> str:
        """The source of its orders."""
        return f"healthcheck {self.name}"

    @model_validator(mode="after")
    def _fits_together(self) -> CheckSettings:
        ways = [way for way in ("http", "tcp", "dns", "command") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise SettingsError(
                ways[1], f"is given together with {ways[0]}", "keep one of them; give each its own [[checks]]"
            )
        if self.http_host and self.http is None:
            raise SettingsError("http_host", "is given without http", "give the URL that is asked for it")
        if self.peers and self.group:
            raise SettingsError("group", "is given together with peers", "keep one of them")
        if self.next_hop != "self" and (strange := [one for one in self.ip if (":" in one) != (":" in self.next_hop)]):
            raise SettingsError("next_hop", f"is not of the family of {strange[0]}", "give that its own [[checks]]")
        most = max(self.up_metric, self.down_metric, self.disabled_metric) + self.increase * (len(self.ip) - 1)
        if most >= 2**32:
            raise SettingsError("increase", f"results in a MED of {most}", "a MED is at most 4294967295")
        return self


class CommandSettings(SettingsSection):
    """A program that prints commands of ExaBGP's API, such as ExaBGP's own `healthcheck`."""

    name: OrderingName = Field(description="letters, digits, blanks and ._:/-: orders are from `command NAME`")
    run: CommandLine = Field(description="the program: a line for /bin/sh, or a list of arguments")
    on_exit: OnExit = Field(
        "keep", description='"keep" or "withdraw": what happens to its routes when it ends by itself'
    )

    @property
    def source(self) -> str:
        """The source of its orders."""
        return f"command {self.name}"
