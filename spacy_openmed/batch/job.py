"""Annotate files of any number of texts, in shards, so that a run that was cut off goes on.

Into the output folder go `part-00000.parquet` and so on, each whole or not there, with the counts
of what is in it beside it; `_manifest.json`, of what all was made; and in the end `_SUCCESS`.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from threading import Thread
from typing import Any

import pyarrow as pa
import spacy
from spacy.tokens import Doc, DocBin

from .. import __version__
from ..apply.fingerprint import find_checkpoint, fingerprint
from ..apply.pipelines import count_pieces, using
from ..apply.texts import ENTITIES, ERROR, read_result
from ..checkpoints.checkpoint import Checkpoint
from ..errors import Errors
from .annotator import Annotator
from .output import Output, Summary, to_json
from .reading import PLACE
from .sources import Source
from .tables import read_tables

Tick = Callable[[int, int], None]  # is told of rows and pieces that are done


@dataclass(frozen=True)
class Job:
    """What to do.

    annotator (Annotator): Finds the entities.
    source (Source): The texts.
    id_column (str | None): See `tables.read_tables`; the annotator's is then "id".
    output (str): Folder or URI.
    format (str): "parquet", "jsonl" or "spacy".
    shard_size (int): Rows of a shard.
    batch_size (int): Rows annotated together.
    limit (int | None): The most rows to annotate.
    n_process (int): Processes.
    strict (bool): Stop at the first row that can't be annotated.
    """

    annotator: Annotator
    source: Source
    id_column: str | None
    output: str
    format: str = "parquet"
    shard_size: int = 10_000
    batch_size: int = 1000
    limit: int | None = None
    n_process: int = 1
    strict: bool = False

    def manifest(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): What the output depends on."""
        own = {
            k: v
            for k, v in asdict(self.annotator).items()
            if k not in ("device", "threads", "stamp", "key")
        }
        return {
            "pipeline": fingerprint(self.annotator.load()),
            "input": self.source.fingerprint(),
            "settings": {
                **own,
                "format": self.format,
                "shard_size": self.shard_size,
                "limit": self.limit,
            },
            "versions": {"spacy": spacy.__version__, "spacy_openmed": __version__},
        }


def run(job: Job, *, force: bool = False, tick: Tick = lambda rows, pieces: None) -> Summary:
    """Annotate all texts. What an earlier run with the same settings has done is not done again.
    Nothing is written before the pipeline is loaded and the first texts are read.

    job (Job): What to do.
    force (bool): Begin anew, whatever an earlier run has left.
    tick (Callable[[int, int], None]): Is told of rows and pieces that are done.
    RETURNS (Summary): What is in the output.
    RAISES (OSError): If it can't be written, or a process was killed.
    RAISES (ValueError): If the folder holds something else, or (strict) for a row that can't be
        annotated.
    """
    job.annotator.load()  # fail before the folder is touched
    output = Output(job.output, job.format)
    names = output.check(force=force, is_stream=not job.source.files)
    for _, pipe in job.annotator.load().pipeline:
        if isinstance(checkpoint := find_checkpoint(pipe), Checkpoint):
            checkpoint.engine  # noqa: B018  # fail before anything is written
    manifest = to_json(job.manifest())
    output.compare(names, manifest, force)
    shards = _read(job)
    first = list(islice(shards, 1))
    output.begin(names, manifest, force)
    summary = Summary()
    with _make_map(job) as map_:
        for number, shard in enumerate(chain(first, shards)):
            first.clear()
            counts = output.read_counts(number)
            if counts is None:
                counts = Summary()
                parts: list[Any] = []
                for part in map_(shard):
                    if job.strict and part.error is not None:
                        raise ValueError(Errors.OM359.format(error=part.error))
                    parts.append(part.content)
                    counts.add(part.counts)
                    tick(part.counts.rows, part.n_pieces)
                output.write(number, parts, counts)
            else:
                counts.n_kept = counts.rows
                tick(counts.rows, 0)
            summary.add(counts)
    output.finish(summary)
    return summary


def _read(job: Job) -> Iterator[pa.Table]:
    """The texts, a shard at a time."""
    annotator, left = job.annotator, job.limit
    known = (annotator.text_column, annotator.id_column)
    more = [name for name in annotator.wanted if name not in known]
    tables = read_tables(
        job.source,
        job.shard_size if job.limit is None else min(job.shard_size, max(job.limit, 1)),
        text_column=annotator.text_column,
        id_column=job.id_column,
        columns=tuple(dict.fromkeys((*annotator.columns, *more))),
    )
    for table in tables:
        if left is not None:
            table = table.slice(0, left)
            left -= len(table)
        if len(table):
            yield table
        if left == 0:
            return


@dataclass
class Part:
    """Some rows of a shard, annotated.

    content (pa.Table | bytes): The rows; for "spacy" a DocBin.
    counts (Summary): What is in them.
    n_pieces (int): Pieces that were predicted for it.
    error (str | None): The first error, with its place.
    """

    content: Any
    counts: Summary
    n_pieces: int
    error: str | None


def annotate_part(annotator: Annotator, format: str, table: pa.Table) -> Part:
    """Annotate some rows, in this process.

    annotator (Annotator): Finds the entities.
    format (str): "spacy" for documents, else for a table.
    table (pa.Table): The rows.
    RETURNS (Part): The rows, annotated.
    """
    nlp = annotator.load()
    before = count_pieces(nlp)
    places = table.column(PLACE).to_pylist()
    if format == "spacy":
        content, counts, placed = _make_docs(annotator, table, places)
    else:
        content = annotator(table)
        errors = content[ERROR].to_pylist()
        placed = [_add_place(*pair) for pair in zip(errors, places, strict=True)]
        at = content.schema.get_field_index(ERROR)
        content = content.set_column(at, ERROR, pa.array(placed, pa.string()))
        labels = content[ENTITIES].combine_chunks().flatten().field("label").to_pylist()
        counts = Summary(len(content), Counter(labels), Counter(filter(None, errors)))
        for error, place in zip(errors, places, strict=True):
            if error is not None:
                counts.places.setdefault(error, place)
    n_pieces = count_pieces(nlp) - before
    return Part(content, counts, n_pieces, next(filter(None, placed), None))


def _add_place(error: str | None, place: str) -> str | None:
    return None if error is None else f"{error} ({place})"


def _make_docs(
    annotator: Annotator, table: pa.Table, places: Sequence[str]
) -> tuple[bytes, Summary, list[str | None]]:
    nlp = annotator.load()
    counts = Summary(len(table))
    placed: list[str | None] = []
    docs = DocBin(store_user_data=True)
    ids = annotator.read_ids(table)
    with using(nlp):
        for i, result in enumerate(map(_check_saving, annotator.process(table))):
            if isinstance(result, Doc):
                counts.entities.update(ent.label_ for ent in result.ents)
            else:
                counts.errors[result] += 1
                counts.places.setdefault(result, places[i])
                placed.append(_add_place(result, places[i]))
                result = Doc(nlp.vocab, user_data={ERROR: placed[-1]})
            columns = {name: table[name][i].as_py() for name in annotator.columns}
            id = ids[i].as_py()
            result.user_data |= {"id": id, annotator.id_column or "id": id, **columns}
            docs.add(result)
        return docs.to_bytes(), counts, placed


def _check_saving(result: Doc | str) -> Doc | str:
    """What `process` gave for a text; what is wrong if a document holds what can't be saved."""
    _, error = read_result(result, lambda doc: DocBin(store_user_data=True, docs=[doc]))
    return result if error is None else error


@contextmanager
def _make_map(job: Job) -> Iterator[Callable[[pa.Table], Iterator[Part]]]:
    """What annotates a shard, a part at a time, in this process or in others."""
    work = partial(annotate_part, job.annotator, job.format)

    def split(shard: pa.Table) -> list[pa.Table]:
        return [shard.slice(i, job.batch_size) for i in range(0, len(shard), job.batch_size)]

    if job.n_process == 1:
        yield lambda shard: map(work, split(shard))
        return
    # Not forked: the model has threads. Each loads the pipeline from where it is.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(job.n_process, context, _start, (job.annotator,)) as pool:
            yield lambda shard: pool.map(work, split(shard))
    except BrokenProcessPool:
        raise OSError(Errors.OM367) from None


def _start(annotator: Annotator) -> None:
    """Make ready a process that ends with its parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    Thread(target=_end_with_parent, daemon=True).start()
    annotator.load()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
