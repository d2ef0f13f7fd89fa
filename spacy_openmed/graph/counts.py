"""What a graph counts of its nodes and edges."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
class Node:
    """The mentions of a thing.

    labels (Counter[str]): How often each label was given.
    names (Counter[str]): How often each text was used.
    documents, sentences (int): How many mention it.
    score (float): The best score of a mention; mentions without a score count as 1.
    """

    labels: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    sentences: int = 0
    score: float = 0.0

    def __iadd__(self, other: "Node") -> "Node":
        self.labels += other.labels
        self.names += other.names
        self.documents += other.documents
        self.sentences += other.sentences
        self.score = max(self.score, other.score)
        return self

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Node":
        """RETURNS (Node): A node of which `vars` was written as JSON."""
        counters = {name: Counter(data[name]) for name in ("labels", "names")}
        return cls(**{"score": 1.0, **data, **counters})  # older files have no scores


@dataclass
class Edge:
    """The evidence of a relation between two things.

    documents, sentences (int): How many give evidence.
    score (float | None): The highest probability of the relation in any document.
    evidence (list[Place]): The first places.
    """

    documents: int = 0
    sentences: int = 0
    score: float | None = None
    evidence: list[Place] = field(default_factory=list)

    def __iadd__(self, other: "Edge") -> "Edge":
        self.documents += other.documents
        self.sentences += other.sentences
        if other.score is not None:
            self.score = max(self.score or 0.0, other.score)
        self.evidence += other.evidence
        return self

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Edge":
        """RETURNS (Edge): An edge of which `vars` was written as JSON."""
        return cls(**{**data, "evidence": [Place(*place) for place in data["evidence"]]})


Nodes = dict[str, Node]  # by id
Edges = dict[tuple[str, str, str], Edge]  # by relation, head and tail
