"""Fit the ranking of ICD-10-CM codes, `spacy_openmed/data/icd10cm_ranker.json`.

    python scripts/icd10cm_ranker.py

The inclusion terms of the dev part (`split_terms`) are taken out of the vocabulary, and so are
those of the test part; the weights are to rank the code that each dev term stands at first.
"""

import random
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import srsly
import typer

from spacy_openmed.icd10cm import Vocabulary, read_vocabulary
from spacy_openmed.linking import FEATURES, RANKER, Index

N_TERMS = 1000
SEED = 0


class Term(NamedTuple):
    """An inclusion term and the code that it stands at."""

    text: str
    code: str


def main(output: Path = typer.Option(RANKER, help="File to write")) -> None:
    """
    Fit the weights of the features and the bias.
    """
    from sklearn.linear_model import LogisticRegression

    dev, test = split_terms()
    vocabulary = without_terms(read_vocabulary(), [*dev, *test])
    index = Index(vocabulary)
    numbers = {code: i for i, code in enumerate(vocabulary.codes)}
    features, is_right = [], []
    for term in dev:
        rows, values = index.get_features(term.text)
        features.append(values)
        is_right.append(rows == numbers[term.code])
    x, y = np.concatenate(features), np.concatenate(is_right)
    scale = x.std(axis=0) + 1e-9
    model = LogisticRegression(max_iter=1000).fit(x / scale, y)
    weights = (model.coef_[0] / scale).round(4).tolist()
    ranker = {
        "weights": dict(zip(FEATURES, weights, strict=True)),
        "bias": round(float(model.intercept_[0]), 4),
    }
    srsly.write_json(output, ranker, indent=1)
    print(output, file=sys.stderr)


def split_terms() -> tuple[list[Term], list[Term]]:
    """RETURNS (tuple[list[Term], list[Term]]): The terms of the dev part and of the test part,
    drawn at random."""
    codes = read_vocabulary().codes.values()
    terms = [Term(text, code.code) for code in codes for text in code.terms]
    random.Random(SEED).shuffle(terms)
    return terms[N_TERMS : 2 * N_TERMS], terms[:N_TERMS]


def without_terms(vocabulary: Vocabulary, terms: list[Term]) -> Vocabulary:
    """RETURNS (Vocabulary): The vocabulary without these terms, and without aliases."""
    left_out = set(terms)
    codes = {
        name: code._replace(terms=tuple(t for t in code.terms if (t, name) not in left_out))
        for name, code in vocabulary.codes.items()
    }
    return Vocabulary(codes, {})


if __name__ == "__main__":
    typer.run(main)
