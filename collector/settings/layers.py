"""The layers of the settings, file, environment and command line, and errors that name the place of a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from collector.errors import ConfigurationError
from collector.local_server import default_data_dir
from collector.settings.keys import PREFIX, description, paths, variables
from collector.settings.section import SettingsError
from schemas.faults import FieldPath, fault_of, spelled

S = TypeVar("S", bound=BaseModel)
TomlTable = dict[str, Any]
"""A table of a TOML file, before it is checked."""
_SHOWN = 60
_LONGEST = 200
_SHAPES = {
    "extra_forbidden": "is not a known key",
    "missing": "is missing",
    "model_type": "is not a table of keys",
    "tuple_type": "is not a list",
    "path_type": "is not a path in quotes",
    "string_type": "is not a text in quotes",
}
_SECTIONS = {
    "model_type": "write its keys below [NAME], those of a peer below [[peers]]; conf/collector.toml is an example",
    "tuple_type": "its tables are written one by one, each below [[NAME]], those of peers below [[peers]]; "
    "conf/collector.toml is an example",
}
_CURE = "see conf/collector.toml, which tells what each key means"
_URI, _URI_FILE = ("mongodb", "uri"), ("mongodb", "uri_file")
_SECRET = ("uri", "password_env", "password_file")


class Layers(Generic[S]):
    """Values as given, and where each came from.

    Args:
        root: the model that they are for.
    """

    def __init__(self, root: type[S]) -> None:
        self._root = root
        self.tree: TomlTable = {}
        self._origins: dict[FieldPath, str] = {}
        self._file: Path | None = None

    def lay(self, given: Mapping[tuple[str, ...], tuple[Any, str]]) -> None:
        """Put values, each with its origin, over existing ones; a store that is named replaces any other."""
        if section := self._section("mongodb") if given.keys() & {_URI, _URI_FILE} else None:
            section.pop("uri", None)
            section.pop("uri_file", None)
        for key, (value, origin) in given.items():
            self.put(key, value, origin)

    def store_options(self, data_dir: Path | None, uri: str | None, uri_file: Path | None) -> None:
        """Put the options that every command has; None: not given."""
        given = {
            ("data_dir",): ("--data-dir", data_dir and str(data_dir.absolute())),
            _URI: ("--mongodb-uri", uri),
            _URI_FILE: ("--mongodb-uri-file", uri_file and str(uri_file.absolute())),
        }
        self.lay({key: (value, option) for key, (option, value) in given.items() if value is not None})

    def validated(self, environ: Mapping[str, str]) -> S:
        """The settings.

        Raises:
            ConfigurationError: a value cannot be used; the message names file and key, never a secret.
        """
        self._read_uri()
        self.tree.setdefault("data_dir", default_data_dir(environ))
        try:
            return self._root.model_validate(self.tree)
        except ValidationError as error:
            raise self._explain(error.errors(include_url=False)) from None

    def _read_uri(self) -> None:
        """Read the URI from `mongodb.uri_file`.

        Raises:
            ConfigurationError: there is a URI as well, or the file cannot be read.
        """
        section = self._section("mongodb")
        path = section.get("uri_file")
        if not isinstance(path, str):
            return
        origin = self._origin(_URI_FILE)
        if "uri" in section:
            raise ConfigurationError(
                f"{origin}: mongodb.uri_file is given together with mongodb.uri", "keep one of them"
            )
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                f"{origin}: mongodb.uri_file {path} cannot be read: {error.strerror}",
                "write the MongoDB URI into it, readable for this user alone (chmod 600)",
            ) from None
        except ValueError as error:  # it is not UTF-8, or its name has a null character
            fault = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error}"
            raise ConfigurationError(
                f"{origin}: mongodb.uri_file {path} {fault}",
                "write the MongoDB URI into it, and nothing else",
            ) from None
        self.put(_URI, text, path)

    def _section(self, name: str) -> TomlTable:
        section = self.tree.get(name)
        return section if isinstance(section, dict) else {}

    def put(self, key: tuple[str, ...], value: Any, origin: str) -> None:
        """Put one value over an existing one."""
        section = self.tree
        for name in key[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):  # the value in the file is of another type, which validation reports
                return
        section[key[-1]] = value
        self._origins[key] = origin

    def file(self, path: Path) -> None:
        """Read a TOML file; its paths are relative to its directory.

        Raises:
            ConfigurationError: it cannot be read.
        """
        import tomllib

        self._file = path
        try:
            self.tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                f"the configuration {path} cannot be read: {error.strerror}",
                "name a file that is there and readable with --config; conf/collector.toml is an example",
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"the configuration {path} is not UTF-8 text", "save it as UTF-8") from None
        except (ValueError, RecursionError) as error:  # also for numbers with 5000 digits, and deeply nested lists
            raise ConfigurationError(
                f"{path} is not TOML: {str(error)[:_LONGEST]}", "correct that line; strings need quotes"
            ) from None
        for *names, key in paths(self._root):
            for section in _sections(self.tree, names):
                if isinstance(section.get(key), str):
                    section[key] = str(path.absolute().parent / _at_home(section[key], f"{path}: {key}"))

    def environment(self, environ: Mapping[str, str]) -> None:
        """Put the values of environment variables; paths are relative to the current directory.

        Raises:
            ConfigurationError: one that begins with BGPLEDGER_ is not a setting.
        """
        known = variables(self._root)
        for name in sorted(environ):
            if name.startswith(PREFIX) and name not in known:
                near = get_close_matches(name, known, 1, 0.0)[0]
                raise ConfigurationError(
                    f"the environment variable {name} is not a setting", f"unset it; the nearest is {near}"
                )
        given = {}
        of_paths = frozenset(paths(self._root))
        for name, key in known.items():
            if environ.get(name):
                value = str(Path(environ[name]).absolute()) if key in of_paths else environ[name]
                given[key] = (value, f"environment variable {name}")
        self.lay(given)

    def peer(self, text: str) -> None:
        """Add a peer, written as `ADDR,AS`.

        Raises:
            ConfigurationError: it is not written so.
        """
        address, comma, asn = text.partition(",")
        if not comma:
            raise ConfigurationError(f"--peer {text[:_SHOWN]!r} is not ADDR,AS", "such as --peer 192.0.2.1,64500")
        peers = self.tree.setdefault("peers", [])
        if isinstance(peers, list):
            self._origins["peers", len(peers)] = f"--peer {text[:_SHOWN]}"
            peers.append({"address": address.strip(), "asn": asn.strip(), "passive": True})

    def _explain(self, errors: list[ErrorDetails]) -> ConfigurationError:
        """The first error, with its place, its key and its cure."""
        error = errors[0]
        fault = fault_of(_without_secret(error), self._root)
        key, what, cure = fault.place, _SHAPES.get(error["type"], fault.what), fault.cure
        raised = error.get("ctx", {}).get("error")
        if isinstance(raised, SettingsError):
            key, cure = (*key, raised.key), raised.cure
        elif not cure:
            meaning = description(self._root, key)
            cure = f"{spelled(key)} is {meaning}" if meaning else _SECTIONS.get(error["type"], _CURE)
        return ConfigurationError(f"{self._origin(key)}: {spelled(key)} {what}", cure)

    def _origin(self, key: FieldPath) -> str:
        for length in range(len(key), 0, -1):
            if origin := self._origins.get(key[:length]):
                return origin
        return str(self._file) if self._file else "configuration"


def _at_home(text: str, place: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"{place} {text[:_SHOWN]!r}: that user has no home directory", "write the full path"
        ) from None


def _sections(tree: TomlTable, names: Sequence[str]) -> list[TomlTable]:
    """The tables at a path of names: none or one, or those of a list."""
    found = [tree]
    for name in names:
        inner = [section.get(name) for section in found]
        found = [one for some in inner for one in (some if isinstance(some, list) else [some]) if isinstance(one, dict)]
    return found


def _without_secret(error: ErrorDetails) -> ErrorDetails:
    """Without a value that must not be shown."""
    is_secret = (error["loc"] and error["loc"][-1] in _SECRET) or "@" in str(error["input"])
    return {**error, "input": None} if is_secret else error
