"""Documents of corpora as they are read."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from ..encoding import decode
from ..errors import Errors

NO_CONCEPT = ("", "-", "-1")
CONCEPT_KEYS = {"identifier", "mesh", "omim", "cui", "umls", "ncbi gene", "ncbi taxonomy"}
RELATION_KEYS = ("type", "relation", "relation type", "relation_type")
MAX_GAP = 1000  # line ends that stand for what lies between two passages


class Change(str, Enum):
    """What was done to a source that is not what it seems, for the report."""

    REPAIRED = "entities that begin with I-"
    BLANK = "tokens left out: nothing but white space"
    IN_BYTES = "documents whose offsets count bytes"
    LINE_ENDS = "documents whose offsets count a line end as one character"
    MOVED = "mentions moved by a few characters, to where they stand"
    TRIMMED = "mentions cut: spaces at their ends"
    GAPS = "discontinuous mentions, given by their whole extent"
    EXPANDED = "mentions expanded to whole tokens"
    OVERLAPPING = "overlapping: left out of doc.ents"
    MISMATCHED = "mentions left out: not at their offsets"
    EMPTY = "mentions left out: without characters"
    UNLABELLED = "mentions left out: without a type"
    OTHER_TYPE = "mentions left out: of other types"
    UNRESOLVED = "relations left out: an argument is missing"
    ARITY = "relations left out: not of two arguments"
    OTHER_KIND = "events, attributes, notes left out"
    REJECTED = "documents left out: rejected, ignored or skipped in Prodigy"


@dataclass(frozen=True)
class Mention:
    """One annotated mention, where the source says that it stands."""

    fragments: tuple[tuple[int, int], ...]  # start and end (exclusive), in the text's order
    label: str
    text: str | None = None  # as the source quotes it; None where it does not
    concept: str = ""  # concept id
    has_gaps: bool = False  # known though `fragments` is the whole extent

    def stands(self, text: str, shift: int = 0) -> bool:
        """Tell whether the mention is at its offsets.

        text (str): The document's text.
        shift (int): Characters to move the offsets by.
        RETURNS (bool): Whether the offsets lie in the text and, where the source quotes the
            mention, hold what it quotes. White space may differ; of a discontinuous mention, the
            parts may be quoted or the whole.
        """
        places = [(start + shift, end + shift) for start, end in self.fragments]
        if not places or places[0][0] < 0 or places[-1][1] > len(text):
            return False
        if self.text is None:
            return True
        parts = [text[start:end] for start, end in places]
        readings = (" ".join(parts), "".join(parts), text[places[0][0] : places[-1][1]])
        return self.text.split() in [reading.split() for reading in readings]


Relation = tuple[str, int | str, int | str]  # type, head, tail: index of a mention, or concept id


@dataclass
class SourceDocument:
    """One document of a corpus. `words` and `sent_starts` are for sources with tokens."""

    id: str
    text: str
    mentions: list[Mention] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    words: list[str] | None = None
    sent_starts: list[bool] | None = None
    changes: Counter[Change] = field(default_factory=Counter)


def _id_of(source: dict[str, Any], default: str) -> str:
    id = source.get("id")
    return default if id in (None, "") else str(id)


def _mention(
    places: Sequence[tuple[int, int]], label: str, text: str | None, concept: str = ""
) -> Mention:
    return Mention(tuple(sorted(places)), label, text, "" if concept in NO_CONCEPT else concept)


def _add_relation(document: SourceDocument, kind: str, args: Sequence[int | str | None]) -> None:
    if len(args) != 2:
        document.changes[Change.ARITY] += 1
    elif args[0] is None or args[1] is None:
        document.changes[Change.UNRESOLVED] += 1
    else:
        document.relations.append((kind, args[0], args[1]))


def _misses(text: str, mentions: Iterable[Mention]) -> int:
    return sum(not mention.stands(text) for mention in mentions)


def _columns(line: str) -> list[str]:
    return [column.strip() for column in line.split("\t")] if "\t" in line else line.split()


def _read_text(path: Path, encoding: str) -> str:
    try:
        return decode(path.read_bytes(), encoding)
    except UnicodeDecodeError as error:
        raise ValueError(Errors.OM629.format(path=path, encoding=error.encoding)) from None


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines and their numbers. A line ends at LF or CR LF, at nothing else that Unicode has."""
    for number, line in enumerate(_read_text(path, encoding).split("\n"), 1):
        yield number, line.removesuffix("\r")


def _json_lines(path: Path, format: str, encoding: str) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path, encoding):
        if line.strip():
            try:
                value = json.loads(line)
            except (RecursionError, ValueError):
                raise _malformed(path, number, format, "JSON") from None
            yield number, value


def _malformed(path: Path, number: int, format: str, expected: str, reason: str = "") -> ValueError:
    return ValueError(
        Errors.OM063.format(
            path=path, number=number, format=format, reason=reason, expected=expected
        )
    )
