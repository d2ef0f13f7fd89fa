"""The effect of the settings that use the rest of the document, and how to set `outside_bias`.

    python benchmarks/document.py [--checkpoint FOLDER] [-d ncbi_disease] [--curve | --time]

Every head is measured on the raw texts of its own corpus' dev part, on corpora that it was not
trained on, and on the dev notes of the notes corpus, by strict F1: a mention counts if its tokens
and its label are exact. The texts are predicted once, and the settings are applied to the model's
output. The columns are the F1 without the four settings, and the difference that each makes.

`--curve` prints precision, recall and F1 by `outside_bias`, with the settings' defaults. `--time`
prints the share of `nlp.pipe`'s processor time that the settings take.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer
from spacy.language import Language
from spacy.tokens import Doc
from util import (
    GOLD,
    NOTES,
    Mention,
    make_pipeline,
    print_rows,
    strict_score,
)

from spacy_openmed.checkpoints.heads import Head
from spacy_openmed.labels import canonical_label
from spacy_openmed.ner.component import OpenMedNER
from spacy_openmed.ner.logits import PieceLogits
from spacy_openmed.ner.settings import SWITCHES

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora, read_documents

from notes_corpus import annotate, read_notes

OFF: dict[str, Any] = dict.fromkeys(SWITCHES, False)
DEFAULTS = {"trim": True}
COLUMNS: dict[str, dict[str, Any]] = {
    **{name: {name: True} for name in SWITCHES},
    "defaults": DEFAULTS,
    "all": dict.fromkeys(SWITCHES, True),
}
BIASES = (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
TIMED = ("NCBI-disease", "BC5CDR", "BioNLP13CG")  # abstracts


class Task(NamedTuple):
    """A head and the texts to measure it on.

    dataset (str): The head's dataset.
    corpus, split (str): The texts.
    gold (dict[str, str]): Canonical label of each type of the corpus that counts.
    """

    dataset: str
    corpus: str
    split: str
    gold: dict[str, str]


def _others(corpus: str, split: str, kinds: dict[tuple[str, str], tuple[str, ...]]) -> list[Task]:
    return [
        Task(name, corpus, split, {kind: label})
        for (kind, label), datasets in kinds.items()
        for name in datasets
    ]


DISEASES, CHEMICALS = ("ncbi_disease", "bc5cdr_disease"), ("bc5cdr_chem", "bc4chemd")
TASKS = [
    *(Task(name, gold.corpus, "dev", gold.labels) for name, gold in GOLD.items() if not gold.heads),
    *_others(
        "BioRED",
        "train",
        {
            ("Disease", "DISEASE"): DISEASES,
            ("Chemical", "CHEMICAL"): CHEMICALS,
            ("Gene", "GENE_OR_GENE_PRODUCT"): ("bc2gm", "bionlp2013_cg"),
            ("Species", "SPECIES"): ("linnaeus",),
            ("CellLine", "CELL_LINE"): ("gellus",),
        },
    ),
    *_others(
        "CRAFT",
        "train",
        {
            ("CHEBI", "CHEMICAL"): CHEMICALS,
            ("MONDO", "DISEASE"): ("ncbi_disease",),
            ("PR", "GENE_OR_GENE_PRODUCT"): ("bionlp2013_cg",),
            ("NCBITaxon", "SPECIES"): ("linnaeus",),
            ("UBERON", "ANATOMY"): ("anatomy",),
        },
    ),
    *_others(NOTES, "dev", {("PROBLEM", "DISEASE"): DISEASES, ("DRUG", "CHEMICAL"): CHEMICALS}),
    # Where a checkpoint has a head for notes.
    *_others(
        NOTES,
        "dev",
        {
            (label, canonical_label(label)): (NOTES,)
            for label in (
                *("PROBLEM", "DRUG", "DOSE", "FORM", "ROUTE", "FREQUENCY", "DURATION", "TEST"),
                *("TEST_RESULT", "PROCEDURE", "DEVICE", "ANATOMY"),
            )
        },
    ),
]
LENGTHS = {"CRAFT": 7, "BC2GM": 0.1}  # of their texts, an abstract being 1


class Batch(NamedTuple):
    """Documents, their gold entities in their corpus' own labels, and what the model says."""

    docs: list[Doc]
    entities: list[Sequence[tuple[int, int, str]]]
    output: PieceLogits


def main(
    dataset: list[str] = typer.Option([], "--dataset", "-d", help="Head, repeatable; default: all"),
    corpus: list[str] = typer.Option([], help="Corpus, repeatable; default: all"),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    curve: bool = typer.Option(False, "--curve", help="P, R and F1 by outside_bias instead"),
    timing: bool = typer.Option(False, "--time", help="Share of the time instead"),
    limit: int = typer.Option(100, help="Most abstracts of a corpus"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Measure the settings that use the rest of the document (folder: OPENMED_CORPORA).
    """
    nlp = make_pipeline(checkpoint, {"annotate": "spans", **OFF})
    component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
    heads = {head.dataset: head for head in component.shim.heads}
    if timing:
        header = ("texts", "documents", "setting", "documents a second", "% of the time")
        print_rows(header, measure_time(nlp, limit), as_json)
        return
    rows: list[tuple] = []
    texts: dict[tuple[str, str], list[Batch]] = {}
    for task in TASKS:
        head = heads.get(task.dataset)
        wanted = (not dataset or task.dataset in dataset) and (not corpus or task.corpus in corpus)
        if head is None or not wanted or not is_there(task):
            continue
        key = task.corpus, task.split
        if key not in texts:
            texts[key] = predict(nlp, task, round(limit / LENGTHS.get(task.corpus, 1)))
        name = (task.dataset, f"{task.corpus}: {', '.join(dict.fromkeys(task.gold))}")
        if curve:
            for bias in BIASES:
                settings = {**DEFAULTS, "outside_bias": bias}
                rows.append((*name, bias, *score(component, head, task, texts[key], settings)[:3]))
            continue
        p, r, f1, n = score(component, head, task, texts[key], {})
        changes = [
            score(component, head, task, texts[key], settings)[2] - f1
            for settings in COLUMNS.values()
        ]
        rows.append((*name, n, p, r, f1, *changes))
    if curve:
        print_rows(("head", "texts", "bias", "P", "R", "F1"), rows, as_json)
    else:
        print_rows(("head", "texts", "mentions", "P", "R", "F1", *COLUMNS), rows, as_json)


def is_there(task: Task) -> bool:
    """RETURNS (bool): Whether the texts are at hand."""
    if task.corpus == NOTES:
        return True
    return (find_corpora() / "docs" / task.corpus / f"{task.split}.jsonl").is_file()


def read_texts(task: Task, limit: int) -> list[tuple[str, Sequence[tuple[int, int, str]]]]:
    """RETURNS (list[tuple]): Texts with their gold entities, in the corpus' own labels."""
    if task.corpus == NOTES:
        notes = (annotate(note) for note in read_notes(split=task.split)[:limit])
        return [(n.text, [(e.start, e.end, e.label) for e in n.entities]) for n in notes]
    return [(d.text, d.entities) for d in read_documents(task.corpus, task.split)[:limit]]


def predict(nlp: Language, task: Task, limit: int) -> list[Batch]:
    """RETURNS (list[Batch]): The texts of a task, and what the model says of them."""
    component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
    texts = read_texts(task, limit)
    batches = []
    for start in range(0, len(texts), 25):
        part = texts[start : start + 25]
        docs = [nlp.make_doc(text) for text, _ in part]
        output = component.model.predict(docs)
        batches.append(Batch(docs, [entities for _, entities in part], output))
    return batches


def score(
    component: OpenMedNER,
    head: Head,
    task: Task,
    batches: Iterable[Batch],
    settings: dict[str, Any],
) -> tuple[float, float, float, int]:
    """Score a head under settings of the component; the others are off.

    RETURNS (tuple[float, float, float, int]): P, R, F1, in per cent, and the number of mentions.
    """
    for name, value in {**OFF, "outside_bias": 0.0, **settings}.items():
        setattr(component, name, value)
    found: list[set[Mention]] = []
    gold: list[set[Mention]] = []
    labels = {*task.gold.values()}
    for docs, entities, output in batches:
        for doc, own in zip(docs, component.find(output, [head]), strict=True):
            spans = [(doc[e.start : e.end], e.label) for e in own if e.label in labels]
            found.append({(span.start_char, span.end_char, label) for span, label in spans})
        gold += [{(s, e, task.gold[t]) for s, e, t in rows if t in task.gold} for rows in entities]
    prf = strict_score(found, gold)
    n = sum(map(len, gold))
    return 100 * prf.precision, 100 * prf.recall, 100 * prf.fscore, n


def measure_time(nlp: Language, limit: int) -> list[tuple]:
    """RETURNS (list[tuple]): The share of `nlp.pipe`'s time that decoding entities from the logits
    takes with each of the settings, beyond what it takes without them."""
    component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
    tasks = [Task("", corpus, "dev", {}) for corpus in TIMED]
    texts = [text for task in tasks if is_there(task) for text, _ in read_texts(task, limit)]
    list(nlp.pipe(texts[:20]))  # loads the checkpoint
    start = time.process_time()
    list(nlp.pipe(texts))
    total = time.process_time() - start
    outputs = [
        component.model.predict([nlp.make_doc(text) for text in texts[i : i + 128]])
        for i in range(0, len(texts), 128)
    ]

    def find_time(settings: dict[str, Any]) -> float:
        for name, value in {**OFF, **settings}.items():
            setattr(component, name, value)
        times = []
        for _ in range(3):
            start = time.process_time()
            for output in outputs:
                component.find(output)
            times.append(time.process_time() - start)
        return min(times)

    base = find_time({})
    rows: list[tuple] = []
    for name, settings in {"none": {}, **COLUMNS}.items():
        extra = find_time(settings) - base if settings else 0.0
        share = 100 * extra / (total + extra)
        rows.append(("abstracts", len(texts), name, len(texts) / (total + extra), share))
    return rows


if __name__ == "__main__":
    typer.run(main)
