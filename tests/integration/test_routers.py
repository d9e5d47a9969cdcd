"""Real routers announce, change, withdraw and go down: the archive says exactly that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from collector.store.mongo import Store
from tests.integration.routers import ROUTERS, Bird, Route, Router
from tests.running import Collector, collecting
from tests.support import until

V4, V6, STAYS = "203.0.113.0/24", "2001:db8:77::/48", "198.51.100.0/25"


async def history(collector: Collector, prefix: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(collector.ask, "history", prefix)


async def events(collector: Collector, prefix: str) -> list[tuple[Any, ...]]:
    return [(entry["event"], entry["med"], entry["communities"]) for entry in await history(collector, prefix)]


async def the_peer(collector: Collector) -> dict[str, Any]:
    (peer,) = await asyncio.to_thread(collector.ask, "peers")
    found: dict[str, Any] = peer
    return found


async def established(collector: Collector) -> bool:
    return bool((await the_peer(collector))["state"] == "up")


@pytest.mark.parametrize("kind", ROUTERS, ids=lambda kind: kind.name)
async def test_a_routers_life(kind: type[Router], data_dir: Path, tmp_path: Path) -> None:
    with collecting(data_dir, peers=[(kind.address, kind.asn)]) as collector:
        await collector.until_up()
        assert (await the_peer(collector))["state"] == "never"
        with kind(tmp_path / "router", collector.port) as router:
            await until(lambda: established(collector), what="the session is up")
            first, changed = (f"{kind.asn}:{number}" if kind.sends_communities else None for number in (1, 2))
            rest = [Route(V6, 5), Route(STAYS, 7)]

            router.announce([Route(V4, 10, first), *rest])
            announced = [("announce", 10, first and [first])]
            await until(lambda: _is(collector, V4, announced))

            router.announce([Route(V4, 20, changed), *rest])
            announced.append(("announce", 20, changed and [changed]))
            await until(lambda: _is(collector, V4, announced))

            router.announce(rest)
            await until(lambda: _is(collector, V4, [*announced, ("withdraw", None, None)]))

            peer = await the_peer(collector)
            assert (peer["address"], peer["asn"], peer["routes"]) == (kind.address, kind.asn, 2)
            assert peer["last_keepalive"] is not None
            assert peer["updates"] >= 4

        await until(lambda: _is_down(collector), what="the session's end")
        await _assert_the_ends(collector, kind)
        async with Store.open(collector.uri) as store:
            await _assert_the_documents(store, kind)


async def _is(collector: Collector, prefix: str, expected: list[tuple[Any, ...]]) -> bool:
    return await events(collector, prefix) == expected


async def _is_down(collector: Collector) -> bool:
    return bool((await the_peer(collector))["state"] == "down")


async def _assert_the_ends(collector: Collector, kind: type[Router]) -> None:
    """What stood went with the session, what was withdrawn before did not go twice."""
    v4 = await history(collector, V4)
    assert [entry["event"] for entry in v4] == ["announce", "announce", "withdraw"]
    assert {(entry["as_path"], entry["origin"]) for entry in v4[:2]} == {(str(kind.asn), v4[0]["origin"])}
    assert v4[0]["next_hop"] == kind.address
    for prefix, med in ((V6, 5), (STAYS, 7)):
        announce, end = await history(collector, prefix)
        assert (announce["event"], announce["med"]) == ("announce", med)
        assert (":" in announce["next_hop"]) == (":" in prefix)
        assert (end["event"], end["next_hop"]) == ("session_end", None)
        assert end["reason"]
    assert (await the_peer(collector))["routes"] == 0


async def _assert_the_documents(store: Store, kind: type[Router]) -> None:
    (session,) = [one async for one in store.find("sessions", {})]
    assert (session["peer"], session["local"]["asn"]) == ({"address": kind.address, "asn": kind.asn}, 65000)
    assert session["router_id"] == f"10.0.0.{kind.address.split('.')[-1]}"
    assert (session["began"], session["ended_by"]) == ("up", "peer")
    assert {1, 65} <= {capability["code"] for capability in session["capabilities"]}
    assert session.get("gaps") is None
    updates = [one async for one in store.find("updates", {}, sort=[("_id", 1)])]
    assert {update["session"] for update in updates} == {session["_id"]}
    assert len(updates) == session["updates"]
    counters = [update["source"]["counter"] for update in updates]
    assert counters == sorted(counters)
    kinds = {one["kind"] async for one in store.find("messages", {})}
    assert {"state", "open", "keepalive"} <= kinds


async def test_add_path(data_dir: Path, tmp_path: Path) -> None:
    """Two paths of one prefix are two routes; one of them is withdrawn alone."""
    with collecting(data_dir, peers=[(Bird.address, Bird.asn)], BGPLEDGER_BGP_ADD_PATH="true") as collector:
        await collector.until_up()
        with Bird(tmp_path / "router", collector.port) as router:
            await until(lambda: established(collector))
            router.announce([Route(V4, 10), Route(V4, 20)])

            async def both() -> bool:
                return len(await history(collector, V4)) == 2

            await until(both)
            announced = await history(collector, V4)
            assert {entry["med"] for entry in announced} == {10, 20}
            assert len({entry["path_id"] for entry in announced}) == 2
            assert (await the_peer(collector))["routes"] == 2

            router.announce([Route(V4, 10)])

            async def one_withdrawn() -> bool:
                return len(await history(collector, V4)) == 3

            await until(one_withdrawn)
            gone = {entry["med"]: entry["path_id"] for entry in announced}[20]
            withdrawal = (await history(collector, V4))[-1]
            assert (withdrawal["event"], withdrawal["path_id"]) == ("withdraw", gone)
            assert (await the_peer(collector))["routes"] == 1


async def test_wire_bytes(data_dir: Path, tmp_path: Path) -> None:
    with collecting(data_dir, peers=[(Bird.address, Bird.asn)], BGPLEDGER_BGP_WIRE_BYTES="true") as collector:
        await collector.until_up()
        with Bird(tmp_path / "router", collector.port) as router:
            await until(lambda: established(collector))
            router.announce([Route(V4, 10)])
            await until(lambda: _is(collector, V4, [("announce", 10, None)]))
        async with Store.open(collector.uri) as store:
            updates = [one async for one in store.find("updates", {})]
            opens = [one async for one in store.find("messages", {"kind": "open"})]
    for document, kind in ((updates[0], 2), (opens[0], 1)):
        wire = document["wire"]
        assert wire[:16] == b"\xff" * 16
        assert (int.from_bytes(wire[16:18]), wire[18]) == (len(wire), kind)  # RFC 4271 4.1: length, type
    assert bytes([24, 203, 0, 113]) in updates[0]["wire"]
