"""ExaBGP's configuration, written from ours: one neighbour for each peer, all talking to one receiver.

Found by running 5.0.15: `adj-rib-in false; adj-rib-out false` take memory from 700 to 37 MB and double the speed;
a single neighbour with `local-address auto` breaks every incoming connection of all of them ('NoneType' object has
no attribute 'address'), so each gets the address that the kernel would send from; names of `api` sections must
differ, so they have none; there is no escape for a quote.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.errors import ConfigurationError
from collector.settings import BgpSettings, PeerSettings, Settings
from collector.settings.values import split_endpoint

MASKED = "(not shown)"
_UNQUOTABLE = re.compile(r"""[^ -~]|["'\\]""")


class _Place(NamedTuple):
    """Our end of a session."""

    local: str
    listens: bool


def render(settings: Settings, helper: Sequence[str], *, show_secrets: bool = True) -> str:
    """The exabgp.conf for these settings.

    Args:
        settings: ours.
        helper: the receiver's command line; ExaBGP splits it at spaces.
        show_secrets: False to mask MD5 passwords, for people to read.

    Raises:
        ConfigurationError: a password cannot be read, or a peer cannot be reached from where we are told to listen.
    """
    for word in helper:
        if any(character.isspace() or character in "\"';{}" for character in word):
            raise ConfigurationError(
                f"ExaBGP cannot start a helper with {word!r} in its command: a space, quote or semicolon",
                "use a data directory and an installation whose paths have none",
            )
    blocks = [f"process receive {{\n    run {' '.join(helper)};\n    encoder json;\n    respawn true;\n}}\n"]
    blocks += [_neighbor(peer, settings, show_secrets=show_secrets) for peer in settings.peers]
    return "\n".join(blocks)


def environment(_settings: Settings) -> dict[str, str]:
    """ExaBGP's environment: what it takes from there and not from its configuration."""
    return {
        "exabgp_daemon_user": pwd.getpwuid(os.getuid()).pw_name,  # or root becomes nobody, who may not write the spool
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


def listening_places(settings: Settings) -> set[tuple[str, int]]:
    """The addresses and ports that ExaBGP will listen on."""
    places = [_place(peer, settings.bgp) for peer in settings.peers]
    return {(place.local, settings.bgp.listen_port) for place in places if place.listens}


def _neighbor(peer: PeerSettings, settings: Settings, *, show_secrets: bool) -> str:
    bgp = settings.bgp
    place = _place(peer, bgp)
    passive = peer.passive or peer.is_range
    lines: list[str | None] = [
        # For people who read the file. It unescapes before it looks for quotes, so a quote would end the string.
        f'description "{_UNQUOTABLE.sub("?", peer.description)}";' if peer.description else None,
        f"router-id {bgp.router_id};",
        f"local-address {place.local};",
        f"local-as {peer.local_as};",
        f"peer-as {peer.asn};",
        f"hold-time {peer.hold_time};",
        "adj-rib-in false;",
        "adj-rib-out false;",
        "passive;" if passive else f"connect {peer.port};",
        f"listen {bgp.listen_port};" if place.listens else None,
        _password(peer, show_secrets=show_secrets),
        # FRR's and BIRD's count: 1 hop is a neighbour on the same link, whose packets arrive with TTL 255 (RFC 5082).
        f"incoming-ttl {256 - peer.ttl_security};\n    outgoing-ttl 255;" if peer.ttl_security else None,
        _block("family", [f"{family};" for family in peer.families]),
        _block("capability", _capabilities(peer)),
        _api(peer),
    ]
    return _block(f"neighbor {peer.address}", [line for line in lines if line], indent="") + "\n"


def _capabilities(peer: PeerSettings) -> list[str]:
    lines = ["asn4 enable;", "route-refresh enable;", "extended-message enable;"]
    if peer.graceful_restart:
        lines.append(f"graceful-restart {peer.graceful_restart};")
    if peer.add_path:
        lines.append("add-path receive;")
    return lines


def _api(peer: PeerSettings) -> str:
    kinds = ["parsed", "open", "update", "notification", "refresh", "keepalive"]
    if peer.wire_bytes:
        kinds.append("consolidate")
    receive = _block("receive", [f"{kind};" for kind in kinds], indent="        ")
    return _block("api", ["processes [ receive ];", "neighbor-changes;", receive])


def _block(head: str, lines: Sequence[str], indent: str = "    ") -> str:
    inner = "".join(f"{indent}    {line}\n" for line in lines)
    return f"{head} {{\n{inner}{indent}}}"


# --- where our end is -----------------------------------------------------------------------------------------------


def _place(peer: PeerSettings, bgp: BgpSettings) -> _Place:
    first = peer.network.network_address
    listen = ipaddress.ip_address(split_endpoint(bgp.listen)[0])
    local = ipaddress.ip_address(peer.local_address) if peer.local_address else None
    if local is None:
        usable = listen.version == first.version and not listen.is_unspecified
        near = usable and (first.is_loopback or not listen.is_loopback)
        local = listen if near else _source_towards(str(first))
    if local.version != first.version:
        raise ConfigurationError(
            f"peer {peer.address} and its local_address {local} are not of the same family",
            "give it a local_address of the peer's family, or none",
        )
    listens = listen.is_unspecified or local == listen or peer.local_address is not None
    if not listens and (peer.passive or peer.is_range):
        raise ConfigurationError(
            f"peer {peer.address} is to connect to us, but we listen on {bgp.listen} only",
            f'set bgp.listen = "{_bracketed(str(local))}:{bgp.listen_port}" or "0.0.0.0:{bgp.listen_port}", or give the'
            " peer a local_address",
        )
    return _Place(str(local), listens)


def _source_towards(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that the kernel would send from; nothing is sent to find out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 179))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError as error:
        raise ConfigurationError(
            f"there is no way to peer {address} from here: {error.strerror}",
            "give the peer a local_address, or mend the routes of this machine",
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
    # 80 bytes: what the kernel's TCP_MD5SIG takes.
    if not 1 <= len(password.encode()) <= 80 or any(not " " < one <= "~" or one in "\"'\\;{}[]#" for one in password):
        raise ConfigurationError(
            f"the MD5 password of peer {peer.address} cannot be given to ExaBGP",
            "use 1 to 80 printable ASCII characters without space, quotes, backslash, ; { } [ ] #",
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
        return peer.password_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"peer {peer.address}: password_file {peer.password_file} cannot be read: {error}",
            "write the MD5 password into it, readable for this user alone (chmod 600)",
        ) from error
