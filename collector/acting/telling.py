"""What ExaBGP has been told for each peer, what it lacks, and what it has really sent.

Of one prefix at one peer there is one command at a time: ExaBGP sorts what it has to send by attributes, and would
tell a peer of an announcement, a withdrawal and the same announcement again in another order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.acting.book import Book
from collector.acting.commands import Announced, phrase
from collector.acting.policy import towards
from collector.acting.speakers import Speaker
from schemas.intents import ENDS, StateName
from schemas.scalars import to_milliseconds

_log = logging.getLogger(__name__)

EVIDENCE_SECONDS = 10.0
"""After which what ExaBGP should have sent to a peer that is up is asked for again."""
_ROUTES_A_SECOND = 500
"""So many more seconds it has for a table."""
_MOST_TRIES = 3
_DOUBT_SECONDS = 2.0
"""After which what was sent, and should not have been, is mended: another UPDATE may be on its way."""
_LATELY = timedelta(minutes=1)

Note = Callable[[StateName, str, Sequence[int], datetime | None, str | None], None]
"""Is told what became of intents at a peer, when (None: now) and why."""
SameRoute = Callable[[Announced, object], bool]
"""Whether what was sent, an announced route with its attributes, is of this announcement."""


class ToldRoute(NamedTuple):
    """One route of a command."""

    nlri: str
    number: int | None
    """The intent that it announces; None: it withdraws."""


class CommandBatch(NamedTuple):
    """Routes of which the same peers are told in the same words."""

    verb: str
    peers: tuple[str, ...]
    text: str
    items: list[ToldRoute]


@dataclass(slots=True)
class _OnItsWay:
    """A command that is on its way, or whose UPDATE has not been seen yet."""

    number: int | None
    since: datetime
    """When it was given: what was sent before is no word of it."""
    is_done: bool = False
    """Whether ExaBGP has answered."""
    is_heard: bool = False
    """Whether it has sent it."""
    deadline: float = 0.0
    tries: int = 0


@dataclass(slots=True)
class _ToldPeer:
    speaker: Speaker
    instance: int | None = None
    """Which ExaBGP has it; None while that is not known."""
    is_up: bool = False
    is_new: bool = False
    """Whether its ExaBGP has been started since the book heard what it sent."""
    told: dict[str, int | None] = field(default_factory=dict)
    busy: dict[str, _OnItsWay] = field(default_factory=dict)
    dirty: dict[str, None] = field(default_factory=dict)
    """NLRI that may be other than wanted, in the order in which that was found."""
    stray: set[str] = field(default_factory=set)
    """What was sent though nobody wants it, or withdrawn though it is wanted."""
    sent: dict[str, datetime] = field(default_factory=dict)
    """When what stands at the peer was sent, as far as that was seen."""
    doubts: dict[str, float] = field(default_factory=dict)
    """NLRI of which the last that was sent is not what is wanted, and since when that is known."""
    tries: dict[str, int] = field(default_factory=dict)


class Telling:
    """Brings ExaBGP to what the book wants.

    Args:
        book: what is wanted.
        speakers: the configured peers.
        note: is told of what becomes of intents.
        same: see `SameRoute`.
        clock: seconds that only go up.
        now: the time.
    """

    def __init__(
        self,
        book: Book,
        speakers: Mapping[str, Speaker],
        note: Note,
        same: SameRoute,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._book, self._became, self._same, self._clock, self._now = book, note, same, clock, now
        self._peers = {address: _ToldPeer(speaker) for address, speaker in speakers.items()}
        self.to_flush: set[str] = set()
        """Peers to which all is to be sent again."""

    # --- what ExaBGP and its peers do ---------------------------------------------------------------------------------

    def connected(self, instance: int, peers: Mapping[str, bool], *, is_new: bool, is_clean: bool) -> None:
        """An ExaBGP can be told.

        Args:
            instance: which.
            peers: its peers, and whether their sessions are up.
            is_new: it is another one than before, and knows nothing yet.
            is_clean: nothing was on its way to it when it was told last.
        """
        for address, is_up in peers.items():
            if (peer := self._peers.get(address)) is None:
                continue
            peer.instance, peer.is_up, peer.is_new = instance, is_up, is_new
            peer.busy.clear()
            peer.told.clear()
            peer.stray.clear()
            peer.doubts.clear()
            if is_new or not is_up:
                peer.sent.clear()
            wanted, unwanted = self._held(address)
            if is_new:
                self._withdrawn(address, list(unwanted), None, "ExaBGP was started anew, and its sessions with it")
            peer.dirty = dict.fromkeys((*wanted, *unwanted))
            if not (is_new or is_clean):
                self._distrust(address, peer)

    def _distrust(self, address: str, peer: _ToldPeer) -> None:
        """Have all sent again: commands of the one before us may have been carried out behind our back."""
        wanted, lately = self._held(address)[0], self._now() - _LATELY
        ended = {
            entry.announcement.nlri
            for entry in self._book.entries.values()
            if entry.peers.get(address) in ENDS and entry.states[-1].ts >= lately
        }
        peer.stray |= ended - wanted.keys()
        peer.dirty.update(dict.fromkeys(peer.stray))
        if peer.is_up:
            self.to_flush.add(address)

    def disconnected(self, instance: int) -> None:
        """It cannot be told for a while."""
        for peer in self._peers.values():
            if peer.instance == instance:
                peer.busy.clear()

    def up(self, address: str, instance: int) -> None:
        """A session came up: ExaBGP tells the peer of all that it has been told."""
        if (peer := self._peers.get(address)) is None:
            return
        peer.instance, peer.is_up = instance, True
        announced = [(nlri, number) for nlri, number in peer.told.items() if number is not None]
        patience = self._clock() + EVIDENCE_SECONDS + len(announced) / _ROUTES_A_SECOND
        for nlri, number in announced:
            if nlri not in peer.busy:
                peer.busy[nlri] = _OnItsWay(number, self._now(), is_done=True, deadline=patience)
        wanted, unwanted = self._held(address)
        peer.dirty.update(dict.fromkeys(nlri for nlri in (*wanted, *unwanted) if nlri not in peer.told))

    def down(self, address: str) -> None:
        """A session ended: the peer has nothing of us any more."""
        if (peer := self._peers.get(address)) is None:
            return
        peer.is_up = False
        peer.sent.clear()
        peer.doubts.clear()
        gone = [nlri for nlri, busy in peer.busy.items() if busy.is_done and busy.number is None]
        self._withdrawn(address, gone, None, None)
        for nlri in [nlri for nlri, busy in peer.busy.items() if busy.is_done]:
            self._free(address, peer, nlri)

    def changed(self, numbers: Sequence[int]) -> None:
        """The book has other intents, or others are to go."""
        for number in numbers:
            entry = self._book.entries[number]
            for address in entry.peers:
                if peer := self._peers.get(address):
                    peer.dirty[entry.announcement.nlri] = None

    # --- what is to be said -------------------------------------------------------------------------------------------

    def batches(self, instance: int) -> list[CommandBatch]:
        """What an ExaBGP is to be told now; it counts as on its way."""
        alike: dict[tuple[str, str, str, int | None], list[str]] = {}
        for address, peer in self._peers.items():
            if peer.instance == instance:
                for nlri in [one for one in peer.dirty if one not in peer.busy]:
                    del peer.dirty[nlri]
                    if said := self._wish(address, peer, nlri):
                        verb, text, number = said
                        peer.busy[nlri] = _OnItsWay(number, self._now())
                        alike.setdefault((nlri, verb, text, number), []).append(address)
        together: dict[tuple[str, tuple[str, ...], str], list[ToldRoute]] = {}
        for (nlri, verb, text, number), addresses in alike.items():
            together.setdefault((verb, tuple(addresses), text), []).append(ToldRoute(nlri, number))
        return [CommandBatch(verb, peers, text, items) for (verb, peers, text), items in together.items()]

    def _wish(self, address: str, peer: _ToldPeer, nlri: str) -> tuple[str, str, int | None] | None:
        wanted, unwanted = self._held(address)
        number = wanted.get(nlri)
        if nlri in peer.stray:
            peer.stray.discard(nlri)
            if number is not None:
                peer.dirty[nlri] = None  # first away with it, so that it is sent again
            return "withdraw", self._withdrawal(peer, nlri, number), None
        if number is not None:
            before = peer.told.get(nlri)
            if before == number:
                return None
            text = phrase(self._book.entries[number].announcement, peer.speaker)
            if before is not None and nlri in peer.sent and text == self._phrase_of(before, peer):
                peer.told[nlri] = number  # ExaBGP would say nothing of what it has said already
                self._note("accepted", address, [number], None, "it stands already")
                self._note("sent", address, [number], peer.sent[nlri], None)
                return None
            return "announce", text, number
        if nlri in unwanted:
            return "withdraw", self._withdrawal(peer, nlri, unwanted[nlri]), None
        return None

    def _phrase_of(self, number: int, peer: _ToldPeer) -> str | None:
        entry = self._book.entries.get(number)
        return phrase(entry.announcement, peer.speaker) if entry else None

    def _withdrawal(self, peer: _ToldPeer, nlri: str, number: int | None) -> str:
        if nlri.startswith("flow "):
            known = self._book.entries.values()
            entry = self._book.entries.get(-1 if number is None else number) or next(
                one for one in known if one.announcement.nlri == nlri
            )
            return phrase(entry.announcement, peer.speaker)
        return f"attributes next-hop {'::' if ':' in nlri else '0.0.0.0'}"  # noqa: S104  # no address to listen on

    def answered(self, batch: CommandBatch, items: Sequence[ToldRoute], *, is_done: bool) -> None:
        """ExaBGP has answered a command: `done`, or `error`."""
        for address in batch.peers:
            peer = self._peers[address]
            fresh = [item for item in items if _is(peer.busy.get(item.nlri), item.number)]
            if is_done:
                self._done(address, peer, fresh)
            else:
                self._refused(address, peer, fresh)

    def _done(self, address: str, peer: _ToldPeer, items: Sequence[ToldRoute]) -> None:
        accepted: dict[tuple[str, ...], list[int]] = {}
        for _, number in items:
            if number is not None and (entry := self._book.entries[number]).peers.get(address) == "pending":
                accepted.setdefault(towards(entry.announcement, peer.speaker).rules, []).append(number)
        for rules, numbers in accepted.items():
            self._note("accepted", address, numbers, None, f"by policy: {', '.join(rules)}" if rules else None)
        gone: list[str] = []
        deadline = self._clock() + EVIDENCE_SECONDS + len(items) / _ROUTES_A_SECOND
        for nlri, number in items:
            peer.told[nlri] = number
            busy = peer.busy[nlri]
            busy.is_done, busy.deadline = True, deadline
            if number is None and not peer.is_up:
                gone.append(nlri)
            if busy.is_heard or not peer.is_up or self._was_sent(address, peer, number):
                self._free(address, peer, nlri)
        self._withdrawn(address, gone, None, None)

    def _was_sent(self, address: str, peer: _ToldPeer, number: int | None) -> bool:
        """Whether this ExaBGP has sent it before, and so does not send it again."""
        return number is not None and not peer.is_new and self._book.entries[number].peers.get(address) == "sent"

    def _refused(self, address: str, peer: _ToldPeer, items: Sequence[ToldRoute]) -> None:
        failed: list[int] = []
        for nlri, number in items:
            tries = peer.tries[nlri] = peer.tries.get(nlri, 0) + 1
            busy = peer.busy[nlri]
            if tries >= _MOST_TRIES and number is not None:
                failed.append(number)
                del peer.tries[nlri], peer.busy[nlri]
            else:  # it may not know the peer yet: its configuration is being read again
                busy.is_done, busy.deadline, busy.tries = True, self._clock() + tries, _MOST_TRIES
        if failed:
            self._note("failed", address, failed, None, "ExaBGP refused the command; its log says why")

    # --- what was sent ------------------------------------------------------------------------------------------------

    def sent(self, address: str, ts: datetime, announced: Mapping[str, object], withdrawn: Sequence[str]) -> None:
        """ExaBGP has told a peer.

        Args:
            address: the peer's.
            ts: when.
            announced: by NLRI, what of it is to be compared.
            withdrawn: NLRI.
        """
        if (peer := self._peers.get(address)) is None:
            return
        heard = [self._heard(address, peer, nlri, route, ts) for nlri, route in announced.items()]
        if numbers := [number for number in heard if number is not None]:
            entries = self._book.entries
            # What it sends it has taken, though its answer may come behind that.
            self._note(
                "accepted", address, [one for one in numbers if entries[one].peers[address] == "pending"], ts, None
            )
            self._note("sent", address, numbers, ts, None)
        wanted = self._held(address)[0]
        gone = []
        for nlri in withdrawn:
            busy = peer.busy.get(nlri)
            peer.sent.pop(nlri, None)
            if busy and busy.number is None and ts >= to_milliseconds(busy.since):
                gone.append(nlri)
                self._hear(address, peer, nlri, busy)
            self._doubt(peer, nlri, is_right=nlri not in wanted)
        self._withdrawn(address, gone, ts, None)

    def _heard(self, address: str, peer: _ToldPeer, nlri: str, route: object, ts: datetime) -> int | None:
        """The intent that an announcement is of."""
        busy, wanted = peer.busy.get(nlri), self._held(address)[0].get(nlri)
        entry = None if wanted is None else self._book.entries[wanted]
        is_right = (
            entry is not None
            and ts >= entry.intent.created
            and self._same(_told(entry.announcement, peer.speaker), route)
        )
        self._doubt(peer, nlri, is_right=is_right)
        if not is_right:
            return None
        peer.sent[nlri] = ts
        if busy and busy.number == wanted:
            self._hear(address, peer, nlri, busy)
        return wanted

    def _doubt(self, peer: _ToldPeer, nlri: str, *, is_right: bool) -> None:
        if is_right:
            peer.doubts.pop(nlri, None)
        else:
            peer.doubts.setdefault(nlri, self._clock())

    def _hear(self, address: str, peer: _ToldPeer, nlri: str, busy: _OnItsWay) -> None:
        busy.is_heard = True
        if busy.is_done:
            self._free(address, peer, nlri)

    def check(self) -> None:
        """Ask again for what should have been sent by now."""
        now = self._clock()
        for address, peer in self._peers.items():
            late = [nlri for nlri, busy in peer.busy.items() if busy.is_done and busy.deadline <= now]
            self._ask_again(address, peer, late)
            for nlri in [one for one, since in peer.doubts.items() if since + _DOUBT_SECONDS <= now]:
                if nlri not in peer.busy and nlri not in peer.dirty:
                    del peer.doubts[nlri]
                    self._mend(address, peer, nlri)

    def _mend(self, address: str, peer: _ToldPeer, nlri: str) -> None:
        if peer.is_up:
            _log.warning("ExaBGP told %s of %s otherwise than ordered: told again", address, nlri)
            peer.stray.add(nlri)
            peer.dirty[nlri] = None

    def _ask_again(self, address: str, peer: _ToldPeer, late: Sequence[str]) -> None:
        given_up: list[str] = []
        for nlri in late:
            busy = peer.busy[nlri]
            busy.tries += 1
            if busy.tries < _MOST_TRIES and busy.number is not None:
                busy.deadline = self._clock() + EVIDENCE_SECONDS * (1 + busy.tries)
                self.to_flush.add(address)
                continue
            tries = peer.tries[nlri] = peer.tries.get(nlri, 0) + 1
            if busy.number is None and tries < _MOST_TRIES:
                peer.dirty[nlri] = None
            elif busy.number is None:
                given_up.append(nlri)
            elif busy.number != peer.told.get(nlri):
                peer.dirty[nlri] = None
            self._free(address, peer, nlri)
        if late:
            _log.warning("ExaBGP has not said that it sent %d routes to %s", len(late), address)
        self._withdrawn(address, given_up, None, "ExaBGP took note; it did not say that it sent it")

    def _note(
        self, state: StateName, address: str, numbers: Sequence[int], ts: datetime | None, reason: str | None
    ) -> None:
        """Something became of intents, as far as they have not ended there: late words change nothing."""
        of = [one for one in numbers if self._book.entries[one].peers.get(address, "withdrawn") not in ENDS]
        if of:
            self._became(state, address, of, ts, reason)

    # --- bookkeeping --------------------------------------------------------------------------------------------------

    def _free(self, address: str, peer: _ToldPeer, nlri: str) -> None:
        """Nothing is on its way any more: what has changed meanwhile may be said."""
        busy = peer.busy.pop(nlri)
        wanted, unwanted = self._held(address)
        if busy.is_heard or not peer.is_up:
            peer.tries.pop(nlri, None)
        if wanted.get(nlri) != peer.told.get(nlri) or (nlri in unwanted and busy.number is not None):
            peer.dirty[nlri] = None

    def _withdrawn(self, address: str, nlris: Sequence[str], ts: datetime | None, why: str | None) -> None:
        unwanted = self._book.unwanted.get(address, {})
        numbers = [unwanted[nlri] for nlri in nlris if nlri in unwanted]
        if numbers:
            self._note("withdrawn", address, numbers, ts, why)

    def _held(self, address: str) -> tuple[dict[str, int], dict[str, int]]:
        return self._book.wanted.get(address, {}), self._book.unwanted.get(address, {})

    @property
    def addresses(self) -> frozenset[str]:
        """The configured peers."""
        return frozenset(self._peers)

    def instance_of(self, address: str) -> int | None:
        """Which ExaBGP has a peer."""
        return self._peers[address].instance

    @property
    def is_waiting(self) -> bool:
        """Whether ExaBGP's word for something is to be expected."""
        return any(peer.busy for peer in self._peers.values())


def _is(busy: _OnItsWay | None, number: int | None) -> bool:
    return busy is not None and busy.number == number and not busy.is_done


def _told(announcement: Announced, speaker: Speaker) -> Announced:
    """What a peer is told by its policy."""
    return towards(announcement, speaker).announcement or announcement
