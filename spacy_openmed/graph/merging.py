"""Merge nodes that share a text but have different labels."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ..relations.concepts import Concept, is_text, to_singular, to_text
from .counts import TOGETHER, Edge, Edges, Node, Nodes


def resolve_labels(
    concepts: Iterable[Concept], scores: Mapping[tuple[int, int, str], float]
) -> dict[str, str]:
    """Find concepts of one document that are the same thing: they share a text but have different
    labels. A concept of a vocabulary is preferred, then the one with the highest total score.

    concepts (Iterable[Concept]): The concepts of the document.
    scores (Mapping[tuple[int, int, str], float]): What `read_scores` returned for the document.
    RETURNS (dict[str, str]): The id of the preferred concept, by the ids of the others.
    """
    by_text: dict[str, list[tuple[float, str]]] = {}
    for concept in concepts:
        if is_text(concept.id):
            texts, score = {to_text(concept.id)}, 0.0
        else:
            texts, score = {to_singular(span.text) for span in concept.mentions}, math.inf
        places = ((span.start, span.end, span.label_) for span in concept.mentions)
        score += sum(scores.get(place, 0.0) for place in places)
        for text in texts:
            by_text.setdefault(text, []).append((score, concept.id))
    known_as = {}
    for rivals in by_text.values():
        best = max(rivals, key=lambda rival: rival[0])[1]
        for _, id in rivals:
            if id != best and is_text(id):
                known_as[id] = best
    return known_as


def join_texts(nodes: Nodes, edges: Edges) -> tuple[Nodes, Edges]:
    """Join nodes that have the same text but different labels in different documents. The label
    from the most documents is kept.

    nodes (Nodes): The nodes.
    edges (Edges): Their edges.
    RETURNS (tuple[Nodes, Edges]): New nodes and edges.
    """
    by_text: dict[str, list[str]] = {}
    for id in nodes:
        by_text.setdefault(to_text(id) if is_text(id) else id, []).append(id)
    known_as = {
        id: min(ids, key=lambda id: (-nodes[id].documents, id))
        for ids in by_text.values()
        for id in ids
    }
    joined_nodes: Nodes = defaultdict(Node)
    for id, node in nodes.items():
        joined_nodes[known_as[id]] += node
    joined_edges: Edges = defaultdict(Edge)
    for (relation, head, tail), edge in edges.items():
        ends = [known_as[head], known_as[tail]]
        if relation == TOGETHER:
            ends.sort()
        joined_edges[relation, ends[0], ends[1]] += edge
    return joined_nodes, joined_edges
