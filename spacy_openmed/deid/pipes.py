"""Pipelines that find identifiers."""

from collections.abc import Iterator
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..spans import Entity, add_spans, read_spans
from .structured import read_layout


def phi_settings(size: str = "mini", checkpoint: str | None = None) -> dict[str, Any]:
    """Make the settings of `openmed_ner` for personal data.

    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint, in place of the catalogue's of that size.
    RETURNS (dict[str, Any]): The settings. What is found goes to `doc.spans` only.
    """
    return {"domain": "privacy", "size": size, "annotate": "spans", "model": {"name": checkpoint}}


def add_phi_pipes(
    nlp: Language, *, size: str = "mini", checkpoint: str | None = None, threshold: float = 0.3
) -> Language:
    """Add the components that find identifiers: a model for personal data, and `openmed_phi`.

    nlp (Language): The pipeline.
    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint, in place of the catalogue's of that size.
    threshold (float): Lowest score of an identifier.
    RETURNS (Language): The same pipeline.
    """
    nlp.add_pipe("openmed_ner", name="openmed_privacy", config=phi_settings(size, checkpoint))
    nlp.add_pipe("openmed_phi", config={"threshold": threshold})
    return nlp


def annotate_text(nlp: Language, text: str) -> Doc:
    """Run a pipeline with `openmed_phi` on a text that may have fields: CSV, FHIR, HL7.

    Each free text in a field is also given to the model on its own. Behind the signs of a table,
    models miss the name with which a field begins.

    nlp (Language): The pipeline.
    text (str): The text.
    RETURNS (Doc): The document.
    """
    layout = read_layout(text)
    if layout is None:
        return nlp(text)
    factories = [nlp.get_pipe_meta(name).factory for name in nlp.pipe_names]
    at = factories.index("openmed_phi") if "openmed_phi" in factories else len(factories)
    starts, texts = [0], [text]
    for start, end in layout.find_free_texts():
        starts.append(start)
        texts.append(text[start:end])
    with nlp.select_pipes(enable=nlp.pipe_names[:at]):
        doc, *parts = nlp.pipe(texts)
    for name, pipe in nlp.pipeline[at:]:
        if name == nlp.pipe_names[at] and (key := getattr(pipe, "spans_key", None)):
            for start, part in zip(starts[1:], parts, strict=True):
                add_spans(doc, _move(doc, part, key, start), key)
        doc = pipe(doc)
    return doc


def _move(doc: Doc, part: Doc, key: str, start: int) -> Iterator[Entity]:
    """YIELDS (Entity): What a group of a part has, as entities of the whole."""
    for found in read_spans(part, key):
        first, last = (start + offset for offset in found.offsets)
        span = doc.char_span(first, last, found.span.label_, alignment_mode="expand")
        if span is not None:
            score = 1.0 if found.score is None else found.score
            at = (span.start, span.end, span.label_)
            yield Entity(*at, score, found.datasets, first, last)
