"""Our end of each session: the address that ExaBGP speaks from, and where it listens."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple

from collector.errors import ConfigurationError
from collector.settings.bgp import BgpSettings, PeerSettings
from collector.settings.model import Settings
from collector.settings.section import ALL_ADDRESSES
from collector.settings.values import split_endpoint


class LocalEnd(NamedTuple):
    """Our end of a session."""

    local: str
    """Our address."""
    listens: bool
    """Whether the peer may connect to it."""
    checks: bool
    """Whether the kernel also checks the TTL of such connections (RFC 5082)."""


def listening_places(settings: Settings) -> dict[tuple[str, int], int | None]:
    """The addresses and ports that ExaBGP will listen on, and the minimum TTL of each, None for any.

    Raises:
        ConfigurationError: see `local_ends`.
    """
    return {
        (place.local, settings.bgp.listen_port): least_ttl(peer) if place.checks else None
        for peer, place in zip(settings.peers, local_ends(settings), strict=True)
        if place.listens
    }


def local_addresses(settings: Settings) -> list[str]:
    """Our address in each peer's session, in order.

    Raises:
        ConfigurationError: see `local_ends`.
    """
    return [place.local for place in local_ends(settings)]


def unchecked_peers(settings: Settings) -> list[PeerSettings]:
    """The peers with `ttl_security` whose own connections to us are accepted without that check.

    Raises:
        ConfigurationError: see `local_ends`.
    """
    return [
        peer
        for peer, place in zip(settings.peers, local_ends(settings), strict=True)
        if peer.ttl_security and not place.checks
    ]


def least_ttl(peer: PeerSettings) -> int | None:
    """RFC 5082, counted as in FRR and BIRD: packets of a neighbour on the same link, 1 hop, arrive with 255."""
    return 256 - peer.ttl_security if peer.ttl_security else None


def local_ends(settings: Settings) -> list[LocalEnd]:
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
        places.append(LocalEnd(local, listens and (checks or not peer.ttl_security), checks))
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
