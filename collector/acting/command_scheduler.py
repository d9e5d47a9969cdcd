"""Decides which commands each ExaBGP is to be given next, from what is wanted, acknowledged and sent.

There is one command at a time for a prefix at a peer: ExaBGP sorts pending changes by attributes, and would send an
announcement, a withdrawal and the same announcement again in a different order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.acting.adj_rib_out import AdjRibOut, CommandInFlight, OnState
from collector.acting.book import Book
from collector.acting.commands import command_text
from collector.acting.reconciling import Reconciler, SameRoute
from collector.acting.relays import ListedPeer
from collector.acting.speakers import Speaker
from schemas.intents import ENDS
from schemas.scalars import rfc3339

_RECENTLY = timedelta(minutes=1)
_MOST_REFUSALS = 3
"""After this many refusals in a row an intent is reported as failed; its command is still repeated."""
_LONGEST_PAUSE = 60.0
"""The maximum number of seconds until a refused command is repeated."""


class CommandRoute(NamedTuple):
    """One route of a command."""

    nlri: str
    number: int | None
    """The intent that it announces; None: it withdraws."""


class CommandBatch(NamedTuple):
    """Routes that share one command: for the same peers, with the same attributes."""

    verb: str
    peers: tuple[str, ...]
    text: str
    items: list[CommandRoute]


class CommandScheduler:
    """Brings each peer's Adj-RIB-Out to the state that the book wants, one command at a time for each NLRI.

    Args:
        book: what is wanted.
        speakers: the configured peers.
        note: called with the new states of intents.
        same: see `SameRoute`.
        clock: a monotonic clock, in seconds.
        now: the time.
    """

    def __init__(
        self,
        book: Book,
        speakers: Mapping[str, Speaker],
        note: OnState,
        same: SameRoute,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._book, self._clock, self._now = book, clock, now
        self._peers = {address: AdjRibOut(speaker, book, note) for address, speaker in speakers.items()}
        self._reconciler = Reconciler(self._peers, same, clock, now)

    # --- what ExaBGP and its peers do ---------------------------------------------------------------------------------

    def connected(self, instance: int, peers: Mapping[str, ListedPeer], *, is_new: bool, is_clean: bool) -> None:
        """An ExaBGP can receive commands.

        Args:
            instance: which.
            peers: its peers, by address.
            is_new: whether it is another one than before, and knows nothing yet.
            is_clean: whether nothing was in flight when it last received commands.
        """
        for address, (is_up, families) in peers.items():
            if (peer := self._peers.get(address)) is None:
                continue
            peer.instance, peer.is_up, peer.is_new = instance, is_up, is_new
            peer.in_flight.clear()
            peer.refusals.clear()
            peer.acknowledged.clear()
            peer.stray.clear()
            peer.mismatches.clear()
            if is_new or not is_up:
                peer.sent.clear()
            peer.families = families if is_up else None
            if is_new:
                peer.withdrawn(list(peer.unwanted), None, "ExaBGP was started anew, and its sessions with it")
            peer.dirty = dict.fromkeys((*peer.wanted, *peer.unwanted))
            if not (is_new or is_clean):
                self._resend(address, peer)

    def _resend(self, address: str, peer: AdjRibOut) -> None:
        """Have everything resent: commands of the previous process may have been carried out unnoticed."""
        since = self._now() - _RECENTLY
        ended = {
            entry.announcement.nlri
            for entry in self._book.entries.values()
            if entry.peers.get(address) in ENDS and entry.states[-1].ts >= since
        }
        peer.stray |= ended - peer.wanted.keys()
        peer.dirty.update(dict.fromkeys(peer.stray))
        if peer.is_up:
            self.to_flush.add(address)

    def disconnected(self, instance: int) -> None:
        """An ExaBGP cannot receive commands for now."""
        for peer in self._peers.values():
            if peer.instance == instance:
                peer.in_flight.clear()

    def opened(self, address: str, families: frozenset[str]) -> None:
        """A peer has sent an OPEN with these families, before its session comes up."""
        if peer := self._peers.get(address):
            peer.families = families

    def up(self, address: str, instance: int) -> None:
        """A session came up: ExaBGP sends the peer every route of the session's families that it has been told."""
        if (peer := self._peers.get(address)) is None:
            return
        if peer.instance not in (None, instance):
            peer.acknowledged.clear()  # it has moved to an ExaBGP that has been told nothing for it
        peer.instance, peer.is_up = instance, True
        for nlri in [nlri for nlri, command in peer.in_flight.items() if command.is_refused]:
            peer.finish(nlri)  # it may be repeated now: ExaBGP knows the peer
        peer.not_carried([number for nlri, number in peer.wanted.items() if peer.acknowledged.get(nlri) == number])
        announced = [
            (nlri, number) for nlri, number in peer.acknowledged.items() if number is not None and peer.carries(number)
        ]
        deadline = self._reconciler.deadline(len(announced))
        for nlri, number in announced:
            if nlri not in peer.in_flight:
                peer.in_flight[nlri] = CommandInFlight(number, self._now(), is_done=True, deadline=deadline)
        peer.dirty.update(
            dict.fromkeys(nlri for nlri in (*peer.wanted, *peer.unwanted) if nlri not in peer.acknowledged)
        )

    def down(self, address: str) -> None:
        """A session ended: the peer no longer has any of our routes."""
        if (peer := self._peers.get(address)) is None:
            return
        peer.is_up, peer.families = False, None
        peer.sent.clear()
        peer.mismatches.clear()
        answered = {nlri: command for nlri, command in peer.in_flight.items() if command.is_done}
        withdrawn = [nlri for nlri, one in answered.items() if one.number is None and not one.is_refused]
        peer.withdrawn(withdrawn, None, None)
        for nlri in answered:
            peer.finish(nlri)

    def changed(self, numbers: Sequence[int]) -> None:
        """These intents are new in the book, or are to be withdrawn."""
        for number in numbers:
            entry = self._book.entries[number]
            nlri = entry.announcement.nlri
            for address in entry.peers:
                if peer := self._peers.get(address):
                    peer.dirty[nlri] = None
                    if (command := peer.in_flight.get(nlri)) and command.is_refused:
                        peer.finish(nlri)

    def sent(self, address: str, ts: datetime, announced: Mapping[str, object], withdrawn: Sequence[str]) -> None:
        """ExaBGP has sent routes to a peer.

        Args:
            address: the peer's.
            ts: when.
            announced: by NLRI, what is to be compared.
            withdrawn: NLRI.
        """
        self._reconciler.sent(address, ts, announced, withdrawn)

    def check(self) -> None:
        """Request again what should have been sent by now."""
        self._reconciler.check()

    # --- what is to be sent -------------------------------------------------------------------------------------------

    def batches(self, instance: int) -> list[CommandBatch]:
        """The commands to send to an ExaBGP now; they are in flight then."""
        alike: dict[tuple[str, str, str, int | None], list[str]] = {}
        for address, peer in self._peers.items():
            if peer.instance == instance:
                for nlri in [one for one in peer.dirty if one not in peer.in_flight]:
                    del peer.dirty[nlri]
                    if command := self._next_command(peer, nlri):
                        verb, text, number = command
                        peer.in_flight[nlri] = CommandInFlight(number, self._now())
                        alike.setdefault((nlri, verb, text, number), []).append(address)
        together: dict[tuple[str, tuple[str, ...], str], list[CommandRoute]] = {}
        for (nlri, verb, text, number), addresses in alike.items():
            together.setdefault((verb, tuple(addresses), text), []).append(CommandRoute(nlri, number))
        return [CommandBatch(verb, peers, text, items) for (verb, peers, text), items in together.items()]

    def _next_command(self, peer: AdjRibOut, nlri: str) -> tuple[str, str, int | None] | None:
        number, unwanted = peer.wanted.get(nlri), peer.unwanted
        if nlri in peer.stray:
            peer.stray.discard(nlri)
            if number is not None:
                peer.dirty[nlri] = None  # withdrawn first, so that it is sent again
            return "withdraw", self._withdrawal_text(peer, nlri, number), None
        if number is not None:
            before = peer.acknowledged.get(nlri)
            if before == number:
                return None
            text = command_text(self._book.entries[number].announcement, peer.speaker)
            if before is not None and nlri in peer.sent and text == self._text_of(before, peer):
                peer.acknowledged[nlri] = number  # ExaBGP would not repeat what it has sent already
                _note_already_sent(peer, number, peer.sent[nlri])
                return None
            return "announce", text, number
        if nlri in unwanted:
            return "withdraw", self._withdrawal_text(peer, nlri, unwanted[nlri]), None
        return None

    def _text_of(self, number: int, peer: AdjRibOut) -> str | None:
        entry = self._book.entries.get(number)
        return command_text(entry.announcement, peer.speaker) if entry else None

    def _withdrawal_text(self, peer: AdjRibOut, nlri: str, number: int | None) -> str:
        if nlri.startswith("flow "):
            known = self._book.entries.values()
            entry = self._book.entries.get(-1 if number is None else number) or next(
                one for one in known if one.announcement.nlri == nlri
            )
            return command_text(entry.announcement, peer.speaker)
        return f"attributes next-hop {'::' if ':' in nlri else '0.0.0.0'}"  # noqa: S104  # no address to listen on

    # --- what ExaBGP answers ------------------------------------------------------------------------------------------

    def answered(self, batch: CommandBatch, items: Sequence[CommandRoute], *, is_done: bool) -> None:
        """ExaBGP has answered a command: `done`, or `error`."""
        for address in batch.peers:
            peer = self._peers[address]
            fresh = [item for item in items if _is_unanswered(peer.in_flight.get(item.nlri), item.number)]
            if is_done:
                self._done(address, peer, fresh)
            else:
                self._refused(peer, fresh)

    def _done(self, address: str, peer: AdjRibOut, items: Sequence[CommandRoute]) -> None:
        announced = [number for _, number in items if number is not None]
        peer.accepted([number for number in announced if peer.carries(number) or not peer.is_up], None)
        peer.not_carried(announced)
        withdrawn: list[str] = []
        for nlri, number in items:
            peer.acknowledged[nlri] = number
            command = peer.in_flight[nlri]
            command.is_done, command.deadline = True, self._reconciler.deadline(len(items), peer.tries.get(nlri, 0))
            peer.refusals.pop(nlri, None)
            is_carried = peer.carries(peer.unwanted.get(nlri) if number is None else number)
            if number is None and not is_carried:
                withdrawn.append(nlri)
            if command.is_sent or not is_carried or self._was_sent(address, peer, number):
                peer.finish(nlri)
        peer.withdrawn(withdrawn, None, None)

    def _was_sent(self, address: str, peer: AdjRibOut, number: int | None) -> bool:
        """Whether this ExaBGP has sent it before, and so does not send it again."""
        return number is not None and not peer.is_new and self._book.entries[number].peers.get(address) == "sent"

    def _refused(self, peer: AdjRibOut, items: Sequence[CommandRoute]) -> None:
        """Have commands repeated, later and later: a long reload may be going on, in which ExaBGP has no such peer."""
        failed: list[int] = []
        for nlri, number in items:
            refusals = peer.refusals[nlri] = peer.refusals.get(nlri, 0) + 1
            command = peer.in_flight[nlri]
            command.is_done = command.is_refused = True
            command.deadline = self._clock() + min(2.0 ** (refusals - 1), _LONGEST_PAUSE)
            if number is not None and refusals >= _MOST_REFUSALS:
                failed.append(number)
        peer.failed(failed, "ExaBGP refuses the command, which is repeated; the collector's log has it")

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def to_flush(self) -> set[str]:
        """Peers to which everything is to be resent."""
        return self._reconciler.to_flush

    @property
    def addresses(self) -> frozenset[str]:
        """The configured peers."""
        return frozenset(self._peers)

    @property
    def families(self) -> dict[str, frozenset[str]]:
        """By peer, the families of its session, if they are known."""
        return {address: peer.families for address, peer in self._peers.items() if peer.families is not None}

    def lacks(self, address: str, family: str) -> str | None:
        """Why nothing of a family is sent to a peer now; see `AdjRibOut.lacks`."""
        return self._peers[address].lacks(family)

    def instance_of(self, address: str) -> int | None:
        """Which ExaBGP has a peer."""
        return self._peers[address].instance

    @property
    def is_waiting(self) -> bool:
        """Whether an answer or a report from ExaBGP is expected soon."""
        return any(not command.is_refused for peer in self._peers.values() for command in peer.in_flight.values())


def _note_already_sent(peer: AdjRibOut, number: int, sent: datetime) -> None:
    """Report an intent whose route was sent already, for an earlier one."""
    state = peer.book.entries[number].peers[peer.speaker.address]
    if state == "pending":
        peer.note("accepted", [number], None, "it stands already")
    if state != "sent":
        peer.note("sent", [number], None, f"it was sent at {rfc3339(sent)} already")


def _is_unanswered(command: CommandInFlight | None, number: int | None) -> bool:
    return command is not None and command.number == number and not command.is_done
