"""Attention on a CPU, for `PackedEngine`. Windows of one length run together, without padding.

Without AMX, PyTorch's kernel is slower than its matrix products need to be. In fp32 it calls MKL,
which does not use all of an AMD processor with AVX-512. In bf16, softmax takes half of the time.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
# Whether PyTorch's own attention in bf16 runs on the processor's matrix unit.
HAS_AMX = HAS_AVX512 and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
LONG_RUN = 32 if HAS_AMX else 128  # pieces from which on attention in bf16 is faster than in fp32
LONG_WINDOW = 224  # pieces from which on, in one thread, fp32 is faster head by head
STEP = 16  # windows are padded to a multiple of it: oneDNN compiles code for every new length
# Softmax is the same in powers of 2, which PyTorch computes faster than those of e.
LOG2_E = math.log2(math.e)
# Bounds of the exponents of 2. Sums of 2**100 do not overflow, in bf16 either. Weights below
# 2**-100 could make products subnormal, which take a hundred times as long.
MIN_EXPONENT, MAX_EXPONENT = -100.0, 100.0
SHIFT = 40.0  # subtracted from every exponent head by head: high scores reach further than low ones
# Between these, clipping does not matter: a weight clipped at the top is more than MAX_SUM, and 512
# clipped at the bottom are less than 1e-7 of MIN_SUM.
MIN_SUM, MAX_SUM = 1e-20, 1e30

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
        kernel = choose_kernel(part.dtype, length)
        context = kernel(queries, keys, values)
        mixed.append(context.transpose(1, 2).reshape(count * length, -1))
    return torch.cat(mixed) if len(mixed) > 1 else mixed[0]


def choose_kernel(dtype: torch.dtype, length: int) -> Kernel:
    """Choose the fastest kernel. That of PyTorch is faster with AMX and with AVX2 alone.

    dtype (torch.dtype): The number format.
    length (int): Pieces of a window.
    RETURNS (Kernel): The kernel, for as many threads as there are now.
    """
    if HAS_AMX or not HAS_AVX512:
        return scaled_dot_product_attention
    if dtype == torch.bfloat16:
        return attend_in_bf16
    if dtype == torch.float32 and length >= LONG_WINDOW and torch.get_num_threads() == 1:
        return attend_by_head
    return scaled_dot_product_attention


def attend_in_bf16(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Compute attention in half the time of PyTorch's kernel. Scores are rounded to bf16.

    The largest score is subtracted only if some score is out of bounds. The mixed values are
    divided by the sums of the weights, which is less work than to divide the weights.

    queries, keys, values (torch.Tensor): (n_windows, n_heads, n_pieces, head_width)
    RETURNS (torch.Tensor): (n_windows, n_heads, n_pieces, head_width) The values, mixed.
    """
    shape = queries.shape
    queries, keys, values = (x.reshape(-1, *shape[2:]) for x in (queries, keys, values))
    scale, ignored = LOG2_E * shape[-1] ** -0.5, queries.new_empty(1)
    scores = torch.baddbmm(ignored, queries, keys.transpose(1, 2), beta=0, alpha=scale)
    least, most = scores.aminmax()
    if not (least > MIN_EXPONENT and most < MAX_EXPONENT):
        scores.sub_(scores.amax(-1, keepdim=True)).clamp_(min=MIN_EXPONENT)
    sums = scores.exp2_().sum(-1, keepdim=True)
    return torch.bmm(scores, values).div_(sums).view(shape)


def attend_by_head(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Compute attention in fp32 with oneDNN's matrix products, one head at a time, so that its
    scores stay in the core's cache. For inference only.

    One constant is subtracted from all scores, not each query's largest. If a sum of weights is
    then out of bounds, PyTorch's kernel computes all windows again. A NaN in a key alone goes
    unnoticed; `PackedEngine` has none that is not in the values too.

    queries, keys, values (torch.Tensor): (n_windows, n_heads, n_pieces, head_width)
    RETURNS (torch.Tensor): (n_windows, n_heads, n_pieces, head_width) The values, mixed.
    """
    multiply = torch.ops.mkldnn._linear_pointwise.default  # x @ y.T + bias
    *counts, n_pieces, width = queries.shape
    n_padded = -(-n_pieces // STEP) * STEP
    padded = queries.new_empty(3, *counts, n_padded, width)
    padded[..., n_pieces:, :] = 0
    unpadded = padded[..., :n_pieces, :]
    torch.mul(queries, LOG2_E * width**-0.5, out=unpadded[0])
    unpadded[1].copy_(keys)
    unpadded[2].copy_(values)
    bias = queries.new_full((n_padded,), -SHIFT)
    bias[n_pieces:] = MIN_EXPONENT  # of the padding, which has no score
    limits = [MIN_EXPONENT, MAX_EXPONENT]
    query, key, value = padded.flatten(1, 2)
    mixed, sums = [], []
    for q, k, v in zip(query, key, value.transpose(1, 2), strict=True):
        weights = multiply(q, k, bias, "hardtanh", limits, "").exp2_()
        mixed.append(multiply(weights, v, None, "none", [], ""))
        sums.append(weights.sum(-1, True))
    total = torch.stack(sums, 1)
    least, most = total.aminmax()
    if not (least > MIN_SUM and most < MAX_SUM):
        return scaled_dot_product_attention(queries, keys, values)
    context = torch.stack(mixed, 1).div_(total)  # the heads side by side, as the next layer reads
    return context[:n_pieces].unflatten(1, counts).permute(1, 2, 0, 3)


def find_error(head_width: int) -> float:
    """Compare `attend_by_head` with PyTorch's kernel, where it is in use.

    head_width (int): The width of queries, keys and values.
    RETURNS (float): The norm of the difference, as a share of the result's.
    """
    if HAS_AMX or not HAS_AVX512:
        return 0.0
    chance = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        queries, keys, values = torch.randn(3, 1, 2, 40, head_width, generator=chance)
        expected = scaled_dot_product_attention(queries, keys, values)
        return float((attend_by_head(queries, keys, values) - expected).norm() / expected.norm())
