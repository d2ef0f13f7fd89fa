"""Clinical context of entities: negated, historical, hypothetical, or of the family.

Where a checkpoint says what the text asserts of an entity, that decides. For other entities there
are rules: NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) as negspacy has it, once for each
of the four; the trigger lists are our own, in `data/context.json`.
"""

import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from ..components import RuleComponent
from ..errors import Errors, Warnings, missing_extra
from ..extensions import SPAN_ATTRIBUTES, register_extensions
from ..idle import find_before, warn_if_idle, watch
from ..paths import DATA_PATH
from ..sentences import set_sentence_starts
from ..settings import check_choice
from ..spans import read_assertions

PATH = DATA_PATH / "context.json"
AXES = {
    "negated": "is_negated",
    "historical": "is_historical",
    "hypothetical": "is_hypothetical",
    "family": "is_family",
}
CONTEXT, CONTEXT_SCORE = "context", "context_score"
PRESENT = "PRESENT"
# What the context is called that the rules find; of several, the first one that holds.
BY_RULES = {
    "family": "FAMILY",
    "hypothetical": "POSSIBLE",
    "negated": "ABSENT",
    "historical": "HISTORICAL",
}
# The axis of each assertion of a checkpoint. The others, PRESENT and ALLERGY, have none.
BY_MODEL = {
    "ABSENT": "negated",
    "NOT_TAKEN": "negated",
    "HISTORICAL": "historical",
    "STOPPED": "historical",
    "POSSIBLE": "hypothetical",
    "CONDITIONAL": "hypothetical",
    "FAMILY": "family",
}
SOURCES = ("auto", "rules", "model")
TRIGGERS = ("pseudo_negations", "preceding_negations", "following_negations", "termination")
HEADINGS = "headings"
TARGETS = "targets"  # the span group that negspacy reads
# What stands at the start of a line, up to a colon or the end of the line.
HEADING = re.compile(
    r"^[ \t]*(?:\d+[.)]|[#*-]+)?[ \t]*([A-Za-z][^:\n]{0,40}?)[ \t]*(?:(:)[ \t]*(\S)?|$)",
    re.MULTILINE,
)

Termset = Mapping[str, Sequence[str]]


@Language.factory(
    "openmed_context",
    requires=["doc.ents"],
    assigns=[
        "token.is_sent_start",
        *(f"span._.{name}" for name in SPAN_ATTRIBUTES["openmed_context"]),
    ],
    default_config={"termsets": {}, "span_keys": ["openmed"], "source": "auto"},
)
def make_openmed_context(
    nlp: Language,
    name: str,
    termsets: dict[str, dict[str, list[str]]],
    span_keys: list[str],
    source: str,
) -> "OpenMedContext":
    """Make a component that tells which entities are negated, historical, hypothetical (or only
    suspected), or somebody else's.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    termsets (dict[str, dict[str, list[str]]]): Own lists instead of ours (without effect if
        `source` is "model"), for "negated",
        "historical", "hypothetical" or "family": lists of phrases in negspacy's form
        ("pseudo_negations", "preceding_negations", "following_negations", "termination"), and
        "headings" of a note's sections. Lists that an axis leaves out are empty.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    source (str): What decides. "auto": the checkpoint of `openmed_ner` where it says what the
        text asserts of an entity, and the rules elsewhere. "rules": only the rules. "model": only
        the checkpoint; entities of which it says nothing have no context.
    RETURNS (OpenMedContext): The component.
    """
    component = OpenMedContext(
        nlp.vocab,
        name,
        tokenizer=nlp.tokenizer,
        termsets=termsets,
        span_keys=span_keys,
        source=source,
    )
    return watch(component, nlp)


class OpenMedContext(RuleComponent):
    """Set `span._.is_negated`, `is_historical`, `is_hypothetical` and `is_family`, and
    `span._.context`, one label for them, with `context_score`, its probability.

    The settings are those of the factory, `make_openmed_context`, and `tokenizer`, which tokenizes
    the phrases. None: spaCy's default.
    """

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_context",
        *,
        tokenizer: Callable[[str], Doc] | None = None,
        termsets: Mapping[str, Termset] = SimpleFrozenDict(),
        span_keys: Sequence[str] = SimpleFrozenList(),
        source: str = "auto",
    ) -> None:
        super().__init__(vocab, name)
        register_extensions("openmed_context")
        check_choice("source", source, SOURCES)
        _check_termsets(termsets)
        self.span_keys = tuple(span_keys)
        self.source = source
        nlp = Language(vocab, create_tokenizer=(lambda _: tokenizer) if tokenizer else None)
        chosen = {axis: termsets.get(axis, load_termsets()[axis]) for axis in AXES}
        rules = () if source == "model" else AXES
        self.negexes = [_make_negex(nlp, axis, chosen[axis]) for axis in rules]
        self.headings = {
            _normalise(heading): axis for axis in AXES for heading in chosen[axis].get(HEADINGS, ())
        }
        self.other_headings = frozenset(load_termsets()["other_headings"])

    def predict(self, doc: Doc) -> list[tuple[Span, dict[str, Any]]]:
        """Tell the context of each entity.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[tuple[Span, dict[str, Any]]]): The entities, each with its attributes.
        """
        warn_if_idle(self, doc, self.span_keys, add="openmed_ner")
        set_sentence_starts(doc)
        spans = [span for span in self._spans(doc) if not span.text.isspace()]
        if not spans:
            return []
        asserted = {} if self.source == "rules" else read_assertions(doc)
        if self.source == "model" and not asserted:
            self._warn_of_no_assertions()
        places = [(span.start_char, span.end_char) for span in spans]
        if self.source == "model" or asserted.keys() >= {*places}:
            axes: list[set[str]] = [set() for _ in spans]
        else:
            axes = self._apply_rules(doc, spans)
        found = []
        for span, at, own in zip(spans, places, axes, strict=True):
            label, score = asserted.get(at, (None, None))
            if label is not None:
                own = {BY_MODEL[label]} if label in BY_MODEL else set()
            elif self.source != "model":
                label = next((BY_RULES[axis] for axis in BY_RULES if axis in own), PRESENT)
            flags: dict[str, Any] = {name: axis in own for axis, name in AXES.items()}
            found.append((span, {**flags, CONTEXT: label, CONTEXT_SCORE: score}))
        return found

    def _apply_rules(self, doc: Doc, spans: Sequence[Span]) -> list[set[str]]:
        """The axes that hold for each entity."""
        words = make_words(doc, spans)
        for negex in self.negexes:
            negex(words)
        sections = [(0, None), *find_sections(doc.text, self.headings, self.other_headings)]
        starts = [start for start, _ in sections]
        found = []
        for span, target in zip(spans, words.spans[TARGETS], strict=True):
            _, axis = sections[bisect_right(starts, span.start_char) - 1]
            found.append({own for own, name in AXES.items() if own == axis or target._.get(name)})
        return found

    def _warn_of_no_assertions(self) -> None:
        """Warn once if no component before this one has a checkpoint that asserts anything."""
        before = find_before(self, "assertions")
        if before is None:
            return
        models = [getattr(pipe, "model", None) for pipe, _ in before]
        shims = [shim for model in models for shim in getattr(model, "shims", ())]
        if not any(getattr(shim, "assertion", None) for shim in shims):
            warnings.warn(Warnings.OM715.format(name=self.name), stacklevel=4)

    def set_annotations(self, doc: Doc, found: Sequence[tuple[Span, Mapping[str, Any]]]) -> None:
        """Set the attributes of the entities.

        doc (Doc): The document.
        found (Sequence[tuple[Span, Mapping[str, Any]]]): The entities, each with its attributes.
        """
        for span, values in found:
            for extension, value in values.items():
                if value != span._.get(extension):
                    span._.set(extension, value)

    def _spans(self, doc: Doc) -> Iterator[Span]:
        yield from doc.ents
        for key in self.span_keys:
            yield from doc.spans.get(key, ())


def make_words(doc: Doc, spans: Sequence[Span]) -> Doc:
    """Copy a document for negspacy, so that every entity gets a result and every trigger is seen:
    without the white space that stands between the words of a trigger where lines are wrapped,
    and with no sentence that begins inside an entity (negspacy passes over such entities).

    doc (Doc): The document, with sentence starts.
    spans (Sequence[Span]): The entities, none of them only white space.
    RETURNS (Doc): Its words, with the entities as a span group, in order.
    """
    inside = {i for span in spans for i in range(span.start + 1, span.end)}
    words: list[str] = []
    starts: list[bool | int | None] = []
    index = []  # how many words there are before each token
    is_start = True
    for token in doc:
        index.append(len(words))
        is_start = is_start or bool(token.is_sent_start)
        if not token.is_space:
            words.append(token.text)
            starts.append(is_start and token.i not in inside)
            is_start = False
    index.append(len(words))
    copy = Doc(doc.vocab, words=words, sent_starts=starts)
    copy.spans[TARGETS] = [
        Span(copy, index[span.start], index[span.end], span.label) for span in spans
    ]
    return copy


def find_sections(
    text: str, headings: Mapping[str, str], others: Container[str]
) -> Iterator[tuple[int, str | None]]:
    """Find the sections of a note. A section begins with a heading that is known, or with a line
    that looks like one: with a colon, and in capitals, on its own, or after a blank line; without
    a colon, in capitals and after a blank line.

    text (str): The note.
    headings (Mapping[str, str]): The axis of headings that say something of all they head.
    others (Container[str]): Headings that end such a section.
    YIELDS (tuple[int, str | None]): Where a section begins, and the axis of its heading.
    """
    for match in HEADING.finditer(text):
        heading = _normalise(match[1])
        axis = headings.get(heading)
        is_known = axis is not None or heading in others
        line_before = text[text.rfind("\n", 0, max(match.start() - 1, 0)) + 1 : match.start()]
        is_apart = not line_before.strip()
        if match[2]:
            looks_like_one = match[1].isupper() or not match[3] or is_apart
        else:
            looks_like_one = match[1].isupper() and is_apart
        if is_known or looks_like_one:
            yield match.start(), axis


@cache
def load_termsets() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Our own lists, by axis, and the other headings of notes."""
    return srsly.read_json(PATH)


def _make_negex(nlp: Language, axis: str, termset: Termset) -> Callable[[Doc], Doc]:
    try:
        from .negex import EntityNegex
    except ImportError as error:
        raise missing_extra("clinical", error) from error
    return EntityNegex(nlp, axis, termset, AXES[axis])


def _check_termsets(termsets: Mapping[str, Termset]) -> None:
    known = (*TRIGGERS, HEADINGS)
    for axis, termset in termsets.items():
        if axis not in AXES:
            raise ValueError(Errors.OM321.format(axis=axis, known=", ".join(AXES)))
        for key, phrases in termset.items():
            if key not in known or isinstance(phrases, str):
                raise ValueError(Errors.OM322.format(axis=axis, key=key, known=", ".join(known)))


def _normalise(heading: str) -> str:
    return " ".join(heading.lower().split())
