"""Clinical context of entities: negated, historical, hypothetical, or of the family.

The algorithm is NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) as negspacy has it, once
for each of the four; the trigger lists are our own, in `data/context.json`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from .components import RuleComponent
from .errors import Errors, missing_extra
from .extensions import register_extensions
from .idle import warn_if_idle, watch
from .sentences import set_sentence_starts

PATH = Path(__file__).parent / "data" / "context.json"
AXES = {
    "negated": "is_negated",
    "historical": "is_historical",
    "hypothetical": "is_hypothetical",
    "family": "is_family",
}
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
    assigns=["token.is_sent_start", *(f"span._.{name}" for name in AXES.values())],
    default_config={"termsets": {}, "span_keys": ["openmed"]},
)
def make_openmed_context(
    nlp: Language, name: str, termsets: dict[str, dict[str, list[str]]], span_keys: list[str]
) -> "OpenMedContext":
    """Make a component that tells which entities are negated, historical, hypothetical (or only
    suspected), or somebody else's.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    termsets (dict[str, dict[str, list[str]]]): Own lists instead of ours, for "negated",
        "historical", "hypothetical" or "family": lists of phrases in negspacy's form
        ("pseudo_negations", "preceding_negations", "following_negations", "termination"), and
        "headings" of a note's sections. Lists that an axis leaves out are empty.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    RETURNS (OpenMedContext): The component.
    """
    component = OpenMedContext(
        nlp.vocab, name, tokenizer=nlp.tokenizer, termsets=termsets, span_keys=span_keys
    )
    return watch(component, nlp)


class OpenMedContext(RuleComponent):
    """Set `span._.is_negated`, `is_historical`, `is_hypothetical` and `is_family`.

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
    ) -> None:
        super().__init__(vocab, name)
        register_extensions("openmed_context")
        _check_termsets(termsets)
        self.span_keys = tuple(span_keys)
        nlp = Language(vocab, create_tokenizer=(lambda _: tokenizer) if tokenizer else None)
        chosen = {axis: termsets.get(axis, load_termsets()[axis]) for axis in AXES}
        self.negexes = [_make_negex(nlp, axis, chosen[axis]) for axis in AXES]
        self.headings = {
            _normalise(heading): axis for axis in AXES for heading in chosen[axis].get(HEADINGS, ())
        }
        self.other_headings = frozenset(load_termsets()["other_headings"])

    def predict(self, doc: Doc) -> list[tuple[Span, dict[str, bool]]]:
        """Tell the context of each entity.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[tuple[Span, dict[str, bool]]]): The entities, each with its attributes.
        """
        warn_if_idle(self, doc, self.span_keys, add="openmed_ner")
        set_sentence_starts(doc)
        spans = [span for span in self._spans(doc) if not span.text.isspace()]
        if not spans:
            return []
        words = make_words(doc, spans)
        for negex in self.negexes:
            negex(words)
        sections = [(0, None), *find_sections(doc.text, self.headings, self.other_headings)]
        starts = [start for start, _ in sections]
        found = []
        for span, target in zip(spans, words.spans[TARGETS], strict=True):
            _, axis = sections[bisect_right(starts, span.start_char) - 1]
            flags = {
                extension: own == axis or target._.get(extension) for own, extension in AXES.items()
            }
            found.append((span, flags))
        return found

    def set_annotations(self, doc: Doc, found: Sequence[tuple[Span, Mapping[str, bool]]]) -> None:
        """Set the attributes of the entities.

        doc (Doc): The document.
        found (Sequence[tuple[Span, Mapping[str, bool]]]): The entities, each with its attributes.
        """
        for span, flags in found:
            for extension, flag in flags.items():
                if flag != span._.get(extension):
                    span._.set(extension, flag)

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
