"""Cut long texts into windows of pieces, and windows into batches. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """The pieces of a buffer of texts, one text after the other, without special pieces.

    ids (Ints1d): (n_pieces,) Vocabulary ids.
    offsets (Ints2d): (n_pieces, 2) Character start and end in the piece's own text.
    words (Ints1d): (n_pieces,) Number of the tokenizer's word in the piece's own text.
    lengths (Ints1d): (n_texts,) Number of pieces of each text.
    """

    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Windows:
    """Runs of pieces as the model sees them. Positions count through the whole buffer.

    starts, ends (Ints1d): (n_windows,) First piece of each window and the one after its last.
    own_starts, own_ends (Ints1d): (n_windows,) The part of it that takes its logits from this
        window: there the piece is deeper inside than in any other window. Every piece of the
        buffer is in exactly one of these.
    """

    starts: np.ndarray
    ends: np.ndarray
    own_starts: np.ndarray
    own_ends: np.ndarray


def plan_windows(lengths: np.ndarray, capacity: int, stride: int) -> Windows:
    """Cut texts into windows. A text that fits is one window; an empty one has none.

    A long text gets as few as it takes, all of the same length. Neighbours share `stride`
    pieces, the last two of a text maybe a few more. The middle of the shared part is where one
    window takes over from the other (as in edsnlp's transformer component).

    lengths (Ints1d): (n_texts,) Number of pieces of each text.
    capacity (int): Most pieces in a window, special ones not counted.
    stride (int): Pieces that neighbouring windows share; less than the capacity.
    RETURNS (Windows): The windows, in the order of the texts.
    """
    lengths = np.asarray(lengths, dtype="int64")
    if lengths.max(initial=0) <= capacity:  # most buffers have no long text
        used = lengths[lengths > 0]
        ends = np.cumsum(used)
        return Windows(ends - used, ends, ends - used, ends)
    is_long = lengths > capacity
    counts = np.where(is_long, -((stride - lengths) // (capacity - stride)), 1)
    sizes = -(-(lengths + stride * (counts - 1)) // counts)
    # Rounded up, they may take fewer.
    steps = np.maximum(sizes - stride, 1)
    counts = np.where(is_long, -((stride - lengths) // steps), np.minimum(lengths, 1))
    text = np.repeat(np.arange(len(lengths)), counts)
    first = np.cumsum(counts) - counts
    index = np.arange(len(text)) - first[text]
    base = (np.cumsum(lengths) - lengths)[text]
    length, size = lengths[text], sizes[text]
    starts = np.minimum(index * steps[text], length - size)
    ends = starts + size
    own_starts = np.zeros_like(starts)
    follows = np.flatnonzero(index > 0)
    own_starts[follows] = (starts[follows] + ends[follows - 1]) // 2
    own_ends = length.copy()
    own_ends[follows - 1] = own_starts[follows]
    return Windows(base + starts, base + ends, base + own_starts, base + own_ends)


def plan_span_windows(
    lengths: np.ndarray, spans: Sequence[Sequence[tuple[int, int]]], capacity: int, stride: int
) -> Windows:
    """Make windows of given spans. What no span covers, and spans that are too long, are cut as
    `plan_windows` does: every piece is in a window.

    lengths (Ints1d): (n_texts,) Number of pieces of each text.
    spans (Sequence[Sequence[tuple[int, int]]]): First piece, in its text, and the one after the
        last of the spans of each text.
    capacity, stride (int): See `plan_windows`.
    RETURNS (Windows): The windows, in the order of the texts.
    """
    rows = []
    base = 0
    for length, own in zip(lengths.tolist(), spans, strict=True):
        parts: list[tuple[int, int]] = []
        covered = 0
        for start, end in [*sorted(own), (length, length)]:
            if start > covered:
                parts.append((covered, start))
            if end > start:
                parts.append((start, end))
            covered = max(covered, end)
        cut: list[tuple[int, int]] = []
        for start, end in parts:
            plan = plan_windows(np.array([end - start]), capacity, stride)
            cut += zip((start + plan.starts).tolist(), (start + plan.ends).tolist(), strict=True)
        windows: list[tuple[int, int]] = []
        for start, end in sorted(cut, key=lambda window: (window[0], -window[1])):
            if not windows or end > windows[-1][1]:  # the others lie inside one before
                windows.append((start, end))
        for i, (start, end) in enumerate(windows):
            # The middle of what two windows share; where they share nothing, their border.
            opens = (start + windows[i - 1][1]) // 2 if i else 0
            closes = (windows[i + 1][0] + end) // 2 if i + 1 < len(windows) else length
            rows.append((base + start, base + end, base + opens, base + closes))
        base += length
    return Windows(*np.array(rows, dtype="int64").reshape(-1, 4).T)


def plan_batches(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Group windows of like length, longest first, so that little of a batch is padding.

    lengths (Ints1d): (n_windows,) Pieces of each window, special ones counted.
    max_tokens (int): Most pieces in a batch, padding counted. A longer window is a batch alone.
    RETURNS (list[Ints1d]): Indexes of the windows of each batch.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        size = max(1, max_tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches
