"""The notes corpus: mini, context, de-identification and HCC coding on clinical notes.

    python benchmarks/notes.py [--split dev] [--standoff] [--checkpoint FOLDER]

Entities are those of the head `notes`. Problems and drugs are also scored with the disease and drug
heads, the only heads for a checkpoint without `notes`. A mention is strictly right if its
characters are exact, and overlaps if it shares a character with a gold mention.
Context is scored on the gold problems: from the rules, from the checkpoint's head, if it has one,
and from both. The rules do not distinguish possible from conditional, so the table merges the two.
An identifier is found if all its letters and digits are covered. A clinical item is lost if one of
its characters is. Codes that count are compared note by note with those of `notes_corpus/codes`, by
class; where several codes are listed, each is right. The codes of problems are those of single
mentions, from linking their words alone. The real sections have no test split.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import spacy
import typer
from spacy.scorer import PRFScore
from spacy.tokens import Span
from util import NOTES, OUTPUT, SPANS_KEY, Table, make_pipeline, print_rows, save_results

from spacy_openmed.deid.pipes import phi_settings
from spacy_openmed.spans import Entity, add_spans

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from notes_codes import add_counts, read_note_codes

from notes_corpus import LABELS, Note, Text, annotate, read_notes, read_standoff
from notes_corpus import Span as GoldSpan

Annotated = Sequence[tuple[str, Text]]
OTHER_HEADS = {"PROBLEM": ["bc5cdr_disease", "ncbi_disease"], "DRUG": ["bc5cdr_chem", "bc4chemd"]}
FOUND_AS = {"DISEASE": "PROBLEM", "CHEMICAL": "DRUG"}  # canonical labels that have another name
ENTITIES = ("type", "mentions", "P", "R", "F1", "overlap P", "overlap R", "overlap F1")
KINDS = ("kind", "mentions", "found %", "overlap %")
CONTEXT = ("source", "class", "problems", "P", "R", "F1")
IDENTIFIERS = ("type", "number", "left %")
TAKEN = ("clinical items", "number", "taken away %")
CODES = ("codes of notes", "gold", "P", "R", "F1")
MENTIONS = ("linking", "mentions", "code right %", "category right %")
SHORT = re.compile(r"[A-Z0-9/&+-]{2,8}s?|\w{1,3}(?:/\w{1,3})+|\w/\w+|[A-Z][a-z]?[A-Z]\w{0,4}")
CLASS = re.compile(
    r"(?i).*(?:s|ics|blockers?|inhibitors?|steroids?|therapy|chemo|pressors?|abx)$|(?:ACE|ARB|PPI|SSRI|NSAID)\w*"
)


def main(
    split: Literal["train", "dev", "test"] = typer.Option("test", help="Part of the corpus"),
    standoff: bool = typer.Option(False, help="Real sections instead (OPENMED_CORPORA)"),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    threshold: float = typer.Option(0.3, help="Threshold of openmed_phi"),
    limit: int | None = typer.Option(None, help="Take no more notes"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """Measure the pipelines on clinical notes."""
    texts: Annotated
    if standoff and split == "test":
        raise typer.BadParameter("--standoff has no test part: add --split dev or --split train")
    if standoff:
        texts = read_standoff(split)[:limit]
    else:
        notes: Sequence[Note] = read_notes(split=split)[:limit]
        texts = [(note.id, annotate(note)) for note in notes]
    tables: dict[str, Table] = {}
    for heads in choose_heads(checkpoint):
        print(f"heads: {', '.join(heads)}")
        entities, kinds = score_entities(texts, checkpoint, heads)
        print_rows(ENTITIES, entities, as_json)
        print_rows(KINDS, kinds, as_json)
        suffix = "" if heads == [NOTES] else "_of_other_heads"
        tables[f"entities{suffix}"] = ENTITIES, entities
        tables[f"kinds{suffix}"] = KINDS, kinds
    others: dict[str, Table] = {"context": (CONTEXT, score_context(texts, checkpoint))}
    if not standoff:
        left, taken = score_identifiers(texts, checkpoint, threshold)
        others["identifiers"] = IDENTIFIERS, left
        others["taken"] = TAKEN, taken
        others["codes"] = CODES, score_codes(notes, checkpoint)
        others["coded_mentions"] = MENTIONS, score_coded_mentions(texts)
    for header, rows in others.values():
        print_rows(header, rows, as_json)
    save_results(output, {**tables, **others})


def choose_heads(checkpoint: str | None) -> list[list[str]]:
    """RETURNS (list[list[str]]): The choices of heads that are measured."""
    heads = {head.dataset for head in _make_ner(checkpoint, None).shim.heads}
    others = [head for own in OTHER_HEADS.values() for head in own]
    return [[NOTES], others] if NOTES in heads else [others]


def _make_ner(checkpoint: str | None, heads: Sequence[str] | None) -> Any:
    return make_pipeline(checkpoint, {"dataset": heads, "annotate": "spans"}).get_pipe(
        "openmed_ner"
    )


def score_entities(
    texts: Annotated, checkpoint: str | None, heads: Sequence[str]
) -> tuple[list[tuple], list[tuple]]:
    """RETURNS (tuple[list[tuple], list[tuple]]): Strict and overlap scores by type, and how many
    mentions of each kind are found."""
    nlp = make_pipeline(checkpoint, {"dataset": [*heads], "annotate": "spans"})
    docs = list(nlp.pipe(text.text for _, text in texts))
    labels = dict.fromkeys(LABELS.values()) if NOTES in heads else OTHER_HEADS
    strict = {label: PRFScore() for label in labels}
    counts: Counter[tuple[str, str]] = Counter()
    hits: Counter[tuple[str, str]] = Counter()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, text), doc in zip(texts, docs, strict=True):
        for label in labels:
            gold = [span for span in text.entities if span.label == label]
            found = [
                (span.start_char, span.end_char)
                for span in doc.spans[SPANS_KEY]
                if FOUND_AS.get(span.label_, span.label_) == label
            ]
            strict[label].score_set(set(found), {span[:2] for span in gold})
            counts[label, "gold"] += len(gold)
            counts[label, "found"] += len(found)
            hits[label, "gold"] += sum(_touches(span[:2], found) for span in gold)
            hits[label, "found"] += sum(_touches(f, [g[:2] for g in gold]) for f in found)
            for span in gold if label in OTHER_HEADS else ():
                kind = kind_of(span, text.text)
                kinds[kind]["gold"] += 1
                kinds[kind]["strict"] += span[:2] in found
                kinds[kind]["overlap"] += _touches(span[:2], found)
    rows = []
    for label, prf in strict.items():
        p, r = (hits[label, w] / max(counts[label, w], 1) for w in ("found", "gold"))
        overlap = (100 * p, 100 * r, 200 * p * r / max(p + r, 1e-9))
        scores = (100 * prf.precision, 100 * prf.recall, 100 * prf.fscore)
        rows.append((label, counts[label, "gold"], *scores, *overlap))
    shares = [
        (kind, c["gold"], 100 * c["strict"] / c["gold"], 100 * c["overlap"] / c["gold"])
        for kind, c in sorted(kinds.items())
    ]
    return rows, shares


def kind_of(span: GoldSpan, text: str) -> str:
    """RETURNS (str): What kind of problem or drug a mention is."""
    mention = text[span.start : span.end]
    if span.label == "DRUG":
        if span.is_brand:
            return "drug: brand"
        return "drug: class" if CLASS.fullmatch(mention) else "drug: other name"
    if SHORT.fullmatch(mention):
        return "problem: abbreviation"
    return f"problem: {'one word' if len(mention.split()) == 1 else 'several words'}"


def _touches(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def score_context(texts: Annotated, checkpoint: str | None) -> list[tuple]:
    """RETURNS (list[tuple]): P, R and F1 of each class of context, on the gold problems, by the
    source of the answers; and their means."""
    component = _make_ner(checkpoint, None)
    has_head = component.shim.load().assertion is not None
    rows: list[tuple] = []
    for source in ("rules", "model", "auto") if has_head else ("rules",):
        nlp = spacy.blank("en")
        nlp.add_pipe("openmed_context", config={"source": source, "span_keys": [SPANS_KEY]})
        scores: dict[str, PRFScore] = {}
        for _, text in texts:
            doc, gold = nlp.make_doc(text.text), {}
            for row in text.entities:
                span = doc.char_span(row.start, row.end, label="DISEASE", alignment_mode="expand")
                if row.label == "PROBLEM" and span is not None and row.assertion is not None:
                    gold[span.start, span.end] = _merge(row.assertion)
            spans = [Span(doc, start, end, label="DISEASE") for start, end in gold]
            asserted = component.assess([doc], [spans])[0] if has_head else [None] * len(spans)
            add_spans(
                doc,
                [
                    Entity(
                        *(span.start, span.end, span.label_, 1.0, ("gold",)),
                        *(span.start_char, span.end_char),
                        *((answer.label, answer.score) if answer else ()),
                    )
                    for span, answer in zip(spans, asserted, strict=True)
                ],
                SPANS_KEY,
            )
            for span in nlp(doc).spans[SPANS_KEY]:
                right, answer = gold[span.start, span.end], _merge(span._.context)
                for name in {right, answer} - {None}:
                    prf = scores.setdefault(name, PRFScore())
                    prf.score_set({1} if answer == name else set(), {1} if right == name else set())
        for name, prf in sorted(scores.items()):
            values = (100 * prf.precision, 100 * prf.recall, 100 * prf.fscore)
            rows.append((source, name, prf.tp + prf.fn, *values))
        mean = 100 * sum(prf.fscore for prf in scores.values()) / max(len(scores), 1)
        total = sum(prf.tp + prf.fn for prf in scores.values())
        rows.append((source, "mean of the classes", total, None, None, mean))
    return rows


def _merge(assertion: str) -> str:
    return "POSSIBLE/CONDITIONAL" if assertion in ("POSSIBLE", "CONDITIONAL") else assertion


def score_identifiers(
    texts: Annotated, checkpoint: str | None, threshold: float
) -> tuple[list[tuple], list[tuple]]:
    """RETURNS (tuple[list[tuple], list[tuple]]): Identifiers that are left, and clinical items
    that are taken away, in per cent."""
    nlp = make_pipeline(checkpoint, phi_settings(checkpoint=checkpoint))
    nlp.add_pipe("openmed_phi", config={"spans_key": SPANS_KEY, "threshold": threshold})
    numbers: dict[str, Counter[str]] = {"left": Counter(), "taken": Counter()}
    totals: dict[str, Counter[str]] = {"left": Counter(), "taken": Counter()}
    for (_, text), doc in zip(texts, nlp.pipe(t.text for _, t in texts), strict=True):
        found = [False] * len(text.text)
        for start, end in doc.spans["phi"].attrs["char_offsets"]:
            found[start:end] = [True] * (end - start)
        for span in text.identifiers:
            letters = [i for i in range(*span[:2]) if text.text[i].isalnum()]
            totals["left"][span.label] += 1
            numbers["left"][span.label] += not all(found[i] for i in letters)
        for span in text.entities:
            totals["taken"][span.label] += 1
            numbers["taken"][span.label] += any(found[span.start : span.end])
    tables = []
    for name, counts in totals.items():
        rows = [(kind, n, 100 * numbers[name][kind] / n) for kind, n in counts.most_common()]
        n = sum(counts.values())
        tables.append([*rows, ("all", n, 100 * sum(numbers[name].values()) / max(n, 1))])
    return tables[0], tables[1]


def score_codes(notes: Sequence[Note], checkpoint: str | None) -> list[tuple]:
    """RETURNS (list[tuple]): P, R and F1 of the codes of whole notes, by class."""
    from spacy_openmed.hcc.component import add_hcc_pipes
    from spacy_openmed.hcc.report import find_counted

    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    if checkpoint is not None:
        nlp.replace_pipe(
            "openmed_ner",
            "openmed_ner",
            config={"domain": "disease", "model": {"name": checkpoint}},
        )
    gold = read_note_codes(notes[0].split) if notes else {}
    coded = [note for note in notes if note.id in gold]
    scores: dict[str, PRFScore] = {}
    for note, doc in zip(coded, nlp.pipe(annotate(note).text for note in coded), strict=True):
        add_counts(scores, find_counted(doc), gold[note.id])
    return [
        (name, prf.tp + prf.fn, 100 * prf.precision, 100 * prf.recall, 100 * prf.fscore)
        for name, prf in scores.items()
    ]


def score_coded_mentions(texts: Annotated) -> list[tuple]:
    """RETURNS (list[tuple]): How often the first code of a coded problem is right, before rules
    combine it with others."""
    nlp = spacy.blank("en")
    component: Any = nlp.add_pipe("openmed_hcc")
    rows = [
        (text.text[span.start : span.end], span.code)
        for _, text in texts
        for span in text.entities
        if span.code
    ]
    linked = component.linker.link_all([name for name, _ in rows], 1)
    found = [
        (candidates[0].code if candidates else "", code)
        for candidates, (_, code) in zip(linked, rows, strict=True)
    ]
    shares = [
        100 * sum(own[:n] == code[:n] for own, code in found) / max(len(found), 1) for n in (8, 3)
    ]
    return [("coded problems", len(found), *shares)]


if __name__ == "__main__":
    typer.run(main)
