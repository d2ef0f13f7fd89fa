"""negspacy's NegEx with a result for every entity."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from negspacy.negation import Negex
from spacy.language import Language
from spacy.tokens import Doc, Span

from .component import TARGETS, TRIGGERS

Match = tuple[int, int, int]  # of a PhraseMatcher: key, start, end


class EntityNegex(Negex):
    """NegEx for one axis of context, over the span group `targets`.

    nlp (Language): The pipeline.
    name (str): Name of the axis.
    termset (Mapping[str, Sequence[str]]): Lists of phrases; those left out are empty.
    extension (str): The extension attribute to set.
    """

    def __init__(
        self, nlp: Language, name: str, termset: Mapping[str, Sequence[str]], extension: str
    ) -> None:
        lists = {key: list(termset.get(key, ())) for key in TRIGGERS}
        super().__init__(
            nlp,
            name,
            lists,
            extension_name=extension,
            # An entity that begins with a trigger: "family history of colon cancer".
            chunk_prefix=[f"{phrase} " for phrase in lists["preceding_negations"]],
            span_keys=[TARGETS],
        )
        self.targets: list[Span] = []

    def negex(self, doc: Doc) -> Doc:
        """Set the attribute of a document's entities.

        doc (Doc): The document.
        RETURNS (Doc): The same document.
        """
        self.targets = sorted(doc.spans[TARGETS], key=lambda span: span.start)
        doc = super().negex(doc)
        self.targets = []  # spans can't be pickled
        return doc

    def process_negations(self, doc: Doc) -> tuple[list[Match], list[Match], list[Match]]:
        """Find the triggers of a document.

        Words of an entity or of a longer trigger do not end a scope. negspacy passes over an
        entity that crosses the end of one.

        doc (Doc): The document.
        RETURNS (tuple[list[Match], list[Match], list[Match]]): Preceding, following and
            terminating phrases.
        """
        preceding, following, terminating = super().process_negations(doc)
        inside = {i for span in self.targets for i in range(span.start, span.end)}
        for _, start, end in (*preceding, *following):
            inside.update(range(start + 1, end))
        return preceding, following, [match for match in terminating if match[1] not in inside]

    def yield_spans_within_boundary(  # type: ignore[override]  # a static method there
        self, doc: Doc, boundary: tuple[int, int], span_keys: set[str]
    ) -> Iterator[Span]:
        """Find the entities of a part of the document, without going through all of them: negspacy
        takes minutes for a long note.

        doc (Doc): The document.
        boundary (tuple[int, int]): The part's first token and the one after the last.
        span_keys (set[str]): Not looked at: there is one group.
        YIELDS (Span): The entities inside of it.
        """
        start, end = boundary
        first = bisect_left(self.targets, start, key=lambda span: span.start)
        for i in range(first, len(self.targets)):
            span = self.targets[i]
            if span.start >= end:
                return
            if span.end <= end:
                yield span
