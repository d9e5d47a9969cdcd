"""Orders are given while every part is killed: in the end routers have the wanted routes, and withdrawn ones stay away.

`make faults CHANGES=500 SEED=n` does the same for longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.acting.client import ActingClient
from collector.errors import CollectorError, RefusedError
from collector.files import replace
from collector.query.verify.verify import verify
from collector.store import embedded
from collector.store.mongo import Store
from schemas.announcements import RouteAnnouncement
from schemas.intents import ENDS, Intent, Order, Withdrawal
from tests.faults.audit import patient
from tests.faults.harness import COLLECTOR, RELOAD, Killer, Outside, target
from tests.faults.mongo_proxy import proxy
from tests.integration.taking import TakingBird, TakingGobgpd
from tests.running import free_port
from tests.support import until

CHANGES = int(os.environ.get("FAULTS_CHANGES") or 24)
SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 1_000_000)
KILLS = max(2, CHANGES // 10)
PARTS = ("run", "store", "exabgp", "acting", RELOAD)
LONGEST_PAUSE = 1.0 if CHANGES < 100 else 4.0
PREFIXES = [f"203.0.113.{number}/32" for number in range(8)] + ["2001:db8:1::/48"]

Taking = TakingBird | TakingGobgpd


class Changes:
    """Announces, changes and withdraws at random, and knows what should be announced then.

    Args:
        data_dir: the collector's.
        peers: addresses of its routers.
        chance: decides what is ordered.
    """

    def __init__(self, data_dir: Path, peers: Sequence[str], chance: random.Random) -> None:
        self.client = ActingClient(data_dir)
        self.wanted: dict[str, dict[str, int]] = {peer: {} for peer in peers}
        """By peer and prefix the MED, which tells the orders apart."""
        self.announced = 0
        """How many intents that makes."""
        self.unanswered = 0
        """How often nobody answered, and it was asked again."""
        self._peers, self._chance = peers, chance

    async def make(self, number: int) -> None:
        """Order one change, again and again until it is accepted."""
        prefix = self._chance.choice(PREFIXES)
        peers = self._chance.choice([self._peers, self._peers, *((peer,) for peer in self._peers)])
        told = [peer for peer in peers if prefix in self.wanted[peer]]
        if told and self._chance.random() < 0.4:
            await self._until_taken(partial(self._withdraw, prefix, peers))
            for peer in told:
                del self.wanted[peer][prefix]
        else:
            await self._until_taken(partial(self._announce, prefix, peers, number))
            self.announced += 1
            for peer in peers:
                self.wanted[peer][prefix] = number

    async def _until_taken(self, order: Any) -> None:
        again = False
        while True:
            try:
                await order(again)
            except CollectorError:
                again = True
                self.unanswered += 1
                await asyncio.sleep(0.05)
            else:
                return

    async def _announce(self, prefix: str, peers: Sequence[str], number: int, _again: bool) -> None:
        next_hop = "2001:db8:1::9" if ":" in prefix else "192.0.2.9"
        said = {"prefix": prefix, "med": number, "next_hop": next_hop}
        body = {"announcements": [said], "peers": peers, "key": str(number)}
        await self.client.announce(Order.model_validate({**body, **self._reason()}))

    async def _withdraw(self, prefix: str, peers: Sequence[str], again: bool) -> None:
        withdrawal = Withdrawal.model_validate({"prefixes": [prefix], "peers": peers, **self._reason()})
        try:
            await self.client.withdraw(withdrawal)
        except RefusedError:
            assert again, "it stands"  # it had been accepted, though the answer was lost

    def _reason(self) -> dict[str, str]:
        return {"who": "test", "why": "to see it", "source": "api"}


def has(router: Taking, wanted: dict[str, int]) -> bool:
    """Whether a router has these MEDs, and no other prefixes."""
    found = {prefix: router.received(prefix) for prefix in PREFIXES}
    return {prefix: route["med"] for prefix, route in found.items() if route is not None} == wanted


async def reloading(config: Path, chance: random.Random) -> None:
    """Change the configuration again and again, by one peer more or less, which ExaBGP learns at the next reload."""
    own = config.read_text()
    while True:
        number = chance.randrange(100, 200)
        stranger = f'[[peers]]\naddress = "127.0.0.{number}"\nasn = 65100\npassive = true\n'
        replace(config, own + chance.choice(("", stranger)))
        await asyncio.sleep(0.5)


@pytest.mark.timeout(180 + 3 * CHANGES)
async def test_routers_have_what_is_wanted_whatever_dies(tmp_path: Path) -> None:
    print(f"\nfaults: {CHANGES} changes, seed {SEED}")
    chance, data_dir, config, port = random.Random(SEED), tmp_path / "data", tmp_path / "collector.toml", free_port()
    routers: list[Taking] = [TakingBird(tmp_path / "bird", port, 31), TakingGobgpd(tmp_path / "gobgpd", port, 32)]
    allowed = '[announce]\nprefixes = ["203.0.113.0/24 le 32", "2001:db8:1::/48"]\nrate = 1000\n'
    config.write_text(allowed + "\n".join(line for router in routers for line in router.settings()) + "\n")
    with target(data_dir, [], port, config) as one, routers[0], routers[1]:
        changes = Changes(data_dir, [router.address for router in routers], chance)
        await one.until_up(parts=(*PARTS[:-1], "receive", "archiver"))
        killer = Killer(one, None, random.Random(SEED + 1), PARTS)
        others = [asyncio.create_task(reloading(config, random.Random(SEED + 2)))]
        others.append(asyncio.create_task(killer.kill(KILLS, longest_pause=LONGEST_PAUSE)))
        pause = KILLS * LONGEST_PAUSE / 2 / CHANGES
        for number in range(CHANGES):
            await changes.make(number)
            await asyncio.sleep(chance.uniform(0, 2 * pause))
        await others[1]
        others[0].cancel()
        await one.until_up(parts=(*PARTS[:-1], "receive", "archiver"))
        for router in routers:
            wanted = changes.wanted[router.address]
            await until(partial(has, router, wanted), timeout=180, what=f"{router} has {wanted}, seed {SEED}")
        intents = await until(partial(settled, changes), timeout=60, what=f"every intent is sent or over, seed {SEED}")
        await one.until_idle()
        one.stop()
    by_part = killer.figures()
    store = await embedded.start(data_dir)
    try:
        async with Store.open(patient(store.uri)) as opened:
            sent = [one async for one in opened.find("messages", {"kind": "sent_update"})]
            archived = {str(one["_id"]): one async for one in opened.find("intents", {})}
            verified = await verify(data_dir, opened, COLLECTOR)
    finally:
        await store.stop()
    faults = [fault for intent in intents for fault in untrue(intent, changes, sent, archived)]
    figures = f"{changes.unanswered} unanswered, {len(intents)} intents, {len(sent)} sent, {len(faults)} faults"
    print(f"faults: {by_part}, {figures}, seed {SEED}")
    assert faults == [], f"seed {SEED}"
    assert len(intents) == changes.announced
    assert verified.findings == []


async def settled(changes: Changes) -> list[Intent] | None:
    """All intents, once each has its final state."""
    try:
        intents = await changes.client.intents(ended=True)
    except CollectorError:
        return None
    last = [state for intent in intents for state in at_peers(intent).values()]
    return intents if all(state == "sent" or state in ENDS for state in last) else None


def at_peers(intent: Intent) -> dict[str, str]:
    """The last state of an intent at each peer."""
    found: dict[str, str] = dict.fromkeys(intent.peers, "pending")
    return found | {one.peer: one.state for one in intent.states if one.peer is not None and one.state != "withdrawing"}


def untrue(
    intent: Intent, changes: Changes, sent: Sequence[Any], archived: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """The states of an intent that are wrong, judged by what ExaBGP sent and by what should be announced."""
    said = intent.announcement
    assert isinstance(said, RouteAnnouncement)
    for peer, state in at_peers(intent).items():
        ours = [one for one in intent.states if one.peer == peer and one.state != "withdrawing"]
        names = [one.state for one in ours]
        if [at for at, name in enumerate(names) if name in ENDS] not in ([], [len(names) - 1]):
            yield intent.id, peer, f"something came behind the end: {names}"
        if "sent" in names and names.index("sent") < (names.index("accepted") if "accepted" in names else 99):
            yield intent.id, peer, f"sent before it was accepted: {names}"
        if (state == "sent") != (changes.wanted[peer].get(said.prefix) == said.med):
            yield intent.id, peer, f"{state}, and wanted is {changes.wanted[peer].get(said.prefix)}"
        told = {one["ts"] for one in sent if one["peer"]["address"] == peer and announces(one, said)}
        if missing := [one.ts for one in ours if one.state == "sent" and one.ts not in told]:
            yield intent.id, peer, f"sent at {missing}, and ExaBGP says {told}"
        end = ours[-1].ts
        if state == "replaced":  # the command may have been on its way: what follows must stay
            others = [one["ts"] for one in sent if one["peer"]["address"] == peer and tells_else(one, said)]
            end = min((ts for ts in others if ts >= end), default=datetime.max.replace(tzinfo=UTC))
        if state in ENDS and (later := [ts for ts in told if ts > end]):
            yield intent.id, peer, f"{state} at {end}, and came back at {later}"
    if len(archived.get(intent.id, {}).get("states", ())) != len(intent.states):
        yield intent.id, "", "the store has other states"


def announces(update: Any, said: RouteAnnouncement) -> bool:
    """Whether an UPDATE that ExaBGP sent belongs to this order, according to its MED."""
    named = any(said.prefix in group.get("nlri", ()) for group in update.get("announce", ()))
    return named and update["attributes"].get("med") == said.med


def tells_else(update: Any, said: RouteAnnouncement) -> bool:
    """Whether an UPDATE changes the prefix otherwise: by another order's announcement, or a withdrawal."""
    groups = (*update.get("announce", ()), *update.get("withdraw", ()))
    return any(said.prefix in group.get("nlri", ()) for group in groups) and not announces(update, said)


async def test_a_service_dies_while_the_store_is_away(tmp_path: Path) -> None:
    """Its route is withdrawn all the same, and the withdrawal is archived once the store is back."""
    prefix, service, config, port = "203.0.113.1/32", tmp_path / "well", tmp_path / "collector.toml", free_port()
    router, outside, data_dir = (
        TakingBird(tmp_path / "bird", port, 31),
        Outside(tmp_path / "outside"),
        tmp_path / "data",
    )
    check = f'[[checks]]\nname = "www"\ncommand = "test -e {service}"\nip = "{prefix}"\nrise = 1\nfall = 1\n'
    allowed = f'[announce]\nprefixes = ["{prefix}"]\n{check}interval = 0.2\nwithdraw_on_down = true\n'
    config.write_text(allowed + "\n".join(router.settings()) + "\n")
    service.touch()
    await outside.start()
    async with proxy(outside.port) as between:
        environment = {"BGPLEDGER_MONGODB_URI": between.uri(serverSelectionTimeoutMS=1000, connectTimeoutMS=1000)}
        with target(data_dir, [], port, config, **environment) as one, router:
            await one.until_up(parts=("acting", "exabgp", "archiver"))
            await until(lambda: router.received(prefix), what="it is announced")
            await outside.stop()
            service.unlink()
            await until(lambda: router.received(prefix) is None, what="it is withdrawn while the store is away")
            await outside.start()
            between.upstream = outside.port
            async with Store.open(patient(outside.uri)) as store:
                await until(partial(is_archived, store, prefix), what="the archive has the withdrawal")
            await asyncio.to_thread(one.stop)
    await outside.stop()


async def is_archived(store: Store, prefix: str) -> bool:
    """Whether the only intent has ended, and the UPDATE that withdrew its route is archived."""
    states = [found["state"] async for found in store.find("intents", {})]
    sent = [found async for found in store.find("messages", {"kind": "sent_update"})]
    withdrawn = [nlri for found in sent for group in found.get("withdraw", ()) for nlri in group["nlri"]]
    return states == ["withdrawn"] and prefix in withdrawn
