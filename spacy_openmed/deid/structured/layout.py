"""Which characters of a text are structure, free text, or the value of a field."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

FREE, STRUCTURE, PROTECTED = 0, 1, 2

# What identifies a person in any field.
_TELLING = re.compile(r"\d{3}[- .]\d{2}[- .]\d{4}|\d{3}[-. )]{1,2}\d{3}[-. ]\d{4}|\w@\w")


class Field(NamedTuple):
    """The value of a field that identifies a person.

    start, end (int): Its characters.
    label (str): Canonical label.
    """

    start: int
    end: int
    label: str


class Layout:
    """The structure of a text.

    text (str): The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: list[Field] = []
        self.kinds = np.zeros(len(text), dtype="int8")

    def mark(self, start: int, end: int, kind: int) -> None:
        """Mark characters as FREE, STRUCTURE or PROTECTED."""
        self.kinds[start:end] = kind

    def mark_signs(self, start: int, end: int) -> None:
        """Mark characters other than spaces as structure."""
        for at in range(start, end):
            if not self.text[at].isspace():
                self.kinds[at] = STRUCTURE

    def add(self, start: int, end: int, label: str | None) -> None:
        """Add the value of a field.

        start, end (int): Its characters.
        label (str | None): Canonical label; "" if it identifies nobody, None if unknown.
        """
        value = self.text[start:end]
        stripped = value.strip()
        if not stripped:
            return
        if label == "" and _TELLING.search(value):
            label = None
        start += value.index(stripped)
        end = start + len(stripped)
        self.mark(start, end, FREE if label is None else PROTECTED)
        if label:
            self.fields.append(Field(start, end, label))

    def is_free(self, start: int, end: int) -> bool:
        """RETURNS (bool): Whether characters are free text."""
        return not self.kinds[start:end].any()

    def find_free_texts(self) -> Iterator[tuple[int, int]]:
        """YIELDS (tuple[int, int]): The characters of each free text of two words or more."""
        for start, end in self.split(0, len(self.text)):
            if len(self.text[start:end].split()) > 1:
                yield start, end

    def split(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Split a candidate at the structure that it crosses.

        start, end (int): Its character offsets.
        YIELDS (tuple[int, int]): Its parts in free text.
        """
        free = self.kinds[start:end] == FREE
        if free.all():
            yield start, end
            return
        borders = np.flatnonzero(np.diff(np.concatenate([[0], free.view("int8"), [0]])))
        for first, last in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
            part = self.text[start + first : start + last]
            if any(map(str.isalnum, part)):
                lead = len(part) - len(part.lstrip())
                yield start + first + lead, start + first + len(part.rstrip())
