"""The password of an embedded store: generated once, kept in its data directory, and found by the store's address.

It is found by address because people copy the URI, without its password, from a log or from `status`, and query from
elsewhere. No extra file is needed: the server's command line, which everybody can read in /proc, shows its port and the
directory of its files, and file permissions decide who may read the password there.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from collector.errors import StoreError

USER = "bgpledger"
_DATABASE = "admin"
_FILE = "store.password"
_LOOPBACK = ("127.0.0.1", "localhost")


def make() -> str:
    """Generate a password of characters that need no escaping in a URI."""
    return secrets.token_urlsafe(32)


def read(data_dir: Path) -> str | None:
    """The password of the store in a data directory; None if it has none yet.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return (data_dir / _FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def place(data_dir: Path) -> Path:
    """The file with the password."""
    return data_dir / _FILE


def signed(address: str, password: str) -> str:
    """The URI of an embedded store with its password."""
    return f"{address.replace('//', f'//{USER}:{password}@', 1)}&authSource={_DATABASE}"


def unsigned(uri: str) -> str:
    """That URI without user and password."""
    return re.sub(r"//[^/@]*@", "//", uri).replace(f"&authSource={_DATABASE}", "")


def options_for(uri: str) -> dict[str, str]:
    """The user and password for a client whose URI has none, if the URI is that of an embedded store.

    Raises:
        StoreError: the store belongs to another user.
    """
    with suppress(ValueError):  # several hosts, so not an embedded store
        parts = urlsplit(uri)
        if parts.scheme == "mongodb" and "@" not in parts.netloc and parts.hostname in _LOOPBACK and parts.port:
            for pid, data_dir in _servers(parts.port):
                if password := _password(pid, data_dir, parts.netloc):
                    return {"username": USER, "password": password, "authSource": _DATABASE}
    return {}


def _password(pid: int, data_dir: Path, address: str) -> str | None:
    try:
        return read(data_dir)
    except OSError as error:
        owner = _owner(pid)
        raise StoreError(
            f"the store at {address} is that of {owner}'s collector, and its password in {data_dir} cannot be read:"
            f" {error.strerror}",
            f"ask as {owner} (sudo -u {owner} bgpledger ..), or as root",
        ) from None


def _servers(port: int) -> list[tuple[int, Path]]:
    """Processes that run as embedded stores on this port in our network namespace, and their data directories."""
    found = []
    wanted = [b"--port", str(port).encode()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, ValueError):  # it has ended, or is not a store
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                at = arguments.index(b"--storage-path")
                if arguments[(given := arguments.index(b"--port")) : given + 2] == wanted and _in_our_network(entry):
                    found.append((int(entry.name), Path(os.fsdecode(arguments[at + 1])).parent))
    return found


def _in_our_network(process: Path) -> bool:
    try:
        return (process / "ns" / "net").stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    except PermissionError:  # it belongs to another user
        return True


def _owner(pid: int) -> str:
    uid = Path(f"/proc/{pid}").stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
