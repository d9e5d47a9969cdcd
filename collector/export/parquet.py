"""Parquet: a row for each route that a message announces or withdraws, and for each session that came up or ended.

Rows are in order of time, some 128,000 in a row group, compressed with zstd. `router` is the router that reports the
peer, or the name of the collector that the peer speaks to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from collector.errors import ExportError
from collector.export.files import not_written
from collector.export.summary import ExportSummary
from collector.files import replacing
from collector.query.attributes import AnswerFields
from collector.query.messages import SessionChange, StoredMessage
from schemas.attributes import Attributes, origins, parse_as_path
from schemas.stored import GroupDocument, SessionDocument, UpdateDocument

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet as pq
except ImportError:
    raise ExportError(
        "Parquet files need pyarrow, which is not installed", "pip install 'bgpledger[parquet]'"
    ) from None

ROWS: Final = 131_072
"""The number of rows in a row group."""
_AT_ONCE: Final = 8192
"""The number of rows held as Python objects."""
_MOST: Final = 4 * ROWS
"""The number of rows that wait for their groups, over all files of a directory."""

_TEXTS: Final = pa.list_(pa.string())
_NAMES: Final = pa.dictionary(pa.int32(), pa.string())
_COLUMNS: Final[dict[str, Any]] = {
    "time": pa.timestamp("us", tz="UTC"),
    "router": _NAMES,
    "peer": _NAMES,
    "peer_asn": pa.uint32(),
    "family": _NAMES,
    "action": _NAMES,
    "prefix": pa.string(),
    "prefix_len": pa.uint8(),
    "rd": pa.string(),
    "path_id": pa.uint32(),
    "object": pa.string(),
    "origin_asn": pa.uint32(),
    "as_path": pa.list_(pa.uint32()),
    "as_path_text": _NAMES,
    "next_hop": _NAMES,
    "local_pref": pa.uint32(),
    "med": pa.uint32(),
    "communities": _TEXTS,
    "large_communities": _TEXTS,
    "ext_communities": _TEXTS,
    "message": pa.string(),
}
"""The columns and their types."""
_OF_SESSIONS: Final = ("time", "router", "peer", "peer_asn", "action", "message")


class Rows(NamedTuple):
    """Rows that belong together: those of one group of routes, or one of a session."""

    router: str
    day: date
    length: int
    same: Mapping[str, Any]
    """The values that all rows share."""
    own: Mapping[str, Sequence[Any]]
    """The values of each row."""


def rows_of(one: StoredMessage | SessionChange) -> Iterator[Rows]:
    """The rows of a message, withdrawals first, or of a session's begin or end."""
    if isinstance(one, SessionChange):
        yield _rows(one.ts, one.session, {"action": "down" if one.ended else "up"}, 1, {})
        return
    document = one.document
    if "kind" in document:  # not an UPDATE
        return
    for group in document.get("withdraw", ()):
        yield _routes(one.ts, document, group, {"action": "W"})
    if "announce" in document:
        attributes = {"action": "A"} | _attributes(document.get("attributes", {}))
        for group in document["announce"]:
            yield _routes(one.ts, document, group, {**attributes, "next_hop": group.get("next_hop")})


def _routes(ts: datetime, document: UpdateDocument, group: GroupDocument, attributes: AnswerFields) -> Rows:
    same = {**attributes, "family": group["family"], "rd": group.get("rd"), "path_id": group.get("path_id")}
    if "nlri" in group:
        prefixes: list[str] = group["nlri"]
        own: dict[str, Sequence[Any]] = {"prefix": prefixes, "prefix_len": [*map(_length, prefixes)]}
        return _rows(ts, document, same, len(prefixes), own)
    import json

    objects = [json.dumps(route, default=str) for route in group["objects"]]
    return _rows(ts, document, same, len(objects), {"object": objects})


def _rows(
    ts: datetime,
    document: UpdateDocument | SessionDocument,
    attributes: AnswerFields,
    count: int,
    own: Mapping[str, Sequence[Any]],
) -> Rows:
    peer = document["peer"]
    router = peer.get("router") or document["collector"]
    same = {
        **attributes,
        "time": ts,
        "router": router,
        "peer": peer["address"],
        "peer_asn": peer["asn"],
        "message": str(document["_id"]),
    }
    return Rows(router, ts.astimezone(UTC).date(), count, same, own)


def _length(prefix: str) -> int:
    return int(prefix.rpartition("/")[2])


def _attributes(attributes: Attributes) -> AnswerFields:
    path = attributes.get("as_path")
    asns, origin = _path(path) if path is not None else (None, None)
    extended = [*attributes.get("extended_communities", ()), *attributes.get("ipv6_extended_communities", ())]
    return {
        "as_path": asns,
        "as_path_text": path,
        "origin_asn": origin,
        "local_pref": attributes.get("local_pref"),
        "med": attributes.get("med"),
        "communities": attributes.get("communities"),
        "large_communities": attributes.get("large_communities"),
        "ext_communities": [one.get("text") or f"0x{one['hex']}" for one in extended] or None,
    }


@lru_cache(maxsize=65_536)
def _path(text: str) -> tuple[list[int], int | None]:
    """All ASes of a path, and its origin if there is just one."""
    found = origins(text) if text else ()
    return [asn for segment in parse_as_path(text) for asn in segment.asns], found[0] if len(found) == 1 else None


class _File:
    """One file, which replaces an existing one when it is closed."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._schema = pa.schema([(name, _COLUMNS[name]) for name in columns])
        self._now: dict[str, list[Any]] = {name: [] for name in columns}
        self._batches: list[Any] = []
        self.waiting = 0
        self._stack = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = self._stack.enter_context(replacing(path, durable=True))
        except OSError as error:
            raise not_written(path, error) from None
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def add(self, rows: Rows) -> None:
        """Add rows."""
        for name, column in self._now.items():
            own = rows.own.get(name)
            column.extend(repeat(rows.same.get(name), rows.length) if own is None else own)
        self.waiting += rows.length
        if len(self._now["time"]) >= _AT_ONCE:
            self._pack()
        if self.waiting >= ROWS:
            self.flush()

    def _pack(self) -> None:
        arrays = [pa.array(self._now[field.name], field.type) for field in self._schema]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        for column in self._now.values():
            column.clear()

    def flush(self) -> None:
        """Write the waiting rows as a group."""
        self._pack()
        table = pa.Table.from_batches(self._batches, self._schema)
        try:
            self._writer.write_table(table.unify_dictionaries(), row_group_size=2 * ROWS)
        except OSError as error:
            raise not_written(self._path, error) from None
        self._batches.clear()
        self.waiting = 0

    def close(self) -> None:
        """Finish the file and move it into place."""
        try:
            if self.waiting:
                self.flush()
            self._writer.close()
            self._stack.close()
        except OSError as error:
            raise not_written(self._path, error) from None

    def give_up(self) -> None:
        """Remove what has been written."""
        with suppress(OSError):
            self._writer.close()
        with suppress(_GivenUp):
            self._stack.__exit__(_GivenUp, _GivenUp(), None)


class _GivenUp(Exception):  # noqa: N818  # nobody sees it
    """Aborts a file."""


class ParquetWriter:
    """Writes one file, or a directory of them: `router=NAME/day=YYYY-MM-DD/updates.parquet` (UTC), as Hive does.

    Args:
        path: the file, or the directory.
        by_day: whether it is a directory.
    """

    def __init__(self, path: Path, *, by_day: bool) -> None:
        self._path = path
        self._by_day = by_day
        self._files: dict[tuple[str, date | None], _File] = {}
        self._day: date | None = None
        self._unseen = 0

    async def write(self, messages: AsyncIterator[StoredMessage | SessionChange]) -> ExportSummary:
        """Write peers' messages, and their sessions, which come in order of time.

        Raises:
            ExportError: a file cannot be written.
        """
        written = ExportSummary()
        try:
            async for one in messages:
                for rows in rows_of(one):
                    self._add(rows)
                    written.records += rows.length
            for key in list(self._files):
                self._files.pop(key).close()
        finally:
            for file in self._files.values():
                file.give_up()
        return written

    def _add(self, rows: Rows) -> None:
        if self._by_day and rows.day != self._day:
            self._day = rows.day
            for key in [key for key in self._files if key[1] != rows.day]:
                self._files.pop(key).close()
        key = (rows.router, rows.day) if self._by_day else ("", None)
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = self._open(rows)
        file.add(rows)
        self._unseen += rows.length
        if self._unseen >= ROWS:
            self._unseen = 0
            if sum(one.waiting for one in self._files.values()) > _MOST:
                max(self._files.values(), key=lambda one: one.waiting).flush()

    def _open(self, rows: Rows) -> _File:
        if not self._by_day:
            return _File(self._path, list(_COLUMNS))
        folder = self._path / f"router={quote(rows.router, safe='')}" / f"day={rows.day}"
        return _File(folder / "updates.parquet", [name for name in _COLUMNS if name != "router"])
