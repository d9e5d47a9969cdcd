"""The result of one check."""

from __future__ import annotations

from typing import Literal, NamedTuple


class CheckResult(NamedTuple):
    """The result of a check; with a cure unless all is well."""

    state: Literal["ok", "warning", "error"]
    check: str
    says: str
    cure: str = ""
