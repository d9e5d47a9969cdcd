"""The command `bgpledger`: one module a command; the only place that prints errors and exits.

The modules here import what they need inside their functions: `bgpledger --help` must not wait for pydantic
and pymongo to load.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from collector.cli import (
    archive,
    config,
    db,
    demo,
    diff,
    doctor,
    history,
    peers,
    receive,
    replay,
    rib,
    run,
    search,
    spool,
    status,
    tail,
    top,
    verify,
)
from collector.cli.options import before_the_command
from collector.errors import BgpledgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="bgpledger",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(before_the_command)
app.command("run")(run.command)
app.command("replay")(replay.command)
app.command("history")(history.command)
app.command("rib")(rib.rib_command)
app.command("lookup")(rib.lookup_command)
app.command("diff")(diff.command)
app.command("search")(search.command)
app.command("tail")(tail.command)
app.command("top")(top.command)
app.command("peers")(peers.command)
app.command("status")(status.command)
app.command("verify")(verify.command)
app.command("demo")(demo.command)
app.add_typer(config.app, name="config")
app.add_typer(spool.app, name="spool")
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.command)
app.command("receive")(receive.command)
app.command("archive")(archive.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; turn our errors into a line each for cause and cure, and an exit status."""
    try:
        app(args=arguments)
    except BgpledgerError as error:
        sys.stderr.write(f"error: {error.cause}\n")
        if error.cure:
            sys.stderr.write(f"cure: {error.cure}\n")
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough: no complaint, and no second one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
