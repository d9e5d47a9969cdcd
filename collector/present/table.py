"""`table`: aligned columns for people; `collector.present.layout` arranges them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from pydantic import BaseModel

from collector.present.layout import Layout, bold, terminal_width, text_width
from collector.query.communities import communities_of
from schemas.attributes import Aggregator, ExtendedCommunity, UnknownAttribute
from schemas.intents import Intent
from schemas.query import FoundEntry, HistoryEntry, LiveEntry, PeerConvergence, Route, RouteChange, TopEntry
from schemas.scalars import spoken
from schemas.status import (
    CollectorStatus,
    Finding,
    PeerStatus,
    ReplayedPeer,
    SpoolSegment,
    SpoolStatus,
    Token,
    Verification,
)

if TYPE_CHECKING:
    from collector.query.batch import Batch

_PART = 500
"""The number of rows that decide the column widths; longer tables are printed in such parts."""
_PATIENCE: dict[type[BaseModel], float] = {LiveEntry: 0.1, FoundEntry: 2.0}
"""Seconds that rows wait for further rows; answers of other kinds wait for all."""


class _Column(NamedTuple):
    title: str
    cell: Callable[[Any], object]
    right: bool = False
    folds: bool = False
    """On a terminal long cells of this column may be wrapped; other columns are never narrower than their cells."""
    usual: int = 0
    """The width for answers that arrive one by one, when the width of later ones is unknown."""


async def write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write answers as one table, a part at a time; a status or a verification as a list of facts."""
    count = 0
    width = terminal_width(stream)
    part: _Part | None = None
    async for rows, more in _parts(answers, _PATIENCE.get(kind)):
        count += len(rows)
        if kind in _FACTS:
            _print_facts(rows[0], stream)
        else:
            part = _Part.of(_COLUMNS[kind], rows, part, more=more, width=width)
            part.print(stream)
    if not count and kind not in _FACTS:
        _Part.of(_COLUMNS[kind], [], None, width=width).print(stream)
    if kind is Verification and (findings := cast("Verification", rows[0]).findings):
        stream.write("\n")
        _Part.of(_COLUMNS[Finding], findings, None, width=width).print(stream)
    return count


async def write_routes(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write routes as `write` does."""
    from collector.query.batch import routes_of

    return await write(routes_of(batches), Route, stream)


async def _parts(
    answers: AsyncIterator[BaseModel], patience: float | None
) -> AsyncIterator[tuple[list[BaseModel], bool]]:
    """Answers in parts: enough to decide column widths, or what has arrived if the next answer is slow.

    Each part comes with whether it was cut short and more may follow.
    """
    if patience is None:
        async for whole in _whole_parts(answers):
            yield whole, False
        return
    rows: list[BaseModel] = []
    last = False
    while not last:
        coming = asyncio.ensure_future(anext(answers, None))
        try:
            await asyncio.wait([coming], timeout=patience if rows else None)
            if rows and not coming.done():
                yield rows, True
                rows = []
            answer = await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        last = answer is None
        if answer is not None:
            rows.append(answer)
        if rows and (last or len(rows) == _PART):
            yield rows, False
            rows = []


async def _whole_parts(answers: AsyncIterator[BaseModel]) -> AsyncIterator[list[BaseModel]]:
    rows: list[BaseModel] = []
    async for answer in answers:
        rows.append(answer)
        if len(rows) == _PART:
            yield rows
            rows = []
    if rows:
        yield rows


class _Part(NamedTuple):
    """Some rows of a table, and how it looks."""

    columns: Sequence[_Column]
    cells: Sequence[Sequence[str]]
    widths: Sequence[int]
    layout: Layout
    header: bool

    @classmethod
    def of(
        cls,
        columns: Sequence[_Column],
        rows: Sequence[BaseModel],
        before: _Part | None,
        *,
        more: bool = False,
        width: int | None = None,
    ) -> _Part:
        """The next part; its columns continue those of the part before if possible."""
        cells = {column: [_text(column.cell(row)) for row in rows] for column in columns}
        # A column without any value only takes space.
        used = {column for column in columns if any(cells[column]) or column.title in _ALWAYS}
        if more and not before:
            used |= {column for column in columns if column.usual}
        known = dict(zip(before.columns, before.widths, strict=True)) if before else {}
        shown = [column for column in columns if column in used or column in known]
        fresh = before is None or not used <= known.keys()
        widths = [
            max(
                known.get(column, 0),
                column.usual if more else 0,
                0 if known and not fresh else text_width(column.title),
                *map(text_width, cells[column]),
            )
            for column in shown
        ]
        layout = Layout.fitting(widths, [column.folds for column in shown], width)
        header = fresh or before is None or layout.of != before.layout.of
        return cls(shown, [cells[column] for column in shown], widths, layout, header)

    def print(self, stream: TextIO) -> None:
        """Write the rows."""
        titles = [column.title for column in self.columns]
        rights = [column.right for column in self.columns]
        if self.header:
            stream.writelines(f"{bold(line, stream)}\n" for line in self.layout.header(titles, rights))
        for row in zip(*self.cells, strict=True):
            stream.writelines(f"{line}\n" for line in self.layout.lines(titles, row, rights))


def _print_facts(answer: BaseModel, stream: TextIO) -> None:
    facts = [(name.replace("_", " "), _text(_of_a_report(name, value))) for name, value in answer]
    names = max(len(name) for name, _ in facts)
    width = terminal_width(stream)
    layout = Layout.fitting([names, max(text_width(value) for _, value in facts)], [False, True], width)
    for fact in facts:
        stream.writelines(f"{line}\n" for line in layout.lines(["", ""], fact, [False, False]))


def _of_a_report(name: str, value: object) -> object:
    if name == "versions" and isinstance(value, dict):
        return ", ".join(f"{what} {version}" for what, version in value.items())
    if name == "spools" and isinstance(value, list):
        return "; ".join(map(_spool, value))
    return len(value) if name == "findings" and isinstance(value, list) else value


def _spool(status: SpoolStatus) -> str:
    archiver = f"archiver {status.archiver}" if status.archiver else "no archiver"
    age = timedelta(seconds=round(status.lag_seconds))
    return f"{status.spool}: {archiver}" + (
        f", {status.waiting} lines wait, the oldest for {age}" if status.waiting else ""
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return spoken(value)
    if isinstance(value, list):
        return " ".join(map(_text, value))
    if isinstance(value, ExtendedCommunity):
        return value.text or f"0x{value.hex}"
    if isinstance(value, Aggregator):
        return f"{value.asn} {value.address}"
    if isinstance(value, UnknownAttribute):
        return f"{value.code} flags 0x{value.flags:02x} 0x{value.hex}"
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A peer's own text (RFC 9003) must neither break a row nor control the terminal.
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _age(status: PeerStatus) -> str:
    if status.keepalive_age is None:
        return ""
    return f"{timedelta(seconds=round(status.keepalive_age))} ago"


def _what_changed(change: RouteChange) -> str:
    """The values before and after a change; of other answers the path."""
    before, after = change.before, change.after
    if before and after:
        names = change.changed or ()
        return ", ".join(f"{name}: {_value(before, name)} -> {_value(after, name)}" for name in names)
    route = before or after
    return (route.as_path or "") if route else ""


def _value(route: Route, name: str) -> str:
    return _text(getattr(route, name)) or "none"


def _more(said: HistoryEntry | Route) -> str:
    """The attributes that have no column of their own, each after its name."""
    named = (
        ("link-local", said.link_local),
        ("aggregator", said.aggregator),
        ("originator", said.originator_id),
        ("clusters", said.cluster_list),
        ("OTC", said.otc),
        ("AIGP", said.aigp),
        ("PMSI", said.pmsi_tunnel and said.pmsi_tunnel.removeprefix("pmsi:")),
        ("prefix SID", said.prefix_sid),
        ("BGP-LS", said.bgp_ls),
        *(("attribute", one) for one in said.unknown_attributes or ()),
        *(said.other_attributes or {}).items(),
    )
    atomic = ["atomic"] if said.atomic_aggregate else []
    return ", ".join([*atomic, *(f"{name} {_text(value)}" for name, value in named if value is not None)])


def _note(route: Route) -> str:
    return ", ".join(filter(None, ("" if route.state == "stands" else route.state, route.error)))


_ALWAYS = {"time (UTC)", "peer", "AS", "prefix", "event", "address", "state", "updates", "routes"}

_AT = (
    _Column("router", lambda one: one.peer.router),
    _Column("peer RD", lambda one: one.peer.rd),
    _Column("table", lambda one: one.peer.rib),
)
"""Where the peer was reported, if it does not speak to us directly."""
_WHEN_AND_WHO = (
    _Column("time (UTC)", lambda entry: entry.ts, usual=23),
    _Column("peer", lambda entry: entry.peer.address, usual=15),
    _Column("AS", lambda entry: entry.peer.asn or None, right=True, usual=6),  # 0: none is known
    *_AT,
    _Column("event", lambda entry: entry.event.replace("_", " "), usual=11),
)
_PREFIX = _Column("prefix", lambda entry: entry.prefix or (entry.object and json.dumps(entry.object)), usual=18)
_ROUTE = (
    _Column("path id", lambda entry: entry.path_id, right=True),
    _Column("RD", lambda entry: entry.rd),
    _Column("next hop", lambda entry: entry.next_hop, usual=15),
    _Column("AS path", lambda entry: entry.as_path, folds=True, usual=24),
    _Column("origin", lambda entry: entry.origin, usual=6),
    _Column("MED", lambda entry: entry.med, right=True, usual=3),
    _Column("pref", lambda entry: entry.local_pref, right=True, usual=4),
    _Column("communities", communities_of, folds=True, usual=14),
    _Column("attributes", _more, folds=True),
)
_REASON = _Column("reason", lambda entry: entry.reason or entry.error, folds=True, usual=6)

_FACTS = (CollectorStatus, Verification)

_COLUMNS: dict[type[BaseModel], Sequence[_Column]] = {
    HistoryEntry: (*_WHEN_AND_WHO, *_ROUTE, _REASON),
    FoundEntry: (*_WHEN_AND_WHO, _PREFIX, *_ROUTE, _REASON),
    LiveEntry: (*_WHEN_AND_WHO, _PREFIX, *_ROUTE, _REASON),
    Route: (
        _Column("peer", lambda route: route.peer.address),
        _Column("AS", lambda route: route.peer.asn, right=True),
        *_AT,
        _PREFIX,
        _Column("note", _note),
        *_ROUTE,
        _Column("since (UTC)", lambda route: route.since),
    ),
    RouteChange: (
        _Column("peer", lambda change: change.peer.address),
        _Column("AS", lambda change: change.peer.asn, right=True),
        *_AT,
        _PREFIX,
        _Column("path id", lambda change: change.route.path_id, right=True),
        _Column("RD", lambda change: change.route.rd),
        _Column("event", lambda change: change.event),
        _Column("what", _what_changed, folds=True),
        _Column("since (UTC)", lambda change: change.route.since),
    ),
    Finding: (
        _Column("what", lambda finding: finding.what),
        _Column("spool", lambda finding: finding.spool),
        _Column("lines", lambda finding: finding.lines),
        _Column("peer", lambda finding: finding.peer),
        _Column("session", lambda finding: finding.session),
        _Column("detail", lambda finding: finding.detail, folds=True),
    ),
    ReplayedPeer: (
        _Column("address", lambda peer: peer.address),
        _Column("AS", lambda peer: peer.asn, right=True),
        _Column("source", lambda peer: peer.source),
        _Column("messages", lambda peer: peer.messages, right=True),
        _Column("updates", lambda peer: peer.updates, right=True),
        _Column("sessions", lambda peer: peer.sessions, right=True),
        _Column("families", lambda peer: ", ".join(peer.families), folds=True),
    ),
    TopEntry: (
        _Column("name", lambda entry: entry.name or "(empty)", folds=True),
        _Column("announcements", lambda entry: entry.announcements, right=True),
        _Column("withdrawals", lambda entry: entry.withdrawals, right=True),
        _Column("flaps", lambda entry: entry.flaps, right=True),
        _Column("path changes", lambda entry: entry.path_changes, right=True),
        _Column("malformed", lambda entry: entry.malformed or "", right=True),
    ),
    Intent: (
        _Column("id", lambda intent: intent.id),
        _Column("prefix", lambda intent: intent.announcement.nlri, folds=True),
        _Column("state", lambda intent: intent.state),
        _Column("since (UTC)", lambda intent: intent.states[-1].ts),
        _Column("peers", lambda intent: " ".join(intent.peers), folds=True),
        _Column("who", lambda intent: intent.who),
        _Column("source", lambda intent: intent.source),
        _Column("expires (UTC)", lambda intent: intent.expires),
        _Column("why", lambda intent: intent.why, folds=True),
    ),
    PeerConvergence: (
        _Column("peer", lambda one: one.peer.name),
        _Column("AS", lambda one: one.peer.asn, right=True),
        _Column("collector", lambda one: one.collector),
        _Column("heard (UTC)", lambda one: one.heard),
        _Column("after s", lambda one: one.heard_seconds, right=True),
        _Column("gone (UTC)", lambda one: one.gone),
        _Column("after s", lambda one: one.gone_seconds, right=True),
    ),
    Token: (
        _Column("name", lambda token: token.name),
        _Column("scope", lambda token: token.scope),
        _Column("created (UTC)", lambda token: token.created),
    ),
    SpoolSegment: (
        _Column("state", lambda segment: segment.state),
        _Column("first line", lambda segment: segment.first, right=True),
        _Column("lines", lambda segment: segment.lines, right=True),
        _Column("bytes", lambda segment: segment.bytes, right=True),
        _Column("last written (UTC)", lambda segment: segment.last_written),
        _Column("file", lambda segment: segment.path, folds=True),
    ),
    PeerStatus: (
        _Column("address", lambda peer: peer.address),
        _Column("AS", lambda peer: peer.asn, right=True),
        _Column("router", lambda peer: peer.router),
        _Column("peer RD", lambda peer: peer.rd),
        _Column("table", lambda peer: peer.rib),
        _Column("state", lambda peer: peer.state),
        _Column("since (UTC)", lambda peer: peer.since),
        _Column("keepalive", _age, right=True),
        _Column("updates", lambda peer: peer.updates, right=True),
        _Column("routes", lambda peer: peer.routes, right=True),
        _Column("counted (UTC)", lambda peer: peer.routes_at),
        _Column("description", lambda peer: peer.description, folds=True),
        _Column("at (UTC)", lambda peer: None if peer.reason_at == peer.since else peer.reason_at),
        _Column("reason", lambda peer: peer.reason, folds=True),
        _Column("since then", lambda peer: peer.attempt, folds=True),
    ),
}
