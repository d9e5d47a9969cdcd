"""`csv` and `psv`: a line of column names, then one answer a line, with commas or, as monocle's psv, with `|`.

Every key of the answer is a column; `peer.asn` becomes `peer_asn`, and `before.as_path` of a change `before_as_path`; a
list is separated by spaces, absent is empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, TextIO

from pydantic import BaseModel

from schemas.query import Route, RouteChange

_OF_CHANGE = tuple(name for name in Route.model_fields if name not in RouteChange.model_fields)
_NESTED = {"peer": ("address", "asn"), "before": _OF_CHANGE, "after": _OF_CHANGE}


async def _write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO, *, delimiter: str) -> int:
    columns = _columns(kind)
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    async for answer in answers:
        values = answer.model_dump(mode="json")
        writer.writerow([cell(values) for cell in columns.values()])
        count += 1
    return count


write_csv = partial(_write, delimiter=",")
write_psv = partial(_write, delimiter="|")


def _columns(kind: type[BaseModel]) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {}
    for name in kind.model_fields:
        if name in _NESTED:
            for inner in _NESTED[name]:
                columns[f"{name}_{inner}"] = partial(_inner, name=name, inner=inner)
        else:
            columns[name] = partial(_own, name=name)
    return columns


def _own(values: Mapping[str, Any], *, name: str) -> str:
    return _text(values[name])


def _inner(values: Mapping[str, Any], *, name: str, inner: str) -> str:
    return _text(values[name] and values[name][inner])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " ".join(map(_text, value))
    if isinstance(value, dict):
        return _nested(value)
    return str(value)


def _nested(value: Mapping[str, Any]) -> str:
    if value.keys() == {"hex", "text"}:  # an extended community
        return value["text"] or f"0x{value['hex']}"
    if value.keys() == {"asn", "address"}:  # an aggregator
        return f"{value['asn']} {value['address']}"
    return json.dumps(value)
