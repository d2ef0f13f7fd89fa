"""Candidate identifiers from the model and the rules, and how overlaps are resolved."""

import re
from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
from spacy.tokens import Doc, Span

IDENTIFIERS, SOURCES, RULES = "identifiers", "sources", "rules"  # attrs of the span group
# Rules.
REPEATED, FIELD, COLUMN = "RepeatedName", "Field", "NameInColumn"
CREDENTIAL = "NameBeforeCredential"
WORD = re.compile(r"[^\W\d_][\w'’-]+")
LINE = 100  # characters of a line to look at, in either direction
# Coarse labels of a model. An overlapping candidate with a finer label wins, unless it is a guess.
COARSE = {"ADDRESS", "DATE", "DATE_TIME", "ID", "LOCATION", "ORGANIZATION", "PHONE", "UNIQUE_ID"}
GUESS = 0.5


class Candidate(NamedTuple):
    """A candidate identifier.

    start, end (int): Its character offsets.
    label (str): Its canonical label.
    score (float): Its score.
    rule (str): The recogniser that found it; empty if the model did.
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


def line_of(text: str, c: Candidate) -> str:
    """RETURNS (str): The candidate's line, up to `LINE` characters on either side."""
    before = text[max(c.start - LINE, 0) : c.start].rpartition("\n")[2]
    after = text[c.end : c.end + LINE].partition("\n")[0]
    return before + text[c.start : c.end] + after


def resolve(text: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Resolve overlaps. Every letter and digit of a candidate stays in some identifier.

    text (str): The text.
    candidates (Iterable[Candidate]): The candidates. Overlapping ones of one label are joined.
        Where labels differ, each character goes to the finer label, then to the higher score,
        then to the longer candidate; the rest of the other candidate keeps its label.
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
        if (start, end) != (c.start, c.end):  # cut: without joining characters
            part = [i for i in range(start, end) if text[i].isalnum()]
            if not part:
                continue
            start, end = part[0], part[-1] + 1
        found.append(c._replace(start=start, end=end))
    return found


def _rank(c: Candidate) -> tuple[bool, float, int]:
    says_more = (bool(c.rule) or c.label not in COARSE) and c.score >= GUESS
    return says_more, c.score, c.end - c.start
