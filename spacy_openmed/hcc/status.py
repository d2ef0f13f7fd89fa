"""Codes of what is no disease, or not by its words alone: dialysis, a body mass index, metastases
by their site, codes in the text.

`status_patterns` find them, `find_status` gives their codes.
"""

import re
from functools import cache
from typing import Any

from spacy.tokens import Span

from .icd10cm import Vocabulary
from .sides import SIDE, find_side
from .tables import load_rules

STATUS = "STATUS"  # label of what gives a code, but is no disease
BMI, WRITTEN, METASTASIS = "BMI", "ICD10CM", "METASTASIS"  # ids of patterns; of others, their code
JOINING = ("and", "or", "&", ",", "/")
DOTTED = re.compile(r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")
CODE_HEADING = re.compile(
    r"(?:\bicd\S*|\bdx|\bdiagnos\w*|\bcodes?)\W*$|[A-TV-Z]\d[0-9A-Z]\.\w+[)\]]?[,;/\s]+$",
    re.IGNORECASE,
)
NEAR = 40  # characters before a code in which a heading is looked for
ADULT_BMI = (10, 100)
BETWEEN_SITES = re.compile(r",|/|&|\band\b|\bor\b")
NODES = "C77.9"  # lymph nodes that are not named


def status_patterns() -> list[dict[str, Any]]:
    """Make patterns for spaCy's `span_ruler` of what has a code, but is no disease.

    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    rules = load_rules()
    patterns: list[dict[str, Any]] = [
        {"label": STATUS, "pattern": phrase, "id": code}
        for code, phrases in rules["status"]["codes"].items()
        for phrase in phrases
    ]
    table = rules["metastases"]
    words = {"LOWER": {"IN": [word for word in table["words"] if word != "met"]}}
    site = {"LOWER": {"IN": table["sites"]}}
    glue = {"LOWER": {"IN": table["glue"]}, "OP": "*"}
    to = {
        "LOWER": {"IN": ["to", "in", "of", "involving", "disease", "lesions", "lesion"]},
        "OP": "*",
    }
    lead = {"LOWER": {"IN": [word for word in table["glue"] if word not in JOINING]}, "OP": "*"}
    more = [glue, {**site, "OP": "*"}]
    nouns = {"LOWER": {"IN": ["mets", "metastases", "metastasis"]}}
    patterns += [
        {"label": STATUS, "id": METASTASIS, "pattern": pattern}
        for pattern in (
            [words, to, lead, site, *more, *more, *more],
            [site, *more, *more, *more, nouns],
        )
    ]
    between = {
        "LOWER": {"IN": ["of", "is", "was", ":", "=", "~", ">", "-", "(", "bmi", ")"]},
        "OP": "*",
    }
    number = {"TEXT": {"REGEX": r"^\d{2}(\.\d+)?$"}}
    patterns += [
        {"label": STATUS, "id": BMI, "pattern": [*name, between, number]}
        for name in ([{"LOWER": "bmi"}], [{"LOWER": "mass"}, {"LOWER": "index"}])
    ]
    written = {"TEXT": {"REGEX": r"^[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$"}}
    return [*patterns, {"label": STATUS, "id": WRITTEN, "pattern": [written]}]


def find_status(span: Span, vocabulary: Vocabulary) -> list[str]:
    """Find the codes of what a pattern of `status_patterns` found.

    span (Span): What was found.
    vocabulary (Vocabulary): The codes.
    RETURNS (list[str]): Its codes.
    """
    if span.id_ == BMI:
        return _find_bmi(span.text)
    if span.id_ == METASTASIS:
        is_sided = span.start > 0 and bool(SIDE.fullmatch(span.doc[span.start - 1].text))
        return find_metastases(span.doc[span.start - is_sided : span.end].text)
    if span.id_ == WRITTEN:
        return _find_written(span, vocabulary)
    return [span.id_]


def find_metastases(text: str) -> list[str]:
    """RETURNS (list[str]): The codes of the sites of metastases."""
    sides_of = load_rules()["metastases"]["sides"]
    codes = []
    rest = text.lower()
    for pattern, code in _load_sites():
        match = pattern.search(rest)
        if match:
            rest = rest[: match.start()] + "|" * len(match[0]) + rest[match.end() :]
            side = find_side(BETWEEN_SITES.split(text[: match.start()])[-1]) or find_side(text)
            sides = sides_of.get(code)
            codes.append(sides[("right", "left").index(side)] if sides and side else code)
    if any(code.startswith(NODES[:3]) and code != NODES for code in codes):
        codes = [code for code in codes if code != NODES]  # "axillary lymph nodes"
    return codes


def _find_bmi(text: str) -> list[str]:
    number = re.search(r"\d+(?:\.\d+)?", text)
    value = float(number[0]) if number else 0
    low, high = ADULT_BMI
    if not low <= value < high:
        return []
    return [next(code for end, code in load_rules()["bmi"]["codes"] if value < end)]


def _find_written(span: Span, vocabulary: Vocabulary) -> list[str]:
    """The code that is written in the text. Without a dot, it may also be the name of a vitamin or
    an antibody: it has to stand after a heading or a bracket."""
    code = vocabulary.codes.get(span.text.upper())
    if code is None or not code.is_billable:
        return []
    before = span.doc.text[max(0, span.start_char - NEAR) : span.start_char]
    is_code = DOTTED.fullmatch(span.text) or CODE_HEADING.search(before) or before.endswith("(")
    return [code.code] if is_code else []


@cache
def _load_sites() -> list[tuple[re.Pattern[str], str]]:
    """The sites of metastases with their codes, those with the longest names first."""
    rows = load_rules()["metastases"]["codes"]
    ordered = sorted(rows, key=lambda row: -max(map(len, row[0].split("|"))))
    return [(re.compile(rf"\b(?:{pattern})"), code) for pattern, code in ordered]
