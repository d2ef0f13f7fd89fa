"""Codes that depend on two mentions in a sentence: combination codes and additional codes.

The tables "combinations", "joins" and "additional" say which codes combine, and which words may
come between their names.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from .icd10cm import Vocabulary
from .revised import Revised
from .sides import find_side, is_dominant
from .specific import Families
from .status import DENIED
from .tables import load_patterns, load_rules

REACH = 4  # how many following mentions a mention may combine with
OLD_BEFORE = 40  # characters before the end of a name in which to look for "old"
# The last character of the code for a sequela of stroke, by side and dominance.
SEQUELA = {("right", True): "1", ("left", True): "2", ("right", False): "3", ("left", False): "4"}
NO_SIDE = "9"
# The character of the code for an artery of the leg, by side.
LEGS = {"right": "1", "left": "2", "bilateral": "3", "": "9"}
# How two mentions are joined. Guideline I.A.15 presumes some links without a linking word.
WITH, AFTER, LIST, PRESUMED = "with", "after", "list", "presumed"


def combine(text: str, found: Sequence[Revised], vocabulary: Vocabulary) -> None:
    """Apply the table of combinations to the mentions of a sentence.

    text (str): The text of the document.
    found (Sequence[Revised]): The mentions in the order of the text. They are changed.
    vocabulary (Vocabulary): The codes.
    """
    joins = load_patterns("joins")
    found, implied = _with_implied(found)
    is_whole = _is_whole(found)
    for i, left in enumerate(found):
        chain = ""
        for before, right in pairwise(found[i : i + REACH + 1]):
            end = max(before.name.end_char, left.name.end_char)
            between = text[end : right.name.start_char]
            if not between.strip() and before.name.start_char == right.name.start_char:
                chain = WITH  # "diabetic CKD"
            elif joins["with"].fullmatch(between):
                chain = WITH
            elif chain in ("", LIST) and joins["after"].fullmatch(between):
                chain = AFTER
            elif joins["list"].fullmatch(between):
                chain = chain or LIST
            else:
                break
            if chain != LIST or is_whole:
                _combine_pair(left, right, chain, vocabulary)
    for i, left in enumerate(found):
        for right in found[i + 1 :]:
            _combine_pair(left, right, PRESUMED, vocabulary)
    for one, adjective in implied:
        _add_implied(one, adjective)


def presume(found: Sequence[Revised], vocabulary: Vocabulary) -> None:
    """Combine diseases that the classification presumes to be related, wherever they occur in the
    document: hypertension and chronic kidney disease (I.A.15, I.C.9.a).

    found (Sequence[Revised]): The mentions of the document. They are changed.
    vocabulary (Vocabulary): The codes.
    """
    rows = [one for one in found if one.code and not (one.is_dropped or _is_past(one))]
    for rule in _load_combinations():
        if not rule.get("everywhere"):
            continue
        second = next((one for one in rows if rule["second"].match(str(one.code))), None)
        if second is None:
            continue
        for first in rows:
            if rule["first"].match(str(first.code)):
                _apply(rule, first, second, vocabulary)


def _with_implied(
    found: Sequence[Revised],
) -> tuple[list[Revised], list[tuple[Revised, Revised]]]:
    """Insert the disease that an adjective implies before its mention: the diabetes of "diabetic
    CKD".

    RETURNS (tuple[list[Revised], list[tuple[Revised, Revised]]]): All mentions, and the pairs of
        a mention with such an adjective and the implied disease.
    """
    rows, implied = [], []
    for one in found:
        for rule in _load_implied():
            is_there = any(o.code and rule["there"].match(o.code) for o in found)
            if one.code and not is_there and rule["pattern"].search(one.name.text):
                adjective = Revised(one.name, rule["code"])
                rows.append(adjective)
                implied.append((one, adjective))
        rows.append(one)
    return rows, implied


def _add_implied(one: Revised, adjective: Revised) -> None:
    if not adjective.rule:
        return
    if one.is_dropped:
        one.code, one.rule, one.is_dropped = adjective.code, adjective.rule, False
    else:
        one.also.append((str(adjective.code), adjective.rule))


def add_codes(found: Sequence[Revised], families: Families) -> None:
    """Add the additional codes that the notes of the classification ask for.

    found (Sequence[Revised]): The mentions of a sentence. They are changed.
    families (Families): The codes by the words that distinguish them.
    """
    sentence = found[0].name.sent.text
    said = DENIED.sub(" ", sentence)
    for one in found:
        for rule in _load_additional():
            if one.code is None or one.is_dropped:
                continue
            own = [one.code, *(code for code, _ in one.also)]
            if not any(rule["code"].match(code) for code in own):
                continue
            codes = [o.code for o in found if o.code and not o.is_dropped]
            codes += [code for o in found for code, _ in o.also]
            if any(rule["unless"].match(code) for code in codes):
                continue
            match = rule["pattern"].search(said)
            if match:
                code = rule["add"].get(find_side(sentence), rule["add"][""])
                if "{number}" in code:
                    code = code.format(number=match[1].zfill(2))
                code = families.find_specific(code, one.name)
                if code in families.vocabulary.codes:
                    one.also.append((code, rule["rule"]))


def _is_whole(found: Sequence[Revised]) -> bool:
    """Whether a sentence is nothing but a list of two or three names."""
    if len(found) not in (2, 3):
        return False
    text = found[0].name.sent.text
    for one in found:
        text = text.replace(one.name.text, " ")
    return not re.sub(r"\band\b|\W", "", text)


def _combine_pair(left: Revised, right: Revised, chain: str, vocabulary: Vocabulary) -> None:
    """Apply the first rule that fits two mentions, in either order."""
    if left.code is None or right.code is None:
        return
    for rule, is_first_left in _find_rules(left.code, right.code, chain == PRESUMED):
        first, second = (left, right) if is_first_left else (right, left)
        # One stroke may have several sequelae.
        if first.is_dropped or (second.is_dropped and rule["join"] != AFTER):
            continue
        if _fits(rule, first, second, chain, is_first_left=is_first_left):
            _apply(rule, first, second, vocabulary)
            return


@lru_cache(maxsize=50_000)  # a long list has thousands of pairs
def _find_rules(
    left: str, right: str, only_presumed: bool
) -> tuple[tuple[Mapping[str, Any], bool], ...]:
    """The rules for two codes, each with whether its first code is the left one."""
    return tuple(
        (rule, is_first_left)
        for rule in _load_combinations()
        if rule["join"] == PRESUMED or not only_presumed
        for first, second, is_first_left in ((left, right, True), (right, left, False))
        if rule["first"].match(first) and rule["second"].match(second)
    )


def _fits(
    rule: Mapping[str, Any], first: Revised, second: Revised, chain: str, *, is_first_left: bool
) -> bool:
    """Whether the text joins two mentions in the way that the rule for their codes requires."""
    is_after = chain == AFTER and is_first_left  # "hemiparesis after stroke"
    if rule["join"] == AFTER:
        is_residual = chain == WITH and is_first_left and _is_residual(first)
        if not (is_after or is_residual or (chain in (AFTER, WITH) and _is_old(second))):
            return False
    elif is_after:
        return False
    if rule["join"] == PRESUMED and (_is_past(first) or _is_past(second)):
        return False
    if rule["sentence"] and not rule["sentence"].search(first.name.sent.text):
        return False
    return rule["when"] is None or rule["when"].search(second.name.text) is not None


def _is_past(one: Revised) -> bool:
    """Whether a mention is history, and its disease is not a lifelong one."""
    return one.is_historical and load_patterns("kept")["code"].match(str(one.code)) is None


def _is_residual(one: Revised) -> bool:
    before = one.name.sent.text[: one.name.end_char - one.name.sent.start_char]
    return load_patterns("joins")["residual"].search(before) is not None


def _is_old(one: Revised) -> bool:
    if one.is_historical or str(one.code).startswith("Z"):
        return True
    sentence = one.name.sent
    before = sentence.text[: one.name.end_char - sentence.start_char]
    return load_patterns("joins")["old"].search(before[-OLD_BEFORE:]) is not None


def _apply(
    rule: Mapping[str, Any], first: Revised, second: Revised, vocabulary: Vocabulary
) -> None:
    code = rule["code"].replace("{first3}", str(first.code)[:3])
    # Dementia codes by severity and behaviour differ between causes in one digit only.
    code = code.replace("{dementia}", re.sub(r"^9", "8", str(second.code)[4:]))
    if "{leg}" in code:
        code = code.replace("{leg}", _find_leg(first, vocabulary))
    if "{side}" in code:
        code = code.replace("{side}", _find_sequela(first, vocabulary))
    if code not in vocabulary.codes:
        return
    target, other = (second, first) if rule["drop"] == "second" else (first, second)
    # Diabetes with several complications has a code for each.
    if rule.get("extends") and not str(first.code).endswith(".9") and code != first.code:
        target.also.append((code, rule["rule"]))
    elif code != target.code:
        target.code, target.rule = code, rule["rule"]
    if rule["drop"] == "both":
        other.is_dropped = True


def _find_sequela(one: Revised, vocabulary: Vocabulary) -> str:
    """The last character of a sequela of stroke."""
    sentence = one.name.sent.text
    side = (
        find_side(one.name.text)
        or find_side(sentence)
        or find_side(vocabulary.describe(str(one.code)))
    )
    return SEQUELA[side, is_dominant(side, sentence)] if side else NO_SIDE


def _find_leg(one: Revised, vocabulary: Vocabulary) -> str:
    description = vocabulary.describe(str(one.code)).lower()
    side = find_side(one.name.text) or find_side(description)
    return LEGS["bilateral" if "bilateral" in description else side]


@cache
def _load_combinations() -> list[dict[str, Any]]:
    """The table of combinations, with compiled patterns."""
    return [
        {
            **rule,
            "first": re.compile(rule["first"]),
            "second": re.compile(rule["second"]),
            **{
                key: re.compile(rule[key], re.IGNORECASE) if key in rule else None
                for key in ("when", "sentence")
            },
        }
        for rule in load_rules()["combinations"]
    ]


@cache
def _load_implied() -> list[dict[str, Any]]:
    rows = load_rules()["implied"]
    return [
        {
            **row,
            "pattern": re.compile(row["pattern"], re.IGNORECASE),
            "there": re.compile(row["there"]),
        }
        for row in rows
    ]


@cache
def _load_additional() -> list[dict[str, Any]]:
    """The table of codes that go with another, with compiled patterns."""
    return [
        {**rule, **{key: re.compile(rule[key]) for key in ("code", "unless", "pattern")}}
        for rule in load_rules()["additional"]
    ]
