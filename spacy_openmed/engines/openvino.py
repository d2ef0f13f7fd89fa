"""OpenVINO: an engine for Intel's and AMD's processors, of the extra [openvino]."""

import io
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import Warnings
from .attention import HAS_AMX
from .base import Engine, Runnable, converting, made_of, round_up, watch_memory
from .parallel import count_cpus
from .torch import has_vnni, pad_windows


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import openvino and nncf as if openvino_telemetry was not installed: they use stubs then.
    Otherwise they report each use to their maker, and texts here are patients'. What the process
    imports afterwards is not affected."""
    name = "openvino_telemetry"
    is_imported = name in sys.modules
    if not is_imported:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not is_imported:
            sys.modules.pop(name, None)


with without_telemetry():
    import openvino
    import openvino.tools.ovc

MODEL = "openvino.xml"  # in the checkpoint's folder, its weights in openvino.bin
FACTS = ["openmed", "made_of"]  # where the model says what it was made of


def make_openvino_engine(checkpoint: Runnable) -> "OpenVINOEngine":
    """Make the engine: of what is stored with the checkpoint or in the cache, or converted.

    checkpoint (Runnable): The checkpoint.
    RETURNS (OpenVINOEngine): The engine.
    RAISES (ValueError): If it can't convert the checkpoint.
    """
    settings = checkpoint.settings
    if settings.precision == "int8" and not has_vnni():
        warnings.warn(Warnings.OM906, stacklevel=2)
    source = made_of(checkpoint)
    cache = cache_folder() / source
    folders = [] if checkpoint.folder is None else [checkpoint.folder]
    if "own" not in source:  # the user's own sample texts are of no use to others
        folders.append(cache)
    for folder in folders:
        if (model := _read(folder, source)) is not None:
            return OpenVINOEngine(model, checkpoint.pad, checkpoint.limit, settings.precision)
    model = convert(checkpoint.module)
    if settings.precision == "int8":
        model = quantize(model, checkpoint.sample_batches(), checkpoint.pad)
    model.set_rt_info(source, FACTS)
    if cache in folders:
        with suppress(OSError):  # where nothing can be written, it is made anew every time
            _write(model, cache)
            model = _read(cache, source)  # the very one that is read later
    return OpenVINOEngine(model, checkpoint.pad, checkpoint.limit, settings.precision)


def cache_folder() -> Path:
    """RETURNS (Path): Where converted models are kept; `XDG_CACHE_HOME` moves it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "spacy-openmed"


def _read(folder: Path, source: str) -> Any:
    path = folder / MODEL
    if not path.is_file():
        return None
    model = openvino.Core().read_model(path)
    is_it = model.has_rt_info(FACTS) and model.get_rt_info(FACTS).astype(str) == source
    return model if is_it else None


def _write(model: Any, folder: Path) -> None:
    """Write a model beside an older one and then in its place: that may be mapped to memory."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        openvino.save_model(model, Path(temporary) / MODEL, compress_to_fp16=False)
        for path in sorted(Path(temporary).iterdir()):  # the weights before what says it all
            path.replace(folder / path.name)


class _Logits(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.module(input_ids=input_ids, attention_mask=attention_mask).logits


def convert(module: Any) -> Any:
    """Convert a token classifier.

    module (PreTrainedModel): The token classifier, in fp32.
    RETURNS (openvino.Model): Ids and mask in, logits out, for any number and length of windows.
    RAISES (ValueError): If that does not go.
    """
    example = torch.ones(2, 8, dtype=torch.int64)
    shape = ([-1, -1], openvino.Type.i64)
    with converting(module, "openvino"):
        return openvino.convert_model(
            _Logits(module), example_input=(example, example), input=[shape, shape]
        )


def quantize(model: Any, batches: Iterable[Sequence[np.ndarray]], pad: int) -> Any:
    """Quantise a model's linear layers and attention to 8-bit integers.

    model (openvino.Model): The model.
    batches (Iterable[Sequence[Ints1d]]): Windows of typical texts.
    pad (int): Vocabulary id that fills up shorter windows.
    RETURNS (openvino.Model): The quantised model.
    """
    with without_telemetry():
        import nncf
    data = [list(pad_windows(batch, pad)) for batch in batches]
    with redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(data),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(data),
        )


class OpenVINOEngine(Engine):
    """Run a converted token classifier on a CPU.

    model (openvino.Model): The model.
    pad (int): Vocabulary id that fills up shorter windows.
    limit (int): Positions that the model has; windows are no longer.
    precision (str): "fp32" computes in that; "bf16", and "int8" what it leaves as it is, in bf16
        where the processor can ("int8" not with AMX).
    """

    def __init__(self, model: Any, pad: int, limit: int, precision: str) -> None:
        self.model, self.pad, self.limit = model, pad, limit
        # With AMX, bf16 beside int8 lost up to 1.6 points of F1, and won hardly any time.
        is_bf16 = precision == "bf16" or (precision == "int8" and not HAS_AMX)
        hint = openvino.Type.bf16 if is_bf16 else openvino.Type.f32
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": hint,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": min(torch.get_num_threads(), count_cpus()),
            },
        )
        self.request = compiled.create_infer_request()
        self.lock = threading.Lock()  # components in other threads may share it

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        inputs = list(pad_windows(windows, self.pad, self.shape(windows)))
        with self.lock, watch_memory(windows):
            logits = self.request.infer(inputs, share_inputs=True, share_outputs=True)[0]
            if logits.shape[:2] != inputs[0].shape:  # out of memory, it may keep the answer before
                raise MemoryError("OpenVINO gave no answer")
            return [logits[row, : len(window)].copy() for row, window in enumerate(windows)]

    def shape(self, windows: Sequence[np.ndarray]) -> tuple[int, int]:
        """Rows and length of a batch, rounded up: OpenVINO compiles kernels for every shape that
        it meets, and keeps thousands of them.

        windows (Sequence[Ints1d]): (n_pieces,) each.
        RETURNS (tuple[int, int]): At least as many rows, and as long as the longest or longer.
        """
        longest = max(map(len, windows))
        return round_up(len(windows), 3), min(round_up(longest, 5), self.limit)

    def save(self, folder: Path) -> None:
        _write(self.model, folder)
