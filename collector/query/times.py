"""Times as people write them: RFC 3339, unix seconds, `2h`, `yesterday 14:05`. Without a zone they are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from collector.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(w|d|h|m|s)(?:eeks?|ays?|ours?|in(?:ute)?s?|ec(?:ond)?s?)?\s*", re.IGNORECASE)
_DAY_AND_TIME = re.compile(r"(?:(today|yesterday)\s*)?(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?", re.IGNORECASE)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime.fromtimestamp(2**32, UTC)
"""The range of 32-bit unix seconds, with which keys of documents start."""


def parse_moment(text: str, now: datetime) -> datetime:
    """Parse a time, relative to `now`.

    Durations (`90s`, `2h`, `1d12h`, also with ` ago`) count back from now; `14:05` is today's.

    Raises:
        UsageError: it is not a time.
    """
    words = re.sub(r"\s*utc$", "", text.strip(), flags=re.IGNORECASE)
    moment = (
        _keyword(words, now)
        or _unix(words)
        or _duration(words.removesuffix("ago").rstrip(), now)
        or _day_and_time(words, now)
        or _rfc3339(words)
    )
    if moment is None:
        raise UsageError(
            f"{text!r} is not a time",
            'use RFC 3339 (2026-11-23T14:05:00Z), unix seconds, "2h", "yesterday 14:05" or "now"; all are UTC',
        )
    try:
        within = _EARLIEST <= moment < _LATEST
    except OverflowError:  # a zone moves it out of the years 1 to 9999
        within = False
    if not within:
        raise UsageError(f"{text!r} is not between 1970 and 2106", "give a time that an archive can contain")
    return moment.astimezone(UTC)


def parse_ahead(text: str, now: datetime) -> datetime:
    """As `parse_moment`, for the future: durations count from now on.

    Raises:
        UsageError: it is not a time.
    """
    span = _timedelta(text.strip())
    try:
        return parse_moment((now + span).isoformat() if span else text, now)
    except OverflowError:
        raise UsageError(f"{text!r} is too long", 'write "15m", "2h" or "1d12h"') from None


def parse_span(
    start: str | None, end: str | None, duration: str | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """A time range from at most two of its three parts; a duration alone means the time up to now.

    Raises:
        UsageError: a part is invalid, all three are given, or the end is not after the start.
    """
    first = None if start is None else parse_moment(start, now)
    last = None if end is None else parse_moment(end, now)
    if duration is not None:
        if first and last:
            raise UsageError("start, end and duration are all given", "leave one of them out")
        try:
            length = _timedelta(duration.strip())
            if not length:
                raise UsageError(f"{duration!r} is not a duration", 'write "90s", "15m", "2h" or "1d12h"')
            if first:
                last = first + length
            else:
                first = (last or now) - length
        except OverflowError:
            raise UsageError(f"{duration!r} is too long", 'write "90s", "15m", "2h" or "1d12h"') from None
    if first and last and last <= first:
        raise UsageError(f"the end ({end}) is not after the start ({start})", "swap them, or leave one out")
    return first, last


def _keyword(words: str, now: datetime) -> datetime | None:
    return now if words.lower() == "now" else None


def _unix(words: str) -> datetime | None:
    # Eight digits are a day: 20261123.
    return datetime.fromtimestamp(float(words), UTC) if re.fullmatch(r"\d{9,10}(\.\d+)?", words, re.ASCII) else None


def _duration(words: str, now: datetime) -> datetime | None:
    try:
        span = _timedelta(words)
        return None if span is None else now - span
    except OverflowError:
        return None


def _timedelta(words: str) -> timedelta | None:
    parts = _AGO.findall(words)
    if not parts or _AGO.sub("", words):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit.lower()] for number, unit in parts))


def _day_and_time(words: str, now: datetime) -> datetime | None:
    matched = _DAY_AND_TIME.fullmatch(words)
    if not words or not matched:
        return None
    day, clock = matched.groups()
    date = now.astimezone(UTC).date() - timedelta(days=1 if day and day.lower() == "yesterday" else 0)
    try:
        return datetime.combine(date, time.fromisoformat(clock.zfill(5) if clock else "00:00"), UTC)
    except ValueError:
        return None


def _rfc3339(words: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(words.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
