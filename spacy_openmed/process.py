"""Annotate files of any number of texts, in shards, so that a run that was cut off goes on.

Into the output folder go `part-00000.parquet` and so on, each whole or not there, with the counts
of what is in it beside it; `_manifest.json`, of what all was made; and in the end `_SUCCESS`.
"""

import hashlib
import json
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import spacy
from pyarrow import fs, parquet
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from . import __version__
from .batch import ENTITIES, ERROR, Annotator, count_pieces, read_result, using
from .checkpoint import Checkpoint
from .engines import fingerprint as hash_weights
from .errors import Errors
from .tables import Source, find_filesystem, read_tables

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"

Tick = Callable[[int, int], None]  # is told of rows and pieces that are done


@dataclass
class Summary:
    """What a run, or a part of it, came to.

    rows (int): Texts.
    entities (Counter[str]): Entities by label.
    errors (Counter[str]): Rows without entities, by what is wrong with them.
    """

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Summary") -> None:
        """Add another's counts."""
        self.rows += other.rows
        self.entities.update(other.entities)
        self.errors.update(other.errors)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The counts, for JSON."""
        return {"rows": self.rows, "entities": dict(self.entities), "errors": dict(self.errors)}


@dataclass(frozen=True)
class Job:
    """What to do.

    annotator (Annotator): Finds the entities.
    source (Source): The texts.
    id_column (str | None): See `tables.read_tables`; the annotator's is then "id".
    output (str): Folder or URI.
    format (str): "parquet", "jsonl" or "spacy".
    shard_size (int): Rows of a shard.
    batch_size (int): Rows that are annotated at once.
    limit (int | None): Take so many rows only.
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
            if k not in ("device", "threads", "stamp")
        }
        return {
            "pipeline": fingerprint(self.annotator.load()),
            "input": [self.source.format, self.source.fingerprint()],
            "settings": {
                **own,
                "format": self.format,
                "shard_size": self.shard_size,
                "limit": self.limit,
            },
            "versions": {"spacy": spacy.__version__, "spacy_openmed": __version__},
        }


def fingerprint(nlp: Language) -> str:
    """RETURNS (str): A hash of a pipeline's settings and weights."""
    digest = hashlib.blake2b(nlp.config.to_str().encode("utf8"), digest_size=16)
    for _, pipe in nlp.pipeline:
        checkpoint = getattr(getattr(pipe, "shim", None), "checkpoint", None)
        if isinstance(checkpoint, Checkpoint) and not checkpoint.has_no_weights:
            digest.update(hash_weights(checkpoint.module).encode("ascii"))
        elif hasattr(pipe, "to_bytes"):
            digest.update(pipe.to_bytes())
    return digest.hexdigest()


def run(job: Job, *, force: bool = False, tick: Tick = lambda rows, pieces: None) -> Summary:
    """Annotate all texts. What an earlier run with the same settings has done is not done again.

    job (Job): What to do.
    force (bool): Begin anew, whatever an earlier run has left.
    tick (Callable[[int, int], None]): Is told of rows and pieces that are done.
    RETURNS (Summary): What is in the output.
    RAISES (ValueError): If the folder holds something else, or (strict) for a row that can't be
        annotated.
    """
    output = Output(job)
    output.prepare(force)
    summary = Summary()
    with _make_map(job) as map_:
        for number, shard in enumerate(_read(job)):
            counts = output.read_counts(number)
            if counts is None:
                counts = Summary()
                parts: list[Any] = []
                for part in map_(shard):
                    if job.strict and part.counts.errors:
                        first = summary.rows + counts.rows
                        last, error = first + part.counts.rows - 1, next(iter(part.counts.errors))
                        raise ValueError(Errors.OM517.format(first=first, last=last, error=error))
                    parts.append(part.content)
                    counts.add(part.counts)
                    tick(part.counts.rows, part.n_pieces)
                output.write(number, parts, counts)
            else:
                tick(counts.rows, 0)
            summary.add(counts)
    output.finish(summary)
    return summary


def _read(job: Job) -> Iterator[pa.Table]:
    """The texts, a shard at a time."""
    annotator, left = job.annotator, job.limit
    tables = read_tables(
        job.source,
        job.shard_size if job.limit is None else min(job.shard_size, max(job.limit, 1)),
        text_column=annotator.text_column,
        id_column=job.id_column,
        columns=annotator.columns,
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
    """

    content: Any
    counts: Summary
    n_pieces: int


def annotate_part(annotator: Annotator, format: str, table: pa.Table) -> Part:
    """Annotate some rows, in this process.

    annotator (Annotator): Finds the entities.
    format (str): "spacy" for documents, else for a table.
    table (pa.Table): The rows.
    RETURNS (Part): The rows, annotated.
    """
    nlp = annotator.load()
    before = count_pieces(nlp)
    if format == "spacy":
        content, counts = _make_docs(annotator, table)
    else:
        content = annotator(table)
        lists = content[ENTITIES].combine_chunks()
        labels = lists.flatten().field("label").to_pylist()
        errors = [error for error in content[ERROR].to_pylist() if error is not None]
        counts = Summary(len(content), Counter(labels), Counter(errors))
    return Part(content, counts, count_pieces(nlp) - before)


def _make_docs(annotator: Annotator, table: pa.Table) -> tuple[bytes, Summary]:
    nlp = annotator.load()
    counts = Summary(len(table))
    docs = DocBin(store_user_data=True)
    ids = annotator.read_ids(table)
    with using(nlp):
        for i, result in enumerate(map(_check_saving, annotator.process(table))):
            if isinstance(result, Doc):
                counts.entities.update(ent.label_ for ent in result.ents)
            else:
                counts.errors[result] += 1
                result = Doc(nlp.vocab, user_data={ERROR: result})
            columns = {name: table[name][i].as_py() for name in annotator.columns}
            result.user_data |= {"id": ids[i].as_py(), **columns}
            docs.add(result)
        return docs.to_bytes(), counts


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
    with ProcessPoolExecutor(job.n_process, context, initializer=job.annotator.load) as pool:
        yield lambda shard: pool.map(work, split(shard))


class Output:
    """The folder that a job writes.

    job (Job): The job.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.filesystem, self.root = find_filesystem(job.output)

    def prepare(self, force: bool) -> None:
        """Make the folder, or make sure that it is the same job's.

        force (bool): Remove what another job has left.
        RAISES (ValueError): If it holds anything else, or what was read from standard input.
        """
        self.filesystem.create_dir(self.root, recursive=True)
        files = self.filesystem.get_file_info(fs.FileSelector(self.root))
        names = [file.base_name for file in files]
        ours = re.compile(r"\.?_?part-\d+\..*|_SUCCESS|\.?_manifest\.json")
        if any(not ours.fullmatch(name) for name in names):
            raise ValueError(Errors.OM516.format(path=self.job.output))
        if force:
            for name in names:
                self.filesystem.delete_file(self._path(name))
        elif MANIFEST in names:
            if not self.job.source.files:
                raise ValueError(Errors.OM520.format(path=self.job.output))
            known, own = self._read_json(MANIFEST), json.loads(to_json(self.job.manifest()))
            if what := [key for key in own if known.get(key) != own[key]]:
                raise ValueError(Errors.OM515.format(path=self.job.output, what=" and ".join(what)))
            return
        elif names:
            raise ValueError(Errors.OM516.format(path=self.job.output))
        self._write(MANIFEST, to_json(self.job.manifest()))

    def read_counts(self, number: int) -> Summary | None:
        """RETURNS (Summary | None): What is in a shard; None if it is not there."""
        paths = [self._path(name) for name in self._names(number)]
        if any(info.type == fs.FileType.NotFound for info in self.filesystem.get_file_info(paths)):
            return None
        counts = self._read_json(self._names(number)[1])
        return Summary(counts["rows"], Counter(counts["entities"]), Counter(counts["errors"]))

    def write(self, number: int, parts: Sequence[Any], counts: Summary) -> None:
        """Write a shard.

        number (int): Its number.
        parts (Sequence[pa.Table | bytes]): Its parts.
        counts (Summary): What is in them.
        """
        shard, sidecar = self._names(number)
        self._write(sidecar, to_json(counts.to_dict()))  # first: what counts is the shard
        self._write(shard, _WRITERS[self.job.format](parts))

    def finish(self, summary: Summary) -> None:
        """Say that all is there.

        summary (Summary): What is in all shards.
        """
        self._write(SUCCESS, to_json(summary.to_dict()))

    def _names(self, number: int) -> tuple[str, str]:
        return f"part-{number:05}.{self.job.format}", f"_part-{number:05}.json"

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self.root) / name)

    def _read_json(self, name: str) -> dict[str, Any]:
        with self.filesystem.open_input_stream(self._path(name)) as stream:
            return json.loads(stream.read())

    def _write(self, name: str, content: Any) -> None:
        """Write a file beside its place, and then move it there."""
        temporary = self._path(f".{name}")
        with self.filesystem.open_output_stream(temporary, compression=None) as stream:
            stream.write(content)
        self.filesystem.move(temporary, self._path(name))


def to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf8")


def _to_parquet(parts: Sequence[pa.Table]) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.concat_tables(parts), sink, compression="zstd")
    return sink.getvalue()


def _to_jsonl(parts: Sequence[pa.Table]) -> bytes:
    rows = (row for part in parts for row in part.to_pylist())
    lines = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    return "".join(lines).encode("utf8")


def _to_spacy(parts: Sequence[bytes]) -> bytes:
    docs = DocBin(store_user_data=True)
    for part in parts:
        docs.merge(DocBin(store_user_data=True).from_bytes(part))
    return docs.to_bytes()


_WRITERS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "parquet": _to_parquet,
    "jsonl": _to_jsonl,
    "spacy": _to_spacy,
}
FORMATS = tuple(_WRITERS)
