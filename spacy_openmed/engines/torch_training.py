"""Training with PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import Errors
from .torch import resolve_precision, to_tensors


def begin_update(
    module: nn.Module,
    windows: Sequence[np.ndarray],
    pad: int,
    drop: float,
    precision: str,
    scaler: Any,
) -> tuple[list[np.ndarray], Callable[[Sequence[np.ndarray]], None]]:
    """Run a batch for training.

    module (nn.Module): A token classifier with fp32 weights.
    windows (Sequence[Ints1d]): (n_pieces,) each: the vocabulary ids.
    pad (int): Vocabulary id that fills up shorter windows.
    drop (float): Dropout of its layers. That of attention weights is off: it costs a CPU half
        of its speed there.
    precision (str): As in `resolve_precision`, but what is not fp32 is autocast.
    scaler (PyTorchGradScaler): thinc's gradient scaler; enabled here for fp16.
    RETURNS (tuple[list[Floats2d], Callable]): (n_pieces, n_labels) each: the logits, and a
        function that takes their gradients and adds to those of the weights.
    """
    device = next(module.parameters()).device
    dtype = resolve_precision(precision, device)
    if dtype == torch.float16 and device.type != "cuda":
        raise ValueError(Errors.OM152.format(device=device.type))
    scaler._enabled = dtype == torch.float16
    scaler.to_(device)
    _set_dropout(module, drop)
    module.train()
    try:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = module(**to_tensors(module, windows, pad)).logits
    finally:
        module.eval()
    values = logits.detach().float().cpu().numpy()

    def backprop(gradients: Sequence[np.ndarray]) -> None:
        d_logits = torch.zeros_like(logits, dtype=torch.float32)
        for row, gradient in enumerate(gradients):
            d_logits[row, : len(gradient)] = torch.from_numpy(gradient)
        torch.autograd.backward([logits], [scaler.scale(d_logits).to(logits.dtype)])

    return [values[row, : len(window)] for row, window in enumerate(windows)], backprop


def _set_dropout(module: nn.Module, drop: float) -> None:
    for parent in module.modules():
        is_attention = "Attention" in type(parent).__name__
        for name in ("attention_dropout", "dropout_prob"):  # where it is no module
            if is_attention and isinstance(getattr(parent, name, None), float):
                setattr(parent, name, 0.0)
        for child in parent.children():
            if isinstance(child, nn.Dropout):
                child.p = 0.0 if "SelfAttention" in type(parent).__name__ else drop


def set_trainable(module: Any, frozen_layers: int) -> None:
    """Freeze the lower part of a token classifier's encoder.

    module (PreTrainedModel): The token classifier.
    frozen_layers (int): How many layers, from the embeddings up; -1: the whole encoder.
    RAISES (ValueError): If it has fewer.
    """
    encoder = f"{module.base_model_prefix}."
    n_layers = module.config.num_hidden_layers
    if not -1 <= frozen_layers <= n_layers:
        raise ValueError(Errors.OM151.format(value=frozen_layers, n_layers=n_layers))
    open_layers: tuple[str, ...] = ()
    if frozen_layers > 0:
        stack = next(
            name
            for name, child in module.named_modules()
            if isinstance(child, nn.ModuleList) and len(child) == n_layers
        )
        open_layers = tuple(f"{stack}.{i}." for i in range(frozen_layers, n_layers))
    for name, weights in module.named_parameters():
        if frozen_layers == -1:
            weights.requires_grad_(name.startswith("classifier."))  # not what heads share
        elif frozen_layers:
            below = name.startswith(encoder) and not name.startswith(open_layers)
            weights.requires_grad_(not below)
