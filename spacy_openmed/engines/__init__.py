"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """What the component needs of an engine."""

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Predict a batch of windows.

        windows (Sequence[Ints1d]): (n_pieces,) each: Piece ids, special ones included.
        RETURNS (list[Floats2d]): (n_pieces, n_labels) each: float32 logits, in the same order.
        RAISES (MemoryError): If the batch does not fit into the device's memory.
        """
        ...
