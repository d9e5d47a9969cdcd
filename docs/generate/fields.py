"""The fields of models as tables, read from the source: their names, types, and the docstrings below them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Field(NamedTuple):
    """A field of a document."""

    name: str
    """As it is stored."""
    type: str
    required: bool
    about: str


class Model(NamedTuple):
    """A class with fields, or a type that has a name and a docstring."""

    about: str
    bases: tuple[str, ...]
    fields: tuple[Field, ...]


_PLAIN = {
    "Key": "ObjectId",
    "Timestamp": "date",
    "datetime": "date",
    "str": "string",
    "bytes": "binary",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Any": "anything",
    "Asn": "integer",
    "Uint32": "integer",
    "Family": "string",
}
"""What people in the Mongo shell call these."""


def read_models(files: list[Path]) -> dict[str, Model]:
    """Every class of these files, by its name."""
    found: dict[str, Model] = {}
    for file in files:
        body = ast.parse(file.read_text()).body
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = Model(
                    ast.get_docstring(node) or "",
                    tuple(base.id for base in node.bases if isinstance(base, ast.Name)),
                    tuple(_fields(node.body)),
                )
    return found


def read_names(files: list[Path]) -> dict[str, tuple[str, str]]:
    """Every type of these files that is given a name (`GapCause = Literal[...]`): what it is, and its docstring."""
    found: dict[str, tuple[str, str]] = {}
    for file in files:
        body = ast.parse(file.read_text()).body
        for node, behind in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = ast.unparse(node.value), _text(behind)
    return found


def _text(node: ast.stmt | None) -> str:
    """A docstring that stands by itself, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _fields(body: list[ast.stmt]) -> Iterator[Field]:
    for node, behind in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            written = ast.unparse(node.annotation)
            if written.startswith("ClassVar"):
                continue
            alias = re.search(r"alias='(\w+)'", written + (ast.unparse(node.value) if node.value else ""))
            required = node.value is None and not written.startswith("NotRequired")
            kind = re.sub(r"^Annotated\[(.*?), .*\]$", r"\1", written)
            kind = re.sub(r"^NotRequired\[(.*)\]$", r"\1", kind)
            yield Field(alias[1] if alias else node.target.id, kind, required, _text(behind))


def all_fields(models: Mapping[str, Model], name: str) -> list[Field]:
    """A model's fields with those that it inherits, which stand first; a field that is declared again stands once."""
    found: dict[str, Field] = {}
    for base in models[name].bases:
        if base in models:
            found.update({field.name: field for field in all_fields(models, base)})
    found.update({field.name: field for field in models[name].fields})
    return list(found.values())


def table(files: list[Path], name: str, without: str = "") -> str:
    """A model in Markdown: its docstring, and a table of its fields but for one.

    Raises:
        KeyError: these files have no such model.
    """
    models, names = read_models(files), read_names(files)
    lines = [" ".join(models[name].about.split("\n\n")[0].split()), "", "| field | type | |", "| --- | --- | --- |"]
    for field in all_fields(models, name):
        if field.name == without:
            continue
        about = field.about
        inner = field.type.removesuffix(" | None")
        if inner in names and inner not in _PLAIN:
            inner, more = names[inner]
            about = f"{about} {more}".strip()
        kind = _kind(inner, models)
        if field.type.endswith(" | None"):
            kind += ", may be absent"
        lines.append(f"| `{field.name}` | {kind} | {about.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _kind(written: str, models: Mapping[str, Model]) -> str:
    """A type in the words of the Mongo shell; a model of ours is a link to its heading."""
    if written.startswith("Literal["):
        return " or ".join(f"`{value.strip(chr(39))}`" for value in written[8:-1].split(", "))
    if written.startswith("list["):
        return f"array of {_kind(written[5:-1], models)}"
    if written.startswith(("dict[", "Mapping[")):
        return "object"
    if " | " in written:
        return " or ".join(_kind(part, models) for part in written.split(" | ") if part != "None")
    written = written.removeprefix("Stored")  # as documents hold it: the model of that name says what it is
    if written in models:
        return f"[{written}](#{re.sub(r'(?<!^)(?=[A-Z])', '', written).lower()})"
    return _PLAIN.get(written, f"`{written}`")
