from hypothesis import given
from hypothesis import strategies as st

from collector.query.verify.inventory import Begin, Inventory, Owner, Times, find_begins
from collector.sources.exabgp.source import EXABGP


def start(pid: int, incarnation: str | None = None) -> dict[str, object]:
    return {"source": {"pid": pid}, **({"incarnation": incarnation} if incarnation else {})}


def test_another_exabgp_has_another_number_or_another_incarnation() -> None:
    words = [
        (90, 9, start(1, "b")),
        (0, 1, start(1, "a")),
        (10, 2, start(1, "a")),
        (40, 5, start(1, "b")),
        (50, 6, start(2, "b")),
        (55, 7, start(0)),
        (60, 7, start(2)),
        (70, 8, start(2, "c")),
    ]
    assert find_begins(words) == [Begin(0, 1), Begin(40, 5), Begin(50, 6), Begin(60, 7), Begin(90, 9)]


def test_peers_of_a_range_are_one_stream() -> None:
    inventory = Inventory(EXABGP, {Owner.named("test", "")}, 100, [Begin(0, 0), Begin(50, 0)], ["198.51.100.0/24"])
    assert inventory.stream(10, "198.51.100.7") == inventory.stream(49, "198.51.100.0/24") == (1, "198.51.100.0/24")
    assert inventory.stream(50, "198.51.100.7") == (2, "198.51.100.0/24")
    assert inventory.stream(10, "192.0.2.1") == (1, "192.0.2.1")


@given(
    st.dictionaries(st.integers(0, 300), st.integers(0, 50)),
    st.integers(0, 400),
    st.integers(0, 100),
    st.integers(0, 60),
)
def test_a_range_is_split_without_loss_and_no_old_line_is_called_young(
    seconds: dict[int, int], first: int, length: int, limit: int
) -> None:
    """The times of the lines only grow."""
    times, ordered = Times(), sorted(second for second in seconds.values() if second)
    lines = dict(zip(sorted(seconds), ordered, strict=False))
    for line, second in lines.items():
        times.see(line, second)
    times.settle()
    parts = list(times.split(range(first, first + length), limit))
    assert [line for part, _ in parts for line in part] == list(range(first, first + length))
    young = {line for part, old in parts if not old for line in part}
    assert not [line for line in young if lines.get(line, limit) < limit]
