"""Fit the ranking of `openmed_linker`: `python scripts/train_linker.py [--work FOLDER]`.

A logistic regression learns from the training parts of NCBI-disease and BC5CDR whether a concept is
the right one for a mention. The mentions are linked to diseases or chemicals alone, and to all of
MeSH. Mentions whose concept is not in the vocabulary are included, so that the scores are
probabilities. The scores are evaluated on the development parts.
See `linking_data.py` for the files that the script needs (corpora: OPENMED_CORPORA).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import srsly
import typer
from linking_data import ALL, CORPORA, VOCABULARIES, Gold, open_vocabularies, read_gold

from spacy_openmed.linking.features import FEATURES
from spacy_openmed.linking.ranking import RANKER, Linker
from spacy_openmed.linking.weights import read_weights

ROUNDS = 2  # scores of a document's other mentions come from the previous round
BINS = 10


def main(
    work: Path = typer.Option(Path("linking"), "--work", help="Where the vocabularies are built"),
) -> None:
    """
    Fit the weights, write them, and show how well they do on the development parts.
    """
    from sklearn.linear_model import LogisticRegression

    vocabularies = open_vocabularies(work)
    whole = Linker(vocabularies[ALL])
    linkers = [(label, Linker(vocabularies[name])) for label, name in VOCABULARIES.items()]
    linkers += [(label, whole) for label in VOCABULARIES]
    training = [doc for corpus in CORPORA for doc in read_gold(corpus, "train")]
    for _ in range(ROUNDS):
        features, is_right, _ = describe(linkers, training)
        model = LogisticRegression(C=10, max_iter=1000).fit(features, is_right)
        weights = dict(zip(FEATURES, model.coef_[0].astype(float).round(4).tolist(), strict=True))
        srsly.write_json(RANKER, {"weights": weights, "bias": round(float(model.intercept_[0]), 4)})
        read_weights.cache_clear()
    print(weights, model.intercept_)
    for corpus in CORPORA:
        features, is_right, mentions = describe(linkers[:2], read_gold(corpus, "dev"))
        scores = model.predict_proba(features)[:, 1]
        show(corpus, "dev", scores, is_right, mentions)


def describe(
    linkers: Sequence[tuple[str, Linker]], docs: Iterable[Sequence[Gold]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RETURNS (tuple[Floats2d, Bools1d, Ints1d]): The features of each candidate of each mention,
    whether it is right, and the number of the mention. A mention without any has one of zeros."""
    features, is_right, numbers = [], [], []
    n = 0
    for doc in docs:
        for label, linker in linkers:
            golds = {gold.mention: gold for gold in doc if gold.mention.label == label}
            for gold, pool in zip(golds.values(), linker.describe([*golds]), strict=True):
                ids = [linker.vocabulary.get_id(int(record)) for record in pool.records]
                features.append(pool.features if ids else np.zeros((1, len(FEATURES)), np.float32))
                is_right.extend([id in gold.ids for id in ids] or [False])
                numbers.extend([n] * max(len(ids), 1))
                n += 1
    return np.concatenate(features), np.array(is_right), np.array(numbers)


def show(
    corpus: str, part: str, scores: np.ndarray, is_right: np.ndarray, mentions: np.ndarray
) -> None:
    """Print how often the best candidate is right, by its score."""
    starts = np.flatnonzero(np.diff(mentions, prepend=-1))
    ends = [*starts[1:], len(scores)]
    best = np.array([s + scores[s:e].argmax() for s, e in zip(starts, ends, strict=True)])
    found = np.logical_or.reduceat(is_right, starts)
    print(
        f"{corpus} {part}: {len(best)} mentions, {found.mean():.1%} have their concept among the "
        f"candidates, {is_right[best].mean():.1%} have it first"
    )
    bins = np.minimum((scores[best] * BINS).astype(int), BINS - 1)
    for i in range(BINS):
        own = best[bins == i]
        if len(own):
            print(f"  {len(own):5} of {scores[own].mean():.2f}: {is_right[own].mean():.2f} right")


if __name__ == "__main__":
    typer.run(main)
