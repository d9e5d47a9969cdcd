"""MongoDB URIs without their secrets."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=://).*(?=@)", re.DOTALL)
_SECRET_OPTIONS = re.compile(r"(?i)((?:tlsCertificateKeyFilePassword|authMechanismProperties|proxyPassword)=)[^&]*")


def redact(uri: str) -> str:
    """The URI without user, password and other secrets, for logs and messages.

    Greedy up to the last `@`: a password with an unescaped `@` must not show half of itself.
    """
    return _SECRET_OPTIONS.sub(r"\1***", _CREDENTIALS.sub("***", uri))


def with_database(uri: str, database: str, login: tuple[str, str] | None = None) -> str:
    """The URI with a database to begin in, as mongosh takes it; who signs in does so where he did before.

    Args:
        uri: as people give it; its path, if any, is the database that its user is of.
        database: where to begin.
        login: a user of `admin` and his password, of letters, digits, - and _; None: those of the URI, if any.
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
