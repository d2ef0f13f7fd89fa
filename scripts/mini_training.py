"""Shared code of the scripts that train `mini`: a fast attention, and resumable runs.

Started with `torchrun --nproc-per-node 2 SCRIPT …`, two processes train together, each on every
other batch. On two busy cores this is several times as fast as one process with two threads, which
would wait for each other hundreds of times per step.
"""

import argparse
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
import transformers

ATTENTION = "bmm"
T = TypeVar("T")


class _Attention(torch.autograd.Function):
    """Attention by batched matrix products in the precision of its input.

    The backward pass of PyTorch's fused attention takes a third of a training step on a CPU, and
    eager attention makes its softmax in fp32. This takes 0.6 of the time of either.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        batch, heads, length, width = query.shape
        query, key, value = (
            x.reshape(batch * heads, length, width) for x in (query * scale, key, value)
        )
        weights = torch.bmm(query, key.transpose(1, 2))
        if mask is not None:
            weights.view(batch, heads, length, length).add_(mask)
        weights = torch.softmax(weights, -1)
        ctx.save_for_backward(query, key, value, weights)
        ctx.scale, ctx.shape = scale, (batch, heads, length, width)
        return torch.bmm(weights, value).view(ctx.shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        grad = grads[0].reshape(query.shape)
        grad_value = torch.bmm(weights.transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, value.transpose(1, 2))
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_query = torch.bmm(grad_scores, key) * ctx.scale
        grad_key = torch.bmm(grad_scores.transpose(1, 2), query)
        parts = (x.view(ctx.shape) for x in (grad_query, grad_key, grad_value))
        return *parts, None, None


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function as transformers calls it, without dropout."""
    mask = attention_mask
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -1e4)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    output = _Attention.apply(query, key, value, mask, scale)
    return output.transpose(1, 2).contiguous(), None


def attention_for_training() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Arguments of `from_pretrained`. Dropout of attention weights halves
    the speed of a CPU and is left out."""
    name = "sdpa" if torch.cuda.is_available() or not _register_attention() else ATTENTION
    return {"attention_probs_dropout_prob": 0.0, "attn_implementation": name}


def _register_attention() -> bool:
    """RETURNS (bool): Whether BERT accepts our attention. In older transformers it does not."""
    from transformers.models.bert import modeling_bert

    if not hasattr(modeling_bert, "ALL_ATTENTION_FUNCTIONS"):
        return False
    from transformers.masking_utils import sdpa_mask

    transformers.AttentionInterface.register(ATTENTION, attention)
    transformers.AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    return True


# Lengths of batches, with [CLS] and [SEP]. A matrix product's kernel is compiled for its shape the
# first time; with as many shapes as there are lengths, that takes longer than the products.
BUCKETS = (32, 64, 96, 128, 192, 256, 384, 512)


def make_batches(
    items: Iterable[T], n_pieces: Callable[[T], int], batch_pieces: int, rng: random.Random
) -> list[list[T]]:
    """Group passages of about one length.

    items (Iterable): The passages, in random order.
    n_pieces (Callable): RETURNS the number of an item's pieces, with the special ones.
    batch_pieces (int): Pieces of a batch, with the padding.
    rng (Random): For the order of the batches.
    RETURNS (list[list]): The batches.
    """
    batches: list[list[T]] = []
    open_batches: dict[int, list[T]] = {length: [] for length in BUCKETS}
    for item in items:
        length = bucket(n_pieces(item))
        batch = open_batches[length]
        batch.append(item)
        if len(batch) == batch_rows(length, batch_pieces):
            batches.append(batch)
            open_batches[length] = []
    batches += filter(None, open_batches.values())
    rng.shuffle(batches)
    return batches


def bucket(n_pieces: int) -> int:
    """RETURNS (int): The length of the batch that a passage goes to."""
    return next(length for length in BUCKETS if n_pieces <= length)


def batch_rows(length: int, batch_pieces: int) -> int:
    """RETURNS (int): How many passages a batch of a length has."""
    return max(1, batch_pieces // length)


def learning_rate(step: int, total: int, peak: float, *, warmup: float, decay: float) -> float:
    """Up to the peak in the first share of the steps, and down to zero in the last."""
    up = (step + 1) / max(warmup * total, 1)
    down = (total - step) / max(decay * total, 1)
    return peak * max(0.0, min(1.0, up, down))


class Average:
    """An exponential average of the weights: as good as a decayed learning rate, at any time."""

    def __init__(self, model: Any, decay: float, every: int = 5) -> None:
        self.model, self.decay, self.every = model, decay, every
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, step: int) -> None:
        if step % self.every:
            return
        decay = min(self.decay, (1 + step) / (10 + step)) ** self.every
        own = self.model.state_dict()
        keys = [key for key, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.weights[key] for key in keys], [own[key] for key in keys], 1 - decay
        )

    def save(self, folder: Path, tokenizer: Any) -> None:
        self.model.save_pretrained(folder, state_dict=self.weights)
        tokenizer.save_pretrained(folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a run."""
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the steps")
    parser.add_argument("--decay", type=float, default=0.9, help="share of the steps; 0: none")
    parser.add_argument("--average", type=float, default=0.999, help="of the weights, by step")
    parser.add_argument("--batch-pieces", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="autocast; needs AVX512-BF16 or a GPU")
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--max-minutes", type=float, help="stop then, to go on another time")


# Arguments that do not change what is learned.
FREE = ("output", "save_minutes", "max_minutes")


class Run:
    """A training run that can be stopped and resumed.

    model (PreTrainedModel): What is trained.
    args (Namespace): The script's arguments, with those of `add_arguments`.
    total (int): Steps of the whole run.
    """

    def __init__(self, model: Any, tokenizer: Any, args: argparse.Namespace, total: int) -> None:
        self.model, self.tokenizer, self.args = model, tokenizer, args
        self.rank, self.world = 0, 1
        if "WORLD_SIZE" in os.environ:
            dist.init_process_group("gloo")
            self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.total = total // self.world  # steps
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(self.device).train()
        decay = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
            lr=args.lr,
            fused=True,
        )
        self.average = Average(model, args.average)
        self.path = args.output / "training.pt"
        self.settings = {k: str(v) for k, v in vars(args).items() if k not in FREE}
        self.settings["world"] = str(self.world)
        for name, value in vars(args).items():
            if isinstance(value, Path) and value.is_file():
                self.settings[name] = hashlib.sha256(value.read_bytes()).hexdigest()
        self.extra: dict[str, Any] = {}  # further state that the script needs to resume
        self.done = 0  # steps
        self.started = self.saved = time.monotonic()
        args.output.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            self._resume()
        if self.rank:  # other dropout than in the first process
            torch.manual_seed(10**6 * args.seed + 1000 * self.rank + self.done)

    def _resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        if state["settings"] != self.settings:
            raise SystemExit(f"{self.path} is of a run with other arguments. Delete it to start.")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.weights = state["average"]
        torch.set_rng_state(state["rng"])
        self.done = state["step"]
        self.extra = state["extra"]
        print(f"resuming at step {self.done} of {self.total}", flush=True)

    def save(self) -> None:
        """Write the state that `_resume` reads, atomically."""
        if self.rank:
            return
        partial = self.path.with_suffix(".tmp")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.weights,
            "rng": torch.get_rng_state(),
            "settings": self.settings,
            "step": self.done,
            "extra": self.extra,
        }
        torch.save(state, partial)
        partial.replace(self.path)

    def export(self, name: str) -> None:
        """Write the averaged weights to the folder `average-NAME`."""
        if self.rank == 0:
            self.average.save(self.args.output / f"average-{name}", self.tokenizer)

    def finish(self) -> None:
        """Write the last weights to the folder `final`, and delete the state to resume from."""
        if self.rank:
            return
        self.model.save_pretrained(self.args.output / "final")
        self.tokenizer.save_pretrained(self.args.output / "final")
        self.path.unlink(missing_ok=True)

    def steps(
        self,
        batches: Callable[[int], Iterable[Any]],
        loss: Callable[[Any], tuple[torch.Tensor, int]],
        checkpoints: dict[int, str] | None = None,
    ) -> bool:
        """Train on the remaining batches.

        batches (Callable): RETURNS the batches of the run from a number on, in order. Each process
            trains on its own share.
        loss (Callable): RETURNS the loss of a batch and the number of its pieces.
        checkpoints (dict[int, str]): After which batches the average is written, and its name.
        RETURNS (bool): False if the time was up before the batches ended.
        """
        args = self.args
        losses: list[float] = []
        pieces, since = 0, time.monotonic()
        marks = {batch // self.world: name for batch, name in (checkpoints or {}).items()}
        rest = (self.total - self.done) * self.world
        own = islice(batches(self.done * self.world), self.rank, rest, self.world)
        for step, batch in enumerate(own, start=self.done):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(
                    step, self.total, args.lr, warmup=args.warmup, decay=args.decay
                )
            value, n_pieces = loss(batch)
            value.backward()
            self._share_gradients()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.average.update(step)
            self.done = step + 1
            pieces += n_pieces * self.world
            losses.append(value.item())
            if self.done % 50 == 0 and self.rank == 0:
                rate = pieces / (time.monotonic() - since)
                print(
                    f"step {self.done}/{self.total} loss {np.mean(losses):.4f} {rate:.0f} pieces/s",
                    flush=True,
                )
                losses, pieces, since = [], 0, time.monotonic()
            if self.done in marks:
                self.export(marks[self.done])
            if time.monotonic() - self.saved > args.save_minutes * 60:
                self.save()
                self.saved = time.monotonic()
            if self._is_time_up():
                self.save()
                print(f"stopped at step {self.done} of {self.total}", flush=True)
                return False
        return True

    def _share_gradients(self) -> None:
        if self.world == 1:
            return
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(flat)
        parts = (flat / self.world).split([grad.numel() for grad in grads])
        for grad, part in zip(grads, parts, strict=True):
            grad.copy_(part.view_as(grad))

    def _is_time_up(self) -> bool:
        """All processes stop after the same step."""
        limit = self.args.max_minutes
        if limit is None or self.done % 20:
            return False
        is_up = torch.tensor(float(time.monotonic() - self.started > 60 * limit))
        if self.world > 1:
            dist.broadcast(is_up, 0)
        return bool(is_up)
