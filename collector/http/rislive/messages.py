"""Lines as RIS Live messages (https://ris-live.ripe.net/manual/): one for each UPDATE."""

from __future__ import annotations

from collections.abc import Sequence

from bgpledger import HistoryEntry
from collector.export.message_bytes import MessageEncoder
from collector.export.summary import ExportSummary
from collector.http.ripestat.sources import Sources
from collector.http.rislive.paths import path_items
from collector.query.follow import FollowedLine
from collector.query.messages import StoredMessage
from collector.query.streams import UpdateRow
from schemas.json_object import JsonObject

_STATES = {"session_up": "up", "session_end": "down"}
UPDATE, PEER_STATE = "UPDATE", "RIS_PEER_STATE"
KINDS = (UPDATE, PEER_STATE)
"""The types of messages."""


def prefixes_of(line: FollowedLine) -> list[str]:
    """The prefixes in a line."""
    return [entry.prefix for entry in line.entries if entry.prefix]


class Messages:
    """Makes messages.

    Args:
        sources: the peers.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._bytes = MessageEncoder(ExportSummary())

    def of(self, line: FollowedLine) -> JsonObject | None:
        """The `data` of a `ris_message`; None for what has no such form: gaps, and routes that are not prefixes."""
        first = line.entries[0]
        if first.event in _STATES:
            return {**self._common(line, PEER_STATE), "state": _STATES[first.event]}
        withdrawn = [entry.prefix for entry in line.entries if entry.event == "withdraw" and entry.prefix]
        announced = [entry for entry in line.entries if entry.event == "announce" and entry.prefix]
        if not withdrawn and not announced:
            return None
        return {
            **self._common(line, UPDATE),
            **(_attributes(announced[0]) if announced else {"path": [], "community": []}),
            "announcements": _announcements(announced),
            "withdrawals": withdrawn,
        }

    def raw(self, line: FollowedLine) -> dict[str, str]:
        """`raw`: the bytes of an UPDATE, the original ones if stored; empty if no single message can hold it."""
        row = line.row
        if not isinstance(row, UpdateRow):
            return {}
        written = list(self._bytes.messages(StoredMessage(row.ts, row.document, None)))
        return {"raw": written[0].data.hex().upper()} if len(written) == 1 else {}

    def _common(self, line: FollowedLine, kind: str) -> JsonObject:
        first = line.entries[0]
        return {
            "timestamp": round(first.ts.timestamp(), 3),
            "peer": first.peer.address,
            "peer_asn": str(first.peer.asn),
            "id": f"{self.sources.id(first)}-{line.row.rank.hex()}",
            "host": f"rrc{self.sources.number(first)}",
            "type": kind,
        }


def _attributes(entry: HistoryEntry) -> JsonObject:
    attributes: JsonObject = {
        "path": path_items(entry.as_path or ""),
        "community": [[int(part) for part in one.split(":")] for one in entry.communities or ()],
        "origin": entry.origin or "incomplete",
    }
    if entry.med is not None:
        attributes["med"] = entry.med
    if entry.aggregator is not None:
        attributes["aggregator"] = f"{entry.aggregator.asn}:{entry.aggregator.address}"
    return attributes


def _announcements(entries: Sequence[HistoryEntry]) -> list[JsonObject]:
    """Prefixes by next hop."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry.next_hop or "", []).append(entry.prefix or "")
    return [{"next_hop": hop, "prefixes": prefixes} for hop, prefixes in found.items()]
