"""Group the entities of a document into concepts: all mentions of one thing."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from spacy.tokens import Doc, Span

from ..abbreviations import find_abbreviations
from ..extensions import register_extensions

# The prefix of ids made from a text: no vocabulary has them.
TEXT_PREFIX = "OPENMED_TEXT"
IDENTIFIERS = "identifiers"  # an attr that only the span group of openmed_phi has
NOT_ASSERTED = ("is_negated", "is_hypothetical", "is_family")
# What looks like a plural. Not "AIDS". "Diabetes" is cut too, but consistently.
PLURAL = re.compile(r"[^\W\d_]{2}(?<![SsUuIi])s$")


@dataclass(frozen=True)
class Concept:
    """A thing that a document mentions.

    id (str): The id that a linker gave (`kb_id_`), or "OPENMED_TEXT:" and its label and text.
    label (str): Its label; that of the first mention if a linker's id stands under several.
    mentions (tuple[Span, ...]): Where it is mentioned, in the order of the text.
    """

    id: str
    label: str
    mentions: tuple[Span, ...]


def find_concepts(
    doc: Doc, *, span_keys: Sequence[str] = ("openmed",), labels: Container[str] | None = None
) -> list[Concept]:
    """Group the mentions of a document by what they refer to.

    Mentions with the same id refer to one thing. Without ids, they need the same label and text;
    case, spaces, punctuation, a plural s, and abbreviations that the document explains make no
    difference. Mentions that are negated, hypothetical or of the family (see `openmed_context`) are
    left out, and so are those that touch an identifier found by `openmed_phi`.

    doc (Doc): The document.
    span_keys (Sequence[str]): Groups in doc.spans to read beside doc.ents.
    labels (Container[str] | None): The labels to take; None: all.
    RETURNS (list[Concept]): The concepts, in the order of their first mentions.
    """
    private = {
        i
        for group in doc.spans.values()
        if IDENTIFIERS in group.attrs
        for span in group
        for i in range(span.start, span.end)
    }
    spans = [
        span
        for span in read_mentions(doc, span_keys)
        if (labels is None or span.label_ in labels)
        and normalise(span.text)
        and private.isdisjoint(range(span.start, span.end))
    ]
    long_forms = {
        (short.label, short.text): long for short, long in find_abbreviations(spans).items()
    }
    groups: dict[str, list[Span]] = {}
    for span in spans:
        if is_asserted(span):
            named = span if span.kb_id_ else long_forms.get((span.label, span.text), span)
            groups.setdefault(make_id(named), []).append(span)
    return [Concept(id, spans[0].label_, tuple(spans)) for id, spans in groups.items()]


def read_mentions(doc: Doc, span_keys: Sequence[str]) -> Iterator[Span]:
    """Read the entities of a document.

    doc (Doc): The document.
    span_keys (Sequence[str]): Groups in doc.spans to read beside doc.ents.
    YIELDS (Span): The entities in the order of the text, without duplicates (the same tokens,
        label and id).
    """
    spans = list(doc.ents)
    for key in span_keys:
        spans.extend(doc.spans.get(key, ()))
    found: dict[tuple[int, int, int], dict[int, Span]] = {}
    for span in spans:  # an entity that two components found is one mention
        by_id = found.setdefault((span.start, span.end, span.label), {})
        if span.kb_id:
            by_id.pop(0, None)  # the one without an id says less
        if span.kb_id or not by_id:
            by_id.setdefault(span.kb_id, span)
    for at in sorted(found):
        yield from found[at].values()


def is_asserted(span: Span) -> bool:
    """RETURNS (bool): Whether an entity is asserted of the patient, now or in the past."""
    register_extensions()
    return not any(span._.get(name) for name in NOT_ASSERTED)


def make_id(span: Span) -> str:
    """RETURNS (str): The id of an entity's concept: its `kb_id_`, or an id made from its text."""
    if span.kb_id_:
        return span.kb_id_
    return f"{TEXT_PREFIX}:{span.label_}/{quote('_'.join(to_singular(span.text).split()))}"


def is_text(id: str) -> bool:
    """RETURNS (bool): Whether `make_id` made the id of a text: no vocabulary has it."""
    return id.startswith(f"{TEXT_PREFIX}:")


def to_text(id: str) -> str:
    """RETURNS (str): What `to_singular` gave for an id that `make_id` made of a text."""
    return unquote(id.rpartition("/")[2]).replace("_", " ")  # labels may have a slash, texts none


def to_singular(text: str) -> str:
    """RETURNS (str): A text as `normalise` gives it, without an s of the plural."""
    words = normalise(text).split()
    if words and PLURAL.search(text):
        words[-1] = words[-1][:-1]
    return " ".join(words)


def normalise(text: str) -> str:
    """RETURNS (str): A text in lower case, with each run of other characters than letters and
    digits replaced by a space."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def choose_name(texts: Counter[str]) -> str:
    """RETURNS (str): The most frequent name of a thing. On a tie, the longer one, then one in lower
    case, then the first in alphabetical order."""
    return min(texts, key=lambda text: (-texts[text], -len(text), text.swapcase()))
