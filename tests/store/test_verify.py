"""What `verify` finds in damaged archives, and that it finds nothing in intact ones."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from collector.instances import Instance
from collector.query.verify.verify import verify
from collector.settings.keeping import RetentionSettings
from collector.spool.spool import spool_identity
from collector.store.driver import Document
from collector.store.expiry import Sweeper
from collector.store.mongo import Store
from schemas.keys import collector_number, instance_name, key_collector, key_line, make_key
from schemas.status import Finding, Verification
from tests.store.test_archive import archive, documents, feed
from tests.support import Router, until

DAY = 86_400


@pytest.fixture
def spool(data_dir: Path) -> Path:
    return data_dir / "spool"


@pytest.fixture
def raw(mongodb_uri: str, database: str) -> Any:
    """The database itself, for damage that the store would not do."""
    with MongoClient[Document](mongodb_uri) as client:
        yield client[database]


async def check(data_dir: Path, store: Store) -> Verification:
    found = await verify(data_dir, store, "test")
    assert found.complete is (found.findings == [])
    return found


def summaries(findings: Sequence[Finding]) -> list[tuple[str, str | None]]:
    return [(finding.what, finding.lines) for finding in findings]


def start(pid: int, at: float, incarnation: str = "a") -> bytes:
    marker = {"bgpledger": "receive", "event": "start", "time": at, "pid": 1, "ppid": pid, "incarnation": incarnation}
    return json.dumps(marker).encode()


def lines_of(one: Router, other: Router) -> list[bytes]:
    """31 lines: two sessions up, one down and up again, rejects, an answer."""
    lines = [start(one.pid, one.time), *one.up(), *other.up()]
    for number in range(5):
        lines += [one.announce(f"10.{number}.0.0/16"), other.announce("192.0.2.0/24"), one.keepalive()]
    return [*lines, b"rubbish", b"done", one.down(), *one.up()]


@pytest.fixture
async def archived(spool: Path, store: Store) -> list[bytes]:
    lines = lines_of(Router(), Router("192.0.2.2", 64501))
    await archive(spool, store, *lines, batch_lines=7)
    return lines


async def test_a_whole_archive(data_dir: Path, store: Store, archived: list[bytes]) -> None:
    found = await check(data_dir, store)
    assert found.findings == []
    assert (found.verified, found.documents, found.waiting, found.expired) == (31, 31, 0, 0)
    assert (found.collector, found.sessions, found.lost) == ("test", 3, 0)


async def test_an_empty_spool(data_dir: Path, store: Store) -> None:
    found = await check(data_dir, store)
    assert (found.complete, found.verified, found.documents) == (True, 0, 0)


async def test_a_name_that_only_the_store_knows_yet(data_dir: Path, spool: Path, store: Store) -> None:
    """The archiver claims it before it stores anything, and acknowledges later."""
    feed(spool, *Router().up())
    await store.meta.claim("before the first acknowledgement", spool_identity(spool))
    found = await check(data_dir, store)
    assert (found.collector, found.verified) == ("before the first acknowledgement", 0)


async def test_what_waits_is_not_missed(data_dir: Path, spool: Path, store: Store, archived: list[bytes]) -> None:
    feed(spool, *archived)
    found = await check(data_dir, store)
    assert found.findings == []
    assert (found.verified, found.waiting) == (31, 31)


async def test_missing_lines(data_dir: Path, store: Store, archived: list[bytes], raw: Any) -> None:
    updates = await documents(store, "updates")
    raw.updates.delete_many({"_id": {"$in": [one["_id"] for one in updates[:2]]}})
    (reject,) = await documents(store, "rejects")
    raw.rejects.delete_one({"_id": reject["_id"]})
    found = await check(data_dir, store)
    lines = sorted(key_line(one["_id"]) for one in updates[:2])
    assert lines == [9, 10]
    assert summaries(found.findings) == [
        ("tally", None),
        ("tally", None),
        ("missing", "9-10"),
        ("missing", str(key_line(reject["_id"]))),
        ("sum", None),
    ]
    assert {finding.peer for finding in found.findings} == {"192.0.2.1", "192.0.2.2", None}
    assert found.documents == 28


async def test_doubled_lines(data_dir: Path, store: Store, archived: list[bytes], raw: Any) -> None:
    """The same line under another second, and in another collection."""
    number = collector_number("test")
    update, state = (await documents(store, "updates"))[0], (await documents(store, "messages"))[1]
    again = make_key(datetime.fromtimestamp(1.8e9 + 100, UTC), number, key_line(update["_id"]))
    raw.updates.insert_one({**update, "_id": again})
    raw.rejects.insert_one(
        {"_id": state["_id"], "v": 1, "collector": "test", "ts": state["ts"], "reason": "none", "size": 1, "raw": "x"}
    )
    found = await check(data_dir, store)
    assert summaries(found.findings) == [("double", "1"), ("double", "9")]
    assert found.documents == 31


async def test_a_document_of_a_line_that_never_was(
    data_dir: Path, store: Store, archived: list[bytes], raw: Any
) -> None:
    (update, *_) = await documents(store, "updates")
    raw.updates.insert_one({**update, "_id": make_key(update["ts"], collector_number("test"), 31)})
    assert summaries((await check(data_dir, store)).findings) == [("unknown", "31")]


async def test_tallies_that_were_changed(data_dir: Path, store: Store, archived: list[bytes], raw: Any) -> None:
    ended, up, _ = await documents(store, "sessions")
    if "until" not in ended:
        ended, up = up, ended
    raw.sessions.update_one({"_id": ended["_id"]}, {"$inc": {"updates": 1}})
    raw.sessions.update_one({"_id": up["_id"]}, {"$inc": {"updates": -1}})
    findings = (await check(data_dir, store)).findings
    assert summaries(findings) == [("tally", None)] * 2
    assert sorted(finding.session or "" for finding in findings) == sorted(map(str, (ended["_id"], up["_id"])))
    assert findings[1].detail == "the session counts 6 updates, there are 5"


async def test_sessions_that_are_gone(data_dir: Path, store: Store, archived: list[bytes], raw: Any) -> None:
    sessions = await documents(store, "sessions")
    raw.sessions.delete_many({})
    findings = (await check(data_dir, store)).findings
    assert {finding.what for finding in findings} == {"session"}
    assert {finding.session for finding in findings} == {str(session["_id"]) for session in sessions}


async def test_sums_that_were_changed(data_dir: Path, spool: Path, store: Store, archived: list[bytes]) -> None:
    position = json.loads((spool / "position.json").read_text())
    position["note"]["stored"] -= 1
    (spool / "position.json").write_text(json.dumps(position))
    findings = (await check(data_dir, store)).findings
    assert summaries(findings) == [("sum", None)]
    assert findings[0].detail == "29 lines stored and 1 rejected are not the 31 acknowledged"


async def test_gaps_explain_what_exabgp_counted(data_dir: Path, spool: Path, store: Store, raw: Any) -> None:
    router, guest, next_guest = (Router(), Router("198.51.100.7", 64501), Router("198.51.100.8", 64501))
    lines = [start(100, router.time), *router.up()]
    router.announce("10.0.0.0/8")
    router.keepalive()
    lines += [router.announce("10.0.0.0/8"), *guest.up()]
    next_guest.counter = guest.counter + 3
    lines += [*next_guest.up(), start(100, router.time + 60, "b")]
    router.counter, router.time = 1, router.time + 60
    lines += router.up()
    await archive(spool, store, *lines, ranges=["198.51.100.0/24"])
    gaps = await documents(store, "gaps")
    assert sorted(gap.get("lines", 0) for gap in gaps) == [0, 0, 1, 2, 3]
    found = await check(data_dir, store)
    assert (found.findings, found.lost) == ([], 6)
    raw.gaps.delete_one({"lines": 2})
    raw.gaps.update_one({"lines": 3}, {"$set": {"lines": 5}})
    findings = (await check(data_dir, store)).findings
    assert [(finding.what, finding.peer) for finding in findings] == [
        ("counter", "192.0.2.1"),
        ("gap", "198.51.100.0/24"),
    ]
    assert findings[0].detail.startswith("2 lines that ExaBGP counted since line 0 are nowhere")


async def test_lines_that_a_damaged_spool_lost_are_told_of(data_dir: Path, spool: Path, store: Store) -> None:
    router = Router()
    await archive(spool, store, start(100, router.time), *router.up())
    lost = [router.keepalive() for _ in range(3)]
    (segment,) = spool.glob("*.jsonl")
    segment.rename(spool / f"{8:020}.jsonl")
    (spool / f"{8:020}.jsonl").write_bytes(router.keepalive() + b"\n")
    position = json.loads((spool / "position.json").read_text())
    position.update(line=5, segment=8, offset=0)
    (spool / "position.json").write_text(json.dumps(position))
    assert lost
    await archive(spool, store)
    found = await check(data_dir, store)
    assert summaries(found.findings) == []


async def test_what_the_store_refused_is_a_reject_that_sessions_count(
    data_dir: Path, spool: Path, store: Store
) -> None:
    router = Router()
    huge = router.update(withdraw={"ipv6 unicast": ["::/0"] * 1_040_000})
    router.counter = 0
    await archive(spool, store, *router.up(), huge.replace(b'"counter": 1,', b'"counter": 5,'))
    found = await check(data_dir, store)
    assert len(await documents(store, "rejects")) == 1
    assert found.findings == []


async def test_another_collector_is_left_alone(data_dir: Path, store: Store, archived: list[bytes], raw: Any) -> None:
    for name in ("updates", "messages", "sessions"):
        for one in await documents(store, name):
            other = {
                **one,
                "collector": "other",
                "_id": ObjectId(one["_id"].binary[:4] + b"abc" + one["_id"].binary[7:]),
            }
            raw[name].insert_one(other)
    assert (await check(data_dir, store)).findings == []


# --- several spools --------------------------------------------------------------------------------------------------


@pytest.fixture
async def two_spools(data_dir: Path, store: Store, archived: list[bytes]) -> list[bytes]:
    """A second spool with lines of the same numbers, of the same seconds."""
    lines = lines_of(Router("192.0.2.3", 64502), Router("192.0.2.4", 64503))
    await archive(Instance(data_dir, 1).spool, store, *lines, instance="1")
    return lines


async def test_every_spool_is_verified(data_dir: Path, store: Store, two_spools: list[bytes]) -> None:
    feed(Instance(data_dir, 1).spool, b"waiting")
    found = await check(data_dir, store)
    assert found.findings == []
    assert (found.verified, found.documents, found.waiting, found.sessions) == (62, 62, 1, 6)


async def test_a_line_is_missed_though_another_spool_has_one_of_its_number(
    data_dir: Path, store: Store, two_spools: list[bytes], raw: Any
) -> None:
    number = collector_number(instance_name("test", "1"))
    (lost,) = [
        one["_id"]
        for one in await documents(store, "updates")
        if key_collector(one["_id"]) == number and key_line(one["_id"]) == 10
    ]
    raw.updates.delete_one({"_id": lost})
    found = await check(data_dir, store)
    assert summaries(found.findings) == [("tally", None), ("missing", "10")]
    assert {finding.spool for finding in found.findings} == {"spool-1"}
    assert found.documents == 61


# --- retention ------------------------------------------------------------------------------------------------------


async def aged(spool: Path, store: Store, uri: str, database: str, **days: int) -> list[bytes]:
    """An archive of ten days, 300 keepalives and 100 updates, with all removed that is older than it may be."""
    router = Router(start=float(int(time.time()) - 10 * DAY))
    lines = [start(100, router.time), *router.up()]
    for number in range(100):
        lines += [router.announce(f"10.{number}.0.0/16"), *[router.keepalive() for _ in range(3)]]
        router.time += DAY / 10
    await archive(spool, store, *lines)
    await store.maintain({**RetentionSettings().model_dump(), **days})
    await until(Sweeper(uri, database).sweep, what="what is too old is removed")
    return lines


async def test_expired_keepalives_are_not_missed(
    data_dir: Path, spool: Path, store: Store, mongodb_uri: str, database: str
) -> None:
    lines = await aged(spool, store, mongodb_uri, database)
    found = await check(data_dir, store)
    assert found.findings == []
    assert found.documents + found.expired == len(lines)
    assert 3 * 28 <= found.expired <= 3 * 32


async def test_a_line_that_is_missing_among_expired_ones(
    data_dir: Path, spool: Path, store: Store, mongodb_uri: str, database: str, raw: Any
) -> None:
    await aged(spool, store, mongodb_uri, database)
    updates = await documents(store, "updates")
    raw.updates.delete_one({"_id": updates[3]["_id"]})
    raw.updates.delete_one({"_id": updates[90]["_id"]})
    findings = (await check(data_dir, store)).findings
    assert summaries(findings) == [
        ("tally", None),
        ("missing", str(key_line(updates[90]["_id"]))),
        ("missing", f"0-{findings[-1].lines and findings[-1].lines[2:]}"),
    ]
    assert findings[0].detail == "the session counts 100 updates, there are 98"
    assert findings[-1].detail.startswith("1 of these lines have no document; ")
    keepalives = [one async for one in store.find("messages", {"kind": "keepalive"}, sort=[("ts", 1)])]
    raw.messages.delete_one({"_id": keepalives[-1]["_id"]})
    assert ("missing", str(key_line(keepalives[-1]["_id"]))) in summaries((await check(data_dir, store)).findings)


async def test_whole_collections_may_expire(
    data_dir: Path, spool: Path, store: Store, mongodb_uri: str, database: str
) -> None:
    lines = await aged(spool, store, mongodb_uri, database, updates_days=3, messages_days=4, keepalives_days=0)
    found = await check(data_dir, store)
    assert found.findings == []
    assert found.documents + found.expired == len(lines)
    assert found.expired > 200
