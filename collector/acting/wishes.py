"""The protocol by which checks and attached commands submit what they want announced."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from schemas.intents import Order, Withdrawal


class Wishes(Protocol):
    """Takes what they want."""

    async def act(self, wish: Order | Withdrawal) -> object:
        """Carry it out. What is already announced, or already withdrawn, is not an error.

        Raises:
            BgpledgerError: it must not be, or cannot be now, and why.
        """

    def standing(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        """The ids of the intents of a source that stand and are of one of these NLRIs."""
