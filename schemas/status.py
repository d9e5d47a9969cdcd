"""Answers about peers and the collector itself, as `--format jsonl` prints them, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from schemas.peer import Peer, Rib
from schemas.prefix_ranges import WrittenPrefixRange
from schemas.query import QueryModel
from schemas.scalars import Timestamp


class PeerOpen(QueryModel):
    """The last OPEN (RFC 4271 4.2) of a peer that is not up."""

    ts: Timestamp
    asn: int
    """From capability 65 if present."""
    hold_time: int
    router_id: str
    families: list[str] | None
    """From capability 1, as ExaBGP names them; null if absent."""
    differs: list[str]
    """What differs from the configuration here, or violates the RFC."""


class PeerStatus(QueryModel):
    """The state of one peer."""

    address: str
    asn: int | None
    description: str | None = None
    configured: bool | None = None
    """Whether it is configured in the collector that runs here; null if none runs here."""
    state: Literal["up", "down", "never", "unconfigured"]
    """`up`: Established. `never`: it has not been up since the archive began. `unconfigured`: it connects to the
    collector that runs here, and is refused."""
    since: Timestamp | None = None
    """When this state began."""
    last_message: Timestamp | None = None
    """The time of the last message of any kind, in the current session or the last one."""
    last_keepalive: Timestamp | None = None
    keepalive_age: float | None = None
    """Seconds since the last KEEPALIVE, if the session is up."""
    updates: int = 0
    """UPDATEs in the current session, or in the last one."""
    routes: int = 0
    """Current routes; 0 if the session is down."""
    routes_by_family: dict[str, int] = {}  # noqa: RUF012 - each model gets its own
    routes_at: Timestamp | None = None
    """When `routes` was counted, if not now: a large table is only counted when it is stored."""
    reason: str | None = None
    """Why it is not up: why its last session ended or, if there was none, why its last attempt failed."""
    reason_at: Timestamp | None = None
    """When that was."""
    attempt: str | None = None
    """Why its last attempt since that session's end failed."""
    attempt_at: Timestamp | None = None
    open: PeerOpen | None = None
    """Its last OPEN; null while it is up, or if it never sent one."""
    router: str | None = None
    """The router that reports it, with `rd` and `rib` as in `Peer`; null if it speaks to a collector itself."""
    rd: str | None = None
    rib: Rib | None = None


class PeerSession(QueryModel):
    """One session of a peer."""

    peer: Peer
    collector: str | None = None
    """The name of the collector that it was with."""
    since: Timestamp
    until: Timestamp | None = None
    """When it ended; null while it is up."""
    reason: str | None = None
    """Why it ended."""
    last_message: Timestamp
    """The time of its last message of any kind."""
    updates: int
    """UPDATEs in it."""


class Token(QueryModel):
    """A token for the HTTP API; the token itself is not stored, only its hash."""

    name: str
    scope: Literal["read", "announce"]
    """`announce` allows what `read` does, and to announce and withdraw."""
    created: Timestamp
    prefixes: tuple[WrittenPrefixRange, ...] = ()
    """The prefixes it may announce, among those that [announce] allows; empty: all of these."""
    limit: int | None = None
    """The maximum number of routes and flows that it may have announced at once."""
    rate: float | None = None
    """The maximum number of orders a second, on average."""


class SpoolSegment(QueryModel):
    """One file of the spool."""

    state: Literal["kept", "waiting", "open"]
    """`kept`: all of its lines are stored, and it is compressed. `waiting`: not all lines are stored. `open`: the
    newest."""
    first: int
    """The number of its first line."""
    lines: int | None
    """Null if that is not known without reading the segment."""
    bytes: int
    """On disk."""
    last_written: Timestamp
    path: Path


class SpoolStatus(QueryModel):
    """One spool, and the archiver that reads it."""

    spool: str
    """Its name, such as `spool` or `spool-bmp`."""
    waiting: int
    """Lines that are not stored yet."""
    lag_seconds: float
    """Age of the oldest waiting line; 0 if none is waiting."""
    archiver: int | None
    """The archiver's process; null if it is not running."""
    last_stored: Timestamp | None
    """When it last stored lines; null if it never has."""


class Report(QueryModel):
    """A single answer, not one of many."""


class CollectorStatus(Report):
    """The state of the collector, summed over its spools: `read == stored + rejected + waiting`, always."""

    state: Literal["running", "stopped"]
    pid: int | None = None
    started: Timestamp | None = None
    data_dir: str
    read: int
    """Lines written to the spool since it was created."""
    stored: int
    rejected: int
    waiting: int
    bytes_waiting: int
    spool_full: str | None = None
    """Since when and why new lines are dropped; null if there is room."""
    gaps: int
    """How often lines were lost before they reached the spool, or could not be parsed; `history` shows each gap."""
    lost: int
    """Lines that ExaBGP numbered and that never arrived."""
    unreadable: int
    """Lines of peers that could not be parsed, and may have changed any of their routes: they are rejects."""
    clock_steps: int = 0
    """How often the clock was set, forward or back, as noticed by receivers or in ExaBGP's lines."""
    clock_set_back: Timestamp | None = None
    """The time at which stored time stands still until ExaBGP's clock catches up; null if it does not."""
    lag_seconds: float
    """Age of the oldest waiting line; 0 if none is waiting."""
    rib_behind: int | None = None
    """UPDATEs that the newest stored tables of sessions that are up do not contain yet: a query for all routes folds
    them. Null if the store does not answer."""
    spools: list[SpoolStatus] = []  # noqa: RUF012 - each model gets its own
    """Each spool; the numbers above are their sums."""
    routers: int | None = None
    """Routers that are connected over BMP; null without `[bmp]`."""
    feed: Literal["connected", "away"] | None = None
    """The state of the connection to RIS Live; null if it is not used."""
    feed_since: Timestamp | None = None
    """Since when it is in this state."""
    feed_last_message: Timestamp | None = None
    """When RIS Live last sent a message; null if it has not since its receiver started."""
    feed_reconnects: int | None = None
    """How often its receiver had to reconnect since it started."""
    mongodb_uri: str | None
    """Without user, password or other secrets."""
    shell: str | None = None
    """A command that starts mongosh on the archive; `***` replaces secrets of the URI."""
    store: str
    """The server's name and version, or why it does not answer."""
    store_away_since: Timestamp | None = None
    """Since when the archiver's writes to the store have failed; null if they succeed."""
    attempts: int | None = None
    """How often the archiver has tried since then; null if writes succeed."""
    last_error: str | None = None
    """The error of the last attempt; contains no secret."""
    building: str | None = None
    """The index that the store is building in the background, and the progress."""
    archive_since: Timestamp | None = None
    """When the first session in the archive came up; null if the archive is empty, or the store does not answer."""
    archive_upto: Timestamp | None = None
    """When the last message was received: the archive covers the time between the two."""
    versions: dict[str, str]


class Finding(QueryModel):
    """One inconsistency."""

    what: Literal["missing", "double", "unknown", "counter", "gap", "tally", "session", "sum", "table"]
    """`missing`: lines without a document. `double`: lines, or ExaBGP's counts, that occur twice. `unknown`: documents
    of lines that the spool never had. `counter`: ExaBGP wrote lines that are nowhere, and no gap reports them. `gap`: a
    gap reports lines that exist. `tally`: a session's counts differ from its documents. `session`: a session that does
    not exist, though documents refer to it. `sum`: the collector's own tallies do not add up. `table`: a RIB dump
    differs from the updates before it, which need not be a fault of this archive; or a table from a dump is
    incomplete."""
    spool: str | None = None
    """The spool of the lines, such as `spool-1`, if a collector has several."""
    lines: str | None = None
    """Numbers of lines, such as `17` or `17-20`."""
    peer: str | None = None
    session: str | None = None
    detail: str


class Verification(Report):
    """Whether every line of a collector's spools is in the database exactly once."""

    complete: bool
    """Nothing is missing or duplicated. RIB dumps that differ from the updates do not count here."""
    collector: str
    data_dir: str
    mongodb_uri: str
    """Without user, password or other secrets."""
    verified: int
    """Lines that were checked: all before the spools' acknowledged positions."""
    waiting: int
    """Lines that were not stored yet, and not checked."""
    documents: int
    """Lines that have a document."""
    expired: int
    """Lines whose document [retention] has removed."""
    lost: int
    """Lines that never reached the spool, according to gaps."""
    unreadable: int
    """Lines of peers that could not be parsed, and may have changed any of their routes, according to gaps."""
    sessions: int
    findings: list[Finding]
    more: int
    """Findings that are not listed."""
    files: int = 0
    """Imported files whose documents were counted; these are included in `documents`."""


class Check(QueryModel):
    """The result of one check by `doctor`."""

    state: Literal["ok", "warning", "error"]
    check: str
    says: str
    cure: str | None = None
    """Present if the state is not `ok`."""


class ConfigurationSummary(Report):
    """A summary of a configuration."""

    collector: str
    data_dir: str
    local_as: int | None
    router_id: str
    listen: str
    peers: int
    """Single routers."""
    ranges: int
    """Ranges of addresses from which routers may connect."""
    processes: list[str]
    """For each ExaBGP process, how many peers it has, and on which local addresses."""
    store: str
    """The MongoDB URI without user, password or other secrets, and the database; or `embedded`."""


class ReplayedPeer(QueryModel):
    """A peer of an MRT file, as `replay` would play it."""

    address: str
    asn: int
    source: str
    """The source address of the session."""
    messages: int
    updates: int
    families: list[str]
    add_path: bool
    sessions: int
    """More than one if the session ended in between, according to the file."""
