"""Annotate tables of texts, row by row: the same for one process, Ray, Spark and `datasets`.

Workers import this module, so that what it keeps (the loaded pipeline) is kept once a process.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from . import catalogue
from .blank import blank_pipeline, lift_limit
from .errors import Errors, NoColumnError, describe, missing_extra
from .findings import (
    ATTRIBUTE_TYPES,
    COLUMNS,
    KB_ID,
    Findings,
    find_findings,
    read_config,
    read_findings,
)
from .settings import naming_settings
from .spans import read_spans

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error

if TYPE_CHECKING:
    from .pipeline import OpenMedNER
    from .shim import CheckpointShim

ENTITIES, ERROR = "entities", "error"
SPANS_KEY = "openmed"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Annotator:
    """Finds the entities of texts in a table. It holds no pipeline, only what loads one, and so
    may be sent to other processes; two with the same settings, for the same state of the model's
    files, are equal and hash alike.

    model (str): Path or package name of a pipeline, or the settings of an `openmed_ner` component
        in JSON: '{"domain": "genomics"}'. See `to_model`. With the key "openmed_phi", the
        settings of that component, which then comes after it.
    text_column (str): The column of texts: strings, or bytes in UTF-8.
    id_column (str | None): A column that says which row is which. None: the row's number.
    columns (tuple[str, ...]): Other columns to keep.
    attributes (tuple[str, ...]): Extension attributes of spans to add to each entity, true or
        false. Those of the clinical context, such as "is_negated" and "context", are added in any
        case if the pipeline sets them.
    device (str | None): Where `openmed_ner` runs, instead of what the pipeline says: "cuda:0".
    threads (int): Threads of the process. 0: as many as PyTorch chooses.
    stamp (str): The state of the model's files when the annotator was made. A process that has
        loaded the pipeline in another state loads it again.
    """

    model: str
    text_column: str = "text"
    id_column: str | None = None
    columns: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    device: str | None = None
    threads: int = 0
    stamp: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamp", make_stamp(self.model))

    def __call__(self, table: Any) -> "pa.Table":
        """Annotate a table.

        table (pa.Table | pa.RecordBatch | pandas.DataFrame | Sequence): The texts, as a table or
            as a list of texts or dicts. A row with a string in the column "error" keeps that
            error, and is not annotated.
        RETURNS (pa.Table): The same rows in the same order, as `schema` says. Start and end are
            characters, as Python counts them; score and dataset are null for entities that are
            not of `openmed_ner`. A row that can't be annotated has no entities (null, not an
            empty list) and an error, which never holds its text.
        RAISES (ValueError): If it is not a table, has no such column, or no component sets an
            attribute.
        """
        from .tables import make_table

        table = make_table(table, self.text_column, self.wanted)
        nlp = self.load()
        findings = find_findings(nlp)
        schema = self.schema(table.schema, findings)
        columns = (ENTITIES, *findings.columns, ERROR)
        rows: dict[str, list[Any]] = {name: [None] * len(table) for name in columns}
        keys, attributes = find_keys(nlp), self._attributes(findings)

        def read(doc: Doc) -> dict[str, Any]:
            entities = read_entities(doc, keys, attributes, kb_ids=findings.kb_ids)
            return {ENTITIES: entities} | {
                name: COLUMNS[name].read(doc) for name in findings.columns
            }

        with using(nlp):
            for i, result in enumerate(self.process(table)):
                found, rows[ERROR][i] = read_result(result, read)
                for name, value in (found or {}).items():
                    rows[name][i] = value
        kept = [table.column(name) for name in self.columns]
        arrays = [pa.array(values, schema.field(name).type) for name, values in rows.items()]
        return pa.table([self.read_ids(table), *kept, *arrays], schema=schema)

    def process(self, table: "pa.Table | pa.RecordBatch") -> list[Doc | str]:
        """Apply the pipeline to a table's texts.

        table (pa.Table | pa.RecordBatch): The texts.
        RETURNS (list[Doc | str]): A document for each, or what is wrong with it.
        """
        results: list[Any] = [None] * len(table)
        if ERROR in table.schema.names:
            results = table.column(ERROR).to_pylist()
        todo = [i for i, error in enumerate(results) if not error]
        texts = table.column(self.text_column)
        for i, result in zip(todo, process(self.load(), (texts[i] for i in todo)), strict=True):
            results[i] = result
        return results

    def read_ids(self, table: "pa.Table | pa.RecordBatch") -> Any:
        """RETURNS (pa.ChunkedArray | pa.Array): What says which row of a table is which."""
        return pa.array(range(len(table))) if self.id_column is None else table[self.id_column]

    def load(self) -> Language:
        """RETURNS (Language): The pipeline, loaded once a process.
        RAISES (ValueError): If no component sets an attribute."""
        nlp = load_pipeline(self.model, self.device, self.threads, self.stamp)
        find_findings(nlp).check(self.attributes, loaded=True)
        return nlp

    @property
    def wanted(self) -> list[str]:
        """RETURNS (list[str]): The columns that a table has to have."""
        return [self.text_column, *filter(None, [self.id_column]), *self.columns]

    def _attributes(self, findings: Findings) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.attributes + findings.context))

    def schema(self, given: "pa.Schema", findings: Findings | None = None) -> "pa.Schema":
        """Say what a table becomes.

        given (pa.Schema): The table's columns.
        findings (Findings | None): What the pipeline finds. None: read from its config, as this
            machine may not be able to load it.
        RETURNS (pa.Schema): "id" (of the id column's name and type, if there is one), the columns
            to keep, "entities", those of `findings.COLUMNS` that the pipeline has something for,
            and "error".
        RAISES (ValueError): If there is no such column, no component sets an attribute, or
            "error" does not hold strings.
        """
        if findings is None:
            findings = read_findings(self.model)
            findings.check(self.attributes)
        if absent := [name for name in self.wanted if name not in given.names]:
            raise NoColumnError(absent, given.names)
        for name in (*self.wanted, ERROR):
            if given.names.count(name) > 1:
                raise ValueError(Errors.OM627.format(name=name))
        if ERROR in given.names and not _holds_strings(kind := given.field(ERROR).type):
            raise ValueError(Errors.OM603.format(column=ERROR, type=kind))
        first = (
            pa.field("id", pa.int64()) if self.id_column is None else given.field(self.id_column)
        )
        entity = pa.struct(
            [
                ("start", pa.int32()),
                ("end", pa.int32()),
                ("label", pa.string()),
                ("score", pa.float32()),
                ("text", pa.string()),
                ("dataset", pa.string()),
                *([(KB_ID, pa.string())] if findings.kb_ids else []),
                *(
                    (name, ATTRIBUTE_TYPES.get(name, pa.bool_()))
                    for name in self._attributes(findings)
                ),
            ]
        )
        kept = [given.field(name) for name in self.columns]
        found = [(name, COLUMNS[name].type) for name in findings.columns]
        return pa.schema([first, *kept, (ENTITIES, pa.list_(entity)), *found, (ERROR, pa.string())])


def _holds_strings(kind: "pa.DataType") -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def annotate(table: Any, model: str | Path | Mapping[str, Any], **settings: Any) -> "pa.Table":
    """Find the entities of a table's texts.

    table (pa.Table | pa.RecordBatch | pandas.DataFrame | Sequence): The texts, as a table or as a
        list of texts or dicts: [{"id": 1, "text": "..."}].
    model (str | Path | Mapping): Path or package name of a pipeline, or the settings of an
        `openmed_ner` component: {"domain": "genomics"}.
    **settings: Those of `Annotator`.
    RETURNS (pa.Table): See `Annotator.__call__`.
    """
    return Annotator(to_model(model), **settings)(table)


def to_model(model: str | Path | Mapping[str, Any]) -> str:
    """Name a pipeline in one string.

    model (str | Path | Mapping): Path or package name, or the settings of `openmed_ner`.
    RETURNS (str): The name; paths are absolute, as workers may run elsewhere.
    RAISES (ValueError): If it is neither, or the name of a domain, dataset or size.
    """
    if not isinstance(model, (str, Path, Mapping)):
        raise ValueError(Errors.OM604.format(type=type(model).__name__))
    if isinstance(model, Mapping):
        return json.dumps(model, sort_keys=True)
    if not Path(model).is_dir() and not spacy.util.is_package(str(model)):
        for setting, known in (
            ("domain", catalogue.domains()),
            ("dataset", catalogue.datasets()),
            ("size", catalogue.SIZES),
        ):
            if model in known:
                raise ValueError(Errors.OM707.format(model=model, setting=setting))
    return str(Path(model).resolve()) if Path(model).is_dir() else str(model)


def make_stamp(model: str) -> str:
    """Tell in which state a pipeline's files are.

    model (str): See `Annotator`.
    RETURNS (str): A hash that changes with any file in the folder of the pipeline, or of the
        checkpoint that the settings name; empty if there is no such folder.
    """
    name: Any = model
    if model.startswith("{"):
        source = json.loads(model).get("model")
        name = source.get("name") if isinstance(source, Mapping) else source
    if not name or not Path(name).is_dir():
        return ""
    digest = blake2b(digest_size=16)
    for path in sorted(Path(name).rglob("*")):
        if path.is_file():  # False for one that is being replaced
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def load_pipeline(
    model: str, device: str | None = None, threads: int = 0, stamp: str | None = None
) -> Language:
    """Load a pipeline, or take the one that this process has loaded already. Two are kept.

    model (str): See `Annotator`.
    device (str | None): Where its `openmed_ner` components run. None: as it says.
    threads (int): Threads of the process. 0: as many as PyTorch chooses.
    stamp (str | None): The state of its files, see `make_stamp`. None: the state they are in now.
        A pipeline that was loaded in another state is loaded again.
    RETURNS (Language): The pipeline.
    RAISES (OSError): If there is no such pipeline.
    RAISES (ValueError): If its settings are wrong.
    """
    with _loading:
        return _load_pipeline(model, device, threads, make_stamp(model) if stamp is None else stamp)


_loading = Lock()


@lru_cache(maxsize=2)
def _load_pipeline(model: str, device: str | None, threads: int, stamp: str) -> Language:
    if threads:
        import torch

        torch.set_num_threads(threads)
    if model.startswith("{"):
        config = {"annotate_spans_key": SPANS_KEY, **json.loads(model)}
        if device is not None:
            config["model"] = {**config.get("model", {}), "device": device}
        nlp = blank_pipeline(config.pop("language", "en"))
        phi = config.pop("openmed_phi", None)
        with naming_settings():
            nlp.add_pipe("openmed_ner", config=config)
            if phi is not None:
                nlp.add_pipe("openmed_phi", config=phi)
    else:
        with naming_settings():
            nlp = lift_limit(spacy.load(model, config=_on_device(model, device)))
    for shim in _find_shims(nlp):
        shim.load()  # fail fast rather than once per document
    return nlp


def _on_device(model: str, device: str | None) -> dict[str, Any]:
    """What to change in a pipeline's config for another device."""
    if device is None:
        return {}
    components = read_config(model).get("components", {})
    return {
        f"components.{name}.model.device": device
        for name, block in components.items()
        if block.get("factory") == "openmed_ner" and "device" in block.get("model", {})
    }


def _find_ner(nlp: Language) -> "list[OpenMedNER]":
    from .pipeline import OpenMedNER

    return [pipe for _, pipe in nlp.pipeline if isinstance(pipe, OpenMedNER)]


def _find_shims(nlp: Language) -> "list[CheckpointShim]":
    from .shim import CheckpointShim

    shims = [pipe.model.shims[0] for pipe in _find_ner(nlp)]
    return [shim for shim in shims if isinstance(shim, CheckpointShim)]


def find_keys(nlp: Language) -> list[str]:
    """RETURNS (list[str]): The span groups that a pipeline's `openmed_ner` components write."""
    keys = (pipe.annotate_spans_key for pipe in _find_ner(nlp) if pipe.annotate != "ents")
    return list(dict.fromkeys(keys))


def count_pieces(nlp: Language) -> int:
    """RETURNS (int): How many pieces the pipeline's components have predicted so far."""
    return sum(shim.n_pieces for shim in _find_shims(nlp))


_locks: "WeakKeyDictionary[Language, RLock]" = WeakKeyDictionary()
_locking = Lock()


def lock_of(nlp: Language) -> Any:
    """RETURNS (RLock): What a thread has to hold while it uses a pipeline that others may use:
    error handlers and memory zones are the pipeline's, not the thread's."""
    with _locking:
        return _locks.setdefault(nlp, RLock())


@contextmanager
def using(nlp: Language) -> Iterator[None]:
    """Use a pipeline alone, and forget the strings of its documents at the end.

    nlp (Language): The pipeline. Its documents are good until the end of the block.
    """
    with lock_of(nlp), nlp.memory_zone():
        yield


def process(nlp: Language, values: Iterable[Any]) -> list[Doc | str]:
    """Apply a pipeline to texts, some of which may not be any. The pipeline's error handlers are
    not called.

    nlp (Language): The pipeline.
    values (Iterable[Any]): The texts: str, bytes in UTF-8, pyarrow scalars of these, or whatever
        stands in their place.
    RETURNS (list[Doc | str]): A document for each, or what is wrong with it: the first error, if
        any of the components gave the document up.
    RAISES (OSError, ValueError): If an `openmed_ner` can't process any text: its checkpoint is not
        there, or can't do what the settings ask for.
    """
    results: list[Any] = []
    docs: dict[int, Doc] = {}
    with lock_of(nlp):
        for pipe in _find_ner(nlp):
            pipe._check_settings()
        for i, value in enumerate(values):
            try:
                docs[i] = nlp.make_doc(read_text(value))
                results.append(None)
            except Exception as error:
                results.append(describe(error))
        known = _process_batch(nlp, docs)
        for i, doc in docs.items():
            results[i] = known[i] if i in known else _process_alone(nlp, doc.text)
    return results


def _process_batch(nlp: Language, docs: Mapping[int, Doc]) -> dict[int, Doc | str]:
    """Apply a pipeline to a batch. What came of each document, of those where that is certain:
    some components give up a whole batch for one document, or return other documents."""
    numbers = {id(doc): i for i, doc in docs.items()}
    failed: list[tuple[list[int | None], str]] = []
    out: list[Any] = []

    def note(_name: str, _proc: Any, given_up: Sequence[Doc], error: Exception) -> None:
        failed.append(([numbers.get(id(doc)) for doc in given_up], describe(error)))

    try:
        with _handling_errors(nlp, note):
            for doc in nlp.pipe(docs.values()):
                out.append(doc)
    except Exception:  # of a component that leaves nothing to the error handler
        pass
    known = _match(docs, out)
    for given_up, _ in failed:  # they may have come out all the same
        if None in given_up:  # a document that a component has put in the place of ours
            return {}
        for i in given_up:
            known.pop(i, None)
    for given_up, error in reversed(failed):  # the first error counts
        if len(given_up) == 1:
            known[given_up[0]] = error
    return known


def _match(docs: Mapping[int, Doc], out: Sequence[Any]) -> dict[Any, Doc | str]:
    """The documents that came out of a pipeline, by the number of the text; none if it is not
    certain which is which."""
    numbers = {id(doc): i for i, doc in docs.items()}
    found = {numbers.get(id(doc)): doc for doc in out}
    if len(found) == len(out) and None not in found:
        return found
    if [getattr(doc, "text", None) for doc in out] == [doc.text for doc in docs.values()]:
        return dict(zip(docs, out, strict=True))
    return {}


def _process_alone(nlp: Language, text: str) -> Doc | str:
    """Apply a pipeline to one text, component by component."""
    errors: list[str] = []

    def note(_name: str, _proc: Any, _given_up: Sequence[Doc], error: Exception) -> None:
        errors.append(describe(error))

    try:
        doc = nlp.make_doc(text)
        with _handling_errors(nlp, note):
            for name, proc in nlp.pipeline:
                out = [*proc.pipe([doc], batch_size=1)] if hasattr(proc, "pipe") else [proc(doc)]
                if errors:
                    break
                if not out:
                    return Errors.OM504
                if len(out) > 1:
                    return Errors.OM600.format(name=name, n=len(out))
                if not isinstance(out[0], Doc):
                    return Errors.OM601.format(name=name, type=type(out[0]).__name__)
                [doc] = out
    except Exception as error:
        errors.append(describe(error))
    return errors[0] if errors else doc


@contextmanager
def _handling_errors(nlp: Language, handler: Callable[..., None]) -> Iterator[None]:
    """Set a pipeline's error handler, and restore those that were there."""
    default = nlp.default_error_handler
    handlers = [
        (proc, proc.get_error_handler() if hasattr(proc, "get_error_handler") else default)
        for _, proc in nlp.pipeline
        if hasattr(proc, "set_error_handler")
    ]
    nlp.set_error_handler(handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        nlp.default_error_handler = default
        for proc, before in handlers:
            proc.set_error_handler(before)


def read_text(value: Any) -> str:
    """Make a text of a value.

    value (Any): A value of a table, a pyarrow scalar or Python's own.
    RETURNS (str): The text.
    RAISES (ValueError): If it is not a string, or not valid Unicode.
    """
    try:
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        if isinstance(value, bytes):
            value = value.decode("utf8")
        if isinstance(value, str):
            value.encode("utf8")
    except UnicodeDecodeError:
        raise ValueError(Errors.OM501.format(encoding="UTF-8")) from None
    except UnicodeEncodeError:
        raise ValueError(Errors.OM532.format(what="text")) from None
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise ValueError(Errors.OM500.format(kind=kind))
    return value


def read_result(result: Doc | str, read: Callable[[Doc], Value]) -> tuple[Value | None, str | None]:
    """Read what `process` gave for a text.

    result (Doc | str): A document, or what is wrong with it.
    read (Callable[[Doc], Value]): Reads a document.
    RETURNS (tuple[Value | None, str | None]): What it read, or what is wrong.
    """
    if isinstance(result, str):
        return None, result
    try:
        return read(result), None
    except Exception as error:
        return None, describe(error)


def _read_attribute(span: Any, name: str) -> Any:
    value = span._.get(name)
    return value if name in ATTRIBUTE_TYPES else bool(value)


def read_entities(
    doc: Doc, keys: Sequence[str], attributes: Sequence[str] = (), *, kb_ids: bool = False
) -> list[dict[str, Any]]:
    """Read the entities of a document: those of span groups, and others in `doc.ents`.

    doc (Doc): The document.
    keys (Sequence[str]): The span groups.
    attributes (Sequence[str]): Extension attributes of spans to add, true or false but for those
        of `ATTRIBUTE_TYPES`.
    kb_ids (bool): Whether to add ids of a knowledge base.
    RETURNS (list[dict[str, Any]]): The entities in the order of the text.
    """
    rows: dict[tuple[int, int, str], dict[str | None, dict[str, Any]]] = {}

    def add(span: Any, score: float | None, datasets: Sequence[str] | None) -> None:
        row = {
            "start": span.start_char,
            "end": span.end_char,
            "label": span.label_,
            "score": score,
            "text": span.text,
            "dataset": ", ".join(datasets) if datasets else None,
            **{name: _read_attribute(span, name) for name in attributes},
        }
        by_id = rows.setdefault((span.start_char, span.end_char, span.label_), {})
        kb_id = (span.kb_id_ or None) if kb_ids else None
        if kb_ids:
            row[KB_ID] = kb_id
        if kb_id and None in by_id:  # a linker has set the id of one of two that are the same
            by_id[kb_id] = by_id.pop(None) | {KB_ID: kb_id}
        elif kb_id or not by_id:
            by_id.setdefault(kb_id, row)

    for key in keys:
        for own in read_spans(doc, key):
            add(own.span, own.score, own.datasets)
    for ent in doc.ents:
        add(ent, None, None)
    return [row for at in sorted(rows) for row in rows[at].values()]
