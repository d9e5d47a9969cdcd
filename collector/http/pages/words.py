"""The meaning of communities: IANA's well-known ones, and those in a configured file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Self

from collector.errors import ConfigurationError
from collector.query.communities import WELL_KNOWN, fault_of_community, parse_community

_NAMES = {number: name for name, number in WELL_KNOWN.items()}
_REMEMBERED = 10_000


class Words:
    """What communities mean.

    Args:
        named: by the community, or by a pattern of them such as `65000:1*`.
    """

    def __init__(self, named: dict[str, str]) -> None:
        self._exact = {**_NAMES, **{name: words for name, words in named.items() if "*" not in name}}
        self._patterns = [(name, words) for name, words in named.items() if "*" in name]
        self.of = lru_cache(_REMEMBERED)(self._of)
        """The meaning of a community; empty if unknown."""

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a file of meanings: `COMMUNITY = WORDS` on each line; `#` begins a comment.

        Raises:
            ConfigurationError: it cannot be read, or a line is invalid.
        """
        return cls(_read(path) if path else {})

    def _of(self, community: str) -> str:
        if community in self._exact:
            return self._exact[community]
        return next((words for pattern, words in self._patterns if fnmatchcase(community, pattern)), "")


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{path} cannot be read: {why}", "name a readable file, or none, as [http] communities"
        ) from None
    named: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, _, words = (part.strip() for part in line.partition("="))
            named[_community(name, words, f"{path}, line {number}")] = words
    return named


def _community(name: str, words: str, where: str) -> str:
    try:
        if words:
            return parse_community(name)
    except ValueError:
        why = fault_of_community(name) or "no community has such characters"
        raise ConfigurationError(f"{where}: {name!r} is no community: {why}", _CURE) from None
    raise ConfigurationError(f"{where}: there are no words for {name!r}", _CURE)


_CURE = "write COMMUNITY = WORDS, such as 65000:100 = customer; * stands for any digits"
