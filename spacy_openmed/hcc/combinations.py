"""Codes that depend on two mentions of a sentence: combined codes, and codes that go with another.

Which codes combine, and what may stand between their names, are tables: "combinations", "joins" and
"additional".
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from .icd10cm import Vocabulary
from .revised import Revised
from .sides import find_side, is_dominant
from .tables import load_patterns, load_rules

REACH = 4  # mentions after the first that it is combined with
OLD_BEFORE = 40  # characters up to the end of a name in which "old" is looked for
# The last character of a sequela of stroke, by the side and whether it is the dominant one.
SEQUELA = {("right", True): "1", ("left", True): "2", ("right", False): "3", ("left", False): "4"}
NO_SIDE = "9"


def combine(text: str, found: Sequence[Revised], vocabulary: Vocabulary) -> None:
    """Apply the table of combinations to the mentions of a sentence.

    text (str): The text of the document.
    found (Sequence[Revised]): The mentions in the order of the text. They are changed.
    vocabulary (Vocabulary): The codes.
    """
    joins = load_patterns("joins")
    for i, left in enumerate(found):
        chain = ""
        for before, right in pairwise(found[i : i + REACH + 1]):
            end = max(before.name.end_char, left.name.end_char)
            between = text[end : right.name.start_char]
            if joins["with"].fullmatch(between):
                chain = "with"
            elif not chain and joins["after"].fullmatch(between):
                chain = "after"
            elif joins["list"].fullmatch(between):
                chain = chain or ("list" if _is_whole(found) else "")
            else:
                break
            if not chain:
                break
            _combine_pair(left, right, chain, vocabulary)


def add_codes(found: Sequence[Revised]) -> None:
    """Add the codes that go with another by the notes of the classification.

    found (Sequence[Revised]): The mentions of a sentence. They are changed.
    """
    sentence = found[0].name.sent.text
    for one in found:
        for rule in load_rules()["additional"]:
            if one.code is None or one.is_dropped or not re.match(rule["code"], one.code):
                continue
            codes = [o.code for o in found if o.code and not o.is_dropped]
            codes += [code for o in found for code, _ in o.also]
            if any(re.match(rule["unless"], code) for code in codes):
                continue
            if re.search(rule["pattern"], sentence):
                code = rule["add"].get(find_side(sentence), rule["add"][""])
                one.also.append((code, rule["rule"]))


def _is_whole(found: Sequence[Revised]) -> bool:
    """Whether a sentence has nothing but a list of two or three names."""
    text = found[0].name.sent.text
    for one in found:
        text = text.replace(one.name.text, " ")
    return len(found) in (2, 3) and not re.sub(r"\band\b|\W", "", text)


def _combine_pair(left: Revised, right: Revised, chain: str, vocabulary: Vocabulary) -> None:
    """Apply the first rule that fits two mentions, in either order."""
    if left.code is None or right.code is None or left.is_dropped or right.is_dropped:
        return
    for rule in _load_combinations():
        for first, second in ((left, right), (right, left)):
            is_after = chain == "after" and first is left  # "hemiparesis after stroke"
            if _fits(rule, first, second, is_after, chain != "list"):
                _apply(rule, first, second, vocabulary)
                return


def _fits(
    rule: Mapping[str, Any], first: Revised, second: Revised, is_after: bool, is_joined: bool
) -> bool:
    if not (rule["first"].match(first.code) and rule["second"].match(second.code)):
        return False
    if rule["join"] == "after":
        if not (is_after or (is_joined and _is_old(second))):
            return False
    elif is_after:
        return False
    return rule["when"] is None or rule["when"].search(second.name.text) is not None


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
    if "{side}" in code:
        code = code.replace("{side}", _find_sequela(first, vocabulary))
    if code not in vocabulary.codes or code == first.code:
        return
    target, other = (second, first) if rule["drop"] == "second" else (first, second)
    # Diabetes with several complications has a code for each.
    if rule.get("extends") and not str(first.code).endswith(".9"):
        target.also.append((code, rule["rule"]))
    else:
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


@cache
def _load_combinations() -> list[dict[str, Any]]:
    """The table of combinations, with compiled patterns."""
    return [
        {
            **rule,
            "first": re.compile(rule["first"]),
            "second": re.compile(rule["second"]),
            "when": re.compile(rule["when"], re.IGNORECASE) if "when" in rule else None,
        }
        for rule in load_rules()["combinations"]
    ]
