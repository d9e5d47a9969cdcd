"""After a gap, requests the peer's whole table again, so that its routes are certain again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from collector.bgp.families import offered_families
from collector.sources.source import Ask
from schemas.documents import Gap
from schemas.message_parts import Capability

_log = logging.getLogger(__name__)

_ROUTE_REFRESH = {2, 128}
"""The capability code of RFC 2918, and the one used before it was assigned."""
_PAUSE = 30.0
"""Seconds between two requests to one peer, since each makes it send its whole table."""
_LONGEST_PAUSE = 86_400.0
"""A table may contain the same unreadable message each time, so the pause doubles, up to a day."""


class Healer:
    """Sends a route refresh to each peer that lost lines, if it is up and supports it.

    Args:
        ask: sends a request; None where no peer can be asked.
    """

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._wanted: dict[str, Gap] = {}
        self._requested: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def want(self, gaps: Iterable[Gap]) -> None:
        """Remember peers whose lines were lost. Peers of a range cannot be asked: ExaBGP has no name for them."""
        for gap in gaps:
            # A BMP router sends what it lost again by itself (RFC 7854 3.3); a feed has no way to request it.
            if gap.peer and "/" not in gap.peer.address and gap.cause not in ("router", "feed"):
                # Lost lines need not wait as long as lines that may be unreadable again.
                if gap.cause == "reject":
                    self._wanted.setdefault(gap.peer.name, gap)
                else:
                    self._wanted[gap.peer.name] = gap

    def act(self, capabilities: Callable[[str], list[Capability] | None]) -> None:
        """Request the tables of peers that have not been asked recently.

        Args:
            capabilities: returns those that the peer of this name offered; None if its session is not up, [] if it is
                and they are not known.
        """
        for name, gap in list(self._wanted.items()):
            now, again = time.monotonic(), gap.cause == "reject"
            pause = self._pauses.get(name, _PAUSE) if again else _PAUSE
            if now - self._requested.get(name, float("-inf")) < pause:
                continue
            offered = capabilities(name)
            families = families_to_refresh(offered or []) if self._ask else []
            if self._ask and not all(self._ask(name, family) for family in families):
                continue
            del self._wanted[name]
            if offered is not None and not families:
                _log.warning("%s, and it cannot send its routes again: its next session will", _what(gap, name))
            if families:
                self._requested[name] = now
                self._pauses[name] = min(pause * 2, _LONGEST_PAUSE) if again else _PAUSE
                _log.warning("%s: requested its routes again", _what(gap, name))


def _what(gap: Gap, name: str) -> str:
    if gap.cause == "reject":
        return f"a line of {name} could not be read"
    if gap.cause == "session":
        return f"{name} speaks in a session that was not heard to begin, or to go on"
    return f"{'unknown' if gap.lines is None else gap.lines} lines of {name} are lost"


def families_to_refresh(capabilities: Iterable[Capability]) -> list[str]:
    """The families that can be requested from a peer with these capabilities; empty if none can."""
    offered = list(capabilities)
    if not any(capability.get("code") in _ROUTE_REFRESH for capability in offered):
        return []
    families = offered_families(offered)
    return ["ipv4 unicast"] if families is None else families
