"""The columns of answers about peers, intents and the collector itself: `schemas.status`, `schemas.intents`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel

from collector.present.columns import Column
from schemas.intents import Intent
from schemas.status import Finding, PeerStatus, ReplayedPeer, SpoolSegment, Token


def _age(status: PeerStatus) -> str:
    if status.keepalive_age is None:
        return ""
    return f"{timedelta(seconds=round(status.keepalive_age))} ago"


COLUMNS: dict[type[BaseModel], Sequence[Column]] = {
    Finding: (
        Column("what", lambda finding: finding.what),
        Column("spool", lambda finding: finding.spool),
        Column("lines", lambda finding: finding.lines),
        Column("peer", lambda finding: finding.peer),
        Column("session", lambda finding: finding.session),
        Column("detail", lambda finding: finding.detail, folds=True),
    ),
    ReplayedPeer: (
        Column("address", lambda peer: peer.address),
        Column("AS", lambda peer: peer.asn, right=True),
        Column("source", lambda peer: peer.source),
        Column("messages", lambda peer: peer.messages, right=True),
        Column("updates", lambda peer: peer.updates, right=True),
        Column("sessions", lambda peer: peer.sessions, right=True),
        Column("families", lambda peer: ", ".join(peer.families), folds=True),
    ),
    Intent: (
        Column("id", lambda intent: intent.id),
        Column("prefix", lambda intent: intent.announcement.nlri, folds=True),
        Column("state", lambda intent: intent.state),
        Column("since (UTC)", lambda intent: intent.states[-1].ts),
        Column("peers", lambda intent: " ".join(intent.peers), folds=True),
        Column("failed", lambda intent: ". ".join(map(": ".join, intent.failures.items())), folds=True),
        Column("who", lambda intent: intent.who),
        Column("source", lambda intent: intent.source),
        Column("expires (UTC)", lambda intent: intent.expires),
        Column("why", lambda intent: intent.why, folds=True),
    ),
    Token: (
        Column("name", lambda token: token.name),
        Column("scope", lambda token: token.scope),
        Column("created (UTC)", lambda token: token.created),
    ),
    SpoolSegment: (
        Column("state", lambda segment: segment.state),
        Column("first line", lambda segment: segment.first, right=True),
        Column("lines", lambda segment: segment.lines, right=True),
        Column("bytes", lambda segment: segment.bytes, right=True),
        Column("last written (UTC)", lambda segment: segment.last_written),
        Column("file", lambda segment: segment.path, folds=True),
    ),
    PeerStatus: (
        Column("address", lambda peer: peer.address),
        Column("AS", lambda peer: peer.asn, right=True),
        Column("router", lambda peer: peer.router),
        Column("peer RD", lambda peer: peer.rd),
        Column("table", lambda peer: peer.rib),
        Column("state", lambda peer: peer.state),
        Column("since (UTC)", lambda peer: peer.since),
        Column("keepalive", _age, right=True),
        Column("updates", lambda peer: peer.updates, right=True),
        Column("routes", lambda peer: peer.routes, right=True),
        Column("counted (UTC)", lambda peer: peer.routes_at),
        Column("description", lambda peer: peer.description, folds=True),
        Column("at (UTC)", lambda peer: None if peer.reason_at == peer.since else peer.reason_at),
        Column("reason", lambda peer: peer.reason, folds=True),
        Column("since then", lambda peer: peer.attempt, folds=True),
    ),
}
