"""Train the bundled multi-head checkpoint, `mini`.

    python scripts/train_mini.py ENCODER OUTPUT [--epochs 6] [--heads scripts/mini_heads.json]

Every head reads the corpus that the heads file names for it; heads on one corpus
share its forward passes. A run that was stopped goes on where it was when it is
started again with the same arguments. Adding a head means adding a row to the
heads file: started from a checkpoint of this script, the heads that it has keep
what they learned. `OUTPUT/final` is the last state, `OUTPUT/average-N` the average of the
weights after N epochs.
"""

import argparse
import json
import math
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from privacy_data import read_privacy
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.corpora import Sentence, read_sentences

IGNORE = -100
MAX_PIECES = 256  # of a passage; longer sentences are cut into several


@dataclass(frozen=True)
class Head:
    """One BIO label set: a slice of the checkpoint's logits."""

    dataset: str
    corpus: str  # where its texts are
    tags: str  # where its tags are, of the same tokens
    types: tuple[str, ...]
    start: int  # first column of its slice

    @property
    def labels(self) -> list[str]:
        return ["O", *(f"{bio}-{t}" for t in self.types for bio in "BI")]


@dataclass(frozen=True)
class Passage:
    """A run of pieces of one corpus, with a label row for each of its heads."""

    corpus: str
    pieces: np.ndarray  # (n_pieces,)
    labels: np.ndarray  # (n_heads of the corpus, n_pieces); IGNORE where a piece has none

    @cached_property
    def mentions(self) -> list[tuple[int, int, int, int]]:
        return mentions(self.labels)  # of the corpora's own passages: they serve every epoch


def read_heads(path: Path) -> tuple[list[Head], dict[str, dict]]:
    data = json.loads(path.read_text(encoding="utf8"))
    heads = []
    start = 0
    for dataset, row in data["heads"].items():
        head = Head(
            dataset, row["corpus"], row.get("tags", row["corpus"]), tuple(row["types"]), start
        )
        start += len(head.labels)
        heads.append(head)
    return heads, data["corpora"]


def read(corpus: str, split: str) -> list[Sentence]:
    return read_privacy(split) if corpus == "privacy" else read_sentences(corpus, split)


def sentence_key(sentence: Sentence) -> str:
    """The words of a sentence without case, spaces and punctuation, whatever its tokens are."""
    return re.sub(r"\W", "", "".join(sentence.tokens)).lower()


def held_back(corpora: Sequence[str], splits: Sequence[str]) -> set[str]:
    """Keys of all sentences of the splits: none of them may be trained on, in any corpus.

    Very short ones (headings, "METHODS:") are everywhere and give nothing away.
    """
    keys: set[str] = set()
    for corpus in corpora:
        for split in splits:
            keys.update(sentence_key(s) for s in read(corpus, split) if len(s.tokens) >= 5)
    return keys


def encode(
    sentences: Sequence[Sentence],
    tags: Sequence[Sequence[Sequence[str]]],
    heads: Sequence[Head],
    tokenizer: Any,
) -> list[Passage]:
    """One passage a sentence, without special pieces.

    Labels stand on the first piece of every word of the tokenizer, which are finer than the
    corpora's tokens: other tokenizers may cut "OCI-AML-1" at its hyphens.
    """
    passages = []
    encoding = tokenizer(
        [list(s.tokens) for s in sentences], is_split_into_words=True, add_special_tokens=False
    )
    for i in range(len(sentences)):
        tokens = encoding.word_ids(i)
        starts = [not piece.startswith("##") for piece in encoding.tokens(i)]
        labels = np.full((len(heads), len(tokens)), IGNORE, dtype="int64")
        for h, head in enumerate(heads):
            ids = {label: k for k, label in enumerate(head.labels)}
            previous = None
            for p, token in enumerate(tokens):
                if token != previous:
                    labels[h, p] = ids.get(tags[h][i][token], 0)
                elif starts[p]:
                    labels[h, p] = ids.get(tags[h][i][token].replace("B-", "I-", 1), 0)
                previous = token
        passages.append(
            Passage(heads[0].corpus, np.asarray(encoding["input_ids"][i], dtype="int64"), labels)
        )
    return passages


def join_context(
    passages: Sequence[Passage], docs: Sequence[int], rng: random.Random
) -> list[Passage]:
    """Half of the sentences alone, the others joined with those that follow in their document."""
    joined = []
    i = 0
    while i < len(passages):
        group = [passages[i]]
        if rng.random() < 0.5:
            target = rng.randint(48, MAX_PIECES)
            size = len(passages[i].pieces)
            while (
                i + len(group) < len(passages)
                and docs[i + len(group)] == docs[i]
                and size + len(passages[i + len(group)].pieces) <= target
            ):
                size += len(passages[i + len(group)].pieces)
                group.append(passages[i + len(group)])
        i += len(group)
        pieces = np.concatenate([p.pieces for p in group])
        labels = np.concatenate([p.labels for p in group], axis=1)
        joined.append(Passage(group[0].corpus, pieces, labels))
    return cut(joined)


def cut(passages: Sequence[Passage]) -> list[Passage]:
    """Cut passages that are too long."""
    return [
        Passage(p.corpus, p.pieces[i : i + MAX_PIECES], p.labels[:, i : i + MAX_PIECES])
        for p in passages
        for i in range(0, len(p.pieces), MAX_PIECES)
    ]


def mentions(labels: np.ndarray) -> list[tuple[int, int, int, int]]:
    """RETURNS: head, id of the type's "B-" label, start and end of each mention of a passage.

    Only those whose borders cut no mention of another head.
    """
    found = []
    for h, row in enumerate(labels):
        words = np.flatnonzero(row != IGNORE)
        begins = [i for i in words if row[i] > 0 and row[i] % 2]
        for begin in begins:
            after = words[words > begin]
            end = next((i for i in after if row[i] != row[begin] + 1), len(row))
            inside = [labels[:, i] for i in (begin, end) if i < len(row)]
            if not any((edge[edge > 0] % 2 == 0).any() for edge in inside):
                found.append((h, int(row[begin]), int(begin), int(end)))
    return found


def swap_mentions(passages: Sequence[Passage], share: float, rng: random.Random) -> list[Passage]:
    """Put other mentions of their type in the place of half of them, in a share of the passages.

    What is known by heart says nothing of the words around it: a changed name has to be found by
    its context. The labels of all heads come along with a mention.
    """
    pool: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for passage in passages:
        for h, label, start, end in passage.mentions:
            part = passage.pieces[start:end], passage.labels[:, start:end]
            pool.setdefault((h, label), []).append(part)
    swapped = []
    for passage in passages:
        if passage.mentions and rng.random() < share:
            pieces, labels, last = [], [], 0
            for h, label, start, end in sorted(passage.mentions, key=lambda span: span[2]):
                if start >= last and rng.random() < 0.5:
                    new_pieces, new_labels = rng.choice(pool[h, label])
                    pieces += [passage.pieces[last:start], new_pieces]
                    labels += [passage.labels[:, last:start], new_labels]
                    last = end
            pieces.append(passage.pieces[last:])
            labels.append(passage.labels[:, last:])
            passage = Passage(passage.corpus, np.concatenate(pieces), np.concatenate(labels, 1))
        swapped.append(passage)
    return swapped


class Data:
    """Training passages: a fresh, reproducible order and grouping for every epoch."""

    def __init__(
        self,
        heads: Sequence[Head],
        corpora: dict[str, dict],
        splits: Sequence[str],
        tokenizer: Any,
        seed: int,
        swap: float = 0.0,
    ) -> None:
        self.heads = heads
        self.swap = swap
        self.corpora = corpora
        self.seed = seed
        self.cls, self.sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.pad = tokenizer.pad_token_id
        self.keys: dict[str, set[str]] = {}
        self.encoded: dict[str, tuple[list[Passage], list[int]]] = {}
        others = [split for split in ("dev", "test") if split not in splits]
        excluded = held_back(list(corpora), others)
        for corpus in corpora:
            own = [head for head in heads if head.corpus == corpus]
            # Documents are numbered in each split: they get a number of their own here.
            sentences = [
                replace(s, doc=s.doc * len(splits) + i)
                for i, split in enumerate(splits)
                for s in read(corpus, split)
            ]
            tags = [[s.tags for split in splits for s in read(h.tags, split)] for h in own]
            rows = [i for i, s in enumerate(sentences) if sentence_key(s) not in excluded]
            print(f"{corpus}: {len(rows)} of {len(sentences)} sentences", flush=True)
            kept = [sentences[i] for i in rows]
            self.keys[corpus] = {sentence_key(s) for s in kept}
            passages = encode(kept, [[row[i] for i in rows] for row in tags], own, tokenizer)
            self.encoded[corpus] = (passages, [s.doc for s in kept])

    def epoch(self, epoch: int, max_pieces: int, share: float = 1.0) -> list[list[Passage]]:
        rng = random.Random(f"{self.seed}-{epoch}")
        passages: list[Passage] = []
        for corpus, (encoded, docs) in self.encoded.items():
            settings = self.corpora[corpus]
            if self.swap:
                encoded = swap_mentions(encoded, self.swap, rng)
            joined = join_context(encoded, docs, rng) if settings["documents"] else cut(encoded)
            negatives = settings.get("negatives", 1.0)
            joined = [p for p in joined if (p.labels > 0).any() or rng.random() < negatives]
            rng.shuffle(joined)
            size = math.ceil(share * settings.get("sample", 1.0) * len(joined))
            passages.extend((joined * math.ceil(size / max(len(joined), 1)))[:size])
        rng.shuffle(passages)
        batches: list[list[Passage]] = []
        for start in range(0, len(passages), 1024):  # alike in length within a shuffled pool
            pool = sorted(passages[start : start + 1024], key=lambda p: len(p.pieces))
            batch: list[Passage] = []
            for passage in pool:
                if batch and (len(batch) + 1) * (len(passage.pieces) + 2) > max_pieces:
                    batches.append(batch)
                    batch = []
                batch.append(passage)
            batches.append(batch)
        rng.shuffle(batches)
        return batches

    def collate(self, batch: Sequence[Passage]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """RETURNS: pieces and mask, (batch, length), and labels, (n_heads, batch, length)."""
        length = max(len(p.pieces) for p in batch) + 2
        pieces = np.full((len(batch), length), self.pad, dtype="int64")
        labels = np.full((len(self.heads), len(batch), length), IGNORE, dtype="int64")
        rows = {c: [i for i, h in enumerate(self.heads) if h.corpus == c] for c in self.corpora}
        for b, passage in enumerate(batch):
            n = len(passage.pieces)
            pieces[b, 0], pieces[b, 1 : n + 1], pieces[b, n + 1] = (
                self.cls,
                passage.pieces,
                self.sep,
            )
            labels[rows[passage.corpus], b, 1 : n + 1] = passage.labels
        ids = torch.from_numpy(pieces)
        return ids, (ids != self.pad).long(), torch.from_numpy(labels)


def heads_loss(logits: torch.Tensor, labels: torch.Tensor, heads: Sequence[Head]) -> torch.Tensor:
    """Cross entropy of every labelled (piece, head) pair, averaged over the pairs."""
    total = logits.new_zeros(())
    for head, gold in zip(heads, labels, strict=True):
        part = logits[..., head.start : head.start + len(head.labels)]
        total = total + torch.nn.functional.cross_entropy(
            part.flatten(0, 1), gold.flatten(), ignore_index=IGNORE, reduction="sum"
        )
    return total / (labels != IGNORE).sum().clamp(min=1)


def checkpoint_labels(heads: Sequence[Head]) -> list[str]:
    """A label for every logit: unique, as `label2id` must be the inverse of `id2label`."""
    return [f"{head.dataset}/{label}" for head in heads for label in head.labels]


def learning_rate(step: int, total: int, peak: float, *, warmup: float, decay: float) -> float:
    """Up to the peak in the first share of the steps, and down to zero in the last."""
    up = (step + 1) / max(warmup * total, 1)
    down = (total - step) / max(decay * total, 1)
    return peak * max(0.0, min(1.0, up, down))


def load_model(encoder: str, heads: Sequence[Head]) -> Any:
    """The encoder with a classifier of all heads. Those that it has already keep their rows."""
    labels = checkpoint_labels(heads)
    model = AutoModelForTokenClassification.from_pretrained(
        encoder,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        attention_probs_dropout_prob=0.0,  # dropout there halves the speed of CPU attention
        ignore_mismatched_sizes=True,
    ).float()
    known = AutoConfig.from_pretrained(encoder).id2label
    if hasattr(model.config, "openmed"):
        trained = AutoModelForTokenClassification.from_pretrained(encoder).float()
        with torch.no_grad():
            for row, label in known.items():
                if label in model.config.label2id:
                    own = model.config.label2id[label]
                    model.classifier.weight[own] = trained.classifier.weight[row]
                    model.classifier.bias[own] = trained.classifier.bias[row]
    model.config.openmed = {
        "heads": [{"dataset": h.dataset, "start": h.start, "labels": h.labels} for h in heads],
        "aggregation_strategy": "first",
    }
    return model


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "encoder", help="folder or hub id of the base encoder, or a folder that this wrote"
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "mini_heads.json")
    parser.add_argument("--splits", nargs="+", default=["train"], help="train, or train dev")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--share", type=float, default=1.0, help="of the passages, an epoch")
    parser.add_argument("--warmup", type=float, default=0.1, help="share of the steps")
    parser.add_argument("--decay", type=float, default=0.9, help="share of the steps; 0: none")
    parser.add_argument("--average", type=float, default=0.999, help="of the weights, by step")
    parser.add_argument("--swap", type=float, default=0.0, help="share of sentences with swaps")
    parser.add_argument("--batch-pieces", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="autocast; needs AVX512-BF16 or a GPU")
    parser.add_argument("--save-minutes", type=float, default=5.0)
    args = parser.parse_args()

    # Adam's moments of pieces that are not seen for long fade into denormal numbers, which
    # take a CPU many times as long. Threads inherit this, so it comes before there are any.
    torch.set_flush_denormal(True)
    heads, corpora = read_heads(args.heads)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    torch.manual_seed(args.seed)
    model = load_model(args.encoder, heads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
        lr=args.lr,
        fused=True,
    )
    data = Data(heads, corpora, args.splits, tokenizer, args.seed, args.swap)
    sizes = [len(data.epoch(e, args.batch_pieces, args.share)) for e in range(args.epochs)]
    total = sum(sizes)
    average = Average(model, args.average)
    args.output.mkdir(parents=True, exist_ok=True)
    state_path = args.output / "training.pt"
    done = 0
    settings = {k: str(v) for k, v in vars(args).items() if k not in ("output", "save_minutes")}
    if state_path.is_file():
        state = torch.load(state_path, weights_only=True)
        if state["settings"] != settings:
            parser.error(f"{state_path} is of a run with other arguments. Delete it to start anew.")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights = state["average"]
        torch.set_rng_state(state["rng"])
        done = state["step"]
        print(f"resuming at step {done} of {total}", flush=True)

    def save(step: int) -> None:
        partial = state_path.with_suffix(".tmp")
        torch.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.weights,
                "rng": torch.get_rng_state(),
                "settings": settings,
                "step": step,
            },
            partial,
        )
        partial.replace(state_path)

    step = 0
    seen, losses, since, saved = 0, [], time.monotonic(), time.monotonic()
    for epoch in range(args.epochs):
        if step + sizes[epoch] <= done:
            step += sizes[epoch]
            continue
        for batch in data.epoch(epoch, args.batch_pieces, args.share):
            step += 1
            if step <= done:
                continue
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(
                    step - 1, total, args.lr, warmup=args.warmup, decay=args.decay
                )
            pieces, mask, gold = (t.to(device) for t in data.collate(batch))
            with torch.autocast(device, torch.bfloat16, enabled=args.bf16):
                logits = model(input_ids=pieces, attention_mask=mask).logits
            loss = heads_loss(logits.float(), gold, heads)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update(step)
            seen += int(mask.sum())
            losses.append(loss.item())
            if step % 100 == 0:
                elapsed = time.monotonic() - since
                print(
                    f"epoch {epoch + 1} step {step}/{total} loss {np.mean(losses):.4f} "
                    f"{seen / elapsed:.0f} pieces/s",
                    flush=True,
                )
                seen, losses, since = 0, [], time.monotonic()
            if time.monotonic() - saved > args.save_minutes * 60:
                save(step)
                saved = time.monotonic()
        model.save_pretrained(args.output / f"epoch-{epoch + 1}")
        tokenizer.save_pretrained(args.output / f"epoch-{epoch + 1}")
        average.save(args.output / f"average-{epoch + 1}", tokenizer)
        save(step)
    model.save_pretrained(args.output / "final")
    tokenizer.save_pretrained(args.output / "final")
    state_path.unlink()  # a run that has ended is not resumed


if __name__ == "__main__":
    main()
