"""The engines there are, one row each. What chooses, checks and describes engines reads this."""

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from ..errors import Errors, missing_extra
from .base import Engine, Runnable

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class EngineInfo:
    """An engine, as `model.engine` names it.

    name (str): Its name.
    make (str): The function that makes it of a checkpoint: "module:function" of this package.
    about (str): What the manual says of it, in Markdown.
    precisions (tuple[str, ...]): What it can compute in, on one device or another.
    saved (tuple[str, ...]): The precisions for which what it made of a checkpoint is saved.
    extra (str | None): The extra that it needs. Such engines run on a CPU, and convert
        checkpoints; others are torch's, on any device.
    packages (tuple[str, ...]): What has to be installed for it.
    quantizers (tuple[str, ...]): What int8 needs besides.
    faster (tuple[str, ...]): Model types that it runs faster than torch, in fp32 on a CPU.
    files (tuple[str, ...]): Files that it runs where a checkpoint has no weights.
    """

    name: str
    make: str
    about: str
    precisions: tuple[str, ...] = PRECISIONS[1:]
    saved: tuple[str, ...] = ()
    extra: str | None = None
    packages: tuple[str, ...] = ()
    quantizers: tuple[str, ...] = ()
    faster: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def is_torch(self) -> bool:
        """RETURNS (bool): Whether it takes weights in torch's number formats, on any device."""
        return self.extra is None

    def is_installed(self, precision: str) -> bool:
        """RETURNS (bool): Whether its packages can be imported, and for int8 what quantises."""
        packages = self.packages + (self.quantizers if precision == "int8" else ())
        return all(
            sys.modules[package] is not None if package in sys.modules else find_spec(package)
            for package in packages
        )

    def __call__(self, checkpoint: Runnable) -> Engine:
        """Make the engine.

        checkpoint (Runnable): The checkpoint, on its device and in its number format.
        RETURNS (Engine): The engine.
        RAISES (ImportError): If its packages are not installed.
        RAISES (ValueError): If it can't run this checkpoint, or not in this precision.
        """
        precision = checkpoint.settings.precision
        if precision not in self.precisions:
            what = f"the engine {self.name}"
            raise ValueError(Errors.OM153.format(what=what, precision=precision))
        module, _, function = self.make.partition(":")
        try:
            make = getattr(import_module(f".{module}", __package__), function)
            engine: Engine = make(checkpoint)
        except ImportError as error:
            if self.extra is None:
                raise
            raise missing_extra(self.extra, error) from error
        return engine


ENGINES = {
    engine.name: engine
    for engine in (
        EngineInfo(
            "auto",
            "selection:choose_engine",
            "The default. Torch, on a GPU and on a CPU. If OpenVINO is installed, a CPU uses "
            "it where it is faster: for int8, and for DeBERTa in fp32 if the logits of both "
            "agree within 1e-4 on sample texts",
            saved=("int8",),
        ),
        EngineInfo(
            "torch",
            "selection:make_torch_engine",
            "Every architecture, on CPU, CUDA and MPS. BERT, RoBERTa, XLM-RoBERTa, CamemBERT, "
            "DistilBERT and ELECTRA run on a CPU without padding. Only these support int8, on "
            "processors with AVX-512 VNNI",
            saved=("int8",),
        ),
        EngineInfo(
            "openvino",
            "openvino:make_openvino_engine",
            "Converts the checkpoint on first use (takes seconds; int8 longer), and caches "
            "the result in `~/.cache/spacy-openmed` (`XDG_CACHE_HOME` moves it)",
            precisions=("fp32", "bf16", "int8"),
            saved=("fp32", "bf16", "int8"),
            extra="openvino",
            packages=("openvino",),
            quantizers=("nncf",),
            faster=("deberta", "deberta-v2"),
        ),
        EngineInfo(
            "onnx",
            "onnx:make_onnx_engine",
            "Uses an ONNX file in a local checkpoint folder or its subfolder `onnx`: "
            "`model.onnx`, or for int8 `model_quantized.onnx` or `model_int8.onnx`, up to 2 "
            "GB. The folder needs no other weights then. Without such a file, and for "
            "checkpoints from the hub, it converts the weights",
            precisions=("fp32", "int8"),
            extra="onnx",
            packages=("onnx", "onnxruntime"),
            files=("*.onnx", "onnx/*.onnx"),
        ),
    )
}


def make_engine(checkpoint: Runnable) -> Engine:
    """Make the engine for a checkpoint.

    checkpoint (Runnable): The checkpoint, on its device and in its number format.
    RETURNS (Engine): The engine that its settings name.
    RAISES (ImportError): If the engine's packages are not installed.
    RAISES (ValueError): If the engine can't run this checkpoint, or not in this precision.
    """
    return ENGINES[checkpoint.settings.name](checkpoint)


def find_faster(architecture: str | None) -> EngineInfo | None:
    """Find the engine that runs a model type faster than torch, in fp32 on a CPU.

    architecture (str | None): The model type, if it is known.
    RETURNS (EngineInfo | None): The engine, if there is one.
    """
    return next((engine for engine in ENGINES.values() if architecture in engine.faster), None)
