"""Generates ExaBGP's configuration from ours: one neighbour for each peer, all sharing one receiver.

Facts from running 5.0.15, see docs/decisions/0003-exabgp.md: `adj-rib-in false; adj-rib-out false` reduce memory from
700 to 37 MB and double the speed; a single neighbour with `local-address auto` breaks incoming connections of all
neighbours, so each gets the address that the kernel would send from; neighbours with one local address and port share a
listening socket, and thus its minimum TTL; a quote cannot be escaped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from collector.errors import ConfigurationError
from collector.settings.bgp import BgpSettings, PeerSettings
from collector.settings.model import Settings
from collector.sources.exabgp.local_ends import LocalEnd, least_ttl, local_ends

MASKED = "(not shown)"
_RECEIVER, _RELAY = "receive", "relay"
_LONGEST_PASSWORD = 80
"""The maximum on Linux (TCP_MD5SIG_MAXKEYLEN)."""
_UNQUOTABLE = re.compile(r"""[^ -~]|["'\\]""")


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
    places = local_ends(settings)
    blocks += [
        _neighbor(peer, place, settings.bgp, acts=acts, show_secrets=show_secrets)
        for peer, place in zip(settings.peers, places, strict=True)
    ]
    return "\n".join(blocks)


def _process(name: str, command: Sequence[str]) -> str:
    words = " ".join(_quoted(word) for word in command)
    return f"process {name} {{\n    run {words};\n    encoder json;\n    respawn true;\n}}\n"


def _neighbor(peer: PeerSettings, place: LocalEnd, bgp: BgpSettings, *, acts: bool, show_secrets: bool) -> str:
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
        f"incoming-ttl {least_ttl(peer)};" if peer.ttl_security else None,
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
