"""`csv` and `psv`: a line of column names, then one answer a line, with commas or, as monocle's psv, with `|`.

`csv` is that of RFC 4180: lines end with CR LF, and values with a comma, a quote or a line break are quoted. Every key
of the answer is a column; `peer.asn` becomes `peer_asn`, and `before.as_path` of a change `before_as_path`; lists are
separated by spaces, absent values are empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TextIO

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from collector.query.batch import Batch
from collector.rib.routes import moment_text
from schemas.query import Route, RouteChange
from schemas.status import PeerOpen

_OF_CHANGE = tuple(name for name in Route.model_fields if name not in RouteChange.model_fields)
_NESTED: Mapping[str, tuple[str, ...]] = {
    "peer": ("address", "asn", "router", "rd", "rib"),
    "before": _OF_CHANGE,
    "after": _OF_CHANGE,
    "open": tuple(PeerOpen.model_fields),
}
_PLAIN = (str, int, type(None))
"""The types that `csv` writes as `_text` would; most cells are of these."""


async def _write(
    answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO, *, delimiter: str, end: str
) -> int:
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerow(_columns(kind))
    count = 0
    async for answer in answers:
        cells = _cells(answer.model_dump(mode="json"))
        writer.writerow([cell if type(cell) in _PLAIN else _text(cell) for cell in cells])
        count += 1
    return count


async def _write_routes(
    batches: AsyncIterator[Batch], _at: datetime, stream: TextIO, *, delimiter: str, end: str
) -> int:
    """Write routes as `_write` does, from their stored form."""
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerow(_columns(Route))
    count = 0
    async for batch in batches:
        writer.writerows(_rows(batch))
        count += len(batch.items)
    return count


write_csv = partial(_write, delimiter=",", end="\r\n")
write_psv = partial(_write, delimiter="|", end="\n")
write_routes_csv = partial(_write_routes, delimiter=",", end="\r\n")
write_routes_psv = partial(_write_routes, delimiter="|", end="\n")


def _rows(batch: Batch) -> Iterator[tuple[Any, ...]]:
    """Each route as the row of its model; values that many routes share are converted once."""
    whose = batch.rib.blank
    peer = whose.peer
    own = peer.address, peer.asn, peer.router, peer.rd, peer.rib, whose.collector
    facts = {
        facts: [*map(_text, to_jsonable_python(fields, inf_nan_mode="null").values())]
        for facts, fields in batch.facts().items()
    }
    for key, entry in batch.items:
        thing, *attributes = facts[entry.facts]
        since, state = moment_text(entry.since), batch.state(key, entry)
        prefix = key.nlri if key.is_prefix else None
        yield (*own, prefix, thing, state, since, key.family, key.path_id, key.rd, *attributes)


def _columns(kind: type[BaseModel]) -> Iterator[str]:
    for name in kind.model_fields:
        if inner := _NESTED.get(name):
            yield from (f"{name}_{one}" for one in inner)
        else:
            yield name


def _cells(values: Mapping[str, Any]) -> Iterator[Any]:
    """The values of an answer in the order of its columns."""
    for name, value in values.items():
        if inner := _NESTED.get(name):
            yield from (value.get(one) if value else None for one in inner)
        else:
            yield value


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
    if value.keys() == {"code", "flags", "hex"}:  # an attribute unknown to ExaBGP
        return f"{value['code']}:0x{value['flags']:02x}:0x{value['hex']}"
    return json.dumps(value)
