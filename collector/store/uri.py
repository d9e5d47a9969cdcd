"""MongoDB URIs as they may be shown."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=://).*(?=@)", re.DOTALL)
_SECRET_OPTIONS = re.compile(r"(?i)((?:tlsCertificateKeyFilePassword|authMechanismProperties|proxyPassword)=)[^&]*")


def redact(uri: str) -> str:
    """The URI without user, password and other secrets, for logs and messages.

    Greedy up to the last `@`: a password with an unescaped `@` must not show half of itself.
    """
    return _SECRET_OPTIONS.sub(r"\1***", _CREDENTIALS.sub("***", uri))
