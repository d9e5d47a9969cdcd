"""A line as words, one taken after the other."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"([\[\](),{};])")
_LONGEST = 60


def quoted(word: str) -> str:
    """A word as shown in messages."""
    return repr(word[:_LONGEST])


class WordReader:
    """The words that have not been read yet."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    @property
    def next(self) -> str:
        """The next word; empty at the end."""
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self, what: str) -> str:
        """Read the next word.

        Raises:
            ValueError: there is none, or it is punctuation.
        """
        word = self.next
        if not word or _PUNCTUATION.fullmatch(word):
            raise ValueError(f"{what} is missing" + (f" before {quoted(word)}" if word else " at the end"))
        self._at += 1
        return word

    def skip(self, word: str) -> bool:
        """Whether this is the next word, which is then read."""
        if self.next != word:
            return False
        self._at += 1
        return True

    def expect(self, word: str) -> None:
        """Read this word.

        Raises:
            ValueError: another one is next.
        """
        if not self.skip(word):
            place = f"before {quoted(self.next)}" if self.next else "at the end"
            raise ValueError(f"{quoted(word)} is missing {place}")

    def some(self, what: str) -> list[str]:
        """One word, or those in brackets, with or without commas.

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
        """All remaining words.

        Raises:
            ValueError: there are none, or punctuation.
        """
        found = [self.take(what)]
        while self.next:
            found.append(self.take(what))
        return found

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            ValueError: something is.
        """
        if self.next:
            raise ValueError(f"{quoted(self.next)} is more than the command has")


def to_words(line: str) -> WordReader:
    """The words of a line; brackets, braces, commas and semicolons are words of their own."""
    return WordReader(_PUNCTUATION.sub(r" \1 ", line).split())
