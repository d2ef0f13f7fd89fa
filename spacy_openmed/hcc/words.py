"""The words that distinguish codes, as stems of the vocabulary's words."""

import re
from functools import lru_cache

from .ranking import load_words, normalise
from .tables import load_rules

STEM = 6  # letters of a word that are compared
# Parts of a description that a text may leave out.
LEFT_OUT = re.compile(
    r",? ?\bwithout behavioral disturbance, psychotic disturbance, mood disturbance, and anxiety"
    # The place comes after these: "laceration without foreign body of scalp".
    r"|,? ?\bwithout (?:foreign body|intraarticular extension|intercondylar fracture"
    r"|complications|spontaneous rupture)(?= of )"
    r"|,? ?\bnot intractable\b|,? ?\bwithout\b.*?(?=,| with |$)|not having achieved remission"
    r"|\b(?:unspecified|other specified|other)\b(?: \w+$)?|\bstage unspecified\b|\([^()]*\)",
    re.IGNORECASE,
)


def to_stem(word: str) -> str:
    """RETURNS (str): The letters of a word that are compared."""
    return word if word.isdigit() else word[:STEM]


def expand(text: str) -> str:
    """RETURNS (str): A text with synonyms replaced by the vocabulary's words."""
    words = load_rules()["words"]
    return " ".join(words.get(word, word) for word in re.findall(r"\w+", text.lower()))


@lru_cache(maxsize=50_000)
def find_stems(text: str) -> frozenset[str]:
    """RETURNS (frozenset[str]): The stems of a text's meaningful words."""
    lower = expand(text)
    if not lower.strip():
        return frozenset()
    normal = normalise(lower)
    stop = load_words()[1]
    return frozenset(to_stem(word) for word in normal.split() if word not in stop)
