"""Link the mentions of a document to a vocabulary.

A logistic regression over a few features gives the probability of each candidate concept of a
mention (`scripts/train_linker.py` fits it).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import srsly

from ..labels import canonical_label
from ..paths import DATA_PATH
from .features import ELSEWHERE, FEATURES, MISFITS, Pool, find_pool
from .vocabulary import Vocabulary
from .weights import read_weights

RANKER, TYPES = DATA_PATH / "linking_ranker.json", DATA_PATH / "linking_types.json"
MAX_POOLS = 20_000  # mentions whose concepts are remembered


class Mention(NamedTuple):
    """A mention to link.

    text (str): Its text, or the long form of its abbreviation.
    label (str): The label of the entity.
    """

    text: str
    label: str


class Candidate(NamedTuple):
    """A concept that a mention may mean.

    id (str): Its id.
    score (float): The probability that the mention means it.
    """

    id: str
    score: float


class Linker:
    """Finds the concepts of mentions.

    vocabulary (Vocabulary): The concepts.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._pools: dict[Mention, Pool] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.vocabulary,)

    def link(self, mentions: Sequence[Mention], n: int) -> list[list[Candidate]]:
        """Find the concepts that the mentions of a document may mean.

        mentions (Sequence[Mention]): The mentions of one document.
        n (int): How many concepts to return at most for each.
        RETURNS (list[list[Candidate]]): The concepts of each, the best first.
        """
        distinct = [*dict.fromkeys(mentions)]
        pools = self.describe(distinct)
        linked = {}
        for mention, pool in zip(distinct, pools, strict=True):
            scores = score(pool.features)
            best = np.argsort(-scores, kind="stable")[:n]
            linked[mention] = [
                Candidate(self.vocabulary.get_id(int(pool.records[i])), round(float(scores[i]), 4))
                for i in best
            ]
        return [linked[mention] for mention in mentions]

    def describe(self, mentions: Sequence[Mention]) -> list[Pool]:
        """Describe the concepts that mentions may mean, with all features.

        mentions (Sequence[Mention]): The mentions of one document, each once.
        RETURNS (list[Pool]): The concepts of each.
        """
        pools = []
        for mention in mentions:
            pool = self._find_pool(mention)
            pools.append(pool._replace(features=pool.features.copy()))
        # Scores of other mentions are computed in isolation, so that two mentions do not confirm
        # each other.
        best: dict[int, list[tuple[float, str]]] = {}
        for mention, pool in zip(mentions, pools, strict=True):
            for record, value in zip(pool.records.tolist(), score(pool.features), strict=True):
                best.setdefault(record, []).append((float(value), mention.text))
        for mention, pool in zip(mentions, pools, strict=True):
            for i, record in enumerate(pool.records.tolist()):
                others = [value for value, text in best[record] if text != mention.text]
                pool.features[i, ELSEWHERE] = max(others, default=0.0)
        return pools

    def _find_pool(self, mention: Mention) -> Pool:
        """RETURNS (Pool): What a mention may mean, with the features that do not depend on the
        document. The same pool is returned again: don't change it."""
        pools = self._pools
        pool = pools.get(mention)
        if pool is None:
            pool = find_pool(self.vocabulary.names, mention.text)
            self._set_misfits(pool, mention.label)
            if len(pools) >= MAX_POOLS:
                pools = self._pools = {}  # another thread may still read the old one
            pools[mention] = pool
        return pool

    def _set_misfits(self, pool: Pool, label: str) -> None:
        wanted = load_types().get(canonical_label(label))
        if wanted is None:
            return
        for i, record in enumerate(pool.records.tolist()):
            types = self.vocabulary.get_types(record)
            if types and not load_known_types().isdisjoint(types):
                pool.features[i, MISFITS] = wanted.isdisjoint(types)


def score(features: np.ndarray) -> np.ndarray:
    """RETURNS (Floats1d): The probability of each concept that the mention means it."""
    return read_weights(RANKER, FEATURES).score(features)


@cache
def load_types() -> dict[str, frozenset[str]]:
    """RETURNS (dict[str, frozenset[str]]): The semantic types that concepts of a label have."""
    return {label: frozenset(types) for label, types in srsly.read_json(TYPES).items()}


@cache
def load_known_types() -> frozenset[str]:
    """RETURNS (frozenset[str]): The semantic types of all labels."""
    return frozenset().union(*load_types().values())
