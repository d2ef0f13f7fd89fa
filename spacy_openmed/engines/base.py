"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

import hashlib
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import Errors

# Model types that torch runs on a CPU without padding: layers are those of BERT, where a norm comes
# after each sum.
ARCHITECTURES = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")


class Engine(ABC):
    """What the component needs of an engine."""

    @property
    def is_async(self) -> bool:
        """RETURNS (bool): Whether `begin` comes back before the device is done."""
        return False

    @property
    def is_parallel(self) -> bool:
        """RETURNS (bool): Whether several threads may call it, each to compute its own batch."""
        return False

    def begin(self, windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        """Start to predict a batch of windows.

        windows (Sequence[Ints1d]): As for a call.
        RETURNS (Callable[[], list[Floats2d]]): Waits for what a call gives.
        RAISES (MemoryError): If the batch does not fit into the device's memory.
        """
        logits = self(windows)
        return lambda: logits

    @abstractmethod
    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Predict a batch of windows.

        windows (Sequence[Ints1d]): (n_pieces,) each: Piece ids, special ones included.
        RETURNS (list[Floats2d]): (n_pieces, n_labels) each: float32 logits, in the same order.
        RAISES (MemoryError): If the batch does not fit into the device's memory.
        """

    def save(self, folder: Path) -> None:
        """Write what took long to make, if anything did, next to the weights it was made of.

        folder (Path): The checkpoint's folder.
        """
        return None


@dataclass(frozen=True)
class EngineSettings:
    """How a checkpoint runs.

    name (str): A key of `engines.registry.ENGINES`.
    device (str): See `engines.torch.resolve_device`.
    precision (str): "auto", "fp32", "bf16", "fp16" or "int8".
    calibration (str | None): A file with sample texts for int8, one a line. None: our own.
    compile (bool): Whether torch compiles the module.
    """

    name: str = "torch"
    device: str = "auto"
    precision: str = "auto"
    calibration: str | None = None
    compile: bool = False


class Runnable(Protocol):
    """What an engine needs of a checkpoint; see `checkpoints.checkpoint.Checkpoint`."""

    name: str
    module: Any
    settings: EngineSettings
    device: Any
    folder: Path | None
    pad: int
    prefix: Any
    suffix: Any
    limit: int

    @property
    def has_no_weights(self) -> bool: ...

    def encode(self, texts: list[str]) -> Any: ...

    def sample_batches(self) -> list[list[np.ndarray]]: ...


@contextmanager
def converting(module: Any, engine: str) -> Iterator[None]:
    """Say which engine could not convert a checkpoint; what tracing warns of is kept quiet.

    module (PreTrainedModel): The token classifier.
    engine (str): The engine.
    RAISES (ValueError): If what is done inside fails.
    """
    module.eval()
    try:
        with warnings.catch_warnings(), quiet_transformers():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        architecture = module.config.model_type
        raise ValueError(Errors.OM154.format(engine=engine, architecture=architecture)) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and loading reports off the user's screen. What they
    warn of (a missing head) is an error here."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


# What torch, CUDA and its libraries, oneDNN, OpenVINO and ONNX Runtime say when they get no memory.
# Most of them have no error of its own for that.
_NO_MEMORY = re.compile(
    r"out.of.memory|not enough memory|bad.alloc|ALLOC_FAILED"
    r"|(?:can't|cannot|could not|failed to|unable to) alloc(?:ate (?:\w+ )?memory\b(?! for inc)|\b)"
    r"|could not create a memory\b(?! desc)",
    re.IGNORECASE,
)


def is_out_of_memory(error: Exception) -> bool:
    """RETURNS (bool): Whether a library failed because it got no memory."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


@contextmanager
def watch_memory(windows: Sequence[np.ndarray]) -> Iterator[None]:
    """Raise the same error for every library that gets no memory.

    windows (Sequence[Ints1d]): The batch.
    RAISES (MemoryError): If a library fails because it gets no memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            Errors.OM156.format(
                n=len(windows),
                longest=max(map(len, windows)),
                error=" ".join(str(error).split())[:300] or type(error).__name__,
            )
        ) from error


def first_position(module: Any) -> int:
    """Get the number of the first position of a window. RoBERTa and its relatives number
    positions from the padding id up (spaCy#7381), which shortens what they take.

    module (PreTrainedModel): The token classifier.
    RETURNS (int): 0, or one more than the padding id.
    """
    for name, part in module.base_model.named_modules():
        if name.rpartition(".")[2] == "position_embeddings":
            padding: int | None = getattr(part, "padding_idx", None)
            return 0 if padding is None else padding + 1
    return 0


def made_of(checkpoint: Runnable) -> str:
    """RETURNS (str): What a converted or calibrated checkpoint says it was made of: the weights
    and, for int8, whose sample texts. It is used again only where that is the same."""
    settings = checkpoint.settings
    sample = "own-" if settings.calibration is not None else ""
    kind = f"int8-{sample}" if settings.precision == "int8" else "fp32-"
    return kind + fingerprint(checkpoint.module.state_dict())


def fingerprint(state: Mapping[str, Any]) -> str:
    """RETURNS (str): A hash of all weights of a module, whatever format they are stored in."""
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted(state.items()):
        digest.update(key.encode("utf8"))
        digest.update(np.ascontiguousarray(value.detach().float().cpu().numpy()).data)
    return digest.hexdigest()


def round_up(number: int, n_bits: int) -> int:
    """Round a size up to one that is met again.

    number (int): The size.
    n_bits (int): How many of its leading bits may be set.
    RETURNS (int): The next number that has no others.
    """
    step = 1 << max(number.bit_length() - n_bits, 0)
    return -(-number // step) * step
