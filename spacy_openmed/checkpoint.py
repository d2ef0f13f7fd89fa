"""Checkpoints: Hugging Face folders with a token-classification head."""

import copy
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copymode
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import srsly

from . import catalogue
from .engines import Engine, EngineSettings, first_position, make_engine, quiet_transformers
from .errors import Errors, Warnings
from .hub import HubError, check_complete, download_to_cache, find_missing
from .labels import canonical_label, make_tags, split_tags
from .windows import Pieces, plan_batches, plan_windows

WEIGHTS = "model.safetensors"
ASSERTION = "assertion"  # the kind of a head that says what is asserted of entities
TORCH = ("auto", "torch")  # engines that take weights in torch's number formats, on any device
DATA_PATH = Path(__file__).parent / "data"
# Files that make up a tokenizer, and those that say whose the weights are. Saved as they are.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
)
# One of them has to be there: transformers makes an empty tokenizer up where there is none.
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
BASE_CARD = "BASE_README.md"  # the model card of what a trained checkpoint was before
NOTICES = ("LICENSE", "NOTICE", "README.md", BASE_CARD)
ONNX_FILES = ("*.onnx", "onnx/*.onnx")
# All files that a checkpoint may be loaded from: never pickles, never code.
CHECKPOINT_FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.model",
    "vocab.json",
    "merges.txt",
    *TOKENIZER_FILES,
    *NOTICES,
)


@dataclass(frozen=True)
class Head:
    """One label set of a checkpoint: a slice of its logits.

    dataset (str): The dataset that it was trained on; the checkpoint's name if unknown.
    start (int): Index of its first logit.
    labels (tuple[str, ...]): Its labels, in the order of its logits.
    threshold (float | None): The confidence recommended for it, if there is one.
    temperature (float): What its logits are divided by, so that its scores are probabilities
        (Guo et al. 2017, "On calibration of modern neural networks").
    groups (tuple[tuple[str, tuple[str, ...]], ...]): None of a head that finds entities. Of one
        that says what is asserted of them: canonical labels of entities, and which of the head's
        labels each may have.
    """

    dataset: str
    start: int
    labels: tuple[str, ...]
    threshold: float | None = None
    temperature: float = 1.0
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + len(self.labels))


@dataclass(frozen=True)
class Source:
    """Where a checkpoint is from.

    name (str): A folder, or an id on the Hugging Face hub.
    revision (str | None): Branch, tag or commit on the hub.
    local_files_only (bool): Never ask the hub, only the local cache.
    dataset (str | None): What its only head was trained on, if the checkpoint does not say.
    threshold (float | None): The confidence recommended for it, likewise.
    """

    name: str
    revision: str | None = None
    local_files_only: bool = False
    dataset: str | None = None
    threshold: float | None = None

    @property
    def is_folder(self) -> bool:
        return Path(self.name).is_dir()


class Checkpoint:
    """A loaded checkpoint: module, tokenizer, heads and limits.

    Components that name the same one share it; nothing of it is changed after loading. What is
    to be trained is a `copy` of its own. A bare encoder has no heads, and can only be trained.
    """

    settings: EngineSettings
    device: Any
    _engine: Engine | None = None

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        files: dict[str, bytes],
        *,
        facts: dict[str, Any],
        source: Source,
        stored_dtype: Any,
        folder: Path | None,
    ) -> None:
        self.module = module
        self.name = source.name
        self.folder = folder
        self.is_local = source.is_folder
        self.is_changed = False  # a copy to be trained: no longer what the source is
        self.files = files
        self.stored_dtype = stored_dtype
        self._stored: dict[str, Any] | None = None
        self.set_facts(facts)
        # A copy without the truncation and padding that its file may ask for. They are set on
        # the tokenizer itself, so this must not happen while another thread uses it.
        self._encoder = copy.deepcopy(tokenizer.backend_tokenizer)
        self._encoder.no_truncation()
        self._encoder.no_padding()
        self.pad: int = tokenizer.pad_token_id or 0
        self.prefix, self.suffix = _special_pieces(self._encoder)
        self.limit = _position_limit(module, tokenizer)
        special = len(self.prefix) + len(self.suffix)
        if self.limit <= special:
            limit = tokenizer.model_max_length
            raise ValueError(Errors.OM674.format(name=self.name, limit=limit, special=special))

    def set_facts(self, facts: dict[str, Any]) -> None:
        """Say what the logits mean; see `describe`."""
        self.module.config.openmed = self.facts = facts  # a saved checkpoint says it itself
        self.heads = read_heads(facts)
        self.assertion = read_assertion(facts, self.name)
        self.strategy: str = facts.get("aggregation_strategy", "first")
        self.window: int | None = facts.get("window")

    @property
    def has_no_weights(self) -> bool:
        """RETURNS (bool): Whether it is an ONNX file, and cannot be trained."""
        return self.module.device.type == "meta"

    @property
    def has_engine_files(self) -> bool:
        """RETURNS (bool): Whether its engine is saved with it. No ONNX file is beside weights: it
        does not say which weights it was made of."""
        engine, precision = self.settings.name, self.settings.precision
        is_made = engine == "openvino" or (engine in TORCH and precision == "int8")
        return is_made or self.has_no_weights

    @property
    def stored_weights(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The weights before they were rounded for their device, if they
        were."""
        return self._stored or self.module.state_dict()

    @property
    def n_labels(self) -> int:
        return self.module.config.num_labels

    def copy(self) -> "Checkpoint":
        """RETURNS (Checkpoint): One that nobody else uses, to be trained: in fp32, in which it
        runs and is saved too. The model card is that of what it was before, and is called so.
        RAISES (ValueError): If it has no classifier of its own to train."""
        import torch

        if self.has_no_weights:
            raise ValueError(Errors.OM005.format(name=self.name))
        if not isinstance(getattr(self.module, "classifier", None), torch.nn.Linear):
            raise ValueError(Errors.OM025.format(name=self.name))
        copied = copy.copy(self)
        copied.forget_engine()
        copied.settings = EngineSettings(device=str(self.device), precision="fp32")
        copied.folder = None
        copied.module = copy.deepcopy(self.module)
        if self._stored is not None:
            copied.module.float().load_state_dict(self._stored)
        copied.module.float().requires_grad_(True)
        copied.stored_dtype, copied._stored = torch.float32, None
        copied.files = dict(self.files)
        if card := copied.files.pop("README.md", None):
            copied.files.setdefault(BASE_CARD, card)
        copied.is_changed = True
        copied.set_facts(copy.deepcopy(self.facts))
        return copied

    def set_head(self, dataset: str, types: Sequence[str]) -> None:
        """Add a head, or types to one that is there. What was learned is kept; new rows of the
        classifier are random.

        dataset (str): Its name.
        types (Sequence[str]): Entity types that it is to know.
        """
        import torch

        heads, kept = add_types(self.facts["heads"], dataset, types)
        names = [
            f"{head['dataset']}/{label}" if len(heads) > 1 else label
            for head in heads
            for label in head["labels"]
        ]
        old = self.module.classifier
        new = torch.nn.Linear(old.in_features, len(names), device=old.weight.device)
        config = self.module.config
        with torch.no_grad():
            new.weight.normal_(std=getattr(config, "initializer_range", 0.02))
            new.bias.zero_()
            if kept:
                before, after = (list(column) for column in zip(*kept, strict=True))
                new.weight[after] = old.weight[before]
                new.bias[after] = old.bias[before] if old.bias is not None else 0.0
        self.module.classifier, self.module.num_labels = new, len(names)
        self.forget_engine()
        config.id2label = dict(enumerate(names))
        config.label2id = {name: i for i, name in enumerate(names)}
        self.set_facts({**self.facts, "heads": heads})

    def forget_confidence(self, datasets: Sequence[str], strategy: str) -> None:
        """Take out what was measured of heads that are trained on, and say how they are trained.

        datasets (Sequence[str]): The heads.
        strategy (str): How their pieces are to be pooled.
        """
        measured = ("f1", "recommended_confidence", "temperature")
        heads = [
            {k: v for k, v in row.items() if row["dataset"] not in datasets or k not in measured}
            for row in self.facts["heads"]
        ]
        self.set_facts({**self.facts, "heads": heads, "aggregation_strategy": strategy})

    def encode(self, texts: list[str]) -> Pieces:
        """Split whole texts into pieces, none left out, however long they are.

        texts (list[str]): The texts.
        RETURNS (Pieces): Their pieces.
        """
        from .engines.torch import use_one_thread_after_fork

        use_one_thread_after_fork()
        encodings = self._encoder.encode_batch(texts, add_special_tokens=False)
        lengths = np.array([len(encoding) for encoding in encodings], dtype="int64")
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        words: list[int | None] = []
        for encoding in encodings:
            ids += encoding.ids
            offsets += encoding.offsets
            words += encoding.word_ids
        return Pieces(
            np.array(ids, dtype="int64"),
            np.array(offsets, dtype="int64").reshape(-1, 2),
            np.array([-1 if word is None else word for word in words], dtype="int64"),
            lengths,
        )

    def use(self, settings: EngineSettings) -> None:
        """Move the weights to a device, in a number format.

        settings (EngineSettings): Say which. Where the format can't hold what the stored one
            does, the weights are kept as stored too, so that saving does not round them.
        RAISES (ValueError): If there is no such device, or the engine can't have it so.
        """
        import torch

        from .engines.torch import resolve_device, resolve_precision

        self.settings = settings
        self.device = resolve_device(settings.device)
        # The other engines make their own formats of fp32.
        is_torch = settings.name in TORCH
        dtype = resolve_precision(settings.precision, self.device) if is_torch else torch.float32
        if self.has_no_weights:
            return
        if dtype not in (torch.float32, self.stored_dtype):
            self._stored = self._state()
        # On a CPU, safetensors maps tensors to the file: a copy, or whoever overwrites it changes
        # what is loaded.
        is_mapped = self.device.type == "cpu"
        for weights in self.module.parameters():
            weights.data = weights.data.to(dtype, copy=is_mapped)
        for buffer in self.module.buffers():  # rotary frequencies stay fp32
            buffer.data = buffer.data.to(buffer.dtype, copy=is_mapped)
        self.module.to(self.device)
        self.forget_engine()

    @property
    def engine(self) -> Engine:
        """RETURNS (Engine): What runs the module, made once, when it is first asked for."""
        engine = self._engine
        if engine is None:
            with _LOCK:
                engine = self._engine  # another thread may have made it meanwhile
                if engine is None:
                    engine = self._engine = make_engine(self)
        return engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine = engine

    def sample_batches(self) -> list[list[np.ndarray]]:
        """Make windows of sample texts, to see the ranges of what the layers read.

        RETURNS (list[list[Ints1d]]): Batches of the windows' vocabulary ids, special ones added.
        RAISES (ValueError): If the file that the settings name can't be read.
        """
        path = Path(self.settings.calibration or DATA_PATH / "calibration.txt")
        try:
            texts = [line for line in path.read_text(encoding="utf8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(Errors.OM029.format(path=path)) from error
        if not texts:
            raise ValueError(Errors.OM029.format(path=path))
        pieces = self.encode(texts)
        size = (self.window or min(self.limit, 512)) - len(self.prefix) - len(self.suffix)
        windows = plan_windows(pieces.lengths, size, 0)
        rows = [
            np.concatenate([self.prefix, pieces.ids[start:end], self.suffix])
            for start, end in zip(windows.starts, windows.ends, strict=True)
        ]
        lengths = np.array([len(row) for row in rows])
        return [[rows[i] for i in batch] for batch in plan_batches(lengths, 1024)]

    def forget_engine(self) -> None:
        """Make a new engine before the next prediction: the weights are others now."""
        self._engine = None

    def _state(self) -> dict[str, Any]:
        """A copy of the weights in the format that they are stored in."""
        return {
            key: value.detach()
            .to("cpu", self.stored_dtype if value.is_floating_point() else None, copy=True)
            .contiguous()
            for key, value in self.module.state_dict().items()
        }

    def save(self, folder: Path) -> None:
        """Write a folder that transformers' Auto classes read, and `load_checkpoint` too.

        folder (Path): The folder; made if it is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # What another checkpoint left there would be taken for this one's.
        stale = ["*.safetensors"] if self.has_no_weights else ONNX_FILES
        for path in [path for pattern in stale for path in folder.glob(pattern)]:
            path.unlink()
        with quiet_transformers():
            if self.has_no_weights:
                self.module.config.save_pretrained(folder)
            else:
                self.module.save_pretrained(folder, state_dict=self._stored or self._state())
        # transformers writes down the engine's number format, which is not that of the files.
        config = srsly.read_json(folder / "config.json")
        for key in config.keys() & {"dtype", "torch_dtype"}:
            config[key] = str(self.stored_dtype).removeprefix("torch.")
        srsly.write_json(folder / "config.json", config)
        for path in folder.glob("*.safetensors"):
            copymode(folder / "config.json", path)  # safetensors lets only the owner read them
        for file, content in self.files.items():
            (folder / file).write_bytes(content)
        if self.has_engine_files:
            self.engine.save(folder)


def describe(config: dict[str, Any], source: Source) -> dict[str, Any]:
    """Say what a checkpoint's logits mean: the "openmed" part of its config.json or, if it
    has none, one head of all its labels.

    config (dict[str, Any]): The config.json.
    source (Source): Where the checkpoint is from.
    RETURNS (dict[str, Any]): "heads", and what is known of "aggregation_strategy" and "window"
        (the window that suits it best, where that is less than it takes).
    RAISES (ValueError): If it has neither heads nor proper labels.
    """
    facts = config.get("openmed") or {}
    if "heads" in facts:
        return facts
    head = {
        "dataset": source.dataset or Path(source.name).name,
        "start": 0,
        "labels": read_labels(config, source.name),
        "recommended_confidence": source.threshold,
    }
    return {**facts, "heads": [head]}


def read_labels(config: dict[str, Any], name: str) -> list[str]:
    """Read the labels of a checkpoint that has one head.

    config (dict[str, Any]): The config.json. transformers leaves labels out that nobody named.
    name (str): The checkpoint's name, for errors.
    RETURNS (list[str]): The labels, by the row of the classifier.
    RAISES (ValueError): If there are none, or two for one row, or the other way round.
    """
    given = config.get("id2label") or {}
    labels = list(given.values()) if isinstance(given, dict) else []
    if all(re.fullmatch(r"LABEL_\d+", str(label)) for label in labels):
        raise ValueError(Errors.OM671.format(name=name))
    numbers = sorted(int(i) if str(i).isdecimal() else -1 for i in given)
    repeated = sorted({str(label) for label in labels if labels.count(label) > 1})
    problem = ""
    if numbers != list(range(len(labels))):
        problem = f"its keys are {', '.join(given)}"
    elif not all(isinstance(label, str) and label for label in labels):
        problem = "a label is not a string or is empty"
    elif repeated:
        problem = f"it has the label {', '.join(repeated)} more than once"
    if problem:
        raise ValueError(Errors.OM672.format(name=name, last=len(labels) - 1, problem=problem))
    return [given[i] for i in sorted(given, key=int)]


def _check_rows(facts: dict[str, Any], n_rows: int, name: str) -> None:
    """RAISES (ValueError): If the heads do not match the number of rows of the classifier."""
    n_labels = max((head["start"] + len(head["labels"]) for head in facts["heads"]), default=0)
    if n_labels != n_rows:
        raise ValueError(Errors.OM673.format(name=name, n_labels=n_labels, n_rows=n_rows))


def read_heads(facts: dict[str, Any]) -> list[Head]:
    """Read the heads that find entities out of the "openmed" part of a config.json.

    facts (dict[str, Any]): That part.
    RETURNS (list[Head]): The heads, in its order.
    """
    return [_read_head(row) for row in facts["heads"] if catalogue.finds_entities(row)]


def read_assertion(facts: dict[str, Any], name: str) -> Head | None:
    """Read the head that says what is asserted of entities. Its row has "kind": "assertion", and
    in "groups" which labels the entities of each label may have:
    {"PROBLEM": ["PRESENT", "ABSENT"], "DRUG": ["PRESENT", "STOPPED"]}.

    facts (dict[str, Any]): The "openmed" part of a config.json.
    name (str): The checkpoint's name, for the error.
    RETURNS (Head | None): The head, if there is one.
    RAISES (ValueError): If it has no groups, or they name labels that it does not have.
    """
    row = next((row for row in facts["heads"] if row.get("kind") == ASSERTION), None)
    if row is None:
        return None
    groups = row.get("groups")
    is_valid = isinstance(groups, dict) and groups
    if not is_valid or not all(own and {*own} <= {*row["labels"]} for own in groups.values()):
        raise ValueError(Errors.OM712.format(name=name, labels=", ".join(row["labels"])))
    kinds = tuple((canonical_label(kind), tuple(own)) for kind, own in groups.items())
    return replace(_read_head(row), groups=kinds)


def _read_head(row: dict[str, Any]) -> Head:
    return Head(
        row["dataset"],
        row["start"],
        tuple(row["labels"]),
        row.get("recommended_confidence"),
        row.get("temperature", 1.0),
    )


def add_types(
    heads: Sequence[dict[str, Any]], dataset: str, types: Sequence[str]
) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """Add a head, or types to one that is there.

    heads (Sequence[dict]): The rows of "heads" in the "openmed" part of a config.json.
    dataset (str): The head's name.
    types (Sequence[str]): Entity types that it is to know.
    RETURNS (tuple[list[dict], list[tuple[int, int]]]): The new rows, and the columns of the logits
        that there were: where they were and where they are now.
    RAISES (ValueError): If the head is of a kind that finds no entities.
    """
    heads = sorted(heads, key=lambda head: head["start"])
    rows = [{**head, "labels": list(head["labels"])} for head in heads]
    before = {
        (head["dataset"], label): head["start"] + i
        for head in heads
        for i, label in enumerate(head["labels"])
    }
    row = next((row for row in rows if row["dataset"] == dataset), None)
    if row is None:
        row = {"dataset": dataset, "labels": ["O"]}
        rows.append(row)
    if not catalogue.finds_entities(row):
        raise ValueError(Errors.OM713.format(head=dataset, kind=row["kind"]))
    known = {kind for _, kind in split_tags(row["labels"])}
    row["labels"] += make_tags([kind for kind in types if kind not in known], row["labels"])
    start = 0
    for each in rows:
        each["start"] = start
        start += len(each["labels"])
    after = [(row["dataset"], label) for row in rows for label in row["labels"]]
    return rows, [(column, after.index(label)) for label, column in before.items()]


def _special_pieces(encoder: Any) -> tuple[list[int], list[int]]:
    """The special pieces that the model expects before and after a text."""
    encoding = encoder.encode("a", add_special_tokens=True)
    normal = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: normal[0]], encoding.ids[normal[-1] + 1 :]


def _position_limit(module: Any, tokenizer: Any) -> int:
    """Most pieces of a forward pass, special ones counted. Tokenizers may state 1e30, and models
    without a table of positions -1 (XLNet)."""
    limit = int(getattr(module.config, "max_position_embeddings", 512)) - first_position(module)
    stated = int(tokenizer.model_max_length)
    return min(limit, stated) if limit > 0 else stated


_LOADED: "WeakValueDictionary[tuple, Checkpoint]" = WeakValueDictionary()
_LOCK = threading.RLock()


def load_checkpoint(source: Source, settings: EngineSettings | None = None) -> Checkpoint:
    """Load a checkpoint, or take the one that another component has loaded already.

    source (Source): Where it is from.
    settings (EngineSettings | None): How it shall run. None: as is best here.
    RETURNS (Checkpoint): The checkpoint.
    RAISES (OSError): If it is not there.
    RAISES (ValueError): If it is there but can't be used.
    """
    from .engines.torch import use_one_thread_after_fork

    use_one_thread_after_fork()
    settings = resolve_settings(settings or EngineSettings())
    folder = Path(source.name).resolve() if source.is_folder else None
    stamp = (folder / WEIGHTS).stat().st_mtime_ns if folder and (folder / WEIGHTS).is_file() else 0
    key = (str(folder or source.name), source.revision, stamp, settings)
    with _LOCK:
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
    from .engines.torch import DTYPES, has_vnni, resolve_device, resolve_precision

    is_torch = settings.name in TORCH
    device = resolve_device(
        "cpu" if settings.device == "auto" and not is_torch else settings.device
    )
    if device.type != "cpu" and not is_torch:
        raise ValueError(Errors.OM030.format(engine=settings.name, device=device))
    if settings.compile and (not is_torch or settings.precision == "int8"):
        raise ValueError(Errors.OM033.format(engine=settings.name, precision=settings.precision))
    dtype, precision = resolve_precision(settings.precision, device), settings.precision
    if precision == "auto":
        precision = next(name for name, known in DTYPES.items() if known == dtype)
    if settings.name == "auto" and precision == "int8" and not has_vnni():
        warnings.warn(Warnings.OM912, stacklevel=2)
        precision = "fp32"
    return replace(settings, device=str(device), precision=precision)


def find_folder(source: Source) -> Path:
    """Find a checkpoint's folder: as named, or in the hub's local cache. Only what is in
    neither is downloaded, and only if the source allows it.

    source (Source): Where it is from.
    RETURNS (Path): The folder.
    RAISES (OSError): If it can't be found, or is incomplete.
    """
    if source.is_folder:
        check_complete(Path(source.name))
        return Path(source.name)
    if source.name == catalogue.MINI:
        raise OSError(Errors.OM705)
    if _is_path(source.name):
        near = catalogue.near_path(Path(source.name))
        raise OSError(Errors.OM706.format(name=source.name, nearest=near))
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import HFValidationError

    try:
        folder = Path(
            snapshot_download(
                source.name,
                revision=source.revision,
                local_files_only=True,
                allow_patterns=[*CHECKPOINT_FILES],
                ignore_patterns=["*/*"],
            )
        )
        needed = (["config.json"], ["*.safetensors"], VOCABULARIES)
        if all(_has(folder, *part) for part in needed) and not find_missing(folder):
            return folder
    except (OSError, HFValidationError):
        pass
    why = "model.local_files_only is set"
    if not source.local_files_only:
        try:
            return download_to_cache(source.name, source.revision, CHECKPOINT_FILES)
        except HubError as error:
            why = f"downloading it failed: {error}"
    revision = f" (revision {source.revision})" if source.revision else ""
    raise OSError(Errors.OM001.format(name=source.name, revision=revision, why=why))


def _is_path(name: str) -> bool:
    """Whether a name can only be that of a folder here, not OWNER/NAME."""
    return name.startswith((".", "~", os.sep)) or "\\" in name or name.count("/") > 1


def _load(source: Source, settings: EngineSettings) -> Checkpoint:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    name = source.name
    folder = find_folder(source)
    if not (folder / "config.json").is_file():
        raise OSError(Errors.OM010.format(name=folder, file="config.json"))
    has_weights = _has(folder, "*.safetensors")
    if not has_weights and not (settings.name == "onnx" and _has(folder, *ONNX_FILES)):
        raise OSError(Errors.OM005.format(name=name))
    with _reading(name):
        config = srsly.read_json(folder / "config.json")
        architecture = config.get("model_type")
    if architecture not in CONFIG_MAPPING:
        version = transformers.__version__
        raise ValueError(Errors.OM002.format(name=name, architecture=architecture, version=version))
    with _reading(name):
        n_rows = _count_rows(folder)
    if n_rows is not None:  # Fail here: transformers' errors about labels are hard to understand.
        _check_rows(describe(config, source), n_rows, name)
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
        raise ValueError(Errors.OM003.format(name=source.name, missing=", ".join(missing)))
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

    if not _has(folder, *VOCABULARIES):
        raise OSError(Errors.OM013.format(name=name, error="it has no tokenizer.json"))
    try:
        with _reading(name):
            tokenizer = AutoTokenizer.from_pretrained(
                folder, use_fast=True, trust_remote_code=False
            )
    except OSError as error:
        if _has(folder, "tokenizer.json"):
            raise
        raise ValueError(Errors.OM004.format(name=name)) from error
    if not tokenizer.is_fast:
        raise ValueError(Errors.OM004.format(name=name))
    return tokenizer


def _has(folder: Path, *patterns: str) -> bool:
    return any(path.is_file() for pattern in patterns for path in folder.glob(pattern))


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
        raise OSError(Errors.OM013.format(name=name, error=error)) from error
