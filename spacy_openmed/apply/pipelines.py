"""Load pipelines, and say what runs them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import spacy
from spacy.language import Language

from .. import catalogue
from ..errors import Errors
from ..settings import naming_settings
from .blank import blank_pipeline, lift_limit
from .findings import read_config

if TYPE_CHECKING:
    from ..ner.component import OpenMedNER
    from ..ner.shim import CheckpointShim

SPANS_KEY = "openmed"


def to_model(model: str | Path | Mapping[str, Any]) -> str:
    """Name a pipeline in one string.

    model (str | Path | Mapping): Path or package name, or the settings of `openmed_ner`.
    RETURNS (str): The name; paths are absolute, as workers may run elsewhere.
    RAISES (ValueError): If it is neither, or the name of a domain, dataset or size.
    """
    if not isinstance(model, (str, Path, Mapping)):
        raise ValueError(Errors.OM306.format(type=type(model).__name__))
    if isinstance(model, Mapping):
        return json.dumps(model, sort_keys=True)
    if not Path(model).is_dir() and not spacy.util.is_package(str(model)):
        for setting, known in (
            ("domain", catalogue.domains()),
            ("dataset", catalogue.datasets()),
            ("size", catalogue.SIZES),
        ):
            if model in known:
                raise ValueError(Errors.OM307.format(model=model, setting=setting))
    return str(Path(model).resolve()) if Path(model).is_dir() else str(model)


def make_stamp(model: str) -> str:
    """Tell in which state a pipeline's files are.

    model (str): See `Annotator`.
    RETURNS (str): A hash that changes with any file in the folder of the pipeline, or of the
        checkpoint that the settings name; empty if there is no such folder.
    """
    name: Any = model
    if model.startswith("{"):
        source = json.loads(model).get("model")
        name = source.get("name") if isinstance(source, Mapping) else source
    if not name or not Path(name).is_dir():
        return ""
    digest = blake2b(digest_size=16)
    for path in sorted(Path(name).rglob("*")):
        if path.is_file():  # False for one that is being replaced
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def load_pipeline(
    model: str, device: str | None = None, threads: int = 0, stamp: str | None = None
) -> Language:
    """Load a pipeline, or take the one that this process has loaded already. Two are kept.

    model (str): See `Annotator`.
    device (str | None): Where its `openmed_ner` components run. None: as it says.
    threads (int): Threads of the process from now on. 0: as they are. OpenVINO and ONNX keep those
        of their first load.
    stamp (str | None): The state of its files, see `make_stamp`. None: the state they are in now.
        A pipeline that was loaded in another state is loaded again.
    RETURNS (Language): The pipeline.
    RAISES (OSError): If there is no such pipeline.
    RAISES (ValueError): If its settings are wrong.
    """
    if threads:
        import torch

        torch.set_num_threads(threads)  # for the torch engine, also of a loaded pipeline
    with _loading:
        return _load_pipeline(model, device, make_stamp(model) if stamp is None else stamp)


_loading = Lock()


@lru_cache(maxsize=2)
def _load_pipeline(model: str, device: str | None, stamp: str) -> Language:
    if model.startswith("{"):
        config = {"annotate_spans_key": SPANS_KEY, **json.loads(model)}
        if device is not None:
            config["model"] = {**config.get("model", {}), "device": device}
        nlp = blank_pipeline(config.pop("language", "en"))
        phi = config.pop("openmed_phi", None)
        with naming_settings():
            nlp.add_pipe("openmed_ner", config=config)
            if phi is not None:
                nlp.add_pipe("openmed_phi", config=phi)
    else:
        with naming_settings():
            nlp = lift_limit(spacy.load(model, config=_on_device(model, device)))
    for shim in _find_shims(nlp):
        shim.load()  # fail fast rather than once per document
    return nlp


def _on_device(model: str, device: str | None) -> dict[str, Any]:
    """What to change in a pipeline's config for another device."""
    if device is None:
        return {}
    components = read_config(model).get("components", {})
    return {
        f"components.{name}.model.device": device
        for name, block in components.items()
        if block.get("factory") == "openmed_ner" and "device" in block.get("model", {})
    }


def find_ner(nlp: Language) -> "list[OpenMedNER]":
    """RETURNS (list[OpenMedNER]): A pipeline's `openmed_ner` components."""
    from ..ner.component import OpenMedNER

    return [pipe for _, pipe in nlp.pipeline if isinstance(pipe, OpenMedNER)]


def _find_shims(nlp: Language) -> "list[CheckpointShim]":
    from ..ner.shim import CheckpointShim

    shims = [pipe.model.shims[0] for pipe in find_ner(nlp)]
    return [shim for shim in shims if isinstance(shim, CheckpointShim)]


def find_keys(nlp: Language) -> list[str]:
    """RETURNS (list[str]): The span groups that a pipeline's `openmed_ner` components write."""
    keys = (pipe.annotate_spans_key for pipe in find_ner(nlp) if pipe.annotate != "ents")
    return list(dict.fromkeys(keys))


def count_pieces(nlp: Language) -> int:
    """RETURNS (int): How many pieces the pipeline's components have predicted so far."""
    return sum(shim.n_pieces for shim in _find_shims(nlp))


_locks: "WeakKeyDictionary[Language, RLock]" = WeakKeyDictionary()
_locking = Lock()


def lock_of(nlp: Language) -> Any:
    """RETURNS (RLock): What a thread has to hold while it uses a pipeline that others may use:
    error handlers and memory zones are the pipeline's, not the thread's."""
    with _locking:
        return _locks.setdefault(nlp, RLock())


@contextmanager
def using(nlp: Language) -> Iterator[None]:
    """Use a pipeline alone, and forget the strings of its documents at the end.

    nlp (Language): The pipeline. Its documents are good until the end of the block.
    """
    with lock_of(nlp), nlp.memory_zone():
        yield
