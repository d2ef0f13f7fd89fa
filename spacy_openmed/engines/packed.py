"""BERT and its kin on a CPU, without padding: the pieces of a batch lie in one row.

All that works piece by piece (nine tenths of the work) needs no padding then. Attention runs
over windows of the same length at once; batches are sorted by length, so these are neighbours.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding

from .attention import Runs, attend
from .base import ARCHITECTURES, Engine, first_position, round_up, watch_memory


def is_packable(module: Any) -> bool:
    """RETURNS (bool): Whether `PackedEngine` can run a token classifier.

    module (PreTrainedModel): The token classifier.
    """
    config = module.config
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and module.device.type == "cpu"
        and _is_fast(module.dtype)
        and config.model_type in ARCHITECTURES
        and getattr(config, "hidden_act", getattr(config, "activation", None)) == "gelu"
        and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
        and not getattr(config, "is_decoder", False)
        and isinstance(getattr(module, "classifier", None), nn.Linear)
    )


def _is_fast(dtype: torch.dtype) -> bool:
    """Whether oneDNN has operators for a number format on this processor."""
    if dtype == torch.float32:
        return True
    name = "bf16" if dtype == torch.bfloat16 else "fp16"
    return getattr(torch.ops.mkldnn, f"_is_mkldnn_{name}_supported", lambda: False)()


class PackedEngine(Engine):
    """Run a token classifier of BERT's kind on a CPU.

    module (PreTrainedModel): The token classifier, in the number format to run in.
    """

    def __init__(self, module: Any) -> None:
        config = module.config
        encoder = module.base_model
        self.n_heads: int = config.num_attention_heads
        self.normalize = Norm(encoder.embeddings.LayerNorm)
        self.first_position = first_position(module)
        self.embeddings = encoder.embeddings
        widen = getattr(encoder, "embeddings_project", None)  # ELECTRA's
        self.widen = None if widen is None else OneDnnLinear(widen)
        stack = encoder.transformer if config.model_type == "distilbert" else encoder.encoder
        self.layers = [Layer(layer) for layer in stack.layer]
        self.classifier = OneDnnLinear(module.classifier)

    @property
    def is_parallel(self) -> bool:
        return True

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        n_windows = len(windows)
        lengths = [len(window) for window in windows]
        # oneDNN makes code for every number of rows that it meets, which takes as long as a short
        # sentence, and keeps some thousand. 32 from one power of two to the next waste 1.6 %.
        longest, n_filler = max(lengths), round_up(sum(lengths), 6) - sum(lengths)
        while n_filler > 0:
            windows = [*windows, np.zeros(min(n_filler, longest), dtype="int64")]
            lengths.append(len(windows[-1]))
            n_filler -= longest
        runs = [(len(list(group)), length) for length, group in groupby(lengths)]
        with watch_memory(windows), torch.inference_mode():
            hidden = self.embed(windows)
            for layer in self.layers:
                hidden = layer(hidden, runs, self.n_heads)
            logits = self.classifier(hidden).float().numpy()
        return np.split(logits, np.cumsum(lengths)[:-1])[:n_windows]

    def embed(self, windows: Sequence[np.ndarray]) -> torch.Tensor:
        """Look the pieces up.

        windows (Sequence[Ints1d]): (n_pieces,) each: their vocabulary ids.
        RETURNS (torch.Tensor): (n_pieces, width) What the first layer reads.
        """
        parts = self.embeddings
        ids = torch.from_numpy(np.concatenate(windows))
        positions = torch.from_numpy(np.concatenate([np.arange(len(w)) for w in windows]))
        hidden = embedding(ids, parts.word_embeddings.weight)
        hidden += embedding(positions + self.first_position, parts.position_embeddings.weight)
        if hasattr(parts, "token_type_embeddings"):
            hidden += parts.token_type_embeddings.weight[0]
        hidden = self.normalize(hidden)
        return hidden if self.widen is None else self.widen(hidden)


class Layer:
    """A layer of the encoder.

    layer (nn.Module): That of transformers.
    """

    project: "Linear"  # to queries, keys and values, side by side
    mix: "Linear"

    def __init__(self, layer: Any) -> None:
        if hasattr(layer, "ffn"):  # DistilBERT
            heads, mix, norm = layer.attention, layer.attention.out_lin, layer.sa_layer_norm
            queries_keys_values = heads.q_lin, heads.k_lin, heads.v_lin
            up, down, output_norm = layer.ffn.lin1, layer.ffn.lin2, layer.output_layer_norm
        else:
            heads, output = layer.attention.self, layer.attention.output
            queries_keys_values = heads.query, heads.key, heads.value
            mix, norm = output.dense, output.LayerNorm
            up, down = layer.intermediate.dense, layer.output.dense
            output_norm = layer.output.LayerNorm
        self.project, self.mix = OneDnnLinear(*queries_keys_values), OneDnnLinear(mix)
        self.feed_forward = FeedForward(OneDnnLinear(up), OneDnnLinear(down))
        self.normalize, self.normalize_output = Norm(norm), Norm(output_norm)

    def __call__(self, hidden: torch.Tensor, runs: Runs, n_heads: int) -> torch.Tensor:
        """Run the layer.

        hidden (torch.Tensor): (n_pieces, width) The pieces.
        runs (Runs): How many windows of which length, in order.
        n_heads (int): Attention heads.
        RETURNS (torch.Tensor): (n_pieces, width) The pieces.
        """
        context = attend(self.project(hidden), runs, n_heads).to(hidden.dtype)
        hidden = self.normalize(self.mix(context, add=hidden))
        return self.normalize_output(self.feed_forward(hidden))


class FeedForward:
    """The part of a layer in which the pieces do not meet.

    up, down (Linear): The layers before and after GELU.
    """

    def __init__(self, up: "Linear", down: "Linear") -> None:
        self.up, self.down = up, down

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run the layers and add what they read.

        hidden (torch.Tensor): (n_pieces, width) The pieces.
        RETURNS (torch.Tensor): (n_pieces, width) The pieces.
        """
        return self.down(self.up(hidden, gelu=True), add=hidden)


class Norm:
    """A layer norm. What it is made of is looked up once: of a short text, that takes as long as
    the norm.

    norm (nn.LayerNorm): That of transformers.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.parts = norm.normalized_shape, norm.weight, norm.bias, norm.eps

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """RETURNS (torch.Tensor): (n_pieces, width) The pieces, normalised."""
        return torch.layer_norm(hidden, *self.parts)


class Linear(Protocol):
    """Linear layers that read the same, and what may come after them."""

    def __call__(
        self, x: torch.Tensor, *, gelu: bool = False, add: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Apply the layers.

        x (torch.Tensor): (n, n_inputs) What they read.
        gelu (bool): Whether GELU comes after them.
        add (torch.Tensor | None): (n, n_outputs) What to add in the end.
        RETURNS (torch.Tensor): (n, n_outputs) Their outputs, side by side.
        """
        ...


class OneDnnLinear:
    """Linear layers in oneDNN's own layout of weights.

    For fp32, PyTorch takes MKL, which reaches as little as 43 % of what some AMD processors can
    do. These operators are those that `torch.compile` writes where weights are frozen.

    layers (nn.Linear): The layers.
    """

    def __init__(self, *layers: nn.Linear) -> None:
        self.layers = layers
        with torch.inference_mode():
            weight, self.bias = join(layers)
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, 1024)

    def __call__(
        self, x: torch.Tensor, *, gelu: bool = False, add: torch.Tensor | None = None
    ) -> torch.Tensor:
        linear = torch.ops.mkldnn._linear_pointwise
        if add is not None:
            return linear.binary(x, add, self.weight, self.bias, "add")
        kind, algorithm = ("gelu", "none") if gelu else ("none", "")
        return linear.default(x, self.weight, self.bias, kind, [], algorithm)


def join(layers: Sequence[nn.Linear]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """RETURNS (tuple[torch.Tensor, torch.Tensor | None]): (n_outputs, n_inputs) and (n_outputs,)
    Weight and bias of linear layers side by side."""
    biases: list[torch.Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    weights: list[torch.Tensor] = [layer.weight for layer in layers]
    return torch.cat(weights).detach(), torch.cat(biases).detach() if biases else None
