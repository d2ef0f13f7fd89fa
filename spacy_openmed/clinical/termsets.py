"""Trigger phrases for the assertion status of entities, and the text to match them against."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import srsly
from spacy.tokens import Doc

from ..errors import Errors
from ..paths import DATA_PATH
from ..sections import load_headings

PATH = DATA_PATH / "context.json"
AXES = {
    "negated": "is_negated",
    "historical": "is_historical",
    "hypothetical": "is_hypothetical",
    "family": "is_family",
}
# The same for drugs, which have lists of their own.
OF_DRUGS = {"allergy": "ALLERGY", "not_taken": "NOT_TAKEN", "stopped": "STOPPED"}
TRIGGERS = ("pseudo_negations", "preceding_negations", "following_negations", "termination")
BESIDE = ("just_before", "just_after", "not_just_after")
HEADINGS = "headings"
NEAR = 80  # characters beside an entity in which to look for a phrase
# Plain characters for those with many variants in notes. The text keeps its length.
PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4\u0060\u2032\uff07", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000", " ")
    | {"\uff0b": "+", "\uff1f": "?", "\uff1a": ":"}
)
QUERY = "\u00bf"  # replaces a question mark before a word
SPECIAL = {  # parts of phrases that are not words
    "<year>": r"(?:19|20)\d\d",
    "<age>": r"\d{1,2}",
    "<removal>": r"(?:[\w-]+\s+){0,3}?[\w-]*"
    r"(?:ectomy|resection|excision|removal|repair|chole|appy|xrt|sbrt|radiation|radiotherapy|chemo\w*)",
    "<words>": r"[\w'-]+(?:\s+[\w'-]+){0,3}",
    "<unresolved>": r"(?!\s*(?:in\s+remission|resolved|healed|quiescent|closed|cured|gone)\b)",
    "<count>": r"(?:\d{1,3}(?:\s*(?:-|to)\s*\d{1,3})?"
    r"|one|two|three|four|five|six|seven|eight|nine|ten)",
    "$": r"(?:\n|$)",
}
PARTS = re.compile(r"-|[^-]+")
Termset = Mapping[str, Sequence[str]]


def is_free(doc: Doc, i: int) -> bool:
    """RETURNS (bool): Whether no word directly precedes a token: it is the first, or follows white
    space or an opening bracket."""
    return i == 0 or bool(doc[i - 1].whitespace_) or not doc[i - 1].text.strip(" \n\t\r([/?")


def normalise(doc: Doc) -> tuple[list[str], list[int]]:
    """Normalise the words of a document: plain apostrophes and dashes, "not" for "n't", "can" for
    the "ca" of "can't".

    doc (Doc): The document.
    RETURNS (tuple[list[str], list[int]]): The words, without white space, and the number of words
        before each token and in total.
    """
    words: list[str] = []
    index = []
    for token in doc:
        index.append(len(words))
        text = token.text
        if text.isascii() and text.isalnum() and text.lower() not in ("nt", "cannot"):
            words.append(text)
            continue
        if token.is_space:
            continue
        plain = text.translate(PLAIN)
        low = plain.lower()
        if low in ("n't", "nt"):
            if words and words[-1].lower() == "ca":
                words[-1] = "can"
            words.append("not")
        elif low == "cannot":
            words += ["can", "not"]
        elif low.endswith("n't"):
            words += ["can" if low == "can't" else plain[:-3], "not"]
        elif plain != text and "-" in plain[1:]:
            words += PARTS.findall(plain)
        else:
            words.append(plain)
    index.append(len(words))
    return words, index


@cache
def load_termsets() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Our own lists, by axis."""
    table = load_table()
    kinds = load_headings()
    termsets = {}
    for axis in (*AXES, *OF_DRUGS):
        lists = {
            key: list(dict.fromkeys(p for phrase in table[axis][key] for p in expand(phrase)))
            for key in TRIGGERS
        }
        of_axis = set(table[axis]["sections"])
        lists[HEADINGS] = [heading for heading, kind in kinds.items() if kind in of_axis]
        termsets[axis] = lists | {key: table[axis][key] for key in BESIDE}
    return termsets


@cache
def load_table() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The table `data/context.json`."""
    return srsly.read_json(PATH)


def expand(phrase: str) -> Iterator[str]:
    """Expand a phrase of our lists: "{no|any} sign" stands for two phrases, "{relative}" for every
    phrase of a class.

    phrase (str): The phrase.
    YIELDS (str): The phrases, possibly with repeats.
    """
    before, brace, rest = phrase.partition("{")
    if not brace:
        yield " ".join(phrase.split())
        return
    inner, _, after = rest.partition("}")
    for option in _list_options(inner):
        yield from expand(f"{before} {option} {after}")


def _list_options(inner: str) -> list[str]:
    """What braces stand for: the phrases of a class, or what is between the bars."""
    return load_table()["classes"].get(inner) or inner.split("|")


def compile_beside(termset: Termset) -> tuple[re.Pattern[str] | None, ...]:
    """Compile the phrases that apply to an entity beside them.

    termset (Termset): The lists of an axis.
    RETURNS (tuple[re.Pattern | None, ...]): Patterns for the text before an entity, for the text
        after it, possibly after a few other words, and for text directly after an entity that
        rules the axis out. None if the list is empty.
    """
    before, after, not_after = (
        "|".join(to_regex(phrase) for phrase in termset.get(key, ())) for key in BESIDE
    )
    fillers, blockers = ("|".join(load_table()[key]) for key in ("fillers", "blockers"))
    return (
        re.compile(rf"(?<![\w-])(?:{before})[\s-]*$", re.IGNORECASE) if before else None,
        re.compile(
            rf"(?:\s+(?!(?:{blockers}|\w+n't)\b)[\w/'-]+){{0,7}}?"
            rf"[\s,;:]*(?:(?:{fillers}|\d{{4}})[\s,]+)*"
            rf"(?:{after})(?!\w)",
            re.IGNORECASE,
        )
        if after
        else None,
        re.compile(rf"\s*(?:{not_after})(?!\w)", re.IGNORECASE) if not_after else None,
    )


def to_regex(phrase: str) -> str:
    """Write a phrase of our lists as a pattern. White space in it, and around signs, may vary.

    phrase (str): The phrase.
    RETURNS (str): The pattern.
    """
    parts = []
    for part in re.findall(r"\{[^}]*\}|[^\s{}]+", phrase):
        if part in SPECIAL:
            parts.append(SPECIAL[part])
            continue
        options = _list_options(part[1:-1]) if part[0] == "{" else [part]
        one = "|".join(
            SPECIAL.get(option) or r"\s+".join(map(re.escape, option.split()))
            for option in options
            if option
        )
        parts.append(f"(?:{one})" + ("?" if "" in options else ""))
    return r"\s*".join(parts)


def check_termsets(termsets: Mapping[str, Termset]) -> None:
    """RAISES (ValueError): If there is no such axis or list, or if a list is a single string."""
    axes, known = (*AXES, *OF_DRUGS), (*TRIGGERS, *BESIDE, HEADINGS)
    for axis, termset in termsets.items():
        if axis not in axes:
            raise ValueError(Errors.OM450.format(axis=axis, known=", ".join(axes)))
        for key, phrases in termset.items():
            if key not in known or isinstance(phrases, str):
                raise ValueError(Errors.OM451.format(axis=axis, key=key, known=", ".join(known)))
