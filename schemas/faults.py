"""What is wrong with input that a model rejects, in words for whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

FieldPath = tuple[str | int, ...]
"""Names and list indexes: `peers`, 0, `asn`."""

_PREDICATES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    **dict.fromkeys(("int_parsing", "int_from_float", "int_type", "int_parsing_size"), "is not a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "is not a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "is neither true nor false"),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "is not a time such as 2027-01-01T00:00:00Z",
    ),
    "timezone_aware": "has no time zone: add Z for UTC",
    "string_type": "is not a text",
    "tuple_type": "is not a list",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "has no fields: it is not an object"),
    "literal_error": "is not {expected}",
    "greater_than": "is not more than {gt}",
    "greater_than_equal": "is less than {ge}, the minimum",
    "less_than_equal": "is more than {le}, the maximum",
    "string_pattern_mismatch": "does not match {pattern}",
    "string_too_long": "has more than {max_length} characters",
    "too_long": "has more than {max_length} entries",
    **dict.fromkeys(("string_too_short", "too_short"), "is empty"),
}
"""By pydantic's type of an error."""
_NEEDS_SUBJECT = re.compile(r"(is|has|does|lists|names|needs)\b")
_SHOWN = 60


class FieldFault(NamedTuple):
    """The first fault of an input."""

    place: FieldPath
    """The field that has it; empty: the input as a whole."""
    what: str
    """What is wrong there, with the value: `'x' is not a whole number`."""
    known: Sequence[str]
    """The fields that could be meant instead of an unknown one."""

    def at(self, place: str) -> str:
        """A sentence, with the place as its author knows it."""
        if _NEEDS_SUBJECT.match(self.what):
            return f"{place or 'it'} {self.what}"
        return f"{place}: {self.what}" if place else self.what

    @property
    def cure(self) -> str:
        """Which field is meant instead of an unknown one; empty for any other fault."""
        if not self.known:
            return ""
        near = get_close_matches(str(self.place[-1]), self.known, 1)
        if near:
            return f"did you mean {near[0]}?"
        return f"known here {'is' if len(self.known) == 1 else 'are'} {', '.join(self.known)}"


def fault_of(error: ErrorDetails, root: type[BaseModel], *, before: int = 0) -> FieldFault:
    """A fault that pydantic reports of an input of this model.

    Args:
        error: the fault.
        root: the model.
        before: how many parts of the fault's place come before the model's own.
    """
    place, known = _follow(root, error["loc"][before:])
    return FieldFault(place, words_of(error), known if error["type"] == "extra_forbidden" else ())


def spelled(place: FieldPath) -> str:
    """A place as `announcements[0].med`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _follow(root: type[BaseModel], place: FieldPath) -> tuple[FieldPath, Sequence[str]]:
    """A place without the tags of unions, which nobody writes, and the fields beside its last part."""
    kept: list[str | int] = []
    models: Sequence[_TaggedModel] = (_TaggedModel(None, root),)
    beside: Sequence[str] = ()
    for part in place:
        if isinstance(part, int):
            kept.append(part)
        elif tagged := [one for one in models if one.tag == part]:
            models = tagged
        elif models:
            kept.append(part)
            beside = list(dict.fromkeys(name for one in models for name in one.model.model_fields))
            fields = [one.model.model_fields[part] for one in models if part in one.model.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return tuple(kept), beside


class _TaggedModel(NamedTuple):
    tag: str | None
    """What selects it in a union."""
    model: type[BaseModel]


def _models_in(kind: Any, tag: str | None = None) -> Iterator[_TaggedModel]:
    """The models in a type: one that it is, or those of its entries or alternatives."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield _TaggedModel(tag, kind)
        return
    inner = get_args(kind)
    tag = next((one.tag for one in inner if isinstance(one, Tag)), None)
    for one in inner:
        yield from _models_in(one, tag)


def words_of(error: ErrorDetails) -> str:
    """What is wrong with a value, as a predicate: `'x' is not a whole number`; or as a sentence, `it does nothing`."""
    kind, value = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return _PREDICATES[kind]
    if kind == "value_error":
        says = str(error["ctx"]["error"])
    elif kind in _PREDICATES:
        limits = {name: _number(value) for name, value in error.get("ctx", {}).items()}
        says = _PREDICATES[kind].format(**limits)
    else:
        says = error["msg"].removeprefix("Input ")
    if value == "" or not isinstance(value, str | int | float) or not _NEEDS_SUBJECT.match(says):
        return says
    if isinstance(value, bool):
        return f"{str(value).lower()} {says}"
    return f"{value!r} {says}" if len(str(value)) <= _SHOWN else f"{str(value)[:_SHOWN]!r}.. {says}"


def _number(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
