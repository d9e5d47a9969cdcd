"""The last announcement of each route, for UPDATEs in order of time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_FORGOTTEN_AT_ONCE = 10
"""When memory is full, this fraction of the routes is forgotten: one in so many."""


class LastAnnounced(Generic[K, V]):
    """The last announcement of each route, and whether the route was withdrawn since.

    Args:
        most: the maximum number of routes to remember; those announced longest ago are forgotten first. None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self.forgot = False
        """Whether routes had to be forgotten."""
        self._most = most
        self._announced: dict[K, V] = {}
        self._withdrawn: set[K] = set()

    def __len__(self) -> int:
        return len(self._announced)

    def announce(self, route: K, value: V) -> None:
        """Record an announcement."""
        self._announced.pop(route, None)  # moves it to the end
        self._announced[route] = value
        self._withdrawn.discard(route)
        if self._most is not None and len(self._announced) > self._most:
            self.forgot = True
            for oldest in list(islice(self._announced, max(self._most // _FORGOTTEN_AT_ONCE, 1))):
                self._forget(oldest)

    def recall(self, route: K, value: V) -> None:
        """Record an announcement that came before all others."""
        later = self._announced.copy()
        self._announced.clear()
        self._announced[route] = value
        self._announced.update(later)

    def withdraw(self, route: K) -> V | None:
        """Record a withdrawal; returns the announcement that it ends, or that had ended already, if known."""
        value = self._announced.get(route)
        if value is not None:
            self._withdrawn.add(route)
        return value

    def get(self, route: K) -> V | None:
        """A route's last announcement, withdrawn or not, if known."""
        return self._announced.get(route)

    def is_withdrawn(self, route: K) -> bool:
        """Whether a route was withdrawn after its last announcement."""
        return route in self._withdrawn

    @property
    def standing(self) -> list[V]:
        """The announcements of the routes that are not withdrawn."""
        return [value for route, value in self._announced.items() if route not in self._withdrawn]

    def end(self, ended: Callable[[K], bool]) -> list[V]:
        """Forget the routes for which `ended` holds; returns the announcements of those that were not withdrawn."""
        routes = [route for route in self._announced if ended(route)]
        stood = [self._announced[route] for route in routes if route not in self._withdrawn]
        for route in routes:
            self._forget(route)
        return stood

    def _forget(self, route: K) -> None:
        del self._announced[route]
        self._withdrawn.discard(route)
