"""Orders for four real routers: their own `show` lists what was ordered, and nothing once it is withdrawn."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.acting.client import ActingClient
from collector.errors import CollectorError, RefusedError
from schemas.intents import Intent, Order, Withdrawal
from schemas.json_object import JsonObject
from tests.integration.routers import LOCAL_AS, Router
from tests.integration.taking import TAKING
from tests.running import Collector, bgpledger, collecting, free_port, processes
from tests.support import until

PREFIX, PREFIX6 = "203.0.113.0/24", "2001:db8:1::/48"
ATTRIBUTES: JsonObject = {
    "med": 5,
    "communities": ["65000:1", "no-export"],
    "large_communities": ["65000:1:2"],
    "as_path": [64510, 64511],
    "prepend": 1,
}
SEEN = {
    "path": "65000 65000 64510 64511",
    "med": 5,
    "communities": {"65000:1", "65535:65281"},
    "large": {"65000:1:2"},
}
HALF = "203.0.113.128/25"
RULES = """
[[policies]]
name = "marked"
peers = ["127.0.0.20"]
prefixes = ["203.0.113.128/25^+"]
add_communities = ["65000:20"]
[[policies]]
name = "dearer"
peers = ["127.0.0.21"]
prefixes = ["203.0.113.0/24^25"]
med = 77
[[policies]]
name = "longer"
peers = ["127.0.0.22"]
prefixes = ["203.0.113.0/24^-"]
family = "ipv4 unicast"
prepend = 1
[[policies]]
name = "not there"
peers = ["127.0.0.23"]
prefixes = ["203.0.113.0/24^25-26"]
reject = true
"""
FLOWS: Sequence[JsonObject] = (
    {
        "match": {"destination": "203.0.113.7/32", "protocols": "udp", "destination_ports": "53,1024-2000"},
        "then": {"discard": True},
    },
    {
        "match": {"destination": "2001:db8:1:7::/64", "protocols": "tcp", "packet_lengths": ">=100"},
        "then": {"rate_bytes": 9600},
    },
)
SHOWN = {
    "FlowBird": (
        r"flow4 { dst 203\.0\.113\.7/32; proto 17; dport 53,1024\.\.2000; }.*\(generic, 0x80060000, 0x0\)",
        r"flow6 { dst 2001:db8:1:7::/64; next header 6; length >= 100; }.*\(generic, 0x80060000, 0x46160000\)",
    ),
    "FlowGobgpd": (
        r"\[destination: ?203\.0\.113\.7/32\]\[protocol: ==udp\]\[destination-port: ==53 >=1024&<=2000\].*\[discard\]",
        r"\[destination: ?2001:db8:1:7::/64/0\]\[protocol: ==tcp\]\[packet-length: >=100\].*\[rate: 9600",
    ),
    "FlowFrr": (
        r"203\.0\.113\.7/32\s+IP Protocol = 17\s+Destination Port = 53 , >= 1024 , <= 2000\s+FS:rate 0\.0",
        r"2001:db8:1:7::/64/off 0\s+IP Protocol = 6\s+Packet Length >= 100\s+FS:rate 9600\.0",
    ),
}
"""How routers show these flows; a rate is a float, 9600 is 0x46160000 (RFC 8955 7.1)."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Acting:
    """A collector that may announce, and its routers."""

    def __init__(self, collector: Collector, routers: Sequence[Any]) -> None:
        self.collector, self.routers = collector, routers
        self.client = ActingClient(collector.data_dir)

    async def takes_orders(self) -> bool:
        """Whether a process accepts orders."""
        try:
            await self.client.intents()
        except CollectorError:
            return False
        return True

    async def order(self, *prefixes: str, **more: Any) -> list[str]:
        """Order announcements of prefixes; returns the ids of the intents."""
        attributes = {name: more.pop(name) for name in list(more) if name in (*ATTRIBUTES, "next_hop", "local_pref")}
        body = {"who": "test", "why": "to see it", "source": "api", **more}
        said = [{"prefix": prefix, **attributes} for prefix in prefixes]
        found = await self.client.announce(Order.model_validate({**body, "announcements": said}))
        return [one["id"] for one in found]

    async def withdraw(self, *prefixes: str) -> None:
        """Order the withdrawal of prefixes."""
        withdrawal = {"who": "test", "why": "seen", "source": "api", "prefixes": prefixes}
        await self.client.withdraw(Withdrawal.model_validate(withdrawal))

    async def intent(self, key: str) -> Intent:
        """The present state of an intent."""
        return next(one for one in await self.client.intents(ended=True) if one.id == key)

    async def until_sent(self, key: str, *, since: datetime = LONG_AGO) -> Intent:
        """Wait until all peers have been sent a route since a time."""

        async def sent() -> Intent | None:
            found = await self.intent(key)
            told = {one.peer for one in found.states if one.state == "sent" and one.ts >= since}
            return found if told == set(found.peers) else None

        found: Intent = await until(sent, what="all peers have been told")
        return found

    async def until_withdrawn(self, key: str) -> None:
        """Wait until the UPDATE to each peer has been reported: routers may receive it a moment before."""

        async def withdrawn() -> bool:
            return (await self.intent(key)).state == "withdrawn"

        await until(withdrawn, what="the withdrawal is reported")

    async def until_heard(self, prefix: str, seen: JsonObject | None) -> None:
        """Wait until each router has a route like this, or none."""
        for router in self.routers:
            await until(partial(_has, router, prefix, seen), what=f"{router} has {seen} of {prefix}")


def _has(router: Any, prefix: str, seen: JsonObject | None) -> bool:
    return bool(router.received(prefix) == seen)


def _is_another(pattern: str, than: int) -> bool:
    return processes(pattern) not in ([], [than])


@asynccontextmanager
async def acting(
    directory: Path, kinds: Sequence[type[Any]], *lines: str, asn: int | None = None
) -> AsyncIterator[Acting]:
    """A collector with these routers, all of one AS or each of its own."""
    port = free_port()
    routers: list[Router] = [kind(directory / kind.__name__, port, 20 + at) for at, kind in enumerate(kinds)]
    for router in routers:
        router.asn = asn or router.asn
    config = directory / "collector.toml"
    directory.mkdir(parents=True, exist_ok=True)
    allowed = ["[announce]", f'prefixes = ["{PREFIX} le 32", "{PREFIX6} le 64"]', "flows = true", "rate = 1000", *lines]
    config.write_text("\n".join([*allowed, *(line for router in routers for line in router.settings())]))
    with collecting(directory / "data", "--config", str(config), port=port) as collector:
        await collector.until_up()
        async with AsyncExitStack() as stack:
            for router in routers:
                stack.enter_context(router)
            bench = Acting(collector, routers)
            await until(bench.takes_orders, what="orders are taken")
            yield bench


async def test_four_routers_have_the_ordered_routes_and_no_others(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", TAKING, RULES) as bench:
        keys = await bench.order(PREFIX, next_hop="192.0.2.9", **ATTRIBUTES)
        keys += await bench.order(PREFIX6, next_hop="2001:db8:1::1", **ATTRIBUTES)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            intent = await bench.until_sent(key)
            assert {one.state for one in intent.states} == {"pending", "accepted", "sent"}
            await bench.until_heard(prefix, SEEN)
        await _is_told_differently(bench)
        await _has_flows(bench)
        await _refuses(bench)
        await _survives_kills(bench, keys)
        await bench.withdraw(PREFIX, PREFIX6)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            await bench.until_heard(prefix, None)
            await bench.until_withdrawn(key)
        await _is_in_the_store(bench, keys)


async def _is_told_differently(bench: Acting) -> None:
    """Each router is told what its rules make of the same order."""
    (key,) = await bench.order(HALF, next_hop="192.0.2.9", communities=["65000:1"])
    plain = {"path": "65000", "med": None, "communities": {"65000:1"}, "large": set()}
    expected = (
        {**plain, "communities": {"65000:1", "65000:20"}},
        {**plain, "med": 77},
        {**plain, "path": "65000 65000"},
        None,
    )
    intent = await bench.until_sent(key)
    assert set(intent.peers) == {router.address for router in bench.routers[:3]}
    for router, seen in zip(bench.routers, expected, strict=True):
        await until(partial(_has, router, HALF, seen), what=f"{router} has {seen}")
    await bench.withdraw(HALF)
    await bench.until_heard(HALF, None)


async def _has_flows(bench: Acting) -> None:
    """Those that can have flow specifications have exactly the ordered ones, and none once they are withdrawn."""
    able = [router for router in bench.routers if type(router).__name__ in SHOWN]
    body = {"who": "test", "why": "to see it", "source": "api", "peers": [router.address for router in able]}
    await bench.client.announce(Order.model_validate({**body, "announcements": FLOWS}))
    for router in able:
        for shown in SHOWN[type(router).__name__]:
            await until(partial(_shows, router, shown), what=f"{router} shows {shown}")
    await bench.withdraw(*(flow["match"]["destination"] for flow in FLOWS))
    for router in able:
        await until(partial(_has_no_flow, router), what=f"{router} has no flow")


def _shows(router: Any, pattern: str) -> bool:
    return re.search(pattern, router.flows(), re.DOTALL) is not None


def _has_no_flow(router: Any) -> bool:
    return not _shows(router, r"203\.0\.113|2001:db8")


async def _refuses(bench: Acting) -> None:
    for more, says in (
        ({"local_pref": 200}, "LOCAL_PREF is only for peers in our own AS"),
        ({"peers": ["192.0.2.99"]}, "no peer has the address 192.0.2.99"),
        ({"group": "nobody"}, "no peer has the group"),
        ({"expires": "2026-01-01T00:00:00Z"}, "is in the past"),
    ):
        with pytest.raises(RefusedError, match=says):
            await bench.order(PREFIX, **more)
    with pytest.raises(RefusedError, match="is none of the prefixes that may be announced"):
        await bench.order("198.51.100.0/24")


async def _survives_kills(bench: Acting, keys: Sequence[str]) -> None:
    """ExaBGP and the acting process are killed: routes are announced again, and not only kept as stale (RFC 4724)."""
    data = str(bench.collector.data_dir)
    for pattern in (rf"server {data}/exabgp.conf", rf"act --data-dir {data}"):
        (victim, *_) = processes(pattern)
        killed = datetime.now(UTC)
        os.kill(victim, signal.SIGKILL)
        await until(partial(_is_another, pattern, victim), what=pattern)
        await until(bench.takes_orders, what="orders are taken again")
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            await bench.until_sent(key, since=killed)
            await bench.until_heard(prefix, SEEN)


async def _is_in_the_store(bench: Acting, keys: Sequence[str]) -> None:
    def shown() -> list[JsonObject]:
        return [one for one in bench.collector.ask("intents", "--all") if one["id"] in keys]

    await until(lambda: [one["state"] for one in shown()] == ["withdrawn"] * 2, what="the store has the ends")
    done = bgpledger("--data-dir", str(bench.collector.data_dir), "verify")
    assert done.returncode == 0, done.stdout


async def test_four_routers_of_our_own_as_are_sent_local_pref(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", TAKING, asn=LOCAL_AS) as bench:
        keys = await bench.order(PREFIX, next_hop="192.0.2.9", local_pref=200, **ATTRIBUTES)
        keys += await bench.order(PREFIX6, next_hop="2001:db8:1::1", local_pref=200, **ATTRIBUTES)
        seen = {**SEEN, "path": "64510 64511"}
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            await bench.until_sent(key)
            await bench.until_heard(prefix, seen)
            assert [router.preference(prefix) for router in bench.routers] == [200] * 4
        await _has_flows(bench)
        await bench.withdraw(PREFIX, PREFIX6)
        await bench.until_heard(PREFIX, None)
        await bench.until_heard(PREFIX6, None)
