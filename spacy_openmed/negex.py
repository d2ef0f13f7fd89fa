"""negspacy's NegEx with a result for every entity."""

from collections.abc import Mapping, Sequence

from negspacy.negation import Negex
from spacy.language import Language
from spacy.tokens import Doc

from .context import TARGETS, TRIGGERS

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

    def process_negations(self, doc: Doc) -> tuple[list[Match], list[Match], list[Match]]:
        """Find the triggers of a document.

        Words of an entity or of a longer trigger do not end a scope. negspacy passes over an
        entity that crosses the end of one.

        doc (Doc): The document.
        RETURNS (tuple[list[Match], list[Match], list[Match]]): Preceding, following and
            terminating phrases.
        """
        preceding, following, terminating = super().process_negations(doc)
        inside = {i for span in doc.spans[TARGETS] for i in range(span.start, span.end)}
        for _, start, end in (*preceding, *following):
            inside.update(range(start + 1, end))
        return preceding, following, [match for match in terminating if match[1] not in inside]
