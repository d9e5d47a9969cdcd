"""What an archiver remembers over a restart, as JSON: with a spool's position, or in `meta` for an imported file."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

SourceNote = Mapping[str, Any]
"""What a source's decoder, or its `Continuity`, remembers; its keys are its own."""


class GapsNote(TypedDict, total=False):
    """The state of the search for gaps, with what the source's `Continuity` adds to it."""

    next_line: int
    gaps: int
    lost: int
    unreadable: int


class PeerNote(TypedDict, total=False):
    """The state of one peer: the fields that are read without its tracker."""

    session: Mapping[str, Any]
    """Its session, if one is up; see `schemas.documents.Session`."""


class TrackerNote(TypedDict, total=False):
    """The state of the sessions; see `collector.archive.tracker_state.TrackerState`."""

    last_ts: str
    clock: str
    steps: int
    stepped: Mapping[str, Any]
    told_back: bool
    neighbours: Mapping[str, PeerNote]
    """By the peer's name."""
    gaps: GapsNote


class ArchiverNote(TypedDict, total=False):
    """An archiver's state; empty before the first acknowledgement."""

    collector: str
    """The name under which the lines are archived."""
    ranges: Sequence[str]
    """The configured peer ranges."""
    stored: int
    """How many lines became documents."""
    rejected: int
    """How many lines became rejects."""
    refused: int
    """How many of these the store refused."""
    tracker: TrackerNote
    decoder: SourceNote
    """The state of the source's decoder."""
