"""8-bit integers for the linear layers of `PackedEngine`, in PyTorch alone.

Weights have a scale for each output, activations one for each input, found on sample texts:
some inputs of BERT's layers are a hundred times as large as others, which is why PyTorch's own
dynamic quantisation, with one scale for all, changes one sentence in seven. The inputs' scales
are put into the weights (Xiao et al. 2023, "SmoothQuant").
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import gelu, linear

from ..errors import Errors
from .base import Runnable, made_of
from .packed import FeedForward, OneDnnLinear, PackedEngine, is_packable, join
from .torch import has_vnni

PARTS = ("project", "mix", "up", "down")  # the linear layers of a layer
ZERO = 128  # of activations that go both ways from zero
LEAST_GELU = -0.17  # GELU's smallest value
# How much of the differences between inputs goes to the weights, which bear more: each output's
# have a scale of their own.
SMOOTH = 0.75
N_OUTLIERS = 8  # of what comes of a GELU: these are not rounded
RANGES = "int8_largest.npz"  # in the checkpoint's folder


def make_int8_engine(checkpoint: Runnable) -> "Int8Engine":
    """Make the engine, with the ranges that are stored with the checkpoint, or new ones.

    checkpoint (Runnable): The checkpoint.
    RETURNS (Int8Engine): The engine.
    RAISES (ValueError): If the processor or the architecture can't.
    """
    module = checkpoint.module
    if not has_vnni():
        raise ValueError(Errors.OM157)
    if not is_packable(module):
        what = f"the architecture {module.config.model_type}"
        raise ValueError(Errors.OM153.format(what=what, precision="int8"))
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
    """Run a token classifier of BERT's kind on a CPU, its encoder's linear layers in int8 and its
    attention in bf16 where the processor has that.

    module (PreTrainedModel): The token classifier, in fp32.
    ranges (dict[str, Floats1d]): What the layers read at most on typical texts; see `find_ranges`.
    source (str): What they were made of; see `engines.made_of`.
    """

    def __init__(self, module: Any, ranges: dict[str, np.ndarray], source: str) -> None:
        super().__init__(module)
        self.ranges, self.source = ranges, source
        # Where PyTorch does not tell, fp32: bf16 that is emulated is slower.
        has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        dtype = torch.bfloat16 if has_bf16 else torch.float32
        with torch.inference_mode():
            for i, layer in enumerate(self.layers):
                project, mix, up, down = (torch.from_numpy(ranges[f"{i}.{x}"]) for x in PARTS)
                layer.project = Int8Linear(*_join(layer.project), project, dtype=dtype)
                layer.mix = Int8Linear(*_join(layer.mix), mix)
                layer.feed_forward = Int8FeedForward(layer.feed_forward, up, down)

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
        of their inputs.
    """
    observers: dict[str, Observer] = {}
    for i, layer in enumerate(engine.layers):
        for name in PARTS:
            owner = layer.feed_forward if name in ("up", "down") else layer
            observer = observers[f"{i}.{name}"] = Observer(getattr(owner, name))
            setattr(owner, name, observer)
    for batch in batches:
        engine(batch)
    return {key: observer.most.numpy() for key, observer in observers.items()}


class Observer:
    """Notes the range of what linear layers read.

    linear (OneDnnLinear): The layers.
    """

    def __init__(self, linear: OneDnnLinear) -> None:
        self.linear = linear
        self.most = torch.zeros(linear.layers[0].in_features)

    def __call__(self, x: torch.Tensor, **settings: Any) -> torch.Tensor:
        self.most = torch.maximum(self.most, x.abs().amax(0))
        return self.linear(x, **settings)


def _join(linear: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    return join(linear.layers)


class Int8FeedForward(FeedForward):
    """The two layers with GELU between them in 8-bit integers, what they pass on too.

    The `N_OUTLIERS` outputs of the GELU that are largest on typical texts stay in fp32: one alone
    can be three times as large as all others, and the steps of all would be as coarse as its own.

    layers (FeedForward): The layers in fp32.
    up_range, down_range (torch.Tensor): (n_inputs,) Largest magnitude of each of their inputs.
    """

    def __init__(
        self, layers: FeedForward, up_range: torch.Tensor, down_range: torch.Tensor
    ) -> None:
        up_weight, up_bias = _join(layers.up)
        down_weight, down_bias = _join(layers.down)
        order = down_range.argsort(descending=True)
        outliers, others = order.tensor_split([min(N_OUTLIERS, len(order) - 1)])
        self.up_outliers = up_weight[outliers], None if up_bias is None else up_bias[outliers]
        self.down_outliers = down_weight[:, outliers].T.contiguous()
        down_weight[:, outliers] = 0
        self.down = Int8Linear(down_weight, down_bias, down_range[others].amax())
        self.up = Int8Linear(up_weight, up_bias, up_range, output=self.down)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        outliers = gelu(linear(hidden, *self.up_outliers))
        add = torch.addmm(hidden, outliers, self.down_outliers)
        return self.down(self.up(hidden, gelu=True), add=add)


class Int8Linear:
    """Linear layers of 8-bit integers. They read and give real numbers, but for those between
    which a GELU lies: what they pass on stays in 8 bits.

    weight (torch.Tensor): (n_outputs, n_inputs) Their weight.
    bias (torch.Tensor | None): (n_outputs,) Their bias.
    range_ (torch.Tensor): (n_inputs,) Largest magnitude of each input; () for what comes of a
        GELU, in 8 bits: the largest of all.
    dtype (torch.dtype): What they give.
    output (Int8Linear | None): The layers that read their output in 8 bits.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        range_: torch.Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        output: "Int8Linear | None" = None,
    ) -> None:
        n_outputs, n_inputs = weight.shape
        self.factor: torch.Tensor | None = None
        if range_.ndim == 0:
            self.scale = (max(range_.item(), -LEAST_GELU) - LEAST_GELU) / 255
            zero = round(-LEAST_GELU / self.scale)
        else:
            range_ = range_.clamp(min=1e-5)
            smooth = range_**SMOOTH / weight.abs().amax(0).clamp(min=1e-5) ** (1 - SMOOTH)
            self.scale, zero = (range_ / smooth).amax().item() / 127, ZERO
            self.factor = 1 / (smooth * self.scale)
            self.half = torch.tensor(zero + 0.5)  # what is cut off is rounded then
            weight = weight * smooth
        self.zero = zero
        self.format = (1.0, 0, dtype)
        if output is not None:
            self.format = (output.scale, output.zero, torch.uint8)
        self.weight_scale = weight.abs().amax(1).clamp(min=1e-8) / 127
        rounded = (weight / self.weight_scale[:, None]).round()
        # The zero point goes into the bias: sum(w * (x - zero)) = sum(w * x) - zero * sum(w).
        shift = self.scale * self.weight_scale * zero * rounded.sum(1)
        self.bias = -shift if bias is None else bias - shift
        self.weight_zero = torch.zeros(n_outputs, dtype=torch.int32)
        self.weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), [1024, n_inputs])

    def __call__(
        self, x: torch.Tensor, *, gelu: bool = False, add: torch.Tensor | None = None
    ) -> torch.Tensor:
        run = torch.ops.onednn.qlinear_pointwise
        if self.factor is not None:
            x = torch.addcmul(self.half, x, self.factor).clamp_(0, 255).to(torch.uint8)
        given = (x, self.scale, 0, self.weight, self.weight_scale, self.weight_zero)
        if add is not None:
            return run.binary(
                *given, add, self.bias, *self.format, 1.0, 0, "add", 1.0, "none", [], ""
            )
        kind, algorithm = ("gelu", "none") if gelu else ("none", "")
        return run(*given, self.bias, *self.format, kind, [], algorithm)
