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
    """It was healthy, but not often enough to count as up. Announcements stay."""
    FALLING = "FALLING"
    """It was unhealthy, but not often enough to count as down. Announcements stay."""
    UP = "UP"
    DOWN = "DOWN"
    EXIT = "EXIT"
    """The check has ended, and its announcements are withdrawn."""
    END = "END"
    """The check has ended, and its announcements stay."""


DECIDED = frozenset((State.UP, State.DOWN, State.DISABLED))
"""The states in which a service is announced, or withdrawn."""
PENDING = frozenset((State.RISING, State.FALLING))
"""The states in which it is probed sooner (`fast_interval`)."""


class ServiceState(NamedTuple):
    """The state of a service, and the number of equal results in a row while it rises or falls."""

    state: State = State.INIT
    times: int = 0


def after(service: ServiceState, *, is_healthy: bool, disabled: bool, rise: int, fall: int) -> ServiceState:
    """The state of a service after one more probe.

    Args:
        service: the state before.
        is_healthy: whether it was healthy; ignored while it is disabled.
        disabled: whether the file that disables it exists.
        rise: how many times in a row it must be healthy to count as up; 0 means 1.
        fall: how many times in a row it must be unhealthy to count as down; 0 means 1.
    """
    if disabled:
        return ServiceState(State.DISABLED)
    if service.state is State.DISABLED:
        return ServiceState()  # this probe does not count
    if is_healthy:
        if service.state is State.UP:
            return service
        times = service.times + 1 if service.state is State.RISING else 1
        return ServiceState(State.UP) if times >= rise else ServiceState(State.RISING, times)
    if service.state is State.DOWN:
        return service
    times = service.times + 1 if service.state is State.FALLING else 1
    return ServiceState(State.DOWN) if times >= fall else ServiceState(State.FALLING, times)
