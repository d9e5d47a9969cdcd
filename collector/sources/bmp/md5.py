"""TCP MD5 signatures (RFC 2385) on Linux (tcp(7), linux/tcp.h)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network

from collector.errors import CollectorError, ConfigurationError
from collector.settings.sources import BmpSettings

_LONGEST = 80  # TCP_MD5SIG_MAXKEYLEN
_TCP_MD5SIG_EXT = 32
_FLAG_PREFIX = 1
_KEY = struct.Struct("@128sBBHi80s")
"""struct tcp_md5sig: address, flags, length of the prefix, length of the key, interface, key."""


def read_password(settings: BmpSettings, environ: Mapping[str, str]) -> bytes | None:
    """The password of all BMP connections; None if there is none.

    Raises:
        ConfigurationError: it cannot be read, or TCP does not accept it.
    """
    if settings.password_env is not None:
        if settings.password_env not in environ:
            raise ConfigurationError(
                f"bmp.password_env: the environment variable {settings.password_env} is not set",
                "export it with the MD5 password, or use password_file",
            )
        password = environ[settings.password_env].encode()
    elif settings.password_file is not None:
        try:
            password = settings.password_file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"bmp.password_file {settings.password_file} cannot be read: {error.strerror}",
                "write the MD5 password into it, readable for this user alone (chmod 600)",
            ) from error
    else:
        return None
    if not 1 <= len(password) <= _LONGEST:
        raise ConfigurationError("bmp: the MD5 password is empty or too long", f"use 1 to {_LONGEST} bytes")
    return password


def sign(sock: socket.socket, network: IPv4Network | IPv6Network, password: bytes) -> None:
    """Only accept correctly signed segments from these addresses, and sign those to them.

    Raises:
        CollectorError: the kernel cannot do so.
    """
    if network.version == 4:
        address = struct.pack("=HH4s", socket.AF_INET, 0, network.network_address.packed)
    else:
        address = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, network.network_address.packed, 0)
    key = _KEY.pack(address, _FLAG_PREFIX, network.prefixlen, len(password), 0, password)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG_EXT, key)
    except OSError as error:
        raise CollectorError(
            f"the kernel does not sign BMP connections to {network}: {error.strerror or os.strerror(error.errno or 0)}",
            "leave the password out of [bmp], or use a Linux with CONFIG_TCP_MD5SIG, 4.13 or newer",
        ) from None
