"""The answer to a command that another process typed."""

import asyncio
from typing import Any

from collector.http.commands import Commands, _Answer
from collector.present.layout import Elsewhere


async def test_what_the_driver_raises_after_the_reader_has_left_is_no_fault() -> None:
    class Driver:
        async def answer(self, *_: object) -> int:
            try:
                return await asyncio.Future[int]()
            except asyncio.CancelledError:
                raise RuntimeError("Lock is not acquired") from None  # as pymongo does with Python 3.11

    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    silent: Any = None
    commands = Commands(silent)
    await _Answer(Driver(), silent, Elsewhere(None), Elsewhere(None), commands)({}, leave, send)
    assert commands.going == 0
