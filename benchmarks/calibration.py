"""Are the scores probabilities? Expected calibration error of each head, and its temperature.

    python benchmarks/calibration.py [--split test] [--checkpoint FOLDER]

A head's logits are divided by its temperature (Guo et al. 2017, "On calibration of modern neural
networks"). It is fitted on the dev part: by the smallest calibration error, or with `--by pieces`
by the smallest loss on the labelled pieces. The error is measured on entities: the distance between
scores and the share of right entities, in fifteen bins of equal width, weighted by their size. All
heads whose corpora are available are measured; those for notes and for personal data on the notes
corpus.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import filter_spans
from util import (
    GOLD,
    NOTES,
    OUTPUT,
    Text,
    make_pipeline,
    print_rows,
    read_gold_tokens,
    save_results,
)

from spacy_openmed import catalogue
from spacy_openmed.checkpoints.heads import Head
from spacy_openmed.labels import canonical_label
from spacy_openmed.ner.component import OpenMedNER
from spacy_openmed.ner.logits import PieceLogits
from spacy_openmed.ner.loss import cross_entropy
from spacy_openmed.ner.targets import get_tags

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora

from notes_corpus import annotate, read_notes

HEADER = ("dataset", "entities", "temperature", "ECE, %", "best temperature", "ECE with it, %")
TEMPERATURES = np.round(np.arange(0.5, 4.01, 0.1), 2)


def main(
    dataset: list[str] = typer.Option([], "--dataset", "-d", help="Repeatable; default: all"),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    split: Literal["test", "dev"] = typer.Option("dev", help="Split to measure on"),
    by: Literal["entities", "pieces"] = typer.Option("entities", help="What to fit on dev"),
    limit: int | None = typer.Option(None, help="Use the first documents only"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure the calibration of a checkpoint's heads (folder: OPENMED_CORPORA).
    """
    rows: list[tuple[str, int, float, float, float, float]] = []  # as in the header
    nlp = make_pipeline(checkpoint, {"annotate": "spans"})
    component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
    missing = []
    for head in component.shim.heads:
        if dataset and head.dataset not in dataset:
            continue
        if not is_there(head, split):
            missing.append(head.dataset)
            continue
        dev = predict(component, head, read_texts(nlp, component, head, "dev", limit))
        best = fit_temperature(component, head, dev, by)
        measured = dev
        if split != "dev":
            texts = read_texts(nlp, component, head, split, limit)
            measured = predict(component, head, texts)
        scores = [
            entity_scores(component, replace(head, temperature=temperature), measured)
            for temperature in (head.temperature, best)
        ]
        now, after = (100 * calibration_error(*found) for found in scores)
        rows.append((head.dataset, len(scores[0][0]), head.temperature, now, best, after))
    print_rows(HEADER, rows, as_json)
    save_results(output, {"calibration": (HEADER, rows)})
    if missing:
        print(f"No corpora for: {', '.join(missing)}.", file=sys.stderr)
    if not as_json:
        print("\nFor the rows of openmed.heads in config.json:")
        print(json.dumps([{"dataset": r[0], "temperature": r[4]} for r in rows if r[4] != r[2]]))


def is_there(head: Head, split: str) -> bool:
    """RETURNS (bool): Whether the texts that a head is measured on are available."""
    if head.dataset in (NOTES, catalogue.PRIVACY):
        return True
    if head.dataset not in GOLD:
        return False
    folder = find_corpora() / "ner" / GOLD[head.dataset].corpus
    return all((folder / f"{name}.iob").is_file() for name in ("dev", split))


def read_texts(
    nlp: Language, component: OpenMedNER, head: Head, split: str, limit: int | None
) -> list[Text]:
    """RETURNS (list[Text]): The texts that a head is measured on, with the mentions that it is to
    find."""
    if head.dataset in GOLD:
        return read_gold_tokens(head.dataset, split, nlp.vocab, limit=limit)
    labels = {canonical_label(kind) for kind in component._scheme(head).types}
    texts = []
    for note in read_notes(split=split)[:limit]:
        text = annotate(note)
        doc = nlp.make_doc(text.text)
        rows = text.entities if head.dataset == NOTES else text.identifiers
        spans = {(row.start, row.end, canonical_label(row.label)) for row in rows}
        texts.append(Text(doc, {span for span in spans if span[2] in labels}))
    return texts


@dataclass(frozen=True)
class Batch:
    """Texts, and what the model says of them.

    texts (Sequence[Text]): The texts.
    output (PieceLogits): The model's output.
    gold (Ints1d): (n_pieces,) State of each piece in its label scheme, -1 where none is asked for.
    """

    texts: Sequence[Text]
    output: PieceLogits
    gold: np.ndarray


def predict(component: OpenMedNER, head: Head, texts: Sequence[Text]) -> list[Batch]:
    """RETURNS (list[Batch]): The texts with the model's output."""
    batches = []
    for start in range(0, len(texts), 256):
        part = texts[start : start + 256]
        output = component.model.predict([text.doc for text in part])
        tags = get_tags(to_example(text) for text in part)
        batches.append(Batch(part, output, component.gold_pieces(tags, output.buffer, head)))
    return batches


def fit_temperature(component: OpenMedNER, head: Head, batches: Sequence[Batch], by: str) -> float:
    """RETURNS (float): What to divide the head's logits by."""
    if by == "entities":
        losses = [
            calibration_error(*entity_scores(component, replace(head, temperature=t), batches))
            for t in TEMPERATURES.tolist()
        ]
    else:
        scheme = component._scheme(head)
        logits = np.concatenate([batch.output.logits[:, head.columns] for batch in batches])
        gold = np.concatenate([batch.gold for batch in batches])
        losses = [cross_entropy(logits / t, gold, scheme)[0] for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def to_example(text: Text) -> Example:
    reference = Doc.from_docs([text.doc]) if len(text.doc) else text.doc.copy()
    spans = [reference.char_span(start, end, label) for start, end, label in sorted(text.gold)]
    reference.set_ents(filter_spans([span for span in spans if span is not None]))
    return Example(text.doc, reference)


def entity_scores(
    component: OpenMedNER, head: Head, batches: Sequence[Batch]
) -> tuple[np.ndarray, np.ndarray]:
    """RETURNS (tuple[Floats1d, Bools1d]): Scores of all entities found, and which are right."""
    scores, right = [], []
    for batch in batches:
        found = component.find(batch.output, [head])
        for text, entities in zip(batch.texts, found, strict=True):
            for entity in entities:
                span = text.doc[entity.start : entity.end]
                scores.append(entity.score)
                right.append((span.start_char, span.end_char, entity.label) in text.gold)
    return np.array(scores), np.array(right, dtype=bool)


def calibration_error(scores: np.ndarray, right: np.ndarray, n_bins: int = 15) -> float:
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
