"""Which engine runs a checkpoint, and whether it gives the answers of the plain module."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import Warnings
from .attention import find_error
from .base import Engine, Runnable
from .registry import ENGINES, find_faster
from .torch import TorchEngine

# Texts that engines are compared on
SAMPLE = ("Aspirin.", "She denies chest pain, fever, nausea or shortness of breath. ")
SAME = 1e-4  # most that logits in fp32 may differ
# Most that logits may differ from those of the plain module, as a share of them (of their norms).
# Rounding stays far below, and wrong answers far above.
LIMITS = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.1, "int8": 0.4}

_checked: set[tuple[Any, ...]] = set()


def choose_engine(checkpoint: Runnable) -> Engine:
    """Make the engine that "auto" stands for: the fastest that is installed and gives the logits of
    torch to 1e-4. The rule knows architectures and processors. It does not time engines, since the
    result would depend on what else the machine does just then.

    Torch runs batches side by side and is as fast as OpenVINO or faster, without converting the
    checkpoint, except for the architectures that are `faster` in its row and for int8.

    checkpoint (Runnable): The checkpoint, on its device.
    RETURNS (Engine): The engine.
    """
    settings = checkpoint.settings
    openvino = ENGINES["openvino"]
    is_new_int8 = settings.precision == "int8" and not was_saved_by_torch(checkpoint)
    if is_new_int8 and openvino.is_installed("int8"):
        return openvino(checkpoint)
    engine = make_torch_engine(checkpoint)
    faster = find_faster(checkpoint.module.config.model_type)
    if faster is None or not is_plain(checkpoint) or not faster.is_installed("fp32"):
        return engine
    try:
        other = faster(checkpoint)
    except (ImportError, RuntimeError, ValueError):  # Broken, or it can't convert the checkpoint.
        return engine
    # One is much longer than the others: OpenVINO makes NaN of some architectures' padding.
    windows = sample_windows(checkpoint, 20)
    pairs = zip(other(windows), engine(windows), strict=True)
    return other if all(np.abs(a - b).max() <= SAME for a, b in pairs) else engine


def was_saved_by_torch(checkpoint: Runnable) -> bool:
    """RETURNS (bool): Whether the checkpoint's folder holds what torch needs for int8, so that no
    sample texts are needed again.

    checkpoint (Runnable): The checkpoint.
    """
    from .int8 import RANGES

    folder = checkpoint.folder
    if folder is None or (folder / "openvino.xml").is_file():
        return False
    return (folder / RANGES).is_file()


def is_plain(checkpoint: Runnable) -> bool:
    """RETURNS (bool): Whether a checkpoint runs in fp32 on a CPU, and is not compiled.

    checkpoint (Runnable): The checkpoint, on its device.
    """
    settings = checkpoint.settings
    is_fp32 = settings.precision == "fp32" and not settings.compile
    return is_fp32 and checkpoint.device.type == "cpu"


def check_engine(make: Callable[[], Engine], checkpoint: Runnable, precision: str) -> Engine:
    """Make an engine that uses operators which PyTorch does not document, if they are there and do
    what they did. Checked once per process for layers of the same kind, since it is the operators
    that may change.

    make (Callable[[], Engine]): Makes the engine.
    checkpoint (Runnable): The checkpoint that it is made of.
    precision (str): A key of `LIMITS`.
    RETURNS (Engine): The engine, or one that runs the plain module.
    """
    module = checkpoint.module
    config = module.config
    key = (
        *(config.model_type, config.hidden_size, config.num_attention_heads, precision),
        module.dtype,
    )
    if key in _checked:
        return make()
    plain = TorchEngine(module, checkpoint.pad)
    try:
        engine = make()
        windows = sample_windows(checkpoint)
        ours, theirs = np.concatenate(engine(windows)), np.concatenate(plain(windows))
        distance = float(np.linalg.norm(ours - theirs))
        errors = (
            distance / max(float(np.linalg.norm(theirs)), 1e-12),
            # The windows are too short for this kernel.
            find_error(config.hidden_size // config.num_attention_heads),
        )
        if all(error <= LIMITS[precision] for error in errors):
            _checked.add(key)
            return engine
        why = f"logits differ by {max(errors):.1%}"
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as failed:
        why = f"{type(failed).__name__}: {str(failed).strip().partition(chr(10))[0]}"
    warnings.warn(
        Warnings.OM905.format(precision=precision, version=torch.__version__, why=why), stacklevel=2
    )
    return plain


def sample_windows(checkpoint: Runnable, n_repeats: int = 5) -> list[np.ndarray]:
    """Make windows to compare engines on.

    checkpoint (Runnable): The checkpoint.
    n_repeats (int): How many sentences the longest has.
    RETURNS (list[Ints1d]): The windows, special pieces included.
    """
    pieces = checkpoint.encode([*SAMPLE, SAMPLE[-1] * n_repeats])
    n_known = checkpoint.module.get_input_embeddings().weight.shape[0]
    room = checkpoint.limit - len(checkpoint.prefix) - len(checkpoint.suffix)
    parts = np.split(np.minimum(pieces.ids, n_known - 1), np.cumsum(pieces.lengths)[:-1])
    windows = [np.concatenate([checkpoint.prefix, x[:room], checkpoint.suffix]) for x in parts]
    return [window for window in windows if len(window)]


def make_torch_engine(checkpoint: Runnable) -> Engine:
    """Make the fastest of torch's engines that can run a checkpoint as its settings say.

    checkpoint (Runnable): The checkpoint, on its device and in its number format.
    RETURNS (Engine): The engine.
    RAISES (ValueError): If torch can't run this checkpoint in this precision.
    """
    from .packed import PackedEngine, is_packable
    from .torch import TorchEngine

    settings, module = checkpoint.settings, checkpoint.module
    if settings.precision == "int8":
        from .int8 import make_int8_engine

        return check_engine(partial(make_int8_engine, checkpoint), checkpoint, "int8")
    if is_packable(module) and not settings.compile:
        return check_engine(partial(PackedEngine, module), checkpoint, settings.precision)
    return TorchEngine(module, checkpoint.pad, compile=settings.compile)
