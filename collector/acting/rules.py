"""Checks orders against the configuration: what may be announced to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from collector.acting.policy import Outcome, towards
from collector.acting.speakers import Speaker
from collector.errors import RefusedError
from collector.settings.announce import AnnounceSettings
from collector.settings.model import Settings
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.intents import Order

_STANDING = ("configuration", "healthcheck", "command")
"""Sources whose announcements need no expiry, because they last as long as the source."""


class Rules:
    """Checks orders.

    Args:
        settings: who the peers are.
        allowed: what may be announced.
    """

    def __init__(self, settings: Settings, allowed: AnnounceSettings) -> None:
        self.speakers = {
            peer.address: Speaker.of(peer, settings.policies) for peer in settings.peers if not peer.is_range
        }
        """By address. Peers of a range have no name by which ExaBGP could be told about them."""
        self._allowed = allowed

    def peers_of(self, order: Order) -> list[tuple[RouteAnnouncement | FlowAnnouncement, tuple[str, ...]]]:
        """Each announcement of an order, and the peers that it is for; raises what `outcomes_of` does."""
        return [
            (announcement, tuple(peer for peer, outcome in outcomes.items() if outcome.announcement is not None))
            for announcement, outcomes in self.outcomes_of(order)
        ]

    def outcomes_of(self, order: Order) -> list[tuple[RouteAnnouncement | FlowAnnouncement, Mapping[str, Outcome]]]:
        """Each announcement of an order, and for each peer that is meant what the policies make of it.

        Raises:
            RefusedError: one of them must not be announced, or not to one of these peers.
        """
        chosen = self._chosen(order)
        named = bool(order.peers or order.group)
        found: list[tuple[RouteAnnouncement | FlowAnnouncement, Mapping[str, Outcome]]] = []
        for announcement in order.announcements:
            self._check_allowed(announcement)
            hearing = [speaker for speaker in chosen if speaker.has(announcement.family)]
            lacking = [speaker.address for speaker in chosen if not speaker.has(announcement.family)]
            if not hearing or (named and lacking):
                raise RefusedError(
                    f"{announcement.nlri}: not configured for {announcement.family}: {', '.join(lacking[:5])}",
                    f'add "{announcement.family}" to the families of that peer, or name others',
                )
            for speaker in hearing:
                _check_fits(announcement, speaker)
            outcomes = {speaker.address: towards(announcement, speaker) for speaker in hearing}
            if all(outcome.announcement is None for outcome in outcomes.values()):
                names = dict.fromkeys(outcome.rules[-1] for outcome in outcomes.values())
                raise RefusedError(
                    f"{announcement.nlri}: rejected towards every peer by {', '.join(names)}",
                    "change that rule below [[policies]], or name other peers",
                )
            found.append((announcement, outcomes))
        return found

    def objection(self, announcement: RouteAnnouncement | FlowAnnouncement, address: str) -> str | None:
        """Why something must not be announced to a peer any more, if the configuration has changed; None if it may."""
        speaker = self.speakers.get(address)
        if speaker is None:
            return None
        if not speaker.has(announcement.family):
            return f"the peer is configured for {announcement.family} no more"
        try:
            self._check_allowed(announcement)
            _check_fits(announcement, speaker)
        except RefusedError as error:
            return error.cause
        outcome = towards(announcement, speaker)
        return f"the policy {outcome.rules[-1]} rejects it" if outcome.announcement is None else None

    def expiry(self, order: Order, now: datetime) -> datetime | None:
        """When the announcements of an order are to be withdrawn automatically; None: never.

        Raises:
            RefusedError: that is in the past, or too far in the future.
        """
        if order.expires is not None and order.expires <= now:
            raise RefusedError(
                f"the expiry {order.expires.isoformat()} is in the past", "give a later one, or withdraw the route"
            )
        hours = self._allowed.longest_hours
        if hours is None or order.source.partition(" ")[0] in _STANDING:
            return order.expires
        latest = now + timedelta(hours=hours)
        if order.expires is not None and order.expires > latest:
            raise RefusedError(
                f"the expiry is more than {hours:g} hours ahead",
                "give an earlier one; announce.longest_hours is the limit",
            )
        return order.expires or latest

    def _chosen(self, order: Order) -> Sequence[Speaker]:
        if not self.speakers:
            raise RefusedError("no peer is configured", "add one below [[peers]]")
        if order.group is not None:
            found = [speaker for speaker in self.speakers.values() if speaker.group == order.group]
            if not found:
                groups = sorted({speaker.group for speaker in self.speakers.values() if speaker.group})
                known = f"the groups are {', '.join(groups)}" if groups else "give peers a group below [[peers]]"
                raise RefusedError(f"no peer has the group {order.group!r}", known)
            return found
        for address in order.peers:
            if address not in self.speakers:
                raise RefusedError(
                    f"no peer has the address {address}", f"the peers are {', '.join(list(self.speakers)[:10])}"
                )
        return [self.speakers[address] for address in order.peers] or list(self.speakers.values())

    def _check_allowed(self, announcement: RouteAnnouncement | FlowAnnouncement) -> None:
        prefix = announcement.prefix
        if prefix.endswith("/0"):
            raise RefusedError(f"{prefix} is a default route, which is never announced", "give a longer prefix")
        if isinstance(announcement, FlowAnnouncement) and not self._allowed.flows:
            raise RefusedError("flow specifications are not allowed here", "set flows = true below [announce]")
        if not any(one.holds(prefix) for one in self._allowed.ranges):
            raise RefusedError(
                f"{prefix} is none of the prefixes that may be announced: {', '.join(self._allowed.prefixes)}",
                "add it to prefixes below [announce], if it is yours to announce",
            )


def _check_fits(announcement: RouteAnnouncement | FlowAnnouncement, speaker: Speaker) -> None:
    if isinstance(announcement, FlowAnnouncement):
        return
    if announcement.local_pref is not None and not speaker.is_internal:
        raise RefusedError(
            f"LOCAL_PREF is only for peers in our own AS, and {speaker.address} is of AS{speaker.asn}",
            "leave it out, name other peers, or prepend or give a MED or a community that this one heeds",
        )
    if announcement.next_hop == "self" and (":" in announcement.prefix) != (":" in speaker.address):
        version = 6 if ":" in announcement.prefix else 4
        raise RefusedError(
            f"our address in the session with {speaker.address} is no next hop for {announcement.prefix}",
            f"give an IPv{version} address as its next hop",
        )
