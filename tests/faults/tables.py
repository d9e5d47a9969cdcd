"""Stored tables against the UPDATEs from which they were made, whatever was killed while they were written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from collector.query.peer_ribs import peer_rib_of
from collector.store.mongo import Store
from schemas.stored import SessionDocument, UpdateDocument

Table = dict[tuple[str, int | None, str], tuple[datetime, str | None]]
"""Routes by family, path ID and prefix: since when, with which AS path."""


async def faulty_tables(store: Store) -> tuple[int, list[str]]:
    """Every stored table, and every session's last one, must be what folding all UPDATEs of the session gives.

    Returns:
        How many tables there are, and what is wrong with which.
    """
    faults = []
    tables = [one async for one in store.find("snapshots", {})]
    said: dict[Any, list[UpdateDocument]] = {}
    async for update in store.find("updates", {}):
        said.setdefault(update.get("session"), []).append(update)
    async for session in store.find("sessions", {}):
        moments = {one["ts"] for one in tables if one["session"] == session["_id"] and one["complete"]}
        updates = said.get(session["_id"], [])
        for moment in (*moments, session.get("until", session["last_seen"])):
            told = await _stored_table(store, session, moment)
            expected = _folded([one for one in updates if one["ts"] <= moment])
            if told != expected:
                faults.append(f"session {session['_id']} at {moment}: {len(told)} routes, {len(expected)} expected")
    return len(tables), faults


async def _stored_table(store: Store, session: SessionDocument, moment: datetime) -> Table:
    found = await peer_rib_of(store, session, moment)
    routes = [found.route(*item) async for items in found.table() for item in items]
    return {(one.family, one.path_id, one.prefix or ""): (one.since, one.as_path) for one in routes}


def _folded(updates: list[UpdateDocument]) -> Table:
    table: Table = {}
    for update in sorted(updates, key=lambda one: (one["ts"], one["_id"])):
        for group in update.get("withdraw", ()):
            for prefix in group["nlri"]:
                table.pop((group["family"], group.get("path_id"), prefix), None)
        for group in update.get("announce", ()):
            for prefix in group["nlri"]:
                path = update["attributes"].get("as_path")
                table[group["family"], group.get("path_id"), prefix] = (update["ts"], path)
    return table
