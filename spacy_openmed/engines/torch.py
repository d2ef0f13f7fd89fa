"""The engine for every architecture that transformers has: PyTorch, on any of its devices."""

import os
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from ..errors import Errors, Warnings
from .base import Engine, watch_memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """Run a transformers module under `torch.inference_mode`. On CUDA nothing waits for the
    device before the logits are asked for.

    module (nn.Module): A token classifier, on its device and in its precision.
    pad (int): Vocabulary id that fills up shorter windows.
    compile (bool): Whether to compile it, when it first runs.
    """

    def __init__(self, module: nn.Module, pad: int, *, compile: bool = False) -> None:
        self.module = module.eval()
        self.pad = pad
        self.run = torch.compile(module, dynamic=True) if compile else module

    @property
    def is_async(self) -> bool:
        return next(self.module.parameters()).is_cuda

    @property
    def is_parallel(self) -> bool:
        is_on_cpu = next(self.module.parameters()).device.type == "cpu"
        return is_on_cpu and self.run is self.module

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self.begin(windows)()

    def begin(self, windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        lengths = [len(window) for window in windows]
        try:
            with watch_memory(windows), torch.inference_mode():
                logits = self.run(**to_tensors(self.module, windows, self.pad)).logits
                finish = _begin_copy(logits.float())
        except MemoryError:
            if self.is_async:
                torch.cuda.empty_cache()
            raise
        except RuntimeError as error:
            if self.run is not self.module and _is_of_compiler(error):
                raise ValueError(Errors.OM155) from error
            raise

        def split() -> list[np.ndarray]:
            values = finish()
            return [values[row, :length] for row, length in enumerate(lengths)]

        return split


def _is_of_compiler(error: RuntimeError) -> bool:
    from torch._dynamo.exc import BackendCompilerFailed

    return isinstance(error, BackendCompilerFailed)


def pad_windows(
    windows: Sequence[np.ndarray], pad: int, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fill windows up to the same length.

    windows (Sequence[Ints1d]): (n_pieces,) each: the vocabulary ids.
    pad (int): Vocabulary id that fills up shorter windows.
    shape (tuple[int, int] | None): Rows and length, at least as large. None: no larger.
    RETURNS (tuple[Ints2d, Ints2d]): (n_windows, length) Ids, and 1 where they are pieces. A row
        without a window is a window of one piece.
    """
    shape = shape or (len(windows), max(map(len, windows)))
    ids = np.full(shape, pad, dtype="int64")
    mask = np.zeros_like(ids)
    mask[len(windows) :, 0] = 1
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return ids, mask


def to_tensors(
    module: nn.Module, windows: Sequence[np.ndarray], pad: int
) -> dict[str, torch.Tensor | None]:
    """A padded batch: ids and mask, (n_windows, length) each."""
    ids, mask = pad_windows(windows, pad)
    device = next(module.parameters()).device

    def move(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if device.type == "cuda":  # from pinned memory it need not be waited for
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    # Full windows need no mask, and attention is faster without one.
    return {"input_ids": move(ids), "attention_mask": None if mask.all() else move(mask)}


def _begin_copy(values: torch.Tensor) -> Callable[[], np.ndarray]:
    """Start to copy values from their device.

    values (torch.Tensor): The values.
    RETURNS (Callable[[], FloatsXd]): Waits for them.
    """
    if not values.is_cuda:
        array = values.cpu().numpy()
        return lambda: array
    copied = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copied.copy_(values, non_blocking=True)
    done = torch.cuda.current_stream(values.device).record_event()

    def wait() -> np.ndarray:
        done.synchronize()
        return copied.numpy()

    return wait


def resolve_device(device: str) -> torch.device:
    """Find the device that a setting means.

    device (str): "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N" or "mps".
    RETURNS (torch.device): The device.
    RAISES (ValueError): If there is no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            Errors.OM150.format(device=device, why="torch knows no such name")
        ) from error
    if resolved.type == "cuda":
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (resolved.index or 0) >= n_gpus:
            raise ValueError(Errors.OM150.format(device=device, why=f"torch sees {n_gpus} GPUs"))
        if resolved.index is None:
            return torch.device("cuda", torch.cuda.current_device())
    elif resolved.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(Errors.OM150.format(device=device, why="torch sees no Apple GPU"))
    elif resolved.type not in ("cpu", "cuda", "mps"):
        raise ValueError(Errors.OM150.format(device=device, why="it is of another kind"))
    return resolved


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Find the number format of the weights that a setting means.

    precision (str): "fp32", "bf16", "fp16", or "auto": fp32 on a CPU or an Apple GPU, on CUDA
        bf16 where it has that, else fp16. "int8" is made of fp32 by the engine.
    device (torch.device): The device.
    RETURNS (torch.dtype): The format.
    RAISES (ValueError): If that device has no engine for it.
    """
    if precision == "int8":
        if device.type != "cpu":
            raise ValueError(
                Errors.OM153.format(what=f"the device {device.type}", precision=precision)
            )
        return torch.float32
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and precision != "fp32" and not _has_instructions(precision):
        warnings.warn(Warnings.OM904.format(precision=precision), stacklevel=2)
    return DTYPES[precision]


def _has_instructions(precision: str) -> bool:
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    # Older releases of PyTorch do not tell.
    return precision == "fp16" or getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)()


def has_vnni() -> bool:
    """RETURNS (bool): Whether the processor multiplies 8-bit integers faster than other numbers, by
    AVX512-VNNI. It counts as missing where PyTorch is told not to use AVX512."""
    is_wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return is_wide and getattr(torch.cpu, "_is_vnni_supported", lambda: False)()


_pid = os.getpid()  # of the process that the threads of OpenMP belong to


def use_one_thread_after_fork() -> None:
    """Compute in one thread from now on if this process was forked: it has none of its parent's
    OpenMP threads, and waits for them for ever if it starts a parallel region (spaCy#4667,
    spaCy#6662)."""
    global _pid
    if os.getpid() != _pid:
        _pid = os.getpid()
        torch.set_num_threads(1)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
