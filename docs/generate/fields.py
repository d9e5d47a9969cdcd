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
    """As it is written, without what wraps it: `NotRequired`, `Annotated`, `| None`."""
    may_be_absent: bool
    about: str


class Model(NamedTuple):
    """A class with fields."""

    about: str
    """The first paragraph of its docstring."""
    described_by: str | None
    """Another model that its docstring names (``see `schemas.message.Update` ``), whose words are for this one too."""
    bases: tuple[str, ...]
    fields: tuple[Field, ...]


class Schemas(NamedTuple):
    """What the files say."""

    models: Mapping[str, Model]
    names: Mapping[str, tuple[str, str]]
    """Types that were given a name (`GapCause = Literal[...]`): what each is, and its docstring."""


_PLAIN = {
    "ObjectId": "ObjectId",
    "datetime": "date",
    "AwareDatetime": "date",
    "str": "string",
    "bytes": "binary",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Any": "anything",
}
"""What people in the Mongo shell call these."""
_JSON = {"True": "true", "False": "false"}


def read(files: list[Path]) -> Schemas:
    """Every class of these files, and every type that has a name there."""
    models: dict[str, Model] = {}
    names: dict[str, tuple[str, str]] = {}
    for file in files:
        body = ast.parse(file.read_text()).body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.ClassDef):
                models[node.name] = _model(node)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names[node.targets[0].id] = ast.unparse(node.value), _text(following)
    return Schemas(models, names)


def _model(node: ast.ClassDef) -> Model:
    about = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    described_by = re.search(r"; see `(?:[\w.]+\.)?(\w+)`", about)
    total = not any(one.arg == "total" and ast.unparse(one.value) == "False" for one in node.keywords)
    bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
    return Model(about, described_by and described_by[1], bases, tuple(_fields(node.body, total=total)))


def _text(node: ast.stmt | None) -> str:
    """A docstring that stands by itself, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _fields(body: list[ast.stmt], *, total: bool) -> Iterator[Field]:
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        written = ast.unparse(node.annotation)
        if written.startswith("ClassVar"):
            continue
        alias = re.search(r"alias='(\w+)'", written)
        kind = _unwrapped(written)
        absent = not total or written.startswith("NotRequired") or kind.endswith(" | None")
        yield Field(alias[1] if alias else node.target.id, kind.removesuffix(" | None"), absent, _text(following))


def _unwrapped(written: str) -> str:
    written = re.sub(r"^NotRequired\[(.*)\]$", r"\1", written)
    return re.sub(r"^Annotated\[(.*?), .*\]$", r"\1", written)


def all_fields(schemas: Schemas, name: str) -> list[Field]:
    """A model's fields with those that it inherits, which stand first; a field that is declared again stands once."""
    model = schemas.models[name]
    found: dict[str, Field] = {}
    for base in model.bases:
        if base in schemas.models:
            found.update({field.name: field for field in all_fields(schemas, base)})
    found.update({field.name: field for field in model.fields})
    if model.described_by and model.described_by in schemas.models:
        fields = {field.name: field.about for field in all_fields(schemas, model.described_by)}
        found = {key: field._replace(about=field.about or fields.get(key, "")) for key, field in found.items()}
    return list(found.values())


def table(schemas: Schemas, name: str, without: frozenset[str] = frozenset()) -> str:
    """A model in Markdown: its docstring, and a table of its fields but for some.

    Raises:
        KeyError: there is no such model.
    """
    model = schemas.models[name]
    about = schemas.models[model.described_by].about if model.described_by else model.about
    lines = [about, "", "| field | type | |", "| --- | --- | --- |"]
    for field in all_fields(schemas, name):
        if field.name not in without:
            kind = _kind(field.type, schemas) + (", may be absent" if field.may_be_absent else "")
            words = f"{field.about} {_words_of(field.type, schemas)}".strip().replace("|", r"\|")
            lines.append(f"| `{field.name}` | {kind} | {words} |")
    return "\n".join(lines)


def _words_of(written: str, schemas: Schemas) -> str:
    """What the name of a choice (`Literal`) says of its words."""
    what, words = schemas.names.get(written, ("", ""))
    return words if what.startswith("Literal[") else ""


def _kind(written: str, schemas: Schemas) -> str:
    """A type in the words of the Mongo shell; a model of ours is a link to its heading."""
    if written in _PLAIN:
        return _PLAIN[written]
    if written in schemas.models:
        shown = schemas.models[written].described_by or written
        return f"[{shown}](#{shown.lower()})"
    if written in schemas.names:
        return _kind(_unwrapped(schemas.names[written][0]), schemas)
    if written.startswith("Literal["):
        return " or ".join(f"`{_JSON.get(word, word.strip(chr(39)))}`" for word in written[8:-1].split(", "))
    if written.startswith("list["):
        return f"array of {_kind(written[5:-1], schemas)}"
    if written.startswith(("dict[", "Mapping[")):
        return "object"
    if " | " in written:
        return " or ".join(_kind(part, schemas) for part in written.split(" | "))
    return f"`{written}`"
