"""The privacy head on texts that it was not trained on, and another checkpoint on the same.

    python benchmarks/privacy.py [--other FOLDER]

Sentences, questions and notes are the test part of what `scripts/privacy_data.py` makes; the
discharge summaries are `deid/mlei06-discharge-summaries` of the corpora. Checkpoints have different
types, so what is counted is tokens: is it personal data or not. Ages, which the head was not
taught, are left out.
"""

import json
import sys
from pathlib import Path

import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc
from util import print_rows

from spacy_openmed.corpora import find_corpora

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from privacy_data import TYPES, read_privacy

HEADER = ("checkpoint", "texts", "documents", "tokens", "P", "R", "F1")


def main(
    checkpoint: str | None = typer.Option(None, help="Folder of the first one (default: mini)"),
    other: Path | None = typer.Option(None, help="Folder of another checkpoint"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Measure how much personal data is found (folder: OPENMED_CORPORA).
    """
    rows = []
    for name, model in (("mini", checkpoint), (other.name if other else "", other)):
        if not name:
            continue
        nlp = spacy.blank("en")
        config = {"annotate": "ents", "model": {"name": str(model)} if model else {}}
        if name == "mini":
            config["dataset" if model else "domain"] = "privacy"
        nlp.add_pipe("openmed_ner", config=config)
        sets = {"made": read_made(nlp), "discharge summaries": read_summaries(nlp)}
        for title, texts in sets.items():
            rows.append((name, title, len(texts), *score(nlp, texts)))
    print_rows(HEADER, rows, as_json)


def read_made(nlp: Language) -> list[tuple[Doc, set[int]]]:
    """RETURNS (list[tuple[Doc, set[int]]]): Documents and the tokens that are personal data."""
    texts = []
    for sentence in read_privacy("test"):
        doc = Doc(nlp.vocab, words=list(sentence.tokens))
        texts.append((doc, {i for i, tag in enumerate(sentence.tags) if tag != "O"}))
    return texts


def read_summaries(nlp: Language) -> list[tuple[Doc, set[int]]]:
    """RETURNS (list[tuple[Doc, set[int]]]): The same of the discharge summaries."""
    path = find_corpora() / "deid" / "mlei06-discharge-summaries.jsonl"
    texts = []
    for line in path.read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        doc = nlp.make_doc(row["text"])
        spans = [
            doc.char_span(start, end, alignment_mode="expand")
            for start, end, label in row["entities"]
            if label in TYPES
        ]
        texts.append((doc, {token.i for span in spans if span for token in span}))
    return texts


def score(nlp: Language, texts: list[tuple[Doc, set[int]]]) -> tuple[int, float, float, float]:
    """RETURNS (tuple): Tokens that are personal data, and P, R and F1 of those found."""
    right = found = wanted = 0
    for doc, gold in texts:
        predicted = {token.i for ent in nlp(doc.copy()).ents for token in ent}
        right += len(predicted & gold)
        found += len(predicted)
        wanted += len(gold)
    precision, recall = right / max(found, 1), right / max(wanted, 1)
    f1 = 2 * right / max(found + wanted, 1)
    return wanted, 100 * precision, 100 * recall, 100 * f1


if __name__ == "__main__":
    typer.run(main)
