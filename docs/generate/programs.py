"""A folder of short programs as a page: what each says at its head, and its text."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

_LANGUAGE = {".js": "js", ".py": "python", ".sh": "sh"}
_COMMENT = {".js": "//", ".sh": "#"}


def chapters(folder: Path) -> str:
    """Each program of a folder under a heading of its own, in Markdown."""
    return "\n\n".join(_chapter(path) for path in sorted(folder.iterdir()) if path.suffix in _LANGUAGE)


def _chapter(path: Path) -> str:
    text = path.read_text()
    head, body = _python(text) if path.suffix == ".py" else _script(text, _COMMENT[path.suffix])
    prose = re.sub(r"(?:^ {2,}\S.*\n?)+", _commands, head, flags=re.MULTILINE)
    return f"## {path.name}\n\n{prose}\n\n```{_LANGUAGE[path.suffix]}\n{body.strip()}\n```"


def _commands(lines: re.Match[str]) -> str:
    return f"\n```\n{dedent(lines[0]).strip()}\n```\n"


def _python(text: str) -> tuple[str, str]:
    tree = ast.parse(text)
    docstring = tree.body[0]
    # Not `inspect.cleandoc`'s: a command that is indented stays so.
    return ast.get_docstring(tree, clean=False) or "", "\n".join(text.splitlines()[docstring.end_lineno :])


def _script(text: str, mark: str) -> tuple[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    length = next((number for number, line in enumerate(lines) if not line.startswith(mark)), len(lines))
    return "\n".join(line.removeprefix(mark).removeprefix(" ") for line in lines[:length]), "\n".join(lines[length:])
