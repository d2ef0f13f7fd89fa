"""The vocabulary ICD-10-CM: codes, their descriptions and their inclusion terms."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import srsly

from ..errors import Errors, missing_extra
from ..linking.normalise import to_plain
from ..paths import DATA_PATH
from .tables import read_rule_codes

ALIASES, WORDS = DATA_PATH / "icd10cm_aliases.json", DATA_PATH / "icd10cm_words.json"
INJURIES = DATA_PATH / "icd10cm_injuries.json"
NAMES = DATA_PATH / "icd10cm_names.tsv"
# Injuries (S, T) and external causes (V to Y): two thirds of all codes, but not diseases.
OTHER_CHAPTERS = tuple("STVWXY")
# Characters up to the place of an injury: further ones tell the side and the encounter.
PLACE = 6
SIDED = re.compile(r"\b(?:left|right|bilateral|both|L|R|Lt|Rt|[LR][UML]L|O[DSU]|B/L)\b", re.I)
JOINING = re.compile(r" (?:with|w/|due to|secondary to|from|after|following|and|in) ")
LATER = re.compile(r"[ST]\d.*[B-S]")  # encounters that are not the first, and open fractures
PLAIN = ("without complication", "uncomplicated", "without", "not having achieved remission")


class Code(NamedTuple):
    """A code of the vocabulary.

    code (str): The code, with its dot.
    description (str): Its description.
    parent (str): The code or block that it belongs to.
    is_billable (bool): Whether it can be reported, and is not just a heading.
    terms (tuple[str, ...]): Its inclusion terms.
    """

    code: str
    description: str
    parent: str
    is_billable: bool
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Codes by their name, and names of ours for some of them.

    codes (Mapping[str, Code]): The codes, in the order of the classification.
    aliases (Mapping[str, str]): The code of each phrase and abbreviation.
    """

    codes: Mapping[str, Code]
    aliases: Mapping[str, str]

    @cached_property
    def ranked(self) -> list[Code]:
        """RETURNS (list[Code]): The codes to rank: all but later encounters for injuries, which
        rules choose by the words of the text."""
        return [code for code in self.codes.values() if not LATER.fullmatch(code.code)]

    @cached_property
    def children(self) -> dict[str, list[Code]]:
        """RETURNS (dict[str, list[Code]]): The codes that belong to each code or block."""
        children: dict[str, list[Code]] = {}
        for code in self.codes.values():
            children.setdefault(code.parent, []).append(code)
        return children

    @cached_property
    def _unspecified(self) -> dict[str, str | None]:
        """Cache of `to_billable`, by heading."""
        return {}

    def ancestors(self, code: str) -> Iterator[Code]:
        """YIELDS (Code): The ancestors of a code, nearest first, up to its category."""
        child, parent = code, self.codes[code].parent
        while parent in self.codes and parent != child:  # a block may be called as its category
            yield self.codes[parent]
            child, parent = parent, self.codes[parent].parent

    def describe(self, code: str) -> str:
        """RETURNS (str): The description of a code; "" if the vocabulary does not have it."""
        return self.codes[code].description if code in self.codes else ""

    def to_billable(self, code: str) -> str | None:
        """Find the code to report for a heading: its least specific code.

        code (str): A code.
        RETURNS (str | None): The code itself if it is billable, or else the unspecified code, or
            the one without complications, below it. None if there is no such code.
        """
        if self.codes[code].is_billable:
            return code
        initial = self.codes.get(f"{code}A")
        if initial is not None and initial.is_billable and code[0] in "ST":
            return initial.code  # of an injury: the details tell a later encounter
        if code not in self._unspecified:  # the codes of a heading take long to compare
            # A block may be called as its one category, which is then its own child.
            child = _least_specific(c for c in self.children.get(code, ()) if c.code != code)
            self._unspecified[code] = None if child is None else self.to_billable(child.code)
        return self._unspecified[code]

    def to_rows(self) -> dict[str, list]:
        """RETURNS (dict[str, list]): The vocabulary as plain lists, for `from_rows`."""
        return {
            "codes": [list(code) for code in self.codes.values()],
            "aliases": [*self.aliases.items()],
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, list]) -> "Vocabulary":
        """RETURNS (Vocabulary): The vocabulary that `to_rows` gave."""
        codes = [Code(*row)._replace(terms=tuple(row[-1])) for row in rows["codes"]]
        return cls({code.code: code for code in codes}, dict(rows["aliases"]))


def _least_specific(codes: Iterable[Code]) -> Code | None:
    """The code that says no more than their common heading. None if every code says more."""

    def rank(code: Code) -> tuple[bool, ...]:
        text = code.description.lower()
        is_unspecified = "unspecified" in text and "unspecified complication" not in text
        is_plain = any(phrase in text for phrase in PLAIN)
        is_last = code.code.endswith("9")
        return (
            "unspecified site" not in text,
            not (is_last and (is_unspecified or is_plain)),
            not is_unspecified,
            not is_last,
            not is_plain,
        )

    says_more, best = min(((rank(code), code) for code in codes), default=((True,), None))
    return None if all(says_more) else best


def _says_side(name: str, description: str) -> bool:
    """Whether a name has a side if the description has one. A note may name the side elsewhere."""
    return SIDED.search(description) is None or SIDED.search(name) is not None


@cache
def read_vocabulary(*, names: bool = True) -> Vocabulary:
    """Read the vocabulary of simple-icd-10-cm. Injuries and external causes are left out, unless
    an alias or rule of ours names the code, or the same with another side or encounter.

    names (bool): Whether to add the names of `data/icd10cm_names.tsv`.
    RETURNS (Vocabulary): The vocabulary, with the aliases of `data/icd10cm_aliases.json`.
    RAISES (ImportError): If the extra `hcc` is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of how it reads its own files
            import simple_icd_10_cm as icd
    except ImportError as error:
        raise missing_extra("hcc", error) from error
    own = read_aliases()
    aliases = {**read_names(), **own} if names else own
    named = {*aliases.values(), *read_rule_codes()}
    places = {code[:PLACE] for code in named if code.startswith(OTHER_CHAPTERS[:2])}
    codes = {
        code: Code(
            code,
            icd.get_description(code),
            icd.get_parent(code),
            icd.is_leaf(code),
            tuple(icd.get_inclusion_term(code)),
        )
        for code in icd.get_all_codes(True)
        if icd.is_category_or_subcategory(code)  # some blocks are called as their one category
        and (not code.startswith(OTHER_CHAPTERS) or code in named or code[:PLACE] in places)
    }
    described = {code: codes[code].description for code in named if code in codes}
    aliases = {
        name: code
        for name, code in aliases.items()
        if name in own or _says_side(name, described.get(code, ""))
    }
    return add_aliases(Vocabulary(codes, {}), aliases)


def read_aliases() -> dict[str, str]:
    """RETURNS (dict[str, str]): The code of each of our own phrases and abbreviations."""
    aliases = {
        phrase: code
        for path in (INJURIES, ALIASES)
        for code, phrases in srsly.read_json(path).items()
        for phrase in phrases
    }
    known = set(map(str.lower, aliases))
    return {phrase: code for phrase, code in aliases.items() if not _is_compound(phrase, known)}


def _is_compound(phrase: str, known: Set[str]) -> bool:
    """Whether a phrase joins two known ones. The rules combine those, and keep both codes."""
    parts = JOINING.split(phrase.lower(), maxsplit=1)
    return len(parts) == 2 and all(part in known for part in parts)


def read_names() -> dict[str, str]:
    """RETURNS (dict[str, str]): The code of each name from the notes corpus, see
    `scripts/icd10cm_names.py`."""
    lines = NAMES.read_text(encoding="utf8").splitlines()
    return dict(line.split("\t") for line in lines)


def add_aliases(vocabulary: Vocabulary, aliases: Mapping[str, str]) -> Vocabulary:
    """Add names of your own for codes.

    vocabulary (Vocabulary): The vocabulary.
    aliases (Mapping[str, str]): The code of each phrase. They override existing aliases.
    RETURNS (Vocabulary): The new vocabulary; the same one if there are no aliases.
    RAISES (ValueError): If a code is not in the vocabulary, or not billable.
    """
    if not aliases:
        return vocabulary
    for phrase, code in aliases.items():
        if code not in vocabulary.codes or not vocabulary.codes[code].is_billable:
            raise ValueError(Errors.OM551.format(phrase=phrase, code=code))
    keys = set(map(to_key, aliases))
    kept = {name: code for name, code in vocabulary.aliases.items() if to_key(name) not in keys}
    return Vocabulary(vocabulary.codes, {**kept, **aliases})


@lru_cache(maxsize=200_000)
def to_key(text: str) -> str:
    """RETURNS (str): A name as it is looked up: without case, accents, punctuation and British
    spelling. Greek letters are spelled out."""
    if not text.isascii():
        text = to_plain(text)
    text = text.lower()
    for pattern, old, new in _load_spelling():
        text = text.replace(old, new) if pattern is None else pattern.sub(new, text)
    return " ".join(re.findall(r"\w+", text))


@cache
def _load_spelling() -> list[tuple[re.Pattern[str] | None, str, str]]:
    """Replacements; a pattern only where it is needed, as it takes much longer than a string."""
    return [
        (None if old.isalpha() else re.compile(old), old, new)
        for old, new in srsly.read_json(WORDS)["spelling"]
    ]
