"""Read PubTator."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..encoding import UTF8
from .documents import Mention, SourceDocument
from .reading import malformed, read_lines

PASSAGE = re.compile(r"([^|\t]+)\|([a-z])\|(.*)", re.DOTALL)


def read_pubtator(path: Path, encoding: str = UTF8) -> Iterator[SourceDocument]:
    """Read PubTator. Offsets count one character between title and abstract: a space here."""
    document: SourceDocument | None = None
    for number, line in read_lines(path, encoding):
        columns = line.split("\t")
        if match := PASSAGE.fullmatch(line):
            id, kind, passage = match.groups()
            if document is not None and document.id == id and kind != "t":
                document.text += f" {passage}" if passage else ""
                continue
            if document is not None:
                yield document
            document = SourceDocument(id, passage)
        elif not line.strip():
            continue
        elif document is None or columns[0] != document.id or len(columns) < 4:
            expected = "'id|t|title', or columns that begin with the id of the title before them"
            raise malformed(path, number, "pubtator", expected)
        elif len(columns) > 4 and columns[1].isdecimal() and columns[2].isdecimal():
            place = (int(columns[1]), int(columns[2]))
            concept = (columns[5:] or [""])[0].strip()
            document.mentions.append(Mention.of([place], columns[4], columns[3], concept))
        else:
            document.relations.append((columns[1], columns[2], columns[3]))
    if document is not None:
        yield document
