"""Codes that a disease model does not find: dialysis, a body mass index, metastases by their site,
failed transplants, codes written in the text.

`status_patterns` finds their mentions, `find_status` returns their codes.
"""

import re
from functools import cache
from typing import Any

from spacy.tokens import Span

from .icd10cm import Vocabulary
from .sides import SIDE, find_side
from .tables import load_rules

STATUS = "STATUS"  # label of mentions that have a code but are not diseases
BMI, WRITTEN, METASTASIS = "BMI", "ICD10CM", "METASTASIS"  # ids of patterns; other ids are codes
# Prefixes of codes that only count beside another code, and of codes for something removed.
CONDITIONAL, PROCEDURE = "if ", "done "
ALLERGY = "allergy "  # prefix of a code that only counts for an allergy
JOINING = ("and", "or", "&", ",", "/")
DOTTED = re.compile(r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")
CODE_HEADING = re.compile(
    r"(?:\bicd\S*|\bdx|\bdiagnos\w*|\bcodes?)\W*$|[A-TV-Z]\d[0-9A-Z]\.\w+[)\]]?[,;/\s]+$",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"\b(?:no|without|w/o|not|denies|neg(?:ative)? for|free of)\b[^,;]*", re.IGNORECASE
)
NEAR = 40  # characters before a code in which a heading is looked for
ADULT_BMI = (10, 100)
BETWEEN_SITES = re.compile(r",|/|&|\band\b|\bor\b")
NODES = "C77.9"  # lymph nodes that are not named


def status_patterns() -> list[dict[str, Any]]:
    """Make patterns for spaCy's `span_ruler` of what has a code but is not a disease.

    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    rules = load_rules()
    patterns: list[dict[str, Any]] = [
        {"label": STATUS, "pattern": phrase, "id": code}
        for code, phrases in rules["status"]["codes"].items()
        for phrase in phrases
    ]
    patterns += [
        {"label": STATUS, "pattern": phrase, "id": f"{CONDITIONAL}{code}"}
        for code, row in rules["conditional"]["codes"].items()
        for phrase in row["phrases"]
    ]
    patterns += [
        {"label": STATUS, "pattern": phrase, "id": f"{PROCEDURE}{code}"}
        for code, row in rules["procedures"]["codes"].items()
        for phrase in row["names"]
    ]
    patterns += [
        {"label": STATUS, "pattern": phrase, "id": f"{ALLERGY}{code}"}
        for code, phrases in rules["allergies"]["codes"].items()
        for phrase in phrases
    ]
    patterns += [
        {"label": STATUS, "id": code, "pattern": pattern}
        for code, rows in rules["encounters"]["codes"].items()
        for pattern in rows
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
    """Find the codes of a match of `status_patterns`.

    span (Span): The match.
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
    if span.id_.startswith(PROCEDURE):
        sides = load_rules()["procedures"]["codes"][get_code(span)]
        return [sides.get(_find_side_before(span), get_code(span))]
    return [find_complication(span) or get_code(span)]


def get_code(span: Span) -> str:
    """RETURNS (str): The code in the id of a pattern; the id itself if it has none."""
    return span.id_.removeprefix(CONDITIONAL).removeprefix(PROCEDURE).removeprefix(ALLERGY)


def find_complication(span: Span) -> str | None:
    """RETURNS (str | None): The code of a transplant's rejection or failure; None if the sentence
    mentions neither."""
    table = load_rules()["transplants"]
    codes = table["codes"].get(get_code(span), {})
    sentence = DENIED.sub(" ", span.sent.text)
    kinds = [kind for kind in codes if re.search(table[kind], sentence)]
    return codes[kinds[0]] if kinds else None


def find_needs(span: Span) -> re.Pattern[str] | None:
    """RETURNS (re.Pattern | None): The codes of which the document needs one for this match to
    count; None if it always counts."""
    return _load_needs().get(span.id_)


def _find_side_before(span: Span) -> str:
    before = span.doc.text[max(span.sent.start_char, span.start_char - NEAR) : span.start_char]
    words = re.findall(r"\w+", before)[-3:]
    is_both = {"bilateral", "double", "both"} & {word.lower() for word in words}
    return "bilateral" if is_both else find_side(" ".join(words))


@cache
def _load_needs() -> dict[str, re.Pattern[str]]:
    rows = load_rules()["conditional"]["codes"]
    return {f"{CONDITIONAL}{c}": re.compile(row["with"]) for c, row in rows.items() if row["with"]}


def find_metastases(text: str) -> list[str]:
    """RETURNS (list[str]): The codes of the sites of metastases."""
    sides_of = load_rules()["metastases"]["sides"]
    both = set(load_rules()["metastases"]["both"])
    codes = []
    rest = text.lower()
    for pattern, code in _load_sites():
        match = pattern.search(rest)
        if match:
            rest = rest[: match.start()] + "|" * len(match[0]) + rest[match.end() :]
            before = BETWEEN_SITES.split(text[: match.start()])[-1].lower()
            side = find_side(before) or find_side(text)
            sides = sides_of.get(code)
            if sides and both & {*re.findall(r"\w+", before)}:
                codes += sides
            else:
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
    """The code written in the text. A code without a dot may also be the name of a vitamin or an
    antibody, so it must follow a heading or a bracket."""
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
