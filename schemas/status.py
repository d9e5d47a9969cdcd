"""Answers about peers and the collector itself, as `--format jsonl` prints them, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from schemas.message import Peer, Rib
from schemas.prefix_ranges import WrittenPrefixRange
from schemas.query import QueryModel
from schemas.scalars import Timestamp


class PeerOpen(QueryModel):
    """What a peer that is not up said in its last OPEN (RFC 4271 4.2)."""

    ts: Timestamp
    asn: int
    """Of capability 65 where it has that."""
    hold_time: int
    router_id: str
    families: list[str] | None
    """Of capability 1, in ExaBGP's words; null where it has none."""
    differs: list[str]
    """What of it is not as it is configured here, or as the RFC wants it."""


class PeerStatus(QueryModel):
    """How one peer stands."""

    address: str
    asn: int | None
    description: str | None = None
    configured: bool | None = None
    """Whether the collector that runs here has it configured; null when none runs here."""
    state: Literal["up", "down", "never", "unconfigured"]
    """`up`: Established. `never`: it has not been since the archive began. `unconfigured`: it connects to the collector
    that runs here, and is refused."""
    since: Timestamp | None = None
    """When this state began."""
    last_message: Timestamp | None = None
    """The newest of the session, or of the last one, whatever it was."""
    last_keepalive: Timestamp | None = None
    keepalive_age: float | None = None
    """Seconds since the last KEEPALIVE of a session that is up."""
    updates: int = 0
    """UPDATEs of the current session, or of the last one."""
    routes: int = 0
    """Routes that stand; 0 when the session is down."""
    routes_by_family: dict[str, int] = {}  # noqa: RUF012 - each model gets its own
    routes_at: Timestamp | None = None
    """When so many stood, where that was not now: a large table is counted when it is stored, and whenever nothing was
    said since."""
    reason: str | None = None
    """Why it is not up: why its last session ended, or, where there was none, why its last attempt failed."""
    reason_at: Timestamp | None = None
    """When that was."""
    attempt: str | None = None
    """Why its last attempt since that session's end failed."""
    attempt_at: Timestamp | None = None
    open: PeerOpen | None = None
    """Its last OPEN; null while it is up, and where none ever came."""
    router: str | None = None
    """The router that was asked of it, `rd` and `rib` as in `Peer`; null where it speaks to a collector itself."""
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
    """The newest message of it, whatever it was."""
    updates: int
    """UPDATEs in it."""


class Token(QueryModel):
    """One that may be shown to the HTTP API in place of a name and a password; what it is, is kept nowhere."""

    name: str
    scope: Literal["read", "announce"]
    """`announce` may do what `read` may, and announce and withdraw."""
    created: Timestamp
    prefixes: tuple[WrittenPrefixRange, ...] = ()
    """What it may announce of that which [announce] allows; none: all of it."""
    limit: int | None = None
    """Routes and flows that it has ordered and that stand at once, at most."""
    rate: float | None = None
    """Orders a second, in the long run."""


class SpoolSegment(QueryModel):
    """One file of the spool."""

    state: Literal["kept", "waiting", "open"]
    """`kept`: all of its lines are stored, and it is compressed. `waiting`: not all are. `open`: it is the newest."""
    first: int
    """The number of its first line."""
    lines: int | None
    """Null when that cannot be told without reading it."""
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
    """Age of the oldest of them; 0 when none waits."""
    archiver: int | None
    """The archiver's process; null while there is none."""
    last_stored: Timestamp | None
    """When it was done with lines last; null when it never was."""


class Report(QueryModel):
    """An answer that is one whole, not one of many."""


class CollectorStatus(Report):
    """How the collector does, all its spools together: `read == stored + rejected + waiting`, always."""

    state: Literal["running", "stopped"]
    pid: int | None = None
    started: Timestamp | None = None
    data_dir: str
    read: int
    """Lines that the spool has taken, over its whole life."""
    stored: int
    rejected: int
    waiting: int
    bytes_waiting: int
    spool_full: str | None = None
    """Since when and why new lines are dropped; null while there is room."""
    gaps: int
    """How often lines were lost before they reached the spool, or could not be read; `history` shows each in its
    place."""
    lost: int
    """Lines that ExaBGP counted and that never came."""
    unreadable: int
    """Lines of peers' that could not be read, and may have said anything of their routes: they are rejects."""
    clock_steps: int = 0
    """How often the clock was set, forward or back, as receivers noticed and ExaBGP's lines tell."""
    clock_set_back: Timestamp | None = None
    """Since that time stored time stands still, until ExaBGP's clock is there again; null when it is."""
    lag_seconds: float
    """Age of the oldest line that waits; 0 when none does."""
    rib_behind: int | None = None
    """UPDATEs that the newest stored tables of sessions that are up do not hold: a question for all routes folds them.
    Null when the store does not answer."""
    spools: list[SpoolStatus] = []  # noqa: RUF012 - each model gets its own
    """Each of them, whose lines are added up above."""
    routers: int | None = None
    """Routers that are connected by BMP; null where there is no `[bmp]`."""
    feed: Literal["connected", "away"] | None = None
    """How the connection to RIS Live does; null where nobody listens."""
    feed_since: Timestamp | None = None
    """Since when it is so."""
    feed_last_message: Timestamp | None = None
    """When RIS Live spoke last; null when it has not since its receiver began."""
    feed_reconnects: int | None = None
    """How often its receiver had to connect again since it began."""
    mongodb_uri: str | None
    """Without user, password or other secrets."""
    shell: str | None = None
    """A command that starts mongosh on the archive; `***` stands for secrets of the URI."""
    store: str
    """The server's name and version, or why it does not answer."""
    store_away_since: Timestamp | None = None
    """Since when the store has not taken what the archiver writes; null while it does."""
    attempts: int | None = None
    """How often the archiver has tried since then; null while the store takes everything."""
    last_error: str | None = None
    """What the store, or the way to it, answered to the last of them; holds no secret."""
    building: str | None = None
    """The index that the store builds beside all else, and how far it is."""
    archive_since: Timestamp | None = None
    """When the first session came up that the archive has; null of an empty one, or when the store does not answer."""
    archive_upto: Timestamp | None = None
    """When a peer was last heard of: of what lies between the two the archive can be asked."""
    versions: dict[str, str]


class Finding(QueryModel):
    """One thing that is not as it has to be."""

    what: Literal["missing", "double", "unknown", "counter", "gap", "tally", "session", "sum", "table"]
    """`missing`: lines without a document. `double`: lines, or ExaBGP's counts, that stand twice. `unknown`: documents
    of lines that the spool never had. `counter`: ExaBGP wrote lines that are nowhere, and no gap tells of them. `gap`:
    a gap tells of lines that are there. `tally`: a session counts other than what is there. `session`: a session that
    is not there, though documents name it. `sum`: the collector's own tallies do not add up.
    `table`: a RIB dump is not what the updates before it come to, for which nothing of ours need be wrong; or a table
    of one is not whole."""
    spool: str | None = None
    """Where a collector has several: whose lines, such as `spool-1`."""
    lines: str | None = None
    """Numbers of lines, such as `17` or `17-20`."""
    peer: str | None = None
    session: str | None = None
    detail: str


class Verification(Report):
    """Whether every line of a collector's spools is in the database, once."""

    complete: bool
    """Nothing is missing, and nothing double. A RIB dump that the updates do not come to is told, and no more."""
    collector: str
    data_dir: str
    mongodb_uri: str
    """Without user, password or other secrets."""
    verified: int
    """Lines that were looked for: all below the spools' acknowledged positions."""
    waiting: int
    """Lines that were not stored yet, and were not looked for."""
    documents: int
    """Lines whose document is there."""
    expired: int
    """Lines whose document [retention] has removed."""
    lost: int
    """Lines that never reached the spool, as gaps tell."""
    unreadable: int
    """Lines of peers' that could not be read, and may have said anything of their routes, as gaps tell."""
    sessions: int
    findings: list[Finding]
    more: int
    """Findings that are not listed."""
    files: int = 0
    """Files that were imported, whose documents were counted; they are in `documents`."""


class Check(QueryModel):
    """What `doctor` found of one thing that a collector needs."""

    state: Literal["ok", "warning", "error"]
    check: str
    says: str
    cure: str | None = None
    """Stands with all that is not well."""


class ConfigurationSummary(Report):
    """What a configuration comes to."""

    collector: str
    data_dir: str
    local_as: int | None
    router_id: str
    listen: str
    peers: int
    """Single routers."""
    ranges: int
    """Ranges of addresses that routers may come from."""
    processes: list[str]
    """For each ExaBGP process how many peers it has, and at which of our addresses."""
    store: str
    """The MongoDB URI without user, password or other secrets, and the database; or `embedded`."""


class ReplayedPeer(QueryModel):
    """A peer of an MRT file, as `replay` would speak for it."""

    address: str
    asn: int
    source: str
    """The address that the session comes from."""
    messages: int
    updates: int
    families: list[str]
    add_path: bool
    sessions: int
    """More than one where the file says that the session ended in between."""
