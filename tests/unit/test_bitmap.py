import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.query.verify import bitmap
from collector.query.verify.bitmap import Numbers


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks of 16 bits, so that few numbers fill several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitmap, "_BITS", 16)
        yield


def flat(ranges: list[range]) -> list[int]:
    return [number for one in ranges for number in one]


def apart(ranges: list[range]) -> bool:
    return all(ranges) and all(before.stop < after.start for before, after in pairwise(ranges))


@given(st.lists(st.integers(0, 200)), st.integers(0, 200), st.integers(0, 250))
@small_blocks()
def test_a_bitmap_answers_as_a_set_would(given_numbers: list[int], start: int, end: int) -> None:
    bitmap, known = Numbers(), set[int]()
    for number in given_numbers:
        assert bitmap.add(number) is (number not in known)
        known.add(number)
    assert (bitmap.count, bitmap.top) == (len(known), max(known, default=-1))
    missing, present = list(bitmap.missing(start, end)), list(bitmap.present())
    assert flat(missing) == [number for number in range(start, end) if number not in known]
    assert flat(present) == sorted(known)
    assert apart(missing)
    assert apart(present)


@given(st.sets(st.integers(0, 99)))
@small_blocks()
def test_a_long_run_may_have_holes(holes: set[int]) -> None:
    bitmap = Numbers()
    for number in reversed(range(100)):
        if number not in holes:
            bitmap.add(number)
    assert flat(list(bitmap.missing(0, 100))) == sorted(holes)
    assert bitmap.count == 100 - len(holes)


def test_memory_for_a_number_is_an_eighth_of_a_byte_at_most() -> None:
    tracemalloc.start()
    try:
        bitmap = Numbers()
        for number in range(100_000):
            bitmap.add(number)
        for number in range(1_000_000, 1_200_000, 2):
            bitmap.add(number)
        assert tracemalloc.get_traced_memory()[0] < 50_000
        assert list(bitmap.missing(0, 1_000_003))[:2] == [range(100_000, 1_000_000), range(1_000_001, 1_000_002)]
    finally:
        tracemalloc.stop()
