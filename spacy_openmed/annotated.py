"""Read documents with their entities back, from what `python -m spacy openmed process` wrote."""

import json
from collections.abc import Iterator
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from .batch import ENTITIES, ERROR, SPANS_KEY
from .blank import blank_pipeline
from .errors import Errors
from .tables import Source, find_source, read_tables

ROWS = 1000  # read at once
OWN = ("start", "end", "label", "score", "text", "dataset")  # other fields are attributes


def read_annotated(
    path: str, *, text_column: str = "text", id_column: str | None = None
) -> Iterator[tuple[str, Doc | None]]:
    """Read documents.

    path (str): A folder or file of .spacy, Parquet, Arrow or JSON lines. All but .spacy need the
        texts in a column beside the entities.
    text_column (str): That column.
    id_column (str | None): The column that says which row is which; None: "id".
    YIELDS (tuple[str, Doc | None]): Id and document, whose entities are in doc.spans["openmed"];
        None for a row that could not be annotated. A document is good until the next is read, as
        its strings are forgotten (spaCy's memory zones).
    RAISES (ValueError): If there is no such column.
    """
    source = find_source(path)
    if source.format == "spacy":
        yield from _read_docs(source, id_column or "id")
        return
    nlp = blank_pipeline()
    try:
        tables = read_tables(
            source, ROWS, text_column=text_column, id_column=id_column, columns=[ENTITIES]
        )
        for table in tables:
            ids = table.column(id_column or "id").to_pylist()
            texts, rows = (table.column(name).to_pylist() for name in (text_column, ENTITIES))
            with nlp.memory_zone():
                for id, text, entities in zip(ids, texts, rows, strict=True):
                    if isinstance(entities, str):
                        entities = json.loads(entities)
                    failed = text is None or entities is None
                    yield str(id), None if failed else _make_doc(nlp, text, entities)
    except ValueError as error:
        if "[OM503]" not in str(error):
            raise
        raise ValueError(Errors.OM345.format(path=path, column=text_column)) from error


def _read_docs(source: Source, id_column: str) -> Iterator[tuple[str, Doc | None]]:
    n = 0
    for file in source.files:
        with source.filesystem.open_input_stream(file.path) as stream:
            docs = DocBin(store_user_data=True).from_bytes(stream.read())
        for doc in docs.get_docs(Vocab()):
            yield str(doc.user_data.get(id_column, n)), None if ERROR in doc.user_data else doc
            n += 1


def _make_doc(nlp: Language, text: str | bytes, entities: list[dict[str, Any]]) -> Doc:
    doc = nlp.make_doc(text.decode("utf8") if isinstance(text, bytes) else text)
    spans = []
    for entity in entities:
        span = doc.char_span(
            entity["start"], entity["end"], label=entity["label"], alignment_mode="expand"
        )
        if span is None:
            raise ValueError(Errors.OM346)
        for name in entity.keys() - set(OWN):
            if not Span.has_extension(name):
                Span.set_extension(name, default=False)
            span._.set(name, entity[name])
        spans.append(span)
    doc.spans[SPANS_KEY] = spans
    return doc
