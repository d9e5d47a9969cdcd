from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.query.times import parse_moment

NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-23T18:30:00"),
        ("2h", "2026-11-23T16:30:00"),
        ("90s", "2026-11-23T18:28:30"),
        ("1d12h", "2026-11-22T06:30:00"),
        ("2 hours ago", "2026-11-23T16:30:00"),
        ("3 min", "2026-11-23T18:27:00"),
        ("yesterday", "2026-11-22T00:00:00"),
        ("yesterday 14:05", "2026-11-22T14:05:00"),
        ("today 9:00", "2026-11-23T09:00:00"),
        ("14:05:06", "2026-11-23T14:05:06"),
        ("1795415659", "2026-11-23T06:34:19"),
        ("1795415659.5", "2026-11-23T06:34:19.500000"),
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("2026-11-23T14:05:00Z", "2026-11-23T14:05:00"),
        ("2026-11-23 14:05+01:00", "2026-11-23T13:05:00"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "99:00", "9:5", "2 hoursx", "1e9", "2026-13-01", "9" * 30, "9" * 30 + "w"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_moment(text, NOW)
    assert "RFC 3339" in caught.value.cure


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_usage_error(text: str) -> None:
    try:
        moment = parse_moment(text, NOW)
    except UsageError:
        return
    assert moment.tzinfo is UTC


@given(st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_printed_times_can_be_typed(moment: datetime) -> None:
    assert parse_moment(moment.isoformat(), NOW) == moment
