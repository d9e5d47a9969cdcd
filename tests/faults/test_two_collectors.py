"""Two collectors write into one database: with two names they are independent, with one the second stores nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from functools import partial
from pathlib import Path

from collector.replay.player import plan
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.faults.feed import playing, write_feed
from tests.faults.harness import Outside
from tests.running import Collector, bgpledger, collecting
from tests.support import until


def verified(collector: Collector, server: Outside) -> JsonObject:
    done = bgpledger("--data-dir", str(collector.data_dir), "--mongodb-uri", server.uri, "verify", "--format", "json")
    found: JsonObject = json.loads(done.stdout)
    assert (done.returncode, found["findings"]) == (0, []), done.stderr
    return found


async def documents_of(server: Outside) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with Store.open(server.uri) as store:
        for collection in ("updates", "messages", "rejects"):
            async for document in store.find(collection, {}, fields=("collector",)):
                counts[document["collector"]] += 1
    return counts


async def test_collectors_with_two_names_share_a_database(tmp_path: Path, outside: Outside) -> None:
    file = write_feed(tmp_path / "feed.gz")
    peers = plan(file)
    addresses = [(peer.source, peer.asn) for peer in peers]
    with (
        collecting(
            tmp_path / "one", peers=addresses, BGPLEDGER_COLLECTOR="one", BGPLEDGER_MONGODB_URI=outside.uri
        ) as one,
        collecting(
            tmp_path / "two", peers=addresses, BGPLEDGER_COLLECTOR="two", BGPLEDGER_MONGODB_URI=outside.uri
        ) as two,
    ):
        await asyncio.gather(one.until_up(), two.until_up())
        assert (await asyncio.to_thread(verified, one, outside))["collector"] == "one"
        async with playing(file, one.port, peers), playing(file, two.port, peers):

            async def enough() -> bool:
                counts = await documents_of(outside)
                return counts["one"] > 500 and counts["two"] > 500

            await until(enough, timeout=120)
            found = await asyncio.gather(
                asyncio.to_thread(verified, one, outside), asyncio.to_thread(verified, two, outside)
            )
            assert [one["collector"] for one in found] == ["one", "two"]
        statuses = [await one.until_idle(), await two.until_idle()]
        for collector, status in zip((one, two), statuses, strict=True):
            whole = verified(collector, outside)
            assert (whole["documents"], whole["waiting"]) == (whole["verified"], 0)
            assert whole["verified"] >= status["read"] > 500
    counts = await documents_of(outside)
    assert counts.keys() == {"one", "two"}


async def test_a_second_collector_of_the_same_name_stores_nothing_until_it_is_renamed(
    tmp_path: Path, outside: Outside
) -> None:
    with collecting(tmp_path / "one", BGPLEDGER_COLLECTOR="one", BGPLEDGER_MONGODB_URI=outside.uri) as one:
        await one.until_up()
        before = await until(lambda: documents_of(outside), what="the receiver's first word is stored")
        with collecting(tmp_path / "two", BGPLEDGER_COLLECTOR="one", BGPLEDGER_MONGODB_URI=outside.uri) as two:
            await two.until_up()
            await until(lambda: "another collector that is named 'one'" in two.log.read_text())
            assert "give this one a name of its own" in two.log.read_text()
            asked = ("--data-dir", str(two.data_dir), "status", "--format", "json")
            await until(lambda: json.loads(bgpledger(*asked).stdout)["read"], what="there is something to store")
            status = await asyncio.to_thread(bgpledger, *asked)
            assert json.loads(status.stdout)["stored"] == 0
            assert "another collector that is named 'one'" in status.stderr
            assert await documents_of(outside) == before
            assert "cure" not in one.log.read_text()
        with collecting(tmp_path / "two", BGPLEDGER_COLLECTOR="two", BGPLEDGER_MONGODB_URI=outside.uri) as two:
            await two.until_up()
            await until(lambda: two.status()["stored"] >= 2)
            assert verified(two, outside)["documents"] >= 2
        verified(one, outside)


async def test_a_collector_that_is_renamed_is_verified_under_all_its_names(tmp_path: Path, outside: Outside) -> None:
    async def has(name: str) -> bool:
        return name in await documents_of(outside)

    for name in ("before", "after"):
        with collecting(tmp_path / "one", BGPLEDGER_COLLECTOR=name, BGPLEDGER_MONGODB_URI=outside.uri) as one:
            await one.until_up()
            await until(partial(has, name))
    found = verified(one, outside)
    assert (found["collector"], found["documents"]) == ("after", found["verified"])
    assert (await documents_of(outside)).keys() == {"before", "after"}


async def test_retention_is_changed_by_a_reload(tmp_path: Path, outside: Outside) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(f'[mongodb]\nuri = "{outside.uri}"\n')
    with collecting(tmp_path / "one", "--config", str(config), own_store=False) as one:
        await one.until_up()
        async with Store.open(outside.uri) as store:

            async def keeps(**days: int) -> bool:
                return await store.lifetimes() == {f"{name}_days": 86_400 * count for name, count in days.items()}

            await until(lambda: keeps(keepalives=7))
            config.write_text(f"{config.read_text()}[retention]\nkeepalives_days = 2\nupdates_days = 30\n")
            one.process.send_signal(signal.SIGHUP)
            await until(lambda: keeps(keepalives=2, updates=30))
