"""UPDATEs in each minute of the last hour: past minutes are counted once, however often the page is requested."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bgpledger import Archive, DeadlineError, parse_filter

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass
class _CountedMinutes:
    minutes: dict[datetime, int] = field(default_factory=dict)
    again: datetime | None = None
    """When those that could not be counted in time are counted again."""


class Minutes:
    """The counts for peers, by address."""

    def __init__(self) -> None:
        self._counted: dict[str, _CountedMinutes] = {}

    async def of(self, archive: Archive, addresses: Iterable[str], patience: float) -> dict[str, list[int | None]]:
        """The UPDATEs of peers in each minute of the last hour, oldest first.

        Minutes that the server could not count in time are None. They are counted again a minute later: a server that
        was busy may not be any more.

        Args:
            archive: the archive to query.
            addresses: the peers' addresses.
            patience: seconds for all of them together; peers for which no time is left are omitted.
        """
        clock = asyncio.get_running_loop().time
        over, now = clock() + patience, datetime.now(UTC)
        found: dict[str, list[int | None]] = {}
        for address in dict.fromkeys(addresses):
            if clock() < over:
                found[address] = await self._of_one(archive, address, now, over - clock())
        return found

    async def _of_one(self, archive: Archive, address: str, now: datetime, patience: float) -> list[int | None]:
        this = now.replace(second=0, microsecond=0)
        hour = [this - number * _MINUTE for number in reversed(range(_HOUR // _MINUTE))]
        known = self._counted.setdefault(address, _CountedMinutes())
        known.minutes = {minute: count for minute, count in known.minutes.items() if hour[0] <= minute < this}
        missing = [minute for minute in hour if minute not in known.minutes]
        begin = missing[0] if known.again is None or now >= known.again else this
        span = replace(parse_filter({"peer": address}), start=begin, end=now)
        try:
            async with archive.activity(span, samples=_HOUR // _MINUTE + 1, deadline=patience) as samples:
                counts = Counter[datetime]()
                async for sample in samples:
                    counts[sample.start.replace(second=0, microsecond=0)] += sample.updates
        except DeadlineError:
            known.again = now + _MINUTE
        else:
            known.minutes |= {minute: counts[minute] for minute in hour if minute >= begin}
        return [known.minutes.get(minute) for minute in hour]
