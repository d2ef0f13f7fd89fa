"""Details of a code beyond its name. The sentence gives the encounter for an injury, the duration
of a loss of consciousness, or the nodes of a lymphoma. The document gives the type of diabetes or
the week of a pregnancy.

Most details are rows of the table "details". The table "adverse" has the drugs that cause diseases,
"pregnancy" the codes of diseases in pregnancy.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from .icd10cm import Vocabulary
from .revised import Revised
from .status import DENIED
from .tables import load_patterns, load_rules

WEEKS = re.compile(
    r"\b(\d{1,2})(?:\s*(?:\+|&|and)?\s*[0-6](?:/7)?|\.\d)?[ -]?(?:w(?=\d)|(?:w|wk|wks|weeks?)\b)"
    r"(?! (?:ago|post|s/p|out|later|history|of (?:pain|cough|therapy|treatment)))"
    r"|\b(\d{1,2})(?:\+\d)?/40\b",
    re.IGNORECASE,
)
LAST_WEEK = 42
TRIMESTERS = ((14, "first"), (28, "second"), (LAST_WEEK + 1, "third"))  # weeks before which
TRIMESTER = re.compile(r"\b(first|second|third|1st|2nd|3rd) trimester", re.IGNORECASE)
ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}
DIABETES = re.compile(r"E(08|09|10|11|13)\.")
TYPED = re.compile(r"\btype\b|\bt[12]|\bi{1,2}\b|\bdm ?[12]|[12]\b", re.IGNORECASE)


def add_details(one: Revised, vocabulary: Vocabulary) -> None:
    """Refine a code by the details in its sentence.

    one (Revised): The mention. It is changed.
    vocabulary (Vocabulary): The codes.
    """
    sentence = one.name.sent
    start, end = (i - sentence.start_char for i in (one.name.start_char, one.name.end_char))
    text = sentence.text
    for rule in _load_details():
        match = rule["code"].fullmatch(str(one.code))
        if match is None or (rule["unless"] and rule["unless"].search(text)):
            continue
        if rule["after"].match(text, end) is None or rule["pattern"].search(text) is None:
            continue
        if rule["before"].search(text[:start]) is None:
            continue
        code = match.expand(rule["to"])
        if code in vocabulary.codes and vocabulary.codes[code].is_billable:
            one.code, one.rule = code, rule["rule"]


def add_adverse_effects(found: Sequence[Revised]) -> None:
    """Use the code for a disease caused by a drug, and add the code for the drug.

    found (Sequence[Revised]): The mentions of a sentence. They are changed.
    """
    source = load_rules()["adverse"]["source"]
    for one in found:
        if one.code is None or one.is_dropped:
            continue
        diseases = [row for row in _load_caused() if row["code"].match(one.code)]
        drug = _find_cause(one, is_often_caused=bool(diseases))
        row = next((row for row in diseases if row["drug"] in (drug, "")), None)
        if drug is not None and row is not None:
            one.code, one.rule = row["to"], source
        if drug is not None and (row or not load_patterns("unaffected")["code"].match(one.code)):
            one.also.append((drug, source))


def _find_cause(one: Revised, *, is_often_caused: bool) -> str | None:
    """The adverse effect code of the drug that a sentence names as the cause. If drugs often cause
    the disease and this drug does not treat it, "on" or "after" is enough."""
    patterns = _load_drugs()
    sentence = one.name.sent
    start, end = (i - sentence.start_char for i in (one.name.start_char, one.name.end_char))
    text = sentence.text
    matches = [
        patterns["after"].match(text, end),
        patterns["induced"].search(text[:end]),
        patterns["related"].match(text, end),
        patterns["before"].search(text[:start]),
    ]
    drugs = [_to_drug(match) for match in matches if match]
    if is_often_caused and (match := patterns["after_loosely"].match(text, end)):
        drugs += {_to_drug(match)} & {*load_rules()["adverse"]["often"]}
    return drugs[0] if drugs else None


def _to_drug(match: re.Match[str]) -> str:
    return str(match.lastgroup).replace("_", ".")


def unify_diabetes(found: Sequence[Revised]) -> None:
    """Give all complications the type of diabetes that the document names, if it names only one.

    found (Sequence[Revised]): The mentions of the document. They are changed.
    """
    source = load_rules()["types"]["source"]
    rows = [one for one in found if one.code and DIABETES.match(one.code) and not one.is_dropped]
    types = {str(one.code)[:3] for one in rows} - {"E11"}
    if len(types) != 1 or any("E11" in str(o.code) and TYPED.search(o.name.text) for o in rows):
        return
    category = types.pop()
    for one in rows:
        if one.code and one.code.startswith("E11"):
            one.code, one.rule = category + one.code[3:], source
        one.also = [(re.sub("^E11", category, code), rule) for code, rule in one.also]


def add_pregnancy(text: str, found: Sequence[Revised], vocabulary: Vocabulary) -> None:
    """Add the week and the trimester of a pregnancy, and its codes for other diseases.

    text (str): The text of the document.
    found (Sequence[Revised]): The mentions of the document. They are changed.
    vocabulary (Vocabulary): The codes.
    """
    table = load_rules()["pregnancy"]
    rows = [one for one in found if one.code and not one.is_dropped]
    obstetric = [str(one.code)[:3] for one in rows if str(one.code).startswith("O")]
    said = re.sub(table["denied"], " ", DENIED.sub(" ", text))
    is_pregnant = re.search(table["pattern"], said) is not None
    if not rows or not (obstetric or is_pregnant):
        return
    weeks = next((int(match[1] or match[2]) for match in WEEKS.finditer(text)), None)
    weeks = weeks if weeks is not None and weeks <= LAST_WEEK else None
    trimester = _find_trimester(text, weeks)
    if is_pregnant:
        for one in rows:
            for row in table["codes"]:
                if re.match(row["code"], str(one.code)) and row["to"][:3] not in obstetric:
                    code = row["to"].format(trimester=row["trimesters"][trimester])
                    rest = (str(one.code), one.rule) if row["also"] else None
                    one.code, one.rule = code, table["source"]
                    one.also = [*([rest] if rest else []), *one.also]
                    break
    for one in rows:
        if one.code and one.code.startswith("O") and trimester:
            one.code = _to_trimester(one.code, trimester, vocabulary)
    chapter = [one for one in rows if str(one.code).startswith("O")]
    if chapter and weeks is not None and not any("Z3A" in str(one.code) for one in found):
        # Code Z3A.01 means less than 8 weeks.
        week = "01" if weeks < 8 else f"{weeks:02}"
        chapter[0].also.append((f"Z3A.{week}", table["source"]))


def _find_trimester(text: str, weeks: int | None) -> str:
    named = TRIMESTER.search(text)
    if named:
        word = named[1].lower()
        return ORDINALS.get(word, word)
    return "" if weeks is None else next(name for end, name in TRIMESTERS if weeks < end)


def _to_trimester(code: str, trimester: str, vocabulary: Vocabulary) -> str:
    """The code of the same disease in a trimester, if there is one."""
    description = vocabulary.describe(code)
    wanted = description.replace("unspecified trimester", f"{trimester} trimester")
    if wanted == description:
        return code
    parent = vocabulary.codes[code].parent
    same = (c.code for c in vocabulary.children.get(parent, []) if c.description == wanted)
    return next(same, code)


@cache
def _load_details() -> list[dict[str, Any]]:
    free = re.compile("")
    rows = []
    for row in load_rules()["details"]:
        keys = ("pattern", "after", "before")
        patterns = {key: re.compile(row[key]) if key in row else free for key in keys}
        unless = re.compile(row["unless"]) if "unless" in row else None
        rows.append({**row, **patterns, "unless": unless, "code": re.compile(row["code"])})
    return rows


@cache
def _load_caused() -> list[dict[str, Any]]:
    """The diseases that drugs cause, with compiled patterns."""
    rows = load_rules()["adverse"]["diseases"]
    return [{**row, "code": re.compile(row["code"])} for row in rows]


@cache
def _load_drugs() -> dict[str, re.Pattern[str]]:
    """Patterns for drugs named as a cause, before and after the effect. The name of the matching
    group is the adverse effect code."""
    table = load_rules()["adverse"]
    drugs = "|".join(
        f"(?P<{code.replace('.', '_')}>{'|'.join(names)})" for code, names in table["drugs"].items()
    )
    return {
        name: re.compile(pattern.replace("{drug}", f"(?:{drugs})"), re.IGNORECASE)
        for name, pattern in table["named"].items()
    }
