"""The states of a checked service, against the sentence that defines them."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from collector.acting.health.states import ServiceState, State, after

LOOKS = st.lists(st.sampled_from(("well", "unwell", "disabled")), max_size=40)


def expected_state(looks: list[str], rise: int, fall: int) -> State:
    """Up after `rise` successes in a row, down after `fall` failures in a row, counted since it was last disabled."""
    if not looks:
        return State.INIT
    if looks[-1] == "disabled":
        return State.DISABLED
    since = list(takewhile(lambda result: result != "disabled", reversed(looks)))
    if len(since) < len(looks):  # the check that found it enabled again does not count
        since.pop()
    if not since:
        return State.INIT
    run = len(list(takewhile(lambda result: result == since[0], since)))
    if since[0] == "well":
        return State.UP if run >= rise else State.RISING
    return State.DOWN if run >= fall else State.FALLING


@given(LOOKS, st.integers(1, 5), st.integers(1, 5))
def test_states_follow_from_the_last_checks(looks: list[str], rise: int, fall: int) -> None:
    service = ServiceState()
    for at, result in enumerate(looks):
        service = after(service, is_healthy=result == "well", disabled=result == "disabled", rise=rise, fall=fall)
        assert service.state is expected_state(looks[: at + 1], rise, fall), looks[: at + 1]
