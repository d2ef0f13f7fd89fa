"""Thinc shim that loads, saves and copies a checkpoint."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import srsly
from thinc.api import Optimizer, PyTorchShim, torch2xp, xp2torch
from thinc.shims import Shim
from thinc.types import FloatsXd

from ..catalogue.store import lookup
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.heads import Head, describe, read_heads
from ..checkpoints.loading import load_checkpoint
from ..checkpoints.source import Source
from ..engines.base import EngineSettings
from ..errors import Errors


class CheckpointShim(PyTorchShim):
    """Thinc shim of a checkpoint, which is loaded when it is first needed.

    source (Source | None): Where to load it from. None until the component has chosen.
    settings (EngineSettings): How it shall run.
    frozen_layers (int): How many of the encoder's layers are not trained, from the embeddings
        up; -1: the whole encoder.
    """

    def __init__(
        self, source: Source | None, settings: EngineSettings, *, frozen_layers: int = 0
    ) -> None:
        super().__init__(None)
        self.source = source
        self.settings = settings
        self.frozen_layers = frozen_layers
        self.trained: list[str] | None = None
        self.n_pieces = 0  # predicted so far
        self._checkpoint: Checkpoint | None = None
        self._owned = False

    @property
    def checkpoint(self) -> Checkpoint:
        """RETURNS (Checkpoint): The checkpoint, loaded now if it was not.
        RAISES (ValueError): If it has no head to predict with."""
        checkpoint = self._checkpoint or self.load()
        if not checkpoint.heads:
            raise ValueError(Errors.OM102.format(name=self.name, missing="a classifier"))
        return checkpoint

    def load(self) -> Checkpoint:
        """Load the checkpoint if that has not happened.

        RETURNS (Checkpoint): The checkpoint.
        RAISES (OSError): If it is not there.
        RAISES (ValueError): If it is there but can't be used.
        """
        if self._checkpoint is None:
            if self.source is None:
                raise ValueError(Errors.OM203)
            self._checkpoint = load_checkpoint(self.source, self.settings)
            self._model = self._checkpoint.module
        return self._checkpoint

    @property
    def is_async(self) -> bool:
        """RETURNS (bool): Whether a prediction comes back before the device is done with it."""
        return self.load().engine.is_async

    def own(self) -> Checkpoint:
        """Take a copy of the checkpoint that no other component has, to train it.

        RETURNS (Checkpoint): The copy; the same one until this is copied itself.
        """
        if not self._owned:
            self._checkpoint = self.load().copy()
            self._model = self._checkpoint.module
            self._owned = True
        assert self._checkpoint is not None
        return self._checkpoint

    def begin_update(  # type: ignore[override]
        self, windows: Sequence[np.ndarray], drop: float
    ) -> tuple[list[np.ndarray], Callable[[Sequence[np.ndarray]], None]]:
        """Run a batch for training.

        windows (Sequence[Ints1d]): (n_pieces,) each: the vocabulary ids of the windows.
        drop (float): Dropout of the transformer.
        RETURNS (tuple[list[Floats2d], Callable]): (n_pieces, n_labels) each: their logits, and
            a function that takes the gradients of these.
        """
        from ..engines.torch_training import begin_update, set_trainable

        checkpoint = self.own()
        set_trainable(checkpoint.module, self.frozen_layers)
        return begin_update(
            checkpoint.module,
            windows,
            checkpoint.pad,
            drop,
            self.settings.precision,
            self._grad_scaler,
        )

    def finish_update(self, optimizer: Optimizer) -> None:
        """Take a step with thinc's optimizer.

        optimizer (Optimizer): The optimizer. Rows of the classifier that belong to heads that
            are not trained are kept from it: weight decay would move them all the same.
        """
        checkpoint = self.own()
        gradients = [w.grad for w in checkpoint.module.parameters() if w.grad is not None]
        self._grad_scaler.unscale(gradients)
        if not self._grad_scaler.found_inf:
            for name, weights in checkpoint.module.named_parameters():
                if weights.grad is None:
                    continue
                for part in self._parts(name):
                    data = weights.data[part]
                    new, _ = optimizer(
                        self._key(name, part),
                        cast(FloatsXd, torch2xp(data)),
                        cast(FloatsXd, torch2xp(weights.grad[part])),
                    )
                    data.copy_(xp2torch(new, device=data.device))
                weights.grad = None
        checkpoint.module.zero_grad(set_to_none=True)
        checkpoint.forget_engine()
        self._grad_scaler.update()

    def _key(self, name: str, part: slice) -> tuple[int, str]:
        return self.id, f"{name}[{part.start}:{part.stop}]"

    def _parts(self, name: str) -> list[slice]:
        """The rows of a weight that are trained."""
        if self.trained is None or not name.startswith("classifier."):
            return [slice(None)]
        return [head.columns for head in self.heads if head.dataset in self.trained]

    @contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Use other weights for a while: the optimizer's averages.

        thinc's own method looks for keys that its optimizer does not write, so that averages
        were kept and never used.
        """
        checkpoint = self._checkpoint if self._owned else None
        own = dict(checkpoint.module.named_parameters()) if checkpoint is not None else {}
        backup = []
        for name, weights in own.items():
            for part in self._parts(name):
                if (key := self._key(name, part)) in params:
                    backup.append((weights, part, weights.data[part].clone()))
                    weights.data[part] = xp2torch(params[key], device=weights.device)
        if checkpoint is not None:
            checkpoint.forget_engine()
        try:
            yield
        finally:
            for weights, part, data in backup:
                weights.data[part] = data
            if checkpoint is not None:
                checkpoint.forget_engine()

    @property
    def name(self) -> str:
        """RETURNS (str): The checkpoint's name."""
        return self.source.name if self.source is not None else ""

    @property
    def heads(self) -> list[Head]:
        """RETURNS (list[Head]): The checkpoint's heads. Of one that is not loaded, those that
        its folder or else the catalogue tells; none where it takes the hub to know."""
        if self._checkpoint is not None:
            return self._checkpoint.heads
        if self.source is None:
            return []
        config_path = Path(self.name) / "config.json"
        if config_path.is_file():
            config = srsly.read_json(config_path)
            classifies = any("TokenCl" in name for name in config.get("architectures") or ())
            if "openmed" not in config and not classifies:
                return []  # a bare encoder
            return read_heads(describe(config, self.source))
        info = lookup(self.name)
        if info is None:
            return []
        labels = ("O", *(f"B-{label}" for label in info.labels))
        return [Head(info.dataset or self.name, 0, labels, info.recommended_confidence)]

    @property
    def assertion(self) -> Head | None:
        """RETURNS (Head | None): The head that says what is asserted of entities, if the checkpoint
        is loaded and has one."""
        return None if self._checkpoint is None else self._checkpoint.assertion

    def to_disk(self, path: str | Path) -> None:
        self.checkpoint.save(Path(path))

    def from_disk(self, path: str | Path) -> "CheckpointShim":
        if not (Path(path) / "config.json").is_file():
            raise OSError(Errors.OM105.format(name=path, file="config.json"))
        self.source = Source(str(path), local_files_only=True)
        self._checkpoint, self._owned, self.trained = None, False, None
        self.load()
        return self

    def to_bytes(self) -> bytes:
        """The files of the folder that `to_disk` writes, in one msgpack."""
        with TemporaryDirectory() as folder:
            self.to_disk(folder)
            return srsly.msgpack_dumps(
                {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
            )

    def from_bytes(self, bytes_data: bytes) -> "CheckpointShim":
        with TemporaryDirectory() as folder:
            for file, content in srsly.msgpack_loads(bytes_data).items():
                (Path(folder) / Path(file).name).write_bytes(content)
            self.from_disk(folder)
            if self._checkpoint is not None and self._checkpoint.has_engine_files:
                self._checkpoint.engine  # noqa: B018 - its files are about to be gone
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "CheckpointShim":
        copied = CheckpointShim.__new__(CheckpointShim)
        copied.__dict__.update(self.__dict__)
        copied._take_own_state()
        if self._owned and self._checkpoint is not None:  # what is trained is not shared
            copied._checkpoint = self._checkpoint.copy()
            copied._model = copied._checkpoint.module
        return copied

    def _take_own_state(self) -> None:
        """Share nothing of training with the shim that this is a copy of: the optimizer keeps its
        moments by the id, and the scaler changes with each step."""
        with Shim.global_id_lock:
            Shim.global_id += 1  # not this class's, which would run apart from thinc's
            self.id = Shim.global_id
        self._grad_scaler = copy.deepcopy(self._grad_scaler)
        self.trained = None if self.trained is None else list(self.trained)

    def __getstate__(self) -> dict[str, Any]:
        """Leave weights out that can be loaded again where this is unpickled."""
        state = {**self.__dict__, "_checkpoint": None, "_model": None, "_owned": False}
        if self.source is not None and self.source.is_folder:
            state["source"] = replace(self.source, name=str(Path(self.name).resolve()))
        loaded = self._checkpoint
        changed = loaded is not None and loaded.is_changed
        if changed or (loaded is not None and loaded.is_local and not Path(loaded.name).is_dir()):
            state["_files"] = self.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_files", None)
        self.__dict__.update(state)
        self._take_own_state()
        if files is not None:
            self.from_bytes(files)

    def to_device(self, device_type: str, device_id: int) -> None:
        """Obey thinc's request for a device, e.g. after `spacy.require_gpu()`."""
        device = "cpu" if device_type == "cpu" else f"cuda:{device_id}"
        self.settings = replace(self.settings, device=device)
        loaded = self._checkpoint
        gone = loaded is not None and loaded.is_local and not Path(loaded.name).is_dir()
        if loaded is not None and (loaded.is_changed or gone):  # not to be loaded again
            own = self.own()
            own.use(replace(own.settings, device=device))
        elif loaded is not None:
            self._checkpoint = None
            self.load()
