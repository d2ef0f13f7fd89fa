"""Accuracy of every engine and precision compared with fp32: what speed costs.

    python benchmarks/engines.py [--split dev] [-d ncbi_disease -d ...] [-e torch-int8 -e ...]

Strict F1 on the corpora's own tokens, a sentence at a time, and how many of fp32's entities
change or disappear. The corpora are looked for in OPENMED_CORPORA.
"""

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import typer
from util import (
    GOLD,
    OUTPUT,
    Table,
    get_mentions,
    make_pipeline,
    print_rows,
    read_gold_tokens,
    save_results,
    strict_score,
)

ENGINES = ("torch-fp32", "torch-bf16", "torch-int8", "openvino-int8")
DATASETS = [name for name, gold in GOLD.items() if not gold.heads]
HEADER = ("dataset", "engine", "F1", "difference", "entities", "changed, %")
SUMMARY = ("engine", "worst difference", "worst on", "mean difference", "changed, mean, %")
MANY = 500  # entities: with fewer, a single one changes F1 by a fifth of a point


def main(
    dataset: list[str] = typer.Option(DATASETS, "--dataset", "-d", help="Repeatable"),
    engine: list[str] = typer.Option(
        ENGINES, "--engine", "-e", help="ENGINE-PRECISION; repeatable"
    ),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    split: Literal["test", "dev"] = typer.Option("dev", help="Split to measure on"),
    limit: int | None = typer.Option(None, help="Use the first documents only"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure what engines and precisions change; the first one is what the others are held against.
    """
    rows: list[tuple[object, ...]] = []
    for name in dataset:
        base_f, base = 0.0, list[set]()
        for i, setting in enumerate(engine):
            kind, _, precision = setting.partition("-")
            model = {"engine": kind, "precision": precision, "device": "cpu"}
            nlp = make_pipeline(checkpoint, {"dataset": name, "model": model, "annotate": "spans"})
            texts = read_gold_tokens(name, split, nlp.vocab, limit=limit)
            found = [get_mentions(doc) for doc in nlp.pipe([text.doc for text in texts])]
            score = strict_score(found, [text.gold for text in texts])
            if i == 0:
                base_f, base = score.fscore, found
            changed = sum(len(a ^ b) for a, b in zip(found, base, strict=True))
            n_entities = sum(map(len, base))
            share = 100 * changed / max(n_entities, 1)
            difference = 100 * (score.fscore - base_f)
            rows.append((name, setting, 100 * score.fscore, difference, n_entities, share))
    print_rows(HEADER, rows, as_json)
    tables: dict[str, Table] = {"engines": (SUMMARY, summarize(rows)), "datasets": (HEADER, rows)}
    save_results(output, tables)


def summarize(rows: Sequence[tuple[Any, ...]]) -> list[tuple[object, ...]]:
    """RETURNS (list[tuple]): Rows of `SUMMARY`: each engine but the first, over the datasets with
    many entities."""
    by_engine: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        if row[4] >= MANY:
            by_engine.setdefault(row[1], []).append(row)
    summary: list[tuple[object, ...]] = []
    for engine, own in [*by_engine.items()][1:]:
        worst = min(own, key=itemgetter(3))
        means = (fmean(row[i] for row in own) for i in (3, 5))
        summary.append((engine, worst[3], f"{worst[0]}, {worst[4]:,} entities", *means))
    return summary


if __name__ == "__main__":
    typer.run(main)
