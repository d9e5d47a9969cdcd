"""`bgpledger rib` and `bgpledger lookup`: the routes that stand, or stood."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DataDir, MongodbUri, chosen
from collector.errors import UsageError

if TYPE_CHECKING:
    from collector.query.rib import RibQuery
    from collector.settings import Settings


class _Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"


At = Annotated[str | None, typer.Option(help="As it was then; without, as it is.", metavar="T")]
OfPeer = Annotated[str | None, typer.Option("--peer", "-j", help="Only of this peer.", metavar="ADDR")]
How = Annotated[_Format, typer.Option("--format", help="How to print.")]


def rib_command(
    ctx: typer.Context,
    prefix: Annotated[str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without, all routes.")] = None,
    at: At = None,
    peer: OfPeer = None,
    more_specific: Annotated[
        bool, typer.Option("--more-specific", "-S", help="And all prefixes that lie within it.")
    ] = False,
    less_specific: Annotated[
        bool, typer.Option("--less-specific", "-s", help="And all prefixes that it lies within.")
    ] = False,
    form: How = _Format.TABLE,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Show the routes as they stand, or stood at a time: of one prefix, or all.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed.
    """
    if more_specific and less_specific:
        raise UsageError("--more-specific and --less-specific stand together", "give one of them")
    if (more_specific or less_specific) and prefix is None:
        raise UsageError("more or less specific than what?", "give a prefix")
    question = _question(prefix, at, peer)
    if more_specific or less_specific:
        from dataclasses import replace

        question = replace(question, match="more_specific" if more_specific else "less_specific")
    _show(chosen(ctx, data_dir, mongodb_uri), question, form)


def lookup_command(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(help="An address, or a prefix.")],
    at: At = None,
    peer: OfPeer = None,
    form: How = _Format.TABLE,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Show the route that each peer would take to an address: its longest match, now or at a time."""
    from dataclasses import replace

    question = replace(_question(address, at, peer), match="longest")
    _show(chosen(ctx, data_dir, mongodb_uri), question, form)


def _question(prefix: str | None, at: str | None, peer: str | None) -> RibQuery:
    from collector.cli.asked import asked_moment, asked_peer, asked_prefix
    from collector.query.rib import RibQuery

    return RibQuery(asked_prefix(prefix) if prefix else None, at=asked_moment(at), peer=asked_peer(peer))


def _show(settings: Settings, question: RibQuery, form: _Format) -> None:
    import sys

    from collector.cli.asking import answer
    from collector.present.formats import Format
    from collector.query.rib import rib
    from schemas.query import Route

    if not answer(settings, lambda store: rib(store, question), Route, Format(form)):
        what = f"to {question.prefix} " if question.prefix else ""
        sys.stderr.write(f"no route {what}{'stood then' if question.at else 'stands'}\n")
