"""What is left of `history` without this project: the same packages, one model, the UPDATEs of one prefix, no more.

    BGPLEDGER_MONGODB_URI=mongodb://.. python -m benchmarks.bare_history PREFIX

It imports nothing of ours, so that its time is that of typer, pydantic and pymongo.
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from typing import Any

import typer
from pydantic import BaseModel
from pymongo import AsyncMongoClient


class _Line(BaseModel):
    ts: datetime
    peer: dict[str, Any]


def history(prefix: str) -> None:
    """Print the time and the peer of each UPDATE for a prefix."""
    asyncio.run(_print(prefix))


async def _print(prefix: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](os.environ["BGPLEDGER_MONGODB_URI"]) as client:
        updates = client["bgpledger"]["updates"]
        found = [one for key in ("announce", "withdraw") async for one in updates.find({f"{key}.nlri": prefix})]
        for one in sorted(map(_Line.model_validate, found), key=lambda line: line.ts):
            typer.echo(one.model_dump_json())


if __name__ == "__main__":
    typer.run(history)
