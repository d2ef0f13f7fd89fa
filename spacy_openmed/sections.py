"""Sections of clinical notes, found by their headings.

The headings are a table, `data/sections.json`: by kind of section, in lower case. They are those of
the notes corpus (training and dev part) and of common templates of discharge summaries.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import cache

import srsly
from spacy.tokens import Doc, Span

from .paths import DATA_PATH

PATH = DATA_PATH / "sections.json"
# What stands at the start of a line, up to a colon or the end of the line.
HEADING = re.compile(
    r"^[ \t]*(?:\d+[.)]|[#*-]+)?[ \t]*([A-Za-z][^:\n]{0,40}?)[ \t]*(?:(:)[ \t]*(\S)?|$)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Section:
    """A section of a note.

    start, end (int): Its characters, with the heading.
    body (int): Where its text begins, after the heading. The first section may have no heading.
    heading (str): The heading in lower case; "" if there is none.
    kind (str | None): What the section is about, such as "family_history": a name of the table.
        None: the heading is not in it.
    is_inline (bool): Whether the text begins on the line of the heading.
    """

    start: int
    end: int
    body: int
    heading: str = ""
    kind: str | None = None
    is_inline: bool = False


def find_sections(text: str, others: Container[str] = ()) -> list[Section]:
    """Find the sections of a note. A section begins with a heading that is known, or with a line
    that looks like one: with a colon, and in capitals, on its own, or after a blank line; without
    a colon, in capitals and after a blank line.

    text (str): The note.
    others (Container[str]): More headings, in lower case.
    RETURNS (list[Section]): The sections, in order. Together they are the whole text.
    """
    kinds = load_headings()
    found: list[tuple[int, int, str, str | None, bool]] = []
    for match in HEADING.finditer(text):
        heading = normalise_heading(match[1])
        kind = kinds.get(heading)
        if kind is None and heading not in others:
            line_before = text[text.rfind("\n", 0, max(match.start() - 1, 0)) + 1 : match.start()]
            is_apart = not line_before.strip()
            if match[2]:
                looks_like_one = match[1].isupper() or not match[3] or is_apart
            else:
                looks_like_one = match[1].isupper() and is_apart
            if not looks_like_one:
                continue
        body = match.end(2) if match[2] else match.end()
        found.append((match.start(), body, heading, kind, bool(match[3])))
    if not found or found[0][0] > 0:
        found.insert(0, (0, 0, "", None, True))
    ends = [start for start, *_ in found[1:]] + [len(text)]
    return [
        Section(start, end, body, heading, kind, is_inline)
        for (start, body, heading, kind, is_inline), end in zip(found, ends, strict=True)
    ]


def get_sections(doc: Doc) -> list[Span]:
    """Find the sections of a document. It is what `doc._.sections` gives.

    doc (Doc): The document.
    RETURNS (list[Span]): The sections that have any text. The label is the kind of section, as in
        "family_history"; "" if there is no heading or it is not known.
    """
    spans = [
        doc.char_span(section.start, section.end, label=section.kind or "", alignment_mode="expand")
        for section in find_sections(doc.text)
    ]
    return [span for span in spans if span is not None]


@cache
def load_headings() -> dict[str, str]:
    """RETURNS (dict[str, str]): The kind of section of each heading that is known."""
    table: dict[str, list[str]] = srsly.read_json(PATH)  # type: ignore[assignment]
    return {heading: kind for kind, headings in table.items() for heading in headings}


def normalise_heading(heading: str) -> str:
    """RETURNS (str): A heading as the table has it: in lower case, with single spaces."""
    return " ".join(heading.lower().split())


if not Doc.has_extension("sections"):  # medspaCy sets one of this name
    Doc.set_extension("sections", getter=get_sections)
