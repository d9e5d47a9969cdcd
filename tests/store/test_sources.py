"""A source of bytes, which is nothing but what stands here, on its whole way: spool, archiver, store, questions.

It asks routers of their peers, as a BMP station does, so that one address is told of several times.
"""

# ruff: noqa: ARG002  # arguments are the protocol's

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from collector.archive.archiver import Archiver
from collector.instances import Instance
from collector.present.formats import write
from collector.query.diff import diff
from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.peers import peers
from collector.query.rib import RibQuery, ShownRoute, rib, rib_batches
from collector.query.search import search
from collector.query.verify.verify import verify
from collector.settings.model import Settings
from collector.sources import known
from collector.sources.source import Ask, Continuity, Decoder, End, Rejection, Source, StatelessDecoder
from collector.spool.framing import frame
from collector.spool.spool import SpoolReader, SpoolWriter, spool_identity
from collector.store.mongo import Store
from collector.store.traits import Traits
from schemas.documents import SessionNotification
from schemas.message import Counted, Message, Notification, OtherSource, PeerMessage, Sent, StateChange, Update
from schemas.peer import Peer
from schemas.query import FoundEntry
from schemas.scalars import from_unix
from schemas.status import PeerStatus
from tests.unbroken import Unbroken

PREFIX = "10.10.10.0/24"
"""Full of newlines, as bytes."""
HEADER = struct.Struct("!4s4sBBI")


class Tiny:
    """Records of bytes: router, peer, rib, what, seconds; behind an announcement its prefix as in RFC 4271 4.3."""

    name = "tiny"
    silence = "the tiny one fell silent"
    binary = True
    in_order = True
    has_routers = True

    def configured(self, settings: Settings) -> int:
        return 1

    def decode(self, raw: bytes) -> Message | Rejection:
        if len(raw) < HEADER.size:
            return Rejection("too short")
        peer, what, seconds = self._head(raw)
        common: dict[str, Any] = {
            "ts": from_unix(seconds),
            "source": OtherSource.model_validate({"name": self.name, "octets": len(raw)}),
            "peer": peer,
        }
        if what in b"ud":
            return StateChange(**common, local=peer, state="up" if what == ord("u") else "down")
        prefix = f"{'.'.join(map(str, raw[HEADER.size + 1 :].ljust(4, bytes(1))))}/{raw[HEADER.size]}"
        groups = [{"family": "ipv4 unicast", "nlri": [prefix]}]
        if what == ord("w"):
            return Update(**common, withdraw=groups)  # type: ignore[arg-type]
        return Update(**common, announce=groups, attributes={"origin": "igp"})  # type: ignore[arg-type]

    def decoder(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Decoder:
        return StatelessDecoder(self.decode)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        return None

    def continuity(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Continuity:
        return Unbroken()

    def session_facts(self, message: PeerMessage) -> Mapping[str, Any]:
        return {}

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        return None

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        return End("router", "it said so")

    def asker(self, instance: Instance) -> Ask | None:
        return None

    @staticmethod
    def _head(raw: bytes) -> tuple[Peer, int, int]:
        router, address, rib, what, seconds = HEADER.unpack_from(raw)
        ribs = ("pre-policy", "post-policy")
        dotted = [".".join(map(str, one)) for one in (address, router)]
        return Peer(address=dotted[0], asn=64500, router=dotted[1], rd="0:0", rib=ribs[rib]), what, seconds


ONE, TWO, PEER = b"\n\n\n\x01", b"\n\n\n\x02", b"\xc0\x00\x02\x01"
VIEWS = [(ONE, 0), (ONE, 1), (TWO, 0)]
NAMES = [f"192.0.2.1 at 10.10.10.{router[3]} 0:0 {('pre-policy', 'post-policy')[rib]}" for router, rib in VIEWS]


def record(view: tuple[bytes, int], what: str, seconds: int, prefix: bytes = b"") -> bytes:
    return HEADER.pack(view[0], PEER, view[1], ord(what), 1_800_000_000 + seconds) + prefix


def a_day() -> list[bytes]:
    """Three views of one peer begin with the same route; one of them withdraws it, and one ends."""
    ten = b"\x18\n\n\n"
    return [
        *[record(view, "u", 0) for view in VIEWS],
        *[record(view, "a", 10, ten) for view in VIEWS],
        record(VIEWS[1], "w", 20, ten),
        b"bad\xe6\n",
        record(VIEWS[2], "d", 30),
    ]


@pytest.fixture
def instance(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The source's first instance; the source is added to the list."""
    monkeypatch.setitem(cast("dict[str, Source]", known.SOURCES), "tiny", Tiny())
    return Instance(data_dir, 0, "tiny")


@pytest.fixture
async def archived(instance: Instance, store: Store) -> Store:
    with SpoolWriter(instance.spool) as writer:
        for one in a_day():
            writer.write(frame(one))
    await _archive(instance, store)
    return store


async def _archive(instance: Instance, store: Store) -> None:
    with SpoolReader(instance.spool) as reader:
        archiver = Archiver(
            reader,
            store,
            source=known.SOURCES[instance.source],
            collector="test",
            instance=instance.label,
            spool=spool_identity(instance.spool),
            batch_seconds=0.01,
        )
        archiver.stop()
        await asyncio.wait_for(archiver.run(), 120)


async def _names(found: Any) -> list[str]:
    return sorted([one.peer.name async for one in found])


async def test_the_list_finds_its_instance(instance: Instance) -> None:
    instance.spool.mkdir(parents=True)
    assert [one.label for one in known.find_instances(instance.data_dir)] == ["", "tiny"]
    settings = Settings.model_validate({"data_dir": str(instance.data_dir)})
    assert [one.label for one in known.find_instances(instance.data_dir, settings)] == ["", "tiny"]


async def test_records_are_stored_as_they_came(archived: Store) -> None:
    (reject,) = [one async for one in archived.find("rejects", {})]
    assert (reject["raw"], reject["size"], reject["reason"]) == (b"bad\xe6\n", 5, "too short")
    sources = [one["source"] async for one in archived.find("updates", {})]
    assert sources[0] == {"name": "tiny", "octets": HEADER.size + 4}
    assert await archived.count("updates") == 4


async def test_each_view_has_its_session_and_its_routes(archived: Store) -> None:
    ended = {one.reason async for one in peers(archived) if one.state == "down"}
    assert ended == {"it said so"}
    stands = [(one.router, one.rib, one.state, one.routes) async for one in peers(archived)]
    assert stands == [
        ("10.10.10.1", "post-policy", "up", 0),
        ("10.10.10.1", "pre-policy", "up", 1),
        ("10.10.10.2", "pre-policy", "down", 0),
    ]
    assert await _names(rib(archived, RibQuery())) == [NAMES[0]]
    assert await _names(rib(archived, RibQuery(PREFIX, at=from_unix(1_800_000_015)))) == sorted(NAMES)
    assert await _names(rib(archived, RibQuery(at=from_unix(1_800_000_015)))) == sorted(NAMES)


async def test_changes_of_one_view_are_not_those_of_another(archived: Store) -> None:
    begin, end = from_unix(1_800_000_015), from_unix(1_800_000_025)
    assert [(one.event, one.peer.name) async for one in diff(archived, RibQuery(), begin, end)] == [("went", NAMES[1])]


@pytest.mark.parametrize(
    ("filters", "of"),
    [
        (Filter(routers=Choice(("10.10.10.1",))), NAMES[:2]),
        (Filter(routers=Choice(("10.10.10.1",), excluded=True)), NAMES[2:]),
        (Filter(ribs=Choice(("pre-policy",))), [NAMES[0], NAMES[2]]),
        (Filter(routers=Choice(("10.10.10.2",)), ribs=Choice(("post-policy",))), []),
    ],
    ids=["a router", "another", "a table", "neither"],
)
async def test_views_can_be_asked_for(archived: Store, filters: Filter, of: Sequence[str]) -> None:
    found = [entry async for entry in search(archived, filters) if entry.event == "announce"]
    assert sorted(entry.peer.name for entry in found) == sorted(of)
    told = [entry async for entry in history(archived, HistoryQuery(PREFIX, filters)) if entry.event == "announce"]
    assert sorted(entry.peer.name for entry in told) == sorted(of)
    question = RibQuery(at=from_unix(1_800_000_015), of_peer=filters.of_peer)
    assert await _names(rib(archived, question)) == sorted(of)


async def test_answers_tell_the_view(archived: Store) -> None:
    (route,) = [one async for one in rib(archived, RibQuery())]
    view = {"router": "10.10.10.1", "rd": "0:0", "rib": "pre-policy"}
    assert route.model_dump(mode="json")["peer"] == {"address": "192.0.2.1", "asn": 64500, **view}


async def test_all_of_it_is_there_once(archived: Store, instance: Instance) -> None:
    found = await verify(instance.data_dir, archived, "test")
    assert (found.complete, found.verified, found.findings) == (True, len(a_day()), [])
    await _archive(instance, archived)
    assert await archived.count("updates") == 4


async def test_tables_show_the_view_where_there_is_one(archived: Store) -> None:
    shown = io.StringIO()
    await write(search(archived, Filter()), FoundEntry, "table", shown)
    assert "10.10.10.2  0:0      pre-policy" in shown.getvalue()
    shown = io.StringIO()
    await write(peers(archived), PeerStatus, "prometheus", shown)
    assert '{asn="64500",peer="192.0.2.1",rd="0:0",rib="post-policy",router="10.10.10.1"}' in shown.getvalue()


async def test_an_answer_goes_on_behind_each_of_its_routes(archived: Store) -> None:
    """Views of one address follow each other, and none is left out or repeated."""
    question = RibQuery(at=from_unix(1_800_000_015))
    sessions = {one["_id"]: one async for one in archived.find("sessions", {})}
    batches = [one async for one in rib_batches(archived, question)]
    shown = [one.rib.session["_id"] for one in batches]
    assert sorted(shown) == sorted(sessions)
    for number, batch in enumerate(batches):
        (key, _), *_ = batch.items
        behind = replace(question, after=ShownRoute.of(batch.rib.session, key))
        rest = [one.rib.session["_id"] async for one in rib_batches(archived, behind) if one.items]
        assert rest == shown[number + 1 :]


async def test_an_index_over_views_gives_the_same(archived: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Mapping[str, Any]] = []
    find = archived.find

    def listen(collection: Any, query: Mapping[str, Any], **how: Any) -> Any:
        asked.append(query)
        return find(collection, query, **how)

    monkeypatch.setattr(archived, "find", listen)
    monkeypatch.setattr(archived, "_traits", Traits())
    assert await _names(rib(archived, RibQuery(at=from_unix(1_800_000_015)))) == sorted(NAMES)
    views = {tuple(query[f"peer.{name}"] for name in ("router", "rib", "rd")) for query in asked if "peer.rd" in query}
    assert len(views) == len(VIEWS)
