"""MongoDB URIs without their secrets."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=://).*(?=@)", re.DOTALL)
_SECRET_OPTIONS = re.compile(r"(?i)((?:tlsCertificateKeyFilePassword|authMechanismProperties|proxyPassword)=)[^&]*")


def redact(uri: str) -> str:
    """The URI without user, password and other secrets, for logs and messages.

    The match is greedy up to the last `@`, so that no part of a password with an unescaped `@` is shown.
    """
    return _SECRET_OPTIONS.sub(r"\1***", _CREDENTIALS.sub("***", uri))


def with_database(uri: str, database: str, login: tuple[str, str] | None = None) -> str:
    """The URI with the database that mongosh opens; the authentication database stays the same.

    Args:
        uri: as configured; its path, if any, is the user's authentication database.
        database: the database to open.
        login: a user of `admin` and the password, of letters, digits, - and _; None: those of the URI, if any.
    """
    place, _, options = uri.partition("?")
    scheme, _, rest = place.partition("//")
    hosts, _, path = rest.partition("/")
    given = [option for option in options.split("&") if option]
    named = {option.partition("=")[0].lower() for option in given}
    if login:
        hosts = f"{login[0]}:{login[1]}@{hosts}"
    if "@" in hosts and not named & {"authsource", "authmechanism"}:
        given.append(f"authSource={path or 'admin'}")
    return f"{scheme}//{hosts}/{database}" + (f"?{'&'.join(given)}" if given else "")
