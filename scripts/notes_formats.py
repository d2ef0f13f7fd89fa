"""Write the notes corpus in ordinary formats: JSON lines, spaCy's DocBin, BRAT and IOB."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import filter_spans

if TYPE_CHECKING:
    from notes_corpus import Note, Span, Text


def write_jsonl(folder: Path, split: str, notes: "Sequence[tuple[Note, Text]]") -> None:
    """Write SPLIT.jsonl, one note a line."""
    from notes_corpus import to_row

    with (folder / f"{split}.jsonl").open("w", encoding="utf8") as file:
        for note, text in notes:
            file.write(json.dumps(to_row(note, text), ensure_ascii=False) + "\n")


def write_spacy(folder: Path, split: str, notes: "Sequence[tuple[Note, Text]]") -> None:
    """Write SPLIT.spacy. The entities are in `doc.ents`; the span groups "assertion", "icd10cm" and
    "identifiers" hold the other layers, with the value as the label."""
    nlp = spacy.blank("en")
    nlp.max_length = 10**9
    docs = DocBin(store_user_data=True)
    for note, text in notes:
        docs.add(make_doc(nlp.make_doc(text.text), note.id, text))
    docs.to_disk(folder / f"{split}.spacy")


def make_doc(doc: Doc, id: str, text: "Text") -> Doc:
    """Put a note's annotation on a tokenized text. Spans are widened to whole tokens.
    Where two then share a token, the longer one stays.

    doc (Doc): The tokenized text.
    id (str): The note's id, for `doc.user_data["id"]`.
    text (Text): The annotation.
    RETURNS (Doc): The same document.
    """
    doc.user_data["id"] = id

    def spans(rows: "Sequence[tuple[Span, str | None]]") -> list:
        made = [
            doc.char_span(row.start, row.end, label=label, alignment_mode="expand")
            for row, label in rows
            if label
        ]
        return filter_spans(span for span in made if span is not None)

    doc.ents = spans([(row, row.label) for row in text.entities])
    doc.spans["assertion"] = spans([(row, row.assertion) for row in text.entities])
    doc.spans["icd10cm"] = spans([(row, row.code) for row in text.entities])
    doc.spans["identifiers"] = spans([(row, row.label) for row in text.identifiers])
    return doc


def write_brat(folder: Path, split: str, notes: "Sequence[tuple[Note, Text]]") -> None:
    """Write SPLIT/ID.txt and SPLIT/ID.ann, with assertion and code as attribute and note."""
    (folder / split).mkdir(exist_ok=True)
    for note, text in notes:
        rows = []
        for i, span in enumerate([*text.entities, *text.identifiers], start=1):
            mention = text.text[span.start : span.end].replace("\n", " ")
            rows.append(f"T{i}\t{span.label} {_pieces(text.text, span)}\t{mention}")
            if span.assertion:
                rows.append(f"A{i}\tAssertion T{i} {span.assertion}")
            if span.code:
                rows.append(f"#{i}\tAnnotatorNotes T{i}\t{span.code}")
        stem = folder / split / note.id
        stem.with_suffix(".txt").write_text(text.text, encoding="utf8")
        stem.with_suffix(".ann").write_text("".join(f"{row}\n" for row in rows), encoding="utf8")


def _pieces(text: str, span: "Span") -> str:
    """BRAT's offsets: a span over a line break is written as one piece for each line."""
    pieces, start = [], span.start
    for line in text[span.start : span.end].split("\n"):
        if line:  # BRAT refuses empty pieces
            pieces.append(f"{start} {start + len(line)}")
        start += len(line) + 1
    return ";".join(pieces)


def write_iob(folder: Path, split: str, notes: "Sequence[tuple[Note, Text]]") -> None:
    """Write SPLIT.iob: token, tab, IOB2 tag; an empty line after each line of a note,
    except where an entity runs over the line break."""
    nlp = spacy.blank("en")
    with (folder / f"{split}.iob").open("w", encoding="utf8") as file:
        for note, text in notes:
            doc = make_doc(nlp.make_doc(text.text), note.id, text)
            is_open = False
            for token in doc:
                if token.is_space:
                    if "\n" in token.text and is_open and token.ent_iob_ != "I":
                        file.write("\n")
                        is_open = False
                    continue
                tag = f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"
                file.write(f"{token.text}\t{tag}\n")
                is_open = True
            if is_open:
                file.write("\n")


WRITERS: dict[str, Callable[[Path, str, "Sequence[tuple[Note, Text]]"], None]] = {
    "jsonl": write_jsonl,
    "spacy": write_spacy,
    "brat": write_brat,
    "iob": write_iob,
}
