"""The cost of each component of a clinical pipeline on notes, compared with entity recognition.

    python benchmarks/pipeline.py [--limit 60]
    python benchmarks/pipeline.py --limit 30 --profile openmed_hcc

Notes of the notes corpus are given to one component after the other: codes with all that
`add_hcc_pipes` adds, de-identification, and links to ICD-10-CM. CPU time is that of all threads.
`% of NER` compares it with `openmed_ner` (the heads for diseases, fp32). `--profile` says which
functions of a component take the time. It needs the extra `hcc`; no corpora.
"""

import pstats
import time
from cProfile import Profile
from pathlib import Path
from statistics import median
from typing import Any

import spacy
import typer
from speed import take_notes
from util import OUTPUT, print_rows, quiet_transformers, save_results

from spacy_openmed.hcc.component import add_hcc_pipes
from spacy_openmed.paths import MINI_PATH

NER = "openmed_ner"
PRIVACY = "privacy"
HEADER = ("component", "CPU ms a note", "% of NER", "ms a note")
MAKE = "tokenizer"


def main(
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    split: str = typer.Option("test", help="Part of the notes corpus"),
    limit: int = typer.Option(100, min=1, help="Notes"),
    rounds: int = typer.Option(3, min=1, help="Rounds, after one that is not timed"),
    profile: str | None = typer.Option(None, help="Print what takes the time of a component"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Time the components of a clinical pipeline one by one.
    """
    quiet_transformers()
    nlp = make_nlp(checkpoint)
    if profile is not None and profile not in nlp.pipe_names:
        raise typer.BadParameter(f"known are {', '.join(nlp.pipe_names)}", param_hint="--profile")
    texts = take_notes(split)[:limit]
    profiler = Profile(time.process_time)
    seconds: dict[str, list[tuple[float, float]]] = {}
    for turn in range(rounds + 1):
        watched = profile if turn == rounds else None
        for name, pair in run_once(nlp, texts, watched, profiler).items():
            if turn:
                seconds.setdefault(name, []).append(pair)
    rows = []
    base = median(cpu for cpu, _ in seconds[NER])
    for name, times in seconds.items():
        cpu, wall = (median(column) for column in zip(*times, strict=True))
        rows.append((name, 1000 * cpu / len(texts), 100 * cpu / base, 1000 * wall / len(texts)))
    print_rows(HEADER, rows, as_json)
    if profile is not None:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    save_results(output, {"pipeline": (HEADER, rows)})


def make_nlp(checkpoint: str, precision: str = "fp32") -> Any:
    """RETURNS (Language): A pipeline for codes, identifiers and links."""
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    model = {"name": checkpoint, "precision": precision}
    nlp.replace_pipe(NER, NER, config={"domain": "disease", "model": model})
    own = {"domain": "privacy", "annotate": "spans", "annotate_spans_key": PRIVACY, "model": model}
    nlp.add_pipe(NER, name=PRIVACY, config=own)
    nlp.add_pipe("openmed_phi", config={"spans_key": PRIVACY})
    nlp.add_pipe("openmed_linker", config={"vocabulary": "icd10cm"})
    return nlp


def run_once(
    nlp: Any, texts: list[str], watched: str | None, profiler: Profile
) -> dict[str, tuple[float, float]]:
    """Give texts to one component after the other.

    nlp (Language): The pipeline.
    texts (list[str]): The texts.
    watched (str | None): The component to profile.
    profiler (Profile): What profiles it.
    RETURNS (dict[str, tuple[float, float]]): CPU and wall seconds of each.
    """
    seconds = {}
    docs: list[Any] = []
    for name, pipe in [(MAKE, None), *nlp.pipeline]:
        start = time.process_time(), time.perf_counter()
        if name == watched:
            profiler.enable()
        if pipe is None:
            docs = [nlp.make_doc(text) for text in texts]
        elif hasattr(pipe, "pipe"):
            docs = list(pipe.pipe(docs, batch_size=128))
        else:
            docs = [pipe(doc) for doc in docs]
        profiler.disable()
        seconds[name] = time.process_time() - start[0], time.perf_counter() - start[1]
    return seconds


if __name__ == "__main__":
    typer.run(main)
