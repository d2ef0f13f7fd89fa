"""A knowledge graph of things that documents mention together, and of relations between them."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spacy.tokens import Doc

from ..errors import Errors, missing_extra
from ..extensions import RELATIONS, SPAN_ATTRIBUTES, register_extensions
from ..formatting import count
from ..labels import DETAILS, PERSONAL
from ..relations.concepts import (
    Concept,
    choose_name,
    find_concepts,
    is_text,
    read_mentions,
    to_singular,
)
from ..sentences import set_sentence_starts
from ..spans import read_scores
from ..suggestions import nearest
from .counts import TOGETHER, Edge, Edges, Node, Nodes, Place
from .junk import is_junk
from .merging import join_texts, resolve_labels

if TYPE_CHECKING:
    from networkx import MultiDiGraph

Scope = Literal["sentence", "document"]

# What `openmed_relation` and `openmed_context` set.
MORE = {RELATIONS, *SPAN_ATTRIBUTES["openmed_context"]}
NO_NODES = {*PERSONAL, *DETAILS}  # labels that make nodes only if they are asked for
# The options of the command that limit edges.
MIN_DOCUMENTS, MIN_NPMI, MIN_SCORE = "--min-documents", "--min-npmi", "--min-score"
_STATE: dict[str, type] = {  # attributes of a builder to save, and their types
    "n_documents": int,
    "n_sentences": int,
    "labels_read": Counter,
    "junk": Counter,
    "has_more": bool,
}


class GraphBuilder:
    """Build a graph from a stream of documents. Memory grows with the number of different things
    and pairs, not with the number of documents.

    span_keys (Sequence[str]): Groups in doc.spans to read beside doc.ents.
    labels (Iterable[str] | None): Labels of entities to take; None: all but personal data, doses,
        results and the like.
    scope (str): Where two things must occur together: in a "sentence", or in a "document" (every
        pair in a document: many more edges).
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
            raise ValueError(Errors.OM675.format(scope=scope, nearest=near))
        if max_evidence < 1:
            raise ValueError(Errors.OM677.format(max_evidence=max_evidence))
        self.span_keys = tuple(span_keys)
        self.labels = None if labels is None else frozenset(labels)
        self.scope = scope
        self.max_evidence = max_evidence
        self.n_documents = 0
        self.n_sentences = 0
        self.labels_read: Counter[str] = Counter()  # of all mentions, also those left out
        self.junk: Counter[str] = Counter()  # labels of mentions that aren't names, see `is_junk`
        self.has_more = False  # whether any document has relations or clinical context
        self._left_out: list[str] = []  # edges that `build` left out, by limit
        self._n_doubtful = 0  # texts that `build` left out for their scores
        self._min_text_score = 0.0  # the argument of `build`
        self._nodes: Nodes = defaultdict(Node)
        self._edges: Edges = defaultdict(Edge)

    def add(self, doc: Doc, id: str) -> None:
        """Add a document.

        doc (Doc): The document, with entities. It gets sentence starts if it has none. Relations
            are read from `openmed_relation`, if the pipeline has it.
        id (str): The document's id, for the evidence.
        """
        set_sentence_starts(doc)
        number_of = [n for n, sent in enumerate(doc.sents) for _ in sent]
        bounds = [[sent.start_char, sent.end_char] for sent in doc.sents]
        self.n_documents += 1
        self.n_sentences += len(bounds)
        self.labels_read.update(span.label_ for span in read_mentions(doc, self.span_keys))
        mentions: dict[str, dict[int, list[int]]] = {}
        concepts = list(self._find_concepts(doc))
        scores = read_scores(doc, self.span_keys)
        known_as = resolve_labels(concepts, scores)
        for concept in concepts:
            node_id = known_as.get(concept.id, concept.id)
            places = mentions.setdefault(node_id, {})
            self._count(node_id, concept, scores)
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
            head, tail = (known_as.get(relation[side], relation[side]) for side in ("head", "tail"))
            if head in mentions and tail in mentions and head != tail:
                self._add_relation(id, head, tail, relation)

    def _find_concepts(self, doc: Doc) -> Iterator[Concept]:
        """YIELDS (Concept): The concepts of a document, without mentions that are not names."""
        for concept in find_concepts(doc, span_keys=self.span_keys, labels=self.labels):
            if self.labels is None and concept.label in NO_NODES:
                continue
            if not is_text(concept.id):  # a vocabulary has the name
                yield concept
                continue
            names = tuple(span for span in concept.mentions if not is_junk(span.text))
            if len(names) < len(concept.mentions):
                self.junk[concept.label] += len(concept.mentions) - len(names)
            if names:
                yield replace(concept, mentions=names)

    def _count(
        self, node_id: str, concept: Concept, scores: Mapping[tuple[int, int, str], float]
    ) -> None:
        node = self._nodes[node_id]
        places = ((span.start, span.end, span.label_) for span in concept.mentions)
        node.score = max(node.score, *(scores.get(place, 1.0) for place in places))
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

    def _add_relation(self, id: str, head: str, tail: str, relation: dict[str, Any]) -> None:
        edge = self._edges[relation["label"], head, tail]
        edge.documents += 1
        edge.score = max(edge.score or 0.0, relation["score"])
        for place in relation["evidence"]:
            edge.sentences += 1
            if len(edge.evidence) < self.max_evidence:
                at_head, at_tail, at = (list(place[k]) for k in ("head", "tail", "sentence"))
                edge.evidence.append(Place(id, at_head, at_tail, at, relation["score"]))

    @property
    def settings(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The settings, as arguments of the class."""
        return {
            "span_keys": list(self.span_keys),
            "labels": None if self.labels is None else sorted(self.labels),
            "scope": self.scope,
            "max_evidence": self.max_evidence,
        }

    def to_bytes(self) -> bytes:
        """Save the state of the builder, to add more documents later.

        RETURNS (bytes): What `from_bytes` takes.
        """
        state = {
            "settings": self.settings,
            **{name: getattr(self, name) for name in _STATE},
            "nodes": [[id, vars(node)] for id, node in self._nodes.items()],
            "edges": [[*at, vars(edge)] for at, edge in self._edges.items()],
        }
        return json.dumps(state, sort_keys=True).encode("utf8")

    @classmethod
    def from_bytes(cls, data: bytes) -> "GraphBuilder":
        """Restore a saved builder.

        data (bytes): What `to_bytes` returned.
        RETURNS (GraphBuilder): A builder with the same settings and documents.
        """
        state = json.loads(data)
        builder = cls(**state["settings"])
        for name, kind in _STATE.items():
            setattr(builder, name, kind(state[name]))
        for id, node in state["nodes"]:
            builder._nodes[id] = Node.from_dict(node)
        for relation, head, tail, edge in state["edges"]:
            builder._edges[relation, head, tail] = Edge.from_dict(edge)
        return builder

    def to_disk(self, path: str | Path) -> None:
        """Save the state of the builder to a file.

        path (str | Path): The file.
        """
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def from_disk(cls, path: str | Path) -> "GraphBuilder":
        """Restore a builder saved to a file.

        path (str | Path): The file.
        RETURNS (GraphBuilder): A builder with the same settings and documents.
        RAISES (ValueError): If `to_disk` did not write the file.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(Errors.OM682.format(path=path)) from error

    def build(
        self,
        *,
        min_documents: int = 1,
        min_npmi: float = -1.0,
        min_score: float = 0.0,
        min_text_score: float = 0.5,
    ) -> "MultiDiGraph":
        """Make the graph of the documents added so far.

        min_documents (int): Leave out edges with evidence from fewer documents.
        min_npmi (float): Leave out pairs with a lower normalised pointwise mutual information
            (Bouma 2009) over sentences, or documents: from -1 to 1, where 0 is chance.
        min_score (float): Leave out relations whose probability is lower in every document.
        min_text_score (float): Leave out things without an id if all their mentions score lower,
            together with their relations. Most of them are not things ("selective", "fatal"). A
            mention without a score counts as 1.
        RETURNS (MultiDiGraph): Nodes with name, synonyms, label, vocabulary ("" for a text),
            mentions, documents and sentences; edges with documents, sentences, score, npmi and
            evidence, with the relation as key. Pairs that only occur together have one edge, whose
            direction means nothing.
        """
        try:
            from networkx import MultiDiGraph
        except ImportError as error:
            raise missing_extra("graph", error) from error
        graph = MultiDiGraph(documents=self.n_documents, sentences=self.n_sentences)
        nodes, edges = join_texts(self._nodes, self._edges)
        doubtful = {id for id, node in nodes.items() if is_text(id) and node.score < min_text_score}
        self._n_doubtful, self._min_text_score = len(doubtful), min_text_score
        nodes = {id: node for id, node in nodes.items() if id not in doubtful}
        edges = {key: edge for key, edge in edges.items() if doubtful.isdisjoint(key[1:])}
        for id in sorted(nodes):
            node = nodes[id]
            name = choose_name(node.names)
            graph.add_node(
                id,
                name=name,
                synonyms=_find_synonyms(node.names, name),
                label=choose_name(node.labels),
                vocabulary="" if is_text(id) else id.partition(":")[0],
                mentions=node.labels.total(),
                documents=node.documents,
                sentences=node.sentences,
            )
        limits = {MIN_DOCUMENTS: min_documents, MIN_NPMI: min_npmi, MIN_SCORE: min_score}
        left_out: dict[str, list[float]] = {option: [] for option in limits}
        for relation, head, tail in sorted(edges):
            edge = edges[relation, head, tail]
            npmi = self._npmi(nodes[head], nodes[tail], edge) if relation == TOGETHER else None
            values = {MIN_DOCUMENTS: edge.documents, MIN_NPMI: npmi, MIN_SCORE: edge.score}
            below = [(o, v) for o, v in values.items() if v is not None and v < limits[o]]
            if below:
                option, value = below[0]
                left_out[option].append(value)
                continue
            graph.add_edge(
                head,
                tail,
                relation,
                documents=edge.documents,
                sentences=edge.sentences,
                score=edge.score,
                npmi=npmi,
                evidence=[place._asdict() for place in edge.evidence[: self.max_evidence]],
            )
        self._left_out = [
            _describe_left_out(option, limits[option], values)
            for option, values in left_out.items()
            if values
        ]
        return graph

    def explain(self, graph: "MultiDiGraph") -> list[str]:
        """Explain why expected things or edges are missing from a graph.

        graph (MultiDiGraph): The graph that `build` made.
        RETURNS (list[str]): The explanations, a sentence or two each.
        """
        read, unknown = self.labels_read, sorted((self.labels or frozenset()) - {*self.labels_read})
        notes = [
            Errors.OM680.format(
                label=label, nearest=nearest(label, read), known=", ".join(sorted(read)) or "none"
            )
            for label in unknown
        ]
        if read and not self.has_more:
            notes.append(Errors.OM679)
        if self.junk:
            notes.append(Errors.OM681.format(mentions=count(self.junk.total(), "mention")))
        if self._n_doubtful:
            texts = count(self._n_doubtful, "text")
            notes.append(Errors.OM684.format(texts=texts, limit=self._min_text_score))
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
                "data, touch an identifier, are negated, hypothetical or of the family, are no "
                "names, have other labels than those asked for, or score too low "
                "(--min-text-score)"
            )
        elif self._edges and not self._left_out:
            why = "every edge has a text that was left out"
        elif self._edges:
            why = f"left out are {' and '.join(self._left_out)}"
        else:
            why = f"no two things stand in the same {self.scope}"
            why += '. scope = "document" joins all of a document' * (self.scope == "sentence")
        return [*notes, Errors.OM678.format(what="edges" if graph else "things", why=why)]

    def _npmi(self, head: Node, tail: Node, edge: Edge) -> float:
        unit = f"{self.scope}s"
        n = self.n_sentences if self.scope == "sentence" else self.n_documents
        together, a, b = (getattr(x, unit) for x in (edge, head, tail))
        if together == n:
            return 1.0
        return math.log(together * n / (a * b)) / -math.log(together / n)


def _describe_left_out(option: str, limit: float, values: Sequence[float]) -> str:
    """RETURNS (str): How many edges are below a limit, and which limit would keep some."""
    edges = count(len(values), "edge")
    if option == MIN_DOCUMENTS:
        documents = count(int(limit), "document")
        return f"{edges} in fewer than {documents} (try {option} {max(values)})"
    most = math.floor(max(values) * 100) / 100
    return f"{edges} below {option} {limit:g} (try {option} {most:g})"


def _find_synonyms(names: Counter[str], name: str) -> list[str]:
    """RETURNS (list[str]): The other names, one of those that differ only in case and the like."""
    by_key: dict[str, Counter[str]] = {}
    for text, n in names.items():
        by_key.setdefault(to_singular(text), Counter())[text] = n
    by_key.pop(to_singular(name), None)
    return sorted(map(choose_name, by_key.values()))


def _clean(name: str) -> str:
    """A name on one line, without characters that XML forbids."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())
