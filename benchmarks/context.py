"""Clinical context on the sentences of the NegEx test kit, and negspacy's own lists on the same.

    python benchmarks/context.py

The kit (Chapman et al.: 2,376 sentences of 120 reports, in random order) is
`negation/negex_rsAnnotations-1-120.jsonl` of the corpora. Our lists were revised on the
even-numbered sentences only; the odd-numbered ones are unseen, but come from the same reports. The
kit has no class for suspected findings, which count as hypothetical here. Some sentences consist
only of the name of a disease, yet are marked historical; "with words around" leaves them out.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import spacy
import typer
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc
from util import OUTPUT, print_rows, save_results

from spacy_openmed.clinical.termsets import AXES

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora

HEADER = ("lists", "axis", "sentences", "mentions", "P", "R", "F1", "ms/sentence")


@dataclass(frozen=True)
class Row:
    """A sentence of the kit, the characters of its concept, and what is true of it."""

    number: int
    text: str
    start: int
    end: int
    axes: frozenset[str]

    @property
    def has_surroundings(self) -> bool:
        return any(map(str.isalnum, self.text[: self.start] + self.text[self.end :]))


PARTS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "even (seen)": lambda row: row.number % 2 == 0,
    "odd (unseen)": lambda row: row.number % 2 == 1,
    "with words around": lambda row: row.has_surroundings,
}


def main(
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
    limit: int | None = typer.Option(None, help="Take no more sentences than this"),
) -> None:
    """
    Measure clinical context (folder of the corpora: OPENMED_CORPORA).
    """
    from negspacy.termsets import termset

    rows = read_kit()[:limit]
    table = []
    for name, termsets in (
        ("ours", {}),
        ("negspacy, en", {"negated": termset("en").get_patterns()}),
        ("negspacy, en_clinical", {"negated": termset("en_clinical").get_patterns()}),
    ):
        nlp = spacy.blank("en")
        nlp.add_pipe("openmed_context", config={"termsets": termsets})
        table += score(nlp, name, rows, tuple(AXES) if name == "ours" else ("negated",))
    print_rows(HEADER, table, as_json)
    save_results(output, {"context": (HEADER, table)})


def read_kit() -> list[Row]:
    """RETURNS (list[Row]): The sentences in which the concept is found, without the capitals that
    mark it."""
    path = find_corpora() / "negation" / "negex_rsAnnotations-1-120.jsonl"
    rows = []
    for line in path.read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        if "start" not in row:
            continue
        start, end, text = row["start"], row["end"], row["text"]
        axes = {
            "negated": row["negation"] == "Negated",
            "historical": row["temporality"] == "Historical",
            "hypothetical": row["temporality"] == "Not particular",
            "family": row["experiencer"] != "Patient",
        }
        rows.append(
            Row(
                int(row["id"].rpartition("-")[2]),
                text[:start] + text[start:end].lower() + text[end:],
                start,
                end,
                frozenset(axis for axis, is_true in axes.items() if is_true),
            )
        )
    return rows


def score(nlp: Language, name: str, rows: Sequence[Row], axes: Sequence[str]) -> list[tuple]:
    """Score a pipeline on the kit.

    nlp (Language): The pipeline, with `openmed_context`.
    name (str): What to call its lists.
    rows (Sequence[Row]): The sentences.
    axes (Sequence[str]): What to score.
    RETURNS (list[tuple]): P, R and F1 in per cent, for each axis and each part of the kit.
    """
    docs = [make_doc(nlp, row) for row in rows]
    start = time.perf_counter()
    docs = [nlp(doc) for doc in docs]
    pace = 1000 * (time.perf_counter() - start) / max(len(rows), 1)
    table = []
    for axis in axes:
        for part, is_in in PARTS.items():
            prf = PRFScore()
            for doc, row in zip(docs, rows, strict=True):
                if is_in(row):
                    found = {0} if doc.ents[0]._.get(AXES[axis]) else set()
                    prf.score_set(found, {0} if axis in row.axes else set())
            values = (100 * prf.precision, 100 * prf.recall, 100 * prf.fscore)
            table.append((name, axis, part, prf.tp + prf.fn, *values, pace))
    return table


def make_doc(nlp: Language, row: Row) -> Doc:
    """RETURNS (Doc): The sentence as a document that is one sentence, with its concept as the
    entity."""
    doc = nlp.make_doc(row.text)
    for token in doc:
        token.is_sent_start = token.i == 0
    span = doc.char_span(row.start, row.end, label="CONCEPT", alignment_mode="expand")
    doc.set_ents([span] if span is not None else [])
    return doc


if __name__ == "__main__":
    typer.run(main)
