"""OBO files: the ontologies of the OBO Foundry."""

import re
from collections.abc import Iterator
from typing import TextIO

from .curies import to_curie
from .records import Record

# A text in quotation marks, as of synonyms and definitions, and what follows.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w+)?')
_ESCAPE = re.compile(r"\\(.)")
BROAD = "BROAD"  # a synonym that means more than the concept


def read_obo(file: TextIO, *, prefix: str | None = None) -> Iterator[Record]:
    """Read the terms of an ontology. Obsolete terms and broader synonyms are left out.

    file (TextIO): The file.
    prefix (str | None): The prefix of ids that have none.
    YIELDS (Record): The terms. Their types are the namespace of each, if it has one.
    """
    for tags in _read_stanzas(file):
        id, name = _first(tags, "id"), _first(tags, "name")
        if id is None or name is None or _first(tags, "is_obsolete") == "true":
            continue
        synonyms = [match for text in tags.get("synonym", ()) if (match := _QUOTED.match(text))]
        definition = _QUOTED.match(_first(tags, "def") or "")
        yield Record(
            to_curie(id, prefix),
            _unescape(name),
            tuple(_unescape(match[1]) for match in synonyms if match[2] != BROAD),
            tuple(tags.get("namespace", ())),
            _unescape(definition[1]) if definition else None,
        )


def _read_stanzas(file: TextIO) -> Iterator[dict[str, list[str]]]:
    """YIELDS (dict[str, list[str]]): The values of each tag of each term."""
    tags: dict[str, list[str]] | None = None
    for line in file:
        line = line.strip()
        if line.startswith("["):
            if tags:
                yield tags
            tags = {} if line == "[Term]" else None
        elif tags is not None and ": " in line:
            tag, value = line.split(": ", 1)
            if tag in ("id", "name", "is_obsolete"):
                value = value.split(" !")[0].strip()
            tags.setdefault(tag, []).append(value)
    if tags:
        yield tags


def _first(tags: dict[str, list[str]], name: str) -> str | None:
    return tags.get(name, [None])[0]  # type: ignore[list-item]


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: {"n": "\n", "t": "\t", "W": " "}.get(match[1], match[1]), text)
