"""Decodes the lines of one spool: from the message's bytes if there are any, otherwise from JSON."""

from __future__ import annotations

from collections.abc import Iterable

from collector.sources.exabgp import from_bytes
from collector.sources.exabgp.agreements import Agreements
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.neighbours import Neighbours
from collector.sources.source import Rejection
from schemas.message import Message
from schemas.notes import SourceNote


class ExabgpDecoder:
    """See `collector.sources.source.Decoder`.

    Args:
        ranges: the configured peer ranges (`192.0.2.0/24`).
        note: the value of `note` at the position that reading starts from.
    """

    def __init__(self, ranges: Iterable[str], note: SourceNote) -> None:
        self._agreements = Agreements(Neighbours(ranges).name_of, note)

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode the next line, without its newline."""
        line = from_bytes.split(raw)
        if line is None:
            message = decode(raw)
        else:
            agreed = self._agreements.of(line.peer.address, line.pid, line.counter) if line.is_update else None
            message = from_bytes.read(line, agreed) or decode(raw)
        if not isinstance(message, Rejection):
            self._agreements.follow(message)
        elif line is not None:
            self._agreements.count(line.peer.address, line.pid, line.counter)
        return message

    def note(self) -> SourceNote:
        """What must be remembered over a restart: how to decode the messages of current sessions."""
        return self._agreements.note()
