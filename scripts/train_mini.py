"""Train the bundled multi-head checkpoint, `mini`.

    python scripts/train_mini.py ENCODER OUTPUT [--pieces 40e6] [--heads scripts/mini_heads.json]

Every head learns from the corpora that the heads file names for it; heads of one corpus share its
forward passes. A stopped run resumes when it is started again with the same arguments. To add a
head, add a row to the heads file and start from a checkpoint of this script, whose heads keep what
they learned. `OUTPUT/final` is the last state, `OUTPUT/average-N` the average of the weights after
every `--export-pieces`.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mini_data import IGNORE, Data, Head, Passage, read_heads
from mini_training import BUCKETS, Run, add_arguments, attention_for_training
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

# Maximum pieces of a passage, drawn for each: long passages cost more per piece.
LENGTHS = (64, 96, 128, 128, 192, 192, 256, 256, 384, 510)


def heads_loss(logits: torch.Tensor, labels: torch.Tensor, heads: Sequence[Head]) -> torch.Tensor:
    """Cross entropy of every labelled (piece, head) pair, averaged over the pairs.

    logits (Floats3d): (batch, length, n_labels) Logits.
    labels (Ints3d): (n_heads, batch, length) Labels; IGNORE where a piece has none.
    heads (Sequence[Head]): The heads.
    RETURNS (Floats0d): The loss.
    """
    total = logits.new_zeros(())
    for head, gold in zip(heads, labels, strict=True):
        asked = gold != IGNORE
        if asked.any():
            part = logits[asked][:, head.start : head.start + len(head.labels)]
            total = total + torch.nn.functional.cross_entropy(
                part.float(), gold[asked], reduction="sum"
            )
    return total / (labels != IGNORE).sum().clamp(min=1)


def checkpoint_labels(heads: Sequence[Head]) -> list[str]:
    """A label for every logit: unique, as `label2id` must be the inverse of `id2label`."""
    return [f"{head.dataset}/{label}" for head in heads for label in head.labels]


def describe_heads(heads: Sequence[Head]) -> list[dict[str, Any]]:
    """RETURNS (list[dict]): The heads as `config.json` has them."""
    rows = []
    for head in heads:
        row: dict[str, Any] = {
            "dataset": head.dataset,
            "start": head.start,
            "labels": head.labels,
        }
        if head.is_assertion:
            row |= {"kind": "assertion", "groups": head.groups}
        if not head.is_kept:
            row["keep"] = False
        rows.append(row)
    return rows


def load_model(encoder: str, heads: Sequence[Head]) -> Any:
    """The encoder with a classifier for all heads. Heads that it already has keep their rows."""
    labels = checkpoint_labels(heads)
    model = AutoModelForTokenClassification.from_pretrained(
        encoder,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
        **attention_for_training(),
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
    model.config.openmed = {"heads": describe_heads(heads), "aggregation_strategy": "first"}
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "encoder", help="folder that prepare_mini.py, pretrain_mini.py or this wrote"
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "mini_heads.json")
    parser.add_argument("--splits", nargs="+", default=["train"], help="train, or train dev")
    parser.add_argument("--pieces", type=float, default=40e6, help="to learn from")
    parser.add_argument("--export-pieces", type=float, default=5e6, help="from average to average")
    parser.add_argument("--swap", type=float, default=0.3, help="share of passages with swaps")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="of passages")
    add_arguments(parser)
    args = parser.parse_args()
    if max(args.lengths) + 2 > BUCKETS[-1]:
        parser.error(f"a passage has at most {BUCKETS[-1] - 2} pieces")

    # Adam's moments of pieces not seen for long decay to denormal numbers, which are many times
    # slower on a CPU. Threads inherit this flag, so it is set before there are any.
    torch.set_flush_denormal(True)
    heads, corpora = read_heads(args.heads)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    torch.manual_seed(args.seed)
    model = load_model(args.encoder, heads)
    data = Data(
        heads,
        corpora,
        args.splits,
        tokenizer,
        lengths=args.lengths,
        seed=args.seed,
        swap=args.swap,
    )
    total = int(args.pieces / args.batch_pieces)
    run = Run(model, tokenizer, args, total)

    def batches(first: int) -> Iterator[list[Passage]]:
        # The first batch of an epoch is known only once earlier epochs are built.
        starts = run.extra.setdefault("epochs", [0])
        for epoch in count(max(e for e, start in enumerate(starts) if start <= first)):
            made = data.epoch(epoch, args.batch_pieces)
            yield from made[max(first - starts[epoch], 0) :]
            if epoch + 1 == len(starts):
                starts.append(starts[epoch] + len(made))

    def loss(batch: Sequence[Passage]) -> tuple[torch.Tensor, int]:
        pieces, gold = (
            torch.from_numpy(array).to(run.device)
            for array in data.collate(batch, args.batch_pieces)
        )
        mask = (pieces != tokenizer.pad_token_id).long()
        with torch.autocast(run.device, torch.bfloat16, enabled=args.bf16):
            logits = model(input_ids=pieces, attention_mask=mask).logits
        return heads_loss(logits, gold, heads), int(mask.sum())

    every = int(args.export_pieces / args.batch_pieces)
    marks = {step: str(step // every) for step in range(every, total + 1, every)} if every else {}
    if run.steps(batches, loss, checkpoints=marks):
        run.finish()


if __name__ == "__main__":
    main()
