"""A collector that announces reads its configuration again: routes at a real router, and intents, follow it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from tests.integration.taking import TakingBird
from tests.integration.test_acting import PREFIX, Acting, acting
from tests.support import until

HALF = "203.0.113.128/25"
POLICY = ["[[policies]]", 'name = "mark"', f'prefixes = ["{PREFIX}"]', 'add_communities = ["65000:7"]']


def configure(bench: Acting, directory: Path, prefixes: str, *policies: str) -> None:
    """Write another configuration and have the collector read it."""
    announce = ["[announce]", f'prefixes = ["{prefixes}"]']
    peers = [line for router in bench.routers for line in router.settings()]
    (directory / "collector.toml").write_text("\n".join([*announce, *policies, *peers]))
    bench.collector.process.send_signal(signal.SIGHUP)


async def test_routes_and_intents_follow_the_configuration(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", [TakingBird]) as bench:
        (bird,) = bench.routers
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
