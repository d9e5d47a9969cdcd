"""Orders that four real routers get: their own `show` has what was asked for, and nothing once it is withdrawn."""

from __future__ import annotations

import os
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
from tests.integration.routers import Router
from tests.integration.taking import TAKING, FlowBird, FlowFrr, FlowGobgpd, InternalGobgpd
from tests.running import Collector, bgpledger, collecting, free_port, processes
from tests.support import until

PREFIX, PREFIX6 = "203.0.113.0/24", "2001:db8:1::/48"
ATTRIBUTES: dict[str, Any] = {
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
RULED = "203.0.113.64/26"
RULES = [
    line
    for number, actions in enumerate(
        (
            ["med = 7"],
            ["prepend = 2", 'add_communities = ["no-export"]'],
            ['set_communities = ["65000:9", "65000:1:9"]'],
            ["reject = true"],
        )
    )
    for line in (
        "[[policies]]",
        f'name = "rule {number}"',
        f'peers = ["127.0.0.{20 + number}"]',
        f'prefixes = ["{RULED}"]',
        *actions,
    )
]
_PLAIN: dict[str, Any] = {"path": "65000", "med": None, "communities": {"65000:1"}, "large": {"65000:1:2"}}
RULED_SEEN = (
    {**_PLAIN, "med": 7},
    {**_PLAIN, "path": "65000 65000 65000", "communities": {"65000:1", "65535:65281"}},
    {**_PLAIN, "communities": {"65000:9"}, "large": {"65000:1:9"}},
    None,
)
"""What the routers have of it, in the order of `TAKING`."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Acting:
    """A collector that may announce, and its routers."""

    def __init__(self, collector: Collector, routers: Sequence[Any]) -> None:
        self.collector, self.routers = collector, routers
        self.client = ActingClient(collector.data_dir)

    async def takes_orders(self) -> bool:
        """Whether somebody is there who takes orders."""
        try:
            await self.client.intents()
        except CollectorError:
            return False
        return True

    async def order(self, *prefixes: str, **more: Any) -> list[str]:
        """Have prefixes announced; the ids of the intents."""
        attributes = {name: more.pop(name) for name in list(more) if name in (*ATTRIBUTES, "next_hop", "local_pref")}
        body = {"who": "test", "why": "to see it", "source": "api", **more}
        said = [{"prefix": prefix, **attributes} for prefix in prefixes]
        found = await self.client.announce(Order.model_validate({**body, "announcements": said}))
        return [one["id"] for one in found]

    async def withdraw(self, *prefixes: str) -> None:
        """Have prefixes withdrawn."""
        wish = {"who": "test", "why": "seen", "source": "api", "prefixes": prefixes}
        await self.client.withdraw(Withdrawal.model_validate(wish))

    async def intent(self, key: str) -> Intent:
        """An intent as it stands."""
        return next(one for one in await self.client.intents(ended=True) if one.id == key)

    async def until_sent(self, key: str, *, since: datetime = LONG_AGO) -> Intent:
        """Wait until all peers have been told, since a time."""

        async def sent() -> Intent | None:
            found = await self.intent(key)
            told = {one.peer for one in found.states if one.state == "sent" and one.ts >= since}
            return found if told == set(found.peers) else None

        found: Intent = await until(sent, what="all peers have been told")
        return found

    async def until_withdrawn(self, key: str) -> None:
        """Wait until each peer's UPDATE has been reported: routers may have it a moment before."""

        async def withdrawn() -> bool:
            return (await self.intent(key)).state == "withdrawn"

        await until(withdrawn, what="the withdrawal is reported")

    async def until_heard(self, prefix: str, seen: dict[str, Any] | None) -> None:
        """Wait until each router has a route like this, or none."""
        for router in self.routers:
            await until(partial(_has, router, prefix, seen), what=f"{router} has {seen} of {prefix}")


def _has(router: Any, prefix: str, seen: dict[str, Any] | None) -> bool:
    return bool(router.heard(prefix) == seen)


def _is_another(pattern: str, than: int) -> bool:
    return processes(pattern) not in ([], [than])


@asynccontextmanager
async def acting(directory: Path, kinds: Sequence[type[Any]], *lines: str) -> AsyncIterator[Acting]:
    """A collector with these routers, all sessions up."""
    port = free_port()
    routers: list[Router] = [kind(directory / kind.__name__, port, 20 + at) for at, kind in enumerate(kinds)]
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


async def test_four_routers_have_what_is_ordered_and_nothing_else(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", TAKING, *RULES) as bench:
        keys = await bench.order(PREFIX, next_hop="192.0.2.9", **ATTRIBUTES)
        keys += await bench.order(PREFIX6, next_hop="2001:db8:1::1", **ATTRIBUTES)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            intent = await bench.until_sent(key)
            assert {one.state for one in intent.states} == {"pending", "accepted", "sent"}
            await bench.until_heard(prefix, SEEN)
        await _obeys_rules(bench)
        await _refuses(bench)
        await _survives_kills(bench, keys)
        await bench.withdraw(PREFIX, PREFIX6)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            await bench.until_heard(prefix, None)
            await bench.until_withdrawn(key)
        await _is_in_the_store(bench, keys)


async def _obeys_rules(bench: Acting) -> None:
    """Each router is told what the rules for it make of one order, the last nothing."""
    (key,) = await bench.order(RULED, next_hop="192.0.2.9", communities=["65000:1"], large_communities=["65000:1:2"])
    await bench.until_sent(key)
    for router, seen in zip(bench.routers, RULED_SEEN, strict=True):
        await until(partial(_has, router, RULED, seen), what=f"{router} has {seen} of {RULED}")
    await bench.withdraw(RULED)
    await bench.until_withdrawn(key)
    await bench.until_heard(RULED, None)


async def _refuses(bench: Acting) -> None:
    for more, says in (
        ({"local_pref": 200}, "LOCAL_PREF is for peers of our own AS alone"),
        ({"peers": ["192.0.2.99"]}, "no peer has the address 192.0.2.99"),
        ({"group": "nobody"}, "no peer has the group"),
        ({"expires": "2026-01-01T00:00:00Z"}, "is in the past"),
    ):
        with pytest.raises(RefusedError, match=says):
            await bench.order(PREFIX, **more)
    with pytest.raises(RefusedError, match="is none of the prefixes that may be announced"):
        await bench.order("198.51.100.0/24")


async def _survives_kills(bench: Acting, keys: Sequence[str]) -> None:
    """Of ExaBGP, and of the acting process: what is to stand is told anew, not only kept as stale (RFC 4724)."""
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
    def shown() -> list[dict[str, Any]]:
        return [one for one in bench.collector.ask("intents", "--all") if one["id"] in keys]

    await until(lambda: [one["state"] for one in shown()] == ["withdrawn"] * 2, what="the store has the ends")
    done = bgpledger("--data-dir", str(bench.collector.data_dir), "verify")
    assert done.returncode == 0, done.stdout


FLOWS: list[dict[str, Any]] = [
    {
        "match": {
            "destination": "203.0.113.7/32",
            "source": "198.51.100.0/24",
            "protocols": "udp",
            "destination_ports": "53,1024-2000",
            "packet_lengths": ">=100",
            "dscp": "10",
            "fragments": "is-fragment",
        },
        "then": {"discard": True},
    },
    {
        "match": {"destination": "2001:db8:1:7::/64", "protocols": "tcp", "source_ports": "80", "tcp_flags": "=syn"},
        "then": {"rate_bytes": 10000, "mark": 12},
    },
]
GOBGPD = {
    "[destination: 203.0.113.7/32][source: 198.51.100.0/24][protocol: ==udp][destination-port: ==53 >=1024&<=2000]"
    "[packet-length: >=100][dscp: ==10][fragment: is-fragment]": "[discard]",
    "[destination: 2001:db8:1:7::/64/0][protocol: ==tcp][source-port: ==80][tcp-flags: =S]": (
        "[rate: 10000.000000], [remark: 12]"
    ),
}
SHOWN: dict[type[Any], dict[str, str]] = {
    FlowBird: {
        "flow4 { dst 203.0.113.7/32; src 198.51.100.0/24; proto 17; dport 53,1024..2000; length >= 100; dscp 10; "
        "fragment !!is_fragment; }": "(generic, 0x80060000, 0x0)",
        "flow6 { dst 2001:db8:1:7::/64; next header 6; sport 80; tcp flags 0x2/0x2; }": (
            "(generic, 0x80060000, 0x461c4000) (generic, 0x80090000, 0xc)"
        ),
    },
    InternalGobgpd: GOBGPD,
    FlowGobgpd: GOBGPD,
    FlowFrr: {
        "Destination Address 203.0.113.7/32; Source Address 198.51.100.0/24; IP Protocol = 17; "
        "Destination Port = 53 , >= 1024 , <= 2000; Packet Length >= 100; DSCP field = 10; Packet Fragment ∋ 2": (
            "FS:rate 0.000000"
        ),
        "Destination Address 2001:db8:1:7::/64/off 0; IP Protocol = 6; Source Port = 80; TCP Flags = 2": (
            "FS:rate 10000.000000 FS:marking 12"
        ),
    },
}
"""The same two in each daemon's own words: 0x8006 is a rate, as a float, 0x8009 a DSCP (RFC 8955 7)."""


async def test_peers_of_our_own_as_get_local_pref_and_all_get_flows(tmp_path: Path) -> None:
    """Rules of IPv4 and IPv6, exactly as ordered, and nothing once they are withdrawn."""
    async with acting(tmp_path / "a", [FlowBird, InternalGobgpd, FlowFrr, FlowGobgpd]) as bench:
        internal = bench.routers[:3]
        key, *_ = await bench.order(
            PREFIX, next_hop="192.0.2.9", local_pref=200, peers=[one.address for one in internal]
        )
        order = {"who": "test", "why": "to see it", "source": "api", "announcements": FLOWS}
        found = await bench.client.announce(Order.model_validate(order))
        for one in (key, *(one["id"] for one in found)):
            await bench.until_sent(one)
        for router in internal:
            await until(partial(_prefers, router, 200), what=f"LOCAL_PREF at {router}")
            assert router.heard(PREFIX)["path"] in ("", "Local")
        for router in bench.routers:
            await until(partial(_has_flows, router, SHOWN[type(router)]), what=f"the flows at {router}")
        await bench.withdraw(PREFIX, *(one["match"]["destination"] for one in FLOWS))
        for router in internal:
            await until(partial(_prefers, router, None), what=f"no route at {router}")
        for router in bench.routers:
            await until(partial(_has_flows, router, {}), what=f"no flow at {router}")


def _prefers(router: Any, preference: int | None) -> bool:
    return bool(router.preference(PREFIX) == preference)


def _has_flows(router: Any, flows: dict[str, str]) -> bool:
    return bool(router.flows() == flows)
