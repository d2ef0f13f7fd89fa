"""Documents of corpora as they are read."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

NO_CONCEPT = ("", "-", "-1")


class Change(str, Enum):
    """A correction made to a faulty source, for the report."""

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
    """One annotated mention, at the source's offsets."""

    fragments: tuple[tuple[int, int], ...]  # start and end (exclusive), in the text's order
    label: str
    text: str | None = None  # as quoted in the source, if it is
    concept: str = ""  # concept id
    has_gaps: bool = False  # discontinuous, though `fragments` is the whole extent

    @classmethod
    def of(
        cls, places: Iterable[tuple[int, int]], label: str, text: str | None, concept: str = ""
    ) -> "Mention":
        """Make a mention from a source's annotation.

        places (Iterable[tuple[int, int]]): Start and end of its parts, in any order.
        label (str): Its type.
        text (str | None): The mention as quoted in the source; None if it is not quoted.
        concept (str): Its concept id. "-" and "-1" stand for none.
        RETURNS (Mention): The mention.
        """
        return cls(tuple(sorted(places)), label, text, "" if concept in NO_CONCEPT else concept)

    def stands(self, text: str, shift: int = 0) -> bool:
        """Check whether the mention is at its offsets.

        text (str): The document's text.
        shift (int): Characters to move the offsets by.
        RETURNS (bool): Whether the offsets lie in the text and, if the source quotes the mention,
            match the quote. White space may differ. The quote of a discontinuous mention may be
            its parts or the whole.
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

    def add_relation(self, kind: str, args: Sequence[int | str | None]) -> None:
        """Add a relation, or count why it is left out.

        kind (str): Its type.
        args (Sequence[int | str | None]): What it relates: indices of mentions, or concept ids;
            None for a mention that is not there.
        """
        if len(args) != 2:
            self.changes[Change.ARITY] += 1
        elif args[0] is None or args[1] is None:
            self.changes[Change.UNRESOLVED] += 1
        else:
            self.relations.append((kind, args[0], args[1]))


def count_misses(text: str, mentions: Iterable[Mention]) -> int:
    """RETURNS (int): How many mentions are not at their offsets in a text."""
    return sum(not mention.stands(text) for mention in mentions)
