"""What was replaced: offsets before and after."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup
from spacy.tokens.underscore import Underscore
from spacy.util import filter_spans

from ..errors import Errors
from ..spans import OFFSETS
from .candidates import expand_to_tokens


@dataclass(frozen=True)
class Replacement:
    """What was done to one identifier, without its text.

    start, end (int): Its character offsets in the original text.
    new_start, new_end (int): Character offsets of its replacement in the new text.
    label (str): Its canonical label.
    identifier (str | None): Which of the 18 identifiers it is, a key of
        `identifiers.IDENTIFIERS`.
    source (str): "model" or "rule".
    rule (str): The recogniser that found it, or empty.
    score (float): Its score.
    action (str): What was done. "redact" if a date can't be shifted (it can't be parsed, or
        reveals an age over 89) or nothing of an identifier may stay.
    """

    start: int
    end: int
    new_start: int
    new_end: int
    label: str
    identifier: str | None
    source: str
    rule: str
    score: float
    action: str


@dataclass(frozen=True)
class Deidentified:
    """A text without its identifiers.

    text (str): The text.
    replacements (tuple[Replacement, ...]): The audit: the replacements, in order.
    key_check (str): Checksum of the key; empty if no key was used.
    text_check (str): Keyed checksum of the text; empty if no key was used.
    """

    text: str
    replacements: tuple[Replacement, ...]
    key_check: str = ""
    text_check: str = ""

    @cached_property
    def _starts(self) -> list[int]:
        return [r.start for r in self.replacements]

    def map_offsets(self, start: int, end: int) -> tuple[int, int]:
        """Map character offsets of the original text to the new text.

        start, end (int): The offsets, of at least one character.
        RETURNS (tuple[int, int]): The new offsets. If they begin or end inside a replaced
            identifier, they take in the whole replacement.
        """
        new_start, new_end = start, end
        if i := bisect_right(self._starts, start):
            r = self.replacements[i - 1]
            is_inside = start < r.end and r.action != "keep"
            new_start = r.new_start if is_inside else start + r.new_end - r.end
        if i := bisect_left(self._starts, end):
            r = self.replacements[i - 1]
            is_inside = end < r.end and r.action != "keep"
            new_end = r.new_end if is_inside else end + r.new_end - r.end
        return new_start, new_end

    def is_replaced(self, start: int, end: int) -> bool:
        """RETURNS (bool): Whether these characters of the original text were all replaced."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        near = self.replacements[first : bisect_left(self._starts, end)]
        gone = [r for r in near if r.action != "keep"]
        return end - start == sum(max(0, min(end, r.end) - max(start, r.start)) for r in gone)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The audit as plain data, without any text."""
        rows = [asdict(replacement) for replacement in self.replacements]
        checks = {"key_check": self.key_check, "text_check": self.text_check}
        return {**checks, "replacements": rows}

    @classmethod
    def from_dict(cls, text: str, data: Mapping[str, Any]) -> "Deidentified":
        """Rebuild the result from a text and its audit.

        text (str): The new text.
        data (Mapping[str, Any]): The audit, as returned by `to_dict`.
        RETURNS (Deidentified): The result.
        RAISES (ValueError): If the audit is not valid.
        """
        try:
            rows = tuple(Replacement(**row) for row in data["replacements"])
            return cls(text, rows, data["key_check"], data["text_check"])
        except (KeyError, TypeError) as error:
            raise ValueError(Errors.OM512) from error


def carry_over(doc: Doc, new_doc: Doc, result: Deidentified, *, spans_key: str = "phi") -> Doc:
    """Copy the entities and span groups of a document to its de-identified version, with labels,
    ids, extension attributes and the groups' attrs. Spans that were replaced entirely are left
    out, except the identifiers themselves. Spans replaced in part take in the whole replacement.

    doc (Doc): The original document.
    new_doc (Doc): A document of the new text, e.g. `nlp.make_doc(result.text)`.
    result (Deidentified): What `deidentify` returned for the original document.
    spans_key (str): Key in doc.spans of the identifiers.
    RETURNS (Doc): The new document, with the annotation.
    RAISES (ValueError): If the new document has another text.
    """
    if new_doc.text != result.text:
        raise ValueError(Errors.OM511)
    ents = [e for e in doc.ents if not result.is_replaced(e.start_char, e.end_char)]
    new_doc.set_ents(filter_spans(_move(e, new_doc, result) for e in ents), default="outside")
    for key, group in doc.spans.items():
        kept = [
            i
            for i, span in enumerate(group)
            if key == spans_key or not result.is_replaced(span.start_char, span.end_char)
        ]
        attrs = {
            name: [value[i] for i in kept]
            if isinstance(value, list) and len(value) == len(group)
            else value
            for name, value in group.attrs.items()
        }
        if OFFSETS in attrs:
            attrs[OFFSETS] = [at and list(result.map_offsets(*at)) for at in attrs[OFFSETS]]
        spans = [_move(group[i], new_doc, result) for i in kept]
        new_doc.spans[key] = SpanGroup(new_doc, name=group.name, spans=spans, attrs=attrs)
    return new_doc


def _move(span: Span, new_doc: Doc, result: Deidentified) -> Span:
    start, end = result.map_offsets(span.start_char, span.end_char)
    moved = expand_to_tokens(new_doc, start, end, span.label)
    moved.kb_id, moved.id = span.kb_id, span.id
    for name, (_, method, getter, _) in Underscore.span_extensions.items():
        if method is None and getter is None:
            moved._.set(name, span._.get(name))
    return moved
