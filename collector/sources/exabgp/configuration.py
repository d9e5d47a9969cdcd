"""Generates ExaBGP's configuration from ours: one neighbour for each peer, all sharing one receiver.

Found by running 5.0.15, see docs/decisions/0003-exabgp.md: `adj-rib-in false; adj-rib-out false` take memory from 700
to 37 MB and double the speed; a single neighbour with `local-address auto` breaks every incoming connection of all of
them, so each gets the address that the kernel would send from; neighbours of one address and port share a listening
socket and with it the least TTL that it takes; there is no escape for a quote.
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
from collector.settings import ALL_ADDRESSES, BgpSettings, PeerSettings, Settings
from collector.settings.values import split_endpoint

MASKED = "(not shown)"
_RECEIVER, _RELAY = "receive", "relay"
_LONGEST_PASSWORD = 80
"""What Linux takes (TCP_MD5SIG_MAXKEYLEN)."""
_UNQUOTABLE = re.compile(r"""[^ -~]|["'\\]""")


class _OurEnd(NamedTuple):
    """Our end of a session.

    `checks` says whether the kernel checks the TTL of connections that the peer makes as well.
    """

    local: str
    listens: bool
    checks: bool


def render(settings: Settings, helper: Sequence[str], relay: Sequence[str] = (), *, show_secrets: bool = True) -> str:
    """The exabgp.conf for these settings.

    Args:
        settings: ours.
        helper: the receiver's command line, its program as an absolute path: ExaBGP starts it in `/`.
        relay: likewise the relay's, which is started where something may be announced.
        show_secrets: False to mask MD5 passwords, for people to read.

    Raises:
        ConfigurationError: a password cannot be read, or a peer cannot be reached from where we are told to listen.
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
    """ExaBGP's environment: what it takes from there and not from its configuration.

    Args:
        inherited: ours. Secrets are left out, for ExaBGP finds its passwords in its configuration; and what is said
            to ExaBGP: `exabgp.daemon.user` would win over `exabgp_daemon_user`.
    """
    return {
        **without_secrets(inherited),
        "exabgp_daemon_user": _user(),  # or root becomes nobody, who may not write the spool
        "exabgp_daemon_daemonize": "false",
        "exabgp_api_terminate": "true",  # end when the receiver is lost for good: we start both again
        "exabgp_api_cli": "false",
        "exabgp_api_ack": "false",
        "exabgp_log_statistics": "false",  # a log line for each UPDATE otherwise
        "exabgp_log_destination": "stdout",
        "exabgp_log_level": "INFO",
        # Once a session has ended, ExaBGP sleeps a hundredth of this before each turn, which serves every peer one
        # message: 94 UPDATEs/s a peer at the default of 1.0 (five minutes of 40 RIS peers: 20 s), and 4.2 s at 0.1.
        # Idle it then takes 3 % of a core, and 1 % at 1.0.
        "exabgp_reactor_speed": "0.1",
        "exabgp_tcp_bind": "",  # every neighbour listens by itself
    }


def program(python: str | None, *arguments: str) -> list[str]:
    """The command line that runs the ExaBGP which is installed beside us.

    Args:
        python: another interpreter than ours, such as PyPy: ExaBGP needs nothing but Python 3.8.1 or newer.
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
"""Not the file itself: the folder that it stands in would come first where Python looks for ExaBGP."""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "nobody"  # a container's number without a name: ExaBGP wants a name, and does not change to it


def listening_places(settings: Settings) -> dict[tuple[str, int], int | None]:
    """The addresses and ports that ExaBGP will listen on, and the least TTL that each takes, None for any.

    Raises:
        ConfigurationError: as `render`.
    """
    return {
        (place.local, settings.bgp.listen_port): _least_ttl(peer) if place.checks else None
        for peer, place in zip(settings.peers, _places(settings), strict=True)
        if place.listens
    }


def local_addresses(settings: Settings) -> list[str]:
    """Our address in each peer's session, in their order.

    Raises:
        ConfigurationError: as `render`.
    """
    return [place.local for place in _places(settings)]


def unchecked_peers(settings: Settings) -> list[PeerSettings]:
    """The peers with `ttl_security` whose own connections to us are taken without that check.

    Raises:
        ConfigurationError: as `render`.
    """
    return [
        peer
        for peer, place in zip(settings.peers, _places(settings), strict=True)
        if peer.ttl_security and not place.checks
    ]


def _neighbor(peer: PeerSettings, place: _OurEnd, bgp: BgpSettings, *, acts: bool, show_secrets: bool) -> str:
    lines: list[str | None] = [
        # For people who read the file. It unescapes before it looks for quotes, so a quote would end the string.
        f'description "{_UNQUOTABLE.sub("?", peer.description)}";' if peer.description else None,
        f"router-id {bgp.router_id};",
        f"local-address {place.local};",
        f"local-as {peer.local_as};",
        f"peer-as {peer.asn};",
        f"hold-time {peer.hold_time};",
        "adj-rib-in false;",
        f"adj-rib-out {'true' if acts else 'false'};",  # a session that comes up is told of all that was announced
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
    """The IPv4 families that may come with an IPv6 next hop (RFC 8950), for ExaBGP's block `nexthop`.

    ExaBGP wants the IPv6 family of the kind configured as well. Once the capability is agreed on, it no longer reads
    the next hops of EVPN, FlowSpec, BGP-LS and the like, and ends the session: a peer with these does without.
    """
    families = set(peer.families)
    if not families <= _NEXT_HOP_FAMILIES:
        return []
    return [f"ipv4 {kind} ipv6;" for kind in _NEXT_HOP_KINDS if {f"ipv4 {kind}", f"ipv6 {kind}"} <= families]


def _apis(peer: PeerSettings, *, acts: bool) -> list[str]:
    received = ["parsed", "open", "update", "notification", "refresh", "keepalive"]
    sent = ["parsed", "notification"]  # why ExaBGP ended a session stands in there
    if acts:
        sent.append("update")
    if peer.wire_bytes:
        received.insert(1, "consolidate")
        sent += ["consolidate", "packets", "open"]  # of both OPENs follows how UPDATEs are to be read
    blocks = [
        _block(direction, [f"{kind};" for kind in those], indent="        ")
        for direction, those in (("receive", received), ("send", sent))
    ]
    receiver = _block("api", [f"processes [ {_RECEIVER} ];", "neighbor-changes;", *blocks])
    # In a block by itself: it may say what is announced to this peer, and hears nothing of it.
    return [receiver, _block("api", [f"processes [ {_RELAY} ];"])] if acts else [receiver]


def _block(head: str, lines: Sequence[str], indent: str = "    ") -> str:
    inner = "".join(f"{indent}    {line}\n" for line in lines)
    return f"{head} {{\n{inner}{indent}}}"


def _quoted(word: str) -> str:
    if _UNQUOTABLE.search(word):
        raise ConfigurationError(
            f"ExaBGP cannot start a receiver with {word!r} in its command: it has a quote, or more than plain ASCII",
            "use a data directory and an installation whose paths have none",
        )
    return f'"{word}"'


def _least_ttl(peer: PeerSettings) -> int | None:
    """RFC 5082, counted as FRR and BIRD do: the packets of a neighbour on the same link, 1 hop, arrive with 255."""
    return 256 - peer.ttl_security if peer.ttl_security else None


# --- where our end is -----------------------------------------------------------------------------------------------


def _places(settings: Settings) -> list[_OurEnd]:
    """Our end of each peer's session, in their order.

    Neighbours that listen on the same address share one socket, and the last `incoming-ttl` holds for all of them: one
    would lock the others out. So a socket gets it only if all of its peers agree; a peer that they do not agree with
    is called by us and not waited for.

    Raises:
        ConfigurationError: a peer cannot come to where we listen, or there is no way to it.
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
        # From a loopback address nothing leaves this machine.
        near = usable and (first.is_loopback or not listen.is_loopback)
        local = str(listen) if near else _source_towards(str(first))
    everywhere = any(address in bgp.listen_addresses for address in ALL_ADDRESSES) and bgp.accepts(local)
    listens = everywhere or local == str(listen) or peer.local_address is not None
    if not listens and peer.passive:
        raise ConfigurationError(
            f"peer {peer.address} is to connect to us, but we only listen on {bgp.listen} only",
            f'set bgp.listen = "{_bracketed(local)}:{bgp.listen_port}", or "0.0.0.0:{bgp.listen_port}" for all'
            " addresses, or give the peer a local_address",
        )
    return local, listens


def _source_towards(address: str) -> str:
    """The address that the kernel would send from; nothing is sent to find out."""
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
    # A UnicodeDecodeError tells the bytes, which are the password's.
    return (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8 text"
