"""UPDATEs in each minute of the last hour: past minutes are counted once, however often the page is requested."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bgpledger import Archive, DeadlineError, parse_filter

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass
class _CountedMinutes:
    upto: datetime
    """All minutes before it have been counted, or were too large to count."""
    minutes: dict[datetime, int] = field(default_factory=dict)


class Minutes:
    """The counts for peers, by address."""

    def __init__(self) -> None:
        self._counted: dict[str, _CountedMinutes] = {}

    async def of(self, archive: Archive, addresses: Iterable[str], patience: float) -> dict[str, list[int]]:
        """The UPDATEs of peers in each minute of the last hour, oldest first.

        A minute that the server could not count in time is 0, and is not counted again.

        Args:
            archive: the archive to query.
            addresses: the peers' addresses.
            patience: seconds for all of them together; peers for which no time is left are omitted.
        """
        clock = asyncio.get_running_loop().time
        over, now = clock() + patience, datetime.now(UTC)
        found: dict[str, list[int]] = {}
        for address in dict.fromkeys(addresses):
            if clock() < over:
                found[address] = await self._of_one(archive, address, now, over - clock())
        return found

    async def _of_one(self, archive: Archive, address: str, now: datetime, patience: float) -> list[int]:
        this = now.replace(second=0, microsecond=0)
        first = this - _HOUR + _MINUTE
        counted = self._counted.setdefault(address, _CountedMinutes(first))
        begin = max(counted.upto, first)
        counted.minutes = {minute: count for minute, count in counted.minutes.items() if first <= minute < begin}
        span = replace(parse_filter({"peer": address}), start=begin, end=now)
        counted.upto = this
        try:
            async with archive.activity(span, samples=_HOUR // _MINUTE + 1, deadline=patience) as samples:
                async for sample in samples:
                    minute = sample.start.replace(second=0, microsecond=0)
                    counted.minutes[minute] = counted.minutes.get(minute, 0) + sample.updates
        except DeadlineError:
            pass
        return [counted.minutes.get(first + number * _MINUTE, 0) for number in range(_HOUR // _MINUTE)]
