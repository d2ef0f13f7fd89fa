"""Logistic regressions over a few features: the weights are in files."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import srsly


class Weights(NamedTuple):
    """A logistic regression.

    weights (Floats1d): The weights of the features.
    bias (float): The bias.
    """

    weights: np.ndarray
    bias: float

    def score(self, features: np.ndarray) -> np.ndarray:
        """RETURNS (Floats1d): The probability of each row of features."""
        return 1 / (1 + np.exp(-(features @ self.weights + self.bias)))


@cache
def read_weights(path: Path, features: tuple[str, ...]) -> Weights:
    """Read the weights of features.

    path (Path): The file, JSON.
    features (tuple[str, ...]): The names of the features, in order.
    RETURNS (Weights): The regression.
    """
    data = srsly.read_json(path)
    return Weights(np.array([data["weights"][name] for name in features]), data["bias"])
