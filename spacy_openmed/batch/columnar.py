"""Read Parquet and Arrow files with pyarrow."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import parquet

from ..apply.texts import ERROR
from ..errors import Errors, NoColumnError
from .reading import PLACE, ColumnNames, FileProblem, check_once, describe_place
from .sources import Source


def read_columnar(source: Source, columns: ColumnNames, size: int) -> Iterator[pa.Table]:
    """Read Parquet and Arrow files.

    source (Source): The files. All have the types of the first that can be read.
    columns (ColumnNames): The columns to read.
    size (int): Rows of a table.
    RETURNS (Iterator[pa.Table]): The columns, "error" and `PLACE`, in tables of the same size; the
        last may be smaller.
    RAISES (ValueError): If no file can be read, or the only one lacks a column.
    """
    return _resize(_read_files(source, columns, size), size)


def _read_files(source: Source, columns: ColumnNames, size: int) -> Iterator[pa.Table]:
    schema: pa.Schema | None = None
    problems: list[tuple[ValueError, str]] = []  # of files before the first that can be read
    for file in source.files:
        name, row = source.name(file), 0
        try:
            dataset = _open(source, file)
            names = dataset.schema.names
            columns.check_once(names)
            if columns.id is None and "id" in names:
                if schema is not None:
                    raise FileProblem(Errors.OM372)
                columns = replace(columns, id="id")
            if absent := columns.find_absent(names):
                raise NoColumnError(absent, names)
            if schema is None:
                schema = _find_schema(dataset.schema, columns)
                for problem in problems:
                    yield _to_error(schema, *problem)
            elif absent := [name for name in schema.names if name not in names]:
                raise NoColumnError(absent, names)
            for batch in _read_batches(dataset, schema.names, size, source.format):
                yield _to_table(batch, schema, columns.text, name, row)
                row += len(batch)
        except (NoColumnError, FileProblem) as error:
            place = describe_place(name, row + 1) if row else name
            if schema is not None:
                yield _to_error(schema, error, place)
            elif len(source.files) == 1 and isinstance(error, NoColumnError):
                raise
            else:
                problems.append((error, place))
    if schema is None:
        raise ValueError("{} ({})".format(*problems[0]))


def _resize(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of one size; the last may be smaller."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= size:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, size)
            waiting = [joined.slice(size)]
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _open(source: Source, file: Any) -> ds.Dataset:
    with _reading(source.format):
        try:
            return ds.dataset([file.path], filesystem=source.filesystem, format=source.format)
        except pa.ArrowInvalid:  # also of columns of one name, whichever they are
            names = _read_names(source, file)
            check_once(names, names)
            raise


def _read_names(source: Source, file: Any) -> list[str]:
    if source.format == "parquet":
        return parquet.read_schema(file.path, filesystem=source.filesystem).names
    with source.filesystem.open_input_file(file.path) as stream:
        return pa.ipc.open_file(stream).schema.names


def _find_schema(given: pa.Schema, columns: ColumnNames) -> pa.Schema:
    """The columns to read, with their types. A column of nulls is one of strings."""
    optional = (name for name in columns.optional if name in given.names)
    types = {name: given.field(name).type for name in [*columns.required, *optional]}
    return pa.schema(
        (name, pa.string() if pa.types.is_null(type) else type) for name, type in types.items()
    )


def _read_batches(
    dataset: ds.Dataset, names: list[str], size: int, format: str
) -> Iterator[pa.RecordBatch]:
    batches = dataset.to_batches(
        columns=names, batch_size=size, batch_readahead=2, fragment_readahead=1
    )
    while True:
        with _reading(format):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _reading(format: str) -> Iterator[None]:
    """Say that a file can't be read, without pyarrow's message."""
    try:
        yield
    except (OSError, pa.ArrowException):
        raise FileProblem(Errors.OM362.format(format=format)) from None


def _to_table(
    batch: pa.RecordBatch, schema: pa.Schema, text_column: str, name: str, start: int
) -> pa.Table:
    """Rows as the schema says, with their places."""
    errors: list[str | None] = [None] * len(batch)
    arrays = []
    for wanted in schema:
        array = batch.column(wanted.name)
        if array.type != wanted.type:
            try:
                array = array.cast(wanted.type)
            except pa.ArrowException:
                raise FileProblem(Errors.OM374.format(name=wanted.name)) from None
        if wanted.name != text_column:
            array = _drop_invalid(array, wanted.name, errors)
        arrays.append(array)
    numbers = range(start + 1, start + 1 + len(batch))
    places = [describe_place(name, number) for number in numbers]
    arrays += [pa.array(errors, pa.string()), pa.array(places, pa.string())]
    return pa.table(arrays, [*schema.names, ERROR, PLACE])


def _drop_invalid(array: pa.Array, name: str, errors: list[str | None]) -> pa.Array:
    """Remove strings that are not valid Unicode: they could not be written."""
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        values: list[str | None] = []
        for i, value in enumerate(array):
            try:
                values.append(value.as_py())
            except UnicodeDecodeError:
                values.append(None)
                errors[i] = Errors.OM375.format(name=name)
        return pa.array(values, array.type)
    return array


def _to_error(schema: pa.Schema, error: ValueError, place: str) -> pa.Table:
    """One row that says what is wrong with a file."""
    arrays = [
        *(pa.nulls(1, field.type) for field in schema),
        pa.array([str(error)]),
        pa.array([place]),
    ]
    return pa.table(arrays, [*schema.names, ERROR, PLACE])
