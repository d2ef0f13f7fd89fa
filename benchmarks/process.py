"""The cost of `openmed process` compared with `nlp.pipe`, in time and memory.

    python benchmarks/process.py [--number 20000]

Sentences (`--abstracts`: abstracts) of BC5CDR's test set or of the examples, repeated, in a Parquet
file. Rounds are interleaved. Memory is the peak of the command for the tenth and for all of them.
"""

import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa
import typer
from pyarrow import parquet
from speed import find_documents, measure, split_sentences
from util import print_rows

from spacy_openmed.apply.pipelines import to_model
from spacy_openmed.batch.annotator import Annotator
from spacy_openmed.batch.job import Job, run
from spacy_openmed.batch.sources import find_source


def main(
    number: int = typer.Option(20_000, min=10, help="Texts"),
    abstracts: bool = typer.Option(False, "--abstracts", help="Abstracts instead of sentences"),
    precision: str = typer.Option("int8", help="fp32, bf16 or int8"),
    rounds: int = typer.Option(3, min=1, help="Rounds"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Compare `openmed process` with `nlp.pipe`.
    """
    documents = find_documents()
    texts = list(islice(cycle(documents if abstracts else split_sentences(documents)), number))
    model = to_model({"domain": "disease", "model": {"precision": precision}})
    annotator = Annotator(model, id_column="id")
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory() as folder:
        tenth, whole = (
            write(texts[:n], Path(folder) / f"{n}.parquet") for n in (number // 10, number)
        )
        nlp = annotator.load()

        def pipe() -> None:
            for _ in nlp.pipe(texts):
                pass

        def process() -> None:
            run(Job(annotator, find_source(str(whole)), None, f"{folder}/out"), force=True)

        seconds = measure({"nlp.pipe": pipe, "process": process}, rounds)
        peaks = [
            measure_memory(path, precision, f"{folder}/{path.stem}") for path in (tenth, whole)
        ]
    base = seconds["nlp.pipe"]
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(base, times, strict=True)]
        rows.append((name, number, number / median(times), median(ratios), None, None))
    for n, peak in zip((number // 10, number), peaks, strict=True):
        rows.append(("process, the command", n, None, None, peak, peak / peaks[0]))
    header = ("what", "texts", "texts/s", "ratio", "peak memory, MB", "ratio to the tenth")
    print_rows(header, rows, as_json)


def write(texts: Sequence[str], path: Path) -> Path:
    """Write texts to a Parquet file.

    texts (Sequence[str]): The texts.
    path (Path): The file.
    RETURNS (Path): The file.
    """
    parquet.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)
    return path


def measure_memory(path: Path, precision: str, output: str) -> float:
    """RETURNS (float): Peak memory in MB of the command on a Parquet file."""
    command = [sys.executable, "-m", "spacy", "openmed", "process", str(path), output]
    command += ["--domain", "disease", "--precision", precision]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, capture_output=True, text=True
    )
    return float(printed.stdout)


if __name__ == "__main__":
    typer.run(main)
