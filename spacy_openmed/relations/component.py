"""Relations between entities, over the whole document: which chemical caused which disease.

A linear model scores the features from `features.make_pairs` for two things. The weights are our
own (`scripts/train_relation.py`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import SimpleFrozenList, ensure_path
from spacy.vocab import Vocab

from ..components import SerializableComponent
from ..errors import Errors
from ..extensions import RELATIONS, register_extensions
from ..idle import Need, warn_if_idle, watch
from ..paths import DATA_PATH
from ..settings import check_count, check_names, check_probability
from .concepts import find_concepts
from .features import Evidence, make_pairs
from .weights import RelationModel

PATH = DATA_PATH / "relation.npz"
ADD = 'openmed_ner with dataset = ["bc5cdr_chem", "bc5cdr_disease"]'


@dataclass(frozen=True)
class Relation:
    """A relation found in a document.

    label (str): What it is: "CAUSES".
    head, tail (str): The ids of the two, see `concepts.Concept`.
    score (float): Its probability.
    evidence (tuple[Evidence, ...]): The sentences with both; without any, the two mentions nearest
        to each other.
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
    requires=["doc.ents"],
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
    threshold (float | None): Minimum probability of a relation, from 0 to 1. None: the best value
        on the development data of the weights.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    max_distance (int): How many sentences apart the nearest mentions of two things may be.
    RETURNS (OpenMedRelation): The component.
    """
    component = OpenMedRelation(
        nlp.vocab,
        name,
        path=path,
        threshold=threshold,
        span_keys=span_keys,
        max_distance=max_distance,
    )
    return watch(component, nlp)


class OpenMedRelation(SerializableComponent):
    """Set `doc._.relations`, a list of dicts (see `Relation`) that goes with the document.

    The settings are those of the factory, `make_openmed_relation`.
    """

    filename = PATH.name

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_relation",
        *,
        path: str | Path | None = None,
        threshold: float | None = None,
        span_keys: Sequence[str] = SimpleFrozenList(("openmed",)),
        max_distance: int = 15,
    ) -> None:
        super().__init__(vocab, name)
        if threshold is not None:
            check_probability("threshold", threshold)
        check_count("max_distance", max_distance, least=0)
        register_extensions("openmed_relation")
        self.path = ensure_path(path) or PATH
        self._threshold = threshold
        self._weights: RelationModel | None = None  # read at first use: from_disk may bring its own
        self.span_keys = check_names("span_keys", span_keys)
        self.max_distance = max_distance

    # Not "model": spaCy looks for that attribute, which would load the weights too early.
    @property
    def weights(self) -> RelationModel:
        """RETURNS (RelationModel): The weights."""
        if self._weights is None:
            try:
                self._weights = RelationModel.from_bytes(self.path.read_bytes())
            except OSError as error:
                raise OSError(Errors.OM651.format(path=self.path)) from error
        return self._weights

    @property
    def threshold(self) -> float:
        """RETURNS (float): The lowest probability of a relation."""
        return self.weights.threshold if self._threshold is None else self._threshold

    def predict(self, doc: Doc) -> list[Relation]:
        """Score every pair of things that may be related.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[Relation]): The pairs, the most probable first.
        """
        sides = (self.weights.head_labels, self.weights.tail_labels)
        needs = [Need(" or ".join(labels), labels.__contains__) for labels in sides]
        warn_if_idle(self, doc, self.span_keys, needs, add=ADD)
        heads, tails = (
            find_concepts(doc, span_keys=self.span_keys, labels=labels) for labels in sides
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

    def set_annotations(self, doc: Doc, found: Sequence[Relation]) -> None:
        """Set `doc._.relations` to the relations that reach the threshold.

        doc (Doc): The document.
        found (Sequence[Relation]): The relations.
        """
        relations = [relation for relation in found if relation.score >= self.threshold]
        doc._.set(RELATIONS, [relation.to_dict() for relation in relations])

    def _dump(self) -> bytes:
        return self.weights.to_bytes()

    def _load(self, data: bytes) -> None:
        self._weights = RelationModel.from_bytes(data)
