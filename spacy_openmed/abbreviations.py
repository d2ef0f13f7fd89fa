"""Abbreviations that a text explains: "chronic kidney disease (CKD)".

The rule is Schwartz and Hearst's (2003, "A simple algorithm for identifying abbreviation
definitions in biomedical text"), between entities only: the long form is an entity already, so
where it begins need not be searched for.
"""

from collections.abc import Sequence
from itertools import pairwise

from spacy.tokens import Span

MAX_LENGTH = 10  # characters of a short form


def find_abbreviations(spans: Sequence[Span]) -> dict[Span, Span]:
    """Find the entities that stand in brackets after, or before, what they are short for.

    spans (Sequence[Span]): Entities of one document.
    RETURNS (dict[Span, Span]): The long form of each short form, at the place where it is
        explained.
    """
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    found = {}
    for left, right in pairwise(ordered):
        doc = left.doc
        is_in_brackets = (
            right.start - left.end == 1
            and right.end < len(doc)
            and doc[left.end].text in "(["
            and doc[right.end].text in ")]"
        )
        if not is_in_brackets:
            continue
        for short, long in ((right, left), (left, right)):
            if is_short_for(short.text, long.text):
                found[short] = long
    return found


def is_short_for(short: str, long: str) -> bool:
    """Tell whether one text abbreviates another: its letters and figures are found in the other
    from right to left, the first of them at the beginning of a word.

    short (str): The short form.
    long (str): The long form.
    RETURNS (bool): Whether it does.
    """
    if not 2 <= len(short) <= MAX_LENGTH or len(short) >= len(long) or not short[0].isalnum():
        return False
    low = long.lower()
    at = len(low)
    for i in range(len(short) - 1, -1, -1):
        char = short[i].lower()
        if not char.isalnum():
            continue
        at = low.rfind(char, 0, at)
        while i == 0 and at > 0 and low[at - 1].isalnum():
            at = low.rfind(char, 0, at)
        if at < 0:
            return False
    return True
