# ruff: noqa: ARG002  # arguments are the protocol's
"""A source from which nothing is ever missing, for tests of what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from collector.sources.source import NONE, Effect
from schemas.message import Counted, Event


class Unbroken:
    """Nothing is ever lost on the way to the spool; see `collector.sources.source.Continuity`."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        return True

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        return NONE

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        return NONE

    def note(self) -> Mapping[str, Any]:
        return {}
