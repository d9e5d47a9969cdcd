"""A client of the acting process: sends it orders and queries over its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from collector.errors import BgpledgerError, CollectorError, RefusedError
from collector.sources.exabgp.files import acting_socket
from schemas.intents import Intent, Order, Withdrawal
from schemas.json_object import JsonObject
from schemas.order_answers import CheckedRoute, OrderedIntent

_SECONDS = 60.0
_LONGEST = 64 * 2**20


class ActingClient:
    """A client of the acting process of the collector on a data directory.

    Every method raises `RefusedError` if an order is refused, and `CollectorError` if no process takes it.

    Args:
        data_dir: the collector's.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = acting_socket(data_dir)

    async def announce(self, order: Order) -> Sequence[OrderedIntent]:
        """Order an announcement, which is on disk when this returns.

        Returns:
            The intents; for an order with many routes only their ids.
        """
        answer = await self._ask({"do": "announce", "order": order.model_dump(mode="json", exclude_defaults=True)})
        intents: Sequence[OrderedIntent] = answer["intents"]
        return intents

    async def would(self, order: Order) -> Sequence[CheckedRoute]:
        """The result of a dry run, route by route."""
        body = order.model_dump(mode="json", exclude_defaults=True)
        answer = await self._ask({"do": "announce", "order": body, "dry_run": True})
        would: Sequence[CheckedRoute] = answer["would"]
        return would

    async def withdraw(self, withdrawal: Withdrawal, *, dry_run: bool = False) -> list[Intent]:
        """Order a withdrawal: it is on disk when this returns.

        Args:
            withdrawal: what, who and why.
            dry_run: only return what would be withdrawn.

        Returns:
            The intents that it selects, the first thousand.
        """
        body = withdrawal.model_dump(mode="json", exclude_defaults=True)
        answer = await self._ask({"do": "withdraw", "withdrawal": body, "dry_run": dry_run})
        return [Intent.model_validate(one) for one in answer["intents"]]

    async def note_refused(self, order: JsonObject, error: BgpledgerError) -> None:
        """Record that an order, or a withdrawal, was refused before it was sent here."""
        await self._ask({"do": "note_refused", "order": order, "cause": error.cause, "cure": error.cure})

    async def intents(self, *, ended: bool = False) -> list[Intent]:
        """Intents that are current or in flight; with `ended` also those of the last day that ended. Needs no store."""
        return [Intent.model_validate(one) for one in (await self._ask({"do": "intents", "all": ended}))["intents"]]

    async def _ask(self, request: JsonObject) -> JsonObject:
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST)
                try:
                    writer.write(json.dumps(request).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
        except (FileNotFoundError, ConnectionRefusedError):
            raise CollectorError(
                f"no process accepts orders at {self._path}",
                "start the collector with an [announce] in its configuration (docs/acting.md), and name its --data-dir",
            ) from None
        except PermissionError:
            raise CollectorError(
                f"{self._path} may not be used by this user", "ask as the collector's user, or root"
            ) from None
        except (OSError, TimeoutError) as error:
            raise CollectorError(
                f"{self._path} does not answer: {error}", "see the collector's log; try again"
            ) from error
        return _taken(line)


def _taken(line: bytes) -> JsonObject:
    if not line:
        raise CollectorError("the acting process ended before it answered", "try again: what it accepted is on disk")
    answer = json.loads(line)
    if "refused" in answer:
        raise RefusedError(**answer["refused"])
    if "failed" in answer:
        raise CollectorError(**answer["failed"])
    taken: JsonObject = answer["ok"]
    return taken
