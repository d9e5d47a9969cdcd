"""Where those who decide by themselves what is announced, checks and attached commands, hand in what they want."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from schemas.intents import Order, Withdrawal


class Wishes(Protocol):
    """Takes what they want."""

    async def act(self, wish: Order | Withdrawal) -> object:
        """See to it. What stands already, and what does not stand any more, is no fault.

        Raises:
            BgpledgerError: it must not be, or cannot be now, and why.
        """

    def standing(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        """The ids of the intents of a source that stand and are of one of these NLRIs."""
