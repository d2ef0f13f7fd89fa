"""Replace the abbreviations in mentions by the long forms that the document gives."""

import re
from collections.abc import Sequence

from ..abbreviations import find_definitions, is_short_for


def find_long_forms(text: str, entities: Sequence[tuple[int, int]]) -> dict[str, str]:
    """Find what the abbreviations of a document are short for.

    text (str): The text.
    entities (Sequence[tuple[int, int]]): Start and end of its entities. If an entity ends where a
        long form ends, its text becomes the long form.
    RETURNS (dict[str, str]): The long form of each abbreviation, at its first explanation.
    """
    found: dict[str, str] = {}
    for definition in find_definitions(text):
        short = text[definition.short_start : definition.short_end]
        long = text[definition.long_start : definition.long_end]
        ending = [text[start:end] for start, end in entities if end == definition.long_end]
        found.setdefault(short, next((e for e in ending if is_short_for(short, e)), long))
    return found


def expand(text: str, long_forms: dict[str, str]) -> str:
    """RETURNS (str): A text with its abbreviations spelled out."""
    if text in long_forms:
        return long_forms[text]
    return re.sub(r"\w+", lambda match: long_forms.get(match[0], match[0]), text)
