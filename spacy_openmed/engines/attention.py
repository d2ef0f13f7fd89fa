"""Attention on a CPU, for `PackedEngine`: windows without padding, those of a length at once.

Where there is no AMX, PyTorch's own kernel takes longer than its matrix products need: in fp32 it
calls MKL, which does not use all of some AMD processors, and in bf16 softmax is half of its time.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
# Whether PyTorch's own attention in bf16 runs on the processor's matrix unit.
HAS_AMX = HAS_AVX512 and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
LONG_RUN = 32 if HAS_AMX else 128  # pieces from which on attention in bf16 is faster than in fp32
LONG_WINDOW = 224  # pieces from which on, in one thread, fp32 is faster a head at a time
STEP = 16  # pieces: oneDNN makes code for every size that it meets
# Softmax is the same in powers of 2, which PyTorch computes faster than those of e.
LOG2_E = math.log2(math.e)
# Exponents of 2: sums of 2**100 are far from the largest number, also in bf16, and weights of
# 2**-100 from the smallest. Below that, a product takes a hundred times as long.
LEAST_SCORE, MOST_SCORE = -100.0, 100.0
SHIFT = 40.0  # what scores are lowered by, if by a constant: they reach further up than down
LEAST_SUM, MOST_SUM = 1e-20, 1e30  # of weights: what is clipped does not matter

Runs = Sequence[tuple[int, int]]  # how many windows of which length, in order
Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def attend(projected: torch.Tensor, runs: Runs, n_heads: int) -> torch.Tensor:
    """Mix the pieces of each window.

    projected (torch.Tensor): (n_pieces, 3 * width) Queries, keys and values.
    runs (Runs): How many windows of which length, in order.
    n_heads (int): Attention heads.
    RETURNS (torch.Tensor): (n_pieces, width) The values, mixed; of short runs in fp32.
    """
    if len(projected) < LONG_RUN * len(runs):
        projected = projected.float()
    mixed = []
    sizes = [count * length for count, length in runs]
    parts = projected.split(sizes) if len(runs) > 1 else [projected]
    for (count, length), part in zip(runs, parts, strict=True):
        queries, keys, values = part.view(count, length, 3, n_heads, -1).permute(2, 0, 3, 1, 4)
        kernel = _choose_kernel(part.dtype, length)
        context = kernel(queries, keys, values)
        mixed.append(context.transpose(1, 2).reshape(count * length, -1))
    return torch.cat(mixed) if len(mixed) > 1 else mixed[0]


def _choose_kernel(dtype: torch.dtype, length: int) -> Kernel:
    """The fastest for a number format and a length of windows, in the threads there are now."""
    if HAS_AMX or not HAS_AVX512:
        return scaled_dot_product_attention
    if dtype == torch.bfloat16:
        return attend_in_bf16
    if dtype == torch.float32 and length >= LONG_WINDOW and torch.get_num_threads() == 1:
        return attend_by_head
    return scaled_dot_product_attention


def attend_in_bf16(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """As PyTorch's kernel, in half the time. Where no score is large there is no need to subtract
    the largest (bf16 goes as far as fp32), and to divide the mixed values is less work than to
    divide the weights.

    queries, keys, values (torch.Tensor): (n_windows, n_heads, n_pieces, head_width)
    RETURNS (torch.Tensor): (n_windows, n_heads, n_pieces, head_width) The values, mixed.
    """
    shape = queries.shape
    queries, keys, values = (x.reshape(-1, *shape[2:]) for x in (queries, keys, values))
    scale, none = LOG2_E * shape[-1] ** -0.5, queries.new_empty(1)
    scores = torch.baddbmm(none, queries, keys.transpose(1, 2), beta=0, alpha=scale)
    least, most = scores.aminmax()
    if not (least > LEAST_SCORE and most < MOST_SCORE):
        scores.sub_(scores.amax(-1, keepdim=True)).clamp_(min=LEAST_SCORE)
    sums = scores.exp2_().sum(-1, keepdim=True)
    return torch.bmm(scores, values).div_(sums).view(shape)


def attend_by_head(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """As PyTorch's kernel in fp32, in oneDNN's matrix products, one head of a window after the
    other: its scores stay in the core's cache.

    The same is taken off all scores, not the largest off those of each query. If that is too far
    from the largest, PyTorch's kernel has to do it.

    queries, keys, values (torch.Tensor): (n_windows, n_heads, n_pieces, head_width)
    RETURNS (torch.Tensor): (n_windows, n_heads, n_pieces, head_width) The values, mixed.
    """
    multiply = torch.ops.mkldnn._linear_pointwise.default  # x @ y.T + bias
    *counts, n_pieces, width = queries.shape
    n_padded = n_pieces + -n_pieces % STEP
    padded = queries.new_empty(3, *counts, n_padded, width)
    padded[..., n_pieces:, :] = 0
    room = padded[..., :n_pieces, :]
    torch.mul(queries, LOG2_E * width**-0.5, out=room[0])
    room[1].copy_(keys)
    room[2].copy_(values)
    shift = queries.new_full((n_padded,), -SHIFT)
    shift[n_pieces:] = 2 * LEAST_SCORE  # the filler weighs nothing
    limits = [LEAST_SCORE, MOST_SCORE]
    query, key, value = padded.flatten(1, 2)
    mixed, sums = [], []
    for q, k, v in zip(query, key, value.transpose(1, 2), strict=True):
        weights = multiply(q, k, shift, "hardtanh", limits, "").exp2_()
        mixed.append(multiply(weights, v, None, "none", [], ""))
        sums.append(weights.sum(-1, True))
    total = torch.stack(sums, 1)
    least, most = total.aminmax()
    if not (least > LEAST_SUM and most < MOST_SUM):
        return scaled_dot_product_attention(queries, keys, values)
    context = torch.stack(mixed, 1).div_(total)  # the heads side by side, as the next layer reads
    return context[:n_pieces].unflatten(1, counts).permute(1, 2, 0, 3)
