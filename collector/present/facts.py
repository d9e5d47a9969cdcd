"""A status or a verification as a list of facts: a name and a value on each line."""

from __future__ import annotations

from datetime import timedelta
from typing import TextIO

from pydantic import BaseModel

from collector.present.columns import cell_text
from collector.present.layout import Layout, terminal_width, text_width
from schemas.status import SpoolStatus


def print_facts(answer: BaseModel, stream: TextIO) -> None:
    """Write the fields of an answer."""
    facts = [(name.replace("_", " "), cell_text(_of_a_report(name, value))) for name, value in answer]
    names = max(len(name) for name, _ in facts)
    width = terminal_width(stream)
    layout = Layout.fitting([names, max(text_width(value) for _, value in facts)], [False, True], width)
    for fact in facts:
        stream.writelines(f"{line}\n" for line in layout.lines(["", ""], fact, [False, False]))


def _of_a_report(name: str, value: object) -> object:
    if name == "versions" and isinstance(value, dict):
        return ", ".join(f"{what} {version}" for what, version in value.items())
    if name == "spools" and isinstance(value, list):
        return "; ".join(map(_spool, value))
    return len(value) if name == "findings" and isinstance(value, list) else value


def _spool(status: SpoolStatus) -> str:
    archiver = f"archiver {status.archiver}" if status.archiver else "no archiver"
    age = timedelta(seconds=round(status.lag_seconds))
    return f"{status.spool}: {archiver}" + (
        f", {status.waiting} lines wait, the oldest for {age}" if status.waiting else ""
    )
