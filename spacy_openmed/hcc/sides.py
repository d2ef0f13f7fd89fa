"""Sides of the body, as the words of a text name them."""

import re

SIDE = re.compile(r"\b(?:left|right|Left|Right|LEFT|RIGHT|L|R|Lt|Rt)\b")
HANDED = re.compile(r"\b(left|right)[- ]hand", re.IGNORECASE)
NOT_DOMINANT = re.compile(r"\bnon-?\s?dominant", re.IGNORECASE)
DOMINANT = re.compile(r"\bdominant", re.IGNORECASE)


def find_side(text: str) -> str:
    """RETURNS (str): "left" or "right", if the text names just one of them, else ""."""
    found = {"left" if word[0].lower() == "l" else "right" for word in SIDE.findall(text)}
    return found.pop() if len(found) == 1 else ""


def is_dominant(side: str, text: str) -> bool:
    """Check whether a side is the dominant one. It is the right side unless the text names a
    dominant hand (guideline I.C.6.a).

    side (str): "left" or "right".
    text (str): The sentence.
    RETURNS (bool): Whether it is the dominant side.
    """
    if NOT_DOMINANT.search(text):
        return False
    if DOMINANT.search(text):
        return True
    handed = HANDED.search(text)
    return side == (handed[1].lower() if handed else "right")
