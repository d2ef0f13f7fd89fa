"""Rank codes for unknown names."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import missing_extra
from ..linking.index import find_best
from ..linking.normalise import load_words, to_singular
from ..linking.weights import Weights, read_weights
from ..paths import DATA_PATH
from .icd10cm import Vocabulary, to_key

RANKER = DATA_PATH / "icd10cm_ranker.json"
NGRAMS = (3, 5)
BATCH = 32  # mentions ranked at once
POOL = 60  # nearest codes that are ranked
# Cancer of unspecified site: the words beside it in a mention are the site.
GENERAL = {"C79.9", "C80.1"}
NEIGHBOURS = 30  # codes that vote for their category
FEATURES = (
    "characters",  # cosine of the mention and the nearest of the code's terms, as they are
    "words",  # the same, normalised
    "nearest",  # the same, as a share of the best code's
    "profile",  # cosine with all terms of the code and its ancestors' descriptions
    "mention_covered",  # share of the mention's words in the profile, weighted by idf
    "description_covered",  # share of the description's words that the mention has
    "category",  # share of the votes of the nearest codes that the category gets
    "subcategory",
    "billable",
    "other",  # the description has "other"
    "unspecified",
    "both_unspecified",  # the mention too: "NOS"
    "terms",  # logarithm of their number
)


class Index:
    """The features of codes that a mention is compared with.

    vocabulary (Vocabulary): The codes.
    RAISES (ImportError): If the extra `hcc` is not installed.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise missing_extra("hcc", error) from error

        codes = vocabulary.ranked
        aliases: dict[str, list[str]] = {}
        for alias, code in vocabulary.aliases.items():
            aliases.setdefault(code, []).append(alias)
        names = [(c.description, *c.terms, *aliases.get(c.code, ())) for c in codes]
        terms = [name for row in names for name in row]
        n_terms = np.array([len(row) for row in names])
        self.starts = np.concatenate([[0], np.cumsum(n_terms)[:-1]])
        normal = [normalise(name) for name in terms]
        profiles = [
            " ".join(
                [
                    *normal[start : start + n],
                    *(normalise(ancestor.description) for ancestor in vocabulary.ancestors(c.code)),
                ]
            )
            for c, start, n in zip(codes, self.starts, n_terms, strict=True)
        ]

        def characters(**settings: Any) -> Any:
            return TfidfVectorizer(
                analyzer="char_wb", ngram_range=NGRAMS, dtype=np.float32, **settings
            )

        self.by_characters = characters()
        self.by_words = characters(sublinear_tf=True)
        self.by_profile = characters(sublinear_tf=True)
        # Transposed, so that the product with a mention reads only the rows of its n-grams.
        self.characters = self.by_characters.fit_transform(terms).T.tocsr()
        self.words = self.by_words.fit_transform(normal).T.tocsr()
        self.profiles = self.by_profile.fit_transform(profiles).T.tocsr()
        by_word = TfidfVectorizer(token_pattern=r"\S+", dtype=np.float32)
        self.profile_words = (by_word.fit_transform(profiles) > 0).astype(np.float32).tocsr()
        first = [normal[start] for start in self.starts]
        self.description_words = (by_word.transform(first) > 0).astype(np.float32).tocsr()
        self.idf, self.known_words = by_word.idf_, by_word.vocabulary_
        self.description_sizes = self.description_words @ self.idf + 1e-9
        self.categories = _number([c.code[:3] for c in codes])
        self.subcategories = _number([c.code[:5] for c in codes])
        descriptions = [c.description.lower() for c in codes]
        self.constant = np.column_stack(
            [
                [c.is_billable for c in codes],
                ["other" in d for d in descriptions],
                ["unspecified" in d for d in descriptions],
                np.log1p([1 + len(c.terms) for c in codes]),
            ]
        ).astype(np.float32)

    def get_features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Compute the features of the codes nearest to a mention.

        text (str): The mention.
        RETURNS (tuple[Ints1d, Floats2d]): (POOL,) Numbers of the codes; (POOL, n_features) The
            `FEATURES` of each.
        """
        return next(self.describe([text]))

    def describe(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """YIELDS (tuple[Ints1d, Floats2d]): What `get_features` gives, for each mention."""
        normals = [normalise(text) for text in texts]
        cosines = zip(
            texts,
            normals,
            _cosines(self.by_characters, self.characters, texts),
            _cosines(self.by_words, self.words, normals),
            _cosines(self.by_profile, self.profiles, normals),
            strict=True,
        )
        for text, normal, by_term, by_word, profile in cosines:
            yield self._describe(text, normal, by_term, by_word, profile)

    def _describe(
        self,
        text: str,
        normal: str,
        by_term: np.ndarray,
        by_word: np.ndarray,
        profile: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        characters = np.maximum.reduceat(by_term, self.starts)
        words = np.maximum.reduceat(by_word, self.starts)
        rows = find_best(characters + words + profile / 2, POOL)
        neighbours = find_best(words, NEIGHBOURS)
        votes = words[neighbours] ** 3
        tokens = set(normal.split())
        known = [self.known_words[token] for token in tokens if token in self.known_words]
        idf = self.idf[known]
        size = idf.sum() + (len(tokens) - len(known)) * self.idf.max() + 1e-9
        billable, other, unspecified, terms = self.constant[rows].T
        is_unspecified = bool({"nos", "unspecified"} & {*re.findall(r"\w+", text.lower())})
        columns = {
            "characters": characters[rows],
            "words": words[rows],
            "nearest": words[rows] / (words[rows].max() + 1e-9),
            "profile": profile[rows],
            "mention_covered": self.profile_words[rows][:, known] @ idf / size,
            "description_covered": self.description_words[rows][:, known]
            @ idf
            / self.description_sizes[rows],
            "category": _share(self.categories, neighbours, votes, rows),
            "subcategory": _share(self.subcategories, neighbours, votes, rows),
            "billable": billable,
            "other": other,
            "unspecified": unspecified,
            "both_unspecified": unspecified * is_unspecified,
            "terms": terms,
        }
        return rows, np.column_stack([columns[name] for name in FEATURES])


@lru_cache(maxsize=200_000)
def normalise(text: str) -> str:
    """RETURNS (str): The normalised form for comparison: the key of the name, without words that
    carry little meaning, and with the vocabulary's synonyms."""
    synonyms, stop = load_words()
    words = []
    for word in to_key(text).split():
        if word in stop:
            continue
        singular = to_singular(word)
        words.append(synonyms.get(word) or synonyms.get(singular, singular))
    return " ".join(words) or text


def load_ranker() -> Weights:
    """RETURNS (Weights): The weights of the features."""
    return read_weights(RANKER, FEATURES)


def _number(names: Sequence[str]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def _cosines(vectorizer: Any, rows: Any, texts: Sequence[str]) -> np.ndarray:
    return (vectorizer.transform(texts) @ rows).toarray()


def _share(
    groups: np.ndarray, voters: np.ndarray, votes: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """RETURNS (Floats1d): The share of all votes that the group of each of `rows` gets."""
    counts = np.bincount(groups[voters], weights=votes, minlength=groups.max() + 1)
    return (counts / (votes.sum() + 1e-9))[groups[rows]]
