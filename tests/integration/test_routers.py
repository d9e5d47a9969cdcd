"""Real routers announce, change, withdraw and go down: history, peers and documents show exactly that."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.query.history import HistoryQuery, history
from collector.query.peers import peers
from collector.query.rib import RibQuery, rib
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.integration.routers import ROUTERS, Bird, Gobgpd, Route, Router
from tests.running import Collector, collecting, free_port
from tests.support import missing, until

V4, V6 = "198.51.100.0/25", "2001:db8:77::/48"
WHY = "maintenance at noon"


class Bench:
    """A collector with real routers, and its store: waiting looks there, which is quicker than the command line."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.config = directory / "collector.toml"
        self.collector: Collector
        self.store: Store

    def router(self, kind: type[Router], number: int, session: str = "") -> Router:
        return kind(self.directory / str(number), self.port, number, session)

    def configure(self, *routers: Router, **keys: str) -> None:
        lines = [f"{key} = {value}" for key, value in keys.items()]
        self.config.write_text("\n".join(line for router in routers for line in (*router.settings(), *lines)))

    @asynccontextmanager
    async def running(self, *routers: Router, **keys: str) -> AsyncIterator[None]:
        """Run the collector, with these settings for every peer."""
        self.configure(*routers, **keys)
        with collecting(self.directory / "data", "--config", str(self.config), port=self.port) as self.collector:
            await self.collector.until_up()
            async with Store.open(self.collector.uri) as self.store:
                yield

    async def states(self) -> list[str]:
        return [peer.state async for peer in peers(self.store)]

    async def until_states(self, *expected: str) -> None:
        async def hold() -> bool:
            return await self.states() == list(expected)

        await until(hold, what=f"the peers are {expected}")

    async def until_sessions(self, count: int) -> None:
        """Wait for this number of sessions, the last one of each peer being up."""

        async def come() -> bool:
            sessions = await self.documents("sessions")
            return len(sessions) >= count and set(await self.states()) == {"up"}

        await until(come, what=f"{count} sessions")

    async def until_events(self, prefix: str, count: int) -> None:
        async def come() -> bool:
            return len([event async for event in history(self.store, HistoryQuery(prefix))]) >= count

        await until(come, what=f"{count} events of {prefix}")

    def history(self, prefix: str) -> list[JsonObject]:
        """The output of the command, without times and absent values."""
        entries = self.collector.ask("history", prefix)
        assert [entry["ts"] for entry in entries] == sorted(entry["ts"] for entry in entries)
        left_out = ("ts", "collector")
        return [
            {key: value for key, value in entry.items() if value is not None and key not in left_out}
            for entry in entries
        ]

    def peers(self) -> list[JsonObject]:
        return self.collector.ask("peers")

    async def documents(self, collection: str, **query: Any) -> list[JsonObject]:
        return [document async for document in self.store.find(collection, query, sort=(("_id", 1),))]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def announced(router: Router, route: Route, **more: Any) -> JsonObject:
    """An announcement, as `history` shows it."""
    entry = {
        "event": "announce",
        "peer": router.peer,
        "prefix": route.prefix,
        "family": f"{route.family} unicast",
        "next_hop": router.address if route.family == "ipv4" else router.next_hop6,
        "as_path": str(router.asn),
        "origin": router.origin,
        "med": route.med,
        **more,
    }
    if route.communities:
        entry["communities"] = list(route.communities)
    if route.large:
        entry["large_communities"] = list(route.large)
    return entry


def gone(router: Router, route: Route, event: str = "withdraw", **more: Any) -> JsonObject:
    """A withdrawal, with the route as the router last announced it."""
    return {**announced(router, route), "event": event, **more}


# --- what routers do --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ROUTERS)
async def test_announce_change_withdraw_shut_down(bench: Bench, kind: type[Router]) -> None:
    router = bench.router(kind, 31)
    first = Route(V4, 50, ("65031:100", "65031:200"), ("65031:1:2", "4200000000:3:4"))
    changed, stays = Route(V4, 51, ("65031:300",)), Route(V6, 60, ("65031:100",))
    async with bench.running(router):
        assert [(peer["state"], peer["updates"]) for peer in bench.peers()] == [("never", 0)]
        with router:
            await bench.until_states("up")
            router.announce(first, stays)
            await bench.until_events(V4, 1)
            await bench.until_events(V6, 1)
            router.announce(changed, stays)
            await bench.until_events(V4, 2)
            await check_peer(bench, router, state="up", updates=3, routes=2, reason=None)
            router.announce(stays)
            await bench.until_events(V4, 3)
            await check_peer(bench, router, state="up", updates=4, routes=1, reason=None)
            router.shut_down(WHY)
            await bench.until_states("down")
        (session,) = await bench.documents("sessions")
        check_session(session, router)
        assert await bench.documents("gaps") == []
        await check_peer(bench, router, state="down", updates=4, routes=0, reason=session["reason"])
        assert bench.history(V4) == [announced(router, first), announced(router, changed), gone(router, changed)]
        end = gone(router, stays, "session_end", reason=session["reason"])
        assert bench.history(V6) == [announced(router, stays), end]
        await check_messages(bench, router, session)


async def check_peer(bench: Bench, router: Router, **expected: Any) -> None:
    def is_told() -> JsonObject | None:
        """A session is written once a second, after its UPDATEs."""
        (peer,) = bench.peers()
        return peer if {key: peer[key] for key in expected} == expected else None

    peer = await until(is_told, what=f"peers tells {expected}")
    assert {"address": peer["address"], "asn": peer["asn"]} == router.peer
    assert peer["since"]
    assert peer["last_keepalive"]


def check_session(session: JsonObject, router: Router) -> None:
    expected = {
        "peer": router.peer,
        "local": {"address": "127.0.0.1", "asn": 65000},
        "began": "up",
        "ended_by": "peer",
        "reason": f"NOTIFICATION received: Cease / Administrative Shutdown: {WHY}",
        "router_id": router.router_id,
        "hold_time": 90,
        "updates": 4,
        "announced": 3,
        "withdrawn": 1,
    }
    assert {key: session[key] for key in expected} == expected
    assert session["since"] < session["until"]
    offered = {capability["code"]: capability for capability in session["capabilities"]}
    assert set(offered) >= router.capabilities
    assert offered[1]["families"] == ["ipv4/unicast", "ipv6/unicast"]
    assert offered[65]["asn4"] == router.asn


async def check_messages(bench: Bench, router: Router, session: JsonObject) -> None:
    inside = await bench.documents("messages", session=session["_id"])
    ends = [message["family"] for message in inside if message["kind"] == "eor"]
    assert sorted(ends) == (["ipv4 unicast", "ipv6 unicast"] if router.has_end_of_rib else [])
    assert [message["state"] for message in inside if message["kind"] == "state"] == ["up", "down"]
    (notification,) = [message for message in inside if message["kind"] == "notification"]
    assert (notification["code"], notification["subcode"]) == (6, 2)  # Cease, Administrative Shutdown
    assert WHY in notification["text"]
    updates = await bench.documents("updates")
    assert {update["session"] for update in updates} == {session["_id"]}
    assert await bench.documents("rejects") == []


@pytest.mark.parametrize("kind", [Gobgpd, Bird])
async def test_paths_of_add_path_are_separate_routes(bench: Bench, kind: type[Router]) -> None:
    """Two paths to a prefix are two routes: one changes and is withdrawn, the other stays."""
    router = bench.router(kind, 32)
    one, two, changed = Route(V4, 10), Route(V4, 20), Route(V4, 21)
    async with bench.running(router, add_path="true"):
        with router:
            await bench.until_states("up")
            router.announce(one, two)
            await bench.until_events(V4, 2)
            router.announce(one, changed)
            await bench.until_events(V4, 3)
            await check_peer(bench, router, routes=2)
            router.announce(one)
            await bench.until_events(V4, 4)
            await check_peer(bench, router, routes=1)
            router.shut_down(WHY)
            await bench.until_states("down")
        (session,) = await bench.documents("sessions")
        entries = bench.history(V4)
        ids = {entry["med"]: entry["path_id"] for entry in entries if entry["event"] == "announce"}
        assert ids[10] != ids[20] == ids[21]
        assert sorted(entries[:2], key=lambda entry: int(entry["med"])) == [
            announced(router, one, path_id=ids[10]),
            announced(router, two, path_id=ids[20]),
        ]
        assert entries[2:] == [
            announced(router, changed, path_id=ids[20]),
            gone(router, changed, path_id=ids[20]),
            gone(router, one, "session_end", path_id=ids[10], reason=session["reason"]),
        ]


async def test_routes_of_a_router_that_dies_end_and_come_back_with_it(bench: Bench) -> None:
    """Its routes end without a NOTIFICATION all the same, and come again with another session."""
    router, again = (Bird(bench.directory / name, bench.port, 33) for name in ("first", "again"))
    route = Route(V6, 10)
    async with bench.running(router):
        with router:
            await bench.until_states("up")
            router.announce(route)
            await bench.until_events(V6, 1)
            router.kill()
            await bench.until_states("down")
        again.routes = [route]
        with again:
            await bench.until_states("up")
            await bench.until_events(V6, 3)
            sessions = await bench.documents("sessions")
            assert (sessions[0]["ended_by"], "until" in sessions[1]) == ("peer", False)
            end = gone(router, route, "session_end", reason=sessions[0]["reason"])
            assert bench.history(V6) == [announced(router, route), end, announced(router, route)]
            updates = await bench.documents("updates")
            assert [update["session"] for update in updates] == [session["_id"] for session in sessions]


# --- their own tables -------------------------------------------------------------------------------------------------

ALWAYS, MORE, FIRST, THEN = "198.51.100.128/25", "2001:db8:78::/48", "192.0.2.0/24", "203.0.113.0/24"


async def test_rib_has_what_routers_report_as_announced(bench: Bench) -> None:
    """All four at once, two of them with two paths to a prefix: a table, changes of it, and another session."""
    routers = [bench.router(kind, 51 + number) for number, kind in enumerate(ROUTERS)]
    async with bench.running(*routers, add_path="true"):
        with ExitStack() as stack:
            for router in routers:
                stack.enter_context(router)
            await bench.until_states(*["up"] * len(routers))
            for med in (10, 11):
                for router in routers:
                    router.announce(*some_routes(router, med))
                await check_tables(bench, routers)
            for router in routers:
                router.reset()
            await bench.until_sessions(2 * len(routers))
            await check_tables(bench, routers)


def some_routes(router: Router, med: int) -> list[Route]:
    """The routes for a MED: another MED replaces all except one; one is withdrawn, and one is added."""
    own = str(router.asn)
    return [
        Route(V4, med, (f"{own}:{med}",), (f"{own}:1:2",)),
        Route(V6, med, (f"{own}:{med}", f"{own}:300")),
        Route(ALWAYS, 50),
        Route(MORE, 60, (), (f"{own}:{med}:2",)),
        Route(FIRST if med == 10 else THEN, 70),
        *([Route(V4, med + 10), Route(V6, med + 10)] if isinstance(router, Gobgpd | Bird) else []),
    ]


async def check_tables(bench: Bench, routers: Sequence[Router]) -> None:
    announced = {(router.address, route.prefix, route.med) for router in routers for route in router.routes}

    async def there() -> bool:
        return {(one.peer.address, one.prefix, one.med) async for one in rib(bench.store, RibQuery())} == announced

    await until(there, what="everything that was announced stands")
    stands = bench.collector.ask("rib")
    for router in routers:
        table = router.table()
        assert len(table) == len(router.routes)
        of_it = [{key: one[key] for key in table[0]} for one in stands if one["peer"]["address"] == router.address]
        assert sorted(map(json.dumps, of_it)) == sorted(map(json.dumps, table))


# --- what the collector is told ---------------------------------------------------------------------------------------


async def test_the_bytes_of_every_message_are_stored(bench: Bench) -> None:
    router = bench.router(Bird, 34)
    async with bench.running(router, wire_bytes="true"):
        with router:
            await bench.until_states("up")
            router.announce(Route(V4, 10), Route(V6, 10))
            await bench.until_events(V4, 1)
            await bench.until_events(V6, 1)
            router.shut_down(WHY)
            await bench.until_states("down")
        kinds = {"open": 1, "notification": 3, "keepalive": 4, "eor": 2}
        messages = [one for one in await bench.documents("messages") if one["kind"] in kinds]
        updates = await bench.documents("updates")
        assert {one["kind"] for one in messages} == set(kinds)
        for document in (*messages, *updates):
            wire, code = document["wire"], kinds.get(document.get("kind", ""), 2)
            # RFC 4271 4.1: marker, length, type.
            assert (wire[:16], int.from_bytes(wire[16:18]), wire[18]) == (b"\xff" * 16, len(wire), code)
        # Both OPENs decide how the bytes of UPDATEs are decoded.
        assert {one["wire"][18] for one in await bench.documents("messages", kind="sent", category="open")} == {1}
        (notification,) = [one["wire"] for one in messages if one["kind"] == "notification"]
        assert notification[19:] == bytes((6, 2, len(WHY))) + WHY.encode()  # RFC 9003
        (update,) = await bench.documents("updates", **{"announce.nlri": V4})
        assert update["wire"].endswith(bytes((25, 198, 51, 100, 0)))


async def test_a_reload_touches_only_the_peer_that_changed(bench: Bench) -> None:
    stays, leaves, comes = (bench.router(Bird, number) for number in (35, 36, 37))
    async with bench.running(stays, leaves):
        with stays, leaves, comes:
            await bench.until_states("up", "up")
            since = bench.peers()[0]["since"]
            stays.announce(Route(V4, 10))
            await bench.until_events(V4, 1)
            bench.configure(stays, comes)
            bench.collector.process.send_signal(signal.SIGHUP)
            await bench.until_states("up", "down", "up")
            stays.announce(Route(V4, 20))
            await bench.until_events(V4, 2)
            assert [peer["address"] for peer in bench.peers()] == [one.address for one in (stays, leaves, comes)]
            assert bench.peers()[0]["since"] == since
            (session,) = await bench.documents("sessions", until={"$exists": True})
            assert (session["peer"], session["ended_by"]) == (leaves.peer, "collector")


async def test_sessions_end_and_come_back_when_exabgp_is_killed(bench: Bench) -> None:
    """The end of the sessions is attributed to the collector."""
    router, other = bench.router(Bird, 38), bench.router(Bird, 39)
    route = Route(V4, 10)
    async with bench.running(router, other):
        with router, other:
            await bench.until_states("up", "up")
            router.announce(route)
            await bench.until_events(V4, 1)
            (pid,) = {session["exabgp_pid"] for session in await bench.documents("sessions")}
            os.kill(pid, signal.SIGKILL)
            await bench.until_events(V4, 3)
            await bench.until_states("up", "up")
            sessions = await bench.documents("sessions", until={"$exists": True})
            assert {(session["peer"]["address"], session["ended_by"]) for session in sessions} == {
                (router.address, "collector"),
                (other.address, "collector"),
            }
            end = gone(router, route, "session_end", reason="ExaBGP ended without a word")
            assert bench.history(V4) == [announced(router, route), end, announced(router, route)]
            await until(lambda: [peer["routes"] for peer in bench.peers()] == [1, 0], what="the routes of both peers")


# --- MD5 and TTL ------------------------------------------------------------------------------------------------------


def need_md5() -> None:
    """Skip if the kernel accepts no TCP MD5 keys (RFC 2385)."""
    # struct tcp_md5sig of linux/tcp.h: an address in 128 bytes, flags, prefix length, key length, interface, key.
    key = struct.pack("=HH4s120xBBHi80s", socket.AF_INET, 0, socket.inet_aton("127.0.0.1"), 0, 0, 3, 0, b"key")
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, key)
        except OSError as error:
            missing(f"this kernel takes no TCP MD5 keys: {error.strerror}")


_TCP_MD5SIG = 14


async def test_password_and_ttl_security_are_enforced(bench: Bench) -> None:
    need_md5()
    (bench.directory / "secret").write_text("a pass word\n")
    other = bench.router(Bird, 40, 'password "another word"; ttl security on;')
    far = bench.router(Bird, 41, 'password "a pass word";')  # its packets come with a TTL of 2
    right = bench.router(Bird, 42, 'password "a pass word"; ttl security on;')
    keys = {"password_file": f'"{bench.directory}/secret"', "ttl_security": "2"}
    async with bench.running(other, far, right, **keys):
        with other, far, right:
            await bench.until_states("up")
            right.announce(Route(V4, 10))
            await bench.until_events(V4, 1)
            assert [peer["state"] for peer in bench.peers()] == ["never", "never", "up"]
    assert "a pass word" not in bench.collector.log.read_text()
