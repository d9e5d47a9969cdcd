"""What a question asks for that the archive cannot have: moments that it does not cover, peers that there are not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from collector.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.query.filters import Filter
    from collector.query.running import KnownPeer
    from collector.store.mongo import Store

_TICK = timedelta(seconds=1)
"""A moment that was printed just now is none of the future on a machine whose clock is a little behind."""


async def check_moments(store: Store, moments: Sequence[datetime], end: datetime | None = None) -> bool:
    """Whether the archive covers the moments; where it does not, stderr says what it covers.

    Args:
        store: the archive.
        moments: those that are asked about.
        end: of a range; it may lie in the future.

    Raises:
        UsageError: one lies in the future.
    """
    from collector.query.coverage import began_after, coverage, removed_after
    from schemas.scalars import spoken

    now = datetime.now(UTC)
    for moment in moments:
        if moment > now + _TICK:
            # The clock may have been set back since something was stored.
            upto = (await coverage(store, now)).upto
            if upto is None or moment > upto:
                raise UsageError(
                    f"{spoken(moment)} UTC lies in the future: it is {spoken(now)} UTC", "give a moment up to now"
                )
    earliest = min([*moments, *([end] if end else [])], default=None)
    if earliest is None:
        return True
    if since := await began_after(store, earliest):
        sys.stderr.write(f"the archive begins at {spoken(since)} UTC: nothing is known of what was before\n")
        return False
    if kept := await removed_after(store, earliest, now):
        sys.stderr.write(
            f"UPDATEs from before {spoken(kept)} UTC have been removed ([retention] updates_days):"
            " what was said then is not known\n"
        )
        return False
    return True


async def check_peers(store: Store, filters: Filter, configured: Sequence[KnownPeer]) -> None:
    """Say on stderr which peers of the filters there are not."""
    from collector.query.coverage import unknown_peers

    for peer in await unknown_peers(store, filters, configured):
        sys.stderr.write(f"no peer {peer} is configured here, or was ever heard of: bgpledger peers shows who is\n")
