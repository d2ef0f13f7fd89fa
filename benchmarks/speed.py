"""Speed of our component, hf_token_pipe and transformers' pipeline on the same checkpoint.

    python benchmarks/speed.py

All run in one process on a CPU, in fp32, in interleaved rounds: what else the machine does
meets all of them. hf_token_pipe is left out where it is not installed.
"""

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import spacy
import typer
from util import cut_head, make_pipeline, print_rows, quiet_transformers
from wasabi import Printer

from spacy_openmed.catalogue import MINI_PATH
from spacy_openmed.corpora import read_documents

CORPUS = "BC5CDR"
EXAMPLES = Path(__file__).parent.parent / "examples"
BATCH_SIZES = (1, 16, 32)
OURS, PEER = "openmed_ner", "hf_token_pipe"
HEADER = ("component", "docs/s", "slowest", "fastest", "pieces/s", "ratio to ours")


def main(
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    dataset: str = typer.Option("ncbi_disease", "--dataset", "-d", help="The head to run"),
    sentences: int = typer.Option(1000, min=1, help="Sentences of a round"),
    rounds: int = typer.Option(5, min=1, help="Rounds"),
    threads: int = typer.Option(0, min=0, help="Threads (0: as many as torch chooses)"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Compare the speed of components on sentences of the corpora, or else of the examples.
    """
    if threads:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer
    import torch

    if threads:
        torch.set_num_threads(threads)
    quiet_transformers()
    documents, origin = find_documents()
    texts = take_sentences(documents, sentences)
    with TemporaryDirectory() as temporary:
        folder = cut_head(checkpoint, dataset, Path(temporary) / dataset)
        runs, n_pieces = prepare(folder, texts)
        seconds = measure(runs, rounds)
    msg = Printer(no_print=as_json)
    if PEER not in runs:
        msg.warn("hf_token_pipe is left out: spacy-huggingface-pipelines is not installed.")
    msg.info(
        f"{len(texts)} sentences ({len(set(texts))} different, {n_pieces} pieces) {origin}, "
        f"{rounds} rounds, {torch.get_num_threads()} threads"
    )
    print_rows(HEADER, summarize(seconds, len(texts), n_pieces), as_json)


def find_documents() -> tuple[list[str], str]:
    """RETURNS (tuple[list[str], str]): Texts, and where they are from."""
    try:
        texts = [document.text for document in read_documents(CORPUS, "test")]
        return texts, f"of {CORPUS}'s test set"
    except FileNotFoundError:
        paths = sorted(EXAMPLES.glob("*.txt"))
        return [path.read_text(encoding="utf8") for path in paths], "of the examples"


def take_sentences(documents: Sequence[str], n: int) -> list[str]:
    """Split texts into sentences, and take as many as asked for, repeating them if need be.

    documents (Sequence[str]): The texts.
    n (int): How many sentences.
    RETURNS (list[str]): The sentences.
    """
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    found = (sent.text.strip() for doc in nlp.pipe(documents) for sent in doc.sents)
    different = list(islice((text for text in found if text), n))
    return list(islice(cycle(different), n))


def prepare(folder: Path, texts: Sequence[str]) -> tuple[dict[str, Callable[[], Any]], int]:
    """Load every component that is installed.

    folder (Path): A checkpoint of one head.
    texts (Sequence[str]): What they shall process.
    RETURNS (tuple[dict[str, Callable[[], Any]], int]): What runs each of them once, and the
        number of pieces in the texts.
    """
    from transformers import pipeline

    ours = make_pipeline(None, {"model": {"name": str(folder), "device": "cpu"}})
    component: Any = ours.get_pipe("openmed_ner")
    n_pieces = int(component.shim.checkpoint.encode(list(texts)).lengths.sum())
    runs: dict[str, Callable[[], Any]] = {OURS: lambda: list(ours.pipe(texts))}
    if find_spec("spacy_huggingface_pipelines") is not None:
        peer = spacy.blank("en")
        peer.add_pipe(PEER, config={"model": str(folder)})
        runs[PEER] = lambda: list(peer.pipe(texts))
    pipe = pipeline(
        "token-classification", model=str(folder), aggregation_strategy="average", device="cpu"
    )
    for size in BATCH_SIZES:
        runs[f"transformers, batch {size}"] = partial(pipe, list(texts), batch_size=size)
    return runs, n_pieces


def measure(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time every run once a round, each round beginning with another one.

    runs (Mapping[str, Callable[[], Any]]): The runs by name.
    rounds (int): How many rounds, after one that is not timed.
    RETURNS (dict[str, list[float]]): Seconds of each run, one a round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hf_token_pipe warns of every entity that it drops
        for turn in range(rounds + 1):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                start = time.perf_counter()
                runs[name]()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def summarize(
    seconds: Mapping[str, Sequence[float]], n_texts: int, n_pieces: int
) -> list[tuple[str, float, float, float, int, float]]:
    """Make rates of times.

    seconds (Mapping[str, Sequence[float]]): Seconds of each run, one a round.
    n_texts, n_pieces (int): What a run processes.
    RETURNS (list[tuple]): The columns of `HEADER`; rates are of the median round, ratios the
        median over the rounds.
    """
    rows = []
    for name, times in seconds.items():
        ratios = [ours / theirs for ours, theirs in zip(seconds[OURS], times, strict=True)]
        rows.append(
            (
                name,
                n_texts / median(times),
                n_texts / max(times),
                n_texts / min(times),
                round(n_pieces / median(times)),
                median(ratios),
            )
        )
    return rows


if __name__ == "__main__":
    typer.run(main)
