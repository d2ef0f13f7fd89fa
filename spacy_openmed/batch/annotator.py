"""Annotate tables of texts, row by row: the same for one process, Ray, Spark and `datasets`.

Workers import this module, so that what it keeps (the loaded pipeline) is kept once a process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..apply.findings import KB_ID, Findings, find_findings, read_findings
from ..apply.pipelines import find_keys, load_pipeline, make_stamp, to_model, using
from ..apply.texts import ENTITIES, ERROR, process, read_entities, read_result
from ..errors import Errors, NoColumnError, missing_extra
from ..extensions import ATTRIBUTE_TYPES
from .columns import COLUMNS, TYPES
from .in_memory import make_table

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error


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
            to keep, "entities", those of `columns.COLUMNS` that the pipeline has something for,
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
                raise ValueError(Errors.OM376.format(name=name))
        if ERROR in given.names and not _holds_strings(kind := given.field(ERROR).type):
            raise ValueError(Errors.OM351.format(column=ERROR, type=kind))
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
                    (name, TYPES[ATTRIBUTE_TYPES.get(name, bool)])
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
