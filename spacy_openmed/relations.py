"""Relations between entities, over the whole document: which chemical caused which disease.

A linear model of words between and around the mentions, and of where and how often the two are
mentioned. What features tell is much as in the systems of BioCreative V (Wei et al. 2016,
doi:10.1093/database/baw032); the weights are our own (`scripts/train_relation.py`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.tokens import Doc, Span
from spacy.util import SimpleFrozenList, ensure_path

from .concepts import Concept, find_concepts, normalise
from .errors import Errors
from .saving import SavesOne
from .sentences import set_sentence_starts

PATH = Path(__file__).parent / "data" / "relation.npz"
N_WEIGHTS = 2**18
MAX_WORDS = 25  # between two mentions, for the words between to tell anything
EXTENSION = "relations"


class Evidence(NamedTuple):
    """Where a document tells of a relation, in characters.

    head, tail (tuple[int, int]): The two mentions.
    sentence (tuple[int, int]): From the beginning of the first's sentence to the end of the last's.
    """

    head: tuple[int, int]
    tail: tuple[int, int]
    sentence: tuple[int, int]


@dataclass(frozen=True)
class Relation:
    """A relation that a document tells of.

    label (str): What it is: "CAUSES".
    head, tail (str): The ids of the two, see `concepts.Concept`.
    score (float): Its probability.
    evidence (tuple[Evidence, ...]): Sentences with both of them; where there is none, the two
        mentions that are nearest to each other.
    """

    label: str
    head: str
    tail: str
    score: float
    evidence: tuple[Evidence, ...]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The relation, for JSON."""
        return asdict(self) | {"evidence": [place._asdict() for place in self.evidence]}


@Language.factory(
    "openmed_relation",
    assigns=["doc._.relations", "token.is_sent_start"],
    default_config={"path": None, "threshold": None, "span_keys": ["openmed"], "max_distance": 15},
)
def make_openmed_relation(
    nlp: Language,
    name: str,
    path: str | None,
    threshold: float | None,
    span_keys: list[str],
    max_distance: int,
) -> "OpenMedRelation":
    """Make a component that finds relations between the entities of a document.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    path (str | None): Weights, as `scripts/train_relation.py` writes them. None: the bundled ones,
        for chemicals that cause diseases.
    threshold (float | None): Lowest probability of a relation, from 0 to 1. None: what is best by
        the weights' development data.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    max_distance (int): How many sentences apart the nearest mentions of two things may be.
    RETURNS (OpenMedRelation): The component.
    """
    return OpenMedRelation(
        name, path=path, threshold=threshold, span_keys=span_keys, max_distance=max_distance
    )


class OpenMedRelation(SavesOne):
    """Set `doc._.relations`, a list of dicts (see `Relation`) that goes with the document.

    The settings are those of the factory, `make_openmed_relation`.
    """

    saved = PATH.name

    def __init__(
        self,
        name: str = "openmed_relation",
        *,
        path: str | Path | None = None,
        threshold: float | None = None,
        span_keys: Sequence[str] = SimpleFrozenList(),
        max_distance: int = 15,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(Errors.OM340.format(threshold=threshold))
        if not Doc.has_extension(EXTENSION):
            Doc.set_extension(EXTENSION, default=None)
        self.name = name
        self.path = ensure_path(path) or PATH
        self._threshold = threshold
        self._weights: RelationModel | None = None  # read at first use: from_disk may bring its own
        self.span_keys = tuple(span_keys)
        self.max_distance = max_distance

    # Not "model": spaCy looks whether components have one, which would read the weights too early.
    @property
    def weights(self) -> "RelationModel":
        """RETURNS (RelationModel): The weights."""
        if self._weights is None:
            try:
                self._weights = RelationModel.from_bytes(self.path.read_bytes())
            except OSError as error:
                raise OSError(Errors.OM341.format(path=self.path)) from error
        return self._weights

    @property
    def threshold(self) -> float:
        """RETURNS (float): The lowest probability of a relation."""
        return self.weights.threshold if self._threshold is None else self._threshold

    def __call__(self, doc: Doc) -> Doc:
        """Apply the component to one document.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (Doc): The same document.

        DOCS: https://spacy.io/api/pipe#call
        """
        relations = [r for r in self.predict(doc) if r.score >= self.threshold]
        doc._.set(EXTENSION, [relation.to_dict() for relation in relations])
        return doc

    def predict(self, doc: Doc) -> list[Relation]:
        """Score every pair of things that may be related.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[Relation]): The pairs, the most probable first.
        """
        heads, tails = (
            find_concepts(doc, span_keys=self.span_keys, labels=labels)
            for labels in (self.weights.head_labels, self.weights.tail_labels)
        )
        pairs = make_pairs(doc, heads, tails, max_distance=self.max_distance)
        relations = [
            Relation(
                self.weights.label,
                pair.head.id,
                pair.tail.id,
                self.weights.score(pair.features),
                pair.evidence,
            )
            for pair in pairs
        ]
        return sorted(relations, key=lambda relation: -relation.score)

    def _dump(self) -> bytes:
        return self.weights.to_bytes()

    def _load(self, data: bytes) -> None:
        self._weights = RelationModel.from_bytes(data)


@dataclass(frozen=True)
class RelationModel:
    """A linear model over hashed features.

    weights (Floats1d): (n_weights,) One for each hash; a power of two of them.
    bias (float): What is added to their sum.
    label (str): The relation.
    head_labels, tail_labels (tuple[str, ...]): Labels of the entities that may be related.
    threshold (float): The probability from which on a pair counts.
    """

    weights: np.ndarray
    bias: float
    label: str
    head_labels: tuple[str, ...]
    tail_labels: tuple[str, ...]
    threshold: float

    def score(self, features: Sequence[str]) -> float:
        """RETURNS (float): The probability that a pair with these features is related."""
        z = self.weights[hash_features(features, len(self.weights))].sum() + self.bias
        return float(1 / (1 + np.exp(-z)))

    def to_bytes(self) -> bytes:
        """RETURNS (bytes): The model as a file of NumPy's (.npz)."""
        settings = {k: v for k, v in vars(self).items() if k != "weights"}
        buffer = BytesIO()
        np.savez_compressed(
            buffer, weights=self.weights.astype(np.float16), settings=np.array(json.dumps(settings))
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "RelationModel":
        """RETURNS (RelationModel): The model that `to_bytes` wrote."""
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                weights = arrays["weights"].astype(np.float32)
                settings = json.loads(str(arrays["settings"]))
            for side in ("head_labels", "tail_labels"):
                settings[side] = tuple(settings[side])
            return cls(weights, **settings)
        except (BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
            raise ValueError(Errors.OM342) from error


def hash_features(features: Sequence[str], n: int) -> np.ndarray:
    """Turn features into the numbers of weights.

    features (Sequence[str]): Features, each counted once.
    n (int): How many weights there are, a power of two.
    RETURNS (Ints1d): (n_features,) Numbers from 0 to n - 1, each once.
    """
    hashes = np.fromiter(map(get_string_id, features), np.uint64, len(features))
    return np.unique(hashes & np.uint64(n - 1)).astype(np.int64)


@dataclass(frozen=True)
class Pair:
    """Two things that may be related.

    head, tail (Concept): The two.
    features (list[str]): What the document tells of them; some may be there more than once.
    evidence (tuple[Evidence, ...]): Where it tells it.
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
    heads, tails (Sequence[Concept]): What may be related to what.
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
    """A concept as a document tells of it.

    side (str): "head" or "tail".
    places (dict[int, list[Span]]): Its mentions by sentence.
    name (str): What it is called most often, in lower case.
    rank (int): How many of its side are mentioned more often.
    in_title (bool): Whether the first sentence mentions it.
    features (list[str]): What can be told of it alone.
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
        """What can be told of a thing alone."""
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
        """What can be told of two things together."""
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
        """What stands between and around two mentions in a sentence."""
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
    """Whether things stand beside others more often than their rivals do.

    counts (Ints2d): (n_rivals, n_others) How many sentences mention both.
    RETURNS (list[list[tuple[str, ...]]]): For each of the others, what to say of each rival.
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
    """A number as a feature: large ones are much alike."""
    return str(n) if n < 5 else "5" if n < 10 else "10" if n < 20 else "20"
