"""Teach the base encoder of `mini` the words of the domain: masked-language-model training.

    python scripts/pretrain_mini.py ENCODER OUTPUT [--pieces 40000000]

Reads the texts of `mlm_text`, `notes_plain` and `notes` in the folder of the corpora, and the
training part of the notes corpus. Sections that the stand-off annotation uses for dev, and texts
that share a run of 15 words with a dev or test note, are left out. A stopped run resumes where it
was. `OUTPUT/average-N` are the averaged weights after N million pieces.
"""

import argparse
import hashlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpora import find_corpora
from mini_training import (
    Run,
    add_arguments,
    attention_for_training,
    batch_rows,
    bucket,
    make_batches,
)
from transformers import AutoModelForMaskedLM, AutoTokenizer

from notes_corpus import annotate, read_notes, read_rows, read_standoff

MASKED = 0.2  # share of the words
# How often a text is read in a pass: rare texts close to mini's purpose, more than once.
SOURCES = {
    "mlm_text/abstracts.jsonl": 4,
    "mlm_text/aci-bench-train.jsonl": 3,
    "mlm_text/mts-dialog-train.jsonl": 3,
    "mlm_text/nursing.jsonl": 1,
    "mlm_text/medquad.jsonl": 1,
    "mlm_text/trials.jsonl": 1,
    "mlm_text/elife.jsonl": 0.6,
    "notes_plain/notes_plain.jsonl": 4,
    "notes/mtsamples_500.jsonl": 4,
}
ARTICLES = ("mlm_text/trials.jsonl", "mlm_text/elife.jsonl")  # one row per paragraph
NOTES = 6  # how often notes of the notes corpus are read
LENGTHS = (*[126] * 10, *[254] * 3, 510)  # of passages, in pieces
HIDDEN = 0.9  # targets per batch, as a share of the hidden pieces of an average full batch
IGNORE = -100
CLASSES = 8192  # pieces to choose from: those that are hidden in the batch, and random ones
RUN = 15  # words in common that make a text a copy


def word_runs(text: str) -> set[int]:
    """RETURNS (set[int]): A number for each run of 15 words of a text."""
    words = text.lower().split()
    return {hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1)}


def read_held_back() -> list[str]:
    """RETURNS (list[str]): Texts that must not be trained on."""
    texts = [annotate(note).text for s in ("dev", "test") for note in read_notes(split=s)]
    return texts + [text.text for _, text in read_standoff("dev")]


def read_texts() -> Iterator[tuple[str, float]]:
    """YIELDS (tuple[str, float]): A text, and how often it is read in a pass."""
    folder = find_corpora()
    held_back = read_held_back()
    runs = set().union(*map(word_runs, held_back))
    exact = {text.strip() for text in held_back}
    for name, times in SOURCES.items():
        # Passages of one document follow each other; they are one text here.
        document = ""
        parts: list[str] = []
        for row in read_rows(folder / name):
            if row["text"].strip() in exact or not runs.isdisjoint(word_runs(row["text"])):
                continue
            source = row["id"] if name in ARTICLES else ""
            if parts and (source != document or not source):
                yield "\n".join(parts), times
                parts = []
            document = source
            parts.append(row["text"])
        if parts:
            yield "\n".join(parts), times
    for seed in range(NOTES):
        for note in read_notes(split="train"):
            yield annotate(note, seed=seed).text, 1


def encode(tokenizer: Any, cache: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RETURNS: All pieces, (n,); ends of the texts, (n_texts,); how often each is read."""
    if cache.is_file():
        data = np.load(cache)
        return data["pieces"], data["ends"], data["times"]
    texts, times = zip(*read_texts(), strict=True)
    parts = []
    for start in range(0, len(texts), 1000):
        batch = tokenizer(list(texts[start : start + 1000]), add_special_tokens=False)
        parts += [np.asarray(ids, dtype="uint16") for ids in batch["input_ids"]]
    pieces = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])
    partial = cache.with_suffix(".tmp.npz")
    np.savez(partial, pieces=pieces, ends=ends, times=np.asarray(times))
    partial.replace(cache)
    return pieces, ends, np.asarray(times)


def passages(ends: np.ndarray, times: np.ndarray, rng: random.Random) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): Start and end of each passage of one pass, in any order."""
    found = []
    for text in range(len(ends)):
        start, end = (ends[text - 1] if text else 0), ends[text]
        for _ in range(int(times[text]) + (rng.random() < times[text] % 1)):
            at = start
            while at < end:
                length = rng.choice(LENGTHS)
                found.append((int(at), int(min(at + length, end))))
                at += length
    rng.shuffle(found)
    return [span for span in found if span[1] - span[0] >= 16]


def batches(
    ends: np.ndarray, times: np.ndarray, n_pieces: int, limit: int, seed: int
) -> Iterator[list[tuple[int, int]]]:
    """YIELDS (list[tuple[int, int]]): Passages of about one length, `n_pieces` a batch at most."""
    seen = 0
    for epoch in range(10**6):
        rng = random.Random(f"{seed}-{epoch}")
        spans = passages(ends, times, rng)
        made = make_batches(spans, lambda span: span[1] - span[0] + 2, n_pieces, rng)
        for group in made:
            yield group
            seen += sum(end - start + 2 for start, end in group)
            if seen >= limit:
                return


class Masking:
    """Hide whole words: 8 of 10 behind [MASK], one behind another piece, one not at all."""

    def __init__(self, pieces: np.ndarray, tokenizer: Any, batch_pieces: int) -> None:
        self.pieces, self.tokenizer, self.batch_pieces = pieces, tokenizer, batch_pieces
        names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.is_start = np.asarray([not name.startswith("##") for name in names])

    def __call__(self, spans: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, ...]:
        """RETURNS: pieces and mask, (batch, length); what is hidden: where, and its pieces."""
        tokenizer = self.tokenizer
        rng = np.random.default_rng(spans[0])
        length = bucket(max(end - start for start, end in spans) + 2)
        shape = (batch_rows(length, self.batch_pieces), length)
        pieces = np.full(shape, tokenizer.pad_token_id, dtype="int64")
        pieces[:, 0] = tokenizer.cls_token_id
        inside = np.zeros(pieces.shape, dtype=bool)
        for row, (start, end) in enumerate(spans):
            n = end - start
            pieces[row, 1 : n + 1] = self.pieces[start:end]
            pieces[row, n + 1] = tokenizer.sep_token_id
            inside[row, 1 : n + 1] = True
        words = np.cumsum(self.is_start[pieces])  # running numbers over the batch
        kind = rng.random(words[-1] + 1)[words].reshape(pieces.shape)
        hidden = inside & (kind < MASKED)
        gold = pieces[hidden]
        pieces[hidden & (kind < 0.8 * MASKED)] = tokenizer.mask_token_id
        other = hidden & (kind >= 0.9 * MASKED)
        pieces[other] = rng.integers(1000, len(tokenizer), other.sum())
        where = np.flatnonzero(hidden)
        # A fixed number per batch keeps kernel shapes constant; surplus targets are ignored.
        number = int(HIDDEN * MASKED * self.batch_pieces)
        if len(where) > number:
            where, gold = where[:number], gold[:number]
        filler = number - len(where)
        where, gold = np.pad(where, (0, filler)), np.pad(gold, (0, filler), constant_values=IGNORE)
        attend = pieces != tokenizer.pad_token_id
        return tuple(map(torch.from_numpy, (pieces, attend.astype("int64"), where, gold)))


def choose_classes(gold: torch.Tensor, n_pieces: int) -> torch.Tensor:
    """RETURNS (Ints1d): (CLASSES,) Distinct pieces: all the hidden ones, and others as negative
    samples."""
    is_gold = torch.zeros(n_pieces, dtype=torch.bool, device=gold.device)
    is_gold[gold[gold != IGNORE]] = True
    others = torch.randperm(n_pieces, device=gold.device)
    others = others[~is_gold[others]]
    return torch.cat([is_gold.nonzero().flatten(), others])[:CLASSES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", help="folder of the base encoder")
    parser.add_argument("output", type=Path)
    parser.add_argument("--pieces", type=float, default=40e6, help="to learn from")
    add_arguments(parser)
    parser.set_defaults(lr=5e-4, batch_pieces=8192)
    args = parser.parse_args()

    # Adam's moments of pieces not seen for long decay to denormal numbers, which are many times
    # slower on a CPU. Threads inherit this flag, so it is set before there are any.
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    args.output.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer.backend_tokenizer.to_str()
    key = str((SOURCES, NOTES, vocabulary, read_held_back()))
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    # If there are several processes, the first one writes the cache.
    while int(os.environ.get("RANK", 0)) and not (args.output / f"pieces-{name}.npz").is_file():
        time.sleep(1)
    pieces, ends, times = encode(tokenizer, args.output / f"pieces-{name}.npz")
    print(f"{len(ends)} texts, {len(pieces)} pieces", flush=True)
    model = AutoModelForMaskedLM.from_pretrained(
        args.encoder, hidden_dropout_prob=0.0, **attention_for_training()
    ).float()
    plan = list(batches(ends, times, args.batch_pieces, int(args.pieces), args.seed))
    sizes = np.cumsum([sum(end - start + 2 for start, end in spans) for spans in plan])
    marks = {int(np.searchsorted(sizes, m * 1e6)) + 1: str(m) for m in (5, 10, 20, 30, 40)}
    run = Run(model, tokenizer, args, len(plan))
    mask = Masking(pieces, tokenizer, args.batch_pieces)

    def loss(spans: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, int]:
        ids, attend, where, gold = (t.to(run.device) for t in mask(spans))
        with torch.autocast(run.device, torch.bfloat16, enabled=args.bf16):
            states = model.base_model(input_ids=ids, attention_mask=attend).last_hidden_state
            head = model.cls.predictions
            states = head.transform(states.flatten(0, 1)[where])
            classes = choose_classes(gold, len(tokenizer))
            column = torch.zeros(len(tokenizer), dtype=torch.int64, device=gold.device)
            column[classes] = torch.arange(len(classes), device=gold.device)
            gold = torch.where(gold == IGNORE, IGNORE, column[gold.clamp(min=0)])
            logits = states @ head.decoder.weight[classes].T + head.bias[classes]
        value = torch.nn.functional.cross_entropy(logits.float(), gold)
        return value, int(sizes[-1] / len(plan))

    if run.steps(lambda first: plan[first:], loss, checkpoints=marks):
        run.export("final")
        run.finish()


if __name__ == "__main__":
    main()
