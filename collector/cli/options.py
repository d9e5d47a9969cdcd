"""Options that several commands share; `--data-dir` and `--mongodb-uri` may stand before the command or after it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
Config = Annotated[
    Path | None,
    typer.Option(
        help="The configuration; without it, only BGPLEDGER_ variables count. See conf/collector.toml.",
        metavar="FILE",
        dir_okay=False,
    ),
]


class AnswerFormat(StrEnum):
    """How any answers can be printed, and reports."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PSV = "psv"


class EntryFormat(StrEnum):
    """How entries can be printed, and routes."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PSV = "psv"
    BGPDUMP = "bgpdump"
    BGPREADER = "bgpreader"


class StatusFormat(StrEnum):
    """How a status can be printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PSV = "psv"
    PROMETHEUS = "prometheus"


FormatOfAnswers = Annotated[AnswerFormat, typer.Option("--format", help="How to print.")]
FormatOfEntries = Annotated[EntryFormat, typer.Option("--format", help="How to print.")]
FormatOfStatus = Annotated[StatusFormat, typer.Option("--format", help="How to print.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest N.", metavar="N")]


def _version(*, wanted: bool) -> None:
    if wanted:
        import importlib.metadata
        import sys

        sys.stdout.write(f"bgpledger {importlib.metadata.version('bgpledger')}\n")
        raise typer.Exit


def before_the_command(
    ctx: typer.Context,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
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
    ctx.obj = {"data_dir": data_dir, "mongodb_uri": mongodb_uri}


def chosen(
    ctx: typer.Context,
    data_dir: Path | None,
    mongodb_uri: str | None,
    *,
    config: Path | None = None,
    **more: Any,
) -> Settings:
    """The settings, with what stands after the command over what stands before it.

    Raises:
        ConfigurationError: they are not valid.
    """
    from collector.settings import load

    return load(
        config,
        data_dir=data_dir or ctx.obj["data_dir"],
        mongodb_uri=mongodb_uri or ctx.obj["mongodb_uri"],
        **more,
    )
