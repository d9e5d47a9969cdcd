"""Takes orders: accepts and records them, or refuses them with cause and cure."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from collector.acting.book import Book
from collector.acting.commands import command_text
from collector.acting.policy import Outcome
from collector.acting.rules import Rules
from collector.errors import BgpledgerError, RefusedError
from collector.settings.announce import AnnounceSettings, StaticSettings
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.faults import fault_of, spelled
from schemas.intents import Intent, Order, Refusal, Withdrawal, summary_of
from schemas.journal import Record, WithdrawRecord
from schemas.json_object import JsonObject
from schemas.order_answers import CheckedRoute

_log = logging.getLogger(__name__)

_BURST_SECONDS = 10
_UNLIMITED = ("configuration", "healthcheck", "command")
"""Sources exempt from rate limits, because they repeat themselves."""
_UNKNOWN = "not known"
_LONGEST = 300

_Body = TypeVar("_Body", bound=BaseModel)


class Recorder(Protocol):
    """Appends records to the journal, and applies them."""

    def __call__(self, records: Sequence[Record], *, durable: bool = True) -> list[int]:
        """Append records; returns the intents that they changed."""


class OrderHandler:
    """Takes orders.

    Args:
        book: all intents.
        rules: what may be ordered.
        allowed: the limits.
        record: see `Recorder`.
        changed: called with the intents that are new, or to be withdrawn.
        lacks: why nothing of a family is sent to a peer now; see `AdjRibOut.lacks`.
    """

    def __init__(
        self,
        book: Book,
        rules: Rules,
        allowed: AnnounceSettings,
        record: Recorder,
        changed: Callable[[Sequence[int]], None],
        lacks: Callable[[str, str], str | None],
    ) -> None:
        self._book, self._rules, self._allowed = book, rules, allowed
        self._record, self._changed, self._lacks = record, changed, lacks
        self._tokens, self._filled = allowed.rate * _BURST_SECONDS, time.monotonic()

    def answer(self, request: JsonObject) -> JsonObject:
        """The answer to a request: `ok`, or `refused` with cause and cure.

        A refused order is recorded, even if it was only a dry run.
        """
        do = {
            "announce": self._announce,
            "withdraw": self._withdraw,
            "intents": self._list,
            "note_refused": self._note_refused,
        }.get(request.get("do", ""))
        if do is None:
            return {"refused": {"cause": "it is none of announce, withdraw and intents", "cure": ""}}
        try:
            return {"ok": do(request)}
        except RefusedError as error:
            self._write_refusal(request, error)
            return {"refused": {"cause": error.cause, "cure": error.cure}}
        except BgpledgerError as error:
            return {"failed": {"cause": error.cause, "cure": error.cure}}

    def announce_static(self, routes: Sequence[StaticSettings]) -> None:
        """Announce what the configuration has, and withdraw what it no longer has; log and record what is refused."""
        orders = [
            Order(
                who="configuration",
                why=one.why,
                source="configuration",
                announcements=(one.announcement,),
                peers=one.peers,
                group=one.group,
            )
            for one in routes
        ]
        kept: set[int] = set()
        for order in orders:
            try:
                kept.update(self.announce(order))
            except RefusedError as error:
                _log.error("announce.static: %s (cure: %s)", error.cause, error.cure)
                self._write_refusal({"order": order.model_dump(mode="json", exclude_defaults=True)}, error)
        removed = [
            number
            for number in self._book.selected(Withdrawal(who="-", why="-", source="configuration", of="configuration"))
            if number not in kept
        ]
        self._start_withdrawal(removed, "configuration", "it stands in the configuration no more", (), "withdrawing")

    def announce(self, order: Order) -> list[int]:
        """Record an order and return the numbers of its intents, which may be existing identical ones.

        Raises:
            RefusedError: it is not allowed.
            CollectorError: it cannot be recorded.
        """
        if known := self._book.ordered_under(order):
            same, entries = known
            if not same:
                raise RefusedError("another order has already used this key", "give each order a key of its own")
            return [entry.number for entry in entries]
        to = self._rules.peers_of(order)
        expires = self._rules.expiry(order, datetime.now(UTC))
        before = [self._book.same(order.source, announcement, peers) for announcement, peers in to]
        unchanged = [entry.number for entry in before if entry is not None and entry.intent.expires == order.expires]
        if len(unchanged) == len(to) and order.key is None:
            return unchanged
        self._check_rate(order.source)
        if self._book.current_count + len(to) - len(unchanged) > self._allowed.limit:
            raise RefusedError(
                f"more than {self._allowed.limit} routes would be announced", "withdraw some, or raise announce.limit"
            )
        first = self._book.next
        asns = {address: speaker.asn for address, speaker in self._rules.speakers.items()}
        self._changed(self._record([self._book.order(order, to, expires, asns)]))
        return list(range(first, first + len(to)))

    def apply_configuration(self) -> None:
        """Withdraw from peers what the configuration no longer allows, or its policies reject."""
        records = [
            _withdrawal([number], "configuration", why, (address,), "withdrawing")
            for number, entry in self._book.entries.items()
            for address in sorted(set(entry.live) - entry.leaving)
            if (why := self._rules.objection(entry.announcement, address))
        ]
        if records:
            self._changed(self._record(records))

    def expire(self) -> None:
        """Withdraw what has expired."""
        expired = self._book.expired_by(datetime.now(UTC))
        self._start_withdrawal(expired, None, None, (), "expired")

    # --- requests ---------------------------------------------------------------------------------------------------

    def _announce(self, request: JsonObject) -> Any:
        order = _read(Order, request.get("order"))
        if not request.get("dry_run"):
            return {"intents": self._shown(self.announce(order), order)}
        found = self._rules.outcomes_of(order)
        self._rules.expiry(order, datetime.now(UTC))
        return {"would": [self._checked(announcement, outcomes) for announcement, outcomes in found]}

    def _checked(
        self, announcement: RouteAnnouncement | FlowAnnouncement, outcomes: Mapping[str, Outcome]
    ) -> CheckedRoute:
        speakers = self._rules.speakers
        accepting = [peer for peer, outcome in outcomes.items() if outcome.announcement is not None]
        return {
            "nlri": announcement.nlri,
            "peers": {peer: command_text(announcement, speakers[peer]) for peer in accepting},
            "policies": {peer: outcome.rules for peer, outcome in outcomes.items() if outcome.rules},
            "failing": {peer: why for peer in accepting if (why := self._lacks(peer, announcement.family))},
        }

    def _shown(self, numbers: Sequence[int], order: Order) -> list[Any]:
        """The intents; for an order with many routes only their ids."""
        shown = [self._book.entries[number].shown() for number in numbers]
        return [one.model_dump(mode="json") if len(order.announcements) == 1 else {"id": one.id} for one in shown]

    def _withdraw(self, request: JsonObject) -> Any:
        withdrawal = _read(Withdrawal, request.get("withdrawal"))
        found = self._book.selected(withdrawal)
        if not found and (withdrawal.ids or withdrawal.prefixes):
            what = ", ".join((*withdrawal.ids, *withdrawal.prefixes)[:3])
            raise RefusedError(f"we do not announce {what}", "see what we announce: bgpledger intents")
        if not request.get("dry_run"):
            self._start_withdrawal(found, withdrawal.who, withdrawal.why, withdrawal.peers, "withdrawing")
        return {"intents": [_dumped(self._book.entries[number].shown()) for number in found[:1000]]}

    def _start_withdrawal(
        self,
        numbers: Sequence[int],
        who: str | None,
        why: str | None,
        peers: Sequence[str],
        state: Literal["withdrawing", "expired"],
    ) -> None:
        if numbers:
            self._changed(self._record([_withdrawal(numbers, who, why, peers, state)]))

    def _list(self, request: JsonObject) -> Any:
        """Intents that are current, or in flight; with `all` also those that ended recently."""
        wanted = [entry for entry in self._book.entries.values() if entry.live or request.get("all")]
        return {"intents": [_dumped(entry.shown()) for entry in wanted]}

    def _note_refused(self, request: JsonObject) -> Any:
        """Record what was refused before: it was invalid, or a token did not allow it."""
        self._write_refusal(request, RefusedError(_text(request, "cause"), _text(request, "cure")))
        return {}

    # --- limits and refusals ----------------------------------------------------------------------------------------

    def _check_rate(self, source: str) -> None:
        if source.partition(" ")[0] in _UNLIMITED:
            return
        now, rate = time.monotonic(), self._allowed.rate
        most = max(1.0, rate * _BURST_SECONDS)
        self._tokens = min(most, self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1:
            raise RefusedError(
                f"more than {rate:g} orders a second",
                "wait a little, put many routes into one order, or raise announce.rate",
            )
        self._tokens -= 1

    def _write_refusal(self, request: JsonObject, error: RefusedError) -> None:
        order = request.get("order") or request.get("withdrawal") or {}
        ts, number = datetime.now(UTC), self._book.next
        refusal = Refusal(
            id=self._book.identify(ts, number),
            number=number,
            collector=self._book.collector,
            ts=ts,
            order=_in_words(order),
            cause=error.cause[:1000],
            cure=error.cure[:1000],
            **{name: _text(order, name) for name in ("who", "why", "source")},
        )
        self._record([{"kind": "refusal", "refusal": refusal.model_dump(mode="json")}])


def _withdrawal(
    numbers: Sequence[int],
    who: str | None,
    why: str | None,
    peers: Sequence[str],
    state: Literal["withdrawing", "expired"],
) -> WithdrawRecord:
    """The record of a withdrawal; without peers from all."""
    record: WithdrawRecord = {"kind": "withdraw", "numbers": list(numbers), "state": state, "who": who, "why": why}
    if peers:
        record["peers"] = list(peers)
    return record


def _read(model: type[_Body], body: Any) -> _Body:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fault = fault_of(error.errors(include_url=False)[0], model)
        says = fault.at(spelled(fault.place)[:100])
        raise RefusedError(says[:_LONGEST], fault.cure or "see docs/acting.md, which explains orders") from None


def _dumped(intent: Intent) -> Any:
    return intent.model_dump(mode="json")


def _text(order: Any, name: str) -> str:
    value = order.get(name) if isinstance(order, Mapping) else None
    return _printable(value) or _UNKNOWN if isinstance(value, str) else _UNKNOWN


def _in_words(order: Any) -> str:
    try:
        return summary_of(Order.model_validate(order).announcements)
    except ValidationError:
        text = order.get("said", order) if isinstance(order, Mapping) else order
        return _printable(str(text)) or _UNKNOWN


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST]).strip()
