"""Score a checkpoint of `train_mini.py` on dev: strict F1 of every head, including those used only
in training.

    python scripts/score_mini.py CHECKPOINT [--heads scripts/mini_heads.json] [--limit 30000]

Documents are read in passages of up to 510 pieces, and mentions are compared piece by piece, so no
component is needed. Use it to monitor a run; `benchmarks/` measures the component itself.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mini_data import (
    IGNORE,
    Corpus,
    Encoder,
    Head,
    Passage,
    join,
    read_documents,
    read_heads,
    read_iob,
)
from spacy.scorer import PRFScore
from transformers import AutoModelForTokenClassification, AutoTokenizer


def find_spans(labels: np.ndarray) -> set[tuple[int, int, int]]:
    """RETURNS: Type, start and end of each entity of a row of BIO labels, where an "I-" that
    continues nothing begins an entity."""
    spans = set()
    start, kind = 0, 0
    for i, label in enumerate([*labels.tolist(), 0]):
        own = (label + 1) // 2
        if kind and (own != kind or label % 2):
            spans.add((kind, start, i))
            kind = 0
        if own and not kind:
            start, kind = i, own
    return spans


def read_dev(corpus: Corpus, encoder: Encoder, limit: int) -> list[Passage]:
    """RETURNS (list[Passage]): Passages of the dev part, as long as may be, of about `limit`
    pieces."""
    if corpus.reader == "fragments" or (corpus.splits and "dev" not in corpus.splits):
        return []
    if corpus.reader in ("iob", "privacy"):
        parts = encoder.encode_sentences(corpus, read_iob(corpus, "dev"))
    else:
        parts = encoder.encode_documents(corpus, list(read_documents(corpus, "dev")))
    passages: list[Passage] = []
    group: list[Passage] = []
    for part in [*parts, None]:
        size = sum(len(p.pieces) for p in group)
        if group and (
            part is None
            or part.doc != group[0].doc
            or not corpus.is_document
            or size + len(part.pieces) > 510
        ):
            passages.append(join(group))
            group = []
        if part is not None:
            group.append(part)
    total = np.cumsum([len(p.pieces) for p in passages])
    return passages[: int(np.searchsorted(total, limit)) + 1]


@torch.inference_mode()
def predict(
    model: torch.nn.Module, passages: Sequence[Passage], tokenizer: Any
) -> list[np.ndarray]:
    """RETURNS (list[Floats2d]): (n_pieces, n_labels) Logits of each passage."""
    logits: list[np.ndarray] = [np.empty(0)] * len(passages)
    order = sorted(range(len(passages)), key=lambda i: len(passages[i].pieces))
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        length = min(max(len(passages[i].pieces) for i in rows), 510) + 2
        ids = np.full((len(rows), length), tokenizer.pad_token_id, dtype="int64")
        for r, i in enumerate(rows):
            pieces = passages[i].pieces[:510]
            ids[r, : len(pieces) + 2] = [tokenizer.cls_token_id, *pieces, tokenizer.sep_token_id]
        batch = torch.from_numpy(ids)
        output = model(input_ids=batch, attention_mask=(batch != tokenizer.pad_token_id).long())
        for r, i in enumerate(rows):
            logits[i] = output.logits[r, 1 : len(passages[i].pieces[:510]) + 1].numpy()
    return logits


def score(
    heads: Sequence[Head], corpora: Sequence[Corpus], checkpoint: Path, limit: int, only: set[str]
) -> dict[str, dict[str, float]]:
    """RETURNS (dict[str, dict[str, float]]): F1 of the heads on each corpus, in per cent, and of
    the types of heads with several."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).float().eval()
    own = {row["dataset"]: row for row in model.config.openmed["heads"]}
    encoder = Encoder(tokenizer, heads)
    found: dict[str, dict[str, float]] = {}
    for corpus in corpora:
        if only and not only & {*corpus.heads}:
            continue
        passages = read_dev(corpus, encoder, limit)
        if not passages:
            continue
        logits = predict(model, passages, tokenizer)
        for h, (name, types) in enumerate(corpus.heads.items()):
            if name not in own or None in types.values():
                continue
            head = next(head for head in heads if head.dataset == name)
            if own[name]["labels"] != head.labels:
                raise SystemExit(
                    f"{name} has other labels in the checkpoint than in the heads file"
                )
            start = own[name]["start"]
            scores: dict[int, PRFScore] = defaultdict(PRFScore)
            for passage, values in zip(passages, logits, strict=True):
                gold = passage.labels[h, : len(values)]
                asked = np.flatnonzero(gold != IGNORE)
                answers = values[asked, start : start + len(head.labels)].argmax(1)
                if head.is_assertion:
                    for right, answer in zip(gold[asked].tolist(), answers.tolist(), strict=True):
                        for value in {right, answer}:
                            scores[value].score_set(
                                {1} if answer == value else set(), {1} if right == value else set()
                            )
                    continue
                pairs = find_spans(answers), find_spans(gold[asked])
                for kind in range(1, len(head.types) + 1):
                    parts = [{span for span in spans if span[0] == kind} for spans in pairs]
                    scores[kind].score_set(*parts)
            names = head.types if head.is_assertion else ("O", *head.types)
            row = {names[k]: 100 * prf.fscore for k, prf in sorted(scores.items())}
            if head.is_assertion:
                total = float(np.mean([*row.values()]))
            else:
                micro = PRFScore()
                for prf in scores.values():
                    micro += prf
                total = 100 * micro.fscore
            found[f"{name} ({corpus.name})"] = {"all": total, **(row if len(row) > 1 else {})}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "mini_heads.json")
    parser.add_argument("--limit", type=int, default=30_000, help="pieces of a corpus")
    parser.add_argument("--only", nargs="+", default=[], help="heads")
    args = parser.parse_args()
    heads, corpora = read_heads(args.heads)
    for name, row in score(heads, corpora, args.checkpoint, args.limit, {*args.only}).items():
        types = {kind: round(value, 1) for kind, value in row.items() if kind != "all"}
        print(f"{name:<40} {row['all']:5.1f}  {json.dumps(types) if types else ''}", flush=True)


if __name__ == "__main__":
    main()
