"""How cost grows with the length of a document and with the number of texts, and where it goes.

    python benchmarks/scaling.py length [--engine torch-fp32]
    python benchmarks/scaling.py number [--sizes 1000 --sizes 100000]
    python benchmarks/scaling.py buffer [--engine torch-int8]
    python benchmarks/scaling.py forward [--engine torch-int8]
    python benchmarks/scaling.py heads [--engine torch-fp32]
    python benchmarks/scaling.py memory [--clinical] [--zones-only] [--sizes 3000] [--longest 800]
    python benchmarks/scaling.py cluster [--number 2000] [--way ray --way spark]

`length`: time a word piece, and entities found, in documents of 100 to 100,000 pieces, in
interleaved rounds. `number`: sentences a second and peak memory of a process each. `buffer`:
sentences a second by how many documents are buffered (`batch_size`), in interleaved rounds.
`forward`: the share of the time that is the engine's. `heads`: the share of the time that
finding entities takes, after the forward pass, with all heads of the bundled checkpoint.
`memory`: resident memory after a number of different notes, with and without spaCy's memory zones,
and the strings in the vocabulary. `cluster`: time per row with Ray, Spark and processes, beside one
process, all on two cores. It is the extra time for more rows; the remaining time is startup.
"""

import json
import logging
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import spacy
import typer
from speed import (
    CORPORA,
    count_pieces,
    find_documents,
    make_engines,
    measure,
    split_sentences,
    take_notes,
    take_texts,
)
from util import OUTPUT, print_rows, save_results

from spacy_openmed.engines.base import Engine
from spacy_openmed.ner.component import OpenMedNER
from spacy_openmed.paths import MINI_PATH
from spacy_openmed.spans import Entity

LENGTHS = (100, 500, 1000, 5000, 10_000, 50_000, 100_000)
SIZES = (1000, 10_000, 100_000)
NOTES = (3000, 9000)
WAYS = ("one process", "two processes", "ray", "spark")
BATCH = 32  # rows: with few rows, larger batches leave a worker idle
BUFFERS = (1, 4, 16, 64, 128, 512, 1000)

ENGINE = typer.Option("torch-fp32", "--engine", "-e", help="ENGINE-PRECISION")
CHECKPOINT = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini")
ROUNDS = typer.Option(3, min=1, help="Rounds")
AS_JSON = typer.Option(False, "--json", help="Print JSON")

app = typer.Typer(help=__doc__)


class TimedEngine(Engine):
    """An engine that counts the seconds of its forward passes."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.seconds = engine, 0.0

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        start = time.perf_counter()
        logits = self.engine(windows)
        self.seconds += time.perf_counter() - start
        return logits


@app.command()
def length(
    engine: str = ENGINE,
    checkpoint: str = CHECKPOINT,
    lengths: list[int] = typer.Option(LENGTHS, help="Word pieces of a document; repeatable"),
    rounds: int = ROUNDS,
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Time a word piece by the length of the document.
    """
    nlp = make_engines(checkpoint, [engine])[engine]
    texts = find_documents()
    ends = np.cumsum(list(islice(cycle(count_pieces(nlp, texts)), 10_000)))
    documents = {
        n: "\n\n".join(islice(cycle(texts), int(np.searchsorted(ends, n)) + 1)) for n in lengths
    }
    pieces = {n: count_pieces(nlp, [text])[0] for n, text in documents.items()}
    seconds: dict[int, list[float]] = {n: [] for n in lengths}
    entities: dict[int, int] = {}
    for turn in range(rounds + 1):
        for n, text in documents.items():
            repeats = max(1, 5000 // n)
            start = time.perf_counter()
            for _ in range(repeats):
                entities[n] = len(nlp(text).ents)
            if turn:
                seconds[n].append((time.perf_counter() - start) / repeats)
    base = median(seconds[lengths[0]]) / pieces[lengths[0]]
    rows = [
        (
            pieces[n],
            1e6 * median(seconds[n]) / pieces[n],
            median(seconds[n]) / pieces[n] / base,
            1000 * entities[n] / pieces[n],
        )
        for n in lengths
    ]
    header = ("pieces", "microseconds a piece", "ratio to the first", "entities a 1,000 pieces")
    print_rows(header, rows, as_json)
    save_results(output, {"length": (header, rows)})


@app.command()
def number(
    engine: str = ENGINE,
    checkpoint: str = CHECKPOINT,
    sizes: list[int] = typer.Option(SIZES, help="Sentences; repeatable"),
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure peak memory and speed by the number of sentences, each in a process of its own.
    """
    rows: list[tuple[float, ...]] = []
    for size in sizes:
        command = [sys.executable, __file__, "stream", engine, checkpoint, str(size)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds, megabytes = json.loads(printed.splitlines()[-1])
        rows.append((size, size / seconds, megabytes))
    rows = [(*row, row[2] / rows[0][2]) for row in rows]
    header = ("sentences", "sentences/s", "peak memory, MB", "ratio to the first")
    print_rows(header, rows, as_json)
    save_results(output, {"number": (header, rows)})


@app.command()
def buffer(
    engine: str = ENGINE,
    checkpoint: str = CHECKPOINT,
    sizes: list[int] = typer.Option(BUFFERS, help="Documents buffered; repeatable"),
    number: int = typer.Option(1000, min=1, help="Sentences of a round"),
    rounds: int = ROUNDS,
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Time sentences by how many are buffered.
    """
    nlp = make_engines(checkpoint, [engine])[engine]
    texts = list(islice(cycle(split_sentences(find_documents())), number))

    def run(size: int) -> None:
        for _ in nlp.pipe(texts, batch_size=size):
            pass

    seconds = measure({str(size): partial(run, size) for size in sizes}, rounds)
    base = median(seconds[str(sizes[0])])
    rows = [
        (size, number / median(times), base / median(times))
        for size, times in zip(sizes, seconds.values(), strict=True)
    ]
    header = ("buffered", "sentences/s", "ratio to the first")
    print_rows(header, rows, as_json)
    save_results(output, {"buffer": (header, rows)})


@app.command()
def forward(
    engine: str = typer.Option("torch-int8", "--engine", "-e", help="ENGINE-PRECISION"),
    checkpoint: str = CHECKPOINT,
    set_: list[str] = typer.Option(list(CORPORA), "--set", help="Texts to run on; repeatable"),
    pieces: int = typer.Option(30000, min=1, help="Word pieces of a round, about"),
    rounds: int = ROUNDS,
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure which share of the time is the forward pass.
    """
    nlp = make_engines(checkpoint, [engine])[engine]
    loaded = nlp.get_pipe("openmed_ner").shim.checkpoint
    timed = loaded.engine = TimedEngine(loaded.engine)
    rows = []
    for name in set_:
        texts = take_texts(name, pieces, nlp)
        shares = []
        for turn in range(rounds + 1):
            start, timed.seconds = time.perf_counter(), 0.0
            for _ in nlp.pipe(texts):
                pass
            if turn:
                shares.append(100 * timed.seconds / (time.perf_counter() - start))
        rows.append((name, len(texts), median(shares)))
    loaded.engine = timed.engine  # checkpoints are shared in a process
    header = ("texts", "number", "forward pass, %")
    print_rows(header, rows, as_json)
    save_results(output, {"forward": (header, rows)})


@app.command()
def heads(
    engine: str = ENGINE,
    number: int = typer.Option(100, min=1, help="Sentences of a round"),
    rounds: int = typer.Option(5, min=1, help="Rounds"),
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure which share of the time it takes to read the answers of all heads.
    """
    name, precision = engine.rsplit("-", 1)
    nlp = spacy.blank("en")
    component = cast(
        OpenMedNER,
        nlp.add_pipe("openmed_ner", config={"model": {"engine": name, "precision": precision}}),
    )
    loaded = component.shim.load()
    timed = loaded.engine = TimedEngine(loaded.engine)
    texts = list(islice(cycle(split_sentences(find_documents())), number))
    find, finding = component.find, 0.0

    def timed_find(*args: Any) -> list[list[Entity]]:
        nonlocal finding
        start = time.perf_counter()
        entities = find(*args)
        finding += time.perf_counter() - start
        return entities

    component.find = timed_find  # type: ignore[assignment, method-assign]
    ways: dict[str, Callable[[], Any]] = {
        "one by one": lambda: [nlp(text) for text in texts],
        "nlp.pipe": lambda: list(nlp.pipe(texts)),
    }
    rows = []
    for way, run in ways.items():
        shares = []
        for turn in range(rounds + 1):
            start, timed.seconds, finding = time.perf_counter(), 0.0, 0.0
            run()
            seconds = time.perf_counter() - start
            if turn:
                part = 100 * timed.seconds / seconds, 100 * finding / seconds
                shares.append((1000 * seconds / number, *part))
        rows.append((way, *(median(column) for column in zip(*shares, strict=True))))
    loaded.engine = timed.engine
    header = ("sentences", "ms a sentence", "forward pass, %", "finding entities, %")
    print_rows(header, rows, as_json)
    save_results(output, {"heads": (header, rows)})


@app.command()
def memory(
    clinical: bool = typer.Option(False, "--clinical", help="With all components for codes"),
    zones_only: bool = typer.Option(False, "--zones-only", help="In memory zones only"),
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    precision: str = typer.Option("auto", help="fp32, bf16 or int8"),
    sizes: list[int] = typer.Option(NOTES, help="Notes; repeatable"),
    longest: int | None = typer.Option(None, min=1, help="Characters of the longest note taken"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure resident memory by the number of notes, no two of which are the same.
    """
    rows: list[tuple[object, ...]] = []
    model = {"name": checkpoint, "precision": precision}
    for way, zones in (("nlp.pipe", False), ("in memory zones", True))[zones_only:]:
        settings = json.dumps([model, clinical, zones, sorted(sizes), longest])
        command = [sys.executable, __file__, "watch", settings]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        marks = json.loads(printed.splitlines()[-1])
        for size, (megabytes, n_strings) in zip(sorted(sizes), marks, strict=True):
            rows.append((way, size, megabytes, megabytes / marks[0][0], n_strings))
    header = ("way", "notes", "memory, MB", "ratio to the first", "strings")
    print_rows(header, rows, as_json)
    save_results(output, {"memory": (header, rows)})


@app.command(hidden=True)
def watch(settings: str) -> None:
    """
    Run notes, none of which is kept, and print memory and strings after so many of them.
    """
    model, clinical, zones, sizes, longest = json.loads(settings)
    nlp = spacy.blank("en")
    if clinical:
        from pipeline import make_nlp

        nlp = make_nlp(model["name"], model["precision"])
    else:
        nlp.add_pipe("openmed_ner", config={"model": model})
    notes = [note for note in take_notes() if longest is None or len(note) <= longest]
    if not notes:
        raise typer.BadParameter("no note is as short", param_hint="--longest")
    texts = (vary(notes[i % len(notes)], i) for i in range(sizes[-1]))
    marks, n_done = [], 0
    for size in sizes:
        while n_done < size:
            part = list(islice(texts, min(1000, size - n_done)))
            n_done += len(part)
            with nlp.memory_zone() if zones else nullcontext():
                for _ in nlp.pipe(part):
                    pass
        pages = int(Path("/proc/self/statm").read_text(encoding="utf8").split()[1])
        marks.append((pages * resource.getpagesize() / 2**20, len(nlp.vocab.strings)))
    print(json.dumps(marks))


def vary(text: str, seed: int) -> str:
    """RETURNS (str): A text with other numbers, and with a word that no other text has."""
    chance = random.Random(seed)
    text = re.sub(r"\d", lambda _: str(chance.randrange(10)), text)
    return f"{text}\nSeen by {''.join(chance.choices('abcdefghijklmnop', k=12)).title()}."


@app.command()
def cluster(
    number: int = typer.Option(2000, min=20, help="Notes"),
    way: list[str] = typer.Option(WAYS, help="What to compare; repeatable"),
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    rounds: int = typer.Option(1, min=1, help="Rounds, after one that is not timed"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Time a row of Ray, Spark and processes, on two cores.
    """
    import pyarrow as pa
    from pyarrow import parquet

    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    notes = take_notes()
    texts = [vary(notes[i % len(notes)], i) for i in range(number)]
    settings = {"domain": "disease", "model": {"name": checkpoint}}
    with TemporaryDirectory() as folder:
        sizes = (number // 10, number)
        paths = [Path(folder) / f"{size}.parquet" for size in sizes]
        for path, size in zip(paths, sizes, strict=True):
            table = pa.table({"id": range(size), "text": texts[:size]})
            parquet.write_table(table, path, row_group_size=max(1, size // 4))
        runs: dict[str, Callable[[], Any]] = {}
        for name in way:
            run = make_way(name, settings, folder)
            runs |= {f"{name}, {path.stem}": partial(run, path) for path in paths}
        seconds = measure(runs, rounds)
    rows: list[tuple[object, ...]] = []
    for name in way:
        small, whole = (median(seconds[f"{name}, {path.stem}"]) for path in paths)
        row = (whole - small) / (sizes[1] - sizes[0])
        rows.append((name, number, whole, 1000 * row, whole - row * number))
    base = cast(float, rows[0][3])
    rows = [(*row, cast(float, row[3]) / base) for row in rows]
    header = ("way", "notes", "s", "ms a note", "s of start", "a note, to the first")
    print_rows(header, rows, as_json)
    save_results(output, {"cluster": (header, rows)})


def make_way(name: str, settings: dict[str, Any], folder: str) -> Callable[[Path], Any]:
    """RETURNS (Callable): What annotates a Parquet file on two cores, in one of `WAYS`."""
    from spacy_openmed.apply.pipelines import to_model
    from spacy_openmed.batch.annotator import Annotator
    from spacy_openmed.batch.job import Job, run
    from spacy_openmed.batch.sources import find_source

    if name in WAYS[:2]:
        n_process = 1 + WAYS.index(name)
        threads = 2 // n_process
        annotator = Annotator(to_model(settings), id_column="id", threads=threads)

        def run_job(path: Path) -> None:
            source, made = find_source(str(path)), f"{folder}/{n_process}"
            run(
                Job(annotator, source, None, made, batch_size=BATCH, n_process=n_process),
                force=True,
            )

        return run_job
    if name == "ray":
        import ray

        from spacy_openmed.batch.ray import annotate

        ray.init(
            num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )

        def run_ray(path: Path) -> None:
            rows = ray.data.read_parquet(str(path)).repartition(8)
            annotate(rows, settings, id_column="id", concurrency=2, batch_size=BATCH).materialize()

        return run_ray
    from pyspark.sql import SparkSession

    from spacy_openmed.batch.spark import annotate as annotate_frame

    os.environ["PYSPARK_PYTHON"] = sys.executable
    # A worker that lives on would have its pipeline already in some runs and not in others.
    builder = SparkSession.builder.master("local[2]").config("spark.python.worker.reuse", "false")
    spark = builder.getOrCreate()

    def run_spark(path: Path) -> None:
        frame = spark.read.parquet(str(path)).repartition(2)
        annotated = annotate_frame(frame, settings, id_column="id", batch_size=BATCH)
        annotated.write.format("noop").mode("overwrite").save()

    return run_spark


@app.command(hidden=True)
def stream(engine: str, checkpoint: str, size: int) -> None:
    """
    Run so many sentences, none of which is kept, and print seconds and peak memory.
    """
    nlp = make_engines(checkpoint, [engine])[engine]
    sentences = split_sentences(find_documents())

    def texts() -> Iterator[str]:
        yield from islice(cycle(sentences), size)

    start = time.perf_counter()
    for _ in nlp.pipe(texts()):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.perf_counter() - start, peak]))


if __name__ == "__main__":
    app()
