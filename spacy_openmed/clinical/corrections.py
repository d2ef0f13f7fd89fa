"""Corrections of what a checkpoint asserts, by words beside an entity that leave no doubt.

"worrisome for PE" is a suspicion and "failed to reveal PE" a denial, whatever a checkpoint makes of
words that it has rarely read. The table "corrections" of `data/context.json` lists the phrases,
with the label that they give and the labels of a checkpoint that they set aside.
"""

import re
from functools import cache
from typing import NamedTuple

from .termsets import NEAR, load_table, to_regex

FAMILY = "FAMILY"
KIN_BEFORE, KIN_AFTER = 250, 60  # characters in which a disease of the family has a relative


class Correction(NamedTuple):
    """A row of the table.

    label (str): The label that the phrases give.
    over (frozenset[str]): The labels of a checkpoint that they set aside.
    before, after (re.Pattern | None): The phrases before and after an entity.
    """

    label: str
    over: frozenset[str]
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None


def correct(text: str, start: int, end: int, label: str) -> str | None:
    """Find the label that the words beside a problem give it in place of a checkpoint's.

    text (str): The text, with plain apostrophes, dashes and spaces.
    start, end (int): The characters of the problem.
    label (str): What the checkpoint asserts.
    RETURNS (str | None): The label. None: the checkpoint's stands.
    """
    before, after = text[max(0, start - NEAR) : start], text[end : end + NEAR]
    for row in _load_corrections():
        if label not in row.over:
            continue
        match = row.before.search(before) if row.before else None
        if match and not _load_negation().search(before, 0, match.start()):
            return row.label
        if row.after and row.after.match(after):
            return row.label
    return None


def has_relative(text: str, start: int, end: int) -> bool:
    """RETURNS (bool): Whether the text around an entity names a relative or the family."""
    near = text[max(0, start - KIN_BEFORE) : end + KIN_AFTER]
    return _load_relatives().search(near) is not None


@cache
def _load_corrections() -> list[Correction]:
    table = load_table()["corrections"]
    determiners = "|".join(table["determiners"])
    rows = []
    for row in table["rows"]:
        before, after = ("|".join(map(to_regex, row[side])) for side in ("before", "after"))
        rows.append(
            Correction(
                row["label"],
                frozenset(row["over"]),
                re.compile(rf"(?<![\w-])(?:{before})\s+(?:(?:{determiners})\s+)*$", re.IGNORECASE)
                if before
                else None,
                re.compile(rf"\s*(?:{after})(?!\w)", re.IGNORECASE) if after else None,
            )
        )
    return rows


@cache
def _load_negation() -> re.Pattern[str]:
    """What keeps a phrase from having its meaning, before it in its clause."""
    words = "|".join(load_table()["corrections"]["negations"])
    return re.compile(rf"(?:\b(?:{words})|n't)\b[^.;:\n]*$", re.IGNORECASE)


@cache
def _load_relatives() -> re.Pattern[str]:
    words = "|".join(map(to_regex, load_table()["family_words"]))
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
