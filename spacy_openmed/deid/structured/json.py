"""Fields of JSON, such as FHIR."""

import re

from .fields import label_of
from .layout import STRUCTURE, Layout

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_KEY = re.compile(rf"({_STRING})\s*:\s*(?=[\"\[{{\d\-tfn])")
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<other>[^\s\"\[\]{{}},:]+)"
)


def read_json(layout: Layout) -> None:
    """Find the fields of JSON.

    layout (Layout): The text. Its fields and structure are added.
    """
    text = layout.text
    first = _KEY.search(text)
    if first is None:
        return
    position = end = _find_opening(text, first.start(), 0)
    stack: list[str] = []
    key: str | None = None
    while True:
        before = position
        while position < len(text) and text[position] in " \t\r\n,:":
            position += 1
        token = _TOKEN.match(text, position)
        if token is None:
            break
        layout.mark_signs(before, position)
        if is_key := _KEY.match(text, position):
            key = is_key[1][1:-1]
            layout.mark(position, is_key.end(), STRUCTURE)
            position = end = is_key.end()
            continue
        if token["open"]:
            layout.mark_signs(*token.span())
            stack.append(key or "")
            if token["open"] == "{":
                key = None
        elif token["close"]:
            if not stack:
                break
            layout.mark_signs(*token.span())
            key = stack.pop()
        elif token["string"]:
            layout.mark(token.start(), token.end(), STRUCTURE)
            _add_json(layout, token.start() + 1, token.end() - 1, key, tuple(stack))
        elif re.fullmatch(r"-?\d[\d.eE+-]*", token[0]):
            label = label_of(key or "", token[0], tuple(filter(None, stack)))
            layout.add(*token.span(), label if label not in (None, "PERSON") else "")
        elif token[0] not in ("true", "false", "null"):
            break
        position = end = token.end()
        if not stack and token["close"]:
            more = _KEY.search(text, end)
            if more is None:
                break
            position = _find_opening(text, more.start(), end)


def _find_opening(text: str, position: int, first: int) -> int:
    """Move back from a key over the opening brackets before it, at most to `first`."""
    while position > first and text[position - 1] in "[{ \t\r\n":
        position -= 1
    return position


def _add_json(
    layout: Layout, start: int, end: int, key: str | None, stack: tuple[str, ...]
) -> None:
    value = layout.text[start:end]
    parents = tuple(filter(None, stack))
    if parents and parents[-1] == key:  # an array
        parents = parents[:-1]
    label = label_of(key or "", value, parents)
    if key in ("reference", "fullUrl") and "/" in value and label:
        cut = value.rindex("/") + 1
        layout.add(start, start + cut, "")
        start += cut
    layout.add(start, end, label)
