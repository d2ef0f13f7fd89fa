"""Abbreviations that a text explains: "chronic kidney disease (CKD)", "CKD (chronic kidney
disease)".

The rule is Schwartz and Hearst's (2003, "A simple algorithm for identifying abbreviation
definitions in biomedical text").
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from spacy.tokens import Span

MAX_LENGTH = 10  # characters of a short form
# The first part of what stands in brackets: "(CKD; stage 3)". Brackets in it are left to
# themselves: of "(kidney disease [CKD])" the inner ones explain something.
_BRACKETS = re.compile(r"[(\[]([^()\[\];,]{2,200})[)\];,]")
_WORDS = re.compile(r"\S+")
_LAST_WORD = re.compile(r"[^\s()\[\],;:]+$")
_END_OF_SENTENCE = re.compile(r"[.;:!?]\s+(?=[A-Z])|\n[^\S\n]*\n")
_PADDING = "\"'“”‘’ \t\r\n\f\v\u00a0"  # quotation marks and spaces


class Definition(NamedTuple):
    """Where a text explains an abbreviation.

    short_start, short_end (int): Characters of the short form.
    long_start, long_end (int): Characters of what it is short for.
    """

    short_start: int
    short_end: int
    long_start: int
    long_end: int


def find_definitions(text: str) -> list[Definition]:
    """Find the abbreviations that a text explains. One of the two forms stands in brackets.

    text (str): The text.
    RETURNS (list[Definition]): The definitions, in the order of the text.
    """
    found = []
    for match in _BRACKETS.finditer(text):
        before = match.start()
        while before and text[before - 1].isspace():
            before -= 1
        start, end = match.span(1)
        inner = text[start:end]
        bare = inner.strip(_PADDING)
        start += inner.find(bare)
        end = start + len(bare)
        if _is_short_form(bare):
            # Schwartz and Hearst's bound on the long form's words.
            n_words = min(len(bare) + 5, 2 * len(bare))
            near = max(0, before - 40 * n_words)
            ends = [m.end() for m in _END_OF_SENTENCE.finditer(text, near, before)]
            words = [*_WORDS.finditer(text, ends[-1] if ends else near, before)][-n_words:]
            if words:
                at = _find_long_form(bare, text[words[0].start() : before])
                if at >= 0:
                    found.append(Definition(start, end, words[0].start() + at, before))
                    continue
        # A short form before the brackets is one word, and all of the long form is in them.
        last = _LAST_WORD.search(text, max(0, before - MAX_LENGTH - 2), before)
        if last and text[match.end() - 1] in ")]" and _is_short_form(last[0]):
            first_letters = bare[:1].lower() == last[0][0].lower()
            if first_letters and _find_long_form(last[0], bare) == 0:
                found.append(Definition(*last.span(), start, end))
    return found


def find_abbreviations(spans: Sequence[Span]) -> dict[Span, Span]:
    """Find the entities that are short for other entities.

    spans (Sequence[Span]): Entities of one document.
    RETURNS (dict[Span, Span]): The long form of each short form, at the place where it is
        explained.
    """
    found = {}
    for definition in find_definitions(spans[0].doc.text) if spans else ():
        longs = [span for span in spans if span.end_char == definition.long_end]
        shorts = [s for s in spans if (s.start_char, s.end_char) == definition[:2]]
        # The entity that is most like what the rule takes for the long form.
        longs.sort(key=lambda span: abs(span.start_char - definition.long_start))
        for short in shorts if longs else ():
            if is_short_for(short.text, longs[0].text):
                found[short] = longs[0]
    return found


def is_short_for(short: str, long: str) -> bool:
    """Tell whether one text abbreviates another: its letters and figures are found in the other
    from right to left, the first of them at the beginning of a word.

    short (str): The short form.
    long (str): The long form.
    RETURNS (bool): Whether it does.
    """
    return _has_length(short) and _find_long_form(short, long) >= 0


def _has_length(short: str) -> bool:
    return 2 <= len(short) <= MAX_LENGTH and short[0].isalnum()


def _is_short_form(text: str) -> bool:
    """Whether a text may be a short form: it has a letter, one of which is a capital or beside
    a figure, so that "(see below)" and "(i.e.)" are none."""
    if not _has_length(text) or " " in text:
        return False
    return any(c.isalpha() for c in text) and any(c.isupper() or c.isdigit() for c in text)


def _find_long_form(short: str, text: str) -> int:
    """Find where the long form begins that ends with a text; -1 if it holds none."""
    if len(short) >= len(text):
        return -1
    low = text.lower()
    if len(low) != len(text):  # the few letters whose lower case is two characters
        low = text
    at = len(low)
    for i in range(len(short) - 1, -1, -1):
        char = short[i].lower()
        if not char.isalnum():
            continue
        at = low.rfind(char, 0, at)
        while i == 0 and at > 0 and low[at - 1].isalnum():
            at = low.rfind(char, 0, at)
        if at < 0:
            return -1
    if len(short) >= len(text) - at or short in text[at:].split():
        return -1
    return at
