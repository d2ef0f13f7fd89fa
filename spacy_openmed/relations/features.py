"""Pairs of things that may be related, and their features in a document.

The features are words between and around the mentions, and where and how often the two are
mentioned, similar to the systems of BioCreative V (Wei et al. 2016, doi:10.1093/database/baw032).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from spacy.tokens import Doc, Span

from ..sentences import set_sentence_starts
from .concepts import Concept, normalise

MAX_WORDS = 25  # most words between two mentions for these words to be features


class Evidence(NamedTuple):
    """Where a document mentions a relation, in characters.

    head, tail (tuple[int, int]): The two mentions.
    sentence (tuple[int, int]): From the beginning of the first's sentence to the end of the last's.
    """

    head: tuple[int, int]
    tail: tuple[int, int]
    sentence: tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """Two things that may be related.

    head, tail (Concept): The two.
    features (list[str]): Their features in the document, possibly with repeats.
    evidence (tuple[Evidence, ...]): Where the document mentions both.
    """

    head: Concept
    tail: Concept
    features: list[str]
    evidence: tuple[Evidence, ...]


def make_pairs(
    doc: Doc, heads: Sequence[Concept], tails: Sequence[Concept], *, max_distance: int
) -> Iterator[Pair]:
    """Pair the things of a document.

    doc (Doc): The document. It gets sentence starts if it has none.
    heads, tails (Sequence[Concept]): The possible heads and tails of a relation.
    max_distance (int): How many sentences apart the nearest mentions may be.
    YIELDS (Pair): The pairs.
    """
    set_sentence_starts(doc)
    view = _View(doc, heads, tails)
    head_things = view.describe("head", heads)
    tail_things = view.describe("tail", tails)
    counts = np.array(
        [[len(_shared(head, tail)) for tail in tail_things] for head in head_things], dtype=int
    ).reshape(len(head_things), len(tail_things))
    by_tail, by_head = _rivals(counts), _rivals(counts.T)
    for i, head in enumerate(head_things):
        for j, tail in enumerate(tail_things):
            distance = (
                0 if counts[i, j] else min(abs(a - b) for a in head.places for b in tail.places)
            )
            if head.concept.id != tail.concept.id and distance <= max_distance:
                places = sorted(_shared(head, tail))
                features = [
                    *head.features,
                    *tail.features,
                    *(f"head {word}" for word in by_tail[j][i]),
                    *(f"tail {word}" for word in by_head[i][j]),
                    *view.compare(head, tail, places, distance),
                ]
                evidence = view.find_evidence(head, tail, places, distance)
                yield Pair(head.concept, tail.concept, features, evidence)


@dataclass(frozen=True)
class _Thing:
    """A concept and its features in a document.

    side (str): "head" or "tail".
    places (dict[int, list[Span]]): Its mentions by sentence.
    name (str): What it is called most often, in lower case.
    rank (int): How many of its side are mentioned more often.
    in_title (bool): Whether the first sentence mentions it.
    features (list[str]): The features that depend on it alone.
    """

    side: str
    concept: Concept
    places: dict[int, list[Span]]
    name: str
    rank: int
    in_title: bool
    features: list[str]


class _View:
    """A document with the mentions of both sides masked, as features see it."""

    def __init__(self, doc: Doc, heads: Sequence[Concept], tails: Sequence[Concept]) -> None:
        self.doc = doc
        self.words = ["0" if token.is_digit else token.lower_ for token in doc]
        for side, concepts in (("head", heads), ("tail", tails)):
            for span in (span for concept in concepts for span in concept.mentions):
                self.words[span.start : span.end] = [f"#{side}"] * len(span)
        self.sentences = list(doc.sents)
        self.sentence_of = [n for n, sent in enumerate(self.sentences) for _ in sent]

    def describe(self, side: str, concepts: Sequence[Concept]) -> list[_Thing]:
        """Describe the things of one side."""
        by_count = sorted(concepts, key=lambda c: (-len(c.mentions), c.mentions[0].start))
        ranks = {concept.id: rank for rank, concept in enumerate(by_count)}
        names = {
            c.id: Counter(normalise(span.text) for span in c.mentions).most_common(1)[0][0]
            for c in concepts
        }
        things = []
        for concept in concepts:
            places = defaultdict(list)
            for span in concept.mentions:
                places[self.sentence_of[span.start]].append(span)
            name, rank = names[concept.id], ranks[concept.id]
            thing = _Thing(side, concept, dict(places), name, rank, 0 in places, [])
            thing.features.extend(f"{side} {what}" for what in self._profile(thing, names))
            things.append(thing)
        return things

    def _profile(self, thing: _Thing, names: Mapping[str, str]) -> Iterator[str]:
        """The features of a single thing."""
        words, places, n_sentences = self.words, thing.places, len(self.sentences)
        for span in thing.concept.mentions:
            left = words[max(span.start - 4, 0) : span.start]
            right = words[span.end : span.end + 4]
            yield f"left {' '.join(left[-1:])}"
            yield f"left {' '.join(left[-2:])}"
            yield f"right {' '.join(right[:1])}"
            yield f"right {' '.join(right[:2])}"
            yield from (f"near {word}" for word in left + right)
        yield f"mentions {_bin(len(thing.concept.mentions))}"
        yield f"sentences {_bin(len(places))}"
        yield f"of {_bin(len(names))}"
        yield f"rank {min(thing.rank, 6)}"
        yield f"begins {min(places) * 4 // n_sentences}"
        if thing.in_title:
            yield "title"
        if max(places) >= n_sentences - 2:
            yield "end"
        yield f"name {thing.name}"
        yield from (f"word {word}" for word in thing.name.split())
        yield f"suffix {thing.name[-4:]}"
        own = set(thing.name.split())
        others = [set(name.split()) for name in names.values()]
        if any(own < other for other in others):
            yield "general"
        if any(own > other for other in others):
            yield "specific"

    def compare(
        self,
        head: _Thing,
        tail: _Thing,
        places: Sequence[int],
        distance: int,
    ) -> Iterator[str]:
        """The features of two things together."""
        shared = len(places)
        title = f"{head.in_title}{tail.in_title}"
        ranks = f"{min(head.rank, 3)}"
        yield f"shared {_bin(shared)}"
        yield f"names {head.name}|{tail.name}"
        yield f"ranks {ranks} {min(tail.rank, 3)}"
        yield f"rank shared {ranks} {_bin(shared)}"
        yield f"title {title}"
        yield f"title shared {title} {min(shared, 2)}"
        yield f"title ranks {title} {min(head.rank, 2)} {min(tail.rank, 2)}"
        if not places:
            yield f"apart {_bin(distance)}"
        if 0 in places:
            yield "title of both"
        if places and places[-1] >= len(self.sentences) - 2:
            yield "end of both"
        pairs = [(a, b) for place in places for a in head.places[place] for b in tail.places[place]]
        yield f"pairs {_bin(len(pairs))}"
        for a, b in pairs:
            yield from self._between(a, b)
        if pairs:
            a, b = min(pairs, key=lambda pair: _gap(*pair))
            order, between = self._order(a, b)
            yield f"nearest {order} {_bin(len(between))}"
            yield from (f"nearest {order} {word}" for word in between[:15])
            if len(between) <= 4:
                yield f"nearest {order} all {' '.join(between)}"

    def _between(self, head: Span, tail: Span) -> Iterator[str]:
        """Features of the words between and around two mentions in a sentence."""
        order, between = self._order(head, tail)
        if len(between) > MAX_WORDS:
            return
        yield f"{order} gap {_bin(len(between))}"
        yield f"{order} others {sum(word in ('#head', '#tail') for word in between)}"
        yield from (f"{order} between {word}" for word in between)
        yield from (f"{order} between {a} {b}" for a, b in pairwise(between))
        if len(between) <= 4:
            yield f"{order} all {' '.join(between)}"
        else:
            yield f"{order} long"
        start, end = min(head.start, tail.start), max(head.end, tail.end)
        yield from (f"{order} before {word}" for word in self.words[max(start - 3, 0) : start])
        yield from (f"{order} after {word}" for word in self.words[end : end + 3])

    def _order(self, head: Span, tail: Span) -> tuple[str, list[str]]:
        if head.start < tail.start:
            return "head first", self.words[head.end : tail.start]
        return "tail first", self.words[tail.end : head.start]

    def find_evidence(
        self, head: _Thing, tail: _Thing, places: Sequence[int], distance: int
    ) -> tuple[Evidence, ...]:
        """RETURNS (tuple[Evidence, ...]): The nearest two mentions of each sentence with both, or
        of the two sentences that are nearest to each other."""
        both = [(place, place) for place in places] or [
            next((a, b) for a in head.places for b in tail.places if abs(a - b) == distance)
        ]
        found = []
        for at_head, at_tail in both:
            options = ((a, b) for a in head.places[at_head] for b in tail.places[at_tail])
            a, b = min(options, key=lambda pair: _gap(*pair))
            first, last = (
                self.sentences[min(at_head, at_tail)],
                self.sentences[max(at_head, at_tail)],
            )
            found.append(
                Evidence(
                    (a.start_char, a.end_char),
                    (b.start_char, b.end_char),
                    (first.start_char, last.end_char),
                )
            )
        return tuple(found)


def _shared(head: _Thing, tail: _Thing) -> set[int]:
    """The sentences that mention both."""
    return head.places.keys() & tail.places.keys()


def _rivals(counts: np.ndarray) -> list[list[tuple[str, ...]]]:
    """Whether things occur together with others more often than their rivals do.

    counts (Ints2d): (n_rivals, n_others) How many sentences mention both.
    RETURNS (list[list[tuple[str, ...]]]): For each of the others, the features of each rival.
    """
    found = []
    for column in counts.T:
        most = column.max(initial=0)
        best: tuple[str, ...] = ("most", "most alone") if (column == most).sum() == 1 else ("most",)
        if not most:
            best = ("none",)
        found.append([best if n == most else () for n in column])
    return found


def _gap(a: Span, b: Span) -> int:
    """Tokens between two spans."""
    return max(b.start - a.end, a.start - b.end, 0)


def _bin(n: int) -> str:
    """A number as a feature: large ones are binned together."""
    return str(n) if n < 5 else "5" if n < 10 else "10" if n < 20 else "20"
