from hypothesis import given
from hypothesis import strategies as st

from collector.query.last_announced import LastAnnounced

ROUTES = st.tuples(st.integers(0, 2), st.integers(0, 5))
"""A session, and a route of it."""
EVENTS = st.lists(st.tuples(st.sampled_from(["announce", "withdraw", "end"]), ROUTES), max_size=60)


@given(EVENTS)
def test_a_route_stands_until_it_is_withdrawn_or_its_session_ends(events: list[tuple[str, tuple[int, int]]]) -> None:
    last: LastAnnounced[tuple[int, int], int] = LastAnnounced()
    said: dict[tuple[int, int], int] = {}
    stands: set[tuple[int, int]] = set()
    for number, (event, route) in enumerate(events):
        if event == "announce":
            last.announce(route, number)
            said[route] = number
            stands.add(route)
        elif event == "withdraw":
            assert last.withdraw(route) == said.get(route)
            stands.discard(route)
        else:
            gone = [one for one in said if one[0] == route[0]]
            expected = sorted(said[one] for one in gone if one in stands)
            assert sorted(last.end(lambda one, session=route[0]: one[0] == session)) == expected  # type: ignore[misc]
            for one in gone:
                del said[one]
                stands.discard(one)
        assert len(last) == len(said)
        for one, newest in said.items():
            assert last.get(one) == newest
            assert last.is_withdrawn(one) is (one not in stands)


def test_what_was_announced_longest_ago_is_forgotten() -> None:
    last: LastAnnounced[int, str] = LastAnnounced(20)
    for route in range(20):
        last.announce(route, "first")
    last.announce(0, "again")
    assert not last.forgot
    last.announce(20, "first")
    assert last.forgot
    assert [route for route in range(21) if last.get(route) is None] == [1, 2]
