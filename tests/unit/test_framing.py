from hypothesis import given
from hypothesis import strategies as st

from collector.spool.framing import frame, unframe

AWKWARD = st.lists(st.sampled_from([b"\n", b"\xe6", b"n", b"e", b"\x00"])).map(b"".join)


@given(st.binary() | AWKWARD)
def test_any_record_is_read_back(record: bytes) -> None:
    line = frame(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert unframe(line[:-1]) == record


@given(st.binary() | AWKWARD, st.data())
def test_a_torn_record_is_the_start_of_the_whole_one(record: bytes, data: st.DataObject) -> None:
    line = frame(record)[:-1]
    came = unframe(line[: data.draw(st.integers(0, len(line)))])
    assert record.startswith(came) or (came.endswith(b"\xe6") and record.startswith(came[:-1]))


@given(st.lists(st.binary() | AWKWARD, max_size=5))
def test_successive_records_stay_apart(records: list[bytes]) -> None:
    assert [unframe(line) for line in b"".join(map(frame, records)).split(b"\n")[:-1]] == records
