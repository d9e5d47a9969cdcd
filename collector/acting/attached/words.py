"""A line as words, one taken after the other."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"([\[\](),{};])")
_LONGEST = 60


def quoted(word: str) -> str:
    """A word as messages show it."""
    return repr(word[:_LONGEST])


class SaidWords:
    """Words that are still to be read."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    @property
    def next(self) -> str:
        """The next word; empty at the end."""
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self, what: str) -> str:
        """The next word, which is behind us then.

        Raises:
            ValueError: there is none, or it is punctuation.
        """
        word = self.next
        if not word or _PUNCTUATION.fullmatch(word):
            raise ValueError(f"{what} is missing" + (f" before {quoted(word)}" if word else " at the end"))
        self._at += 1
        return word

    def skip(self, word: str) -> bool:
        """Whether this is the next word, which is behind us then."""
        if self.next != word:
            return False
        self._at += 1
        return True

    def expect(self, word: str) -> None:
        """Take this word.

        Raises:
            ValueError: another one is next.
        """
        if not self.skip(word):
            place = f"before {quoted(self.next)}" if self.next else "at the end"
            raise ValueError(f"{quoted(word)} is missing {place}")

    def some(self, what: str) -> list[str]:
        """A word, or those between brackets, with or without commas.

        Raises:
            ValueError: there is none, or the bracket is never closed.
        """
        if not self.skip("["):
            return [self.take(what)]
        found = []
        while not self.skip("]"):
            found.append(self.take(what))
            self.skip(",")
        return found

    def rest(self, what: str) -> list[str]:
        """All that is left.

        Raises:
            ValueError: there is nothing, or punctuation.
        """
        found = [self.take(what)]
        while self.next:
            found.append(self.take(what))
        return found

    def end(self) -> None:
        """See that nothing is left.

        Raises:
            ValueError: something is.
        """
        if self.next:
            raise ValueError(f"{quoted(self.next)} is more than the command has")


def to_words(line: str) -> SaidWords:
    """The words of a line; brackets, braces, commas and semicolons are words of their own."""
    return SaidWords(_PUNCTUATION.sub(r" \1 ", line).split())
