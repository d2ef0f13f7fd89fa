"""Entities of one head in a text, as plain data: what the remedies of `document` work on."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..labels import BIOMEDICAL, DETAILS

NAMES = frozenset(BIOMEDICAL) - frozenset(DETAILS)  # canonical labels of what has a name
CHEMICALS = ("CHEMICAL", "SIMPLE_CHEMICAL", "AMINO_ACID")


class Mention(NamedTuple):
    """An entity of one head: a row of `Found` without the number of its text.

    start, end (int): First token in its text and the one after the last.
    fits (bool): Whether there are such tokens.
    type (int): Index of the type, counted over all heads.
    score (float): Mean probability of the type.
    char_start, char_end (int): Characters of its text that the model marked.
    """

    start: int
    end: int
    fits: bool
    type: int
    score: float
    char_start: int
    char_end: int


@dataclass(frozen=True)
class Text:
    """A text with its tokens.

    text (str): The text.
    starts, ends (list[int]): Character start and end of its tokens.
    """

    text: str
    starts: list[int]
    ends: list[int]

    @cached_property
    def lower(self) -> str:
        """RETURNS (str): The text in lower case, as long as the text."""
        low = self.text.lower()
        if len(low) == len(self.text):
            return low
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    def token(self, i: int) -> str:
        """RETURNS (str): The text of a token."""
        return self.text[self.starts[i] : self.ends[i]]

    def span(self, start: int, end: int) -> str:
        """RETURNS (str): The text from one token to the one before another."""
        return self.text[self.starts[start] : self.ends[end - 1]]

    def find_tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """Find the tokens that cover exactly these characters.

        start, end (int): First character and the one after the last.
        RETURNS (tuple[int, int] | None): First token and the one after the last; None if the
            characters begin or end inside a token.
        """
        first, last = bisect_left(self.starts, start), bisect_left(self.ends, end)
        if first <= last < len(self.ends) and (self.starts[first], self.ends[last]) == (start, end):
            return first, last + 1
        return None

    def find_places(self, string: str, *, any_case: bool) -> Iterator[tuple[int, int]]:
        """Find the places where a string is whole tokens.

        string (str): The string; in lower case if case does not matter.
        any_case (bool): Whether to ignore case.
        YIELDS (tuple[int, int]): First token and the one after the last.
        """
        text = self.lower if any_case else self.text
        at = text.find(string)
        while at >= 0:
            if tokens := self.find_tokens(at, at + len(string)):
                yield tokens
            at = text.find(string, at + 1)
