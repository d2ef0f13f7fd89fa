"""The loss of training, and its gradient."""

import numpy as np

from .decoding import LabelScheme
from .targets import MISSING


def cross_entropy(
    logits: np.ndarray, targets: np.ndarray, scheme: LabelScheme
) -> tuple[float, np.ndarray, int]:
    """Score a head's logits. Labels that mean the same state share its probability.

    logits (Floats2d): (n_pieces, n_labels) The head's logits.
    targets (Ints1d): (n_pieces,) Wanted state of each piece, `MISSING` for those not to count.
        States that the head has no label for do not count either.
    scheme (LabelScheme): The head's label scheme.
    RETURNS (tuple[float, Floats2d, int]): Summed loss, its gradient by the logits, and the
        number of pieces that count.
    """
    d_logits = np.zeros_like(logits)
    can_say = np.asarray(scheme.fold.any(axis=0))  # a type may have no label to go on with
    known = np.flatnonzero((targets != MISSING) & can_say[targets])
    if not len(known):
        return 0.0, d_logits, 0
    probs = softmax(logits[known])
    wanted = probs * scheme.fold[:, targets[known]].T
    total = np.maximum(wanted.sum(axis=1, keepdims=True), 1e-30)
    d_logits[known] = probs - wanted / total
    return float(-np.log(total).sum()), d_logits, len(known)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, row by row.

    logits (Floats2d): (n, n_labels) Logits.
    RETURNS (Floats2d): (n, n_labels) Probabilities.
    """
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)
