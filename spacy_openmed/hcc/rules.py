"""Rules that revise the codes found by name: specific codes, combination codes, history codes, and
codes that a better one replaces.

Most rules are tables in `data/icd10cm_rules.json`. `Rules.revise` applies them to one document,
`find_superseded` to all codes of a patient.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from spacy.tokens import Doc

from .combinations import add_codes, combine, presume
from .details import add_adverse_effects, add_details, add_pregnancy, unify_diabetes
from .icd10cm import Vocabulary
from .revised import Revised
from .specific import Families
from .status import METASTASIS, WRITTEN, find_needs
from .surroundings import begins_line
from .tables import load_patterns, load_rules

BESIDE_CODE = re.compile(
    r"[\s(\[:,–-]*(?:icd(?:-?10)?(?:-cm)?\s*(?:code)?\s*[:#]?\s*)?", re.IGNORECASE
)
HEADINGS = re.compile(
    r"(?:^|[.;]\s)[ \t]*([A-Z][A-Za-z /&-]{2,40})(?:\([^()\n]{1,30}\))?:", re.MULTILINE
)
NEAR = 1000  # characters before a name in which its heading is looked for
AFTER_CODE = re.compile(r"[\s)\]:–-]*")


class Rules:
    """Revises the codes of a document.

    vocabulary (Vocabulary): The codes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.families = Families(vocabulary)

    def revise(self, doc: Doc, found: Sequence[Revised]) -> None:
        """Apply all rules to the codes of a document.

        doc (Doc): The document, with sentence starts.
        found (Sequence[Revised]): The mentions in the order of the text. They are changed.
        """
        text = doc.text  # spaCy joins it anew each time
        for i, one in enumerate(found):
            is_exact = one.name.id_ in (WRITTEN, METASTASIS)
            if one.code is not None and not (one.rule or is_exact or one.is_dropped):
                self.families.specialise(text, one, found[i + 1 :])
        drop_beside_codes(text, found)
        for sentence in _by_sentence(found):
            add_adverse_effects(sentence)
            combine(text, sentence, self.vocabulary)
            add_codes(sentence, self.families)
        for one in found:
            if one.code is not None and not one.is_dropped:
                add_details(one, self.vocabulary)
        presume(found, self.vocabulary)
        unify_diabetes(found)
        add_pregnancy(text, found, self.vocabulary)
        drop_without_need(found)
        symptoms = load_patterns("symptoms")["codes"]
        for one in found:
            if one.is_historical and _is_of_today(text, one):
                one.is_historical = False
            self.to_history(one)
            # Adverse drug effects are always coded.
            if one.code is not None and symptoms.match(one.code) and not one.also:
                one.is_symptom = not begins_line(text, one.name.start_char)
        if not any(_is_diagnosis(one) for one in found):
            for one in found:
                one.is_symptom = False

    def to_history(self, one: Revised) -> None:
        """Use the history code for a past disease, unless its own code stays."""
        if one.code is None or not (one.is_historical or _is_over(one)):
            return
        if is_kept(one.code, self.vocabulary.describe(one.code)):
            return
        code = _find_longest(load_rules()["history"]["codes"], one.code)
        if code is not None:
            one.code, one.rule, one.also = code, load_rules()["history"]["source"], []


def to_family(code: str) -> str | None:
    """RETURNS (str | None): The family history code for a disease's code; None if there is
    none."""
    return _find_longest(load_rules()["family"]["codes"], code)


def _find_longest(codes: Mapping[str, str], code: str) -> str | None:
    """A table's value for the longest prefix of a code in it."""
    beginnings = (code[:n] for n in range(len(code), 0, -1))
    return next((codes[beginning] for beginning in beginnings if beginning in codes), None)


def drop_beside_codes(text: str, found: Sequence[Revised]) -> None:
    """Drop names that have their code written beside them.

    text (str): The text of the document.
    found (Sequence[Revised]): The mentions in the order of the text. They are changed.
    """
    for one, other in pairwise(found):
        between = text[one.name.end_char : other.name.start_char]
        if other.name.id_ == WRITTEN and BESIDE_CODE.fullmatch(between):
            name, code = one, other
        elif one.name.id_ == WRITTEN and AFTER_CODE.fullmatch(between):
            name, code = other, one
        else:
            continue
        if name.code and code.code and name.code[:3] == code.code[:3]:
            name.is_dropped = True


def drop_without_need(found: Sequence[Revised]) -> None:
    """Drop codes that only count beside another code that is missing: metformin without diabetes.

    found (Sequence[Revised]): The mentions of the document. They are changed.
    """
    codes = [one.code for one in found if one.code and not one.is_dropped]
    codes += [code for one in found for code, _ in one.also]
    for one in found:
        needs = find_needs(one.name)
        if needs is not None and not any(map(needs.match, codes)):
            one.is_dropped = True


def is_kept(code: str, description: str) -> bool:
    """RETURNS (bool): Whether a code stays when mentioned as history: a code for a status or the
    patient's own history (Z), for a lifelong disease, or one whose description says so, as for
    remission and sequelae."""
    kept = load_patterns("kept")
    is_lasting = any(kept[key].match(code) is not None for key in ("own", "code"))
    return is_lasting or kept["description"].search(description) is not None


def find_superseded(codes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Find the codes that a more specific code replaces.

    codes (Iterable[str]): The codes of a patient.
    RETURNS (dict[str, tuple[str, str]]): Each with the code that replaces it and the rule. That
        code is not replaced itself.
    """
    codes = sorted(codes)
    found: dict[str, tuple[str, str]] = {}
    for rule in load_rules()["superseded"]:
        for code in codes:
            match = re.fullmatch(rule["code"], code)
            if match is None:
                continue
            by = re.compile(match.expand(rule["by"]) if r"\1" in rule["by"] else rule["by"])
            better = next((other for other in codes if other != code and by.match(other)), None)
            if better is not None:
                found.setdefault(code, (better, rule["rule"]))
    for code, (better, source) in found.items():
        seen = {code}
        while better in found and better not in seen:  # follow the chain to its end
            seen.add(better)
            better = found[better][0]
        found[code] = better, source
    return found


def _is_over(one: Revised) -> bool:
    """Whether a sentence says that a cancer was treated and has not come back (I.C.2.m)."""
    patterns = load_patterns("over")
    text = one.name.sent.text
    is_cancer = patterns["code"].match(str(one.code)) is not None
    return is_cancer and bool(patterns["says"].search(text) and not patterns["not"].search(text))


def _is_of_today(text: str, one: Revised) -> bool:
    """Whether a disease is coded although mentioned as history: it is recent, still present, or was
    treated during the stay."""
    tables = ("recent", "active", "ongoing")
    return any(_says(one, table) for table in tables) or _is_of_stay(text, one)


def _is_of_stay(text: str, one: Revised) -> bool:
    """Whether a resolved disease belongs to the stay: it is listed under the discharge
    diagnoses."""
    patterns = load_patterns("stay")
    start, end = one.name.start_char, one.name.end_char
    if not (patterns["code"].match(str(one.code)) and patterns["resolved"].match(text, end)):
        return False
    headings = HEADINGS.findall(text, max(start - NEAR, 0), start)
    return bool(headings) and patterns["heading"].search(headings[-1]) is not None


def _says(one: Revised, table: str) -> bool:
    """Whether the words beside a name match the table's entry for its code."""
    patterns = load_patterns(table)
    sentence = one.name.sent
    start, end = (i - sentence.start_char for i in (one.name.start_char, one.name.end_char))
    return patterns["code"].match(str(one.code)) is not None and bool(
        patterns["after"].match(sentence.text, end)
        or patterns["before"].search(sentence.text[:start])
    )


def _is_diagnosis(one: Revised) -> bool:
    """Whether a mention is a current diagnosis, which may explain symptoms (I.B.4, I.B.5)."""
    is_there = one.code is not None and not (one.is_dropped or one.is_symptom)
    return is_there and not str(one.code).startswith("Z")


def _by_sentence(found: Sequence[Revised]) -> Iterator[list[Revised]]:
    rows: dict[int, list[Revised]] = {}
    for one in found:
        rows.setdefault(one.name.sent.start, []).append(one)
    yield from rows.values()
