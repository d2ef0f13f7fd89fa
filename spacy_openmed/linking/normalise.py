"""Normalise names for lookup and comparison."""

import re
import unicodedata
from functools import cache, lru_cache

import srsly

from ..paths import DATA_PATH

WORDS = DATA_PATH / "icd10cm_words.json"
GREEK = {
    letter: name
    for letters, name in {
        "αΑ": "alpha",
        "βϐΒ": "beta",
        "γΓ": "gamma",
        "δΔ": "delta",
        "εϵΕ": "epsilon",
        "ζΖ": "zeta",
        "ηΗ": "eta",
        "θϑΘ": "theta",
        "κϰΚ": "kappa",
        "λΛ": "lambda",
        "μµΜ": "mu",
        "ωΩ": "omega",
        "πΠ": "pi",
        "σςΣ": "sigma",
        "τΤ": "tau",
        "φϕΦ": "phi",
        "χΧ": "chi",
        "ψΨ": "psi",
    }.items()
    for letter in letters
}
_GREEK = str.maketrans(GREEK)
# What distinguishes names of one kind: "type 2", "stage IIIb", "hepatitis C", "factor VIII".
DISTINCTIVE = re.compile(r"\d+[a-z]?|[ivx]+[ab]?|[a-z]|alpha|beta|gamma|delta|epsilon")
ROMAN = {
    numeral: str(number)
    for number, numeral in enumerate(
        ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii"), 1
    )
}


def to_plain(text: str) -> str:
    """RETURNS (str): A text without accents, with Greek letters spelled out."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(c for c in text if not unicodedata.combining(c)).translate(_GREEK)


def to_key(text: str) -> str:
    """RETURNS (str): The lookup key of a name: without case, accents, punctuation, British spelling
    and possessive s. Greek letters are spelled out."""
    text = (text if text.isascii() else to_plain(text)).lower()
    spelling, pattern = _load_spelling()
    text = pattern.sub(lambda match: spelling[match[0]], text)
    return " ".join(re.findall(r"[^\W_]+", text))


@lru_cache(maxsize=200_000)
def to_words(key: str) -> tuple[str, ...]:
    """Find the words that a name is compared by, regardless of order and grammatical number.

    key (str): What `to_key` returned.
    RETURNS (tuple[str, ...]): The words: in the singular, without those that carry little meaning,
        with the synonyms that vocabularies prefer ("kidney" for "renal"), and Roman numerals as
        digits.
    """
    synonyms, stop = load_words()
    found: list[str] = []
    for word in key.split():
        if word in stop:
            continue
        singular = to_singular(word)
        word = synonyms.get(word) or synonyms.get(singular) or ROMAN.get(singular, singular)
        found.extend(word.split())
    return tuple(found) or tuple(key.split())


def to_word_key(key: str) -> str:
    """RETURNS (str): A key that names with the same words share. It ignores "malignant" for
    neoplasms."""
    words = {*to_words(key)}
    if "neoplasm" in words:
        words.discard("malignant")
    return " ".join(sorted(words))


def to_distinctive(key: str) -> frozenset[str]:
    """RETURNS (frozenset[str]): The numbers, Roman numerals and single letters of a name. An "a"
    counts as an article, unless it comes last."""
    words = key.split()
    return frozenset(
        ROMAN.get(word, word)
        for i, word in enumerate(words)
        if DISTINCTIVE.fullmatch(word) and (word != "a" or i == len(words) - 1)
    )


def to_singular(word: str) -> str:
    """RETURNS (str): The word without the ending of a plural."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is", "eas")):
        return word[:-1]
    return word


@cache
def load_words() -> tuple[dict[str, str], frozenset[str]]:
    """RETURNS (tuple[dict[str, str], frozenset[str]]): Synonyms, each with the vocabulary's words
    for it, and the words that say little."""
    words = srsly.read_json(WORDS)
    synonyms = {
        word: " ".join(map(to_singular, others.split()))
        for word, others in words["synonyms"].items()
    }
    return synonyms, frozenset(words["stop"])


@cache
def _load_spelling() -> tuple["_Spelling", re.Pattern]:
    rows = srsly.read_json(WORDS)["spelling"]
    return _Spelling(rows), re.compile("|".join(f"(?:{old})" for old, _ in rows))


class _Spelling(dict[str, str]):
    """The replacement for each string that one of the patterns matches. A text is searched once for
    all patterns, and each matched string is resolved only the first time."""

    def __init__(self, rows: list[list[str]]) -> None:
        self.rows = [(re.compile(old.replace("\\b", "")), new) for old, new in rows]

    def __missing__(self, piece: str) -> str:
        new = next(new for pattern, new in self.rows if pattern.fullmatch(piece))
        return self.setdefault(piece, new)
