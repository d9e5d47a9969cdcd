"""The states of a checked service, and their transitions: those of ExaBGP's `healthcheck`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """The state of a service."""

    INIT = "INIT"
    """Nothing is known yet, or it was disabled until now."""
    DISABLED = "DISABLED"
    """The file that disables it exists."""
    RISING = "RISING"
    """It was well, but not often enough to count as up. What was announced stays."""
    FALLING = "FALLING"
    """It was not well, but not often enough to count as down. What was announced stays."""
    UP = "UP"
    DOWN = "DOWN"
    EXIT = "EXIT"
    """The check has ended, and what was announced is withdrawn."""
    END = "END"
    """The check has ended, and what was announced stays."""


DECIDED = frozenset((State.UP, State.DOWN, State.DISABLED))
"""The states in which a service is announced, or withdrawn."""
PENDING = frozenset((State.RISING, State.FALLING))
"""The states in which it is looked at sooner (`fast_interval`)."""


class Standing(NamedTuple):
    """The state of a service, and the number of equal results in a row while it rises or falls."""

    state: State = State.INIT
    times: int = 0


def after(standing: Standing, *, well: bool, disabled: bool, rise: int, fall: int) -> Standing:
    """What is held of a service after one more look.

    Args:
        standing: what was held before.
        well: whether it was found well; of no matter while it is disabled.
        disabled: whether the file that disables it is there.
        rise: how many times in a row it has to be well until it is up; 0 is as 1.
        fall: how many times in a row it has to be unwell until it is down; 0 is as 1.
    """
    if disabled:
        return Standing(State.DISABLED)
    if standing.state is State.DISABLED:
        return Standing()  # this look does not count
    if well:
        if standing.state is State.UP:
            return standing
        times = standing.times + 1 if standing.state is State.RISING else 1
        return Standing(State.UP) if times >= rise else Standing(State.RISING, times)
    if standing.state is State.DOWN:
        return standing
    times = standing.times + 1 if standing.state is State.FALLING else 1
    return Standing(State.DOWN) if times >= fall else Standing(State.FALLING, times)
