"""Users' regular expressions, on RE2: matching time grows only with the text (no backtracking).

RE2 supports the syntax of Python's `re`, except what needs backtracking. A match takes some 2 us, ten times as long as
Python's, so callers cache results.
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
    """A compiled pattern."""

    def search(self, text: str) -> Any: ...  # noqa: D102
    def fullmatch(self, text: str) -> Any: ...  # noqa: D102


def as_path_pattern(text: str) -> Pattern:
    """A pattern for AS paths in RE2's syntax, with `_` as in Cisco's.

    `_` matches the start, the end, a space, a comma, a brace or a parenthesis.

    Raises:
        UsageError: it is not a regular expression, or not one that RE2 supports.
    """
    try:
        return _compile(_AS_PATH_PARTS.sub(lambda part: _BOUNDARY if part[0] == "_" else part[0], text))
    except re2.error as error:
        fault = error.args[0].decode(errors="replace") if error.args else "it is too large"
    if _BACKTRACKING.search(text):
        raise UsageError(
            f"{text!r} looks ahead or back, or refers to a group: expressions are RE2's, which has neither",
            "rewrite it without these, such as '_(64500|64501)$'; a leading ! shows what does not match",
        )
    raise UsageError(
        f"{text!r} is not a regular expression: {fault}", "write one such as '_64500$' or '^64496 .* 64500'"
    )


def stranger_in(pattern: str) -> str:
    """A letter or a literal dot in an AS path pattern, which no path contains; empty if there is none."""
    found = _NEVER_IN_A_PATH.search(_SYNTAX.sub("", pattern))
    return found[0].removeprefix("\\") if found else ""


def community_pattern(text: str) -> Pattern:
    """A pattern for the communities that a parsed text means: `*` is any part, or the rest of one.

    After a name, `*` matches all parts that follow: extended communities of one name have varying numbers of parts.
    """
    pattern, every, _ = text.rpartition(":*") if text.endswith(":*") and text[0].isalpha() else (text, "", "")
    return _compile("[^:]*".join(map(re.escape, pattern.split("*"))) + (":.*" if every else ""))


def _compile(expression: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False  # it would log to stderr
    return cast("Pattern", re2.compile(expression, options))
