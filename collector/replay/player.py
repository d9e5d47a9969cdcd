"""Plays an MRT update file into a BGP daemon: one session for each peer in the file, its UPDATEs byte for byte.

What of the file is sent:

- UPDATEs from the peers: exactly as they stand, in the file's order within a peer.
- The file's OPENs, KEEPALIVEs and ROUTE-REFRESHes: not at all. Our sessions have their own, and the OPENs that we send
  agree on what the UPDATEs were encoded with: AS number width, families, add-path, long messages.
- Ends of sessions, since whoever archives what we play must see them: a NOTIFICATION from a peer is sent as it stands;
  one that the collector of the file sent, or a state change out of Established, becomes a Cease. Then the session is
  closed, and opened again at the peer's next UPDATE. An OPEN of a peer whose session is up, and UPDATEs in another
  encoding, end a session as well: its end is missing in the file, but must have been there.
- Messages that the collector of the file sent to its peers (BGP4MP_MESSAGE_LOCAL and its like): not at all.

- Records that cannot be parsed, of other MRT types, or of a peer with AS 0, and whatever follows damage that hides
where the next record begins: not at all; the plan's `LeftOut` says so.

All sessions are up before the first UPDATE goes out. A peer whose session cannot be opened is left out, and the caller
is told; if none can, or one ends while it plays, the replay ends with an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from collector.bgp import messages as bgp
from collector.bgp import mrt, mrt_messages
from collector.bgp.mrt_messages import MrtMessage
from collector.bgp.notifications import ADMINISTRATIVE_RESET, ADMINISTRATIVE_SHUTDOWN, CEASE, notification
from collector.errors import ReplayError, one_error
from collector.replay import connecting, speaker
from collector.replay.plan import LeftOut, PlannedPeer, PlannedSession, plan, session_ends

__all__ = ["LeftOut", "PlannedPeer", "Summary", "plan", "play"]

# Seconds to wait for a daemon that is starting, as its user may have just started it.
_PATIENCE_AT_START: Final = 10.0
# After a session's end daemons refuse the neighbour on purpose: gobgpd for 30 seconds, BIRD for 60 and more.
_PATIENCE_AFTER_END: Final = 300.0
_LEAVING_SECONDS: Final = 2.0
# Between file and session: how many records are handed over at a time, and how many times for each peer. More would
# only cost memory.
_BATCH_RECORDS: Final = 256
_QUEUED_BATCHES: Final = 4
# A shorter sleep would cost more than its precision is worth.
_SHORTEST_SLEEP: Final = 0.001

_SHUTDOWN: Final = notification(CEASE, ADMINISTRATIVE_SHUTDOWN)
_RESET: Final = notification(CEASE, ADMINISTRATIVE_RESET)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay has sent.

    Attributes:
        peers: the number of peers that were played.
        messages: the number of UPDATEs that they sent.
        seconds: how long that took, after all sessions were up.
    """

    peers: int
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _ReplaySettings:
    path: Path
    target: tuple[str, int]
    peer_as: int | None
    speed: float | None
    loop: bool
    stay: bool
    progress: Callable[[int], None]
    refused: Callable[[ReplayError], None]


async def play(
    path: Path,
    target: tuple[str, int],
    peers: Sequence[PlannedPeer],
    *,
    peer_as: int | None = None,
    speed: float | None = None,
    loop: bool = False,
    stay: bool = False,
    progress: Callable[[int], None] = lambda _: None,
    refused: Callable[[ReplayError], None] = lambda _: None,
) -> Summary:
    """Play a file as planned; every session ends with a Cease, also when this is cancelled.

    Args:
        path: the file that was planned.
        target: IPv4 address and port of the BGP daemon.
        peers: the result of `plan`, or a part of it.
        peer_as: the AS number that the daemon must have; None for any.
        speed: 1: the pace of the file's time stamps, with one clock for all peers; 60: sixty times as fast; None: as
            fast as the daemon accepts.
        loop: play the file again and again, in the same sessions, until cancelled.
        stay: keep the sessions up after the last message until cancelled.
        progress: called with the number of further UPDATEs that have been handed to TCP.
        refused: called before anything is played, for each peer whose session cannot be opened, with the reason.

    Returns:
        What was sent; the daemon has read all of it and closed its sessions.

    Raises:
        ReplayError: no session could be opened, or one failed later; all others were ended.
    """
    replay = _Replay(_ReplaySettings(path, target, peer_as, speed, loop, stay, progress, refused), peers)
    with one_error():
        return await replay.run()


class _Replay:
    """All peers of one replay: reads the file, and passes each peer's records to its player."""

    def __init__(self, settings: _ReplaySettings, peers: Sequence[PlannedPeer]) -> None:
        self._settings = settings
        done = asyncio.Barrier(len(peers))
        self._players = {peer.key: _Player(settings, peer, done) for peer in peers}
        self._began = 0.0

    async def run(self) -> Summary:
        players = self._players.values()
        async with asyncio.TaskGroup() as group:
            for player in players:
                group.create_task(player.run(group), name=f"play {player.peer}")
            for player in players:
                await player.ready.wait()
            refusals = [player.refusal for player in players if player.refusal is not None]
            if len(refusals) == len(players):
                raise refusals[0]
            for refusal in refusals:
                self._settings.refused(refusal)
            self._began = time.monotonic()
            await self._round()
            while self._settings.loop:
                await self._round()
            for player in players:
                await player.batches.put(None)
        sent = sum(player.sent for player in players)
        return Summary(len(players) - len(refusals), sent, time.monotonic() - self._began)

    async def _round(self) -> None:
        """Play the file once."""
        clock = _Clock(self._settings.speed)
        batches: dict[_Player, list[mrt_messages.Record]] = {}
        waiting = 0
        for record in _readable(self._settings.path):
            if (delay := clock.delay(record.time)) > _SHORTEST_SLEEP:
                await _hand_out(batches)
                waiting = 0
                await asyncio.sleep(delay)
            if (player := self._players.get(record.peer)) is not None:
                batches.setdefault(player, []).append(record)
            # Records of peers that are not played count too: the sessions need time meanwhile.
            waiting += 1
            if waiting == _BATCH_RECORDS:
                await _hand_out(batches)
                waiting = 0
        await _hand_out(batches)


def _readable(path: Path) -> Iterator[mrt_messages.Record]:
    """The records up to the damage that the plan reported, if any."""
    with suppress(mrt.CutError):
        yield from mrt.read(path)


async def _hand_out(batches: dict[_Player, list[mrt_messages.Record]]) -> None:
    """Pass each player its records; waits for the slowest if its queue is full."""
    for player, records in batches.items():
        await player.batches.put(records)
    batches.clear()
    # put() alone does not let the players run while their queues have room.
    await asyncio.sleep(0)


class _Clock:
    """When a record is due: the first one at once, the others by their time stamps."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first: float | None = None
        self._began = time.monotonic()

    def delay(self, stamp: float) -> float:
        """Seconds until a record with this time is due; negative if it is overdue."""
        if self._speed is None:
            return 0
        if self._first is None:
            self._first = stamp
        return (stamp - self._first) / self._speed - (time.monotonic() - self._began)


class _Player:
    """One peer: takes its records from the queue, and sends them in the sessions of its plan."""

    def __init__(self, settings: _ReplaySettings, peer: PlannedPeer, done: asyncio.Barrier) -> None:
        self.peer = peer
        self.batches: asyncio.Queue[list[mrt_messages.Record] | None] = asyncio.Queue(_QUEUED_BATCHES)
        self.ready = asyncio.Event()
        self.refusal: ReplayError | None = None
        self.sent = 0
        self._settings = settings
        self._done = done
        self._starts = {session.first_record: session for session in peer.sessions}
        self._session: speaker.SpeakerSession | None = None
        self._last_record = 0
        # Whether the current session can still become the one that the next UPDATE needs.
        self._fresh = True

    async def run(self, group: asyncio.TaskGroup) -> None:
        try:
            try:
                await self._open(group, self.peer.sessions[0], _PATIENCE_AT_START)
            except ReplayError as refusal:
                self.refusal = refusal
            self.ready.set()
            while (records := await self.batches.get()) is not None:
                if self.refusal is None:
                    await self._play(group, records)
            # The file's sessions were all up at its end: none of ours ends before the last UPDATE of all is sent.
            await self._done.wait()
            if self._settings.stay and self.refusal is None:
                await asyncio.Event().wait()
            await self._end(_SHUTDOWN)
        except asyncio.CancelledError:
            if self._session is not None:
                await self._session.leave(_SHUTDOWN, _LEAVING_SECONDS)
            raise

    async def _play(self, group: asyncio.TaskGroup, records: list[mrt_messages.Record]) -> None:
        updates: list[bytes] = []
        for record in records:
            if record.record <= self._last_record:
                self._fresh = True  # the file begins again
            self._last_record = record.record
            if isinstance(record, MrtMessage) and record.data[18] == bgp.UPDATE:
                if record.local:
                    continue
                if (wanted := self._starts.get(record.record)) is not None:
                    await self._send(updates)
                    await self._change_to(group, wanted)
                self._fresh = False
                updates.append(record.data)
            elif session_ends(record, carried=not self._fresh):
                await self._send(updates)
                await self._end(_last_words(record))
        await self._send(updates)

    async def _send(self, updates: list[bytes]) -> None:
        if updates and self._session is not None:
            await self._session.send(b"".join(updates))
            self.sent += len(updates)
            self._settings.progress(len(updates))
            updates.clear()

    async def _change_to(self, group: asyncio.TaskGroup, wanted: PlannedSession) -> None:
        if self._session is not None and self._fresh and self._session.abilities == wanted.abilities:
            return
        await self._end(_RESET)
        await self._open(group, wanted, _PATIENCE_AFTER_END)

    async def _open(self, group: asyncio.TaskGroup, session: PlannedSession, patience: float) -> None:
        call = speaker.SessionCall(
            name=str(self.peer),
            target=self._settings.target,
            source=self.peer.source,
            asn=self.peer.asn,
            router_id=_router_id(self.peer),
            abilities=session.abilities,
            peer_as=self._settings.peer_as,
        )
        self._session = await connecting.connect(call, patience)
        self._session.start(group)

    async def _end(self, notification: bytes) -> None:
        if self._session is not None:
            await self._session.end(notification)
            self._session = None


def _last_words(record: mrt_messages.Record) -> bytes:
    """The NOTIFICATION that ends a session at this record."""
    if isinstance(record, MrtMessage) and record.data[18] == bgp.NOTIFICATION and not record.local:
        return record.data
    return _RESET


def _router_id(peer: PlannedPeer) -> str:
    """The peer's own address if it can be a BGP identifier (RFC 4271 section 4.2), otherwise our source address."""
    address = ip_address(peer.address)
    usable = address.version == 4 and not (address.is_multicast or address.is_unspecified)
    return peer.address if usable else peer.source
