"""The base class of all sections of the settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
"""The addresses for listening on all interfaces."""


class SettingsError(ValueError):
    """A fault that involves more than one key."""

    def __init__(self, key: str, what: str, cure: str) -> None:
        super().__init__(what)
        self.key = key
        self.cure = cure


class SettingsSection(BaseModel):
    """The keys of a table; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
