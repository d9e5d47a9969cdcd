"""`jsonl`: one JSON object a line, written as answers come. `json`: an array of them, or the one object of a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TextIO

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from schemas.query import Report


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write every answer with all of its keys; what is absent is null."""
    count = 0
    async for answer in answers:
        stream.write(_json(answer) + "\n")
        count += 1
    return count


async def write_json(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write a report, indented; of other answers an array, one a line."""
    count = 0
    if issubclass(kind, Report):
        async for answer in answers:
            stream.write(_json(answer, indent=2) + "\n")
            count += 1
        return count
    stream.write("[")
    try:
        async for answer in answers:
            stream.write(("," if count else "") + "\n" + _json(answer))
            count += 1
    except (asyncio.CancelledError, KeyboardInterrupt):  # so ends what has no end of its own
        stream.write("\n]\n")
        raise
    stream.write("\n]\n" if count else "]\n")
    return count


def _json(answer: BaseModel, indent: int | None = None) -> str:
    try:
        return answer.model_dump_json(indent=indent)
    except PydanticSerializationError:  # the name of a file is any bytes, and JSON is text
        return json.dumps(answer.model_dump(mode="json"), indent=indent)
