"""Load checkpoints. Components that name the same one share it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakValueDictionary

import srsly

from ..engines.base import EngineSettings, quiet_transformers
from ..engines.registry import ENGINES
from ..errors import Errors, Warnings
from .checkpoint import LOCK, Checkpoint
from .heads import check_rows, describe
from .source import (
    NOTICES,
    TOKENIZER_FILES,
    VOCABULARIES,
    WEIGHTS,
    Source,
    find_folder,
    has_files,
)

_LOADED: "WeakValueDictionary[tuple, Checkpoint]" = WeakValueDictionary()


def load_checkpoint(source: Source, settings: EngineSettings | None = None) -> Checkpoint:
    """Load a checkpoint, or take the one that another component has loaded already.

    source (Source): Where it is from.
    settings (EngineSettings | None): How it shall run. None: as is best here.
    RETURNS (Checkpoint): The checkpoint.
    RAISES (OSError): If it is not there.
    RAISES (ValueError): If it is there but can't be used.
    """
    from ..engines.torch import use_one_thread_after_fork

    use_one_thread_after_fork()
    settings = resolve_settings(settings or EngineSettings())
    folder = Path(source.name).resolve() if source.is_folder else None
    files = [folder / WEIGHTS, folder / "config.json"] if folder else []
    written = tuple(file.stat().st_mtime_ns for file in files if file.is_file())
    key = (str(folder or source.name), source.revision, written, settings)
    with LOCK:
        checkpoint = _LOADED.get(key)
        if checkpoint is None:
            checkpoint = _load(source, settings)
            checkpoint.use(settings)
            _LOADED[key] = checkpoint
    return checkpoint


def resolve_settings(settings: EngineSettings) -> EngineSettings:
    """Say which device and which precision "auto" is here.

    settings (EngineSettings): The settings.
    RETURNS (EngineSettings): The same without "auto".
    RAISES (ValueError): If there is no such device, or the engine does not run on it or so.
    """
    from ..engines.torch import DTYPES, has_vnni, resolve_device, resolve_precision

    is_torch = ENGINES[settings.name].is_torch
    device = resolve_device(
        "cpu" if settings.device == "auto" and not is_torch else settings.device
    )
    if device.type != "cpu" and not is_torch:
        raise ValueError(Errors.OM109.format(engine=settings.name, device=device))
    if settings.compile and (not is_torch or settings.precision == "int8"):
        raise ValueError(Errors.OM110.format(engine=settings.name, precision=settings.precision))
    dtype, precision = resolve_precision(settings.precision, device), settings.precision
    if precision == "auto":
        precision = next(name for name, known in DTYPES.items() if known == dtype)
    if settings.name == "auto" and precision == "int8" and not has_vnni():
        warnings.warn(Warnings.OM903, stacklevel=2)
        precision = "fp32"
    return replace(settings, device=str(device), precision=precision)


def _load(source: Source, settings: EngineSettings) -> Checkpoint:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    name = source.name
    folder = find_folder(source)
    if not (folder / "config.json").is_file():
        raise OSError(Errors.OM105.format(name=folder, file="config.json"))
    has_weights = has_files(folder, "*.safetensors")
    if not has_weights and not has_files(folder, *ENGINES[settings.name].files):
        raise OSError(Errors.OM104.format(name=name))
    with _reading(name):
        config = srsly.read_json(folder / "config.json")
        architecture = config.get("model_type")
    if architecture not in CONFIG_MAPPING:
        version = transformers.__version__
        raise ValueError(Errors.OM101.format(name=name, architecture=architecture, version=version))
    with _reading(name):
        n_rows = _count_rows(folder)
    if n_rows is not None:  # Fail here: transformers' errors about labels are hard to understand.
        check_rows(describe(config, source), n_rows, name)
    tokenizer = _load_tokenizer(folder, name)
    load = _load_module if has_weights else _make_module
    module, facts, stored_dtype = load(folder, source, config)
    return Checkpoint(
        module,
        tokenizer,
        _files_to_keep(folder, tokenizer),
        facts=facts,
        source=source,
        stored_dtype=stored_dtype,
        folder=folder,
    )


def _load_module(
    folder: Path, source: Source, config: dict[str, Any]
) -> tuple[Any, dict[str, Any], Any]:
    """A folder's token classifier, what its logits mean, and the format that it is stored in."""
    import transformers
    from transformers import AutoModelForTokenClassification

    with _reading(source.name):
        stored_dtype = _stored_dtype(folder)
        module, info = AutoModelForTokenClassification.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=False,
            # Or else it obeys config.json, and rounds what does not agree with that.
            **{"torch_dtype" if transformers.__version__ < "5" else "dtype": stored_dtype},
        )
    missing = sorted(key for key in info["missing_keys"] if "position_ids" not in key)
    if any(key.startswith(f"{module.base_model_prefix}.") for key in missing):
        raise ValueError(Errors.OM102.format(name=source.name, missing=", ".join(missing)))
    return module, {"heads": []} if missing else describe(config, source), stored_dtype


def _make_module(
    folder: Path, source: Source, config: dict[str, Any]
) -> tuple[Any, dict[str, Any], Any]:
    """The same of a folder that has only an ONNX file: the module has no weights."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    facts = describe(config, source)
    with _reading(source.name), torch.device("meta"):
        module = AutoModelForTokenClassification.from_config(AutoConfig.from_pretrained(folder))
    return module, facts, torch.float32


def _load_tokenizer(folder: Path, name: str) -> Any:
    from transformers import AutoTokenizer

    if not has_files(folder, *VOCABULARIES):
        raise OSError(Errors.OM106.format(name=name, error="it has no tokenizer.json"))
    try:
        with _reading(name):
            tokenizer = AutoTokenizer.from_pretrained(
                folder, use_fast=True, trust_remote_code=False
            )
    except OSError as error:
        if has_files(folder, "tokenizer.json"):
            raise
        raise ValueError(Errors.OM103.format(name=name)) from error
    if not tokenizer.is_fast:
        raise ValueError(Errors.OM103.format(name=name))
    return tokenizer


def _stored_dtype(folder: Path) -> Any:
    """The number format of the weights on disk, whatever config.json says."""
    import torch
    from safetensors import safe_open

    formats = {"F16": torch.float16, "BF16": torch.bfloat16}
    with safe_open(next(folder.glob("*.safetensors")), "pt") as file:
        return formats.get(file.get_slice(next(iter(file.keys()))).get_dtype(), torch.float32)


def _count_rows(folder: Path) -> int | None:
    """How many labels the stored classifier has; None if it is not stored under a usual name."""
    from safetensors import safe_open

    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for key in {"classifier.weight", "score.weight"}.intersection(file.keys()):
                return file.get_slice(key).get_shape()[0]
    return None


def _files_to_keep(folder: Path, tokenizer: Any) -> dict[str, bytes]:
    """The files that go with the weights into a saved pipeline, as they are. A tokenizer that
    was made from other files is kept as made, so that loading it needs no more packages."""
    files = {file: folder / file for file in (*TOKENIZER_FILES, *NOTICES)}
    with TemporaryDirectory() as made:
        if not (folder / "tokenizer.json").is_file():
            tokenizer.save_pretrained(made)
            files |= {file: Path(made) / file for file in TOKENIZER_FILES}
        return {file: path.read_bytes() for file, path in files.items() if path.is_file()}


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say which checkpoint it was that transformers could not read."""
    try:
        with quiet_transformers():
            yield
    except Exception as error:
        raise OSError(Errors.OM106.format(name=name, error=error)) from error
