"""`bgpledger token`: tokens for the HTTP API."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from collector.cli.options import DataDir, FormatOfAnswers, chosen

app = typer.Typer(help="Create, list and remove tokens for the HTTP API.", no_args_is_help=True)

_Name = Annotated[str, typer.Option(help="Who or what it is for.", metavar="NAME")]


@app.command(short_help="Create a token, and print it.")
def add(
    ctx: typer.Context,
    name: _Name,
    scope: Annotated[
        Literal["read", "announce"], typer.Option(help="What it allows: read, or also announce and withdraw.")
    ] = "read",
    prefix: Annotated[
        list[str] | None,
        typer.Option(
            help="With announce: only these, such as '203.0.113.0/24 le 32'; may be repeated.", metavar="RANGE"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="With announce: the maximum number of routes at once.", min=1, metavar="N")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="With announce: the maximum number of orders a second.", min=0.001, metavar="N")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a token and print it, only this once: just its hash is kept.

    A program sends it as `Authorization: Bearer TOKEN`, or as the password of any user; a browser signs in with it.
    """
    import sys

    from collector.http.tokens import Bounds, add

    bounds = Bounds(prefix or (), limit, rate)
    sys.stdout.write(f"{add(chosen(ctx, data_dir).data_dir, name, scope, bounds)}\n")


@app.command("list", short_help="List the tokens.")
def list_tokens(ctx: typer.Context, form: FormatOfAnswers = "table", data_dir: DataDir = None) -> None:
    """List the tokens, and when each was created."""
    import sys

    from collector.cli.run_query import show
    from collector.http.tokens import tokens
    from schemas.status import Token

    found = tokens(chosen(ctx, data_dir).data_dir)
    show(found, Token, form)
    if not found:
        sys.stderr.write("there are no tokens\n")


@app.command(short_help="Remove a token.")
def remove(ctx: typer.Context, name: _Name, data_dir: DataDir = None) -> None:
    """Remove a token: it is refused from now on."""
    from collector.http.tokens import remove

    remove(chosen(ctx, data_dir).data_dir, name)
