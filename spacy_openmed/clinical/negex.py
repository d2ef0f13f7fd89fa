"""negspacy's NegEx with a result for every entity."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from negspacy.negation import Negex
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc

from .termsets import TRIGGERS, normalise

Place = tuple[int, int]  # tokens: start, end
CLOSERS = (",", ")")
# negspacy's names of the lists, in the order of `TRIGGERS`
KINDS = ("pseudo", "Preceding", "Following", "Termination")
FLAG = "is_negated"  # negspacy registers an attribute, though we set none here


class EntityNegex(Negex):
    """NegEx for one axis of context.

    It differs from negspacy in three ways. Phrases are compared as written by `normalise`. A
    trigger that is longer than a pseudo-trigger counts. Words inside an entity or a longer trigger
    do not end a scope, because negspacy skips an entity that crosses the end of one.

    nlp (Language): The pipeline.
    name (str): Name of the axis.
    termset (Mapping[str, Sequence[str]]): Lists of phrases; those left out are empty.
    """

    def __init__(self, nlp: Language, name: str, termset: Mapping[str, Sequence[str]]) -> None:
        lists = {key: list(termset.get(key, ())) for key in TRIGGERS}
        super().__init__(nlp, name, lists, extension_name=FLAG)

    def build_patterns(self) -> None:
        """Make the matcher of the phrases."""
        self.matcher = PhraseMatcher(self.nlp.vocab, attr="LOWER")
        lists = (
            self.pseudo_negations,
            self.preceding_negations,
            self.following_negations,
            self.termination,
        )
        for kind, phrases in zip(KINDS, lists, strict=True):
            docs = (self.nlp.make_doc(phrase) for phrase in phrases)
            self.matcher.add(kind, [Doc(doc.vocab, words=normalise(doc)[0]) for doc in docs])

    def find(self, words: Doc, targets: Sequence[Place], starts: Sequence[int]) -> set[int]:
        """Find the entities for which the axis holds.

        words (Doc): The words of a document, as `make_words` copies them.
        targets (Sequence[Place]): The entities, as tokens.
        starts (Sequence[int]): The tokens that begin a sentence, in order.
        RETURNS (set[int]): The indices of those entities.
        """
        places: dict[str, list[Place]] = {kind: [] for kind in KINDS}
        strings = self.nlp.vocab.strings
        for key, start, end in self.matcher(words):
            places[strings[key]].append((start, end))
        if not places["Preceding"] and not places["Following"]:
            return set()
        pseudo = sorted(places["pseudo"])
        preceding, following, terminating = (
            sorted(_leave_out(places[kind], pseudo)) for kind in KINDS[1:]
        )
        inside = {i for start, end in targets for i in range(start, end)}
        for start, end in preceding:
            inside.update(range(start + 1, end))
        for start, end in following:  # "has resolved"
            inside.update(range(start, end))
        ends = [start for start, _ in terminating if start not in inside]
        bounds = sorted({0, *starts, *ends, len(words)})
        # A trigger in both lists counts as a following one before a comma: "wheeze absent,".
        both = {*following}
        opens = [
            start
            for start, end in preceding
            if (start, end) not in both or end == len(words) or words[end].text not in CLOSERS
        ]
        closes = [start for start, _ in following]
        # An entity may begin with a trigger: "family history of colon cancer".
        own = dict(reversed(preceding))
        found = set()
        for i, (start, end) in enumerate(targets):
            at = bisect_right(bounds, start)
            low, high = bounds[at - 1], bounds[at] if at < len(bounds) else len(words)
            first = bisect_left(opens, low)
            last = bisect_left(closes, high)
            if (
                (first < len(opens) and opens[first] < start)
                or own.get(start, end) < end
                or any(place[1] > end for place in following[bisect_left(closes, start) : last])
            ):
                found.add(i)
        return found


def _leave_out(places: Sequence[Place], pseudo: Sequence[Place]) -> list[Place]:
    """The triggers that are not part of a pseudo-trigger. Pseudo-triggers must be sorted."""
    opens = [first for first, _ in pseudo]
    reach = [0, *accumulate((last for _, last in pseudo), max)]  # of those that begin so far
    return [(start, end) for start, end in places if end > reach[bisect_right(opens, start)]]
