"""Runs the receiver of RIS Live as a process next to ExaBGP."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collector.children import without_secrets
from collector.commands import KeptCommand, kept
from collector.settings.model import Settings

_STOP_SECONDS = 5.0
"""How long it may take to end."""


def ris_live_environment(settings: Settings) -> dict[str, str]:
    """The environment of the receiver, with all of its settings."""
    values = {f"SPOOL_{key.upper()}": str(value) for key, value in settings.spool.model_dump(exclude_none=True).items()}
    values["LOG_LEVEL"] = settings.log.level
    values["RIS_LIVE_URL"] = settings.ris_live.url
    values["RIS_LIVE_CLIENT"] = settings.ris_live.client
    values["RIS_LIVE_SUBSCRIBE"] = json.dumps(settings.ris_live.subscribe)
    return {**without_secrets(os.environ), **{f"BGPLEDGER_{key}": value for key, value in values.items()}}


@asynccontextmanager
async def ris_live_receiver(settings: Settings) -> AsyncIterator[KeptCommand | None]:
    """The receiver of RIS Live, if there is a URL."""
    if not settings.ris_live.is_on:
        yield None
        return
    receiver = KeptCommand(
        "the receiver of RIS Live",
        ["receive-ris", "--data-dir", str(settings.data_dir)],
        (),
        ris_live_environment(settings),
        patience=_STOP_SECONDS,
        late="its last words may be lost",
    )
    async with kept(receiver):
        yield receiver
