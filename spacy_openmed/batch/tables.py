"""Read texts from files of many formats, as tables of a few rows at a time."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from ..apply.texts import ERROR, read_text
from ..errors import Errors, NoColumnError
from .columnar import read_columnar
from .reading import PLACE, ColumnNames, Row
from .rows import READERS, SAMPLE
from .sources import COLUMNAR, Source

MAX_SAMPLE = 100_000  # rows that tell whether there are ids, if none of them can be read


def read_tables(
    source: Source,
    size: int,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    columns: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """Read texts in tables of the same size; the last may be smaller.

    source (Source): The files.
    size (int): Rows of a table.
    text_column (str): The column of texts, or the field of JSON lines; it is called so in the
        tables too.
    id_column (str | None): The column that says which row is which, called so in the tables too.
        None: "id" if the first rows have one; else that is made of numbers, for text files of
        their names. A row without an id among rows that have one is an error of that row.
    columns (Sequence[str]): Other columns to read. They and the ids of CSV are strings, as they
        stand in the file; what JSON lines and `doc.user_data` of .spacy files have becomes one.
    optional (Sequence[str]): The same for columns that need not be there.
    YIELDS (pa.Table): `text_column`, the id column, `columns`, "error", which says why a row can't
        be read, and `PLACE`, which says where it is.
    RAISES (ValueError): If no file, or none of the first rows, has such a column.
    """
    names = ColumnNames(text_column, id_column, tuple(columns), tuple(optional))
    if source.format in COLUMNAR:
        tables = read_columnar(source, names, size)
    else:
        tables = _to_tables(READERS[source.format](source, names), size, names)
    start = 0
    for table in tables:
        if id_column is None and "id" not in table.column_names:
            numbers = pa.array(range(start, start + len(table)), pa.int64())
            table = table.append_column("id", numbers)
        start += len(table)
        yield table


def _to_tables(rows: Iterator[Row], size: int, columns: ColumnNames) -> Iterator[pa.Table]:
    sample = list(islice(rows, SAMPLE))
    while len(sample) < MAX_SAMPLE and all(row.error for row in sample):
        more = list(islice(rows, SAMPLE))
        if not more:
            break
        sample += more
    good = [row for row in sample if row.values is not None and not row.error]
    names = dict.fromkeys(name for row in good for name in row.values or ())
    if good and (absent := columns.find_absent(names)):
        known = [name for name in names if isinstance(name, str) and name.isidentifier()]
        if len(known) < len(names):
            known.append(f"{len(names) - len(known)} more")
        raise NoColumnError(absent, known)
    others = [*dict.fromkeys([*columns.others, *columns.optional])]
    id_name = columns.id
    if id_name is None and any(not _is_missing(row.id) for row in sample):
        id_name = "id"
    rows = chain(sample, rows)
    del sample, good
    while chunk := list(islice(rows, size)):
        read = [_read_row(row, columns, others, id_name) for row in chunk]
        names_read = [columns.text, ERROR, *others, *filter(None, [id_name])]
        arrays = {
            name: pa.array([row.get(name) for row in read], pa.string())
            for name in dict.fromkeys(names_read)
        }
        arrays[PLACE] = pa.array([row.place for row in chunk], pa.string())
        yield pa.table(arrays)


def _read_row(
    row: Row, columns: ColumnNames, others: Sequence[str], id_name: str | None
) -> dict[str, str | None]:
    """The values of a row as strings. What can't be kept is left out, with an error."""
    if row.error is not None or row.values is None:
        own = {} if id_name is None or row.id is None else {id_name: row.id}
        return {**own, ERROR: row.error}
    error = None
    read: dict[str, str | None] = {}
    try:
        read[columns.text] = read_text(row.text)
    except ValueError as problem:
        error = str(problem)
        if columns.text not in row.values:
            error = Errors.OM373.format(name=columns.text)
        elif row.broken and isinstance(row.text, str):
            error = Errors.OM302.format(encoding=row.broken)
    for name in others:
        if name not in read:
            error = _keep(read, name, row.values.get(name), error)
    if id_name is not None:
        value = row.id if columns.id is None else row.values.get(columns.id)
        if _is_missing(value):
            value, error = None, Errors.OM368.format(name=id_name)
        error = _keep(read, id_name, value, error)
    elif not _is_missing(row.id):
        error = Errors.OM372
    if error is not None:
        read[columns.text], read[ERROR] = None, error
    return read


def _is_missing(id: Any) -> bool:
    """Whether a row has no id. CSV has an empty field there."""
    return id is None or (isinstance(id, str) and not id.strip())


def _keep(read: dict[str, str | None], name: str, value: Any, error: str | None) -> str | None:
    """Keep a value as a string. What is wrong with the row then, if anything is."""
    try:
        read[name] = _to_string(value)
    except (RecursionError, TypeError, ValueError):
        return error or Errors.OM375.format(name=name)
    return error


def _to_string(value: Any) -> str | None:
    """RAISES (ValueError): If it is not valid Unicode."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode("utf8")
    return text
