"""Options that several commands share; where the data and the store are may stand before the command or after it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.present.names import AnswerFormat, EntryFormat, StatusFormat

if TYPE_CHECKING:
    from collector.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the collector keeps its files; also BGPLEDGER_DATA_DIR.", metavar="DIR"),
]
MongodbUri = Annotated[
    str | None,
    typer.Option(help="A MongoDB in place of the collector's own store; also BGPLEDGER_MONGODB_URI.", metavar="URI"),
]
MongodbUriFile = Annotated[
    Path | None,
    typer.Option(
        help="A file that holds this URI, as a password asks for; also BGPLEDGER_MONGODB_URI_FILE.",
        metavar="FILE",
        dir_okay=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="The configuration; without it, only BGPLEDGER_ variables count. See conf/collector.toml.",
        metavar="FILE",
        dir_okay=False,
    ),
]


FormatOfAnswers = Annotated[AnswerFormat, typer.Option("--format", help="How to print.")]
FormatOfEntries = Annotated[EntryFormat, typer.Option("--format", help="How to print.")]
FormatOfStatus = Annotated[StatusFormat, typer.Option("--format", help="How to print.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest N.", metavar="N")]


def _version(*, wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        sys.stdout.write(f"bgpledger {importlib.metadata.version('bgpledger')}\n")
        raise typer.Exit


def before_the_command(
    ctx: typer.Context,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
    version: Annotated[  # noqa: ARG001 - its callback has done all
        bool,
        typer.Option(
            "--version",
            help="Print the version, and exit.",
            callback=lambda wanted: _version(wanted=wanted),
            is_eager=True,
        ),
    ] = False,
) -> None:
    """An archive of BGP: every message of every router, asked about at any second of the past."""
    ctx.obj = {"data_dir": data_dir, "mongodb": (mongodb_uri, mongodb_uri_file)}


def chosen(
    ctx: typer.Context,
    data_dir: Path | None,
    mongodb_uri: str | None = None,
    mongodb_uri_file: Path | None = None,
    *,
    config: Path | None = None,
    **more: Any,
) -> Settings:
    """The settings, with what stands after the command over what stands before it.

    Raises:
        ConfigurationError: they are not valid.
    """
    from collector.settings import load

    if mongodb_uri is None and mongodb_uri_file is None:
        mongodb_uri, mongodb_uri_file = ctx.obj["mongodb"]
    if mongodb_uri is not None:
        _warn_of_a_password(mongodb_uri)
    return load(
        config,
        data_dir=data_dir or ctx.obj["data_dir"],
        mongodb_uri=mongodb_uri,
        mongodb_uri_file=mongodb_uri_file,
        **more,
    )


def _warn_of_a_password(uri: str) -> None:
    from collector.store.uri import redact

    if redact(uri) != uri:
        sys.stderr.write(
            "warning: every user of this machine can read the URI, password and all, on the command line (ps):"
            " give it by --mongodb-uri-file FILE, or by BGPLEDGER_MONGODB_URI\n"
        )
