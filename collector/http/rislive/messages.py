"""Entries as RIS Live's messages (https://ris-live.ripe.net/manual/)."""

from __future__ import annotations

import re
from typing import Any

from bgpledger import HistoryEntry
from collector.http.ripestat.sources import Sources

_STATES = {"session_up": "connected", "session_end": "down"}
UPDATE, PEER_STATE = "UPDATE", "RIS_PEER_STATE"


def message(entry: HistoryEntry, sources: Sources) -> dict[str, Any] | None:
    """One `data` of a `ris_message`; None of what has no place there: gaps, and routes that are no prefixes.

    Each has one prefix: what one UPDATE said of several is several messages.
    """
    if entry.event in _STATES:
        return {**_common(entry, sources, PEER_STATE), "state": _STATES[entry.event]}
    if entry.prefix is None:
        return None
    said = _common(entry, sources, UPDATE)
    if entry.event == "withdraw":
        return said | {"withdrawals": [entry.prefix]}
    if entry.event != "announce":
        return None
    said |= {
        "path": path_items(entry.as_path or ""),
        "community": [[int(part) for part in one.split(":")] for one in entry.communities or ()],
        "origin": entry.origin or "incomplete",
        "announcements": [{"next_hop": entry.next_hop or "", "prefixes": [entry.prefix]}],
    }
    if entry.med is not None:
        said["med"] = entry.med
    if entry.aggregator is not None:
        said["aggregator"] = f"{entry.aggregator.asn}:{entry.aggregator.address}"
    return said


def path_items(path: str) -> list[int | list[int]]:
    """An AS path as RIS Live writes it: ASes, and sets of ASes as lists."""
    found: list[int | list[int]] = []
    for word in re.findall(r"[{(\[][^})\]]*[})\]]|\d+", path):
        numbers = [int(number) for number in re.findall(r"\d+", word)]
        found += numbers if word.isdecimal() or word.startswith("(") else [numbers]
    return found


def _common(entry: HistoryEntry, sources: Sources, kind: str) -> dict[str, Any]:
    seconds, source = entry.ts.timestamp(), sources.id(entry)
    return {
        "timestamp": round(seconds, 3),
        "peer": entry.peer.address,
        "peer_asn": str(entry.peer.asn),
        "id": f"{source}-{round(seconds * 1000):x}",
        "host": f"rrc{sources.number(entry)}",
        "type": kind,
    }
