"""Generates ExaBGP's configuration from ours: one neighbour for each peer, all sharing one receiver.

Facts from running 5.0.15, see docs/decisions/0003-exabgp.md: `adj-rib-in false; adj-rib-out false` reduce memory from
700 to 37 MB and double the speed; a single neighbour with `local-address auto` breaks incoming connections of all
neighbours, so each gets the address that the kernel would send from; neighbours with one local address and port share a
listening socket, and thus its minimum TTL; a quote cannot be escaped.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from collector.children import without_secrets
from collector.errors import ConfigurationError
from collector.settings.bgp import BgpSettings, PeerSettings
from collector.settings.model import Settings
from collector.settings.section import ALL_ADDRESSES
from collector.settings.values import split_endpoint

MASKED = "(not shown)"
_RECEIVER, _RELAY = "receive", "relay"
_LONGEST_PASSWORD = 80
"""The maximum on Linux (TCP_MD5SIG_MAXKEYLEN)."""
_UNQUOTABLE = re.compile(r"""[^ -~]|["'\\]""")


class _OurEnd(NamedTuple):
    """Our end of a session.

    `checks` says whether the kernel checks the TTL of connections from the peer, too.
    """

    local: str
    listens: bool
    checks: bool


def render(settings: Settings, helper: Sequence[str], relay: Sequence[str] = (), *, show_secrets: bool = True) -> str:
    """The exabgp.conf for these settings.

    Args:
        settings: the collector's settings.
        helper: the receiver's command line, its program as an absolute path: ExaBGP starts it in `/`.
        relay: likewise the relay's, which is started if announcing is configured.
        show_secrets: False to mask MD5 passwords, for people to read.

    Raises:
        ConfigurationError: a password cannot be read, or a peer cannot be reached from the configured addresses.
    """
    acts = settings.announce is not None
    blocks = [_process(_RECEIVER, helper), *([_process(_RELAY, relay)] if acts else [])]
    places = _places(settings)
    blocks += [
        _neighbor(peer, place, settings.bgp, acts=acts, show_secrets=show_secrets)
        for peer, place in zip(settings.peers, places, strict=True)
    ]
    return "\n".join(blocks)


def _process(name: str, command: Sequence[str]) -> str:
    words = " ".join(_quoted(word) for word in command)
    return f"process {name} {{\n    run {words};\n    encoder json;\n    respawn true;\n}}\n"


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """ExaBGP's environment: the settings that it does not take from its configuration.

    Args:
        inherited: ours. Secrets are left out, because ExaBGP finds its passwords in its configuration; so are variables
            for ExaBGP: `exabgp.daemon.user` would override `exabgp_daemon_user`.
    """
    return {
        **without_secrets(inherited),
        "exabgp_daemon_user": _user(),  # otherwise root becomes nobody, who may not write the spool
        "exabgp_daemon_daemonize": "false",
        "exabgp_api_terminate": "true",  # end if the receiver is lost for good: we restart both
        "exabgp_api_cli": "false",
        "exabgp_api_ack": "false",
        "exabgp_log_statistics": "false",  # otherwise a log line for each UPDATE
        "exabgp_log_destination": "stdout",
        "exabgp_log_level": "INFO",
        # After a session has ended, ExaBGP sleeps a hundredth of this before each turn, which serves every peer one
        # message: 94 UPDATEs/s a peer at the default of 1.0 (five minutes of 40 RIS peers: 20 s), and 4.2 s at 0.1.
        # When idle it then uses 3 % of a core, and 1 % at 1.0.
        "exabgp_reactor_speed": "0.1",
        "exabgp_tcp_bind": "",  # every neighbour has its own listener
    }


def program(python: str | None, *arguments: str) -> list[str]:
    """The command line that runs the ExaBGP installed beside us.

    Args:
        python: another interpreter, such as PyPy: ExaBGP only needs Python 3.8.1 or newer.
        arguments: ExaBGP's own.
    """
    return [python or sys.executable, "-c", _RUN, str(_installed().parent), str(_PROGRAM), *arguments]


def _installed() -> Path:
    found = find_spec("exabgp")
    if found is None or found.origin is None:
        raise ConfigurationError("the package exabgp is not installed", "pip install exabgp, or make .venv/.ready")
    return Path(found.origin).parent


_PROGRAM = Path(__file__).with_name("patched.py")
_RUN = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); program = sys.argv.pop(1); sys.argv[0] = 'exabgp';"
    " runpy.run_path(program, run_name='__main__')"
)
"""Not the file itself: Python would then search its directory first for ExaBGP."""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # a container's user may have a number without a name: ExaBGP needs a name, and does not change to it
        return "nobody"


def listening_places(settings: Settings) -> dict[tuple[str, int], int | None]:
    """The addresses and ports that ExaBGP will listen on, and the minimum TTL of each, None for any.

    Raises:
        ConfigurationError: see `render`.
    """
    return {
        (place.local, settings.bgp.listen_port): _least_ttl(peer) if place.checks else None
        for peer, place in zip(settings.peers, _places(settings), strict=True)
        if place.listens
    }


def local_addresses(settings: Settings) -> list[str]:
    """Our address in each peer's session, in order.

    Raises:
        ConfigurationError: see `render`.
    """
    return [place.local for place in _places(settings)]


def unchecked_peers(settings: Settings) -> list[PeerSettings]:
    """The peers with `ttl_security` whose own connections to us are accepted without that check.

    Raises:
        ConfigurationError: see `render`.
    """
    return [
        peer
        for peer, place in zip(settings.peers, _places(settings), strict=True)
        if peer.ttl_security and not place.checks
    ]


def _neighbor(peer: PeerSettings, place: _OurEnd, bgp: BgpSettings, *, acts: bool, show_secrets: bool) -> str:
    lines: list[str | None] = [
        # For readers of the file. ExaBGP unescapes before it looks for quotes, so a quote would end the string.
        f'description "{_UNQUOTABLE.sub("?", peer.description)}";' if peer.description else None,
        f"router-id {bgp.router_id};",
        f"local-address {place.local};",
        f"local-as {peer.local_as};",
        f"peer-as {peer.asn};",
        f"hold-time {peer.hold_time};",
        "adj-rib-in false;",
        f"adj-rib-out {'true' if acts else 'false'};",  # a session that comes up is sent all announcements
        "passive;" if peer.passive else f"connect {peer.port};",
        f"listen {bgp.listen_port};" if place.listens else None,
        _password(peer, show_secrets=show_secrets),
        f"incoming-ttl {_least_ttl(peer)};" if peer.ttl_security else None,
        "outgoing-ttl 255;" if peer.ttl_security else None,
        _block("family", [f"{family};" for family in peer.families]),
        _block("capability", _capabilities(peer)),
        _block("nexthop", next_hops) if (next_hops := _next_hops(peer)) else None,
        *_apis(peer, acts=acts),
    ]
    return _block(f"neighbor {peer.address}", [line for line in lines if line], indent="") + "\n"


def _capabilities(peer: PeerSettings) -> list[str]:
    lines = ["asn4 enable;", "route-refresh enable;", "extended-message enable;", "aigp enable;"]
    if peer.graceful_restart:
        lines.append(f"graceful-restart {peer.graceful_restart};")
    if peer.add_path:
        lines.append("add-path receive;")
    return lines


_NEXT_HOP_KINDS = ("unicast", "nlri-mpls", "mpls-vpn")
_NEXT_HOP_FAMILIES = frozenset(f"{version} {kind}" for version in ("ipv4", "ipv6") for kind in _NEXT_HOP_KINDS)


def _next_hops(peer: PeerSettings) -> list[str]:
    """The IPv4 families that may have IPv6 next hops (RFC 8950), for ExaBGP's block `nexthop`.

    ExaBGP also requires the corresponding IPv6 family. Once the capability is negotiated, it can no longer parse the
    next hops of EVPN, FlowSpec, BGP-LS and the like, and ends the session: a peer with these does not get it.
    """
    families = set(peer.families)
    if not families <= _NEXT_HOP_FAMILIES:
        return []
    return [f"ipv4 {kind} ipv6;" for kind in _NEXT_HOP_KINDS if {f"ipv4 {kind}", f"ipv6 {kind}"} <= families]


def _apis(peer: PeerSettings, *, acts: bool) -> list[str]:
    received = ["parsed", "open", "update", "notification", "refresh", "keepalive"]
    sent = ["parsed", "notification"]  # it contains the reason why ExaBGP ended a session
    if acts:
        sent.append("update")
    if peer.wire_bytes:
        received.insert(1, "consolidate")
        sent += ["consolidate", "packets", "open"]  # both OPENs determine how UPDATEs are to be decoded
    blocks = [
        _block(direction, [f"{kind};" for kind in those], indent="        ")
        for direction, those in (("receive", received), ("send", sent))
    ]
    receiver = _block("api", [f"processes [ {_RECEIVER} ];", "neighbor-changes;", *blocks])
    # In a separate block: it may announce to this peer, and receives nothing from it.
    return [receiver, _block("api", [f"processes [ {_RELAY} ];"])] if acts else [receiver]


def _block(head: str, lines: Sequence[str], indent: str = "    ") -> str:
    inner = "".join(f"{indent}    {line}\n" for line in lines)
    return f"{head} {{\n{inner}{indent}}}"


def _quoted(word: str) -> str:
    if _UNQUOTABLE.search(word):
        raise ConfigurationError(
            f"ExaBGP cannot start a receiver with {word!r} in its command: it has quotes or non-ASCII characters",
            "use a data directory and an installation whose paths have none",
        )
    return f'"{word}"'


def _least_ttl(peer: PeerSettings) -> int | None:
    """RFC 5082, counted as in FRR and BIRD: packets of a neighbour on the same link, 1 hop, arrive with 255."""
    return 256 - peer.ttl_security if peer.ttl_security else None


# --- our end of sessions --------------------------------------------------------------------------------------------


def _places(settings: Settings) -> list[_OurEnd]:
    """Our end of each peer's session, in order.

    Neighbours that listen on the same address share one socket, and the last `incoming-ttl` applies to all of them: one
    would lock the others out. So a socket only gets it if all of its peers agree; otherwise we connect to these peers
    and do not listen for them.

    Raises:
        ConfigurationError: a peer cannot connect to our addresses, or there is no route to it.
    """
    ends = [_end(peer, settings.bgp) for peer in settings.peers]
    places = []
    for peer, (local, listens) in zip(settings.peers, ends, strict=True):
        sharing = [other for other, end in zip(settings.peers, ends, strict=True) if end == (local, True)]
        agreed = all(other.ttl_security == peer.ttl_security for other in sharing)
        if peer.ttl_security and peer.passive and not agreed:
            other = next(one for one in sharing if one.ttl_security != peer.ttl_security)
            raise ConfigurationError(
                f"ttl_security of peer {peer.address} cannot be checked: it is to connect to {local}, as is peer"
                f" {other.address}, which has another",
                "let us connect to it (passive = false), or give the two different local_addresses",
            )
        checks = bool(peer.ttl_security) and listens and agreed
        places.append(_OurEnd(local, listens and (checks or not peer.ttl_security), checks))
    return places


def _end(peer: PeerSettings, bgp: BgpSettings) -> tuple[str, bool]:
    """Our address in a session, and whether the peer can connect to it."""
    first = peer.network.network_address
    listen = ipaddress.ip_address(split_endpoint(bgp.listen)[0])
    local = peer.local_address
    if local is None:
        usable = listen.version == first.version and not listen.is_unspecified
        # Packets from a loopback address never leave this machine.
        near = usable and (first.is_loopback or not listen.is_loopback)
        local = str(listen) if near else _source_towards(str(first))
    everywhere = any(address in bgp.listen_addresses for address in ALL_ADDRESSES) and bgp.accepts(local)
    listens = everywhere or local == str(listen) or peer.local_address is not None
    if not listens and peer.passive:
        raise ConfigurationError(
            f"peer {peer.address} is to connect to us, but we only listen on {bgp.listen}",
            f'set bgp.listen = "{_bracketed(local)}:{bgp.listen_port}", or "0.0.0.0:{bgp.listen_port}" for all'
            " addresses, or give the peer a local_address",
        )
    return local, listens


def _source_towards(address: str) -> str:
    """The address that the kernel would send from; no packet is sent to find out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 179))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise ConfigurationError(
            f"there is no route to peer {address} from here: {error.strerror}",
            "give the peer a local_address, or correct the routing of this machine",
        ) from error


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


# --- secrets --------------------------------------------------------------------------------------------------------


def _password(peer: PeerSettings, *, show_secrets: bool) -> str | None:
    if peer.password_file is None and peer.password_env is None:
        return None
    if not show_secrets:
        return f'md5-password "{MASKED}";'
    password = _read_password(peer, os.environ)
    if not 1 <= len(password) <= _LONGEST_PASSWORD or _UNQUOTABLE.search(password):
        raise ConfigurationError(
            f"the MD5 password of peer {peer.address} cannot be given to ExaBGP",
            f"use 1 to {_LONGEST_PASSWORD} printable ASCII characters other than quotes and backslash",
        )
    return f'md5-password "{password}";'


def _read_password(peer: PeerSettings, environ: Mapping[str, str]) -> str:
    if peer.password_env is not None:
        if peer.password_env not in environ:
            raise ConfigurationError(
                f"peer {peer.address}: the environment variable {peer.password_env} is not set",
                "export it with the MD5 password, or use password_file",
            )
        return environ[peer.password_env]
    assert peer.password_file is not None  # noqa: S101  # the caller has looked
    try:
        return peer.password_file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"peer {peer.address}: password_file {peer.password_file} cannot be read: {_reason(error)}",
            "write the MD5 password into it, readable for this user alone (chmod 600)",
        ) from error


def _reason(error: Exception) -> str:
    # A UnicodeDecodeError contains the bytes, which are the password's.
    return (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8 text"
