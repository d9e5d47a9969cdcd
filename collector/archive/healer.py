"""After a gap: asks the peer for its whole table again, so that its routes are certain once more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from collector.sources.source import Ask
from schemas.documents import Gap

_log = logging.getLogger(__name__)

_ROUTE_REFRESH = {2, 128}
"""RFC 2918, and the number that it had before."""
_MULTIPROTOCOL = 1
_PAUSE = 30.0
"""Between two requests to one peer, since each makes it send its whole table."""
_LONGEST_PAUSE = 86_400.0
"""What could not be read may come again with each table: the pause doubles, up to a day."""


class Healer:
    """Sends a route refresh to each peer that lost lines, if it is up and supports it.

    Args:
        ask: passes a request on; None where nobody can be asked.
    """

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._wanted: dict[str, Gap] = {}
        self._asked: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def want(self, gaps: Iterable[Gap]) -> None:
        """Take note of peers whose lines are lost. Peers of a range cannot be asked: ExaBGP has no name for them."""
        for gap in gaps:
            # What a router lost it sends again by itself (RFC 7854 3.3); of a feed nobody can be asked.
            if gap.peer and "/" not in gap.peer.address and gap.cause not in ("router", "feed"):
                # Lost lines do not wait as long as what may not be readable the next time either.
                if gap.cause == "reject":
                    self._wanted.setdefault(gap.peer.name, gap)
                else:
                    self._wanted[gap.peer.name] = gap

    def act(self, capabilities: Callable[[str], list[dict[str, object]] | None]) -> None:
        """Ask the peers that have not been asked recently.

        Args:
            capabilities: those that a peer of this name offered; None if its session is not up, [] if it is and they
                are not known.
        """
        for name, gap in list(self._wanted.items()):
            now, again = time.monotonic(), gap.cause == "reject"
            pause = self._pauses.get(name, _PAUSE) if again else _PAUSE
            if now - self._asked.get(name, float("-inf")) < pause:
                continue
            offered = capabilities(name)
            families = families_to_refresh(offered or []) if self._ask else []
            if self._ask and not all(self._ask(name, family) for family in families):
                continue
            del self._wanted[name]
            if offered is not None and not families:
                _log.warning("%s, and it cannot be asked for its routes: its next session mends them", _what(gap, name))
            if families:
                self._asked[name] = now
                self._pauses[name] = min(pause * 2, _LONGEST_PAUSE) if again else _PAUSE
                _log.warning("%s: asked it for its routes again", _what(gap, name))


def _what(gap: Gap, name: str) -> str:
    if gap.cause == "reject":
        return f"a line of {name} could not be read"
    if gap.cause == "session":
        return f"{name} speaks in a session that was not heard to begin, or to go on"
    return f"{'unknown' if gap.lines is None else gap.lines} lines of {name} are lost"


def families_to_refresh(capabilities: Iterable[dict[str, object]]) -> list[str]:
    """The families that a peer with these capabilities can be asked for again; none if it cannot be asked."""
    by_code = {capability.get("code"): capability for capability in capabilities}
    if not by_code.keys() & _ROUTE_REFRESH:
        return []
    families = by_code.get(_MULTIPROTOCOL, {}).get("families")
    named = families if isinstance(families, list) else ["ipv4/unicast"]
    return [str(family).replace("/", " ") for family in named]
