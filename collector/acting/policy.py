"""Export policy: applies the configured rules to an announcement before a peer is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from collector.acting.speakers import Speaker
from collector.regex import as_path_pattern
from collector.settings.policies import PolicySettings
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.prefix_ranges import parse_range


class Outcome(NamedTuple):
    """What a peer is sent, and by which rules."""

    announcement: RouteAnnouncement | FlowAnnouncement | None
    """None: nothing, because the last of the rules rejects it."""
    rules: tuple[str, ...]
    """The names of the rules that matched, in order."""


def towards(announcement: RouteAnnouncement | FlowAnnouncement, speaker: Speaker) -> Outcome:
    """Apply the configured rules to an announcement for a peer."""
    return apply(speaker.policies, announcement, speaker) if speaker.policies else Outcome(announcement, ())


def apply(
    policies: Sequence[PolicySettings], announcement: RouteAnnouncement | FlowAnnouncement, speaker: Speaker
) -> Outcome:
    """Apply rules to an announcement for a peer.

    Rules apply in order. Each matching rule acts on the announcement as the earlier ones have changed it; a rule
    that rejects it is the last.
    """
    matched = []
    for rule in policies:
        if not (_is_for(rule, speaker) and _matches(rule, announcement)):
            continue
        matched.append(rule.name)
        if rule.reject:
            return Outcome(None, tuple(matched))
        announcement = _changed(rule, announcement, speaker)
    return Outcome(announcement, tuple(matched))


def _is_for(rule: PolicySettings, speaker: Speaker) -> bool:
    if rule.group is not None:
        return speaker.group == rule.group
    return not rule.peers or speaker.address in rule.peers


def _matches(rule: PolicySettings, announcement: RouteAnnouncement | FlowAnnouncement) -> bool:
    if rule.family is not None and announcement.family != rule.family:
        return False
    if rule.prefixes and not any(_range(text).holds(announcement.prefix) for text in rule.prefixes):
        return False
    if rule.communities and not set(rule.communities) & set(_communities(announcement)):
        return False
    if rule.as_path is None:
        return True
    path = " ".join(map(str, announcement.as_path)) if isinstance(announcement, RouteAnnouncement) else ""
    return _pattern(rule.as_path).search(path) is not None


_range = lru_cache(maxsize=4096)(parse_range)
_pattern = lru_cache(maxsize=256)(as_path_pattern)


def _communities(announcement: RouteAnnouncement | FlowAnnouncement) -> tuple[str, ...]:
    return (*announcement.communities, *announcement.large_communities, *announcement.extended_communities)


def _changed(
    rule: PolicySettings, announcement: RouteAnnouncement | FlowAnnouncement, speaker: Speaker
) -> RouteAnnouncement | FlowAnnouncement:
    before = _communities(announcement) if rule.set_communities is None else rule.set_communities
    kept = [one for one in before if one not in rule.remove_communities]
    changes: dict[str, Any] = _by_kind(dict.fromkeys((*kept, *rule.add_communities)))
    if isinstance(announcement, RouteAnnouncement):
        changes["prepend"] = announcement.prepend + rule.prepend
        if rule.med is not None:
            changes["med"] = rule.med
        if rule.next_hop is not None:
            changes["next_hop"] = rule.next_hop
        if rule.local_preference is not None and speaker.is_internal:
            changes["local_pref"] = rule.local_preference
    return announcement.model_copy(update=changes)


def _by_kind(communities: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Communities by the fields of an announcement."""
    found: dict[str, list[str]] = {"communities": [], "large_communities": [], "extended_communities": []}
    for one in communities:
        kind = "extended_communities" if one.startswith("0x") else _KINDS[one.count(":")]
        found[kind].append(one)
    return {kind: tuple(values) for kind, values in found.items()}


_KINDS = {1: "communities", 2: "large_communities"}
