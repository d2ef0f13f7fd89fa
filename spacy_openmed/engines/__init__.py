"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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


@dataclass(frozen=True)
class EngineSettings:
    """How a checkpoint runs.

    device (str): See `engines.torch.resolve_device`.
    precision (str): See `engines.torch.resolve_precision`.
    """

    device: str = "auto"
    precision: str = "auto"


def make_engine(module: Any, pad: int, settings: EngineSettings) -> Engine:
    """Make the engine for a checkpoint.

    module (PreTrainedModel): The token classifier, on its device and in its number format.
    pad (int): Vocabulary id that fills up shorter windows.
    settings (EngineSettings): How it shall run.
    RETURNS (Engine): The engine.
    """
    from .packed import PackedEngine, is_packable
    from .torch import TorchEngine

    if is_packable(module):
        return PackedEngine(module)
    return TorchEngine(module, pad)
