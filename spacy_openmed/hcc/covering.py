"""Names that paraphrase a description: "stage III pressure injury right hip" is "Pressure ulcer of
right hip, stage 3".

A description covers a name if it has all words of the name, and the name has all words of the
description except those that nobody writes. By guideline I.A.14, "and" in a description means "and"
or "or".
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .icd10cm import Code, Vocabulary
from .tables import load_rules
from .words import LEFT_OUT, find_stems

ALLOWED = 0.25  # share of a name's words that a description may lack, except the place
N_CATEGORIES = 6
LEAST_WORDS = 2  # of a name: a single stem is too little
LEAST_SAID = 0.5  # a description itself has more than this share of the words of a name
NOT_SAID = re.compile(r"(?:other |specified |unspecified )+(?:disease|disorder)s?\b", re.IGNORECASE)
# "bronchus or lung", "head, face, and neck"
CHOICES = re.compile(r"\b\w+(?:(?:, \w+)+,)? (?:and|or) \w+\b")


class Cover(NamedTuple):
    """What a name of a code requires.

    words (frozenset[str]): Stems that are all required.
    choices (tuple[frozenset[str], ...]): Groups of stems; one of each is required.
    """

    words: frozenset[str]
    choices: tuple[frozenset[str], ...]


class Covering:
    """Finds the codes whose descriptions cover a name.

    vocabulary (Vocabulary): The codes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.categories: dict[str, list[str]] = {}
        for code in vocabulary.ranked:
            self.categories.setdefault(code.code[:3], []).append(code.code)
        rules = load_rules()["covering"]
        self.ignored = find_stems(" ".join(rules["ignored"]))
        self.implied = {
            stem: (find_stems(others[0]), find_stems(" ".join(others)))
            for word, others in rules["implied"].items()
            for stem in find_stems(word)
        }
        sides = " ".join(("left", "right", "bilateral", *rules["parts"]))
        self.places = find_stems(sides)
        self.free = find_stems(" ".join(rules["free"])) | self.ignored
        self._covers: dict[str, tuple[list[Cover], frozenset[str]]] = {}

    def choose(self, text: str, codes: Sequence[str]) -> str | None:
        """Choose the code that covers a name.

        text (str): The name.
        codes (Sequence[str]): The codes to choose from. The other codes in the categories of the
            first ones are tried too.
        RETURNS (str | None): The code that covers the name best and says least beyond it; None if
            no code covers it.
        """
        words = find_stems(text)
        for stem, (implied, others) in self.implied.items():
            if stem in words and not words & others:
                words |= implied
        broader = _find_broader(text)
        asked = words - self.free
        if not asked or len(words) < LEAST_WORDS:
            return None
        found = []
        near = {code[:3] for code in codes[:N_CATEGORIES]}
        more = (code for category in sorted(near) for code in self.categories[category])
        for code in dict.fromkeys((*codes, *more)):
            covers, known = self._cover(code)
            missing = asked - known - self.places
            if len(missing) > ALLOWED * len(words) or not asked & known:
                continue
            if any(word.isdigit() for word in missing):
                continue
            if any(not known & {place, *wider} for place, wider in broader.items()):
                continue
            has = words.union(*broader.values()) if broader else words
            for cover in covers:
                said = cover.words.union(*cover.choices)
                if len(asked & said) <= LEAST_SAID * len(asked - self.places):
                    continue
                if cover.words <= has and all(choice & has for choice in cover.choices):
                    n_said = len(cover.words & has) + sum(
                        len(choice & has) for choice in cover.choices
                    )
                    is_billable = self.vocabulary.codes[code].is_billable
                    found.append((-len(missing), n_said, is_billable, -len(code), code))
        if not found:
            return None
        best = max(row[:4] for row in found)
        return min(row[4] for row in found if row[:4] == best)

    def _cover(self, code: str) -> tuple[list[Cover], frozenset[str]]:
        """What each name of a code requires, and all words of the code and its headings."""
        if code not in self._covers:
            row = self.vocabulary.codes[code]
            said = [name for name in _names(row) if not NOT_SAID.match(name)]
            covers = [cover for name in said if any(cover := self._read(name))]
            ancestors = self.vocabulary.ancestors(code)
            texts = [*_names(row), *(name for one in ancestors for name in _names(one))]
            self._covers[code] = covers, frozenset().union(*map(find_stems, texts))
        return self._covers[code]

    def _read(self, name: str) -> Cover:
        plain = LEFT_OUT.sub(" ", name)
        choices = []
        for match in CHOICES.finditer(plain):
            choice = find_stems(match[0]) - self.ignored
            if choice:
                choices.append(choice)
        words = find_stems(CHOICES.sub(" ", plain)) - self.ignored
        return Cover(words, tuple(choices))


def _names(code: Code) -> tuple[str, ...]:
    return code.description, *code.terms


@lru_cache(maxsize=10_000)
def _find_broader(text: str) -> dict[str, frozenset[str]]:
    """The body parts in a name, by their stems, with the words of the larger part of each."""
    table = load_rules()["covering"]["parts"]
    found = {}
    for word in re.findall(r"\w+", text.lower()):
        if word in table:
            stems = find_stems(word)
            if len(stems) == 1:
                found[next(iter(stems))] = find_stems(table[word])
    return found
