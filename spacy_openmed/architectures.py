"""The registered thinc model: documents in, logits of their pieces out."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from .checkpoint import Checkpoint, Source
from .errors import Errors, Warnings
from .shim import CheckpointShim
from .windows import Pieces, plan_batches, plan_windows


@dataclass(frozen=True)
class PieceLogits:
    """What the model says of a buffer of documents.

    pieces (Pieces): The pieces.
    logits (Floats2d): (n_pieces, n_labels) Their logits, all heads side by side.
    """

    pieces: Pieces
    logits: np.ndarray


@registry.architectures("spacy-openmed.TokenClassifier.v1")
def TokenClassifier(
    *,
    name: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    window: int | None = None,
    stride: int | None = None,
    max_batch_tokens: int | None = None,
) -> Model[list[Doc], PieceLogits]:
    """Build a model round a checkpoint, which is loaded when it is first needed.

    name (str | None): A folder or an id on the Hugging Face hub. None: the component's choice.
    revision (str | None): Branch, tag or commit on the hub.
    local_files_only (bool): Never download, only take what is in the local cache.
    device (str): "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision (str): "fp32", "bf16", "fp16", or "auto": fp32, on CUDA bf16 (fp16 without it).
    window (int | None): Pieces of a window, special ones counted. None: what the
        checkpoint recommends, else as many as it takes, up to 512.
    stride (int | None): Pieces that neighbouring windows share. None: a quarter of the
        window, up to 96.
    max_batch_tokens (int | None): Pieces of a forward pass, padding counted. None: 1,024
        on a CPU, 16,384 on a GPU.
    RETURNS (Model[list[Doc], PieceLogits]): The model.
    """
    source = Source(name, revision, local_files_only) if name is not None else None
    return Model(
        "openmed_token_classifier",
        forward,
        attrs={
            "name": name,
            "revision": revision,
            "local_files_only": local_files_only,
            "window": window,
            "stride": stride,
            "max_batch_tokens": max_batch_tokens,
        },
        shims=[CheckpointShim(source, device=device, precision=precision)],
    )


def forward(
    model: Model[list[Doc], PieceLogits], docs: list[Doc], is_train: bool
) -> tuple[PieceLogits, Callable]:
    """Predict the pieces of a buffer of documents: each of them once, whatever the lengths."""
    checkpoint = cast(CheckpointShim, model.shims[0]).checkpoint
    size, stride, max_tokens = resolve_sizes(model, checkpoint)
    special = len(checkpoint.prefix) + len(checkpoint.suffix)
    pieces = checkpoint.encode([doc.text for doc in docs])
    windows = plan_windows(pieces.lengths, size - special, stride)
    logits = np.empty((len(pieces.ids), checkpoint.n_labels), dtype="float32")

    def predict(batch: np.ndarray) -> None:
        rows = [
            np.concatenate(
                [
                    checkpoint.prefix,
                    pieces.ids[windows.starts[i] : windows.ends[i]],
                    checkpoint.suffix,
                ]
            )
            for i in batch
        ]
        for i, row in zip(batch, checkpoint.engine(rows), strict=True):
            shift = windows.starts[i] - len(checkpoint.prefix)
            own = slice(windows.own_starts[i], windows.own_ends[i])
            logits[own] = row[own.start - shift : own.stop - shift]

    lengths = windows.ends - windows.starts + special
    queue = plan_batches(lengths, max_tokens)[::-1]
    while queue:
        batch = queue.pop()
        try:
            predict(batch)
        except MemoryError:
            if len(batch) == 1:
                raise
            queue += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
            tokens = len(batch) * int(lengths[batch].max())
            if model.attrs["max_batch_tokens"] is None or tokens // 2 < max_tokens:
                max_tokens = model.attrs["max_batch_tokens"] = tokens // 2
                warnings.warn(Warnings.OM902.format(tokens=tokens, less=max_tokens), stacklevel=2)
    if not np.isfinite(logits).all():
        raise ValueError(Errors.OM017.format(name=checkpoint.name))
    return PieceLogits(pieces, logits), _no_backprop


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
                Errors.OM008.format(
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
        stride = min(96, (window - special) // 4)
    require("stride", stride, 0, window - special - 1)
    max_tokens = model.attrs["max_batch_tokens"]
    if max_tokens is None:
        max_tokens = 1024 if checkpoint.device.type == "cpu" else 16384
    require("max_batch_tokens", max_tokens, 1)
    return window, stride, max_tokens


def _no_backprop(d_output: PieceLogits) -> list[Doc]:
    raise ValueError(Errors.OM014.format(name="openmed_ner"))
