"""A collector that announces reads its configuration again: routes at a real router, and intents, follow it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from tests.integration.taking import TakingBird
from tests.integration.test_acting import PREFIX, PREFIX6, Acting, acting
from tests.running import bgpledger
from tests.support import until

HALF = "203.0.113.128/25"
POLICY = ["[[policies]]", 'name = "mark"', f'prefixes = ["{PREFIX}"]', 'add_communities = ["65000:7"]']


def configure(bench: Acting, directory: Path, prefixes: str, *policies: str) -> None:
    """Write another configuration and have the collector read it."""
    announce = ["[announce]", f'prefixes = ["{prefixes}"]']
    peers = [line for router in bench.routers for line in router.settings()]
    (directory / "collector.toml").write_text("\n".join([*announce, *policies, *peers]))
    bench.collector.process.send_signal(signal.SIGHUP)


class GrowingBird(TakingBird):
    """Has IPv4 only, and IPv6 later."""

    has_ipv6 = False

    def configure(self) -> None:
        super().configure()
        if not self.has_ipv6:
            file = self.directory / "bird.conf"
            file.write_text(re.sub("ipv6 {.*", "", file.read_text()))


async def test_routes_and_intents_follow_the_configuration(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", [GrowingBird]) as bench:
        (bird,) = bench.routers
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


async def _a_family_comes_later(bench: Acting) -> None:
    """A route of a family that the session has not negotiated is reported as such, once, and sent when it has it."""
    (bird,) = bench.routers
    (four,) = await bench.order(PREFIX)
    (six,) = await bench.order(PREFIX6, next_hop="2001:db8:1::1")
    await bench.until_sent(four)
    await until(partial(_has_failed, bench, six), what="it is reported")
    says = "its session has not negotiated ipv6 unicast; it will be sent in a session that has"
    assert (await bench.intent(six)).failures == {bird.address: says}
    assert (
        bgpledger("--data-dir", str(bench.collector.data_dir), "intents").stdout.count(f"{bird.address}: {says}") == 1
    )

    bird.has_ipv6 = True
    bird.change()
    intent = await bench.until_sent(six)
    states = [one.state for one in intent.states]
    assert states[-3:] == ["failed", "accepted", "sent"]
    assert states.count("failed") == 1
    await until(lambda: bird.received(PREFIX6) is not None, what="it has the route")
    await bench.withdraw(PREFIX, PREFIX6)
    await bench.until_withdrawn(six)


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
