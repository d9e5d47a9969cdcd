"""Checks whether the archive covers the times, and knows the peers, that a query is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from collector.errors import UsageError
from collector.query.arguments import Say
from collector.query.coverage import began_after, coverage, removed_after, unknown_peers, unseen_since
from collector.query.filters import Filter
from collector.query.running import KnownPeer
from collector.store.mongo import Store
from schemas.scalars import spoken

_TICK = timedelta(seconds=1)
"""A time that was just printed is not in the future, even if this machine's clock is a little behind."""


async def check_times(store: Store, times: Sequence[datetime], end: datetime | None, say: Say) -> bool:
    """Check whether the archive covers the times; if not, a note says what it covers.

    Args:
        store: the archive.
        times: the times that the query is about.
        end: the end of a range; it may be in the future.
        say: called with what the archive covers.

    Raises:
        UsageError: a time is in the future.
    """
    now = datetime.now(UTC)
    for moment in times:
        if moment > now + _TICK:
            # The clock may have been set back since something was stored.
            upto = (await coverage(store, now)).upto
            if upto is None or moment > upto:
                raise UsageError(
                    f"{spoken(moment)} UTC is in the future: it is now {spoken(now)} UTC", "give a time up to now"
                )
    earliest = min([*times, *([end] if end else [])], default=None)
    if earliest is None:
        return True
    if since := await began_after(store, earliest):
        say(f"the archive begins at {spoken(since)} UTC: nothing is known about earlier times")
        return False
    if kept := await removed_after(store, earliest, now):
        say(
            f"UPDATEs from before {spoken(kept)} UTC have been removed ([retention] updates_days):"
            " what was sent then is not known"
        )
        return False
    return True


async def check_seen(store: Store, moment: datetime | None, filters: Filter, say: Say) -> bool:
    """Check whether somebody received at a time what the wanted peers announce; if not, a note says since when not.

    Args:
        store: the archive.
        moment: the time; None: now.
        filters: which peers.
        say: called with when the last session ended, and why.
    """
    session = await unseen_since(store, moment, filters)
    if session is None:
        return True
    then = f"stood at {spoken(moment)} UTC" if moment else "stands now"
    say(
        f"what {then} is not known: the last session ended at {spoken(session['until'])} UTC"
        f" ({session.get('reason') or 'the collector was stopped'})"
    )
    return False


async def check_peers(store: Store, filters: Filter, configured: Sequence[KnownPeer], say: Say) -> None:
    """Add a note for peers in the filters that do not exist."""
    for peer in await unknown_peers(store, filters, configured):
        say(f"no peer {peer} is configured here, or was ever heard of: the list of peers has all that are")
