"""The command `bgpledger`: one module a command; the only place that prints errors and exits.

The modules here import what they need inside their functions: `bgpledger --help` must not wait for pydantic
and pymongo to load.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

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
    shell,
    spool,
    status,
    tail,
    top,
    verify,
)
from collector.cli.options import before_the_command
from collector.errors import BgpledgerError, UsageError

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
app.command("run", short_help="Collect, until Ctrl-C.")(run.command)
app.command("replay", short_help="Play an MRT update file into a BGP daemon.")(replay.command)
app.command("history", short_help="What every peer said of a prefix.")(history.command)
app.command("rib", short_help="The routes as they stand, or stood at a time.")(rib.rib_command)
app.command("lookup", short_help="Each peer's longest match of an address.")(rib.lookup_command)
app.command("diff", short_help="Which routes changed between two times.")(diff.command)
app.command("search", short_help="Updates and sessions, by any filter.")(search.command)
app.command("tail", short_help="Updates and sessions as they are stored.")(tail.command)
app.command("top", short_help="Of what most was said.")(top.command)
app.command("peers", short_help="The state of each peer, and since when.")(peers.command)
app.command("status", short_help="How the collector and its store do.")(status.command)
app.command(
    "shell",
    short_help="mongosh on the archive.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(shell.command)
app.command("verify", short_help="Whether every line is stored, once.")(verify.command)
app.command("demo", short_help="Show it all in a minute, on this machine alone.")(demo.command)
app.add_typer(config.app, name="config")
app.add_typer(spool.app, name="spool")
app.add_typer(db.app, name="db")
app.command("doctor", short_help="What is missing here, and the cure.")(doctor.command)
app.command("receive", short_help="What ExaBGP starts, to write the spool.")(receive.command)
app.command("archive", short_help="Store what is spooled, without ExaBGP.")(archive.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; turn every error of a user into a line each for cause and cure, and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that is no text must not end an answer
            stream.reconfigure(errors="backslashreplace")
    try:
        _no_empty_texts(sys.argv[1:] if arguments is None else arguments)
        sys.exit(app(args=arguments, standalone_mode=False) or 0)
    except BgpledgerError as error:
        _fail(error.cause, error.cure, error.exit_status)
    except typer.TyperException as error:
        _misused(error)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough: no complaint, and no second one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _no_empty_texts(arguments: Sequence[str]) -> None:
    """Refuse an empty text: a shell's variable that is not set must not mean "now" or "everything".

    Raises:
        UsageError: there is one.
    """
    for before, text in zip(("", *arguments), arguments, strict=False):
        option, equals, value = text.partition("=")
        named = option if option.startswith("--") and equals and not value else before if not text else ""
        if not text or named:
            place = f"the value of {named}" if named.startswith("-") else "an argument"
            raise UsageError(
                f"{place} is empty", "give it a value, or leave it out; is a variable of the shell not set?"
            )


def _fail(cause: str, cure: str, status: int) -> NoReturn:
    sys.stderr.write(f"error: {cause}\n")
    if cure:
        sys.stderr.write(f"cure: {cure}\n")
    sys.exit(status)


def _misused(error: typer.TyperException) -> NoReturn:
    """What typer says of a command line that it cannot read, in our form."""
    said = error.format_message()
    if said.startswith("Usage:"):  # nothing was typed: the help is the answer
        sys.stderr.write(f"{said}\n")
        sys.exit(error.exit_code)
    cause = (
        re.sub(r"Input (?=should)|Value error, |, unable to parse string as an integer", "", said)
        .rstrip(".")
        .replace("\n", " ")
    )
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else "bgpledger"
    _fail(f"{cause[:1].lower()}{cause[1:]}", f"see {path} --help", error.exit_code)
