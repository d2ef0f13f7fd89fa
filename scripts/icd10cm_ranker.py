"""Fit the ranking of ICD-10-CM codes, `spacy_openmed/data/icd10cm_ranker.json`.

    python scripts/icd10cm_ranker.py

The inclusion terms of the dev and test parts (`split_terms`) are taken out of the vocabulary. The
weights are fitted to rank the code of each dev term first. The other codes of its category share a
fifth of the target, the value from 0 to 0.6 with the best F1 of HCC categories on the dev part.
"""

import random
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import srsly
import typer

from spacy_openmed.hcc.icd10cm import Vocabulary, read_vocabulary
from spacy_openmed.hcc.ranking import FEATURES, RANKER, Index

N_TERMS = 1000
SEED = 0
NEAR = 0.2  # what the other codes of the right category share
L2 = 0.002


class Term(NamedTuple):
    """An inclusion term and its code."""

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
    codes = np.array(list(vocabulary.codes))
    features, wanted = [], []
    for term in dev:
        rows, values = index.get_features(term.text)
        is_right = codes[rows] == term.code
        is_near = np.array([code[:3] == term.code[:3] for code in codes[rows]])
        features.append(values)
        wanted.append((1 - NEAR) * is_right + NEAR * is_near / max(is_near.sum(), 1))
    x, y = np.stack(features), np.stack(wanted)
    weights = fit_weights(x, y)
    # Turn scores into probabilities: what share of the candidates with a score are right?
    platt = LogisticRegression(C=1e6).fit((x @ weights).reshape(-1, 1), (y > NEAR).ravel())
    slope, bias = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    named = zip(FEATURES, (slope * weights).round(4).tolist(), strict=True)
    srsly.write_json(output, {"weights": dict(named), "bias": round(bias, 4)}, indent=1)
    print(output, file=sys.stderr)


def fit_weights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit a ranking: cross-entropy of the softmax over each term's candidates.

    x (Floats3d): (n_terms, n_candidates, n_features) The features.
    y (Floats2d): (n_terms, n_candidates) What each candidate's share ought to be.
    RETURNS (Floats1d): (n_features,) The weights.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    scale = x.reshape(-1, x.shape[2]).std(axis=0) + 1e-9
    scaled = x / scale

    def get_loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(scaled @ weights, axis=1)
        errors = np.exp(logs) * y.sum(axis=1, keepdims=True) - y
        gradient = np.einsum("tc,tcf->f", errors, scaled) / len(x)
        loss = -(y * logs).sum() / len(x) + L2 * weights @ weights
        return loss, gradient + 2 * L2 * weights

    return minimize(get_loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B").x / scale


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
