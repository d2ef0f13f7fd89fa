"""Clinical context of entities: negated, historical, hypothetical, or of the family.

A checkpoint's assertion decides, unless a check box, a sign or an unambiguous phrase is beside the
entity. Other entities are left to rules: negspacy's NegEx (Chapman et al. 2001,
doi:10.1006/jbin.2001.1029), run once for each of the four, with our own trigger lists from
`data/context.json`.
"""

import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from ..components import RuleComponent
from ..errors import Warnings, missing_extra
from ..extensions import SPAN_ATTRIBUTES, register_extensions
from ..idle import find_before, warn_if_idle, watch
from ..labels import asserted_as
from ..sections import Section, find_sections, normalise_heading
from ..sentences import set_sentence_starts
from ..settings import check_choice, check_names
from ..spans import read_assertions
from .answers import load_answers
from .corrections import FAMILY, correct, has_relative
from .termsets import (
    AXES,
    HEADINGS,
    NEAR,
    OF_DRUGS,
    PLAIN,
    QUERY,
    Termset,
    check_termsets,
    compile_beside,
    is_free,
    load_table,
    load_termsets,
    normalise,
)

if TYPE_CHECKING:
    from .negex import EntityNegex

CONTEXT, CONTEXT_SCORE = "context", "context_score"
PRESENT = "PRESENT"
# The label for each axis found by the rules; if several hold, the first one counts.
BY_RULES = {
    "family": "FAMILY",
    "hypothetical": "POSSIBLE",
    "negated": "ABSENT",
    "historical": "HISTORICAL",
}
DRUG = "CHEMICAL"  # canonical label
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
UNSURE = 0.5  # below this probability of a checkpoint's assertion, the rules decide ("auto")


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
    """Make a component that detects which entities are negated, historical, hypothetical (or only
    suspected), or somebody else's.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    termsets (dict[str, dict[str, list[str]]]): Your own lists to replace the built-in ones, for
        "negated", "historical", "hypothetical" or "family": lists of phrases in negspacy's format
        ("pseudo_negations", "preceding_negations", "following_negations", "termination"), and
        "headings" of a note's sections. Lists that an axis leaves out are empty. If `source` is
        "model", they have no effect.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    source (str): What decides. "auto": the assertion of the `openmed_ner` checkpoint, if its
        probability is 0.5 or more; otherwise, and for check boxes, signs and unambiguous phrases,
        the rules. "rules": only the rules. "model": only the checkpoint; entities without an
        assertion get no context.
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
        span_keys: Sequence[str] = SimpleFrozenList(("openmed",)),
        source: str = "auto",
    ) -> None:
        super().__init__(vocab, name)
        register_extensions("openmed_context")
        check_choice("source", source, SOURCES)
        check_termsets(termsets)
        self.span_keys = check_names("span_keys", span_keys)
        self.source = source
        nlp = Language(vocab, create_tokenizer=(lambda _: tokenizer) if tokenizer else None)
        ours = load_termsets()
        chosen = {axis: termsets.get(axis, ours[axis]) for axis in (*AXES, *OF_DRUGS)}
        used = () if source == "model" else chosen
        self.negexes = {axis: _make_negex(nlp, axis, chosen[axis]) for axis in used}
        self.beside = {axis: compile_beside(chosen[axis]) for axis in used}
        self.headings, self.drug_headings = (
            {
                normalise_heading(heading): axis
                for axis in axes
                for heading in chosen[axis].get(HEADINGS, ())
            }
            for axes in (AXES, OF_DRUGS)
        )

    def predict(self, doc: Doc) -> list[tuple[Span, dict[str, Any]]]:
        """Find the context of each entity.

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
        text = doc.text.translate(PLAIN) if asserted and self.source == "auto" else ""
        if self.source == "auto":
            asserted = {at: own for at, own in asserted.items() if not _is_unsure(text, *at, *own)}
        places = [(span.start_char, span.end_char) for span in spans]
        if self.source == "model" or asserted.keys() >= {*places}:
            axes: list[set[str]] = [set() for _ in spans]
        else:
            axes = self._apply_rules(doc, spans)
        found = []
        for span, at, own in zip(spans, places, axes, strict=True):
            label, score = asserted.get(at, (None, None))
            if label is not None:
                marked = _read_beside(text, span, label)
                label, score = (label, score) if marked is None else (marked, None)
                own = _to_axes(label)
            elif self.source != "model":
                names = OF_DRUGS if is_drug(span) else BY_RULES
                label = next((names[axis] for axis in names if axis in own), PRESENT)
                if names is OF_DRUGS:
                    own = _to_axes(label)
            flags: dict[str, Any] = {name: axis in own for axis, name in AXES.items()}
            found.append((span, {**flags, CONTEXT: label, CONTEXT_SCORE: score}))
        return found

    def _apply_rules(self, doc: Doc, spans: Sequence[Span]) -> list[set[str]]:
        """The axes that hold for each entity."""
        as_written = doc.text  # spaCy joins it anew each time
        text = as_written.translate(PLAIN)
        found: list[set[str]] = [set() for _ in spans]
        words, places = make_words(doc, spans)
        starts = [token.i for token in words if token.is_sent_start]
        sections = find_sections(as_written, {*self.headings, *self.drug_headings})
        opens = [section.start for section in sections]
        for axes, drugs in ((AXES, False), (OF_DRUGS, True)):
            chosen = [i for i, span in enumerate(spans) if is_drug(span) is drugs]
            if not chosen:
                continue
            targets = [places[i] for i in chosen]
            headings = self.drug_headings if drugs else self.headings
            for axis in axes:
                for k in self.negexes[axis].find(words, targets, starts):
                    found[chosen[k]].add(axis)
            for i in chosen:
                start, end = spans[i].start_char, spans[i].end_char
                section = sections[bisect_right(opens, start) - 1]
                axis_of_section = headings.get(section.heading)
                if axis_of_section and not _has_ended(text, section, start):
                    found[i].add(axis_of_section)
                before, after = text[max(0, start - NEAR) : start], text[end : end + NEAR]
                for axis in axes:
                    just_before, just_after, not_just_after = self.beside[axis]
                    if (just_before and just_before.search(before)) or (
                        just_after and just_after.match(after)
                    ):
                        found[i].add(axis)
                        if axis == "hypothetical":
                            found[i].discard("negated")
                    if not_just_after and not_just_after.match(after):
                        found[i].discard(axis)
                _read_answer(text, spans[i], found[i])
        return found

    def _warn_of_no_assertions(self) -> None:
        """Warn once if no component before this one has a checkpoint that asserts anything."""
        before = find_before(self, "assertions")
        if before is None:
            return
        models = [getattr(pipe, "model", None) for pipe, _ in before]
        shims = [shim for model in models for shim in getattr(model, "shims", ())]
        if not any(getattr(shim, "assertion", None) for shim in shims):
            warnings.warn(Warnings.OM910.format(name=self.name), stacklevel=4)

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


def make_words(doc: Doc, spans: Sequence[Span]) -> tuple[Doc, list[tuple[int, int]]]:
    """Copy a document for NegEx, so that it sees every trigger. `normalise` writes the words,
    without white space, so that triggers match across wrapped lines. No sentence begins inside an
    entity, or after a question mark before a word: "?PE" has another question mark than "PE?".

    doc (Doc): The document, with sentence starts.
    spans (Sequence[Span]): The entities, none of them only white space.
    RETURNS (tuple[Doc, list[tuple[int, int]]]): Its words, and the entities as words.
    """
    words, index = normalise(doc)
    inside = {i for span in spans for i in range(index[span.start] + 1, index[span.end])}
    starts = [False] * len(words)
    for i, token in enumerate(doc):
        if token.is_sent_start and index[i] < len(words):
            starts[index[i]] = True
    if words:
        starts[0] = True
    for i, token in enumerate(doc[:-1]):
        if token.text == "?" and doc[i + 1].text.isalnum() and is_free(doc, i):
            words[index[i]] = QUERY
            starts[index[i + 1]] = False
    for i in inside:
        starts[i] = False
    flags: list[bool | int | None] = [*starts]
    copy = Doc(doc.vocab, words=words, sent_starts=flags)
    return copy, [(index[span.start], index[span.end]) for span in spans]


def is_drug(span: Span) -> bool:
    """RETURNS (bool): Whether an entity is a drug, by its label."""
    return asserted_as(span.label_, (DRUG,)) is not None


def _is_unsure(text: str, start: int, end: int, label: str, score: float | None) -> bool:
    """Whether to leave an entity to the rules: a checkpoint's probability is low, or it says that
    the entity is of the family where no relative is named."""
    if score is not None and score < UNSURE:
        return True
    return label == FAMILY and not has_relative(text, start, end)


def _to_axes(label: str) -> set[str]:
    """The axes that hold for an entity with this context."""
    return {BY_MODEL[label]} if label in BY_MODEL else set()


def _read_answer(text: str, span: Span, axes: set[str]) -> None:
    """Update the axes by a box, a sign or an answer beside an entity: is it absent?"""
    answer = load_answers().read(text, span.start_char, span.end_char)
    if answer is None:
        return
    axes -= {"negated", "hypothetical", "not_taken"}
    if answer == "absent":
        axes |= {"negated", "not_taken"}
    elif answer == "possible":
        axes.add("hypothetical")


def _read_beside(text: str, span: Span, label: str) -> str | None:
    """RETURNS (str | None): The label that a box, sign or phrase beside an entity sets in place of
    the checkpoint's; None if there is nothing of the kind, or it agrees with the label."""
    if not text or label == "ALLERGY":
        return None
    start, end = span.start_char, span.end_char
    mark, axes = load_answers().read_mark(text, start, end), _to_axes(label)
    if mark is None or "family" in axes:
        return None if is_drug(span) else correct(text, start, end, label)
    if mark == "absent":
        return "NOT_TAKEN" if is_drug(span) else "ABSENT"
    if mark == "present":
        return PRESENT if axes & {"negated", "hypothetical"} else None
    return "POSSIBLE" if not axes or "negated" in axes else None


def _has_ended(text: str, section: Section, at: int) -> bool:
    """Whether a heading no longer applies. If its text begins on the same line, it ends at a blank
    line or at a line that begins with the patient."""
    if not section.is_inline:
        return False
    return _section_end().search(text, section.body, at) is not None


@cache
def _section_end() -> re.Pattern[str]:
    words = "|".join(map(re.escape, load_table()["section_ends"]))
    return re.compile(rf"\n[ \t]*(?:\n|(?:{words})\b)", re.IGNORECASE)


def _make_negex(nlp: Language, axis: str, termset: Termset) -> "EntityNegex":
    try:
        from .negex import EntityNegex
    except ImportError as error:
        raise missing_extra("clinical", error) from error
    return EntityNegex(nlp, axis, termset)
