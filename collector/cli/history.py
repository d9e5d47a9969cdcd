"""`bgpledger history`: what happened to one prefix."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DataDir, MongodbUri, chosen
from collector.errors import UsageError

if TYPE_CHECKING:
    from collector.query.history import HistoryQuery


class _Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"


def command(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(help="An IPv4 or IPv6 prefix; an address is its own /32 or /128.")],
    start: Annotated[str | None, typer.Option(help="From this time on.", metavar="T")] = None,
    end: Annotated[str | None, typer.Option(help="Before this time.", metavar="T")] = None,
    peer: Annotated[str | None, typer.Option(help="Only of this peer.", metavar="ADDR")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest N.", metavar="N")] = None,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = _Format.TABLE,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Show what every peer said of a prefix, oldest first, and the session ends that took it away.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed.
    """
    import sys

    from collector.cli.asking import answer
    from collector.present.formats import Format
    from collector.query.history import history, newest
    from schemas.query import HistoryEntry

    question = _question(prefix, start, end, peer)
    count = answer(
        chosen(ctx, data_dir, mongodb_uri),
        lambda store: newest(history(store, question), limit),
        HistoryEntry,
        Format(form),
    )
    if not count:
        sys.stderr.write(f"nothing is known of {question.prefix}{' in this span' if start or end else ''}\n")


def _question(prefix: str, start: str | None, end: str | None, peer: str | None) -> HistoryQuery:
    from collector.cli.asked import asked_moment, asked_peer, asked_prefix
    from collector.query.history import HistoryQuery

    question = HistoryQuery(
        asked_prefix(prefix), start=asked_moment(start), end=asked_moment(end), peer=asked_peer(peer)
    )
    if question.start and question.end and question.end <= question.start:
        raise UsageError(f"--end ({end}) is not after --start ({start})", "swap them, or leave one out")
    return question
