"""The keys of the settings by path, and their descriptions in the model.

`root` is the model of the settings: `collector.settings.model.Settings`, or one with fewer sections.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from schemas.faults import FieldPath

PREFIX = "BGPLEDGER_"
"""The prefix of environment variables."""


def keys(root: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key; in lists of tables without indexes: those of a peer as `peers`, KEY."""
    for name, field in root.model_fields.items():
        section = _model_of(field.annotation)
        if _is_model(section):
            yield from keys(section, (*prefix, name))
        else:
            yield (*prefix, name)


def variables(root: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """The environment variables that are read, and the keys that they stand for."""
    return {PREFIX + "_".join(key).upper(): key for key in keys(root) if not _is_list(root, key)}


def _is_list(root: type[BaseModel], key: FieldPath) -> bool:
    """Whether a key belongs to a list of tables, which no variable can set."""
    fields = (_section(root, key[:at]).model_fields[str(key[at])] for at in range(len(key) - 1))
    return any(get_origin(field.annotation) is tuple for field in fields)


def paths(root: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The keys whose values are paths, relative to the file that has them."""
    return (key for key in keys(root) if _holds_path(_section(root, key[:-1]).model_fields[key[-1]].annotation))


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(map(_holds_path, get_args(kind)))


def _section(root: type[BaseModel], key: FieldPath) -> type[BaseModel]:
    section: Any = root
    for name in key:
        if isinstance(name, str):
            section = _model_of(section.model_fields[name].annotation)
    model: type[BaseModel] = section
    return model


def _model_of(annotation: Any) -> Any:
    """The model of a section, even an optional one; of a value its type."""
    return next(filter(_is_model, get_args(annotation)), annotation)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def description(root: type[BaseModel], key: FieldPath) -> str | None:
    """A short description of a key's values; None if there is none, or no such key."""
    section: Any = root
    for name in (part for part in key if isinstance(part, str)):
        field = section.model_fields.get(name) if _is_model(section) else None
        if field is None:
            return None
        if field.description:
            return str(field.description)
        section = _model_of(field.annotation)
    return None
