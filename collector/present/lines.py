"""`jsonl`: one JSON object a line, written as answers come. `json`: an array of them, or the one object of a report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO

from pydantic import BaseModel

from schemas.query import Report


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write every answer with all of its keys; what is absent is null."""
    count = 0
    async for answer in answers:
        stream.write(answer.model_dump_json() + "\n")
        count += 1
    return count


async def write_json(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write a report, indented; of other answers an array, one a line."""
    count = 0
    if issubclass(kind, Report):
        async for answer in answers:
            stream.write(answer.model_dump_json(indent=2) + "\n")
            count += 1
        return count
    stream.write("[")
    async for answer in answers:
        stream.write(("," if count else "") + "\n" + answer.model_dump_json())
        count += 1
    stream.write("\n]\n" if count else "]\n")
    return count
