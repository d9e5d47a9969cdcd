"""Browser sessions: a signed-in browser keeps a key that expires, and never the token."""

from __future__ import annotations

import hashlib
import secrets
from time import monotonic
from typing import NamedTuple

from collector.http.tokens import Keyring
from schemas.status import Token

COOKIE = "bgpledger-sign-in"
SIGN_IN = "/sign-in"
"""The path of the page."""
LASTS = 12 * 3600
"""How long a sign-in lasts, in seconds."""
_MOST = 1000
_BYTES = 32


class _SignIn(NamedTuple):
    token: Token
    ends: float


class SignIns:
    """The sign-ins of one server, in its memory only.

    Browsers send cookies to every port of our address, so a cookie must not contain the token.

    Args:
        keyring: the tokens that can be used to sign in; removing a token ends its sign-ins.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._by_hash: dict[str, _SignIn] = {}

    def begin(self, token: str) -> str | None:
        """The key for a client with this token; None if it is not one of ours.

        Raises:
            CollectorError: the file of tokens cannot be read.
        """
        found = self._keyring.find(token)
        if found is None:
            return None
        key = secrets.token_urlsafe(_BYTES)
        self._by_hash[_hash(key)] = _SignIn(found, monotonic() + LASTS)
        if len(self._by_hash) > _MOST:
            del self._by_hash[next(iter(self._by_hash))]
        return key

    def find(self, key: str) -> Token | None:
        """The token that a client signed in with; None once the sign-in has ended.

        Raises:
            CollectorError: the file of tokens cannot be read.
        """
        found = self._by_hash.get(_hash(key))
        if found is None:
            return None
        if monotonic() < found.ends and self._keyring.has(found.token):
            return found.token
        self.end(key)
        return None

    def end(self, key: str) -> None:
        """Forget a key."""
        self._by_hash.pop(_hash(key), None)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
