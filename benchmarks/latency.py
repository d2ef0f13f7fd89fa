"""One text at a time: how long `nlp(text)` takes, beside the forward pass of the same text alone.

    python benchmarks/latency.py [--number 100] [--minutes 2]

Sentences, notes and abstracts (from the examples if the corpora are missing), one after the other.
Each text goes to all four in turn: the component with all heads, the component with one head, its
bare engine (with windows cut beforehand), and transformers' own module.
A ratio is the median of the texts' ratios. `start` is the time of a new process from its first
import to its first entities.
"""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import typer
from speed import find_documents, split_sentences, take_texts
from util import OUTPUT, Table, make_pipeline, print_rows, quiet_transformers, save_results

from spacy_openmed.ner.plan import Plan
from spacy_openmed.paths import MINI_PATH

HEADER = ("text", "what", "p50, ms", "p99, ms", "to the forward pass", "to one head")
START = ("what", "s")
ALL, ONE, BARE, MODULE = "all heads", "one head", "forward pass", "transformers' module"
IMPORT = "import spacy"
FIRST = """
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("openmed_ner", config={"model": {"name": NAME}})
assert nlp("Aspirin was given for asthma.").ents
"""
KINDS = ("sentence", "note", "abstract")


def main(
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    dataset: str = typer.Option("bc5cdr_disease", "--dataset", "-d", help="The one head"),
    engine: str = typer.Option("auto", help="Engine of the component"),
    precision: str = typer.Option("auto", help="fp32, bf16 or int8"),
    number: int = typer.Option(100, min=1, help="Texts of a kind"),
    rounds: int = typer.Option(3, min=1, help="Rounds, after one that is not timed"),
    minutes: float = typer.Option(math.inf, min=0, help="Begin no round that would end later"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Time single texts.
    """
    quiet_transformers()
    model = {"engine": engine, "precision": precision}
    nlp = make_pipeline(checkpoint, {"model": model})
    one = make_pipeline(checkpoint, {"model": model, "dataset": [dataset]})
    documents = find_documents()
    texts = {
        "sentence": split_sentences(documents),
        "note": take_texts("notes", 20_000, nlp),
        "abstract": documents,
    }
    rows: list[tuple[object, ...]] = []
    for kind in KINDS:
        seconds = time_texts(
            list(islice(cycle(texts[kind]), number)), nlp, one, rounds, 60 * minutes / len(KINDS)
        )
        rows += [(kind, *row) for row in summarize(seconds)]
    start = time_start(checkpoint, rounds)
    if as_json:
        print_rows(HEADER, rows, as_json)
    else:
        print_rows(HEADER, rows, as_json)
        print_rows(START, start, as_json)
    tables: dict[str, Table] = {"latency": (HEADER, rows), "start": (START, start)}
    save_results(output, tables)


def time_texts(
    texts: Sequence[str], nlp: Any, one: Any, rounds: int, most: float
) -> dict[str, list[float]]:
    """Time texts, each with all ways in turn.

    texts (Sequence[str]): The texts.
    nlp, one (Language): The pipelines with all heads and with one.
    rounds (int): How many rounds, after one that is not timed.
    most (float): Seconds. From the second round on, none is begun that would end later.
    RETURNS (dict[str, list[float]]): By way: seconds of each text, the median over the rounds.
    """
    runs = [make_runs(text, nlp, one) for text in texts]
    seconds: list[dict[str, list[float]]] = [{way: [] for way in own} for own in runs]
    begun = time.perf_counter()
    for turn in range(rounds + 1):
        spent = time.perf_counter() - begun
        if turn > 1 and spent * (turn + 1) / turn > most:
            break
        for i, own in enumerate(runs):
            ways = list(own)
            for way in ways[(i + turn) % len(ways) :] + ways[: (i + turn) % len(ways)]:
                start = time.perf_counter()
                own[way]()
                if turn:
                    seconds[i][way].append(time.perf_counter() - start)
    return {way: [median(times[way]) for times in seconds] for way in seconds[0]}


def make_runs(text: str, nlp: Any, one: Any) -> dict[str, Callable[[], Any]]:
    """RETURNS (dict[str, Callable]): What is timed of a text."""
    component = nlp.get_pipe("openmed_ner")
    checkpoint = component.shim.checkpoint
    plan = Plan(component.model, checkpoint, [nlp.make_doc(text)])
    batches = [plan.rows(batch) for batch in plan.batches]

    def run_bare() -> None:
        for rows in batches:
            checkpoint.engine(rows)

    return {
        ALL: partial(nlp, text),
        ONE: partial(one, text),
        BARE: run_bare,
        MODULE: partial(_run_module, checkpoint.module, batches),
    }


def _run_module(module: Any, batches: Sequence[Sequence[Any]]) -> None:
    import torch

    with torch.inference_mode():
        for rows in batches:
            for row in rows:
                module(torch.from_numpy(row)[None])


def summarize(seconds: dict[str, list[float]]) -> list[tuple[object, ...]]:
    """RETURNS (list[tuple]): Rows of `HEADER`, without the kind of text."""
    rows: list[tuple[object, ...]] = []
    for way, times in seconds.items():
        centiles = quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        ratios = [
            median(own / other for own, other in zip(times, seconds[base], strict=True))
            for base in (BARE, ONE)
        ]
        rows.append((way, 1000 * centiles[49], 1000 * centiles[98], *ratios))
    return rows


def time_start(checkpoint: str, rounds: int) -> list[tuple[object, ...]]:
    """RETURNS (list[tuple]): Rows of `START`: median seconds of new processes."""
    codes = {
        "import of spaCy": IMPORT,
        "import to the first entities": FIRST.replace("NAME", repr(checkpoint)),
    }
    rows: list[tuple[object, ...]] = []
    for what, code in codes.items():
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - start)
        rows.append((what, median(times)))
    return rows


if __name__ == "__main__":
    typer.run(main)
