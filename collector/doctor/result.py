"""The result of one check."""

from __future__ import annotations

from typing import Literal, NamedTuple


class CheckResult(NamedTuple):
    """What a check found; the cure stands with all that is not well."""

    state: Literal["ok", "warning", "error"]
    check: str
    says: str
    cure: str = ""
