"""`jsonl`: one JSON object a line, written as answers come. `json`: an array of them, or the one object of a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from json.encoder import encode_basestring as quoted
from typing import Any, TextIO

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from collector.query.batch import Batch
from collector.rib.routes import moment_text
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
    if issubclass(kind, Report):
        count = 0
        async for answer in answers:
            stream.write(_json(answer, indent=2) + "\n")
            count += 1
        return count

    async def each() -> AsyncIterator[str]:
        async for answer in answers:
            yield _json(answer)

    return await _write_array(each(), stream)


async def _write_array(texts: AsyncIterator[str], stream: TextIO) -> int:
    count = 0
    stream.write("[")
    try:
        async for text in texts:
            stream.write(f"{',' if count else ''}\n{text}")
            count += 1
    except (asyncio.CancelledError, KeyboardInterrupt):  # so ends what has no end of its own
        stream.write("\n]\n")
        raise
    stream.write("\n]\n" if count else "]\n")
    return count


async def write_routes(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write routes as `write` does, of what is stored."""
    count = 0
    async for batch in batches:
        stream.write("\n".join([*_routes(batch), ""]))
        count += len(batch.items)
    return count


async def write_routes_json(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write an array of routes."""

    async def each() -> AsyncIterator[str]:
        async for batch in batches:
            for text in _routes(batch):
                yield text

    return await _write_array(each(), stream)


def _routes(batch: Batch) -> list[str]:
    """Each route as the JSON that its model would give: what many have in common is rendered once."""
    whose = batch.rib.blank.model_dump_json(include={"peer", "collector"})[:-1]
    facts = {facts: (_text(said.pop("object")), _text(said)[1:]) for facts, said in batch.facts().items()}
    since = {since: moment_text(since) for since in {entry.since for _, entry in batch.items}}
    found = []
    for key, entry in batch.items:
        family, rd, path_id, nlri = key
        prefix = quoted(nlri) if key.is_prefix else "null"
        thing, attributes = facts[entry.facts]
        found.append(
            f'{whose},"prefix":{prefix},"object":{thing},"state":"{batch.state(key, entry)}"'
            f',"since":"{since[entry.since]}","family":{quoted(family)}'
            f',"path_id":{"null" if path_id is None else path_id},"rd":{quoted(rd) if rd else "null"},{attributes}'
        )
    return found


def _text(value: Any) -> str:
    return to_json(value, inf_nan_mode="null").decode()


def _json(answer: BaseModel, indent: int | None = None) -> str:
    try:
        return answer.model_dump_json(indent=indent)
    except PydanticSerializationError:  # the name of a file is any bytes, and JSON is text
        return json.dumps(answer.model_dump(mode="json"), indent=indent)
