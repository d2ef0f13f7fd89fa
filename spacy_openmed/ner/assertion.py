"""What a checkpoint asserts of entities: present, absent, of the family, stopped, ... Pure numpy.

A head for it has no BIO labels: its logits on the tokens of an entity say what is asserted of the
entity, whichever head found it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..checkpoints.heads import Head
from .alignment import Buffer, pool


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
    groups: np.ndarray,
    *,
    strategy: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Find what is asserted of spans of tokens.

    Averages the log-probabilities of the tokens, so confident tokens count more. Labels outside
    the entity's group are then excluded.

    buffer (Buffer): The texts with their tokens and pieces.
    logits (Floats2d): (n_pieces, n_columns) Logits of the checkpoint.
    head (Head): The head.
    starts, ends (Ints1d): (n_spans,) First token of each span and the one after the last, counted
        over the buffer.
    groups (Ints1d): (n_spans,) Index of each among the head's groups, -1 for none.
    strategy (str): How pieces are pooled, see `alignment.pool`.
    RETURNS (tuple[Ints1d, Floats2d]): (n_spans,) Index of the likeliest label, -1 for spans without
        a group, or without a piece in any of their tokens; (n_spans, n_labels) probabilities.
    """
    units = buffer.tokens
    first = np.searchsorted(units.index, starts, side="left")
    lengths = np.searchsorted(units.index, ends, side="left") - first
    best = np.full(len(starts), -1)
    probs = np.zeros((len(starts), len(head.labels)), dtype=logits.dtype)
    used = np.flatnonzero((lengths > 0) & (groups >= 0))
    if not len(used):
        return best, probs
    first, lengths = first[used], lengths[used]
    opens = np.cumsum(lengths) - lengths
    rows = np.arange(lengths.sum()) + np.repeat(first - opens, lengths)  # their units
    if strategy == "first":  # only their pieces are read
        pieces = units.alignment.pieces[units.alignment.starts[rows]]
        logs = _log_softmax(logits[pieces, head.columns] / head.temperature)
    else:
        logs = _log_softmax(logits[:, head.columns] / head.temperature)
        logs = pool(logs, units.alignment, strategy)[rows]
    means = np.add.reduceat(logs, opens, axis=0) / lengths[:, None]
    means[~_may_have(head.labels, head.groups)[groups[used]]] = -np.inf
    best[used] = means.argmax(axis=1)
    probs[used] = np.exp(_log_softmax(means))
    return best, probs


@lru_cache(maxsize=64)
def _may_have(
    labels: tuple[str, ...], groups: tuple[tuple[str, tuple[str, ...]], ...]
) -> np.ndarray:
    """(n_groups, n_labels) Which labels entities of each group may have."""
    return np.array([[label in own for label in labels] for _, own in groups])


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
