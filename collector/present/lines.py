"""`jsonl`: one JSON object a line, written as answers come. `json`: an array of them, or the one object of a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from json.encoder import encode_basestring as quoted
from typing import Any, TextIO

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from collector.query.batch import Batch
from collector.rib.routes import moment_text
from schemas.status import Report

_PIECES = 256
"""The number of texts that are joined at once: some 80 kB."""


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write every answer with all of its keys; absent values are null."""
    count = 0
    async for answer in answers:
        stream.write(_json(answer) + "\n")
        count += 1
    return count


async def write_json(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write a report, indented; other answers as an array, one on each line."""
    if issubclass(kind, Report):
        count = 0
        async for answer in answers:
            stream.write(_json(answer, indent=2) + "\n")
            count += 1
        return count
    count = 0
    with _array(stream):
        async for answer in answers:
            stream.write(f"{',' if count else ''}\n{_json(answer)}")
            count += 1
    stream.write("\n]\n" if count else "]\n")
    return count


@contextmanager
def _array(stream: TextIO) -> Iterator[None]:
    stream.write("[")
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):  # ends the array of endless answers
        stream.write("\n]\n")
        raise


async def write_routes(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write routes as `write` does, from their stored form."""
    count = 0
    async for batch in batches:
        stream.writelines(_routes(batch, end="\n"))
        count += len(batch.items)
    return count


async def write_routes_json(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write an array of routes."""
    count = 0
    with _array(stream):
        async for batch in batches:
            texts = list(_routes(batch, begin=",\n"))
            if texts and not count:
                texts[0] = texts[0].removeprefix(",")
            stream.writelines(texts)
            count += len(batch.items)
    stream.write("\n]\n" if count else "]\n")
    return count


def _routes(batch: Batch, begin: str = "", end: str = "") -> Iterator[str]:
    """Each route as the JSON of its model; values that many routes share are rendered once.

    Args:
        batch: the routes.
        begin: text before each route.
        end: text after each route.

    Yields:
        Some routes joined, while they are still in the processor's cache.
    """
    whose = begin + batch.rib.blank.model_dump_json(include={"peer", "collector"})[:-1]
    facts = {}
    for packed, fields in batch.facts().items():
        thing = fields.pop("object")
        facts[packed] = "null" if thing is None else _text(thing), f"{_text(fields)[1:]}{end}"
    since = {since: moment_text(since) for since in {entry.since for _, entry in batch.items}}
    state = batch.common_state()
    pieces: list[str] = []
    for key, entry in batch.items:
        family, rd, path_id, nlri = key
        thing, attributes = facts[entry.facts]
        pieces.append(
            f'{whose},"prefix":{quoted(nlri) if key.is_prefix else "null"},"object":{thing}'
            f',"state":"{state or batch.state(key, entry)}","since":"{since[entry.since]}","family":{quoted(family)}'
            f',"path_id":{"null" if path_id is None else path_id},"rd":{quoted(rd) if rd else "null"},'
        )
        pieces.append(attributes)
    for at in range(0, len(pieces), _PIECES):
        yield "".join(pieces[at : at + _PIECES])


def _text(value: Any) -> str:
    return to_json(value, inf_nan_mode="null").decode()


def _json(answer: BaseModel, indent: int | None = None) -> str:
    try:
        return answer.model_dump_json(indent=indent)
    except PydanticSerializationError:  # the name of a file may be any bytes, but JSON is text
        return json.dumps(answer.model_dump(mode="json"), indent=indent)
