"""The weights of the relation model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
from spacy.strings import get_string_id

from ..errors import Errors

N_WEIGHTS = 2**18


@dataclass(frozen=True)
class RelationModel:
    """A linear model over hashed features.

    weights (Floats1d): (n_weights,) One for each hash; n_weights is a power of two.
    bias (float): Added to their sum.
    label (str): The relation.
    head_labels, tail_labels (tuple[str, ...]): Labels of the entities that may be related.
    threshold (float): The minimum probability for a pair to count.
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
            raise ValueError(Errors.OM652) from error


def hash_features(features: Sequence[str], n: int) -> np.ndarray:
    """Hash features to indices of weights.

    features (Sequence[str]): The features. Repeats count once.
    n (int): The number of weights, a power of two.
    RETURNS (Ints1d): (n_features,) Indices from 0 to n - 1, each once.
    """
    hashes = np.fromiter(map(get_string_id, features), np.uint64, len(features))
    return np.unique(hashes & np.uint64(n - 1)).astype(np.int64)
