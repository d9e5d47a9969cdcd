"""Writes changed intents and refusals to the store, after the journal; nothing waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from collector.acting.book import Book
from collector.errors import StoreError
from collector.retry import pauses
from collector.store.mongo import Store
from schemas.intent_documents import intent_document, refusal_document
from schemas.intents import Refusal

_log = logging.getLogger(__name__)

_AT_ONCE = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_REST_SECONDS = 0.5
"""The pause after a write: an intent changes three times within milliseconds, and archiving comes first."""


class Mirror:
    """Writes what changed, each document whole: repeating a write changes nothing.

    Args:
        book: the intents to write.
        mirrored: called with the record up to which the store has everything.
    """

    def __init__(self, book: Book, mirrored: Callable[[int], None]) -> None:
        self._book, self._mirrored = book, mirrored
        self._changed = {number for number, entry in book.entries.items() if entry.revision > book.mirrored}
        self._refusals: list[Refusal] = list(book.refusals)
        self._is_prepared = False
        self._wake = asyncio.Event()
        self._wake.set()

    def changed(self, numbers: Sequence[int]) -> None:
        """These intents have changed."""
        if numbers:
            self._changed.update(numbers)
            self._wake.set()

    def refused(self, refusals: Sequence[Refusal]) -> None:
        """These orders have been refused."""
        if refusals:
            self._refusals += refusals
            self._wake.set()

    async def run(self, store: Store) -> None:
        """Write until cancelled; retry while the store is unreachable."""
        waits, is_away = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.2), False
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write(store)
            except StoreError as error:
                if not is_away:
                    _log.warning("intents are kept on disk: %s", error.cause)
                is_away = True
                self._wake.set()
                await asyncio.sleep(next(waits))
            else:
                if is_away:
                    _log.info("the store has all intents again")
                waits, is_away = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.2), False
                await asyncio.sleep(_REST_SECONDS)

    async def until_written(self, seconds: float) -> None:
        """Wait until the store has all changes, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._changed or self._refusals:
                    await asyncio.sleep(0.01)

    async def _write(self, store: Store) -> None:
        if not self._is_prepared:
            await store.prepare()
            self._is_prepared = True
        revision, found = self._book.revision, bool(self._changed or self._refusals)
        while self._changed:
            numbers = sorted(self._changed)[:_AT_ONCE]
            self._changed.difference_update(numbers)
            try:
                await store.replace("intents", [intent_document(self._book.entries[one].shown()) for one in numbers])
            except BaseException:
                self._changed.update(numbers)
                raise
        while self._refusals:
            part = self._refusals[:_AT_ONCE]
            await store.insert("refusals", [refusal_document(one) for one in part])
            del self._refusals[: len(part)]
        if found and not self._changed:
            self._mirrored(revision)
