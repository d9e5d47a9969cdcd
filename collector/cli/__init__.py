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
