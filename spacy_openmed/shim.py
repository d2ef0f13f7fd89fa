"""thinc's hold on a checkpoint: loads it when it is needed, saves and copies it."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from thinc.api import PyTorchShim

from .catalogue import lookup
from .checkpoint import Checkpoint, Head, Source, describe, load_checkpoint, read_heads
from .errors import Errors


class CheckpointShim(PyTorchShim):
    """thinc's hold on a checkpoint, which is loaded when it is first needed.

    source (Source | None): Where to load it from. None until the component has chosen.
    device, precision (str): Settings of the engine.
    """

    def __init__(self, source: Source | None, *, device: str, precision: str) -> None:
        super().__init__(None)
        self.source = source
        self.device_name = device
        self.precision = precision
        self._checkpoint: Checkpoint | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """RETURNS (Checkpoint): The checkpoint, loaded now if it was not."""
        return self._checkpoint or self.load()

    def load(self) -> Checkpoint:
        """Load the checkpoint if that has not happened.

        RETURNS (Checkpoint): The checkpoint.
        RAISES (OSError): If it is not there.
        RAISES (ValueError): If it is there but can't be used.
        """
        if self._checkpoint is None:
            if self.source is None:
                raise ValueError(Errors.OM015)
            self._checkpoint = load_checkpoint(
                self.source, device=self.device_name, precision=self.precision
            )
            self._model = self._checkpoint.module
        return self._checkpoint

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
            return read_heads(describe(srsly.read_json(config_path), self.source))
        info = lookup(self.name)
        if info is None:
            return []
        labels = ("O", *(f"B-{label}" for label in info.labels))
        return [Head(info.dataset or self.name, 0, labels, info.recommended_confidence)]

    def to_disk(self, path: str | Path) -> None:
        self.checkpoint.save(Path(path))

    def from_disk(self, path: str | Path) -> "CheckpointShim":
        if not (Path(path) / "config.json").is_file():
            raise OSError(Errors.OM010.format(name=path, file="config.json"))
        self.source = Source(str(path), local_files_only=True)
        self._checkpoint = None
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
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "CheckpointShim":
        copied = CheckpointShim.__new__(CheckpointShim)
        copied.__dict__.update(self.__dict__)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Leave weights out that can be loaded again where this is unpickled."""
        state = {**self.__dict__, "_checkpoint": None, "_model": None}
        if self.source is not None and self.source.is_folder:
            state["source"] = replace(self.source, name=str(Path(self.name).resolve()))
        loaded = self._checkpoint
        if loaded is not None and loaded.is_local and not Path(loaded.name).is_dir():
            state["_files"] = self.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_files", None)
        self.__dict__.update(state)
        if files is not None:
            self.from_bytes(files)

    def to_device(self, device_type: str, device_id: int) -> None:
        """Obey thinc's request for a device, e.g. after `spacy.require_gpu()`."""
        self.device_name = "cpu" if device_type == "cpu" else f"cuda:{device_id}"
        if self._checkpoint is not None:
            self._checkpoint = None
            self.load()
