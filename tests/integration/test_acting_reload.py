"""A collector that announces reads its configuration again: routes at a real router, and intents, follow it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.errors import CollectorError, RefusedError
from tests.integration.taking import TakingBird
from tests.integration.test_acting import PREFIX, PREFIX6, Acting, acting
from tests.running import bgpledger
from tests.support import until

HALF = "203.0.113.128/25"
ORDERS = int(os.environ.get("RELOAD_ORDERS", "0"))
"""How many routes are ordered before and behind a long reload (`make faults`)."""
LONG = 300.0
"""Seconds: with a tenth of a core each reload takes the acting process a minute, for it is started again."""
NO_IPV6 = "its session has not negotiated ipv6 unicast; it will be sent in a session that has"
POLICY = ["[[policies]]", 'name = "mark"', f'prefixes = ["{PREFIX}"]', 'add_communities = ["65000:7"]']


def configure(bench: Acting, directory: Path, prefixes: str, *policies: str) -> None:
    """Write another configuration and have the collector read it."""
    announce = ["[announce]", f'prefixes = ["{prefixes}"]']
    peers = [line for router in bench.routers for line in router.settings()]
    (directory / "collector.toml").write_text("\n".join([*announce, *policies, *peers]))
    bench.collector.process.send_signal(signal.SIGHUP)


class GrowingBird(TakingBird):
    """Has no capabilities at first, then IPv4 only, and IPv6 later."""

    has_capabilities = has_ipv6 = False

    def received_within(self, prefix: str) -> set[str]:
        """The prefixes within one."""
        output = self._birdc("show", "route", "table", "master6", "where", "net", "~", f"[{prefix}+]")
        return set(re.findall(r"^\S+/\d+", output, re.MULTILINE))

    def configure(self) -> None:
        super().configure()
        if not self.has_ipv6:
            file = self.directory / "bird.conf"
            plain = "" if self.has_capabilities else "capabilities off; "
            file.write_text(re.sub("ipv6 {.*", "", file.read_text()).replace("ipv4 {", plain + "ipv4 {"))


@pytest.mark.timeout(600 + ORDERS)
async def test_routes_and_intents_follow_the_configuration(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", [GrowingBird]) as bench:
        (bird,) = bench.routers
        await _ipv4_needs_no_capability(bench)
        await _a_family_comes_later(bench)
        kept, halved = await bench.order(PREFIX, HALF)
        for prefix in (PREFIX, HALF):
            await until(partial(_communities, bird, prefix, []), what=f"{prefix} without communities")

        configure(bench, tmp_path / "a", PREFIX, *POLICY)
        await until(partial(_communities, bird, PREFIX, ["65000:7"]), what="the policy applies")
        await until(lambda: bird.received(HALF) is None, what="what is no longer allowed is withdrawn")
        await until(partial(_is_over, bench, halved), what="its intent has ended")
        (ordered,) = [one for one in (await bench.intent(halved)).states if one.state == "withdrawing"]
        assert (ordered.who, ordered.peer) == ("configuration", bird.address)
        assert "is none of the prefixes that may be announced" in str(ordered.reason)

        changed = datetime.now(UTC)
        bird.asn = 65999
        configure(bench, tmp_path / "a", PREFIX)
        bird.change()
        await until(partial(_is_sent_since, bench, kept, changed), what="the peer of another AS is sent the route")
        await until(partial(_communities, bird, PREFIX, []), what="and has it, now without a policy")
        assert [one for one in await bench.client.intents() if one.id == halved] == []
        if ORDERS:
            await _orders_in_a_long_reload(bench, tmp_path / "a")


async def _ipv4_needs_no_capability(bench: Acting) -> None:
    """A peer without the multiprotocol capability is sent IPv4 unicast, and nothing else (RFC 4760 8)."""
    (bird,) = bench.routers
    (four,) = await bench.order(PREFIX)
    await bench.until_sent(four)
    await until(lambda: bird.received(PREFIX) is not None, what="it has the route")
    words = ("announce", PREFIX6, "--next-hop", "2001:db8:1::1", "--why", "a test", "--dry-run")
    typed = bgpledger("--data-dir", str(bench.collector.data_dir), *words)
    assert typed.stdout.rstrip().endswith(f"  not now: {NO_IPV6}")
    await bench.withdraw(PREFIX)
    await bench.until_withdrawn(four)
    bird.has_capabilities = True
    bird.change()


async def _a_family_comes_later(bench: Acting) -> None:
    """A route of a family that the session has not negotiated is reported as such, once, and sent when it has it."""
    (bird,) = bench.routers
    (four,) = await bench.order(PREFIX)
    (six,) = await bench.order(PREFIX6, next_hop="2001:db8:1::1")
    await bench.until_sent(four)
    await until(partial(_has_failed, bench, six), what="it is reported")
    assert (await bench.intent(six)).failures == {bird.address: NO_IPV6}
    listed = bgpledger("--data-dir", str(bench.collector.data_dir), "intents").stdout
    assert listed.count(f"{bird.address}: {NO_IPV6}") == 1

    bird.has_ipv6 = True
    bird.change()
    intent = await bench.until_sent(six)
    states = [one.state for one in intent.states]
    assert states[-3:] == ["failed", "accepted", "sent"]
    assert states.count("failed") == 1
    await until(lambda: bird.received(PREFIX6) is not None, what="it has the route")
    await bench.withdraw(PREFIX, PREFIX6)
    await bench.until_withdrawn(six)


async def _orders_in_a_long_reload(bench: Acting, directory: Path) -> None:
    """While many orders are in flight ExaBGP reads a long configuration: none is lost, and nothing comes back."""
    (bird,) = bench.routers
    routes = [f"2001:db8:1:{number:x}::/64" for number in range(1, ORDERS + 1)]
    gone, kept = routes[::2], routes[1::2]
    configure(bench, directory, f"{PREFIX6} le 64", "limit = 5000")
    await until(partial(_is_ordered, bench, gone), timeout=LONG, what="they are ordered")
    strangers = [
        f'[[peers]]\naddress = "127.0.3.{at}"\nasn = 65100\npassive = true' for at in range(min(ORDERS // 4, 250))
    ]
    configure(bench, directory, f"{PREFIX6} le 64", "limit = 5000", *strangers)
    await until(partial(_is_withdrawn, bench, gone[: ORDERS // 4]), timeout=LONG, what="half of them are withdrawn")
    await until(partial(_is_ordered, bench, kept), timeout=LONG, what="others are ordered")
    await until(partial(_is_withdrawn, bench, gone[ORDERS // 4 :]), timeout=LONG, what="the rest is withdrawn")
    await until(
        partial(_is_settled, bench, set(kept), set(gone)), timeout=LONG, what="each intent is sent, or withdrawn"
    )
    assert bird.received_within(PREFIX6) == set(kept)
    configure(bench, directory, f"{PREFIX6} le 64", "limit = 5000")
    last = routes[0]
    await until(partial(_is_ordered, bench, [last]), timeout=LONG, what="a route is ordered behind everything")
    await until(lambda: bird.received(last) is not None, timeout=LONG, what="it has come")
    assert bird.received_within(PREFIX6) == {*kept, last}


async def _is_ordered(bench: Acting, prefixes: Sequence[str]) -> bool:
    with suppress(CollectorError, RefusedError):  # the process that is asked has the old configuration, or is restarted
        peers = [router.address for router in bench.routers]
        return bool(
            await bench.order(*prefixes, next_hop="2001:db8:1::1", peers=peers, key=f"{prefixes[-1]}+{len(prefixes)}")
        )
    return False


async def _is_withdrawn(bench: Acting, prefixes: Sequence[str]) -> bool:
    try:
        await bench.withdraw(*prefixes)
    except RefusedError:
        return True  # it had been taken, though the answer was lost
    except CollectorError:
        return False
    return True


async def _is_settled(bench: Acting, kept: set[str], gone: set[str]) -> bool:
    with suppress(CollectorError):
        found = {one.announcement.prefix: one.state for one in await bench.client.intents(ended=True)}
        return {found[one] for one in kept} == {"sent"} and {found[one] for one in gone} == {"withdrawn"}
    return False


async def _has_failed(bench: Acting, key: str) -> bool:
    return (await bench.intent(key)).state == "failed"


async def _is_over(bench: Acting, key: str) -> bool:
    with suppress(CollectorError):  # the process that is asked is restarted
        return (await bench.intent(key)).is_over
    return False


async def _is_sent_since(bench: Acting, key: str, since: datetime) -> bool:
    with suppress(CollectorError):
        return any(one.state == "sent" and one.ts >= since for one in (await bench.intent(key)).states)
    return False


def _communities(bird: Any, prefix: str, expected: Sequence[str]) -> bool:
    found = bird.received(prefix)
    return found is not None and found["communities"] == set(expected)
