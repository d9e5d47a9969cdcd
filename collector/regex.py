"""Users' regular expressions, on RE2: matching time grows only with the text (no backtracking).

RE2 reads what Python's `re` reads, but for what needs backtracking. A match costs some 2 us, ten times as much as
Python's, so the callers remember what matched.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, cast

import re2  # type: ignore[import-untyped]

from collector.errors import UsageError

_AS_PATH_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|_", re.DOTALL)
_BOUNDARY = r"(?:^|$|[ ,{}()\[\]])"
_BACKTRACKING = re.compile(r"\(\?(?:[=!]|<[=!]|>|P=|\()|\\[1-9]|[*+?}]\+")
_NEVER_IN_A_PATH = re.compile(r"\\\.|[A-Za-z]")
_SYNTAX = re.compile(r"\\[A-Za-z]|\[[^\]]*\]|\(\?[A-Za-z<=!:-]*")


class Pattern(Protocol):
    """What can be looked for in a text."""

    def search(self, text: str) -> Any: ...  # noqa: D102
    def fullmatch(self, text: str) -> Any: ...  # noqa: D102


def as_path_pattern(text: str) -> Pattern:
    """A regular expression over AS paths, of RE2's syntax; `_` is what Cisco's is.

    That is: the start, the end, a space, a comma, a brace or a parenthesis.

    Raises:
        UsageError: it is no regular expression, or one that RE2 does not have.
    """
    try:
        return _compile(_AS_PATH_PARTS.sub(lambda part: _BOUNDARY if part[0] == "_" else part[0], text))
    except re2.error as error:
        fault = error.args[0].decode(errors="replace") if error.args else "it is too large"
    if _BACKTRACKING.search(text):
        raise UsageError(
            f"{text!r} looks ahead or back, or refers to a group: expressions are RE2's, which has neither",
            "write what is wanted without, such as '_(64500|64501)$'; a leading ! shows what does not match",
        )
    raise UsageError(
        f"{text!r} is not a regular expression: {fault}", "write one such as '_64500$' or '^64496 .* 64500'"
    )


def stranger_in(pattern: str) -> str:
    """A letter, or a dot as such, that an AS path pattern looks for, though paths have none; empty where it is none."""
    found = _NEVER_IN_A_PATH.search(_SYNTAX.sub("", pattern))
    return found[0].removeprefix("\\") if found else ""


def community_pattern(text: str) -> Pattern:
    """What matches the communities that a parsed text stands for: `*` is any part, or the rest of one.

    Behind a word it is all parts that follow: extended communities of one name have as many as they need.
    """
    said, every, _ = text.rpartition(":*") if text.endswith(":*") and text[0].isalpha() else (text, "", "")
    return _compile("[^:]*".join(map(re.escape, said.split("*"))) + (":.*" if every else ""))


def _compile(expression: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False  # on stderr
    return cast("Pattern", re2.compile(expression, options))
