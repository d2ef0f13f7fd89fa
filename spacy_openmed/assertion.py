"""What a checkpoint asserts of entities: present, absent, of the family, stopped, ... Pure numpy.

A head for it has no BIO labels: its logits on the tokens of an entity say what is asserted of the
entity, whichever head found it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .alignment import Buffer, pool
from .checkpoint import Head


class Assertion(NamedTuple):
    """What is asserted of an entity.

    label (str): The likeliest label.
    score (float): Its probability.
    probs (dict[str, float]): The probability of each label that the entity may have.
    """

    label: str
    score: float
    probs: dict[str, float]


def find_assertions(
    buffer: Buffer,
    logits: np.ndarray,
    head: Head,
    starts: np.ndarray,
    ends: np.ndarray,
    kinds: Sequence[str],
    *,
    strategy: str,
) -> list[Assertion | None]:
    """Find what is asserted of spans of tokens.

    Log-probabilities of the tokens are averaged, so that one token that is sure of a label counts
    for more than another that is not; then only the labels that the entity may have share the
    probability.

    buffer (Buffer): The texts with their tokens and pieces.
    logits (Floats2d): (n_pieces, n_columns) Logits of the checkpoint.
    head (Head): The head.
    starts, ends (Ints1d): (n_spans,) First token of each span and the one after the last, counted
        over the buffer.
    kinds (Sequence[str]): (n_spans,) The canonical label of each, one of the head's groups.
    strategy (str): How pieces are pooled, see `alignment.pool`.
    RETURNS (list[Assertion | None]): What is asserted of each; None if no token of it has a piece.
    """
    units = buffer.tokens
    first = np.searchsorted(units.index, starts, side="left")
    lengths = np.searchsorted(units.index, ends, side="left") - first
    found: list[Assertion | None] = [None] * len(lengths)
    filled = np.flatnonzero(lengths > 0)
    if not len(filled):
        return found
    first, lengths = first[filled], lengths[filled]
    opens = np.cumsum(lengths) - lengths
    rows = np.arange(lengths.sum()) + np.repeat(first - opens, lengths)  # their units
    if strategy == "first":  # only their pieces are read
        pieces = units.alignment.pieces[units.alignment.starts[rows]]
        logs = _log_softmax(logits[pieces, head.columns] / head.temperature)
    else:
        logs = _log_softmax(logits[:, head.columns] / head.temperature)
        logs = pool(logs, units.alignment, strategy)[rows]
    means = np.add.reduceat(logs, opens, axis=0) / lengths[:, None]
    groups = dict(head.groups)
    for kind, labels in groups.items():
        own = np.flatnonzero([kinds[i] == kind for i in filled])
        probs = np.exp(_log_softmax(means[own][:, [head.labels.index(label) for label in labels]]))
        for i, best, row in zip(filled[own], probs.argmax(axis=1), probs.tolist(), strict=True):
            found[i] = Assertion(labels[best], row[best], dict(zip(labels, row, strict=True)))
    return found


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
