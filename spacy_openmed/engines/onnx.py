"""ONNX Runtime: an engine for published ONNX files, and for our own, of the extra [onnx]."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ..errors import Errors
from .base import Engine, Runnable, converting, watch_memory
from .parallel import count_cpus
from .torch import pad_windows

# As with OpenVINO: its use is nobody's business. It reads this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# Names that optimum and the hub's own exporter give, best first.
FILES = {
    "fp32": ("model.onnx",),
    "int8": ("model_int8.onnx", "model_quantized.onnx", "model_uint8.onnx"),
}
FOLDERS = (".", "onnx")


def find_onnx(folder: Path | None, precision: str) -> Path | None:
    """Find the ONNX file of a checkpoint.

    folder (Path | None): The checkpoint's folder.
    precision (str): "fp32" or "int8".
    RETURNS (Path | None): The file, if there is one.
    """
    if folder is None:
        return None
    paths = [folder / part / name for part in FOLDERS for name in FILES[precision]]
    return next((path for path in paths if path.is_file()), None)


def make_onnx_engine(checkpoint: Runnable) -> "OnnxEngine":
    """Make the engine: of the checkpoint's ONNX file, or of one made of its weights.

    checkpoint (Runnable): The checkpoint.
    RETURNS (OnnxEngine): The engine.
    RAISES (ValueError): If it can't convert the checkpoint.
    """
    precision = checkpoint.settings.precision
    path = find_onnx(checkpoint.folder, precision)
    if path is not None:
        return OnnxEngine(path.read_bytes(), checkpoint.pad, path.name)
    if checkpoint.has_no_weights:
        files = " or ".join(FILES[precision])
        raise OSError(Errors.OM105.format(name=checkpoint.name, file=files))
    with TemporaryDirectory() as temporary:
        full = find_onnx(checkpoint.folder, "fp32")
        if full is None:
            full = Path(temporary) / FILES["fp32"][0]
            convert(checkpoint.module, full)
        if precision == "int8":
            full = quantize(full, Path(temporary) / FILES["int8"][0])
        return OnnxEngine(full.read_bytes(), checkpoint.pad, full.name)


def convert(module: Any, path: Path) -> None:
    """Write a token classifier as an ONNX file.

    module (PreTrainedModel): The token classifier, in fp32.
    path (Path): The file.
    RAISES (ValueError): If that does not go.
    """
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    names = ["input_ids", "attention_mask"]
    with converting(module, "onnx"):
        torch.onnx.export(
            module,
            (ids, ids),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=dict.fromkeys([*names, "logits"], axes),
            dynamo=False,
        )


def quantize(path: Path, output: Path) -> Path:
    """Quantise the linear layers of an ONNX file to 8-bit integers, activations as they come.

    path (Path): The file.
    output (Path): The file to write.
    RETURNS (Path): That file.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, output, weight_type=QuantType.QInt8, per_channel=True)
    return output


class OnnxEngine(Engine):
    """Run an ONNX file on a CPU.

    content (bytes): The file.
    pad (int): Vocabulary id that fills up shorter windows.
    file (str): Its name where it is saved.
    """

    def __init__(self, content: bytes, pad: int, file: str) -> None:
        self.content, self.pad, self.file = content, pad, file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(torch.get_num_threads(), count_cpus())
        self.session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = {node.name for node in self.session.get_inputs()}

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        ids, mask = pad_windows(windows, self.pad)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: value for name, value in given.items() if name in self.inputs}
        with watch_memory(windows):
            logits = self.session.run(["logits"], given)[0].astype("float32", copy=False)
        return [logits[row, : len(window)] for row, window in enumerate(windows)]

    def save(self, folder: Path) -> None:
        (folder / self.file).write_bytes(self.content)
