"""Filter medical terms, scores, doses and times out of the candidates."""

import re
from collections.abc import Iterable

from .candidates import COLUMN, CREDENTIAL, LINE, WORD, Candidate, line_of
from .clinical_words import (
    all_known,
    all_plain,
    is_in_phrase,
    is_taper,
    may_be_name,
    may_be_number,
    may_be_place,
    names_disease,
    read_words,
    trim_name,
)
from .dates import has_british_durations, may_be_date
from .identifiers import identifier_of

WHOLE_DATES = ("Holiday", "NumericDate")  # rules that find a date whole
NAMED_PLACE = "NamedPlace"  # any capitalised words behind a preposition
# Rules that take any capitalised word in a position typical of names.
GUESSED_NAMES = {
    *("LabelledName", CREDENTIAL, "NameAfterRole", "NameBeforeRole", "RelativesName", "Initials"),
    *("Signature", "NameWithNickname", COLUMN),
    *("City", "Organisation", "Workplace", NAMED_PLACE, "LowercaseName"),
}
IN_CAPITALS = "NameInCapitals"
# A rule that takes initials where people sign, and so also abbreviations in that place.
SIGNATURE = "SignatureInitials"
INITIALS = {SIGNATURE, "InitialsAfterRole"}
_ABBREVIATION = re.compile(
    r"ED|ER|OR|IV|IM|PO|SC|SL|PR|NG|GI|GU|ID|IR|OB|PT|OT|ST|SW|RN|NP|PA|MD|DO|GP|CT|US|XR|LP"
    r"|DC|BD|QD|OK|NA|TB|DM|PE|MI|CP|HR|BP|RR|FU|UC|MS|RT|RA|LA|LV|RV|AF|HF|OA|SR|EMS|WHO|CDC"
    r"|FDA|ICU|ENT|EHR|EMR"
)
# Rules for places where names are rare: none of the words may be in the allow-list.
RARE_NAMES = {
    *(IN_CAPITALS, "LowercaseFullName", "NameByItself", "NameBeforeRelative", "Closing"),
    "ChatName",
}
DATES = {"WrittenDate", "DateRecognizer"}  # rules that also match other things than dates
# Rules that mistake a series of times of day ("0700 1000 1300") for a number.
NUMBERS = {"AccountNumber", "SocialSecurityNumber", "CreditCardRecognizer", "LongNumber"}
_TIMES = re.compile(r"(?:(?:[01]\d|2[0-3])[0-5]\d(?:[ \t]+|\Z))+|(?:[01]\d|2[0-3])[0-5]\d")
_BETWEEN = re.compile(r"\s*(?:\b(?:or|and)\b|[;,])\s*")  # of two telephone numbers
_LINES = re.compile(r"(?<=\d)\s*\n\s*(?=\d)")  # between two dates
_FLAGGED = re.compile(r"\d(?:[ ]{2,}|\t)[ \t]*(?:[HL]|high|low)(?:[ ]{2,}|\t)[ \t]*\Z")
# A package's National Drug Code and a test's LOINC number identify nobody.
_PACKAGE = re.compile(r"(?<![\d-])\d{4,5}-\d{3,4}-\d{1,2}(?![\d-])")
_CAPITALS = re.compile(r"[A-Z]{2,3}")
_FIGURES = re.compile(r"\d{4}")  # after a medical word, part of a code
_POSSESSIVE = re.compile(r"['’]s?\Z")
_GENE = re.compile(r"[ \t]+(?=[A-Z]{2,5}\d{1,2}[A-Za-z]?\b)[^\n]*\Z")  # taken as part of a name


def keep_clinical(text: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Filter out medical terms, scores, doses and times.

    text (str): The text.
    candidates (Iterable[Candidate]): The candidates.
    RETURNS (list[Candidate]): Those that may be identifiers. Names are cut at the end of their
        sentence.
    """
    candidates = [part for c in candidates for part in _split_numbers(text, c)]
    names = _find_sure_names(text, candidates)
    writes_weeks = has_british_durations(text)
    dates = {i for c in candidates if c.rule in WHOLE_DATES for i in range(c.start, c.end)}
    kept = []
    for c in candidates:
        if identifier_of(c.label) == "name":
            match = _POSSESSIVE.search(text, c.start, c.end)
            c = c._replace(end=match.start()) if match and match.start() > c.start else c
        if not c.rule and c.start in dates and c.end - 1 in dates:
            continue
        if _is_public_code(text, c.start, c.end):
            continue
        if c.rule and c.rule not in DATES:
            if _may_stand(text, c):
                kept.append(c)
        elif found := _trim_clinical(text, c, names, writes_weeks=writes_weeks):
            kept.append(found)
    return kept


def _may_stand(text: str, c: Candidate) -> bool:
    """Whether a rule's candidate may be an identifier."""
    found = text[c.start : c.end]
    if c.rule == "LongNumber" and is_taper(found):
        return False
    if c.rule in NUMBERS and _TIMES.fullmatch(found):
        return False
    if c.rule == "PhoneNumber" and _is_range(text, c.start):
        return False
    is_guessed = c.label == "PERSON" and c.rule in GUESSED_NAMES
    if is_guessed and found.lower() in read_words().eponyms and names_disease(text, c.end):
        return False
    if c.rule == NAMED_PLACE and all_known(found):
        return False
    if c.rule in INITIALS or (c.rule == COLUMN and _CAPITALS.fullmatch(found)):
        return _may_be_initials(found, c.rule)
    if c.rule in GUESSED_NAMES or (c.rule == "LabelledCode" and not _FIGURES.search(found)):
        return not all_plain(found) and not is_in_phrase(text, c.start, c.end)
    if c.rule in RARE_NAMES:
        is_in_place = c.rule != IN_CAPITALS or line_of(text, c).isupper()
        return is_in_place and not read_words().plain.intersection(
            word.lower() for word in WORD.findall(found)
        )
    return c.rule != "ZipCode" or not _is_procedure_code(text, c.start)


def _trim_clinical(
    text: str, c: Candidate, names: set[str], *, writes_weeks: bool
) -> Candidate | None:
    """Cut clinical words off a model's candidate, or off a date. None if nothing is left."""
    found = text[c.start : c.end]
    identifier = identifier_of(c.label)
    if identifier == "name":
        gene = _GENE.search(text, c.start, c.end)
        start, end = trim_name(text, c.start, gene.start() if gene else c.end)
        return c._replace(start=start, end=end) if may_be_name(text, start, end, names) else None
    if identifier == "geography":
        is_code = found.isdigit() and _is_procedure_code(text, c.start)
        stands = not is_code and may_be_place(text, c.start, c.end)
    elif identifier == "date":
        stands = c.label == "AGE" or may_be_date(text, c.start, c.end, writes_weeks=writes_weeks)
    elif identifier == "email":
        stands = re.search(r"\w@\w|[\[(]at[\])]| at ", found) is not None
    else:
        stands = may_be_number(text, c.start, c.end)
    return c if stands else None


def _may_be_initials(found: str, rule: str) -> bool:
    """Whether capitals may be a person's initials. Nearly all pairs of letters are medical
    abbreviations, but most groups of three are not. Signatures have a list of their own."""
    known = read_words().plain
    return not any(
        (rule != SIGNATURE and _ABBREVIATION.fullmatch(part))
        or (len(part) > 2 and part.isupper() and part.lower() in known)
        for part in found.split("/")
    )


def _is_public_code(text: str, start: int, end: int) -> bool:
    """Whether characters belong to a public code: of a drug package (NDC), a laboratory test
    (LOINC), or a trial."""
    found = text[start:end]
    if re.fullmatch(r"NCT\d{8}", found):
        return True
    begin = max(text.rfind("\n", 0, start) + 1, start - LINE)
    before = text[begin:start]
    if re.fullmatch(r"\d{1,5}-\d", found):
        return "LOINC" in before
    return "NDC" in before and any(
        match.start() <= start and end <= match.end()
        for match in _PACKAGE.finditer(text, begin, end + 12)
    )


def _is_range(text: str, start: int) -> bool:
    """Whether two hyphenated numbers are the reference range of a result: "188  L  232-1245"."""
    before = text[max(start - 40, 0) : start]
    return _FLAGGED.search(before) is not None


def _split_numbers(text: str, c: Candidate) -> list[Candidate]:
    """Split a model's candidate that holds several telephone numbers ("617-555-0148 or
    617-555-0149"), or dates on two lines."""
    kind = identifier_of(c.label)
    if c.rule or kind not in ("phone", "fax", "date"):
        return [c]
    parts, start = [], c.start
    for match in (_LINES if kind == "date" else _BETWEEN).finditer(text, c.start, c.end):
        parts.append(c._replace(start=start, end=match.start()))
        start = match.end()
    return [*parts, c._replace(start=start)]


def _find_sure_names(text: str, candidates: Iterable[Candidate]) -> set[str]:
    """Find the words, in lower case, of names that follow a title or are full names."""
    names: set[str] = set()
    plain = read_words().plain
    for c in candidates:
        if identifier_of(c.label) != "name":
            continue
        words = {word.lower() for word in WORD.findall(text, c.start, c.end)} - plain
        if c.rule == "TitledName" or len(words) > 1:
            names |= words
    return names


def _is_procedure_code(text: str, start: int) -> bool:
    """Whether five digits are a procedure code ("CT 70450") rather than a ZIP code."""
    before = re.search(
        r"(?:([^\W\d_]+)[,.]?[ \t]+)?(?:CT|MR|PA|ME|LA)[ \t]+\Z", text[max(start - LINE, 0) : start]
    )
    if before is None:
        return False
    return before[1] is None or before[1].islower() or all_plain(before[1])
