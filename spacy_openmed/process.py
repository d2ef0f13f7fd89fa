"""Annotate files of any number of texts, in shards, so that a run that was cut off goes on.

Into the output folder go `part-00000.parquet` and so on, each whole or not there, with the counts
of what is in it beside it; `_manifest.json`, of what all was made; and in the end `_SUCCESS`.
"""

import hashlib
import json
import multiprocessing
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import PurePosixPath
from threading import Thread
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
from .tables import PLACE, Source, find_filesystem, read_tables

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"

Tick = Callable[[int, int], None]  # is told of rows and pieces that are done


@dataclass
class Summary:
    """What a run, or a part of it, came to.

    rows (int): Texts.
    entities (Counter[str]): Entities by label.
    errors (Counter[str]): Rows without entities, by what is wrong with them.
    places (dict[str, str]): Where the first of these rows is.
    n_kept (int): Texts that an earlier run has done.
    """

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)
    n_kept: int = 0

    def add(self, other: "Summary") -> None:
        """Add another's counts."""
        self.rows += other.rows
        self.entities.update(other.entities)
        self.errors.update(other.errors)
        self.places = {**other.places, **self.places}
        self.n_kept += other.n_kept

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The counts, for JSON."""
        return {
            "rows": self.rows,
            "entities": dict(self.entities),
            "errors": dict(self.errors),
            "places": self.places,
        }


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


def fingerprint(nlp: Language) -> str:
    """RETURNS (str): A hash of a pipeline's settings, weights and labels, the same on every
    device."""
    config = nlp.config.copy()
    for block in config["components"].values():
        if isinstance(block.get("model"), dict):
            block["model"].pop("device", None)
    digest = hashlib.blake2b(config.to_str().encode("utf8"), digest_size=16)
    for _, pipe in nlp.pipeline:
        checkpoint = _find_checkpoint(pipe)
        if isinstance(checkpoint, Checkpoint) and not checkpoint.has_no_weights:
            digest.update(hash_weights(checkpoint.stored_weights).encode("ascii"))
            facts = [checkpoint.facts, getattr(pipe, "cfg", {})]
            digest.update(json.dumps(facts, sort_keys=True).encode("utf8"))
        elif hasattr(pipe, "to_bytes"):
            digest.update(pipe.to_bytes())
    return digest.hexdigest()


def _find_checkpoint(pipe: Any) -> Any:
    return getattr(getattr(pipe, "shim", None), "checkpoint", None)


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
    output = Output(job)
    names = output.check(force)
    for _, pipe in job.annotator.load().pipeline:
        if isinstance(checkpoint := _find_checkpoint(pipe), Checkpoint):
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
                        raise ValueError(Errors.OM517.format(error=part.error))
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
        raise OSError(Errors.OM537) from None


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


class Output:
    """The folder that a job writes.

    job (Job): The job.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.filesystem, self.root = find_filesystem(job.output)

    def check(self, force: bool) -> list[str]:
        """Look at what the folder holds. Nothing is written.

        force (bool): Whether an earlier run's output may be removed.
        RETURNS (list[str]): The names of an earlier run's files.
        RAISES (ValueError): If it holds anything else, or what was read from standard input.
        """
        with self._writing():
            if self.filesystem.get_file_info(self.root).type == fs.FileType.NotFound:
                return []
            files = self.filesystem.get_file_info(fs.FileSelector(self.root))
        names = [file.base_name for file in files]
        ours = re.compile(r"\.?_?part-\d+\..*|\.?_SUCCESS|\.?_manifest\.json")
        if any(not ours.fullmatch(name) for name in names):
            raise ValueError(Errors.OM516.format(path=self.job.output))
        if not force and MANIFEST in names and not self.job.source.files:
            raise ValueError(Errors.OM520.format(path=self.job.output))
        return names

    def compare(self, names: Sequence[str], manifest: bytes, force: bool) -> None:
        """Make sure that the folder's files are the same job's. Nothing is written.

        names (Sequence[str]): The files.
        manifest (bytes): The job's manifest.
        force (bool): Whether they are to be removed.
        RAISES (ValueError): If they are not.
        """
        has_shards = any("part-" in name and name[0] != "." for name in names)
        if force:
            return
        if MANIFEST not in names:
            if has_shards or SUCCESS in names:
                raise ValueError(Errors.OM516.format(path=self.job.output))
            return
        try:
            known = self._read_json(MANIFEST)
        except ValueError:
            if has_shards:
                raise ValueError(Errors.OM621.format(path=self.job.output, file=MANIFEST)) from None
            return
        own = json.loads(manifest)
        if what := [key for key in own if known.get(key) != own[key]]:
            raise ValueError(Errors.OM515.format(path=self.job.output, what=" and ".join(what)))

    def begin(self, names: Sequence[str], manifest: bytes, force: bool) -> None:
        """Make the folder ready: what a run that was killed was writing is removed.

        names (Sequence[str]): The files that are there.
        manifest (bytes): The job's manifest.
        force (bool): Remove all of them.
        RAISES (OSError): If it can't be written to.
        """
        with self._writing():
            self.filesystem.create_dir(self.root, recursive=True)
            for name in names:
                if force or name.startswith("."):
                    self.filesystem.delete_file(self._path(name))
        self._write(MANIFEST, manifest)

    def read_counts(self, number: int) -> Summary | None:
        """RETURNS (Summary | None): What is in a shard; None if it is not there."""
        paths = [self._path(name) for name in self._names(number)]
        if not all(info.size for info in self.filesystem.get_file_info(paths)):
            return None
        try:
            counts = self._read_json(self._names(number)[1])
            return Summary(
                counts["rows"],
                Counter(counts["entities"]),
                Counter(counts["errors"]),
                dict(counts["places"]),
            )
        except (KeyError, ValueError):
            return None

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
        """RAISES (ValueError): If the file does not hold a JSON object."""
        with self.filesystem.open_input_stream(self._path(name)) as stream:
            value = json.loads(stream.read())
        if not isinstance(value, dict):
            raise ValueError
        return value

    def _write(self, name: str, content: Any) -> None:
        """Write a file beside its place, and then move it there."""
        temporary = self._path(f".{name}")
        with self._writing():
            try:
                with self.filesystem.open_output_stream(temporary, compression=None) as stream:
                    stream.write(content)
                self.filesystem.move(temporary, self._path(name))
            except OSError:
                with suppress(OSError):  # on a full disk, it only takes room
                    self.filesystem.delete_file(temporary)
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what can't be written, and how to go on."""
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            raise OSError(Errors.OM536.format(path=self.job.output, error=why)) from error


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
