"""The component `openmed_phi`: the identifiers of HIPAA's Safe Harbor in a document."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from .components import SerializableComponent
from .errors import Errors, Warnings
from .hipaa import identifier_of, may_stay
from .idle import Need, warn_if_idle, watch
from .labels import canonical_label
from .spans import OFFSETS, SCORES, read_spans

IDENTIFIERS, SOURCES, RULES = "identifiers", "sources", "rules"
REPEATED = "RepeatedName"
# In a line of capitals nothing tells a name from the words after it, or before a credential: no
# more than two of them are taken. Initials and the small words of names are not counted.
CAPITALS, BEFORE = 2, "NameBeforeCredential"
LINE = 100  # what is looked at of a line, in either direction
SMALL = {"VAN", "VON", "DE", "DER", "DEN", "DEL", "DI", "DA", "LA", "LE", "BIN", "AL"}
_WORD = re.compile(r"[^\W\d_][\w'’-]+")
_LETTERS = re.compile(r"[^\W\d_]*")
_END = re.compile(r"[ \t]*(?:[\r\n]|\Z)|\t|[ ]{2}")  # of a field
# Names of fields, which stand in a form behind the name that fills the field before.
_FIELD = re.compile(
    r"(?:\s{2,}|[\t\r\n])(?:MRN|MR|DOB|D\.O\.B|SSN|Age|Sex|Gender|Date|Phone|Tel|Fax|E-?mail|Address"
    r"|Account|Acct|Admitted|Admission|Discharged?|Unit|Room|Ward|Insurance|PCP|ID)\W*\Z",
    re.IGNORECASE,
)
# Labels that say little, if they are a model's: one that says more wins, if it is not a guess.
COARSE = {"ADDRESS", "DATE", "DATE_TIME", "ID", "LOCATION", "ORGANIZATION", "PHONE", "UNIQUE_ID"}
GUESS = 0.5


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
    spans_key (str | None): Key in doc.spans under which an openmed_ner of the domain "privacy"
        wrote what it found: names, places, dates. None: rules only.
    annotate_spans_key (str): Key in doc.spans to write to.
    threshold (float): Lowest score of an identifier, the model's and the rules'. Lower finds more.
    repeat_names (bool): Find the words of each name wherever else they stand in the document.
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


class Candidate(NamedTuple):
    """What may be an identifier.

    start, end (int): Its characters.
    label (str): Its canonical label.
    score (float): How sure it is.
    rule (str): The recogniser that found it; empty: the model.
    """

    start: int
    end: int
    label: str
    score: float
    rule: str


def expand_to_tokens(doc: Doc, start: int, end: int, label: str | int) -> Span:
    """RETURNS (Span): The tokens that have any of these characters."""
    return cast(Span, doc.char_span(start, end, label=label, alignment_mode="expand"))


def source_of(candidate: Candidate) -> str:
    """RETURNS (str): "rule" or "model"."""
    return "rule" if candidate.rule else "model"


class OpenMedPHI(SerializableComponent):
    """Find identifiers and write them to `doc.spans`: those that a model has found before and
    those that rules find, Presidio's and ours.

    The settings are those of the factory, `make_openmed_phi`.
    """

    filename = "recognizers"  # those that were added

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
        if not 0 <= threshold <= 1:
            raise ValueError(Errors.OM301.format(threshold=threshold))
        self.spans_key = spans_key
        self.annotate_spans_key = annotate_spans_key
        self.threshold = threshold
        self.repeat_names = repeat_names
        self.recognizers: list[dict[str, Any]] = []
        self._analyzer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_analyzer": None}  # holds compiled patterns: made again

    @property
    def analyzer(self) -> Any:
        """RETURNS (AnalyzerEngine): Presidio's analyzer, made when it is first needed."""
        if self._analyzer is None:
            from .recognizers import make_analyzer

            self._analyzer = make_analyzer(self.recognizers, self.threshold)
        return self._analyzer

    def add_recognizers(self, recognizers: Iterable[dict[str, Any]]) -> None:
        """Add recognisers for identifiers of your own place, e.g. the form of its record numbers.
        They are saved with the component.

        recognizers (Iterable[dict[str, Any]]): Each as in the files of Presidio:
            {"name": …, "supported_entity": …, "patterns": [{"name": …, "regex": …, "score": …}]}.
            The supported entity is a label of an identifier, "UNIQUE_ID" for any other.
        RAISES (ValueError): If a label is none of an identifier's.
        """
        recognizers = list(recognizers)
        for recognizer in recognizers:
            label = recognizer.get("supported_entity", "")
            if identifier_of(label) is None:
                raise ValueError(Errors.OM302.format(name=recognizer.get("name"), label=label))
        self.recognizers += recognizers
        self._analyzer = None

    def predict(self, doc: Doc) -> list[Candidate]:
        """Find the identifiers of a document, without changing it.

        doc (Doc): The document.
        RETURNS (list[Candidate]): The identifiers in order. None overlaps another.
        RAISES (ValueError): If no component has written the spans that are to be read.
        """
        from .recognizers import analyze, rule_of

        spans, scores = self._get_model_spans(doc)
        text = doc.text
        candidates = [
            Candidate(
                result.start,
                result.end,
                result.entity_type,
                round(float(result.score), 4),
                rule_of(result),
            )
            for result in analyze(self.analyzer, doc, spans, scores)
            if not may_stay(result.entity_type, text[result.start : result.end])
        ]
        candidates = [cut_name(text, c) for c in candidates]
        if self.repeat_names:
            candidates += find_repeated(doc, candidates)
        return resolve(text, candidates)

    def _get_model_spans(self, doc: Doc) -> tuple[list[Span], list[float]]:
        if self.spans_key is None:
            return [], []
        if self.spans_key not in doc.spans:
            raise ValueError(Errors.OM303.format(name=self.name, key=self.spans_key))
        warn_if_idle(
            self,
            doc,
            [self.spans_key],
            [Need("personal data", _is_identifier)],
            add='openmed_ner with domain = "privacy" and annotate = "spans"',
            ents=False,
            warning=Warnings.OM355,
        )
        found = read_spans(doc, self.spans_key)
        spans = [Span(doc, s.start, s.end, canonical_label(s.label_)) for s, *_ in found]
        return spans, [1.0 if score is None else score for _, score, *_ in found]

    def set_annotations(self, doc: Doc, found: Sequence[Candidate]) -> None:
        """Write identifiers to the document. A span is of whole tokens; `attrs` has, in step
        with the spans, "scores", "identifiers" (a key of `hipaa.IDENTIFIERS`), "sources"
        ("model" or "rule"), "rules" (the name of the recogniser or empty), and "char_offsets",
        the characters that are to go.

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


def cut_name(text: str, c: Candidate, *, fields: bool = True) -> Candidate:
    """Cut off a name what is none: the name of the next field of a form, and, in a line of
    capitals, the words that a rule has taken for more of it.

    text (str): The text.
    c (Candidate): What was found.
    fields (bool): Leave names whole, capitals or not, that fill a field to its end.
    RETURNS (Candidate): The name; any other identifier as it is.
    """
    if identifier_of(c.label) != "name":
        return c
    last = _LETTERS.match(text, c.end)  # of a word that was taken in part
    field = _FIELD.search(text, c.start, last.end() if last else c.end)
    if field is not None and c.start < field.start() < c.end:
        c = c._replace(end=field.start())
    before = text[max(c.start - LINE, 0) : c.start].rpartition("\n")[2]
    after = text[c.end : c.end + LINE].partition("\n")[0]
    if not c.rule or not (before + text[c.start : c.end] + after).isupper():
        return c
    if fields and ":" in before and _END.match(text, c.end):
        return c
    words = [m for m in _WORD.finditer(text, c.start, c.end) if m.group() not in SMALL]
    if len(words) <= CAPITALS:
        return c
    if c.rule == BEFORE:
        return c._replace(start=words[-CAPITALS].start())
    return c._replace(end=c.start + len(text[c.start : words[CAPITALS].start()].rstrip()))


def find_repeated(doc: Doc, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Find the words of names wherever else they stand, as capitalised as a name.

    doc (Doc): The document.
    candidates (Iterable[Candidate]): What was found.
    RETURNS (list[Candidate]): The words of the names, with the score of the surest of them.
    """
    names: dict[str, float] = {}
    for c in candidates:
        if identifier_of(c.label) != "name":
            continue
        c = cut_name(doc.text, c, fields=False)
        for token in expand_to_tokens(doc, c.start, c.end, c.label):
            is_word = any(map(str.isalpha, token.text)) and not token.text.endswith(".")  # "Dr."
            if len(token) > 2 and is_word and not token.is_lower and not token.is_stop:
                names[token.lower_] = max(c.score, names.get(token.lower_, 0.0))
    return [
        Candidate(token.idx, token.idx + len(token), "PERSON", names[token.lower_], REPEATED)
        for token in doc
        if token.lower_ in names and not token.is_lower
    ]


def resolve(text: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Choose identifiers that do not overlap. Every letter and figure that was in one still is.

    text (str): The text.
    candidates (Iterable[Candidate]): What was found. Those of one label that overlap are joined.
        Where two labels overlap, each character goes to the one that says more, then to the
        surer, then to the longer; what is left of the other stays as it is labelled.
    RETURNS (list[Candidate]): The identifiers, in order.
    """
    joined: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.label, c.start, c.end)):
        last = joined[-1] if joined else None
        if last and last.label == c.label and c.start < last.end:
            surer = max(last, c, key=lambda c: (c.score, c.end - c.start))
            joined[-1] = surer._replace(start=last.start, end=max(last.end, c.end))
        else:
            joined.append(c)
    joined.sort(key=_rank)
    owners = np.zeros(len(text) + 1, dtype="int64")  # 0: nobody's; the last never has one
    for i, c in enumerate(joined, start=1):
        owners[c.start : c.end] = i
    borders = np.flatnonzero(np.diff(owners, prepend=0)).tolist()
    found = []
    for start, end in zip(borders, borders[1:], strict=False):
        owner = owners[start]
        if not owner:
            continue
        c = joined[owner - 1]
        if (start, end) != (c.start, c.end):  # others took a part: without what joined them
            part = [i for i in range(start, end) if text[i].isalnum()]
            if not part:
                continue
            start, end = part[0], part[-1] + 1
        found.append(c._replace(start=start, end=end))
    return found


def _is_identifier(label: str) -> bool:
    return identifier_of(canonical_label(label)) is not None


def _rank(c: Candidate) -> tuple[bool, float, int]:
    says_more = (bool(c.rule) or c.label not in COARSE) and c.score >= GUESS
    return says_more, c.score, c.end - c.start
