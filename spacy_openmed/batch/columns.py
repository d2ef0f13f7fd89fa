"""Columns of tables for what components find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

from ..errors import Errors, missing_extra
from ..extensions import register_extensions
from ..spans import OFFSETS, SCORES

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error

IDENTIFIERS = "identifiers"
TYPES = {bool: pa.bool_(), str: pa.string(), float: pa.float32()}  # of attributes of spans
_FROM_TO = pa.list_(pa.int32())
_CODE = [
    ("code", pa.string()),
    ("description", pa.string()),
    ("score", pa.float64()),
    ("how", pa.string()),
]
_MENTION = [
    ("start", pa.int32()),
    ("end", pa.int32()),
    ("sentence", _FROM_TO),
    ("historical", pa.bool_()),
]


@dataclass(frozen=True)
class Column:
    """A column for what a component finds of a whole document, see `apply.findings.COLUMNS`.

    type (pa.DataType): The column's type.
    read (Callable[[Doc], list[dict[str, Any]]]): Reads what a document's row has there.
    write (Callable[[Doc, Any], None]): Writes it to a document again.
    """

    type: Any
    read: Callable[[Doc], list[dict[str, Any]]]
    write: Callable[[Doc, Any], None]


def _read_identifiers(doc: Doc) -> list[dict[str, Any]]:
    rows = []
    for group in doc.spans.values():
        if IDENTIFIERS not in group.attrs:
            continue
        columns = [list(group.attrs.get(name, ())) for name in (OFFSETS, SCORES, IDENTIFIERS)]
        # Other components may have added spans, or taken some away.
        columns = [c if len(c) == len(group) else [None] * len(group) for c in columns]
        for span, offsets, score, identifier in zip(group, *columns, strict=True):
            start, end = offsets or (span.start_char, span.end_char)
            row = {"start": start, "end": end, "label": span.label_}
            rows.append({**row, "score": score, "identifier": identifier})
    return rows


def _write_identifiers(doc: Doc, rows: Any) -> None:
    spans = [make_span(doc, row["start"], row["end"], row["label"]) for row in rows]
    attrs = {
        OFFSETS: [[row["start"], row["end"]] for row in rows],
        SCORES: [row["score"] for row in rows],
        IDENTIFIERS: [row["identifier"] for row in rows],
    }
    doc.spans["phi"] = SpanGroup(doc, name="phi", spans=spans, attrs=attrs)


def make_span(doc: Doc, start: int, end: int, label: str, kb_id: str | None = None) -> Span:
    """RETURNS (Span): The tokens that have any of these characters.
    RAISES (ValueError): If the text has no such characters."""
    span = doc.char_span(start, end, label, kb_id or 0, alignment_mode="expand")
    if span is None:
        raise ValueError(Errors.OM382)
    return span


def _read_attribute(name: str) -> Callable[[Doc], list[dict[str, Any]]]:
    return lambda doc: list(doc._.get(name) or ())


def _write_attribute(name: str) -> Callable[[Doc, Any], None]:
    def write(doc: Doc, rows: Any) -> None:
        register_extensions()
        doc._.set(name, rows)

    return write


COLUMNS = {
    "relations": Column(
        pa.list_(
            pa.struct(
                [
                    *((name, pa.string()) for name in ("label", "head", "tail")),
                    ("score", pa.float64()),
                    (
                        "evidence",
                        pa.list_(
                            pa.struct([(name, _FROM_TO) for name in ("head", "tail", "sentence")])
                        ),
                    ),
                ]
            )
        ),
        _read_attribute("relations"),
        _write_attribute("relations"),
    ),
    IDENTIFIERS: Column(
        pa.list_(
            pa.struct(
                [
                    ("start", pa.int32()),
                    ("end", pa.int32()),
                    ("label", pa.string()),
                    ("score", pa.float32()),
                    ("identifier", pa.string()),
                ]
            )
        ),
        _read_identifiers,
        _write_identifiers,
    ),
    "hcc": Column(
        pa.list_(
            pa.struct(
                [
                    *_CODE,
                    ("hcc_v24", pa.list_(pa.string())),
                    ("hcc_v28", pa.list_(pa.string())),
                    *_MENTION,
                    ("symptom", pa.bool_()),
                    ("rule", pa.string()),
                ]
            )
        ),
        _read_attribute("hcc"),
        _write_attribute("hcc"),
    ),
    "hcc_unlinked": Column(
        pa.list_(pa.struct([*_MENTION, ("candidates", pa.list_(pa.struct(_CODE)))])),
        _read_attribute("hcc_unlinked"),
        _write_attribute("hcc_unlinked"),
    ),
}
