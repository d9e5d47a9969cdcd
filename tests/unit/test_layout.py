"""Tables fit a terminal without losing text; in a pipe each row is one line."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from collector.present.formats import write
from collector.present.layout import Layout, text_width
from schemas.attributes import ExtendedCommunity
from schemas.peer import Peer
from schemas.query import FoundEntry, HistoryEntry, Route, RouteChange, TopEntry
from schemas.status import CollectorStatus, PeerStatus
from tests.batches import to_write

TS = datetime(2026, 11, 23, 14, 5, 6, 7000, UTC)
LONG = "2001:db8:1111:2222:3333:4444:5555:6666"
ENTRY = FoundEntry(
    ts=TS,
    peer=Peer(address=LONG, asn=4200000000),
    event="announce",
    prefix=f"{LONG}/128",
    family="ipv6 unicast",
    next_hop=LONG,
    as_path=" ".join(str(4200000000 + at) for at in range(30)),
    origin="incomplete",
    med=2**32 - 1,
    local_pref=2**32 - 1,
    communities=[f"64500:{at}" for at in range(40)],
    extended_communities=[ExtendedCommunity(hex="0002fbf400000001", text="target:64500:1")],
)
SHORT = FoundEntry(ts=TS, peer=Peer(address="192.0.2.1", asn=1), event="announce", prefix="10.0.0.0/8", as_path="1 2")
ROUTE = Route.model_validate({**ENTRY.model_dump(include=set(Route.model_fields)), "since": TS, "state": "uncertain"})
CHANGE = RouteChange(
    event="changed",
    peer=ENTRY.peer,
    prefix=ENTRY.prefix,
    changed=["as_path", "communities"],
    before=ROUTE,
    after=ROUTE.model_copy(update={"as_path": "64500", "communities": None}),
)
FLOW = ENTRY.model_copy(update={"prefix": None, "object": {"string": "x" * 300}})
STATUS = CollectorStatus(
    state="running",
    data_dir="/var/lib/bgpledger" * 8,
    read=3,
    stored=2,
    rejected=1,
    waiting=0,
    bytes_waiting=0,
    gaps=0,
    lost=0,
    unreadable=0,
    lag_seconds=0,
    mongodb_uri="mongodb://db.example.net:27017/?" + "&".join(["appName=bgpledger"] * 9),
    store="MongoDB 8",
    versions={"bgpledger": "1", "python": "3"},
)
TABLES: Sequence[Sequence[BaseModel]] = (
    [ENTRY, SHORT],
    [HistoryEntry.model_validate({**ENTRY.model_dump(), "prefix": None})],
    [ROUTE],
    [CHANGE],
    [FLOW],
    [TopEntry(name=ENTRY.as_path or "", announcements=10**9, withdrawals=1, flaps=1, malformed=0, path_changes=1)],
    [PeerStatus(address=LONG, asn=1, state="up", since=TS, description="a router of the north " * 9)],
    [STATUS],
)


class Terminal(io.StringIO):
    """A stream that goes to a terminal."""

    def isatty(self) -> bool:
        return True


async def shown(answers: Sequence[BaseModel], stream: io.StringIO) -> list[str]:
    await write(to_write(answers), type(answers[0]), "table", stream)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("answers", TABLES, ids=lambda answers: type(answers[0]).__name__)
async def test_no_line_is_wider_than_the_terminal(
    answers: Sequence[BaseModel], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    lines = await shown(answers, Terminal())
    assert max(map(len, lines)) <= width
    together = "".join("".join(lines).split())
    for answer in answers:
        for name, value in answer:
            if name in ("as_path", "prefix", "next_hop", "address", "description", "name", "mongodb_uri") and value:
                # A value may be wrapped within its column: each of its words is there, whole or in pieces.
                for word in str(value).split():
                    assert word in together or all(piece in together for piece in (word[:8], word[-8:]))


async def test_a_wide_terminal_shows_each_row_as_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.setenv("NO_COLOR", "1")
    assert await shown([ENTRY, SHORT], Terminal()) == await shown([ENTRY, SHORT], io.StringIO())
    assert len(await shown([ENTRY, SHORT], io.StringIO())) == 3


async def test_columns_that_do_not_fit_follow_below_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    one = SHORT.model_copy(update={"next_hop": "192.0.2.1", "origin": "igp", "communities": ["1:2"]})
    assert await shown([one], Terminal()) == [
        "time (UTC)               peer       AS  event     prefix",
        "2026-11-23 14:05:06.007  192.0.2.1   1  announce  10.0.0.0/8",
        "    next hop 192.0.2.1  AS path 1 2  origin igp",
        "    communities 1:2",
    ]


async def test_text_of_a_peer_cannot_control_the_terminal() -> None:
    said = SHORT.model_copy(update={"event": "session_end", "reason": "\x1b[2Jgone\nfor good, é"})
    header, row = await shown([said], io.StringIO())
    assert row.endswith(r"\x1b[2Jgone\nfor good, é")
    assert header.endswith("reason")


@given(
    st.lists(st.tuples(st.text(alphabet="ab é語", max_size=30), st.booleans(), st.booleans()), min_size=1, max_size=8),
    st.integers(20, 120),
)
def test_any_row_fits_any_terminal(columns: list[tuple[str, bool, bool]], width: int) -> None:
    cells, folds, rights = zip(*columns, strict=True)
    titles = [f"c{at}" for at in range(len(cells))]
    widths = [max(text_width(cell), 2) for cell in cells]
    layout = Layout.fitting(widths, folds, width)
    lines = list(layout.lines(titles, cells, rights))
    assert all(text_width(line) <= width for line in (*lines, *layout.header(titles, rights)))
    assert Counter("".join("".join(cells).split())) <= Counter("".join(lines))
