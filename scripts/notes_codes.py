"""The codes of whole notes: `notes_corpus/codes/`, a file for each split that has them.

A line has four tab-separated columns: the note's id, an ICD-10-CM code (or equally good codes
separated by "|"), the class, and the words of the note that support the code. A note without codes
has one line with "-" in all other columns.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spacy.scorer import PRFScore

from notes_corpus import CORPUS, SPLITS, Fault, Note, annotate

CLASSES = ("diagnosis", "symptom", "status", "history", "family", "other")
NONE = "-"
ALL = "all codes"
# The classes that are measured together.
GROUPS = {
    "diagnoses": ("diagnosis",),
    "symptoms": ("symptom",),
    "status and history": ("status", "history"),
    "family and other": ("family", "other"),
    ALL: CLASSES,
}
# Chapters and codes by their beginnings. "other": encounters, allergies, adverse effects, causes.
BEGINNINGS = (
    ("symptom", r"R"),
    ("family", r"Z8[0-4]"),
    ("history", r"Z8[5-7]|Z91\.5"),
    ("other", r"Z[0-3]|Z5|Z6[0-5]|Z7[0-7]|Z88|Z91|[V-Y]|T(?:3[6-9]|4\d|50)\.\w{3}[56]"),
    ("status", r"Z"),
)


class NoteCode(NamedTuple):
    """A code of a note.

    codes (tuple[str, ...]): The code, and equally good ones.
    kind (str): Its class, one of `CLASSES`.
    evidence (str): The words of the note.
    """

    codes: tuple[str, ...]
    kind: str
    evidence: str


def find_codes_file(split: str, folder: Path = CORPUS) -> Path:
    """RETURNS (Path): Where the codes of a split's notes are."""
    return folder / "codes" / f"{split}.tsv"


def read_note_codes(split: str, folder: Path = CORPUS) -> dict[str, list[NoteCode]]:
    """Read the codes of a split's notes.

    split (str): The split.
    folder (Path): The corpus.
    RETURNS (dict[str, list[NoteCode]]): The codes by the note's id. A note without codes has an
        empty list; one that nobody has coded is not there. Not all splits have a file.
    RAISES (ValueError): If a line is malformed.
    """
    found: dict[str, list[NoteCode]] = {}
    path = find_codes_file(split, folder)
    lines = path.read_text(encoding="utf8").splitlines() if path.is_file() else ()
    for number, line in enumerate(lines, start=1):
        row = line.split("\t")
        if len(row) != 4:
            raise ValueError(f"{path}:{number}: expected 4 columns, not {len(row)}")
        name, codes, kind, evidence = row
        rows = found.setdefault(name, [])
        if codes != NONE:
            rows.append(NoteCode(tuple(codes.split("|")), kind, evidence))
    return found


def find_code_faults(notes: Sequence[Note], folder: Path = CORPUS) -> list[Fault]:
    """Check the codes of whole notes.

    notes (Sequence[Note]): All notes of the corpus.
    folder (Path): The corpus.
    RETURNS (list[Fault]): Ids that no note of the split has, codes that are not billable, unknown
        classes, and evidence that is not in the note.
    """
    faults = []
    for split in SPLITS:
        path = find_codes_file(split, folder)
        try:
            codes = read_note_codes(split, folder)
        except ValueError as error:
            faults.append(Fault(path, 1, str(error)))
            continue
        texts = {note.id: _squeeze(annotate(note).text) for note in notes if note.split == split}
        for name, rows in codes.items():
            if name not in texts:
                faults.append(Fault(path, 1, f"no note of this split has the id {name}"))
                continue
            for row in rows:
                faults += [Fault(path, 1, f"{name}: {what}") for what in _check(row, texts[name])]
    return faults


def _check(row: NoteCode, text: str) -> Iterator[str]:
    import simple_icd_10_cm

    for code in row.codes:
        if not simple_icd_10_cm.is_valid_item(code) or not simple_icd_10_cm.is_leaf(code):
            yield f"{code} is not a code to report"
    if row.kind not in CLASSES:
        yield f"unknown class {row.kind}"
    if _squeeze(row.evidence) not in text:
        yield f"the evidence of {row.codes[0]} is not in the note"


def _squeeze(text: str) -> str:
    return " ".join(text.split()).lower()


def get_class(code: str) -> str:
    """RETURNS (str): The class of a code by its chapter, for codes that a note should not have."""
    return next((name for name, rule in BEGINNINGS if re.match(rule, code)), CLASSES[0])


def add_counts(scores: dict[str, PRFScore], found: Iterable[str], gold: Sequence[NoteCode]) -> None:
    """Compare the codes of a note with the gold ones. A found code that several gold ones accept
    counts for one of them. It is never a false positive.

    scores (dict[str, PRFScore]): The scores so far, by the names of `GROUPS`. They are changed.
    found (Iterable[str]): The codes that were found.
    gold (Sequence[NoteCode]): The right ones.
    """
    for name in GROUPS:
        scores.setdefault(name, PRFScore())
    left = dict.fromkeys(found)
    as_good = {code for row in gold for code in row.codes}
    outcomes = []
    for row in sorted(gold, key=lambda row: len(row.codes)):
        hit = next((code for code in row.codes if code in left), None)
        outcomes.append((row.kind, "fn" if hit is None else "tp"))
        if hit is not None:
            del left[hit]
    outcomes += [(get_class(code), "fp") for code in left if code not in as_good]
    for kind, outcome in outcomes:
        for name, kinds in GROUPS.items():
            if kind in kinds:
                scores[name] += PRFScore(**{outcome: 1})
