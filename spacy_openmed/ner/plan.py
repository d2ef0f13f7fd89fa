"""Plan the windows of a buffer of documents."""

from collections.abc import Sequence

import numpy as np
from spacy.tokens import Doc, Span
from thinc.api import Model

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.windows import Pieces, plan_batches, plan_span_windows, plan_windows
from ..errors import Errors


class Plan:
    """A buffer of documents, cut into windows, and the windows put into batches.

    model (Model): The model.
    checkpoint (Checkpoint): Its checkpoint.
    docs (list[Doc]): The documents.
    """

    def __init__(self, model: Model, checkpoint: Checkpoint, docs: list[Doc]) -> None:
        size, stride, self.max_tokens = resolve_sizes(model, checkpoint)
        special = len(checkpoint.prefix) + len(checkpoint.suffix)
        self.checkpoint = checkpoint
        self.docs = docs
        self.pieces = checkpoint.encode([doc.text for doc in docs])
        self._check_ids()
        capacity = size - special
        if model.attrs["get_spans"] is None:
            self.windows = plan_windows(self.pieces.lengths, capacity, stride)
        else:
            spans = _to_pieces(model.attrs["get_spans"](docs), self.pieces)
            self.windows = plan_span_windows(self.pieces.lengths, spans, capacity, stride)
        self.lengths = self.windows.ends - self.windows.starts + special
        self.batches = plan_batches(self.lengths, self.max_tokens)

    def share(self, n_workers: int) -> list[np.ndarray]:
        """RETURNS (list[Ints1d]): The windows in batches for threads that run side by side, largest
        first, so that no thread is left with a large batch at the end."""
        from ..engines.parallel import share_pieces  # needs torch

        tokens = share_pieces(int(self.lengths.sum()), self.max_tokens, n_workers)
        batches = plan_batches(self.lengths, tokens)
        return sorted(batches, key=lambda batch: int(self.lengths[batch].sum()), reverse=True)

    def _check_ids(self) -> None:
        """Some engines make something up for ids that the weights lack, and CUDA does not
        survive them."""
        n_known = self.checkpoint.module.get_input_embeddings().weight.shape[0]
        if len(self.pieces.ids) and (most := int(self.pieces.ids.max())) >= n_known:
            name = self.checkpoint.name
            raise IndexError(Errors.OM211.format(name=name, id=most, n_known=n_known))

    def rows(self, batch: np.ndarray) -> list[np.ndarray]:
        """RETURNS (list[Ints1d]): Vocabulary ids of the batch's windows, special ones added."""
        windows, checkpoint = self.windows, self.checkpoint
        return [
            np.concatenate(
                [
                    checkpoint.prefix,
                    self.pieces.ids[windows.starts[i] : windows.ends[i]],
                    checkpoint.suffix,
                ]
            )
            for i in batch
        ]

    def own(self, i: int) -> tuple[slice, slice]:
        """RETURNS (tuple[slice, slice]): The pieces that a window answers for: where they are
        in the buffer, and where in the window's row."""
        shift = self.windows.starts[i] - len(self.checkpoint.prefix)
        start, end = self.windows.own_starts[i], self.windows.own_ends[i]
        return slice(start, end), slice(start - shift, end - shift)

    def empty(self) -> np.ndarray:
        """RETURNS (Floats2d): (n_pieces, n_labels) Room for the logits."""
        return np.empty((len(self.pieces.ids), self.checkpoint.n_labels), dtype="float32")

    def fill(self, logits: np.ndarray, batch: np.ndarray, rows: Sequence[np.ndarray]) -> None:
        """Put logits of a batch's windows in their places."""
        for i, row in zip(batch, rows, strict=True):
            in_buffer, in_row = self.own(i)
            logits[in_buffer] = row[in_row]


def _to_pieces(spans: list[list[Span]], pieces: Pieces) -> list[list[tuple[int, int]]]:
    """The pieces of spans of tokens, counted in their own texts."""
    bounds = np.cumsum(pieces.lengths)
    found = []
    for end, length, own in zip(bounds, pieces.lengths, spans, strict=True):
        offsets = pieces.offsets[end - length : end]
        chars = np.array([(span.start_char, span.end_char) for span in own]).reshape(-1, 2)
        # A piece may begin with the space before its word: it belongs where it ends.
        first = np.searchsorted(offsets[:, 1], chars[:, 0], side="right")
        stop = np.searchsorted(offsets[:, 0], chars[:, 1], side="left")
        for i in range(1, len(own)):  # spaces between two spans go with the second
            if (
                first[i] > stop[i - 1]
                and own[i].doc.text[own[i - 1].end_char : own[i].start_char].isspace()
            ):
                first[i] = stop[i - 1]
        found.append(list(zip(first.tolist(), stop.tolist(), strict=True)))
    return found


def resolve_sizes(model: Model, checkpoint: Checkpoint) -> tuple[int, int, int]:
    """Find the sizes that a model works with, checked against what its checkpoint takes.

    model (Model): The model.
    checkpoint (Checkpoint): Its checkpoint.
    RETURNS (tuple[int, int, int]): Pieces of a window, pieces that two of them share, and pieces
        of a forward pass.
    RAISES (ValueError): If a setting is out of range.
    """
    special = len(checkpoint.prefix) + len(checkpoint.suffix)

    def require(setting: str, value: int, least: int, most: int | None = None) -> None:
        if value < least or (most is not None and value > most):
            raise ValueError(
                Errors.OM201.format(
                    setting=setting,
                    value=value,
                    expected=f"expected {least} " + ("or more" if most is None else f"to {most}"),
                    limit=checkpoint.limit,
                    special=special,
                )
            )

    window = model.attrs["window"]
    if window is None:
        window = checkpoint.window or min(checkpoint.limit, 512)
    require("window", window, special + 1, checkpoint.limit)
    stride = model.attrs["stride"]
    if stride is None:
        stride = min(32, (window - special) // 4)
    require("stride", stride, 0, window - special - 1)
    max_tokens = model.attrs["max_batch_tokens"]
    if max_tokens is None:
        max_tokens = 1024 if checkpoint.device.type == "cpu" else 16384
    require("max_batch_tokens", max_tokens, 1)
    return window, stride, max_tokens
