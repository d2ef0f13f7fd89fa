"""Are the scores probabilities? Expected calibration error of each head, and its temperature.

    python benchmarks/calibration.py [--split dev] [--checkpoint FOLDER]

The temperature is what a head's logits are divided by for the smallest loss on the labelled
pieces (Guo et al. 2017, "On calibration of modern neural networks"). The error is that of the
entities: the distance between an entity's score and how often entities of such scores are right,
in ten bins of equal width, weighted by their size.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import typer
from accuracy import annotate
from spacy.tokens import Doc, Span
from spacy.training import Example
from util import (
    GOLD,
    SPANS_KEY,
    Text,
    make_pipeline,
    print_rows,
    read_gold_tokens,
)

from spacy_openmed.pipeline import OpenMedNER
from spacy_openmed.training import cross_entropy

HEADER = ("dataset", "entities", "temperature", "ECE, % before", "ECE, % after", "temperature now")
DATASETS = [name for name, gold in GOLD.items() if not gold.heads]
TEMPERATURES = np.round(np.arange(0.7, 2.51, 0.05), 2)


def main(
    dataset: list[str] = typer.Option(DATASETS, "--dataset", "-d", help="Repeatable"),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    split: Literal["test", "dev"] = typer.Option("dev", help="Split to measure on"),
    limit: int | None = typer.Option(None, help="Use the first documents only"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Measure the calibration of a checkpoint's heads (folder: OPENMED_CORPORA).
    """
    rows: list[tuple[str, int, float, float, float, float]] = []
    for name in dataset:
        nlp = make_pipeline(checkpoint, {"dataset": name, "annotate": "spans"})
        component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
        texts = read_gold_tokens(name, split, nlp.vocab, limit=limit)
        now = component.heads[0].temperature
        best = now * fit_temperature(component, texts)
        errors = []
        for temperature in (1.0, best):
            set_temperature(component, temperature)
            for text in texts:  # or the group joins what it has with what is found now
                text.doc.spans.pop(SPANS_KEY, None)
            annotate(nlp, texts)
            errors.append(100 * calibration_error(*entity_scores(texts)))
        before, after = errors
        rows.append((name, len(entity_scores(texts)[0]), round(best, 2), before, after, now))
    print_rows(HEADER, rows, as_json)
    if not as_json:
        print("\nFor the rows of openmed.heads in config.json:")
        print(json.dumps([{"dataset": r[0], "temperature": r[2]} for r in rows if r[4] < r[3]]))


def set_temperature(component: OpenMedNER, temperature: float) -> None:
    """Set the temperature of the only head in use."""
    checkpoint = component.shim.own()
    rows: list[dict[str, Any]] = [
        {**row, "temperature": temperature} if row["dataset"] == component.heads[0].dataset else row
        for row in checkpoint.facts["heads"]
    ]
    checkpoint.set_facts({**checkpoint.facts, "heads": rows})


def fit_temperature(component: OpenMedNER, texts: Sequence[Text]) -> float:
    """RETURNS (float): What to divide the logits by, on top of the head's own temperature."""
    head = component.heads[0]
    scheme = component._scheme(head)
    found, wanted = [], []
    for start in range(0, len(texts), 256):
        examples = [to_example(text) for text in texts[start : start + 256]]
        output = component.model.predict([eg.predicted for eg in examples])
        found.append(output.logits[:, head.columns] / head.temperature)
        wanted.append(component.gold_pieces(examples, output.pieces, head))
    logits, targets = np.concatenate(found), np.concatenate(wanted)
    losses = [cross_entropy(logits / t, targets, scheme)[0] for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def to_example(text: Text) -> Example:
    reference = Doc.from_docs([text.doc]) if len(text.doc) else text.doc.copy()
    spans = [reference.char_span(start, end, label) for start, end, label in sorted(text.gold)]
    reference.set_ents(cast(list[Span], spans))
    return Example(text.doc, reference)


def entity_scores(texts: Sequence[Text]) -> tuple[np.ndarray, np.ndarray]:
    """RETURNS (tuple[Floats1d, Bools1d]): Scores of all entities found, and which are right."""
    scores, right = [], []
    for text in texts:
        group = text.doc.spans[SPANS_KEY]
        scores += group.attrs["scores"]
        right += [(span.start_char, span.end_char, span.label_) in text.gold for span in group]
    return np.array(scores), np.array(right, dtype=bool)


def calibration_error(scores: np.ndarray, right: np.ndarray, n_bins: int = 10) -> float:
    """Find the expected calibration error.

    scores (Floats1d): Score of each entity, 0 to 1.
    right (Bools1d): Whether it is one.
    n_bins (int): Bins of equal width.
    RETURNS (float): The error, 0 to 1.
    """
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    distances = [abs(float((scores[bins == i] - right[bins == i]).sum())) for i in range(n_bins)]
    return sum(distances) / max(len(scores), 1)


if __name__ == "__main__":
    typer.run(main)
