"""8-bit integers for the linear layers of `PackedEngine`, in PyTorch alone.

Weights have a scale for each output, activations one for each input, found on sample texts:
some inputs of BERT's layers are a hundred times as large as others, which is why PyTorch's own
dynamic quantisation, with one scale for all, changes one sentence in seven. The inputs' scales
are put into the weights, half of each range on either side (Xiao et al. 2023, "SmoothQuant").
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import Errors
from . import made_of
from .packed import OneDnnLinear, PackedEngine, is_packable, join

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint

ZERO = 128  # of activations that go both ways from zero
RANGES = "int8_ranges.npz"  # in the checkpoint's folder


def make_int8_engine(checkpoint: "Checkpoint") -> "Int8Engine":
    """Make the engine, with the ranges that are stored with the checkpoint, or new ones.

    checkpoint (Checkpoint): The checkpoint.
    RETURNS (Int8Engine): The engine.
    RAISES (ValueError): If the processor or the architecture can't.
    """
    module = checkpoint.module
    if not getattr(torch.cpu, "_is_vnni_supported", lambda: False)():
        raise ValueError(Errors.OM026.format(what="this processor, which has no AVX512-VNNI,"))
    if not is_packable(module):
        raise ValueError(Errors.OM026.format(what=f"the architecture {module.config.model_type}"))
    source = made_of(checkpoint)
    stored = None if checkpoint.folder is None else checkpoint.folder / RANGES
    if stored is not None and stored.is_file():
        with np.load(stored, allow_pickle=False) as file:
            if file["made_of"].tobytes() == source.encode("ascii"):
                ranges = {key: file[key] for key in file.files if key != "made_of"}
                return Int8Engine(module, ranges, source)
    ranges = find_ranges(PackedEngine(module), checkpoint.sample_batches())
    return Int8Engine(module, ranges, source)


class Int8Engine(PackedEngine):
    """Run a token classifier of BERT's kind on a CPU, its encoder's linear layers in int8.

    module (PreTrainedModel): The token classifier, in fp32.
    ranges (dict[str, Floats1d]): What the layers read at most on typical texts; see `find_ranges`.
    source (str): What they were made of; see `engines.made_of`.
    """

    def __init__(self, module: Any, ranges: dict[str, np.ndarray], source: str) -> None:
        super().__init__(module)
        self.ranges, self.source = ranges, source
        with torch.inference_mode():
            for i, layer in enumerate(self.layers):
                for name in ("project", "mix"):
                    own = torch.from_numpy(ranges[f"{i}.{name}"])
                    setattr(layer, name, Int8Linear(getattr(layer, name), own))
                down = Int8Linear(layer.down, torch.from_numpy(ranges[f"{i}.down"]))
                up = Int8Linear(layer.up, torch.from_numpy(ranges[f"{i}.up"]), output=down)
                layer.up, layer.down = up, down

    def save(self, folder: Path) -> None:
        source = np.frombuffer(self.source.encode("ascii"), dtype="uint8")
        arrays: dict[str, Any] = {"made_of": source, **self.ranges}
        np.savez(folder / RANGES, **arrays)


def find_ranges(
    engine: PackedEngine, batches: Iterable[Sequence[np.ndarray]]
) -> dict[str, np.ndarray]:
    """Find out what the layers of an engine read.

    engine (PackedEngine): The engine; its layers are changed, so that it is of no more use.
    batches (Iterable[Sequence[Ints1d]]): Windows of typical texts.
    RETURNS (dict[str, Floats1d]): By number and name of the layers: the largest magnitude of each
        of their inputs; for those after a GELU, smallest and largest value of all.
    """
    observers: dict[str, Observer] = {}
    for i, layer in enumerate(engine.layers):
        for name in ("project", "mix", "up", "down"):
            observer = observers[f"{i}.{name}"] = Observer(getattr(layer, name))
            setattr(layer, name, observer)
    for batch in batches:
        engine(batch)
    return {
        key: np.array([x.least.min(), x.most.max()])
        if key.endswith("down")
        else torch.maximum(-x.least, x.most).numpy()
        for key, x in observers.items()
    }


class Observer:
    """Notes the range of what linear layers read.

    linear (OneDnnLinear): The layers.
    """

    def __init__(self, linear: OneDnnLinear) -> None:
        self.linear = linear
        n_inputs = linear.layers[0].in_features
        self.least, self.most = torch.zeros(n_inputs), torch.zeros(n_inputs)

    def __call__(self, x: torch.Tensor, **settings: Any) -> torch.Tensor:
        self.least = torch.minimum(self.least, x.amin(0))
        self.most = torch.maximum(self.most, x.amax(0))
        return self.linear(x, **settings)


class Int8Linear:
    """Linear layers of 8-bit integers. They read and give fp32, but for those between which a
    GELU lies: what they pass on stays in 8 bits.

    linear (OneDnnLinear): The layers in fp32.
    range_ (torch.Tensor): (n_inputs,) Largest magnitude of each input; (2,) if they read 8 bits:
        smallest and largest value of all.
    output (Int8Linear | None): The layers that read their output in 8 bits.
    """

    def __init__(
        self, linear: Any, range_: torch.Tensor, *, output: "Int8Linear | None" = None
    ) -> None:
        weight, bias = join(linear.layers)
        n_outputs, n_inputs = weight.shape
        self.factor, self.zero, self.output = None, ZERO, output
        if len(range_) == 2:
            least, most = range_.tolist()
            self.scale = max(most - least, 1e-6) / 255
            self.zero = round(-least / self.scale)
        else:
            range_ = range_.clamp(min=1e-5)
            smooth = (range_ / weight.abs().amax(0).clamp(min=1e-5)).sqrt()
            self.scale = (range_ / smooth).amax().item() / 127
            self.factor = 1 / (smooth * self.scale)
            weight = weight * smooth
        self.weight_scale = weight.abs().amax(1).clamp(min=1e-8) / 127
        rounded = (weight / self.weight_scale[:, None]).round()
        # The zero point goes into the bias: sum(w * (x - zero)) = sum(w * x) - zero * sum(w).
        shift = self.scale * self.weight_scale * self.zero * rounded.sum(1)
        self.bias = -shift if bias is None else bias - shift
        self.weight_zero = torch.zeros(n_outputs, dtype=torch.int32)
        self.weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), [1024, n_inputs])

    def __call__(
        self, x: torch.Tensor, *, gelu: bool = False, add: torch.Tensor | None = None
    ) -> torch.Tensor:
        linear = torch.ops.onednn.qlinear_pointwise
        if self.factor is not None:
            x = (x * self.factor).add_(ZERO + 0.5).clamp_(0, 255).to(torch.uint8)
        given = (x, self.scale, 0, self.weight, self.weight_scale, self.weight_zero)
        if add is not None:
            real = (1.0, 0, torch.float32, 1.0, 0)
            return linear.binary(*given, add, self.bias, *real, "add", 1.0, "none", [], "")
        format_ = (1.0, 0, torch.float32)
        if self.output is not None:
            format_ = (self.output.scale, self.output.zero, torch.uint8)
        kind, algorithm = ("gelu", "none") if gelu else ("none", "")
        return linear(*given, self.bias, *format_, kind, [], algorithm)
