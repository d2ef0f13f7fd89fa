"""What the model says of a buffer of documents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc

from ..checkpoints.windows import Pieces
from ..errors import Errors
from .alignment import Buffer


@dataclass(frozen=True)
class PieceLogits:
    """What the model says of a buffer of documents.

    buffer (Buffer): The documents' texts, tokens and pieces.
    finish (Callable[[], Floats2d]): Waits for the logits: a GPU may be at work on them.
    """

    buffer: Buffer
    finish: Callable[[], np.ndarray]

    @cached_property
    def logits(self) -> np.ndarray:
        """RETURNS (Floats2d): (n_pieces, n_labels) The logits, all heads side by side.
        RAISES (ValueError): If some are not finite."""
        return self.finish()

    @property
    def pieces(self) -> Pieces:
        """RETURNS (Pieces): The pieces."""
        return self.buffer.pieces


def make_buffer(docs: Sequence[Doc], pieces: Pieces) -> Buffer:
    """RETURNS (Buffer): The texts and tokens of documents, with their pieces."""
    tokens = [doc.to_array([IDX, LENGTH]).astype("int64").reshape(-1, 2) for doc in docs]
    starts = [array[:, 0] for array in tokens]
    ends = [array[:, 0] + array[:, 1] for array in tokens]
    return Buffer([doc.text for doc in docs], starts, ends, pieces)


def check_finite(logits: np.ndarray, name: str) -> np.ndarray:
    """RETURNS (Floats2d): The logits.
    RAISES (ValueError): If some are not finite."""
    if not np.isfinite(logits).all():
        raise ValueError(Errors.OM205.format(name=name))
    return logits
