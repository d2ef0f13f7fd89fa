"""The component `openmed_phi`: the identifiers of HIPAA's Safe Harbor in a document."""

from collections.abc import Iterable, Sequence
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from spacy.vocab import Vocab

from ..components import SerializableComponent
from ..errors import Errors, Warnings
from ..idle import Need, warn_if_idle, watch
from ..labels import canonical_label
from ..settings import check_probability
from ..spans import OFFSETS, SCORES, read_spans
from .candidates import (
    FIELD,
    IDENTIFIERS,
    RULES,
    SOURCES,
    Candidate,
    expand_to_tokens,
    resolve,
    source_of,
)
from .clinical_filter import keep_clinical
from .identifiers import identifier_of, may_stay
from .names import (
    WITH_SUFFIX,
    cut_name,
    find_beside,
    find_in_columns,
    find_names_of_fields,
    find_repeated,
)
from .structured import read_layout


@Language.factory(
    "openmed_phi",
    requires=["doc.spans"],
    assigns=["doc.spans"],
    default_config={
        "spans_key": "openmed",
        "annotate_spans_key": "phi",
        "threshold": 0.3,
        "repeat_names": True,
    },
)
def make_openmed_phi(
    nlp: Language,
    name: str,
    spans_key: str | None,
    annotate_spans_key: str,
    threshold: float,
    repeat_names: bool,
) -> "OpenMedPHI":
    """Make a component that finds the 18 identifiers of HIPAA's Safe Harbor.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    spans_key (str | None): Key in doc.spans where an openmed_ner of the domain "privacy" wrote
        the names, places and dates that it found. None: rules only.
    annotate_spans_key (str): Key in doc.spans to write to.
    threshold (float): Minimum score of an identifier, from the model or the rules. A lower value
        finds more.
    repeat_names (bool): Find the words of each name wherever else they occur in the document.
    RETURNS (OpenMedPHI): The component.
    """
    component = OpenMedPHI(
        nlp.vocab,
        name,
        spans_key=spans_key,
        annotate_spans_key=annotate_spans_key,
        threshold=threshold,
        repeat_names=repeat_names,
    )
    return watch(component, nlp)


class OpenMedPHI(SerializableComponent):
    """Find identifiers and write them to `doc.spans`. They come from a model earlier in the
    pipeline and from rules: Presidio's and our own.

    The settings are those of the factory, `make_openmed_phi`.
    """

    filename = "recognizers"  # of `add_recognizers`

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_phi",
        *,
        spans_key: str | None = "openmed",
        annotate_spans_key: str = "phi",
        threshold: float = 0.3,
        repeat_names: bool = True,
    ) -> None:
        super().__init__(vocab, name)
        check_probability("threshold", threshold)
        self.spans_key = spans_key
        self.annotate_spans_key = annotate_spans_key
        self.threshold = threshold
        self.repeat_names = repeat_names
        self.recognizers: list[dict[str, Any]] = []
        self._analyzer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_analyzer": None}  # has compiled patterns: rebuilt

    @property
    def analyzer(self) -> Any:
        """RETURNS (AnalyzerEngine): Presidio's analyzer, made at first use."""
        if self._analyzer is None:
            from .presidio import make_analyzer

            self._analyzer = make_analyzer(self.recognizers, self.threshold)
        return self._analyzer

    def add_recognizers(self, recognizers: Iterable[dict[str, Any]]) -> None:
        """Add recognisers for local identifiers, e.g. your hospital's format of record numbers.
        They are saved with the component.

        recognizers (Iterable[dict[str, Any]]): Each in the format of Presidio's files:
            {"name": …, "supported_entity": …, "patterns": [{"name": …, "regex": …, "score": …}]}.
            The supported entity is a label of an identifier, or "UNIQUE_ID" for any other number.
        RAISES (ValueError): If a label is not an identifier's, or a recogniser is malformed.
        """
        from .presidio import check_recognizer

        recognizers = list(recognizers)
        for recognizer in recognizers:
            check_recognizer(recognizer)
            label = recognizer.get("supported_entity", "")
            if identifier_of(label) is None:
                raise ValueError(Errors.OM502.format(name=recognizer.get("name"), label=label))
        self.recognizers += recognizers
        self._analyzer = None

    def predict(self, doc: Doc) -> list[Candidate]:
        """Find the identifiers of a document, without changing it.

        doc (Doc): The document.
        RETURNS (list[Candidate]): The identifiers, in order and without overlaps.
        RAISES (ValueError): If no component has written the span group `spans_key`.
        """
        from .presidio import analyze

        found = self._read_model_spans(doc)
        text = doc.text
        candidates = [
            c
            for c in [*found, *analyze(self.analyzer, doc)]
            if not may_stay(c.label, text[c.start : c.end])
        ]
        if layout := read_layout(text):
            candidates = [
                c._replace(start=start, end=end)
                for c in candidates
                for start, end in layout.split(c.start, c.end)
                if (start, end) == (c.start, c.end)
                or identifier_of(c.label) != "date"
                or any(map(str.isdigit, text[start:end]))
            ]
        candidates += [c for c in find_in_columns(text) if c.score >= self.threshold]
        candidates = [cut_name(text, c) for c in candidates]
        candidates = keep_clinical(text, candidates)
        candidates += find_beside(text, candidates)
        if layout:
            fields = [Candidate(*field, 1.0, FIELD) for field in layout.fields]
            candidates += [*fields, *find_names_of_fields(text, fields)]
        if self.repeat_names:
            candidates += find_repeated(doc, candidates)
        if layout:
            candidates = [
                c for c in candidates if c.rule == FIELD or layout.is_free(c.start, c.end)
            ]
        return resolve(text, candidates)

    def _read_model_spans(self, doc: Doc) -> list[Candidate]:
        if self.spans_key is None:
            return []
        if self.spans_key not in doc.spans:
            raise ValueError(Errors.OM503.format(name=self.name, key=self.spans_key))
        warn_if_idle(
            self,
            doc,
            [self.spans_key],
            [Need("personal data", _is_identifier)],
            add='openmed_ner with domain = "privacy" and annotate = "spans"',
            ents=False,
            warning=Warnings.OM911,
        )
        found = []
        for span, score, *_ in read_spans(doc, self.spans_key):
            label, score = canonical_label(span.label_), 1.0 if score is None else score
            if label == "LOCATION" and WITH_SUFFIX.fullmatch(span.text):
                label = "PERSON"
            if identifier_of(label) is not None and score >= self.threshold:
                found.append(
                    Candidate(span.start_char, span.end_char, label, round(float(score), 4), "")
                )
        return found

    def set_annotations(self, doc: Doc, found: Sequence[Candidate]) -> None:
        """Write identifiers to the document. Spans cover whole tokens. The group's `attrs` hold one
        value per span: "scores", "identifiers" (a key of `identifiers.IDENTIFIERS`), "sources"
        ("model" or "rule"), "rules" (the name of the recogniser, or empty), and "char_offsets",
        the characters to replace.

        doc (Doc): The document.
        found (Sequence[Candidate]): The identifiers.
        """
        spans = [expand_to_tokens(doc, c.start, c.end, c.label) for c in found]
        attrs = {
            SCORES: [c.score for c in found],
            IDENTIFIERS: [identifier_of(c.label) for c in found],
            SOURCES: [source_of(c) for c in found],
            RULES: [c.rule for c in found],
            OFFSETS: [[c.start, c.end] for c in found],
        }
        key = self.annotate_spans_key
        doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attrs)

    def _dump(self) -> bytes:
        return srsly.json_dumps(self.recognizers).encode("utf8")

    def _load(self, data: bytes) -> None:
        self.recognizers = srsly.json_loads(data)
        self._analyzer = None


def _is_identifier(label: str) -> bool:
    return identifier_of(canonical_label(label)) is not None
