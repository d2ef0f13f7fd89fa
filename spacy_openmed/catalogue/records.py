"""The catalogue's records: a checkpoint, a dataset, a domain, and a choice among them.

Imported whenever spaCy lists its factories, so the standard library is all it uses.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..labels import canonical_label

MINI = "mini"
BEST = "best"

# Parameters in millions, both ends included. No checkpoint lies between two sizes.
HUB_SIZES = {
    "compact": (0, 149),
    "medium": (150, 279),
    "large": (335, 395),
    "xlarge": (434, 434),
    "giant": (560, 600),
}
SIZES = (MINI, *HUB_SIZES, BEST)


@dataclass(frozen=True)
class Score:
    """A published result of a checkpoint on a dataset's test set."""

    dataset: str
    f1: float
    source: str
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint before it is loaded.

    `labels` are its entity types without BIO prefixes, empty where they are not
    published; `dataset` is None where it was not trained on exactly one of ours.
    """

    id: str
    kind: str
    params: int | None
    architecture: str | None
    labels: tuple[str, ...]
    domain: str | None
    dataset: str | None
    languages: tuple[str, ...]
    license: str
    released: str | None
    family: str | None
    encoder_line: str | None
    base_model: str | None
    recommended_confidence: float | None
    onnx_repo: str | None
    scores: tuple[Score, ...]

    @property
    def canonical_labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels in the vocabulary all checkpoints share."""
        return canonical(self.labels)

    @property
    def size(self) -> str | None:
        """RETURNS (str | None): The size it counts as. None if its parameters are not known."""
        if self.id == MINI:
            return MINI
        millions = (self.params or -1) / 1e6
        return next((s for s, (low, high) in HUB_SIZES.items() if low <= millions <= high), None)

    @property
    def f1(self) -> float | None:
        """RETURNS (float | None): The highest F1 on its dataset, from 0 to 1, if one is known."""
        return self.f1_on(self.dataset)

    def f1_on(self, dataset: str | None) -> float | None:
        """Get a checkpoint's score on one dataset.

        dataset (str | None): Name of the dataset.
        RETURNS (float | None): The highest F1, from 0 to 1, if one is known.
        """
        return max((s.f1 for s in self.scores if s.dataset == dataset), default=None)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): All that is known of it, for JSON."""
        return {
            **asdict(self),
            "canonical_labels": self.canonical_labels,
            "size": self.size,
            "f1": self.f1,
        }


@dataclass(frozen=True)
class BundledHead:
    """A head of the bundled checkpoint.

    `labels` are entity types without BIO prefixes, `f1` is from 0 to 1, on the dataset's
    test set; `threshold` is the confidence recommended. Both are None where not measured.
    """

    dataset: str
    labels: tuple[str, ...]
    f1: float | None
    threshold: float | None


@dataclass(frozen=True)
class Dataset:
    """A corpus that checkpoints were trained on, and the announcement's figures for it.

    `domain` is None where it fits no domain; `best` where no checkpoint on the hub knows it.
    If `by_name` is true, its domain does not select it. A checkpoint trained on it alone still
    serves the domain.
    """

    name: str
    domain: str | None
    title: str
    labels: tuple[str, ...]
    best: str | None
    best_f1: float | None
    earlier_f1: float | None  # the published state of the art before it
    note: str
    by_name: bool = False

    @property
    def canonical_labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels in the vocabulary all checkpoints share."""
        return canonical(self.labels)


@dataclass(frozen=True)
class Domain:
    """A group of datasets.

    `recommended` is the announcement's checkpoint, `choice` ours. The dataset of
    ours is the domain's main dataset: the sizes of a domain are sizes of that.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    recommended: str | None
    choice: str | None
    note: str


@dataclass(frozen=True)
class Choice:
    """A checkpoint, the datasets whose heads to use, the labels to expect, and why."""

    checkpoint: CheckpointInfo
    datasets: tuple[str, ...]
    labels: tuple[str, ...]
    note: str

    @property
    def f1(self) -> float | None:
        """RETURNS (float | None): The checkpoint's F1, if it is chosen for one dataset."""
        return self.checkpoint.f1_on(self.datasets[0]) if len(self.datasets) == 1 else None


def canonical(labels: Iterable[str]) -> tuple[str, ...]:
    """Translate entity types into the vocabulary all checkpoints share.

    labels (Iterable[str]): Native types, without BIO prefixes.
    RETURNS (tuple[str, ...]): Canonical labels, each once.
    """
    return unique(canonical_label(label) for label in labels)


def unique(items: Iterable[str]) -> tuple[str, ...]:
    """Leave out what was there before.

    items (Iterable[str]): The items.
    RETURNS (tuple[str, ...]): Each item once, in their order.
    """
    return tuple(dict.fromkeys(items))
