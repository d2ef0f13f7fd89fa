"""Fit a head of a checkpoint anew, on its frozen encoder.

    python scripts/refit_head.py CHECKPOINT HEAD [--heads scripts/mini_heads.json]

The head's rows of the last layer learn from all corpora that the heads file names for it, each of
them counting the same; "negatives" among them show it texts without its entities. The encoder and
the other heads keep every bit, so that only this head needs to be measured again. The rows stay
near those that they begin with.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from mini_data import IGNORE, Data, Passage, read_heads
from safetensors.torch import load_file, save_file
from spacy.util import minibatch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.engines.packed import PackedEngine

BATCH = 16  # passages
LENGTHS = (64, 128, 256, 510)  # most pieces of a passage; one is drawn for each
LAYER = ("classifier.weight", "classifier.bias")


def read_features(
    engine: PackedEngine, passages: list[Passage], ends: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the encoder over passages.

    engine (PackedEngine): The encoder, without the last layer.
    passages (list[Passage]): The passages. They have a single row of labels.
    ends (tuple[int, int]): The special pieces before and after a passage.
    RETURNS (tuple[Floats2d, Ints1d]): (n_pieces, width) and (n_pieces,) Vector and label of every
        piece with a label.
    """
    vectors, labels = [], []
    passages = sorted(passages, key=lambda passage: len(passage.pieces))
    for batch in minibatch(passages, size=BATCH):
        windows = [np.concatenate([ends[:1], passage.pieces, ends[1:]]) for passage in batch]
        for passage, hidden in zip(batch, engine(windows), strict=True):
            asked = passage.labels[0] != IGNORE
            vectors.append(hidden[1:-1][asked])
            labels.append(passage.labels[0][asked])
    return torch.from_numpy(np.concatenate(vectors)), torch.from_numpy(np.concatenate(labels))


def refit(
    weight: torch.Tensor,
    bias: torch.Tensor,
    samples: list[tuple[torch.Tensor, torch.Tensor]],
    penalty: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the rows of a head.

    weight, bias (Floats2d, Floats1d): (n_labels, width) and (n_labels,) What they begin with.
    samples (list[tuple[Floats2d, Ints1d]]): Vectors and labels of each corpus.
    penalty (float): Weight of the squared distance from the beginning.
    RETURNS (tuple[Floats2d, Floats1d]): The new rows.
    """
    start = torch.cat([weight, bias[:, None]], dim=1)
    rows = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([rows], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        parts = [cross_entropy(x @ rows[:, :-1].T + rows[:, -1], gold) for x, gold in samples]
        return torch.stack(parts).mean() + penalty * (rows - start).square().sum()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    print(f"loss {loss().item():.4f}", end=" ")
    optimizer.step(closure)
    print(f"-> {loss().item():.4f}")
    return rows[:, :-1].detach(), rows[:, -1].detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder; it is changed")
    parser.add_argument("head", help="dataset of the head")
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "mini_heads.json")
    parser.add_argument("--splits", nargs="+", default=["train", "dev"])
    parser.add_argument("--epochs", type=int, default=1, help="of passages to learn from")
    parser.add_argument("--penalty", type=float, default=0.01)
    args = parser.parse_args()

    heads, corpora = read_heads(args.heads)
    heads = [head for head in heads if head.dataset == args.head]
    own = [
        replace(corpus, heads={args.head: corpus.heads[args.head]}, repeat={}, sample=1, wrap=0.1)
        for corpus in corpora
        if args.head in corpus.heads
    ]
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    module = AutoModelForTokenClassification.from_pretrained(args.checkpoint).float().eval()
    engine = PackedEngine(module)
    engine.classifier = lambda hidden: hidden  # type: ignore[assignment]
    samples = []
    for corpus in own:
        data = Data(heads, [corpus], args.splits, tokenizer, lengths=LENGTHS)
        passages = [p for epoch in range(args.epochs) for p in data.passages(epoch)]
        samples.append(read_features(engine, passages, ends))

    config = json.loads((args.checkpoint / "config.json").read_text(encoding="utf8"))["openmed"]
    known = next(head for head in config["heads"] if head["dataset"] == args.head)
    rows = slice(known["start"], known["start"] + len(known["labels"]))
    path = args.checkpoint / "model.safetensors"
    tensors = load_file(path)
    before = [tensors[name][rows].float() for name in LAYER]
    after = refit(before[0], before[1], samples, args.penalty)
    for name, new in zip(LAYER, after, strict=True):
        tensors[name][rows] = new.to(tensors[name].dtype)
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors lets only the owner read it


if __name__ == "__main__":
    main()
