"""`bgpledger diff`: what became of the routes between two times."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from collector.cli.options import DataDir, MongodbUri, chosen
from collector.errors import UsageError


class _Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"


def command(
    ctx: typer.Context,
    earlier: Annotated[str, typer.Argument(metavar="T1", help="A time.")],
    later: Annotated[str, typer.Argument(metavar="T2", help="A later one.")],
    prefix: Annotated[str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without, all routes.")] = None,
    peer: Annotated[str | None, typer.Option("--peer", "-j", help="Only of this peer.", metavar="ADDR")] = None,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = _Format.TABLE,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Show which routes appeared, went or changed between two times, and what is another about them.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed.
    """
    import sys

    from collector.cli.asked import asked_moment, asked_peer, asked_prefix
    from collector.cli.asking import answer
    from collector.present.formats import Format
    from collector.query.diff import diff
    from collector.query.rib import RibQuery
    from schemas.query import RouteChange

    first, second = asked_moment(earlier), asked_moment(later)
    if first is None or second is None or second <= first:
        raise UsageError(f"{later!r} is not after {earlier!r}", "give the earlier time first")
    question = RibQuery(asked_prefix(prefix) if prefix else None, peer=asked_peer(peer))
    settings = chosen(ctx, data_dir, mongodb_uri)
    if not answer(settings, lambda store: diff(store, question, first, second), RouteChange, Format(form)):
        sys.stderr.write("nothing is another than before\n")
