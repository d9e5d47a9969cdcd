"""Options that several commands share; those for the data directory and the store may come before the command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from collector.errors import UsageError
from collector.present.names import AnswerFormat, EntryFormat, StatusFormat

if TYPE_CHECKING:
    from collector.query.filters import PrefixMatch
    from collector.settings.model import Settings
    from collector.settings.store import StoreSettings

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the collector keeps its files; also BGPLEDGER_DATA_DIR.", metavar="DIR"),
]
MongodbUri = Annotated[
    str | None,
    typer.Option(help="A MongoDB instead of the collector's own store; also BGPLEDGER_MONGODB_URI.", metavar="URI"),
]
MongodbUriFile = Annotated[
    Path | None,
    typer.Option(
        help="A file with this URI, if it has a password; also BGPLEDGER_MONGODB_URI_FILE.",
        metavar="FILE",
        dir_okay=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="The configuration file; without it, only BGPLEDGER_ variables apply. See conf/collector.toml.",
        metavar="FILE",
        dir_okay=False,
    ),
]


FormatOfAnswers = Annotated[AnswerFormat, typer.Option("--format", help="Output format.")]
FormatOfEntries = Annotated[EntryFormat, typer.Option("--format", help="Output format.")]
FormatOfStatus = Annotated[StatusFormat, typer.Option("--format", help="Output format.")]
MoreSpecific = Annotated[bool | None, typer.Option("--more-specific", "-S", help="Also all prefixes within it.")]
LessSpecific = Annotated[bool | None, typer.Option("--less-specific", "-s", help="Also all prefixes that cover it.")]
ExabgpInstance = Annotated[
    int, typer.Option(min=0, max=15, help="The number of the ExaBGP process that starts this, if there are several.")
]
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
    """An archive of BGP: every message of every router, queried for any second of the past."""
    ctx.obj = {"data_dir": data_dir, "mongodb": (mongodb_uri, mongodb_uri_file)}


def prefix_match(more_specific: bool | None, less_specific: bool | None) -> PrefixMatch | None:
    """The match that two options select; None if neither is given.

    Raises:
        UsageError: both are given.
    """
    if more_specific and less_specific:
        raise UsageError("--more-specific and --less-specific exclude each other", "give one of them")
    return "more_specific" if more_specific else "less_specific" if less_specific else None


_WHERE = {"data_dir": DataDir, "mongodb_uri": MongodbUri, "mongodb_uri_file": MongodbUriFile}


def with_settings(command: Callable[..., Any], *, config: bool = False) -> Callable[..., Any]:
    """Give a command the options for data directory and store; it gets the resulting settings as `settings`.

    Args:
        command: the command to wrap; takes `settings`.
        config: include --config.
    """
    options = {"ctx": typer.Context, **({"config": Config} if config else {}), **_WHERE}
    return with_options(command, "settings", options, chosen, last=True)


class Where(NamedTuple):
    """The data directory and store that a command was given."""

    ctx: typer.Context
    data_dir: Path | None
    mongodb_uri: str | None
    mongodb_uri_file: Path | None

    def settings(self) -> StoreSettings:
        """The resulting settings.

        Raises:
            ConfigurationError: they are not valid.
        """
        from collector.settings.load_store import load_store

        uri, uri_file = _store_options(self.ctx, self.mongodb_uri, self.mongodb_uri_file)
        return load_store(data_dir=self.named_data_dir, mongodb_uri=uri, mongodb_uri_file=uri_file)

    @property
    def names_a_store(self) -> bool:
        """Whether it names another store than the collector's."""
        return any((self.mongodb_uri, self.mongodb_uri_file, *self.ctx.obj["mongodb"]))

    @property
    def named_data_dir(self) -> Path | None:
        """The data directory, if one is named."""
        return self.data_dir or self.ctx.obj["data_dir"]


def query_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for data directory and store, which it gets as `where`; it does no query itself.

    Args:
        command: the command to wrap; takes `where`.
    """
    return with_options(command, "where", {"ctx": typer.Context, **_WHERE}, Where, last=True)


def with_options(
    command: Callable[..., Any],
    instead_of: str,
    options: Mapping[str, Any],
    make: Callable[..., Any],
    *,
    last: bool = False,
) -> Callable[..., Any]:
    """Replace an argument of a command by options.

    Args:
        command: the command to wrap.
        instead_of: the argument's name.
        options: the options' annotations by name; all options are optional.
        make: makes the argument from the options' values, passed by name.
        last: list these options after the command's own in the help, and not before.
    """

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name) for name in options}
        return command(*args, **{instead_of: make(**values)}, **kwargs)

    own = inspect.signature(command, eval_str=True)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]
    parameters = [parameter for name, parameter in own.parameters.items() if name != instead_of]
    first = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
    rest = [parameter for parameter in parameters if parameter.default is not inspect.Parameter.empty]
    order = (*first, *rest, *extra) if last else (*first, *extra, *rest)
    together = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in order]
    wrapped.__signature__ = own.replace(parameters=together)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in together}
    return wrapped


def chosen(
    ctx: typer.Context,
    data_dir: Path | None,
    mongodb_uri: str | None = None,
    mongodb_uri_file: Path | None = None,
    *,
    config: Path | None = None,
    **more: Any,
) -> Settings:
    """The settings; options after the command override those before it.

    Raises:
        ConfigurationError: they are not valid.
    """
    from collector.settings.load import load

    uri, uri_file = _store_options(ctx, mongodb_uri, mongodb_uri_file)
    return load(config, data_dir=data_dir or ctx.obj["data_dir"], mongodb_uri=uri, mongodb_uri_file=uri_file, **more)


def _store_options(ctx: typer.Context, uri: str | None, uri_file: Path | None) -> tuple[str | None, Path | None]:
    """The URI and the file with a URI that a command was given, after its name or before; warns of a password."""
    if uri is None and uri_file is None:
        uri, uri_file = ctx.obj["mongodb"]
    if uri is not None:
        _warn_of_a_password(uri)
    return uri, uri_file


def _warn_of_a_password(uri: str) -> None:
    from collector.store.uri import redact

    if redact(uri) != uri:
        sys.stderr.write(
            "warning: every user of this machine can read the URI, password and all, on the command line (ps):"
            " give it by --mongodb-uri-file FILE, or by BGPLEDGER_MONGODB_URI\n"
        )
