"""Griffe extension that reads docstrings in spaCy's style, for the pages of the Python API.

mkdocs.yml names it. The style is a summary, then a line `name (type): text` for each parameter or
attribute, `RETURNS (type): text`, `YIELDS (type): text`, `RAISES (type): text` and `DOCS: url`.
Names may share a type: `start, end (int): text`. Continued lines are indented.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import griffe

TYPE = r"\((?:[^()]|\([^()]*\))*\)"  # balanced, one level deep
NAMED = rf"\*{{0,2}}[A-Za-z_]\w*(?: {TYPE})?"
ITEM = re.compile(rf"(?P<names>{NAMED}(?:, {NAMED})*): (?P<text>.*)")
NAME = re.compile(rf"(\*{{0,2}}[A-Za-z_]\w*)(?: ({TYPE}))?")
KINDS = ("RETURNS", "YIELDS", "RAISES")
FIELD = "FIELD"


@dataclass
class Item:
    """A line of a docstring with its continuation.

    kind (str): "FIELD", "RETURNS", "YIELDS" or "RAISES"; empty for text.
    names (list[tuple[str, str]]): Name and type of each field; for the others, only a type.
    text (str): The description, or the text.
    """

    kind: str
    names: list[tuple[str, str]]
    text: str


def read_items(docstring: str) -> list[Item]:
    """Split a docstring into text, fields and results.

    docstring (str): The docstring, without the indentation of the code.
    RETURNS (list[Item]): Its items, in order.
    """
    items: list[Item] = []
    for line in docstring.splitlines():
        names = _read_names(match["names"]) if (match := ITEM.fullmatch(line)) else []
        if names and match:
            kind = names[0][0] if names[0][0] in KINDS else FIELD
            items.append(Item(kind, names, match["text"]))
        elif line.startswith("DOCS: "):
            items.append(Item("", [], f"See <{line[6:].strip()}>."))
        elif items and (items[-1].kind == "" or line.startswith("    ")):
            items[-1].text += "\n" + (line[4:] if items[-1].kind else line)
        elif line.strip():
            items.append(Item("", [], line))
    return [Item(item.kind, item.names, item.text.strip()) for item in items]


def _read_names(names: str) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): Names and types, or nothing if no name has a type. A name
    without a type has that of the next one."""
    pairs = [(name, type_[1:-1]) for name, type_ in NAME.findall(names)]
    if not pairs[-1][1]:
        return []
    for i in reversed(range(len(pairs) - 1)):
        pairs[i] = (pairs[i][0], pairs[i][1] or pairs[i + 1][1])
    return pairs


class SpacyDocstrings(griffe.Extension):
    """Parses all docstrings of a package."""

    def on_package(self, *, pkg: griffe.Module, loader: Any, **kwargs: Any) -> None:
        """Called by griffe when a package is loaded."""
        for obj in _walk(pkg):
            if obj.docstring is not None:
                obj.docstring.parsed = to_sections(obj)


def _walk(obj: Any) -> Iterator[Any]:
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from _walk(member)


def to_sections(obj: Any) -> list[Any]:
    """Make griffe's sections of an object's docstring.

    obj (griffe.Object): A module, class, function or attribute with a docstring.
    RETURNS (list[griffe.DocstringSection]): The sections.
    """
    items = read_items(obj.docstring.value)
    sections: list[Any] = [
        griffe.DocstringSectionText(item.text) for item in items if not item.kind
    ]

    def annotate(type_: str) -> Any:
        return griffe.parse_docstring_annotation(type_, obj.docstring)

    def of(kind: str) -> Iterable[tuple[Item, str, Any]]:
        chosen = (item for item in items if item.kind == kind)
        return ((item, name, annotate(type_)) for item in chosen for name, type_ in item.names)

    parameters = getattr(obj, "parameters", None) or {}
    fields: list[Any] = []
    for item, name, type_ in of(FIELD):
        default = parameters[name].default if name in parameters and "*" not in name else None
        row = griffe.DocstringParameter(
            name, annotation=type_, description=item.text, value=default
        )
        fields.append(row)
    if fields and obj.is_class and any(field.name in obj.members for field in fields):
        sections.append(griffe.DocstringSectionAttributes(fields))
    elif fields:
        sections.append(griffe.DocstringSectionParameters(fields))
    returns: list[Any] = [
        griffe.DocstringReturn("", annotation=type_, description=item.text)
        for item, _, type_ in of("RETURNS")
    ]
    yields: list[Any] = [
        griffe.DocstringYield("", annotation=type_, description=item.text)
        for item, _, type_ in of("YIELDS")
    ]
    raises: list[Any] = [
        griffe.DocstringRaise(annotation=type_, description=item.text)
        for item, _, type_ in of("RAISES")
    ]
    for rows, section in (
        (returns, griffe.DocstringSectionReturns),
        (yields, griffe.DocstringSectionYields),
        (raises, griffe.DocstringSectionRaises),
    ):
        if rows:
            sections.append(section(rows))
    return sections
