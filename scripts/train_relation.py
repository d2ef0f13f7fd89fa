"""Train the weights of `openmed_relation`: chemicals that cause diseases, from BC5CDR.

    python scripts/train_relation.py spacy_openmed/data/relation.npz

The strength of regularisation and the threshold are chosen on the development part, with weights
from the training part. The final weights come from both parts. The test part is not read. Needs
the relations of BC5CDR (public domain; the folder bc5cdr_cid of `OPENMED_CORPORA`) and
scikit-learn.
"""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spacy
from corpora import find_corpora
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from spacy.language import Language
from spacy.tokens import Doc

from spacy_openmed.corpora.documents import NO_CONCEPT
from spacy_openmed.corpora.pubtator import read_pubtator
from spacy_openmed.labels import canonical_label
from spacy_openmed.relations.concepts import find_concepts
from spacy_openmed.relations.features import Pair, make_pairs
from spacy_openmed.relations.weights import N_WEIGHTS, RelationModel, hash_features

HEADS, TAILS = ("CHEMICAL", "SIMPLE_CHEMICAL"), ("DISEASE", "CANCER")
STRENGTHS = (0.005, 0.01, 0.02, 0.05, 0.1)
THRESHOLDS = np.arange(0.1, 0.6, 0.01).round(2)
MAX_DISTANCE = 15


@dataclass(frozen=True)
class Abstract:
    """An abstract in PubTator's format.

    entities (list[tuple[int, int, str, str]]): Start, end, label and id. A mention of several
        things is repeated for each.
    relations (set[tuple[str, str]]): Ids of chemicals and of the diseases they cause.
    """

    id: str
    text: str
    entities: list[tuple[int, int, str, str]]
    relations: set[tuple[str, str]]


def read_abstracts(path: Path) -> list[Abstract]:
    """Read a file in PubTator's format.

    path (Path): The file.
    RETURNS (list[Abstract]): Its abstracts.
    """
    return [
        Abstract(
            document.id,
            document.text,
            [
                (*mention.fragments[0], canonical_label(mention.label), id)
                for mention in document.mentions
                for id in re.split(r"[|+]", mention.concept.replace("MESH:", ""))
                if id not in NO_CONCEPT
            ],
            {(str(chemical), str(disease)) for _, chemical, disease in document.relations},
        )
        for document in read_pubtator(path)
    ]


def make_doc(nlp: Language, abstract: Abstract) -> Doc:
    """RETURNS (Doc): The abstract with its entities and their ids, in a span group, as one mention
    may be of several things."""
    doc = nlp.make_doc(abstract.text)
    spans = (
        doc.char_span(start, end, label=label, kb_id=id, alignment_mode="expand")
        for start, end, label, id in abstract.entities
    )
    doc.spans["openmed"] = [span for span in spans if span is not None]
    return doc


def find_pairs(docs: Iterable[Doc]) -> Iterator[list[Pair]]:
    """YIELDS (list[Pair]): The pairs of each document."""
    for doc in docs:
        heads, tails = (find_concepts(doc, labels=labels) for labels in (HEADS, TAILS))
        yield list(make_pairs(doc, heads, tails, max_distance=MAX_DISTANCE))


def make_matrix(pairs: Sequence[Pair]) -> csr_array:
    """RETURNS (csr_array): (n_pairs, N_WEIGHTS) One where a pair has a feature."""
    rows = [hash_features(pair.features, N_WEIGHTS) for pair in pairs]
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    indices = np.concatenate(rows).astype(np.int32)
    return csr_array((np.ones(len(indices)), indices, indptr), shape=(len(rows), N_WEIGHTS))


def fit(pairs: Sequence[Pair], are_related: np.ndarray, strength: float) -> LogisticRegression:
    """RETURNS (LogisticRegression): The classifier of pairs."""
    model = LogisticRegression(C=strength, solver="liblinear", max_iter=500)
    return model.fit(make_matrix(pairs), are_related)


def f1(scores: np.ndarray, gold: np.ndarray, n_gold: int, threshold: float) -> float:
    """RETURNS (float): F1 of pairs that reach the threshold. `n_gold` includes relations for which
    no pair was made."""
    found = scores >= threshold
    return 2 * float((found & gold).sum()) / max(int(found.sum()) + n_gold, 1)


def train(folder: Path) -> RelationModel:
    """RETURNS (RelationModel): Weights from the training and the development part."""
    nlp = spacy.blank("en")
    parts = [read_abstracts(folder / f"cdr_{part}.txt") for part in ("train", "dev")]
    pairs: list[list[Pair]] = []
    gold: list[np.ndarray] = []
    for part in parts:
        by_doc = list(find_pairs(make_doc(nlp, abstract) for abstract in part))
        pairs.append([pair for own in by_doc for pair in own])
        gold.append(
            np.array(
                [
                    (pair.head.id, pair.tail.id) in abstract.relations
                    for abstract, own in zip(part, by_doc, strict=True)
                    for pair in own
                ]
            )
        )
    n_gold = sum(len(abstract.relations) for abstract in parts[1])
    dev = make_matrix(pairs[1])
    best = (0.0, 0.0, 0.0)
    for strength in STRENGTHS:
        scores = fit(pairs[0], gold[0], strength).predict_proba(dev)[:, 1]
        for threshold in THRESHOLDS:
            best = max(best, (f1(scores, gold[1], n_gold, threshold), strength, float(threshold)))
    print(f"dev F1 {100 * best[0]:.2f} with C={best[1]}, threshold {best[2]}")
    model = fit(pairs[0] + pairs[1], np.concatenate(gold), best[1])
    return RelationModel(
        model.coef_[0], float(model.intercept_[0]), "CAUSES", HEADS, TAILS, best[2]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="The file to write (.npz)")
    args = parser.parse_args()
    args.output.write_bytes(train(find_corpora() / "bc5cdr_cid").to_bytes())
