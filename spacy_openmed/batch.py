"""Annotate tables of texts, row by row: the same for one process, Ray, Spark and `datasets`.

Workers import this module, so that what it keeps (the loaded pipeline) is kept once a process.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from .errors import Errors, missing_extra
from .spans import read_spans

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error

if TYPE_CHECKING:
    from .pipeline import OpenMedNER

ENTITIES, ERROR = "entities", "error"
SPANS_KEY = "openmed"


@dataclass(frozen=True)
class Annotator:
    """Finds the entities of texts in a table. It holds no pipeline, only what loads one, and so
    may be sent to other processes; two with the same settings are equal, and hash alike.

    model (str): Path or package name of a pipeline, or the settings of an `openmed_ner` component
        in JSON: '{"domain": "genomics"}'. See `to_model`.
    text_column (str): The column of texts: strings, or bytes in UTF-8.
    id_column (str | None): A column that says which row is which. None: the row's number.
    columns (tuple[str, ...]): Other columns to keep.
    attributes (tuple[str, ...]): Extension attributes of spans to add to each entity, true or
        false: "is_negated".
    device (str | None): Where `openmed_ner` runs, instead of what the pipeline says: "cuda:0".
    threads (int): Threads of the process. 0: as many as PyTorch chooses.
    """

    model: str
    text_column: str = "text"
    id_column: str | None = None
    columns: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    device: str | None = None
    threads: int = 0

    def __call__(self, table: "pa.Table | pa.RecordBatch") -> "pa.Table":
        """Annotate a table.

        table (pa.Table | pa.RecordBatch): The texts. Rows that have something in a column
            "error" already keep it, and are not looked at.
        RETURNS (pa.Table): The same rows in the same order, as `schema` says. Start and end are
            characters, as Python counts them; score and dataset are null for entities that are
            not of `openmed_ner`. A row that can't be annotated has no entities (null, not an
            empty list) and an error, which never holds its text.
        RAISES (ValueError): If there is no such column.
        """
        schema = self.schema(table.schema)
        rows: list[list[dict[str, Any]] | None] = [None] * len(table)
        errors: list[str | None] = [None] * len(table)
        nlp = self.load()
        keys = find_keys(nlp)
        with nlp.memory_zone():
            for i, result in enumerate(self.process(table)):
                if isinstance(result, Doc):
                    rows[i] = read_entities(result, keys, self.attributes)
                else:
                    errors[i] = result
        kept = [table.column(name) for name in self.columns]
        found = pa.array(rows, schema.field(ENTITIES).type)
        ids = self.read_ids(table)
        return pa.table([ids, *kept, found, pa.array(errors, pa.string())], schema=schema)

    def process(self, table: "pa.Table | pa.RecordBatch") -> list[Doc | str]:
        """Apply the pipeline to a table's texts.

        table (pa.Table | pa.RecordBatch): The texts.
        RETURNS (list[Doc | str]): A document for each, or what is wrong with it.
        """
        results: list[Any] = [None] * len(table)
        if ERROR in table.schema.names:
            results = table.column(ERROR).to_pylist()
        todo = [i for i, error in enumerate(results) if error is None]
        texts = table.column(self.text_column)
        for i, result in zip(todo, process(self.load(), (texts[i] for i in todo)), strict=True):
            results[i] = result
        return results

    def read_ids(self, table: "pa.Table | pa.RecordBatch") -> Any:
        """RETURNS (pa.ChunkedArray | pa.Array): What says which row of a table is which."""
        return pa.array(range(len(table))) if self.id_column is None else table[self.id_column]

    def load(self) -> Language:
        """RETURNS (Language): The pipeline, loaded once a process."""
        return load_pipeline(self.model, self.device, self.threads)

    def schema(self, given: "pa.Schema") -> "pa.Schema":
        """Say what a table becomes.

        given (pa.Schema): The table's columns.
        RETURNS (pa.Schema): "id" (of the id column's name and type, if there is one), the columns
            to keep, "entities" and "error".
        RAISES (ValueError): If there is no such column.
        """
        wanted = [self.text_column, *filter(None, [self.id_column]), *self.columns]
        if absent := [name for name in wanted if name not in given.names]:
            raise ValueError(
                Errors.OM503.format(absent=", ".join(absent), names=", ".join(given.names))
            )
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
                *((name, pa.bool_()) for name in self.attributes),
            ]
        )
        kept = [given.field(name) for name in self.columns]
        return pa.schema(
            [first, *kept, pa.field(ENTITIES, pa.list_(entity)), pa.field(ERROR, pa.string())]
        )


def annotate(
    table: "pa.Table | pa.RecordBatch", model: str | Path | Mapping[str, Any], **settings: Any
) -> "pa.Table":
    """Find the entities of a table's texts.

    table (pa.Table | pa.RecordBatch): The texts.
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
    """
    if isinstance(model, Mapping):
        return json.dumps(model, sort_keys=True)
    return str(Path(model).resolve()) if Path(model).is_dir() else str(model)


@lru_cache(maxsize=2)
def load_pipeline(model: str, device: str | None = None, threads: int = 0) -> Language:
    """Load a pipeline, or take the one that this process has loaded already.

    model (str): See `Annotator`.
    device (str | None): Where its `openmed_ner` components run. None: as it says.
    threads (int): Threads of the process. 0: as many as PyTorch chooses.
    RETURNS (Language): The pipeline. It is the process's own: documents that fail are noted.
    RAISES (OSError): If there is no such pipeline.
    RAISES (ValueError): If its settings are wrong.
    """
    if threads:
        import torch

        torch.set_num_threads(threads)
    if model.startswith("{"):
        config = {"annotate_spans_key": SPANS_KEY, **json.loads(model)}
        if device is not None:
            config["model"] = {**config.get("model", {}), "device": device}
        nlp = spacy.blank(config.pop("language", "en"))
        nlp.max_length = sys.maxsize  # the limit is for parsers
        nlp.add_pipe("openmed_ner", config=config)
    else:
        nlp = spacy.load(model, config=_on_device(model, device))
    for _, component in _openmed_ner(nlp):
        component.shim.load()  # or fail now, and not once a text
    return nlp


def _on_device(model: str, device: str | None) -> dict[str, Any]:
    """What to change in a pipeline's config for another device."""
    if device is None:
        return {}
    path = Path(model) if Path(model).is_dir() else spacy.util.get_package_path(model)
    configs = sorted(path.glob("**/config.cfg"), key=lambda p: len(p.parts))
    components = spacy.util.load_config(configs[0])["components"] if configs else {}
    return {
        f"components.{name}.model.device": device
        for name, block in components.items()
        if block.get("factory") == "openmed_ner"
    }


def _openmed_ner(nlp: Language) -> "list[tuple[str, OpenMedNER]]":
    from .pipeline import OpenMedNER
    from .shim import CheckpointShim

    return [
        (name, pipe)
        for name, pipe in nlp.pipeline
        if isinstance(pipe, OpenMedNER) and isinstance(pipe.model.shims[0], CheckpointShim)
    ]


def find_keys(nlp: Language) -> list[str]:
    """RETURNS (list[str]): The span groups that a pipeline's `openmed_ner` components write."""
    return list(
        dict.fromkeys(
            pipe.annotate_spans_key for _, pipe in _openmed_ner(nlp) if pipe.annotate != "ents"
        )
    )


def count_pieces(nlp: Language) -> int:
    """RETURNS (int): How many pieces the pipeline's components have predicted so far."""
    return sum(pipe.shim.n_pieces for _, pipe in _openmed_ner(nlp))


def process(nlp: Language, values: Iterable[Any]) -> list[Doc | str]:
    """Apply a pipeline to texts, some of which may not be any.

    nlp (Language): The pipeline.
    values (Iterable[Any]): The texts: str, bytes in UTF-8, pyarrow scalars of these, or whatever
        stands in their place.
    RETURNS (list[Doc | str]): A document for each, or what is wrong with it.
    """
    results: list[Doc | str] = []
    docs: dict[int, Doc] = {}
    for i, value in enumerate(values):
        try:
            text = read_text(value)
            docs[i] = nlp.make_doc(text)
            results.append(docs[i])
        except Exception as error:
            results.append(describe(error))
    _, failed = _pipe(nlp, docs)
    for i in failed:  # some components give up a whole batch for one document
        alone, why = _pipe(nlp, {i: nlp.make_doc(docs[i].text)})
        results[i] = alone[i] if alone else why[i]
    return results


def _pipe(nlp: Language, docs: Mapping[int, Doc]) -> tuple[dict[int, Doc], dict[int, str]]:
    """Apply a pipeline. The documents that come out of it, and why the others do not."""
    numbers = {id(doc): i for i, doc in docs.items()}
    failed: dict[int, str] = {}

    def note(_name: str, _pipe: Any, given_up: Sequence[Doc], error: Exception) -> None:
        failed.update({numbers[id(doc)]: describe(error) for doc in given_up})

    nlp.set_error_handler(note)  # type: ignore[arg-type]
    done = {i: doc for doc, i in nlp.pipe(((doc, i) for i, doc in docs.items()), as_tuples=True)}
    return done, {i: failed.get(i, Errors.OM504) for i in docs if i not in done}


def read_text(value: Any) -> str:
    """Make a text of a value.

    value (Any): A value of a table, a pyarrow scalar or Python's own.
    RETURNS (str): The text.
    RAISES (ValueError): If it is no text.
    """
    try:
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        if isinstance(value, bytes):
            value = value.decode("utf8")
    except UnicodeDecodeError:
        raise ValueError(Errors.OM501) from None
    if not isinstance(value, str):
        raise ValueError(Errors.OM500.format(kind=type(value).__name__))
    return value


def describe(error: Exception) -> str:
    """Say what went wrong, without any of the text that it went wrong with.

    error (Exception): The error. Of other people's, only its type and code are told.
    RETURNS (str): What to put into the column "error".
    """
    message = str(error)
    if message.startswith("[OM"):
        return message
    code = re.match(r"\[[EW]\d+\]|", message)
    return Errors.OM502.format(error=f"{type(error).__name__} {code and code[0]}".strip())


def read_entities(
    doc: Doc, keys: Sequence[str], attributes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Read the entities of a document: those of span groups, and others in `doc.ents`.

    doc (Doc): The document.
    keys (Sequence[str]): The span groups.
    attributes (Sequence[str]): Extension attributes of spans to add, true or false.
    RETURNS (list[dict[str, Any]]): The entities in the order of the text.
    """
    rows: dict[tuple[int, int, str], dict[str, Any]] = {}

    def add(span: Any, score: float | None, datasets: Sequence[str] | None) -> None:
        row = {
            "start": span.start_char,
            "end": span.end_char,
            "label": span.label_,
            "score": score,
            "text": span.text,
            "dataset": ", ".join(datasets) if datasets else None,
            **{name: bool(span._.get(name)) for name in attributes},
        }
        rows.setdefault((span.start_char, span.end_char, span.label_), row)

    for key in keys:
        for span, score, datasets, _ in read_spans(doc, key):
            add(span, score, datasets)
    for ent in doc.ents:
        add(ent, None, None)
    return [rows[at] for at in sorted(rows)]
