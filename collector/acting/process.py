"""The acting process: takes orders, records them, has ExaBGP carry them out, and records the outcome."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from collector.acting.book import Book, numbered
from collector.acting.command_scheduler import CommandBatch, CommandRoute, CommandScheduler
from collector.acting.commands import commands
from collector.acting.deciders import LocalOrders, deciding
from collector.acting.journal import Journal
from collector.acting.mirror import Mirror
from collector.acting.order_handler import OrderHandler
from collector.acting.relays import ListedPeer, RelayLink, peers_in
from collector.acting.reports import OpenReport, SessionReport, flow_identity, is_same, read_reports
from collector.acting.rules import Rules
from collector.errors import CollectorError, SpoolError, one_error
from collector.files import replace
from collector.instances import Instance
from collector.retry import sleep
from collector.settings.announce import AnnounceSettings
from collector.settings.model import Settings
from collector.sources.exabgp.files import acting_socket
from collector.spool.follower import FollowedTo, Follower
from schemas.announcements import FlowAnnouncement
from schemas.intents import IntentState, Refusal, StateName
from schemas.journal import Record, StateRecord
from schemas.json_object import JsonObject
from schemas.scalars import rfc3339

_log = logging.getLogger(__name__)

_LONGEST_REQUEST = 64 * 2**20
_WATCHING_SECONDS, _RESTING_SECONDS = 0.01, 0.1
"""Seconds between two looks at the spool, while a report from ExaBGP is expected, and otherwise."""
_TICK_SECONDS = 0.25
_AGAIN_SECONDS = 1.0
_LAST_SECONDS = 2.0
"""Seconds that ExaBGP has to report the last withdrawals."""
_KEEP = timedelta(days=1)
"""How long an ended intent is kept here, for repeated orders with its idempotency key."""
_REWRITE_BYTES = 64 * 2**20
_LONGEST_PATH = 100
"""The maximum length of a socket's path: Linux has room for 107 bytes."""


class Acting:
    """The acting process on one data directory.

    Args:
        settings: the collector's.
        allowed: what may be announced.
        journal: the journal, open.
    """

    def __init__(self, settings: Settings, allowed: AnnounceSettings, journal: Journal) -> None:
        self._settings, self._journal = settings, journal
        self._book = Book(settings.collector)
        for record in journal.take():
            self._book.apply(record)
        self._rewrite()
        rules = Rules(settings, allowed)
        self._scheduler = CommandScheduler(self._book, rules.speakers, self._became, is_same, _clock, _now)
        self.mirror = Mirror(self._book, self._mirrored)
        self.orders = OrderHandler(self._book, rules, allowed, self._record, self._pump, self._scheduler.lacks)
        self.is_restart = False
        """Whether it is stopped in order to be restarted at once, possibly with another configuration."""
        self._links: dict[int, RelayLink] = {}
        self._notes = settings.data_dir / "acting.json"
        self._exabgps, self._followed, self._is_clean = _read_notes(self._notes)

    # --- the process ------------------------------------------------------------------------------------------------

    async def run(self, stopping: asyncio.Event) -> None:
        """Take orders until told to stop.

        Raises:
            CollectorError: the socket cannot be made.
            SpoolError: a spool cannot be read.
        """
        path = acting_socket(self._settings.data_dir)
        server = await _listen(path, self._serve)
        self._forget_strangers()
        self.orders.announce_static(self._settings.announce.static if self._settings.announce else ())
        over = asyncio.Event()
        tasks = [self._tick(over), self._decide(stopping, over)]
        tasks += [self._follow(number, over) for number in range(self._settings.exabgp.processes)]
        try:
            with one_error():
                async with asyncio.TaskGroup() as group:
                    for task in tasks:
                        group.create_task(task)
        finally:
            server.close()
            path.unlink(missing_ok=True)
            self._write_notes(is_clean=not self._scheduler.is_waiting)

    async def _decide(self, stopping: asyncio.Event, over: asyncio.Event) -> None:
        """Run checks and attached commands; set `over` when what they withdraw in the end has been sent."""
        orders = LocalOrders(self.orders, self._book)
        known = {check.source for check in self._settings.checks}
        await orders.forget(known | {command.source for command in self._settings.commands})
        async with deciding(self._settings, orders, lambda: self.is_restart):
            await stopping.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while self._scheduler.is_waiting and not self.is_restart:
                    await asyncio.sleep(_WATCHING_SECONDS)
        over.set()

    async def _tick(self, over: asyncio.Event) -> None:
        written: JsonObject = {}
        while not over.is_set():
            await sleep(_TICK_SECONDS, unless=over)
            self.orders.expire()
            self._scheduler.check()
            self._flush()
            self._pump(())
            if self._journal.size > _REWRITE_BYTES:
                self._rewrite()
            if (notes := self._notes_now()) != written:
                written = notes
                self._write_notes()

    # --- records ----------------------------------------------------------------------------------------------------

    def _record(self, records: Sequence[Record], *, durable: bool = True) -> list[int]:
        """Append records to the journal and apply them; return the intents that they changed."""
        written = numbered(records, self._book.revision + 1, _now())
        self._journal.append(written, durable=durable)
        changed = [number for record in written for number in self._book.apply(record)]
        self.mirror.changed(changed)
        self.mirror.refused([Refusal.model_validate(one["refusal"]) for one in written if one["kind"] == "refusal"])
        return changed

    def _became(
        self, state: StateName, peer: str, numbers: Sequence[int], ts: datetime | None, reason: str | None
    ) -> None:
        fresh = list(numbers)
        if ts is not None:  # a line may be read again after a restart
            entries = self._book.entries
            fresh = [one for one in fresh if not _has(entries[one].states, state, peer, ts)]
        if fresh:
            record: StateRecord = {"kind": "state", "state": state, "peer": peer, "numbers": fresh}
            if reason:
                record["reason"] = reason
            self._record([{**record, "ts": rfc3339(ts or _now())}], durable=False)

    def _mirrored(self, revision: int) -> None:
        self._record([{"kind": "mirrored", "up_to": revision}], durable=False)

    def _rewrite(self) -> None:
        self._journal.rewrite(self._book.records(keep=_now() - _KEEP))

    def _forget_strangers(self) -> None:
        """Remove wanted announcements to peers that are no longer configured."""
        known = self._scheduler.addresses
        for entry in list(self._book.entries.values()):
            for peer in [one for one in entry.live if one not in known]:
                self._became("withdrawn", peer, [entry.number], None, "the peer is configured no more")
        self.orders.apply_configuration()

    # --- ExaBGP -----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection: a relay, or a client with an order."""
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request.get("do") == "relay":
                    await self._serve_relay(request, reader, writer)
                    return
                writer.write(json.dumps(self.orders.answer(request)).encode() + b"\n")
                await writer.drain()
        except (ValueError, OSError, asyncio.IncompleteReadError, AttributeError) as error:
            _log.debug("a connection ended: %s", error)
        except asyncio.CancelledError:  # the process ends; asyncio of Python 3.11 would log a traceback
            pass
        finally:
            writer.close()

    async def _serve_relay(
        self, greeting: JsonObject, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        instance = int(greeting["instance"])
        link = RelayLink(instance, str(greeting["exabgp"]), writer)
        self._links[instance] = link
        self._introduce(link)
        try:
            await link.listen(reader)
        finally:
            if self._links.get(instance) is link:
                del self._links[instance]
                self._scheduler.disconnected(instance)

    def _introduce(self, link: RelayLink) -> None:
        """Ask ExaBGP which sessions are up, and for which families."""
        link.say(b"show neighbor json\n", partial(self._introduced, link))

    def _introduced(self, link: RelayLink, is_done: bool, printed: Sequence[str]) -> None:
        if self._links.get(link.instance) is not link:
            return
        if not is_done:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._introduce, link)
            return
        peers = peers_in(printed)
        for peer in link.sessions.keys() & peers.keys():
            # What the spool says is as new, or newer: all that it says later came later.
            families = self._scheduler.families.get(peer, peers[peer].families)
            peers[peer] = ListedPeer(link.sessions[peer], families)
        is_new = self._exabgps.get(link.instance) not in (None, link.exabgp)
        self._exabgps[link.instance] = link.exabgp
        self._scheduler.connected(link.instance, peers, is_new=is_new, is_clean=self._is_clean)
        _log.info("ExaBGP %d accepts commands", link.instance)
        self._pump(())

    def _pump(self, changed: Sequence[int]) -> None:
        """Send ExaBGP what it lacks."""
        self._scheduler.changed(changed)
        for link in list(self._links.values()):
            for batch in self._scheduler.batches(link.instance):
                nlris, at = [item.nlri for item in batch.items], 0
                for line, part in commands(batch.verb, batch.peers, batch.text, nlris):
                    items = batch.items[at : at + len(part)]
                    at += len(part)
                    link.say(line, partial(self._answered, batch, items))

    def _answered(
        self, batch: CommandBatch, items: Sequence[CommandRoute], is_done: bool, _printed: Sequence[str]
    ) -> None:
        self._scheduler.answered(batch, items, is_done=is_done)
        self._pump(())

    def _flush(self) -> None:
        """Have ExaBGP resend everything to peers for which it did not report sending.

        Only when it has answered everything: for a peer that is down it answers this at once, before commands that it
        has not carried out yet. It answers all others in order.
        """
        idle = {instance for instance, link in self._links.items() if link.is_idle}
        for address in sorted(self._scheduler.to_flush):
            instance = self._scheduler.instance_of(address)
            if instance in idle:
                line = f"neighbor {address} flush adj-rib out\n".encode("ascii")
                self._links[instance].say(line, lambda _done, _printed: None)
            if instance in idle or instance not in self._links:
                self._scheduler.to_flush.discard(address)

    # --- ExaBGP's reports ---------------------------------------------------------------------------------------------

    async def _follow(self, instance: int, over: asyncio.Event) -> None:
        follower = Follower(Instance(self._settings.data_dir, instance).spool, self._followed.get(instance))
        try:
            while not over.is_set():
                lines = follower.read()
                self._take_reports(instance, lines)
                self._followed[instance] = follower.position
                waiting = _WATCHING_SECONDS if self._scheduler.is_waiting else _RESTING_SECONDS
                await asyncio.sleep(0 if lines else waiting)
        except OSError as error:
            raise SpoolError(f"the spool cannot be read: {error.strerror}") from error
        finally:
            follower.close()

    def _take_reports(self, instance: int, lines: Sequence[bytes]) -> None:
        for report in read_reports(lines):
            if isinstance(report, SessionReport):
                if link := self._links.get(instance):
                    link.sessions[report.peer] = report.is_up
                (partial(self._scheduler.up, instance=instance) if report.is_up else self._scheduler.down)(report.peer)
            elif isinstance(report, OpenReport):
                self._scheduler.opened(report.peer, report.families)
            else:
                announced = {self._own_name(nlri): route for nlri, route in report.announced.items()}
                withdrawn = [self._own_name(nlri) for nlri in report.withdrawn]
                self._scheduler.sent(report.peer, report.ts, announced, withdrawn)
        if lines:
            self._pump(())

    def _own_name(self, nlri: str) -> str:
        """The book's name of a flow; an unknown flow, or a prefix, is returned unchanged."""
        if not nlri.startswith("{"):
            return nlri
        for entry in self._book.entries.values():
            announcement = entry.announcement
            if isinstance(announcement, FlowAnnouncement) and flow_identity(announcement) == nlri:
                return announcement.nlri
        return nlri

    # --- notes ------------------------------------------------------------------------------------------------------

    def _notes_now(self) -> JsonObject:
        return {
            "exabgp": {str(instance): known for instance, known in self._exabgps.items()},
            "followed": {str(instance): list(position) for instance, position in self._followed.items()},
        }

    def _write_notes(self, *, is_clean: bool = False) -> None:
        with suppress(OSError):  # then ExaBGP's reports are read again
            replace(self._notes, json.dumps({**self._notes_now(), "clean": is_clean}))


def _has(states: Sequence[IntentState], state: StateName, peer: str, ts: datetime) -> bool:
    return any(one.state == state and one.peer == peer and one.ts == ts for one in states)


def _read_notes(path: Path) -> tuple[dict[int, str], dict[int, FollowedTo], bool]:
    """Which ExaBGP each instance had, how far its reports had been read, and whether nothing was in flight then."""
    try:
        found = json.loads(path.read_bytes())
        exabgps = {int(instance): str(known) for instance, known in found["exabgp"].items()}
        followed = {int(instance): FollowedTo(*map(int, at)) for instance, at in found["followed"].items()}
        return exabgps, followed, found["clean"] is True
    except FileNotFoundError:
        return {}, {}, True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}, False


async def _listen(path: Path, serve: Callable[..., Any]) -> asyncio.Server:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise CollectorError(
            f"the path of the socket {path} is too long for the system", "choose a data directory with a shorter path"
        )
    try:
        path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
        server = await asyncio.start_unix_server(serve, path, limit=_LONGEST_REQUEST)
        path.chmod(0o600)  # noqa: ASYNC240
    except OSError as error:
        raise CollectorError(
            f"{path} cannot be listened on: {error.strerror}", "make the data directory writable for this user"
        ) from error
    return server


def _now() -> datetime:
    return datetime.now(UTC)


def _clock() -> float:
    return asyncio.get_running_loop().time()
