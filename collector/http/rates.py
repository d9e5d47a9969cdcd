"""Limits the rate of each client: a token bucket, which refills over time."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

_BURST_SECONDS = 2
"""Requests not made within this many seconds may be made at once."""
_MOST_CLIENTS = 10_000


class _Bucket(NamedTuple):
    left: float
    at: float


class Rates:
    """Counts requests.

    Args:
        rate: the average number of requests a second that one client may send.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client: str) -> float:
        """Count a request; returns 0, or the seconds after which the client may try again."""
        now, most = monotonic(), max(self._rate * _BURST_SECONDS, 1.0)
        left, at = self._buckets.pop(client, _Bucket(most, now))
        left = min(most, left + (now - at) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[client] = _Bucket(left if wait else left - 1, now)
        if len(self._buckets) > _MOST_CLIENTS:
            del self._buckets[next(iter(self._buckets))]  # the client that has been quiet longest
        return wait
