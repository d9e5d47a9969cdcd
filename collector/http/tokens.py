"""Tokens: who may use the API from other machines or users. A file has their hashes, not the tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from collector.errors import CollectorError, UsageError
from collector.files import replace
from schemas.faults import fault_of
from schemas.status import Token

Scope = Literal["read", "announce"]
_FILE = "tokens.json"
_BYTES = 32


class _StoredToken(Token):
    sha256: str
    """The SHA-256 of the token: 32 random bytes need neither a salt nor a slow hash."""


_FILED = TypeAdapter(list[_StoredToken])


class Bounds(NamedTuple):
    """The limits of a token with the scope `announce`; see `schemas.status.Token`."""

    prefixes: Sequence[str] = ()
    limit: int | None = None
    rate: float | None = None


_NONE = Bounds()


def add(data_dir: Path, name: str, scope: Scope, bounds: Bounds = _NONE) -> str:
    """Create a token; it is returned, and stored nowhere.

    Raises:
        UsageError: there is one with this name, or limits are given for a token that may not announce.
        CollectorError: the file cannot be read or written.
    """
    stored = _read(data_dir)
    if any(one.name == name for one in stored):
        raise UsageError(f"there is a token {name!r}", "give another name, or remove that one first")
    if scope != "announce" and any(bounds):
        raise UsageError(f"a token with the scope {scope!r} cannot announce", "give --scope announce")
    token = f"bgpledger_{secrets.token_urlsafe(_BYTES)}"
    fresh = _new(name, scope, bounds, _hash(token))
    _write(data_dir, [*stored, fresh])
    return token


def _new(name: str, scope: Scope, bounds: Bounds, digest: str) -> _StoredToken:
    own = {"name": name, "scope": scope, "created": datetime.now(UTC), "sha256": digest}
    try:
        return _StoredToken.model_validate({**own, **bounds._asdict()})
    except ValidationError as error:
        fault = fault_of(error.errors(include_url=False)[0], _StoredToken)
        option = {"prefixes": "--prefix"}.get(str(fault.place[0]), f"--{fault.place[0]}")
        raise UsageError(fault.at(option), "see bgpledger token add --help") from None


def remove(data_dir: Path, name: str) -> None:
    """Remove a token: from now on it is refused.

    Raises:
        UsageError: there is none with this name.
        CollectorError: the file cannot be read or written.
    """
    stored = _read(data_dir)
    left = [one for one in stored if one.name != name]
    if len(left) == len(stored):
        raise UsageError(f"there is no token {name!r}", "see bgpledger token list")
    _write(data_dir, left)


def tokens(data_dir: Path) -> list[Token]:
    """All tokens, oldest first.

    Raises:
        CollectorError: the file cannot be read.
    """
    return [Token(**one.model_dump(include=set(Token.model_fields))) for one in _read(data_dir)]


class Keyring:
    """The current tokens of a data directory, from its file."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._read_at: tuple[int, int] | None = None
        self._by_hash: dict[str, Token] = {}

    def find(self, token: str) -> Token | None:
        """The token, if it is valid.

        Raises:
            CollectorError: the file cannot be read.
        """
        self._look()
        return self._by_hash.get(_hash(token))

    def has(self, token: Token) -> bool:
        """Whether a token is still valid, with the same permissions.

        Raises:
            CollectorError: the file cannot be read.
        """
        self._look()
        return token in self._by_hash.values()

    def _look(self) -> None:
        try:
            stat = (self._data_dir / _FILE).stat()
        except FileNotFoundError:
            self._by_hash, self._read_at = {}, None
            return
        if self._read_at != (stat.st_mtime_ns, stat.st_ino):
            self._by_hash = {one.sha256: one for one in _read(self._data_dir)}
            self._read_at = stat.st_mtime_ns, stat.st_ino


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(data_dir: Path) -> list[_StoredToken]:
    path = data_dir / _FILE
    try:
        return _FILED.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CollectorError(f"{path} cannot be read: {error.strerror}", "run as the collector's user") from None
    except ValidationError:
        raise CollectorError(f"{path} is not a list of tokens", "remove it, and add the tokens again") from None


def _write(data_dir: Path, stored: list[_StoredToken]) -> None:
    path = data_dir / _FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, json.dumps(_FILED.dump_python(stored, mode="json"), indent=1) + "\n", durable=True)
    except OSError as error:
        raise CollectorError(f"{path} cannot be written: {error.strerror}", "run as the collector's user") from None
