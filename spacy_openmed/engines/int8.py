"""8-bit integers for the linear layers of `PackedEngine`, in PyTorch alone.

Weights have a scale for each output, activations one for each input, found on sample texts:
some inputs of BERT's layers are a hundred times as large as others, which is why PyTorch's own
dynamic quantisation, with one scale for all, changes one sentence in seven. The inputs' scales
are put into the weights, half of each range on either side (Xiao et al. 2023, "SmoothQuant").
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from .packed import OneDnnLinear, PackedEngine, join

ZERO = 128  # of activations that go both ways from zero


def quantize(engine: PackedEngine, batches: Iterable[Sequence[np.ndarray]]) -> None:
    """Put 8-bit layers in the place of an engine's fp32 ones.

    engine (PackedEngine): The engine.
    batches (Iterable[Sequence[Ints1d]]): Windows of typical texts.
    """
    names = ("project", "mix", "up", "down")
    observers = [{name: Observer(getattr(x, name)) for name in names} for x in engine.layers]
    for layer, observed in zip(engine.layers, observers, strict=True):
        for name, observer in observed.items():
            setattr(layer, name, observer)
    for batch in batches:
        engine(batch)
    with torch.inference_mode():
        for layer, observed in zip(engine.layers, observers, strict=True):
            for name in ("project", "mix", "down"):
                setattr(layer, name, Int8Linear(observed[name], is_quantized=name == "down"))
            layer.up = Int8Linear(observed["up"], output=layer.down)


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

    observer (Observer): The layers, and the ranges of what they read.
    is_quantized (bool): Whether what they read is in 8 bits already.
    output (Int8Linear | None): The layer that reads theirs in 8 bits.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        is_quantized: bool = False,
        output: "Int8Linear | None" = None,
    ) -> None:
        weight, bias = join(observer.linear.layers)
        n_outputs, n_inputs = weight.shape
        self.factor = None
        self.zero = ZERO
        if is_quantized:
            least, most = observer.least.min(), observer.most.max()
            self.scale = max((most - least).item(), 1e-6) / 255
            self.zero = round(-least.item() / self.scale)
        else:
            range_ = torch.maximum(-observer.least, observer.most).clamp(min=1e-5)
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
        self.output = output

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
