"""De-identify tables of texts, row by row, of the extras [deid] and [batch]: for `openmed deid`."""

from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any

from spacy.tokens import Doc

from ..apply.findings import Findings
from ..apply.pipelines import using
from ..apply.texts import ENTITIES, ERROR, read_result
from ..deid.anonymize import CHECKS, deidentify, make_key_check
from ..deid.audit import Deidentified, Replacement
from ..deid.pipes import read_fields
from ..errors import Errors, NoColumnError, missing_extra
from .annotator import Annotator
from .in_memory import make_table

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error

PHI = "phi"  # key in doc.spans of the identifiers
_TYPES: dict[Any, pa.DataType] = {int: pa.int32(), float: pa.float64()}
AUDIT = pa.struct([(f.name, _TYPES.get(f.type, pa.string())) for f in fields(Replacement)])


@dataclass(frozen=True)
class Deidentifier(Annotator):
    """Takes the identifiers out of texts in a table. The settings are those of `Annotator`, and:

    action (str): See `deidentify`.
    actions (tuple[tuple[str, str], ...]): Other actions for some labels.
    patient_column (str | None): A column that says whose text it is.
    key (str | None): The secret. Nothing of it is written.
    key_check (str): Tells whether another run has the same key; empty without one.
    """

    action: str = "redact"
    actions: tuple[tuple[str, str], ...] = ()
    patient_column: str | None = None
    key: str | None = field(default=None, repr=False)
    key_check: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "key_check", make_key_check(self.key) if self.key else "")
        nlp = self.load()
        # Fail before anything is read.
        if not any(getattr(pipe, "annotate_spans_key", None) == PHI for _, pipe in nlp.pipeline):
            raise ValueError(Errors.OM506.format(key=PHI))
        self._deidentify(Doc(nlp.vocab), "")

    def __call__(self, table: Any) -> pa.Table:
        """De-identify a table.

        table (pa.Table | pa.RecordBatch | pandas.DataFrame | Sequence): The texts.
        RETURNS (pa.Table): The same rows in the same order: the id, the columns to keep, the new
            text, its audit in "entities" (`Replacement`), "key_check", "text_check" and "error".
            A row that can't be done has no text and an error.
        """
        table = make_table(table, self.text_column, self.wanted)
        nlp = self.load()
        schema = self.schema(table.schema)
        patients = [""] * len(table)
        if self.patient_column is not None:
            values = table.column(self.patient_column).to_pylist()
            patients = ["" if value is None else str(value) for value in values]
        names = (self.text_column, ENTITIES, *CHECKS, ERROR)
        rows: dict[str, list[Any]] = {name: [None] * len(table) for name in names}
        with using(nlp):
            for i, result in enumerate(self.process(table)):
                read = partial(self._deidentify, patient=patients[i])
                done, rows[ERROR][i] = read_result(result, read)
                if done is not None:
                    rows[self.text_column][i] = done.text
                    rows[ENTITIES][i] = [asdict(r) for r in done.replacements]
                    rows["key_check"][i], rows["text_check"][i] = done.key_check, done.text_check
        kept = [table.column(name) for name in self.columns]
        arrays = [pa.array(values, schema.field(name).type) for name, values in rows.items()]
        return pa.table([self.read_ids(table), *kept, *arrays], schema=schema)

    def _deidentify(self, doc: Doc, patient: str) -> Deidentified:
        if not len(doc) and PHI not in doc.spans:
            doc.spans[PHI] = []
        return deidentify(
            read_fields(self.load(), doc),
            self.action,  # type: ignore[arg-type]
            actions=dict(self.actions),  # type: ignore[arg-type]
            key=self.key,
            patient=patient,
        )

    @property
    def wanted(self) -> list[str]:
        """RETURNS (list[str]): The columns that a table has to have."""
        more = [] if self.patient_column is None else [self.patient_column]
        return list(dict.fromkeys([*super().wanted, *more]))

    def schema(self, given: pa.Schema, findings: Findings | None = None) -> pa.Schema:
        """RETURNS (pa.Schema): What a table becomes, see `__call__`.
        RAISES (ValueError): If there is no such column."""
        if absent := [name for name in self.wanted if name not in given.names]:
            raise NoColumnError(absent, given.names)
        if taken := {*self.columns} & {self.text_column, ENTITIES, *CHECKS, ERROR}:
            raise ValueError(Errors.OM376.format(name=taken.pop()))
        id = pa.field("id", pa.int64()) if self.id_column is None else given.field(self.id_column)
        text = [(name, pa.string()) for name in (*CHECKS, ERROR)]
        return pa.schema(
            [
                id,
                *(given.field(name) for name in self.columns),
                (self.text_column, pa.string()),
                (ENTITIES, pa.list_(AUDIT)),
                *text,
            ]
        )
