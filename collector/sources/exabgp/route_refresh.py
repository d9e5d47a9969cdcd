"""Requests route refreshes: from any process, through the receiver, to ExaBGP.

Only the receiver can send commands to ExaBGP, on its stdout. It reads requests from a named pipe in the data directory,
one on each line, `refresh ADDRESS AFI SAFI`, and ignores anything else.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path

_REQUEST = re.compile(rb"refresh ([0-9a-fA-F.:]{2,45}) (ipv4|ipv6|l2vpn|bgp-ls) ([a-z0-9-]{1,20})")


def ask(pipe: Path, address: str, family: str) -> bool:
    """Ask the peer at `address` to send its routes of one family again (ROUTE-REFRESH, RFC 2918).

    Args:
        pipe: the pipe of the receiver whose ExaBGP has the peer's session.
        address: the peer's address.
        family: the family in ExaBGP's words, such as `ipv4 unicast`.

    Returns:
        Whether there was a receiver to pass it on.

    Raises:
        ValueError: the address or the family is invalid.
    """
    request = f"refresh {ipaddress.ip_address(address)} {family}\n".encode()
    if command(request) is None:
        raise ValueError(f"not an address family: {family!r}")
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # there is no pipe, or no receiver at its other end
        return False
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode) and os.write(descriptor, request) == len(request)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def listen(pipe: Path) -> int:
    """The receiver's end of the pipe, which is created if it does not exist: a descriptor that never reaches its end.

    Raises:
        OSError: it cannot be created.
    """
    if not pipe.is_fifo():
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def command(request: bytes) -> bytes | None:
    """ExaBGP's command for a request; None if it is not a valid request."""
    found = _REQUEST.fullmatch(request.rstrip(b"\n"))
    try:
        address = ipaddress.ip_address(found[1].decode()) if found else None
    except ValueError:
        return None
    if not found or address is None:
        return None
    return b"neighbor %s announce route-refresh %s %s\n" % (str(address).encode(), found[2], found[3])


def pass_on(requests: int, commands: int) -> None:
    """Pass requests on to ExaBGP. What it does not accept at once is dropped: neither process may wait for the other.

    Args:
        requests: the value of `listen`.
        commands: our stdout, which does not block.
    """
    for request in os.read(requests, 65_536).splitlines():
        if line := command(request):
            try:
                os.write(commands, line)
            except OSError:
                return
