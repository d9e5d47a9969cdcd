"""The protocol by which checks and attached commands submit their orders."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from schemas.intents import Order, Withdrawal


class OrderSink(Protocol):
    """Takes their orders."""

    async def submit(self, order: Order | Withdrawal) -> object:
        """Carry out an order. What is already announced, or already withdrawn, is not an error.

        Raises:
            BgpledgerError: it is not allowed, or not possible now, and why.
        """

    def current_ids(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        """The ids of a source's current intents for any of these NLRIs."""
