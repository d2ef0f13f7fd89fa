"""Strict entity F1 of a checkpoint: on the corpora's own tokens, and on raw text.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py -d craft_chemicals -d craft_species    # a corpus not trained on

Every dataset is evaluated with only its own head, under canonical labels; a mention counts if its
boundaries and its label are exact. Texts are whole documents, if the corpus has document
boundaries. One column has the gold tokens sentence by sentence, as in much of the literature. Raw
text has spaCy's tokens, and entities consist of whole tokens. Mentions that begin or end inside a
token can't be found that way, so the last column scores the exact characters that the component
keeps in `doc.spans[key].attrs["char_offsets"]`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import typer
from spacy.language import Language
from util import (
    ALL_GOLD,
    GOLD,
    OUTPUT,
    SPANS_KEY,
    Mention,
    Text,
    count_inside_tokens,
    get_mentions,
    get_raw_mentions,
    make_pipeline,
    print_rows,
    read_gold_tokens,
    read_raw_texts,
    save_results,
    strict_score,
)

HEADER = (
    "dataset",
    "mentions",
    "P",
    "R",
    "F1, gold tokens",
    "F1, sentences",
    "P, raw",
    "R, raw",
    "F1, raw text",
    "difference",
    "inside a token",
    "% inside",
    "F1, raw characters",
)


def main(
    dataset: list[str] = typer.Option(
        [*GOLD], "--dataset", "--corpus", "-d", help="Dataset, repeatable"
    ),
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: by --size)"),
    size: str = typer.Option("mini", help="Size of the catalogue's checkpoint"),
    split: Literal["test", "dev"] = typer.Option("test", help="Split to evaluate on"),
    aggregation_strategy: str = typer.Option("auto", help="auto, first, average or max"),
    decoding: str = typer.Option("viterbi", help="viterbi or greedy"),
    limit: int | None = typer.Option(None, help="Evaluate on the first documents only"),
    thresholds: bool = typer.Option(False, "--thresholds", help="Find thresholds on dev instead"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Evaluate a checkpoint on the benchmark corpora (folder: OPENMED_CORPORA).
    """
    rows: list[tuple] = []
    for name in dataset:
        if name not in ALL_GOLD:
            raise typer.BadParameter(f"'{name}' is none of: {', '.join(ALL_GOLD)}.")
        nlp = make_pipeline(
            checkpoint,
            {
                "dataset": list(ALL_GOLD[name].heads) or name,
                "size": size,
                "aggregation_strategy": aggregation_strategy,
                "decoding": decoding,
                "annotate": "spans",
            },
        )
        if thresholds and not ALL_GOLD[name].has_texts:
            continue
        if thresholds:
            dev = read_raw_texts(name, "dev", nlp, limit=limit)
            annotate(nlp, dev)
            rows.append((name, *threshold_row(dev)))
        else:
            gold, sentences = (
                read_gold_tokens(name, split, nlp.vocab, context=context, limit=limit)
                for context in ("document", "sentence")
            )
            raw = read_raw_texts(name, split, nlp, limit=limit)
            for texts in (gold, sentences, raw):
                annotate(nlp, texts)
            rows.append((name, *accuracy_row(gold, sentences, raw)))
    if not thresholds:
        print_rows(HEADER, rows, as_json)
        save_results(output, {"accuracy": (HEADER, rows)})
        return
    if not as_json:
        print_rows(("dataset", "F1 without", "threshold", "F1 with it"), rows, as_json)
        print("\nFor the rows of openmed.heads in config.json:")
    print(json.dumps(to_heads(rows), indent=2))


def annotate(nlp: Language, texts: Sequence[Text]) -> None:
    """Run the pipeline on documents, which it changes."""
    for _ in nlp.pipe(text.doc for text in texts):
        pass


def accuracy_row(
    gold: Sequence[Text], sentences: Sequence[Text], raw: Sequence[Text]
) -> tuple[Any, ...]:
    """Score annotated documents.

    gold (Sequence[Text]): Documents of gold tokens.
    sentences (Sequence[Text]): The same, a sentence a document.
    raw (Sequence[Text]): Documents of spaCy's tokens.
    RETURNS (tuple): The columns of `HEADER` after the first.
    """
    on_gold = strict_score((get_mentions(t.doc) for t in gold), (t.gold for t in gold))
    alone = strict_score((get_mentions(t.doc) for t in sentences), (t.gold for t in sentences))
    on_tokens = (on_gold.precision, on_gold.recall, on_gold.fscore, alone.fscore)
    percents = [100 * value for value in on_tokens]
    if not raw:
        return (sum(len(text.gold) for text in gold), *percents, *[None] * 7)
    on_raw = strict_score((get_mentions(t.doc) for t in raw), (t.gold for t in raw))
    on_chars = strict_score((get_raw_mentions(t.doc) for t in raw), (t.gold for t in raw))
    mentions = sum(len(text.gold) for text in raw)
    inside = sum(count_inside_tokens(text) for text in raw)
    return (
        mentions,
        *percents,
        *(100 * value for value in (on_raw.precision, on_raw.recall, on_raw.fscore)),
        100 * (on_raw.fscore - on_gold.fscore),
        inside,
        100 * inside / max(mentions, 1),
        100 * on_chars.fscore,
    )


def threshold_row(texts: Sequence[Text]) -> tuple[float, float, float]:
    """Find the best threshold for annotated documents.

    texts (Sequence[Text]): Documents of spaCy's tokens.
    RETURNS (tuple[float, float, float]): F1 without threshold, the best one, F1 with it.
    """
    scores: list[float] = []
    correct: list[bool] = []
    for text in texts:
        group = text.doc.spans[SPANS_KEY]
        for span, score in zip(group, group.attrs["scores"], strict=True):
            mention: Mention = (span.start_char, span.end_char, span.label_)
            scores.append(score)
            correct.append(mention in text.gold)
    n_gold = sum(len(text.gold) for text in texts)
    without = 100 * f_score(sum(correct), len(correct), n_gold)
    best, f1 = best_threshold(scores, correct, n_gold)
    return without, best, 100 * f1


def best_threshold(
    scores: Sequence[float], correct: Sequence[bool], n_gold: int
) -> tuple[float, float]:
    """Find the threshold, in hundredths, with the best F1; the lowest on a tie.

    scores (Sequence[float]): Score of each entity found.
    correct (Sequence[bool]): Whether it is one.
    n_gold (int): How many there are.
    RETURNS (tuple[float, float]): The threshold, and F1 with it.
    """
    values, hits = np.asarray(scores, dtype="float64"), np.asarray(correct, dtype=bool)
    best = (0.0, -1.0)
    for threshold in (step / 100 for step in range(100)):
        kept = values >= threshold
        f1 = f_score(int(hits[kept].sum()), int(kept.sum()), n_gold)
        if f1 > best[1]:
            best = (threshold, f1)
    return best


def f_score(n_correct: int, n_found: int, n_gold: int) -> float:
    """RETURNS (float): F1, 0.0 where nothing is there or found."""
    return 2 * n_correct / max(n_found + n_gold, 1)


def to_heads(rows: Sequence[tuple]) -> list[dict[str, Any]]:
    """RETURNS (list[dict]): What to add to the heads in config.json."""
    return [
        {"dataset": name, "recommended_confidence": threshold} for name, _, threshold, _ in rows
    ]


if __name__ == "__main__":
    typer.run(main)
