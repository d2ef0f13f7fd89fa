"""Features for ranking the candidate concepts of a mention."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .index import NameIndex, to_bag
from .normalise import to_distinctive, to_key, to_words

POOL = 16  # concepts to rank for a mention at most
NAMES = 64  # the nearest names, whose concepts are ranked
SHORT = 4  # characters of a short mention at most: it may abbreviate many things
FEATURES = (
    "cosine",  # by groups of three characters, of the mention and the concept's nearest name
    "nearest",  # the same, as a share of the best concept's
    "exact",  # the key is the same
    "same_case",  # the text is the same
    "words",  # the words are the same, in whatever order
    "canonical",  # the nearest name is the concept's first
    "mention_covered",  # share of the mention's words that the name has, weighted by idf
    "name_covered",  # share of the name's words that the mention has
    "last_word",  # the last words are the same
    "differs",  # numbers or single letters that only one of the two has
    "short",  # the mention is short
    "short_exact",  # and it is the name
    "rivals",  # logarithm of the number of other concepts whose names are as near
    "misfits",  # the concept has types, but none that fits the entity's label
    "elsewhere",  # the score of the concept for another mention in the document
)
MISFITS, ELSEWHERE = (FEATURES.index(name) for name in ("misfits", "elsewhere"))


class Pool(NamedTuple):
    """The concepts that a mention may mean.

    records (Ints1d): (n,) Their numbers in the vocabulary.
    features (Floats2d): (n, n_features) The `FEATURES` of each. The last two are 0: they depend
        on the entity and the document.
    """

    records: np.ndarray
    features: np.ndarray


class Name(NamedTuple):
    """A name, and what it is compared by."""

    text: str
    key: str
    words: tuple[str, ...]
    distinctive: frozenset[str]


@lru_cache(maxsize=200_000)
def read_name(text: str) -> Name:
    """RETURNS (Name): A name, and what it is compared by."""
    key = to_key(text)
    return Name(text, key, to_words(key), to_distinctive(key))


def find_pool(index: NameIndex, text: str) -> Pool:
    """Find the concepts that a mention may mean. If the mention is the exact name of concepts, only
    those whose name has the same words in another order are added.

    index (NameIndex): The names of the vocabulary.
    text (str): The mention.
    RETURNS (Pool): The concepts, in no order.
    """
    mention = read_name(text)
    if not mention.key:
        empty = np.empty(0, np.int64)
        return Pool(empty, np.empty((0, len(FEATURES)), np.float32))
    grams = to_bag(mention.key)
    names = index.find_key(mention.key)[:NAMES]
    if not len(names):
        names = index.search(grams, NAMES)
    names = np.unique(np.concatenate([names, index.find_words(mention.key)[:NAMES]]))
    cosines = index.compare(grams, names)
    order = np.argsort(-cosines, kind="stable")
    found: dict[int, tuple[int, float]] = {}
    for number, cosine, record in zip(
        names[order].tolist(),
        cosines[order].tolist(),
        index.get_records(names[order]).tolist(),
        strict=True,
    ):
        if record not in found:
            is_nearer = len(found) < POOL
        else:  # of names that differ only in case, prefer the one written like the mention
            is_nearer = cosine >= found[record][1] and index.get_text(number) == text
        if is_nearer:
            found[record] = (number, cosine)
    numbers = np.array([number for number, _ in found.values()], np.int64)
    own = [read_name(index.get_text(number)) for number, _ in found.values()]
    features = _describe(index, mention, own, [cosine for _, cosine in found.values()], numbers)
    return Pool(np.array([*found], np.int64), features)


def _describe(
    index: NameIndex, mention: Name, names: list[Name], cosines: list[float], numbers: np.ndarray
) -> np.ndarray:
    words = sorted({*mention.words}.union(*(name.words for name in names)))
    idf = dict(zip(words, index.get_idf(words).tolist(), strict=True))
    said = {*mention.words}
    size = sum(idf[word] for word in said) or 1.0
    best = max(cosines, default=1.0) or 1.0
    is_short = len(mention.text) <= SHORT
    near = np.array(cosines)
    n_rivals = (near >= near[:, None] - 1e-6).sum(1) - 1
    rows = []
    for name, cosine, is_first, n in zip(
        names, cosines, index.is_canonical(numbers), n_rivals.tolist(), strict=True
    ):
        own = {*name.words}
        shared = sum(idf[word] for word in said & own)
        is_exact = name.key == mention.key
        rows.append(
            (
                cosine,
                cosine / best,
                is_exact,
                name.text == mention.text,
                own == said,
                is_first,
                shared / size,
                shared / (sum(idf[word] for word in own) or 1.0),
                name.words[-1:] == mention.words[-1:],
                len(name.distinctive ^ mention.distinctive),
                is_short,
                is_short and is_exact,
                math.log1p(n),
                0,
                0,
            )
        )
    return np.array(rows, np.float32).reshape(-1, len(FEATURES))
