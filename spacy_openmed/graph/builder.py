"""A knowledge graph of what documents mention together, and of the relations they tell of."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spacy.tokens import Doc

from ..errors import Errors, missing_extra
from ..extensions import RELATIONS, SPAN_ATTRIBUTES, register_extensions
from ..formatting import count
from ..labels import DETAILS, PERSONAL
from ..relations.concepts import Concept, choose_name, find_concepts, read_mentions
from ..sentences import set_sentence_starts
from ..suggestions import nearest

if TYPE_CHECKING:
    from networkx import MultiDiGraph

Scope = Literal["sentence", "document"]

# What `openmed_relation` and `openmed_context` set.
MORE = {RELATIONS, *SPAN_ATTRIBUTES["openmed_context"]}
NO_NODES = {*PERSONAL, *DETAILS}  # labels that make nodes only if they are asked for
TOGETHER = "TOGETHER"  # the relation of things that are mentioned together


class Place(NamedTuple):
    """Where a document gives evidence of an edge, in characters.

    document (str): Its id.
    head, tail (list[int]): Start and end of the two mentions.
    sentence (list[int]): Start and end of the sentence, or of those from one to the other.
    score (float | None): The probability of the relation there.
    """

    document: str
    head: list[int]
    tail: list[int]
    sentence: list[int]
    score: float | None = None


@dataclass
class _Node:
    labels: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    sentences: int = 0


@dataclass
class _Edge:
    documents: int = 0
    sentences: int = 0
    score: float | None = None
    evidence: list[Place] = field(default_factory=list)


class GraphBuilder:
    """Build a graph from a stream of documents. Its memory grows with the number of different
    things and pairs, not with that of documents.

    span_keys (Sequence[str]): Groups in doc.spans to read beside doc.ents.
    labels (Iterable[str] | None): Labels of entities to take; None: all but personal data, doses,
        results and the like.
    scope (str): What two things share if they stand together: a "sentence", or a "document"
        (every pair of a document: many more edges).
    max_evidence (int): How many places to keep for an edge, 1 or more; all are counted.
    """

    def __init__(
        self,
        *,
        span_keys: Sequence[str] = ("openmed",),
        labels: Iterable[str] | None = None,
        scope: Scope = "sentence",
        max_evidence: int = 5,
    ) -> None:
        if scope not in ("sentence", "document"):
            near = nearest(scope, ("sentence", "document"))
            raise ValueError(Errors.OM343.format(scope=scope, nearest=near))
        if max_evidence < 1:
            raise ValueError(Errors.OM348.format(max_evidence=max_evidence))
        self.span_keys = tuple(span_keys)
        self.labels = None if labels is None else frozenset(labels)
        self.scope = scope
        self.max_evidence = max_evidence
        self.n_documents = 0
        self.n_sentences = 0
        self.labels_read: Counter[str] = Counter()  # of all mentions, also those left out
        self.has_more = False  # whether any document has relations or clinical context
        self._left_out: list[str] = []  # edges that `build` left out, by limit
        self._nodes: dict[str, _Node] = defaultdict(_Node)
        self._edges: dict[tuple[str, str, str], _Edge] = defaultdict(_Edge)

    def add(self, doc: Doc, id: str) -> None:
        """Add a document.

        doc (Doc): The document, with entities. It gets sentence starts if it has none. Relations
            are those that `openmed_relation` found, if the pipeline has it.
        id (str): The document's id, by which evidence names it.
        """
        set_sentence_starts(doc)
        number_of = [n for n, sent in enumerate(doc.sents) for _ in sent]
        bounds = [[sent.start_char, sent.end_char] for sent in doc.sents]
        self.n_documents += 1
        self.n_sentences += len(bounds)
        self.labels_read.update(span.label_ for span in read_mentions(doc, self.span_keys))
        mentions: dict[str, dict[int, list[int]]] = {}
        for concept in find_concepts(doc, span_keys=self.span_keys, labels=self.labels):
            if self.labels is None and concept.label in NO_NODES:
                continue
            places = mentions[concept.id] = {}
            self._count(concept)
            for span in concept.mentions:
                places.setdefault(number_of[span.start], [span.start_char, span.end_char])
        for node_id, places in mentions.items():
            self._nodes[node_id].documents += 1
            self._nodes[node_id].sentences += len(places)
        for head, tail in combinations(sorted(mentions), 2):
            self._add_together(id, head, tail, mentions[head], mentions[tail], bounds)
        register_extensions()  # another process may have found the relations
        self.has_more = self.has_more or any(
            isinstance(key, tuple) and not MORE.isdisjoint(key) for key in doc.user_data
        )
        for relation in doc._.get(RELATIONS) or ():
            if relation["head"] in mentions and relation["tail"] in mentions:
                self._add_relation(id, relation)

    def _count(self, concept: Concept) -> None:
        node = self._nodes[concept.id]
        node.labels.update(span.label_ for span in concept.mentions)
        node.names.update(_clean(span.text) for span in concept.mentions)

    def _add_together(
        self,
        id: str,
        head: str,
        tail: str,
        at_head: dict[int, list[int]],
        at_tail: dict[int, list[int]],
        bounds: list[list[int]],
    ) -> None:
        shared = at_head.keys() & at_tail.keys()
        if not shared and self.scope == "sentence":
            return
        edge = self._edges[TOGETHER, head, tail]
        edge.documents += 1
        edge.sentences += len(shared)
        if len(edge.evidence) < self.max_evidence:
            first, last = min(shared, default=min(at_head)), min(shared, default=min(at_tail))
            sentence = [bounds[min(first, last)][0], bounds[max(first, last)][1]]
            edge.evidence.append(Place(id, at_head[first], at_tail[last], sentence))

    def _add_relation(self, id: str, relation: dict[str, Any]) -> None:
        edge = self._edges[relation["label"], relation["head"], relation["tail"]]
        edge.documents += 1
        edge.score = max(edge.score or 0.0, relation["score"])
        for place in relation["evidence"]:
            edge.sentences += 1
            if len(edge.evidence) < self.max_evidence:
                head, tail, sentence = (list(place[k]) for k in ("head", "tail", "sentence"))
                edge.evidence.append(Place(id, head, tail, sentence, relation["score"]))

    def build(
        self, *, min_documents: int = 1, min_npmi: float = -1.0, min_score: float = 0.0
    ) -> "MultiDiGraph":
        """Make the graph of what was added so far.

        min_documents (int): Leave out edges of fewer documents.
        min_npmi (float): Leave out pairs with a lower normalised pointwise mutual information
            (Bouma 2009) over sentences, or documents: from -1 to 1, where 0 is chance.
        min_score (float): Leave out relations whose probability is lower in every document.
        RETURNS (MultiDiGraph): Nodes with name, label, mentions, documents and sentences; edges
            with documents, sentences, score, npmi and evidence, by the relation as key. Pairs that
            only stand together are there once, with no meaning in their direction.
        """
        try:
            from networkx import MultiDiGraph
        except ImportError as error:
            raise missing_extra("graph", error) from error
        graph = MultiDiGraph(documents=self.n_documents, sentences=self.n_sentences)
        for id in sorted(self._nodes):
            node = self._nodes[id]
            graph.add_node(
                id,
                name=choose_name(node.names),
                label=choose_name(node.labels),
                mentions=node.labels.total(),
                documents=node.documents,
                sentences=node.sentences,
            )
        few: list[int] = []
        by_chance: list[float] = []
        weak: list[float] = []
        for relation, head, tail in sorted(self._edges):
            edge = self._edges[relation, head, tail]
            npmi = self._npmi(head, tail, edge) if relation == TOGETHER else None
            if edge.documents < min_documents:
                few.append(edge.documents)
                continue
            if npmi is not None and npmi < min_npmi:
                by_chance.append(npmi)
                continue
            if edge.score is not None and edge.score < min_score:
                weak.append(edge.score)
                continue
            graph.add_edge(
                head,
                tail,
                relation,
                documents=edge.documents,
                sentences=edge.sentences,
                score=edge.score,
                npmi=npmi,
                evidence=[place._asdict() for place in edge.evidence],
            )
        self._left_out = []
        if few:
            documents = count(min_documents, "document")
            self._left_out.append(
                f"{count(len(few), 'edge')} in fewer than {documents} (try --min-documents "
                f"{max(few)})"
            )
        for option, limit, values in (
            ("--min-npmi", min_npmi, by_chance),
            ("--min-score", min_score, weak),
        ):
            if values:
                most = math.floor(max(values) * 100) / 100
                self._left_out.append(
                    f"{count(len(values), 'edge')} below {option} {limit:g} (try {option} {most:g})"
                )
        return graph

    def explain(self, graph: "MultiDiGraph") -> list[str]:
        """Say why things or edges that one may expect are not in a graph.

        graph (MultiDiGraph): The graph that `build` made.
        RETURNS (list[str]): What there is to say, a sentence or two each.
        """
        read, unknown = self.labels_read, sorted((self.labels or frozenset()) - {*self.labels_read})
        notes = [
            Errors.OM356.format(
                label=label, nearest=nearest(label, read), known=", ".join(sorted(read)) or "none"
            )
            for label in unknown
        ]
        if read and not self.has_more:
            notes.append(Errors.OM703)
        if graph.number_of_edges():
            return notes
        if not self.n_documents:
            why = "there are no documents"
        elif not read:
            groups = [f'doc.spans["{key}"]' for key in self.span_keys]
            why = f"the documents have no entities in {' or '.join(['doc.ents', *groups])}"
        elif not graph:
            why = (
                f"all {count(read.total(), 'mention')} of entities are left out. They are personal "
                "data, touch an identifier, are negated, hypothetical or of the family, have no "
                "letters, or have other labels than those asked for"
            )
        elif self._edges:
            why = f"left out are {' and '.join(self._left_out)}"
        else:
            why = f"no two things stand in the same {self.scope}"
            why += '. scope = "document" joins all of a document' * (self.scope == "sentence")
        return [*notes, Errors.OM352.format(what="edges" if graph else "things", why=why)]

    def _npmi(self, head: str, tail: str, edge: _Edge) -> float:
        unit = f"{self.scope}s"
        n = self.n_sentences if self.scope == "sentence" else self.n_documents
        together, a, b = (getattr(x, unit) for x in (edge, self._nodes[head], self._nodes[tail]))
        if together == n:
            return 1.0
        return math.log(together * n / (a * b)) / -math.log(together / n)


def _clean(name: str) -> str:
    """A name on one line, without characters that XML forbids."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())
