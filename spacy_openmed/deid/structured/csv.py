"""Fields of CSV, with a comma, semicolon, tab or bar."""

import re

from .fields import is_known, label_of
from .layout import STRUCTURE, Layout

_HEADER = re.compile(
    r"\A\ufeff?\s*([\w\"][\w \"#./()-]*(?:([,;\t|])[ ]*[\w\"][\w \"#./()-]*)+)\r?\n"
)


def read_csv(layout: Layout) -> None:
    """Find a table that fills the text.

    layout (Layout): The text. Its fields and structure are added.
    """
    text = layout.text
    header = _HEADER.match(text)
    if header is None:
        return
    sign = header[2]
    names = [name.strip(' "') for name in header[1].split(sign)]
    first = text[header.end() :].partition("\n")[0]
    if not any(map(is_known, names)) or first.count(sign) < len(names) - 1:
        return
    layout.mark(*header.span(), STRUCTURE)
    cell = re.compile(
        rf'(?:"((?:[^"]|"")*)"|([^{re.escape(sign)}\r\n]*))({re.escape(sign)}|\r?\n|\Z)'
    )
    position, column = header.end(), 0
    while position < len(text):
        if column == 0 and text[position] != '"':
            stop = text.find("\n", position) + 1 or len(text)
            if sign not in text[position:stop]:  # a line without delimiter is no row
                position = stop
                continue
        match = cell.match(text, position)
        if match is None:
            break
        layout.mark(*match.span(), STRUCTURE)
        group = 2 if match[1] is None else 1
        label = label_of(names[column], match[group]) if column < len(names) else None
        layout.add(*match.span(group), label)
        column = column + 1 if match[3] == sign else 0
        if match.end() == position:
            break
        position = match.end()
