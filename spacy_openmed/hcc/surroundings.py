"""The text around a mention: whether it shows that the mention is not a diagnosis of the patient,
or is an entry in a list."""

import re
from functools import cache

from spacy.tokens import Span

from .status import ALLERGY, BMI, CONDITIONAL, PROCEDURE, STATUS, WRITTEN, find_complication
from .tables import load_patterns, load_rules

BEFORE, AFTER = 80, 60  # characters to look at
HEADING = 150  # characters in which to look for a heading of allergies
ITEM = re.compile(r"[\s#*•·–\-+]*(?:\(?\d{1,2}[.):\]]|[a-zA-Z][.)])?[\s#*•·–\-+]*")
NUMBERED = re.compile(r"(?:[.;:]|\w[ \t]-)[ \t]+\(?\d{1,2}[.)][ \t]+\Z")
AS_ITEM = re.compile(r"\s*(?:$|[,.;(\n]|on\b|with\b|since\b|w/|s/p\b|[-–]\s)")


def is_no_code(span: Span) -> bool:
    """Check whether a mention is not the patient's diagnosis: a clinic, a vaccine, a negative test.

    span (Span): The mention.
    RETURNS (bool): Whether the words beside it say so.
    """
    is_status = span.label_ == STATUS
    if is_status and (span.id_ in (BMI, WRITTEN) or span.id_.startswith(ALLERGY)):
        return False
    text, offset = span.sent.text, span.sent.start_char
    start, end = span.start_char - offset, span.end_char - offset
    before, after = text[max(0, start - BEFORE) : start], text[end : end + AFTER]
    if is_status and find_complication(span) is not None:
        return False
    if is_status and span.id_.startswith(PROCEDURE) and not _is_done(before, after):
        return True
    kinds = ["status_codes"] if is_status else ["not_codes"]
    if is_status and span.id_.startswith(CONDITIONAL):
        kinds = ["conditional"]
    if not is_status and span.text.lower() in _load_phrases():  # a model may find a status too
        kinds.append("status_codes")
    surroundings = map(_load_surroundings, kinds)
    return any(first.search(before) or last.match(after) for first, last in surroundings)


def _is_done(before: str, after: str) -> bool:
    """Whether the words beside a procedure say that it was done."""
    done = _load_done()
    return bool(done[0].search(before) or done[1].match(after))


def is_allergy(span: Span) -> bool:
    """RETURNS (bool): Whether the text marks something as an allergy, possibly by a heading some
    lines before."""
    table, text = _load_allergies(), span.doc.text
    before = text[max(0, span.start_char - HEADING) : span.start_char].rpartition("\n\n")[2]
    return bool(table["before"].search(before) or table["after"].match(text, span.end_char))


def stands_alone(span: Span) -> bool:
    """RETURNS (bool): Whether a mention is an entry of its own: at the start of a line or sentence,
    with nothing but a comma, an end, or "on" after it."""
    text, start = span.doc.text, span.start_char
    opens = max(span.sent.start_char, text.rfind("\n", 0, start) + 1)
    return bool(ITEM.fullmatch(text, opens, start) and AS_ITEM.match(text, span.end_char))


def is_final(span: Span) -> bool:
    """RETURNS (bool): Whether an uncertain diagnosis counts: it is the diagnosis at discharge."""
    sentence, patterns = span.sent, load_patterns("uncertain")
    before = sentence.text[: span.start_char - sentence.start_char]
    return bool(patterns["diagnosis"].search(sentence.text) and patterns["before"].search(before))


def is_of_family(span: Span) -> bool:
    """RETURNS (bool): Whether a mention is a disease that a blood relative has or had."""
    axes = [n for n in ("is_negated", "is_family", "is_hypothetical") if span._.get(n)]
    text, offset = span.sent.text, span.sent.start_char
    before, after = text[: span.start_char - offset], text[span.end_char - offset :]
    patterns = load_patterns("relatives")
    return axes == ["is_family"] and not (
        patterns["not_before"].search(before) or patterns["not_after"].match(after)
    )


def is_leading(word: str) -> bool:
    """RETURNS (bool): Whether a word before a mention says how severe, how long or where."""
    return word.lower() in _load_leading()


def begins_line(text: str, start: int) -> bool:
    """RETURNS (bool): Whether a character begins its line or an entry in it, not counting a bullet
    or number: "1. GERD - stable. 2. Prediabetes"."""
    line = text.rfind("\n", 0, start) + 1
    return bool(ITEM.fullmatch(text, line, start) or NUMBERED.search(text, line, start))


@cache
def _load_done() -> tuple[re.Pattern[str], re.Pattern[str]]:
    table = load_rules()["procedures"]
    return re.compile(table["done_before"]), re.compile(table["done_after"])


@cache
def _load_allergies() -> dict[str, re.Pattern[str]]:
    table = load_rules()["allergies"]
    return {side: re.compile(table[side]) for side in ("before", "after")}


@cache
def _load_leading() -> frozenset[str]:
    return frozenset(load_rules()["leading"])


@cache
def _load_phrases() -> frozenset[str]:
    """The phrases of a status, in lower case."""
    codes = load_rules()["status"]["codes"]
    return frozenset(phrase.lower() for phrases in codes.values() for phrase in phrases)


@cache
def _load_surroundings(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A table's patterns for the text before and after a mention."""
    table = load_rules()[name]
    # Organisations are recognised by their capitals; other words match in any case.
    before, after = (
        "|".join(f"(?:{row})" if "[A-Z]" in row else f"(?i:{row})" for row in table[side])
        for side in ("before", "after")
    )
    return re.compile(before), re.compile(after)
