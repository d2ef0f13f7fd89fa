"""The registered thinc model: documents in, logits of their pieces out."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc, Span
from spacy.util import registry
from thinc.api import Model

from .alignment import Buffer
from .checkpoint import Checkpoint, Source
from .engines import EngineSettings
from .errors import Errors, Warnings
from .settings import ENGINES, PRECISIONS, check_choice
from .shim import CheckpointShim
from .windows import Pieces, plan_batches, plan_span_windows, plan_windows


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
        raise ValueError(Errors.OM017.format(name=name))
    return logits


@registry.architectures("spacy-openmed.TokenClassifier.v1")
def TokenClassifier(
    *,
    name: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    engine: str = "torch",
    device: str | int = "auto",
    precision: str = "auto",
    calibration: str | None = None,
    compile: bool = False,
    window: int | None = None,
    stride: int | None = None,
    max_batch_tokens: int | None = None,
    frozen_layers: int = 0,
    get_spans: Callable[[list[Doc]], list[list[Span]]] | None = None,
) -> Model[list[Doc], PieceLogits]:
    """Build a model round a checkpoint, which is loaded when it is first needed.

    name (str | None): A folder or an id on the Hugging Face hub. None: the component's choice.
    revision (str | None): Branch, tag or commit on the hub.
    local_files_only (bool): Never download, only take what is in the local cache.
    engine (str): What predicts: "torch", or "openvino" or "onnx" on a CPU.
    device (str): "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision (str): "fp32", "bf16", "fp16", "int8" (on a CPU), or "auto": fp32, on CUDA bf16
        (fp16 without it).
    calibration (str | None): A file with sample texts for int8, one a line. None: the package's.
    compile (bool): Compile the checkpoint with torch.compile, when it first predicts.
    window (int | None): Pieces of a window, special ones counted. None: what the
        checkpoint recommends, else as many as it takes, up to 512.
    stride (int | None): Pieces that neighbouring windows share. None: a quarter of the
        window, up to 32.
    max_batch_tokens (int | None): Pieces of a forward pass, padding counted (OpenVINO
        pads by up to a third more). None: 1,024 on a CPU, 16,384 on a GPU.
    frozen_layers (int): How many of the encoder's layers training leaves as they are, from the
        embeddings up; -1: the whole encoder.
    get_spans (Callable[[list[Doc]], list[list[Span]]] | None): Gives the windows as spans of
        tokens: a span getter of spacy-transformers. None: windows are cut by pieces.
    RETURNS (Model[list[Doc], PieceLogits]): The model.
    RAISES (ValueError): If there is no such engine, precision or kind of device.
    """
    check_choice("model.engine", engine, ENGINES)
    check_choice("model.precision", precision, PRECISIONS)
    if not isinstance(device, str):  # as transformers' pipelines take it
        meant = f"cuda:{device}" if device >= 0 else "cpu"
        raise ValueError(Errors.OM037.format(value=device, meant=meant))
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
            "get_spans": get_spans,
            "dropout_rate": 0.0,  # spaCy sets it before every update
        },
        shims=[
            CheckpointShim(
                source,
                EngineSettings(engine, device, precision, calibration, compile),
                frozen_layers=frozen_layers,
            )
        ],
    )


def forward(
    model: Model[list[Doc], PieceLogits], docs: list[Doc], is_train: bool
) -> tuple[PieceLogits, Callable]:
    """Predict the pieces of a buffer of documents: each of them once, whatever the lengths."""
    shim = cast(CheckpointShim, model.shims[0])
    plan = Plan(model, shim.own() if is_train else shim.checkpoint, docs)
    if is_train:
        return _begin_update(plan, shim, model.attrs["dropout_rate"])
    shim.n_pieces += len(plan.pieces.ids)
    return _begin_predict(plan, model), lambda d_logits: docs


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

    def _check_ids(self) -> None:
        """Some engines make something up for ids that the weights lack, and CUDA does not
        survive them."""
        n_known = self.checkpoint.module.get_input_embeddings().weight.shape[0]
        if len(self.pieces.ids) and (most := int(self.pieces.ids.max())) >= n_known:
            name = self.checkpoint.name
            raise IndexError(Errors.OM031.format(name=name, id=most, n_known=n_known))

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


def _begin_predict(plan: Plan, model: Model) -> PieceLogits:
    """Start the batches of a buffer, and wait only for those of an engine that always does."""
    engine, logits = plan.checkpoint.engine, plan.empty()
    begun: list[tuple[np.ndarray, Callable[[], list[np.ndarray]]]] = []
    queue = plan.batches[::-1]
    too_many = 0  # pieces of the first batch that did not fit
    try:
        while queue:
            batch = queue.pop()
            try:
                wait = engine.begin(plan.rows(batch))
            except MemoryError:
                if len(batch) == 1:
                    raise
                tokens = len(batch) * int(plan.lengths[batch].max())
                too_many = too_many or tokens
                less = min(tokens // 2, model.attrs["max_batch_tokens"] or plan.max_tokens)
                model.attrs["max_batch_tokens"] = less
                left = np.concatenate([batch, *queue[::-1]])
                queue = [left[i] for i in plan_batches(plan.lengths[left], less)][::-1]
            else:
                if engine.is_async:
                    begun.append((batch, wait))
                else:
                    plan.fill(logits, batch, wait())
    finally:
        if too_many:
            less = model.attrs["max_batch_tokens"]
            warnings.warn(Warnings.OM902.format(tokens=too_many, less=less), stacklevel=2)

    def finish() -> np.ndarray:
        for batch, wait in begun:
            plan.fill(logits, batch, wait())
        begun.clear()
        return check_finite(logits, plan.checkpoint.name)

    return PieceLogits(make_buffer(plan.docs, plan.pieces), finish)


def _begin_update(
    plan: Plan, shim: CheckpointShim, drop: float
) -> tuple[PieceLogits, Callable[[np.ndarray], list[Doc]]]:
    """Training reads the same windows as prediction, so that every piece is learned from once,
    in the context in which it is predicted."""
    logits = plan.empty()
    steps = []
    for batch in plan.batches:
        rows, backprop = shim.begin_update(plan.rows(batch), drop)
        steps.append((batch, [row.shape for row in rows], backprop))
        plan.fill(logits, batch, rows)

    def backprop_all(d_logits: np.ndarray) -> list[Doc]:
        for batch, shapes, backprop in steps:
            gradients = [np.zeros(shape, dtype="float32") for shape in shapes]
            for i, gradient in zip(batch, gradients, strict=True):
                in_buffer, in_row = plan.own(i)
                gradient[in_row] = d_logits[in_buffer]
            backprop(gradients)
        return []

    check_finite(logits, plan.checkpoint.name)
    return PieceLogits(make_buffer(plan.docs, plan.pieces), lambda: logits), backprop_all


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
        stride = min(32, (window - special) // 4)
    require("stride", stride, 0, window - special - 1)
    max_tokens = model.attrs["max_batch_tokens"]
    if max_tokens is None:
        max_tokens = 1024 if checkpoint.device.type == "cpu" else 16384
    require("max_batch_tokens", max_tokens, 1)
    return window, stride, max_tokens
