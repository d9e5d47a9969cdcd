"""The command `bgpledger`: one module a command; the only place that prints errors and exits.

Only the module of the requested command is imported, and the modules here import what they need inside their functions:
`bgpledger --help` must not wait for pydantic and pymongo to load, nor a query for twenty other commands.
"""

from __future__ import annotations

import gc
import io
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from collector.cli.command_client import answer_from_server
from collector.errors import BgpledgerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import typer


_OBJECTS_OF_A_START = 500_000
"""More than exist when a command has imported all that it needs; see `collector.cli.run_query.collect_rarely`."""


class _Command(NamedTuple):
    module: str
    help: str | None = None
    """One line of help; None for a module with several commands, which have their own."""
    function: str = "command"
    context: dict[str, Any] | None = None


_COMMANDS = {
    "run": _Command("run", "Run the collector, until Ctrl-C."),
    "serve": _Command("serve", "Serve pages and the HTTP API only."),
    "import": _Command("import_files", "Import MRT files and captures."),
    "export": _Command("export", "Write MRT, Parquet or pcap files for other programs."),
    "replay": _Command("replay", "Play an MRT update file into a BGP daemon."),
    "history": _Command("history", "What every peer said about a prefix."),
    "rib": _Command("rib", "Routes now, or at a past time.", "rib_command"),
    "lookup": _Command("rib", "Each peer's longest match for an address.", "lookup_command"),
    "diff": _Command("diff", "Which routes changed between two times."),
    "search": _Command("search", "Updates and sessions, by any filter."),
    "tail": _Command("tail", "Updates and sessions as they are stored."),
    "top": _Command("top", "Prefixes, origins, peers or paths by activity."),
    "announce": _Command("announce", "Announce prefixes to peers.", "announce_command"),
    "withdraw": _Command("announce", "Withdraw what we announce.", "withdraw_command"),
    "intents": _Command("intents", "What we announce, and who got it."),
    "convergence": _Command("convergence", "How long an announcement took to reach each peer."),
    "peers": _Command("peers", "The state of each peer, and since when."),
    "status": _Command("status", "State of the collector and its store."),
    "shell": _Command(
        "shell", "Start mongosh on the archive.", context={"allow_extra_args": True, "ignore_unknown_options": True}
    ),
    "verify": _Command("verify", "Check that every line is stored exactly once."),
    "demo": _Command("demo", "Show it all in a minute, on loopback."),
    "config": _Command("config"),
    "spool": _Command("spool"),
    "token": _Command("token"),
    "db": _Command("db"),
    "doctor": _Command("doctor", "Check this machine and the configuration."),
    "receive": _Command("receive", "Write ExaBGP's output to a spool (ExaBGP starts it)."),
    "receive-bmp": _Command("receive_bmp", "Write routers' BMP to a spool."),
    "receive-ris": _Command("receive_ris", "Write RIS Live messages to a spool."),
    "act": _Command("act", "Have ExaBGP announce what is ordered."),
    "relay": _Command("relay", "Pass commands to ExaBGP (ExaBGP starts it)."),
    "archive": _Command("archive", "Store what is in the spools."),
}


def make_app(names: Iterable[str] = tuple(_COMMANDS)) -> typer.Typer:
    """The command line with these commands."""
    import typer

    from collector.cli.options import before_the_command

    app = typer.Typer(
        name="bgpledger",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(before_the_command)
    for name in names:
        command = _COMMANDS[name]
        module = import_module(f"collector.cli.{command.module}")
        if command.help is None:
            app.add_typer(module.app, name=name)
        else:
            function = getattr(module, command.function)
            app.command(name, short_help=command.help, context_settings=command.context)(function)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; user errors become a line each for cause and cure, and an exit status.

    Queries are answered by the running collector, if there is one: see `collector.cli.command_client`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that is not valid text must not end an answer
            stream.reconfigure(errors="backslashreplace")
    # What is imported stays: searching it for cycles takes a tenth of the time of a query.
    gc.set_threshold(_OBJECTS_OF_A_START)
    # Searching all installed packages for pydantic plugins, of which we have none, takes another tenth.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _no_empty_texts(words)
        status = answer_from_server(words)
        sys.exit(_run(words) if status is None else status)
    except BgpledgerError as error:
        sys.stderr.write(error_text(error))
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough: no complaint, and no second one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _no_empty_texts(arguments: Sequence[str]) -> None:
    """Refuse an empty text: an unset shell variable must not mean "now" or "everything".

    Raises:
        UsageError: an argument is empty.
    """
    for before, text in zip(("", *arguments), arguments, strict=False):
        option, equals, value = text.partition("=")
        named = option if option.startswith("--") and equals and not value else before if not text else ""
        if not text or named:
            place = f"the value of {named}" if named.startswith("-") else "an argument"
            raise UsageError(
                f"{place} is empty", "give it a value, or leave it out; perhaps a shell variable is not set"
            )


def _run(words: Sequence[str]) -> int:
    """Run a command in this process; returns its exit status."""
    import typer

    app = make_app(words[:1]) if words and words[0] in _COMMANDS else make_app()
    try:
        done = app(args=words, standalone_mode=False)
    except typer.TyperException as error:
        _misused(error)
    if done is None or isinstance(done, int):
        return done or 0
    from collector.cli.run_query import answer

    answer(done)
    return 0


def error_text(error: BgpledgerError) -> str:
    """The text of an error."""
    cure = f"cure: {error.cure}\n" if error.cure else ""
    return f"error: {error.cause}\n{cure}"


def _misused(error: typer.TyperException) -> NoReturn:
    """Typer's message about an invalid command line, in our form."""
    message = error.format_message()
    if message.startswith("Usage:"):  # no arguments: the message is the help
        sys.stderr.write(f"{message}\n")
        sys.exit(error.exit_code)
    cause = (
        re.sub(r"Input (?=should)|Value error, |, unable to parse string as an integer", "", message)
        .rstrip(".")
        .replace("\n", " ")
    )
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else "bgpledger"
    sys.stderr.write(error_text(UsageError(f"{cause[:1].lower()}{cause[1:]}", f"see {path} --help")))
    sys.exit(error.exit_code)
