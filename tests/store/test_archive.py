"""From spooled lines to answers: the archiver, the store and the queries together."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.archive.archiver import Archiver
from collector.errors import SpoolError
from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.peers import peers
from collector.query.running import KnownPeer
from collector.query.search import search
from collector.query.verify.verify import verify
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import TORN, Stranger
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from schemas.keys import key_line
from schemas.query import HistoryEntry
from tests.support import Router, shared, until

PREFIX = "203.0.113.0/24"


@pytest.fixture
def spool(data_dir: Path) -> Path:
    return data_dir / "spool"


def feed(spool: Path, *lines: bytes) -> None:
    with SpoolWriter(spool) as writer:
        writer.write(b"".join(line + b"\n" for line in lines))


@asynccontextmanager
async def archiving(spool: Path, store: Store, /, **options: Any) -> AsyncIterator[SpoolReader]:
    """The archiver, running; at the end it is stopped, after it has stored all that the spool held."""
    reader = SpoolReader(spool)
    archiver = Archiver(reader, store, source=EXABGP, collector="test", batch_seconds=0.01, **options)
    running = asyncio.create_task(archiver.run())
    try:
        yield reader
    finally:
        archiver.stop()
        await running
        reader.close()


async def archive(spool: Path, store: Store, /, *lines: bytes, **options: Any) -> Mapping[str, Any]:
    feed(spool, *lines)
    async with archiving(spool, store, **options) as reader:
        pass
    return reader.note


async def documents(store: Store, collection: str) -> list[dict[str, Any]]:
    return [document async for document in store.find(collection, {}, sort=[("_id", 1)])]


async def ask(store: Store, prefix: str = PREFIX, **question: Any) -> list[HistoryEntry]:
    return [entry async for entry in history(store, HistoryQuery(prefix, Filter(**question)))]


def events(entries: list[HistoryEntry]) -> list[str]:
    return [entry.event for entry in entries]


async def test_every_line_is_stored_or_rejected_and_counted(spool: Path, store: Store) -> None:
    router = Router()
    lines = [*router.up(), router.announce(PREFIX), b"done", b"rubbish", b"\xff\xfe", router.keepalive()]
    note = await archive(spool, store, *lines)
    assert (note["stored"], note["rejected"]) == (len(lines) - 2, 2)
    assert len(await documents(store, "updates")) + len(await documents(store, "messages")) == note["stored"]
    text, binary = await documents(store, "rejects")
    assert (text["raw"], binary["raw"], text["line"]) == ("rubbish", b"\xff\xfe", 6)
    assert "answer" in [message["kind"] for message in await documents(store, "messages")]


async def test_a_line_that_is_torn_where_another_could_end_is_lost(spool: Path, store: Store) -> None:
    """The disk accepted it up to a brace: the receiver has counted it as dropped, and so does its peer's counter."""
    ends = [at for at, sign in enumerate(Router().announce(PREFIX), 1) if sign == ord("}")]
    assert len(ends) > 5
    for number, end in enumerate(ends):
        router = Router(f"192.0.2.{number}")
        feed(spool, *router.up())
        with SpoolWriter(spool) as writer:
            writer.write(router.announce(PREFIX)[:end])
        drop = {"since": router.time, "lines": 1, "bytes": 300, "reason": "No space left on device"}
        marker = {"bgpledger": "receive", "event": "dropped", "time": router.time, "pid": 9, "ppid": router.pid, **drop}
        await archive(spool, store, json.dumps(marker).encode(), router.keepalive())
    gaps = await documents(store, "gaps")
    assert [(gap["lines"], gap["cause"]) for gap in gaps] == [(1, "disk")] * len(ends) * 2
    assert {gap["peer"]["address"] for gap in gaps if "peer" in gap} == {f"192.0.2.{n}" for n in range(len(ends))}
    assert {reject["reason"] for reject in await documents(store, "rejects")} == {TORN.reason}
    assert [update async for update in store.find("updates", {})] == []
    assert (await verify(spool.parent, store, "test")).findings == []


async def test_every_recorded_line_is_stored_or_rejected(spool: Path, store: Store) -> None:
    lines = [
        line for file in sorted(shared("exabgp-json").glob("*.jsonl")) for line in file.read_bytes().split(b"\n")[:-1]
    ]
    note = await archive(spool, store, *lines)
    assert note["stored"] + note["rejected"] == len(lines)
    assert len(await documents(store, "rejects")) == note["rejected"] < 50
    assert len(await documents(store, "updates")) + len(await documents(store, "messages")) == note["stored"]


async def test_a_line_that_is_read_again_is_stored_once(spool: Path, store: Store) -> None:
    router = Router()
    lines = [*router.up(), router.announce(PREFIX), b"rubbish", router.withdraw(PREFIX), router.down()]
    await archive(spool, store, *lines)
    collections = ("updates", "messages", "sessions", "rejects")
    before = [await documents(store, collection) for collection in collections]
    other = spool.with_name("again")
    note = await archive(other, store, *lines)
    assert [await documents(store, collection) for collection in collections] == before
    assert (note["stored"], note["rejected"]) == (7, 1)


async def test_keys_are_in_the_order_of_lines(spool: Path, store: Store) -> None:
    router = Router()
    await archive(spool, store, *router.up(), *[router.announce(f"10.{n}.0.0/16") for n in range(100)], batch_lines=7)
    updates = await documents(store, "updates")
    assert [key_line(document["_id"]) for document in updates] == list(range(4, 104))
    (session,) = await documents(store, "sessions")
    assert (session["updates"], session["announced"]) == (100, 100)


async def test_an_archiver_goes_on_where_the_last_one_ended(spool: Path, store: Store) -> None:
    router = Router()
    first, second, third = router.up(), [router.announce(PREFIX)], [router.down()]
    for lines in (first, second, third):
        note = await archive(spool, store, *lines)
    assert note["stored"] == 6
    (session,) = await documents(store, "sessions")
    assert (session["updates"], session["reason"]) == (1, "the TCP connection was closed or lost")
    (update,) = await documents(store, "updates")
    assert update["session"] == session["_id"]


async def test_what_the_store_will_never_take_becomes_a_reject(spool: Path, store: Store) -> None:
    router = Router()
    up = router.up()
    huge = router.update(withdraw={"ipv6 unicast": ["::/0"] * 1_040_000})  # over 16 MB as BSON, though not as JSON
    note = await archive(spool, store, *up, huge, router.announce(PREFIX))
    assert (note["stored"], note["rejected"]) == (5, 1)
    (reject,) = await documents(store, "rejects")
    assert "too large" in reject["reason"]
    assert (reject["size"], len(reject["raw"])) == (len(huge), 2**20)
    (gap,) = await documents(store, "gaps")
    assert (gap["cause"], gap["line"], gap["lines"], gap["ts"]) == ("reject", 4, 1, reject["ts"])
    assert note["refused"] == 1
    assert events(await ask(store)) == ["gap", "announce"]


async def test_a_session_is_stored_without_what_no_store_takes(spool: Path, store: Store) -> None:
    """As what a peer said in its OPEN, of which the document is larger than the line."""
    router = Router()
    connected, _, confirmed, up = router.up()
    families = ["ipv4/unicast"] * 900_000
    capabilities = {"1": {"name": "multiprotocol", "families": families}}
    said = {"version": 4, "asn": 64500, "hold_time": 180, "router_id": "192.0.2.1", "capabilities": capabilities}
    opened = router.line("open", direction="receive", open=said)
    note = await archive(spool, store, connected, opened, confirmed, up, router.announce(PREFIX))
    assert (note["stored"], note["rejected"]) == (4, 1)
    (session,) = await documents(store, "sessions")
    assert (session["updates"], "capabilities" in session) == (1, False)


async def test_a_store_that_is_away_is_waited_for(spool: Path, store: Store) -> None:
    """The spool keeps what the store does not accept, and a stop does not wait for it."""
    router = Router()
    feed(spool, *router.up())
    async with Store.open("mongodb://127.0.0.1:9", timeout=0.1) as absent:
        async with archiving(spool, absent) as reader:
            await asyncio.sleep(0)
        assert reader.note == {}
    note = await archive(spool, store)
    assert note["stored"] == 4


# --- history --------------------------------------------------------------------------------------------------------


async def test_history_of_a_prefix(spool: Path, store: Store) -> None:
    router = Router()
    await archive(
        spool,
        store,
        *router.up(),
        router.announce(PREFIX, "10.0.0.0/8"),
        router.announce(PREFIX, path=(64500, 64496)),
        router.announce("10.0.0.0/8"),
        router.withdraw(PREFIX),
        router.announce(PREFIX),
        router.down("peer reset"),
    )
    entries = await ask(store)
    assert events(entries) == ["announce", "announce", "withdraw", "announce", "session_end"]
    assert [entry.as_path for entry in entries] == ["64500", "64500 64496", "64500 64496", "64500", "64500"]
    assert entries[-1].reason == "peer reset"
    assert entries[-1].ts == entries[-1].ts.astimezone(UTC)
    assert events(await ask(store, "192.0.2.0/24")) == []


async def test_history_ends_only_what_stood(spool: Path, store: Store) -> None:
    router, other = Router(), Router("192.0.2.2", 64501, start=1.8e9 + 1)
    await archive(
        spool,
        store,
        *router.up(),
        *other.up(),
        router.announce(PREFIX),
        router.withdraw(PREFIX),
        router.down(),
        other.announce(PREFIX),
        *router.up(),
        router.down(),
    )
    assert events(await ask(store)) == ["announce", "withdraw", "announce"]
    assert events(await ask(store, peers=Choice(("192.0.2.2",)))) == ["announce"]


async def test_history_within_a_span_knows_what_stood_before_it(spool: Path, store: Store) -> None:
    router = Router()
    lines = [*router.up(), router.announce(PREFIX), router.keepalive(), router.keepalive(), router.down()]
    await archive(spool, store, *lines)
    middle = datetime.fromtimestamp(1.8e9 + 1.6, UTC)
    assert events(await ask(store, start=middle)) == ["session_end"]
    assert events(await ask(store, end=middle)) == ["announce"]
    assert events(await ask(store, start=datetime.fromtimestamp(1.8e9 + 3, UTC))) == []


async def test_add_path_routes_end_one_by_one(spool: Path, store: Store) -> None:
    router = Router()

    def routes(*numbers: int) -> list[dict[str, str]]:
        return [{"nlri": PREFIX, "path-information": f"0.0.0.{number}"} for number in numbers]

    await archive(
        spool,
        store,
        *router.up(),
        router.update(attribute={"origin": "igp"}, announce={"ipv4 unicast": {"192.0.2.1": routes(1, 2)}}),
        router.update(withdraw={"ipv4 unicast": routes(1)}),
        router.down(),
    )
    entries = await ask(store)
    assert [(entry.event, entry.path_id) for entry in entries] == [
        ("announce", 1),
        ("announce", 2),
        ("withdraw", 1),
        ("session_end", 2),
    ]


async def test_withdrawn_and_announced_in_one_message_stands(spool: Path, store: Store) -> None:
    router = Router()
    up = router.up()
    both = router.line(
        "update",
        direction="receive",
        message={
            "update": {
                "attribute": {"origin": "igp"},
                "announce": {"ipv4 unicast": {"192.0.2.1": [{"nlri": PREFIX}]}},
                "withdraw": {"ipv4 unicast": [{"nlri": PREFIX}]},
            }
        },
    )
    await archive(spool, store, *up, both, router.down())
    assert events(await ask(store)) == ["withdraw", "announce", "session_end"]


# --- peers ----------------------------------------------------------------------------------------------------------


async def test_peers_and_their_routes(spool: Path, store: Store) -> None:
    router, gone = Router(), Router("2001:db8::2", 64501)
    await archive(
        spool,
        store,
        *router.up(),
        *gone.up(),
        router.announce("10.0.0.0/8", "10.1.0.0/16", PREFIX),
        router.announce("10.0.0.0/8"),
        router.withdraw(PREFIX, "192.0.2.0/24"),
        router.keepalive(),
        gone.announce("2001:db8::/32"),
        gone.down("peer reset"),
    )
    configured = [KnownPeer("192.0.2.1", 64500, "edge"), KnownPeer("192.0.2.9", 64509)]
    one, never, other = [peer async for peer in peers(store, configured)]
    assert (one.address, one.asn, one.state, one.updates, one.routes) == ("192.0.2.1", 64500, "up", 3, 2)
    assert one.description == "edge"
    assert one.last_keepalive is not None
    assert one.keepalive_age is not None
    assert (never.address, never.state, never.routes, never.reason) == ("192.0.2.9", "never", 0, "no connection yet")
    assert (other.address, other.state, other.routes, other.reason) == ("2001:db8::2", "down", 0, "peer reset")


def attempt(router: Router, *, asn: int, hold_time: int, why: str, code: int, subcode: int) -> list[bytes]:
    """The lines of a router whose OPEN ExaBGP refuses."""
    connected, opened, *_up = router.up()
    said = json.loads(opened)
    said["neighbor"]["open"].update(asn=asn, hold_time=hold_time)
    said["neighbor"]["open"]["capabilities"]["65"]["asn4"] = asn
    sent = {"code": code, "subcode": subcode, "data": f"0x{why.encode().hex()}", "message": why}
    return [
        connected,
        json.dumps(said).encode(),
        router.line("notification", direction="send", notification=sent),
        router.down(f"notification sent ({code},{subcode})"),
    ]


async def test_peers_say_why_they_are_not_up(spool: Path, store: Store) -> None:
    wrong_as, short, ended, silent = (Router(f"192.0.2.{at}", start=1.8e9 + 10 * at) for at in (1, 2, 3, 5))
    words = "ASN in OPEN (64999) did not match ASN expected (64500)"
    await archive(
        spool,
        store,
        *attempt(wrong_as, asn=64999, hold_time=180, why=words, code=2, subcode=2),
        *attempt(short, asn=64500, hold_time=1, why="Hold Time is invalid (1)", code=2, subcode=6),
        *ended.up(),
        ended.down("notification sent (4,0)"),
        ended.line("state", state="down", reason="no connection: Connection refused"),
        silent.down("no connection: Connection timed out"),
    )
    families = ("ipv4 unicast", "ipv6 unicast")
    configured = [
        *(KnownPeer(f"192.0.2.{at}", 64500, families=families) for at in (1, 2, 3)),
        KnownPeer("192.0.2.4", 64500, passive=True, password=True),
        KnownPeer("192.0.2.5", 64500, password=True),
    ]
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    stranger = Stranger(address="192.0.2.9", local="192.0.2.254", first=moment, last=moment, times=7)
    one, two, three, four, five, nine = [peer async for peer in peers(store, configured, [stranger])]
    assert one.reason == f"NOTIFICATION sent: OPEN Message Error / Bad Peer AS: {words}"
    assert one.reason_at is not None
    assert one.open is not None
    assert (one.state, one.open.asn, one.open.hold_time, one.open.router_id) == ("never", 64999, 180, "192.0.2.1")
    assert one.open.differs == ["AS 64999, where AS 64500 is configured", "no ipv6 unicast"]
    assert two.open is not None
    assert two.open.differs == ["hold time 1 s, where 0 or at least 3 is allowed", "no ipv6 unicast"]
    assert (three.state, three.reason) == ("down", "NOTIFICATION sent: Hold Timer Expired")
    assert three.reason_at == three.since
    assert three.attempt == "no connection: Connection refused"
    assert three.attempt_at is not None
    assert three.since is not None
    assert three.attempt_at > three.since
    assert (one.attempt, two.attempt) == (None, None)
    assert four.reason == "it has not connected yet; if its MD5 password is another than here, nothing of it arrives"
    hint = "if its MD5 password is another than here, nothing of it arrives"
    assert five.reason == f"no connection: Connection timed out; {hint}"
    assert (nine.address, nine.asn, nine.state, nine.reason_at) == ("192.0.2.9", None, "unconfigured", moment)
    assert nine.reason == "connects to 192.0.2.254 and is refused, as no peer has this address: 7 times"


async def test_new_lines_are_stored_while_it_runs(spool: Path, store: Store) -> None:
    router = Router()
    with SpoolWriter(spool) as writer:
        async with archiving(spool, store):
            for line in router.up():
                writer.write(line + b"\n")
            writer.write(b'{"torn": ')

            async def stored(count: int) -> bool:
                return len(await documents(store, "messages")) == count

            await until(lambda: stored(4))
            writer.write(b"1}\n")
    (reject,) = await documents(store, "rejects")
    assert reject["raw"] == '{"torn": 1}'


class _FullForAWhile(SpoolReader):
    """A reader whose disk refuses the first acknowledgements."""

    refusals = 2

    def acknowledge(self, next_line: int, note: Mapping[str, Any]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SpoolError("the spool cannot be used: No space left on device")
        super().acknowledge(next_line, note)


async def test_an_acknowledgement_that_the_disk_refuses_is_tried_again(
    spool: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.archive.archiver.FIRST_PAUSE", 0.01)
    feed(spool, *Router().up())
    with _FullForAWhile(spool) as reader:
        archiver = Archiver(reader, store, source=EXABGP, collector="test", batch_seconds=0.01)
        running = asyncio.create_task(archiver.run())
        await until(lambda: reader.note.get("stored") == 4)
        archiver.stop()
        await running


async def test_a_gap_stands_in_history_where_it_was(spool: Path, store: Store) -> None:
    """The gap of a single peer, or of the range that the peer belongs to."""
    router, other = Router(), Router("198.51.100.7", 64501, start=1.8e9 + 60)
    lines = [*router.up(), router.announce(PREFIX)]
    router.announce(PREFIX)
    lines += [router.withdraw(PREFIX), *other.up()]
    other.keepalive()
    lines.append(other.keepalive())
    note = await archive(spool, store, *lines, ranges=["198.51.100.0/24"])
    assert note["tracker"]["gaps"]["gaps"] == 2
    announced, gap, withdrawn, others = await ask(store)
    assert [announced.event, gap.event, withdrawn.event] == ["announce", "gap", "withdraw"]
    assert (gap.lines, gap.since, gap.ts) == (1, announced.ts, withdrawn.ts)
    assert gap.reason == "1 line lost: they were in ExaBGP's pipe when a receiver died"
    assert others.peer.address == "198.51.100.0/24"
    assert [entry.event for entry in await ask(store, peers=Choice(("198.51.100.7",)))] == ["gap"]
    assert [entry.event for entry in await ask(store, peers=Choice(("198.51.100.7",)), end=gap.ts)] == []
    (of_router, _) = await documents(store, "gaps")
    assert of_router.keys() == {"_id", "v", "collector", "ts", "line", "peer", "after", "lines", "cause"}


async def test_a_session_that_begins_with_a_route_stands_ahead_of_it(spool: Path, store: Store) -> None:
    """As sessions of a BMP router's tables do, which have no Peer Up of their own."""
    await archive(spool, store, Router().announce(PREFIX))
    assert [entry.event async for entry in search(store, Filter())] == ["gap", "session_up", "announce"]
