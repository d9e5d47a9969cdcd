"""What all figures are measured with: an MRT file of one peer's table, and what becomes of it on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.generated import write_table
from collector.archive.session_tracker import SessionTracker
from collector.replay.player import PlannedPeer, plan
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import Place, to_document
from schemas.message import Message, Update
from schemas.message_parts import Withdrawn
from schemas.stored import UpdateDocument

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".bench"
"""Everything that is made on the way; `make clean` removes it."""
REAL = ROOT.parent / "shared" / "data" / "mrt" / "updates.et-header.2015.gz"
GENERATED_ROUTES = 500_000
COLLECTOR = "bench"


@dataclass(frozen=True)
class Table:
    """The file, and the one peer in it."""

    path: Path

    @cached_property
    def peer(self) -> PlannedPeer:
        """Whose table it is.

        Raises:
            SystemExit: the file has other peers as well.
        """
        peers = plan(self.path)
        if len(peers) != 1 or len(peers[0].sessions) != 1:
            raise SystemExit(f"{self.path}: one session of one peer is wanted, not of {len(peers)} peers")
        return peers[0]

    @cached_property
    def updates(self) -> int:
        """How many documents `updates` will have: End-of-RIB (RFC 4724) is an UPDATE on the wire only."""
        return sum(isinstance(message, Update) for message, _ in self.messages())

    @cached_property
    def routes(self) -> int:
        """How many announcements and withdrawals are in its UPDATEs."""
        return sum(_routes(message) for message, _ in self.messages())

    @cached_property
    def lines_path(self) -> Path:
        """Where the lines are that ExaBGP makes of it (`benchmarks.exabgp.record` writes them)."""
        digest = hashlib.blake2b(self.path.read_bytes(), digest_size=8).hexdigest()
        return WORK / f"{digest}.jsonl"

    @cached_property
    def lines(self) -> list[bytes]:
        """ExaBGP's lines, without their newlines."""
        return self.lines_path.read_bytes().splitlines()

    def messages(self) -> Iterator[tuple[Message, Place]]:
        """What the lines become, and where it belongs."""
        tracker = SessionTracker(EXABGP, COLLECTOR)
        for number, raw in enumerate(self.lines):
            message = decode(raw)
            if isinstance(message, Rejection):
                raise SystemExit(f"{self.lines_path}:{number + 1}: {message.reason}")
            yield message, tracker.follow(number, message)

    def documents(self) -> list[UpdateDocument]:
        """The documents of the collection `updates`."""
        return [to_document(message, place) for message, place in self.messages() if isinstance(message, Update)]


def find_table(mrt: str) -> Table:
    """The file that was asked for, or the real one, or a generated one where neither is there.

    Raises:
        SystemExit: the file that was asked for is not there.
    """
    WORK.mkdir(mode=0o700, exist_ok=True)
    if mrt:
        if not Path(mrt).is_file():
            raise SystemExit(f"MRT={mrt}: no such file")
        return Table(Path(mrt))
    if REAL.exists():
        return Table(REAL)
    generated = WORK / f"generated-{GENERATED_ROUTES}.mrt.gz"
    if not generated.exists():
        write_table(generated, GENERATED_ROUTES)
    return Table(generated)


def _routes(message: Message) -> int:
    if not isinstance(message, Update):
        return 0
    groups: list[Withdrawn] = [*(message.announce or ()), *(message.withdraw or ())]
    return sum(len(group.get("nlri", ())) for group in groups)
