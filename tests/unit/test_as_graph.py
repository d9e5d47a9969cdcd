"""The history of a prefix as a replay, and the positions of ASes and paths in its drawing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.graph.layout import HEIGHT, ROW, lay_out
from collector.http.graph.picture import draw
from collector.http.graph.story import GraphSpeaker, Path, Story, StoryChange, hops_of

T = datetime(2026, 11, 23, 18, 45, 42, tzinfo=UTC)
ONE, TWO = GraphSpeaker("192.0.2.1", 64496), GraphSpeaker("192.0.2.2", 64497)


def second(number: float) -> datetime:
    return T + timedelta(seconds=number)


def story(*changes: StoryChange, initial: dict[GraphSpeaker, Path] | None = None) -> Story:
    return Story("203.0.113.0/24", T, second(60), initial or {}, list(changes))


@pytest.mark.parametrize(
    ("as_path", "hops"),
    [
        ("64496 64499 64500", ("64496", "64499", "64500")),
        ("64496 64496 64496 64500", ("64496", "64500")),
        ("64496 {64499,64500}", ("64496", "{64499,64500}")),
        ("64496 { 64499 64500 }", ("64496", "{ 64499 64500 }")),
        ("(65001 65002) 64500", ("(65001 65002)", "64500")),
        ("", ()),
    ],
)
def test_a_prepended_as_appears_once_in_a_path(as_path: str, hops: Path) -> None:
    assert hops_of(as_path) == hops


def test_the_routes_of_a_replay_are_known_at_any_time() -> None:
    told = story(
        StoryChange(second(3), ONE, "announce", ("64496", "64511"), ""),
        StoryChange(second(3), TWO, "announce", ("64497", "64500"), ""),
        StoryChange(second(5), ONE, "gap", None, "lost"),
        StoryChange(second(9), ONE, "withdraw", None, ""),
        initial={ONE: ("64496", "64500")},
    )
    assert told.at(second(2.9)) == {ONE: ("64496", "64500")}
    assert told.at(second(3)) == {ONE: ("64496", "64511"), TWO: ("64497", "64500")}
    assert told.at(second(8)) == told.at(second(3))
    assert told.at(second(9)) == {TWO: ("64497", "64500")}
    assert [event for _, event in told.events] == ["change", "announce", "gap", "withdraw"]


def test_a_drawing_shows_current_routes_and_has_room_for_later_ones() -> None:
    told = story(StoryChange(second(3), ONE, "announce", ("64496", "64511"), ""), initial={ONE: ("64496", "64500")})
    before, behind = draw(told, second(0)), draw(told, second(3))
    assert [line.stands for line in before.lines] == [True, False]
    assert [line.stands for line in behind.lines] == [False, True]
    assert before.layout == behind.layout
    assert before.origins == {"64500", "64511"}
    assert (before.used, behind.used) == ({"64496", "64500"}, {"64496", "64511"})
    assert draw(story(), T).speakers == []


ASES = st.integers(1, 12).map(str)
PATHS = st.lists(ASES, max_size=6).map(lambda hops: tuple(dict.fromkeys(hops)))
SPEAKERS = [GraphSpeaker(f"192.0.2.{number}", number) for number in range(1, 6)]


@given(st.lists(st.tuples(st.sampled_from(SPEAKERS), PATHS), max_size=20))
def test_nodes_never_overlap_and_everything_is_inside(ways: list[tuple[GraphSpeaker, Path]]) -> None:
    speakers = sorted({speaker for speaker, _ in ways})
    layout = lay_out(speakers, ways)
    nodes = [*layout.speakers.values(), *layout.ases.values()]
    assert {node.name for node in nodes} == {*(s.label for s in speakers), *(name for _, path in ways for name in path)}
    for one, other in combinations(nodes, 2):
        apart = abs(one.x - other.x) >= (one.width + other.width) / 2 or abs(one.y - other.y) >= ROW > HEIGHT
        assert apart, (one, other)
    for node in nodes:
        assert 0 <= node.x - node.width / 2 <= node.x + node.width / 2 <= layout.width
        assert 0 <= node.y - HEIGHT / 2 <= node.y + HEIGHT / 2 <= layout.height
    assert lay_out(speakers, [*reversed(ways)]).ases == layout.ases
    left = max((node.x for node in layout.speakers.values()), default=0)
    assert all(node.x > left for node in layout.ases.values())
