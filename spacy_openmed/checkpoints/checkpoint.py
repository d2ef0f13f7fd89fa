"""Checkpoints: Hugging Face folders with a token-classification head."""

import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from shutil import copymode
from typing import Any

import numpy as np
import srsly

from .. import engines
from ..engines.base import Engine, EngineSettings, first_position, quiet_transformers
from ..engines.registry import ENGINES
from ..errors import Errors
from ..paths import DATA_PATH
from .heads import add_types, read_assertion, read_heads
from .source import BASE_CARD, Source
from .windows import Pieces, plan_batches, plan_windows


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
            raise ValueError(Errors.OM116.format(name=self.name, limit=limit, special=special))

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
        saved = ENGINES[self.settings.name].saved
        return self.settings.precision in saved or self.has_no_weights

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
            raise ValueError(Errors.OM104.format(name=self.name))
        if not isinstance(getattr(self.module, "classifier", None), torch.nn.Linear):
            raise ValueError(Errors.OM107.format(name=self.name))
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
        from ..engines.torch import use_one_thread_after_fork

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

        from ..engines.torch import resolve_device, resolve_precision

        self.settings = settings
        self.device = resolve_device(settings.device)
        # The other engines make their own formats of fp32.
        is_torch = ENGINES[settings.name].is_torch
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
            with LOCK:
                engine = self._engine  # another thread may have made it meanwhile
                if engine is None:
                    engine = self._engine = engines.make_engine(self)  # imports torch
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
            raise ValueError(Errors.OM108.format(path=path)) from error
        if not texts:
            raise ValueError(Errors.OM108.format(path=path))
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
        stale = ["*.safetensors"] if self.has_no_weights else ENGINES["onnx"].files
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


LOCK = threading.RLock()  # held while a checkpoint is read, or its module made
