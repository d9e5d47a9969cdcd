"""Runs the BMP receiver as a process next to ExaBGP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collector.children import without_secrets
from collector.commands import KeptCommand, kept, program
from collector.instances import Instance
from collector.settings.model import Settings
from collector.sources.bmp.decode import NAME

_STOP_SECONDS = 5.0
"""How long it may take to end."""


def bmp_environment(settings: Settings) -> dict[str, str]:
    """The environment of the BMP receiver, with all of its settings, and of our secrets only its own."""
    values = {f"SPOOL_{key.upper()}": str(value) for key, value in settings.spool.model_dump(exclude_none=True).items()}
    values["LOG_LEVEL"] = settings.log.level
    environment = without_secrets(os.environ)
    if settings.bmp:
        for key, value in settings.bmp.model_dump(exclude_none=True).items():
            values[f"BMP_{key.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
        if (secret := settings.bmp.password_env) and secret in os.environ:
            environment[secret] = os.environ[secret]
    return {**environment, **{f"BGPLEDGER_{key}": value for key, value in values.items()}}


@asynccontextmanager
async def bmp_receiver(settings: Settings) -> AsyncIterator[KeptCommand | None]:
    """The BMP receiver, if there is a [bmp]; if there was one, it records that no router is connected any more."""
    arguments = ["receive-bmp", "--data-dir", str(settings.data_dir)]
    environment = bmp_environment(settings)
    if settings.bmp is None:
        if Instance(settings.data_dir, source=NAME).spool.exists():
            last = await asyncio.create_subprocess_exec(program(), *arguments, env=environment)
            await last.wait()
        yield None
        return
    receiver = KeptCommand(
        "the BMP receiver", arguments, (), environment, patience=_STOP_SECONDS, late="its last words may be lost"
    )
    async with kept(receiver):
        yield receiver
