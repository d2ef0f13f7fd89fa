"""The registered thinc model: documents in, logits of their pieces out."""

import warnings
from collections.abc import Callable
from typing import cast

import numpy as np
from spacy.tokens import Doc, Span
from spacy.util import registry
from thinc.api import Model

from ..checkpoints.source import Source
from ..checkpoints.windows import plan_batches
from ..engines.base import EngineSettings
from ..engines.registry import ENGINES, PRECISIONS
from ..errors import Errors, Warnings
from ..settings import check_choice
from .logits import PieceLogits, check_finite, make_buffer
from .plan import Plan
from .shim import CheckpointShim


@registry.architectures("spacy-openmed.TokenClassifier.v1")
def TokenClassifier(
    *,
    name: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    engine: str = "auto",
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
    engine (str): What predicts: "torch", "openvino" or "onnx" (on a CPU), or "auto": the fastest
        that is installed and gives torch's logits to 1e-4.
    device (str): "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision (str): "fp32", "bf16", "fp16", "int8" (on a CPU), or "auto": fp32, on CUDA bf16
        (fp16 without it).
    calibration (str | None): A file with sample texts for int8, one a line. None: the package's.
    compile (bool): Compile the checkpoint with torch.compile, when it first predicts.
    window (int | None): Pieces of a window, special ones counted. None: what the
        checkpoint recommends, else as many as it takes, up to 512.
    stride (int | None): Pieces that neighbouring windows share. None: a quarter of the
        window, up to 32.
    max_batch_tokens (int | None): Most pieces of a forward pass, padding counted (OpenVINO
        pads by up to a third more). None: 1,024 on a CPU, 16,384 on a GPU. Batches that run side
        by side on a CPU have at most 512.
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
        raise ValueError(Errors.OM213.format(value=device, meant=meant))
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
    from ..engines.parallel import within_quota

    shim = cast(CheckpointShim, model.shims[0])
    plan = Plan(model, shim.own() if is_train else shim.checkpoint, docs)
    if is_train:
        return _begin_update(plan, shim, model.attrs["dropout_rate"])
    shim.n_pieces += len(plan.pieces.ids)
    with within_quota():
        return _begin_predict(plan, model), lambda d_logits: docs


def _begin_predict(plan: Plan, model: Model) -> PieceLogits:
    """Start the batches of a buffer, and wait only for those of an engine that always does."""
    engine, logits = plan.checkpoint.engine, plan.empty()
    begun: list[tuple[np.ndarray, Callable[[], list[np.ndarray]]]] = []
    queue = _predict_side_by_side(plan, logits) if engine.is_parallel else plan.batches[::-1]
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
            warnings.warn(Warnings.OM908.format(tokens=too_many, less=less), stacklevel=2)

    def finish() -> np.ndarray:
        for batch, wait in begun:
            plan.fill(logits, batch, wait())
        begun.clear()
        return check_finite(logits, plan.checkpoint.name)

    return PieceLogits(make_buffer(plan.docs, plan.pieces), finish)


def _predict_side_by_side(plan: Plan, logits: np.ndarray) -> list[np.ndarray]:
    """Predict a buffer's batches in threads of their own, if it has several.

    RETURNS (list[Ints1d]): Batches that are still to do, the next one last.
    """
    from ..engines.parallel import count_workers, predict_side_by_side

    engine = plan.checkpoint.engine
    n_workers = count_workers()
    if n_workers == 1:
        return plan.batches[::-1]
    batches = plan.share(n_workers)
    if len(batches) == 1:
        return batches

    def fill(batch: np.ndarray, rows: list[np.ndarray]) -> None:
        plan.fill(logits, batch, rows)

    return predict_side_by_side(engine, batches, plan.rows, fill, n_workers)[::-1]


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
