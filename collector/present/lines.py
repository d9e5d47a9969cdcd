"""`jsonl`: one JSON object a line, written as answers come. `json`: one object, for answers that are one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO

from pydantic import BaseModel


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write every answer with all of its keys; what is absent is null."""
    count = 0
    async for answer in answers:
        stream.write(answer.model_dump_json() + "\n")
        count += 1
    return count


async def write_json(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write a single answer, indented."""
    count = 0
    async for answer in answers:
        stream.write(answer.model_dump_json(indent=2) + "\n")
        count += 1
    return count
