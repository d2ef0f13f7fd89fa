"""Pipelines that find identifiers."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokens import Doc

from ..spans import Entity, add_spans, read_spans
from .component import OpenMedPHI
from .structured import read_layout

# A missed identifier does more harm than a word redacted in error. The model leaves a token only if
# "no entity" is e times as likely as a label.
OUTSIDE_BIAS = -1.0


def phi_settings(size: str = "mini", checkpoint: str | None = None) -> dict[str, Any]:
    """Make the settings of `openmed_ner` for personal data.

    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint to use instead of the catalogue's of that size.
    RETURNS (dict[str, Any]): The settings. Entities go to `doc.spans` only, and `outside_bias` is
        set for recall.
    """
    return {
        "domain": "privacy",
        "size": size,
        "annotate": "spans",
        "outside_bias": OUTSIDE_BIAS,
        "model": {"name": checkpoint},
    }


def add_phi_pipes(
    nlp: Language, *, size: str = "mini", checkpoint: str | None = None, threshold: float = 0.3
) -> Language:
    """Add the components that find identifiers: a model for personal data, and `openmed_phi`.

    nlp (Language): The pipeline.
    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint to use instead of the catalogue's of that size.
    threshold (float): Minimum score of an identifier.
    RETURNS (Language): The same pipeline.
    """
    nlp.add_pipe("openmed_ner", name="openmed_privacy", config=phi_settings(size, checkpoint))
    nlp.add_pipe("openmed_phi", config={"threshold": threshold})
    return nlp


def annotate_text(nlp: Language, text: str) -> Doc:
    """Run a pipeline with `openmed_phi` on a text that may have fields: CSV, FHIR, HL7.

    The model also reads each free text in a field on its own, because after table delimiters models
    miss a name at the start of a field.

    nlp (Language): The pipeline.
    text (str): The text.
    RETURNS (Doc): The document.
    """
    layout = read_layout(text)
    pipes = enumerate(pipe for _, pipe in nlp.pipeline)
    at, phi = next(((i, pipe) for i, pipe in pipes if isinstance(pipe, OpenMedPHI)), (0, None))
    if layout is None or phi is None or (key := phi.spans_key) is None:
        return nlp(text)
    starts, ends = zip(*[(0, len(text)), *layout.find_free_texts()], strict=True)
    with nlp.select_pipes(enable=nlp.pipe_names[:at]):
        doc, *parts = nlp.pipe(text[start:end] for start, end in zip(starts, ends, strict=True))
    if key in doc.spans:
        moved = (_move(doc, *found, key) for found in zip(parts, starts[1:], strict=True))
        add_spans(doc, chain.from_iterable(moved), key)
    for name, pipe in nlp.pipeline[at:]:
        doc = pipe(doc)
        if doc is None:  # the error handler dropped it, as in `Language.__call__`
            raise ValueError(SpacyErrors.E005.format(name=name, returned_type=type(doc)))
    return doc


def read_fields(nlp: Language, doc: Doc) -> Doc:
    """Run a pipeline with `openmed_phi` again on a document that has fields, as `annotate_text`
    does.

    nlp (Language): The pipeline.
    doc (Doc): A document that the pipeline has annotated.
    RETURNS (Doc): A new document of the same text; the same document if it has no fields.
    """
    return doc if read_layout(doc.text) is None else annotate_text(nlp, doc.text)


def _move(doc: Doc, part: Doc, start: int, key: str) -> Iterator[Entity]:
    """YIELDS (Entity): The spans of a part's group, as entities of the whole document."""
    for found in read_spans(part, key):
        first, last = (start + offset for offset in found.offsets)
        span = doc.char_span(first, last, found.span.label_, alignment_mode="expand")
        if span is not None:
            score = 1.0 if found.score is None else found.score
            at = (span.start, span.end, span.label_)
            yield Entity(*at, score, found.datasets, first, last)
