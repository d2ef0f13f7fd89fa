"""Read documents with their entities back, from what `python -m spacy openmed process` wrote."""

import json
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from ..apply.blank import blank_pipeline
from ..apply.findings import KB_ID
from ..apply.pipelines import SPANS_KEY
from ..apply.texts import ENTITIES, ERROR
from ..errors import Errors, NoColumnError
from ..extensions import register_extensions
from ..spans import DATASETS, OFFSETS, SCORES
from .columns import COLUMNS, make_span
from .rows import read_docs
from .sources import Source, find_source
from .tables import read_tables

ROWS = 1000  # read at once
# Other fields are attributes.
OWN = ("start", "end", "label", "score", "text", "dataset", KB_ID)

# What is raised where entities are in no way as `_make_doc` expects them.
MISFITS = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, JSONDecodeError)


def read_annotated(
    path: str,
    *,
    text_column: str = "text",
    id_column: str | None = None,
) -> Iterator[tuple[str, Doc | None]]:
    """Read documents.

    path (str): A folder or file of .spacy, Parquet, Arrow or JSON lines. All but .spacy need the
        texts in a column beside the entities.
    text_column (str): That column.
    id_column (str | None): The column that says which row is which; None: "id".
    YIELDS (tuple[str, Doc | None]): Id and document, whose entities are in doc.spans["openmed"],
        of .spacy files where the pipeline has put them; None for a row that could not be
        annotated. A document is good until the next is read, as its strings are forgotten
        (spaCy's memory zones).
    RAISES (ValueError): If there is no such column, nothing is annotated, or a file can't be read.
    """
    register_extensions()
    source = find_source(path)
    if source.format == "txt":
        raise ValueError(Errors.OM383.format(path=path))
    if source.format == "spacy":
        yield from _read_docs(source, id_column)
        return
    nlp = blank_pipeline()
    tables = read_tables(
        source,
        ROWS,
        text_column=text_column,
        id_column=id_column,
        columns=[ENTITIES],
        optional=list(COLUMNS),
    )
    n_rows = 0
    try:
        for table in tables:
            ids = table.column(id_column or "id").to_pylist()
            texts = table.column(text_column).to_pylist()
            names = [name for name in (ENTITIES, *COLUMNS) if name in table.column_names]
            values = [table.column(name).to_pylist() for name in names]
            with nlp.memory_zone():
                for id, text, *row in zip(ids, texts, *values, strict=True):
                    n_rows += 1
                    try:
                        doc = _read_row(nlp, text, dict(zip(names, row, strict=True)))
                    except MISFITS:
                        raise ValueError(Errors.OM384.format(path=path, row=n_rows)) from None
                    yield str(id), doc
    except NoColumnError as error:
        if ENTITIES in error.absent:
            raise ValueError(Errors.OM383.format(path=path)) from error
        column = ", ".join(error.absent)
        raise ValueError(Errors.OM381.format(path=path, column=column)) from error


def _read_row(nlp: Language, text: str | bytes | None, values: dict[str, Any]) -> Doc | None:
    """The document of a row; None if the row could not be annotated."""
    found = {name: _parse(value) for name, value in values.items()}
    return None if text is None or found[ENTITIES] is None else _make_doc(nlp, text, found)


def _parse(value: Any) -> Any:
    """What a column has, which is JSON where columns are of strings."""
    return json.loads(value) if isinstance(value, str) else value


def _read_docs(source: Source, id_column: str | None) -> Iterator[tuple[str, Doc | None]]:
    n = n_annotated = 0
    for file in source.files:
        for doc in read_docs(source, file):
            if id_column is not None and id_column not in doc.user_data:
                names = [name for name in doc.user_data if isinstance(name, str)]
                raise NoColumnError([id_column], names)
            # Entities that were looked for and not found are annotation too.
            n_annotated += (
                ERROR in doc.user_data or doc.has_annotation("ENT_IOB") or bool(doc.spans)
            )
            yield (
                str(doc.user_data.get(id_column or "id", n)),
                None if ERROR in doc.user_data else doc,
            )
            n += 1
    if n and not n_annotated:
        raise ValueError(Errors.OM383.format(path=source.root))


def _make_doc(nlp: Language, text: str | bytes, found: dict[str, Any]) -> Doc:
    doc = nlp.make_doc(text.decode("utf8") if isinstance(text, bytes) else text)
    spans = []
    for entity in found[ENTITIES]:
        span = make_span(doc, entity["start"], entity["end"], entity["label"], entity.get(KB_ID))
        for name in entity.keys() - set(OWN):
            if not Span.has_extension(name):
                Span.set_extension(name, default=False)
            span._.set(name, entity[name])
        spans.append(span)
    entities = found[ENTITIES]
    attrs = {
        OFFSETS: [[entity["start"], entity["end"]] for entity in entities],
        SCORES: [entity.get("score") for entity in entities],
        DATASETS: [(entity.get("dataset") or "").split(", ") for entity in entities],
    }
    doc.spans[SPANS_KEY] = SpanGroup(doc, name=SPANS_KEY, spans=spans, attrs=attrs)
    for name, column in COLUMNS.items():
        if found.get(name) is not None:
            column.write(doc, found[name])
    return doc
