"""All intents, as recreated from the records of the journal: the same after a restart as before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.intents import ENDS, Intent, IntentState, Order, Refusal, StateName, Withdrawal, overall
from schemas.journal import (
    AnnounceRecord,
    HeadRecord,
    IntentRecord,
    JsonModel,
    MirroredRecord,
    Record,
    RefusalRecord,
    StateRecord,
    WithdrawRecord,
)
from schemas.keys import collector_number, instance_name, make_key
from schemas.scalars import rfc3339

_MOST_STATES = 200
"""The maximum number of states of one intent: if a peer's session comes and goes, the newest are kept."""


@dataclass(slots=True)
class BookEntry:
    """The current state of an intent."""

    intent: Intent
    """The intent as ordered; its `state` and `states` are the initial ones."""
    peers: dict[str, StateName]
    """Its state at each peer."""
    states: list[IntentState]
    leaving: set[str] = field(default_factory=set)
    """Peers from which it is still to be withdrawn."""
    expired: bool = False
    revision: int = 0
    """The number of the last record that changed it."""

    @property
    def number(self) -> int:
        """See `Intent.number`."""
        return self.intent.number

    @property
    def announcement(self) -> RouteAnnouncement | FlowAnnouncement:
        """What is announced."""
        return self.intent.announcement

    @property
    def live(self) -> list[str]:
        """The peers at which it is not over."""
        return [peer for peer, state in self.peers.items() if state not in ENDS]

    @property
    def state(self) -> StateName:
        """See `Intent.state`."""
        return overall(self.peers, self.leaving, expired=self.expired)

    def latest(self, peer: str) -> tuple[StateName, str | None] | None:
        """The latest state that was reported of a peer, and its reason; None if there is none yet."""
        return next(((one.state, one.reason) for one in reversed(self.states) if one.peer == peer), None)

    def shown(self) -> Intent:
        """The intent with all its states."""
        return self.intent.model_copy(update={"state": self.state, "states": tuple(self.states)})

    def add(self, state: IntentState) -> None:
        """Add a state. What was sent had been accepted, although the answer may have been read later."""
        if state.state == "sent":
            for at, one in enumerate(tuple(self.states)):
                if one.state == "accepted" and one.peer == state.peer and one.ts > state.ts:
                    del self.states[at]
                    self._insert(one.model_copy(update={"ts": state.ts}), at)
        self._insert(state, len(self.states))
        if len(self.states) > _MOST_STATES:
            del self.states[1 : len(self.states) - _MOST_STATES + 1]

    def _insert(self, state: IntentState, at: int) -> None:
        """Insert a state there, or before later ones of other peers."""
        while at and self.states[at - 1].ts > state.ts and self.states[at - 1].peer not in (None, state.peer):
            at -= 1
        self.states.insert(at, state)


class Book:
    """The wanted state, and the states of all intents.

    Args:
        collector: the collector's name.
    """

    def __init__(self, collector: str) -> None:
        self.collector = collector
        """Its name."""
        self._number_of_us = collector_number(instance_name(collector, "acting"))
        self.entries: dict[int, BookEntry] = {}
        """By number: those that have not ended, and some that have."""
        self.wanted: dict[str, dict[str, int]] = {}
        """By peer and NLRI, the number of the intent that is wanted there."""
        self.unwanted: dict[str, dict[str, int]] = {}
        """By peer and NLRI, the number of the intent that is still to be withdrawn there."""
        self.keys: dict[str, tuple[str, list[int]]] = {}
        """By idempotency key, the order and the numbers of its intents."""
        self.refusals: list[Refusal] = []
        """Those that the store does not have yet."""
        self.next = 0
        """The number of the next intent."""
        self.revision = 0
        """The number of the last record."""
        self.mirrored = 0
        """The number of the record up to which the store has everything."""

    def identify(self, ts: datetime, number: int) -> str:
        """The id of an intent, or a refusal."""
        return str(make_key(ts, self._number_of_us, number))

    # --- records ----------------------------------------------------------------------------------------------------

    def order(
        self,
        order: Order,
        to: Sequence[tuple[RouteAnnouncement | FlowAnnouncement, tuple[str, ...]]],
        expires: datetime | None,
        asns: Mapping[str, int],
    ) -> AnnounceRecord:
        """The record of an accepted order.

        Args:
            order: the order.
            to: each of its announcements, and the peers that it is for.
            expires: when it is withdrawn automatically.
            asns: by address, the AS of each of these peers.
        """
        body = order.model_dump(mode="json", exclude_defaults=True)
        each = [list(peers) for _, peers in to]
        return {
            "kind": "announce",
            "first": self.next,
            "order": body,
            "expires": None if expires is None else rfc3339(expires),
            "to": each[:1] if all(one == each[0] for one in each) else each,
            "asns": {peer: asns[peer] for peers in each for peer in peers},
        }

    def apply(self, record: Record) -> list[int]:
        """Apply a record.

        Returns:
            The numbers of the intents that it changed.
        """
        self.revision = max(self.revision, record["r"])
        changed = _APPLY[record["kind"]](self, record)
        for number in changed:
            self.entries[number].revision = record["r"]
        return changed

    def _announce(self, record: AnnounceRecord) -> list[int]:
        order = Order.model_validate(record["order"])
        ts, first, to = datetime.fromisoformat(record["ts"]), record["first"], record["to"]
        expires = record["expires"] and datetime.fromisoformat(record["expires"])
        asns = record.get("asns", {})
        changed: list[int] = []
        for at, announcement in enumerate(order.announcements):
            number, peers = first + at, to[at if len(to) > 1 else 0]
            pending = IntentState(state="pending", ts=ts)
            intent = Intent(
                id=self.identify(ts, number),
                number=number,
                collector=self.collector,
                announcement=announcement,
                peers=tuple(peers),
                asns=tuple(asns[peer] for peer in peers if peer in asns),
                created=ts,
                expires=expires,
                state="pending",
                states=(pending,),
                **order.model_dump(include={"group", "who", "why", "source", "key"}),
            )
            self.entries[number] = BookEntry(intent, dict.fromkeys(peers, "pending"), [pending])
            changed.append(number)
            for peer in peers:
                changed += self._replace(peer, announcement.nlri, number, ts)
        self.next = first + len(order.announcements)
        if order.key is not None:
            self.keys[order.key] = (_digest(record["order"]), changed[: len(order.announcements)])
        return changed

    def _replace(self, peer: str, nlri: str, number: int, ts: datetime) -> list[int]:
        """Replace what was wanted for this NLRI at a peer by an intent."""
        before = [self.wanted.setdefault(peer, {}).get(nlri), self.unwanted.get(peer, {}).pop(nlri, None)]
        self.wanted[peer][nlri] = number
        replaced = [self.entries[one] for one in before if one is not None]
        for entry in replaced:
            entry.leaving.discard(peer)
            entry.peers[peer] = "replaced"
            reason = f"by {self.entries[number].intent.id}"
            entry.add(IntentState(state="replaced", ts=ts, peer=peer, reason=reason))
        return [entry.number for entry in replaced]

    def _withdraw(self, record: WithdrawRecord) -> list[int]:
        ts, only, state = datetime.fromisoformat(record["ts"]), record.get("peers"), record["state"]
        for number in record["numbers"]:
            entry = self.entries[number]
            leaving = [peer for peer in entry.live if only is None or peer in only]
            entry.expired = entry.expired or state == "expired"
            for peer in only or (None,):
                who, why = record.get("who"), record.get("why")
                entry.add(IntentState(state=state, ts=ts, peer=peer, who=who, reason=why))
            for peer in leaving:
                entry.leaving.add(peer)
                if self.wanted.get(peer, {}).get(entry.announcement.nlri) == number:
                    del self.wanted[peer][entry.announcement.nlri]
                    self.unwanted.setdefault(peer, {})[entry.announcement.nlri] = number
        return list(record["numbers"])

    def _state(self, record: StateRecord) -> list[int]:
        ts, peer, state = datetime.fromisoformat(record["ts"]), record["peer"], record["state"]
        for number in record["numbers"]:
            entry = self.entries[number]
            entry.peers[peer] = state
            entry.add(IntentState(state=state, ts=ts, peer=peer, reason=record.get("reason")))
            if state in ENDS:
                entry.leaving.discard(peer)
                for by_peer in (self.wanted, self.unwanted):
                    if by_peer.get(peer, {}).get(entry.announcement.nlri) == number:
                        del by_peer[peer][entry.announcement.nlri]
        return list(record["numbers"])

    def _refusal(self, record: RefusalRecord) -> list[int]:
        refusal = Refusal.model_validate(record["refusal"])
        self.refusals.append(refusal)
        self.next = max(self.next, refusal.number + 1)
        return []

    def _mirrored(self, record: MirroredRecord) -> list[int]:
        self.mirrored = record["up_to"]
        self.refusals.clear()
        return []

    # --- the journal, written anew ------------------------------------------------------------------------------------

    def records(self, *, keep: datetime) -> Iterator[Record]:
        """The records that recreate this book, without what ended before `keep` and is in the store."""
        self.entries = {
            number: entry
            for number, entry in self.entries.items()
            if entry.live or entry.revision > self.mirrored or entry.states[-1].ts >= keep
        }
        self.keys = {key: one for key, one in self.keys.items() if all(number in self.entries for number in one[1])}
        yield {"kind": "head", "r": self.revision, "next": self.next, "mirrored": self.mirrored, "keys": self.keys}
        for entry in self.entries.values():
            yield {
                "kind": "intent",
                "r": entry.revision,
                "intent": entry.intent.model_dump(mode="json", exclude_defaults=True),
                "peers": entry.peers,
                "states": [one.model_dump(mode="json", exclude_none=True) for one in entry.states],
                "leaving": sorted(entry.leaving),
                "expired": entry.expired,
            }
        for refusal in self.refusals:
            yield {"kind": "refusal", "r": self.revision, "refusal": refusal.model_dump(mode="json")}

    def _head(self, record: HeadRecord) -> list[int]:
        self.next, self.mirrored = record["next"], record["mirrored"]
        self.keys = {key: (digest, numbers) for key, (digest, numbers) in record["keys"].items()}
        return []

    def _intent(self, record: IntentRecord) -> list[int]:
        intent = Intent.model_validate(record["intent"])
        states = [IntentState.model_validate(one) for one in record["states"]]
        entry = BookEntry(intent, dict(record["peers"]), states, set(record["leaving"]), record["expired"])
        self.entries[intent.number] = entry
        for peer in entry.live:
            by_peer = self.unwanted if peer in entry.leaving else self.wanted
            by_peer.setdefault(peer, {})[entry.announcement.nlri] = intent.number
        return [intent.number]

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def current_count(self) -> int:
        """How many intents are wanted at any peer."""
        return len({number for wanted in self.wanted.values() for number in wanted.values()})

    def same(
        self, source: str, announcement: RouteAnnouncement | FlowAnnouncement, peers: Sequence[str]
    ) -> BookEntry | None:
        """The current intent that is identical, if there is one."""
        numbers = {self.wanted.get(peer, {}).get(announcement.nlri) for peer in peers}
        number = numbers.pop() if len(numbers) == 1 else None
        entry = None if number is None else self.entries[number]
        if entry and entry.announcement == announcement and entry.intent.source == source:
            return entry
        return None

    def selected(self, withdrawal: Withdrawal) -> list[int]:
        """The current intents that a withdrawal selects."""
        ids, prefixes, peers = set(withdrawal.ids), set(withdrawal.prefixes), set(withdrawal.peers)
        return [
            entry.number
            for entry in self.entries.values()
            if (staying := set(entry.live) - entry.leaving)
            and (not peers or staying & peers)
            and (withdrawal.of is None or entry.intent.source == withdrawal.of)
            and ((not ids and not prefixes) or entry.intent.id in ids or entry.announcement.prefix in prefixes)
        ]

    def expired_by(self, now: datetime) -> list[int]:
        """The intents that have expired."""
        return [
            entry.number
            for entry in self.entries.values()
            if entry.intent.expires is not None and entry.intent.expires <= now and set(entry.live) - entry.leaving
        ]

    def ordered_under(self, order: Order) -> tuple[bool, list[BookEntry]] | None:
        """The intents of the order with the same key, and whether that order was the same; None if there was none."""
        if order.key is None or order.key not in self.keys:
            return None
        digest, numbers = self.keys[order.key]
        same = digest == _digest(order.model_dump(mode="json", exclude_defaults=True))
        return same, [self.entries[number] for number in numbers if number in self.entries]


def _digest(order: JsonModel) -> str:
    return json.dumps(order, sort_keys=True)


_APPLY: Mapping[str, Callable[[Book, Any], list[int]]] = {
    "announce": Book._announce,
    "withdraw": Book._withdraw,
    "state": Book._state,
    "refusal": Book._refusal,
    "mirrored": Book._mirrored,
    "head": Book._head,
    "intent": Book._intent,
}


def numbered(records: Sequence[Record], first: int, ts: datetime) -> list[Record]:
    """Records with their numbers, and the time if they have none of their own."""
    common = {"ts": rfc3339(ts)}
    return [cast("Record", {"r": first + at, **common, **record}) for at, record in enumerate(records)]
