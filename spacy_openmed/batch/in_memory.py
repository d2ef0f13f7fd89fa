"""Make tables of texts that are in memory: of lists, DataFrames and Arrow streams."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..apply.texts import ERROR, read_text
from ..errors import Errors, describe
from .reading import check_once


def make_table(data: Any, text_column: str, wanted: Sequence[str]) -> pa.Table | pa.RecordBatch:
    """Make a table of data in another format. Every row keeps its place, whatever it holds.

    data (pa.Table | pa.RecordBatch | pandas.DataFrame | Sequence): The data: a table of pyarrow,
        which is returned as it is; a DataFrame; a list of texts or dicts; anything that exports
        an Arrow stream.
    text_column (str): The column of texts. Where a value is not a text, the column "error" says
        so.
    wanted (Sequence[str]): The columns of a list that has no rows.
    RETURNS (pa.Table | pa.RecordBatch): The table.
    RAISES (ValueError): If the data is in another format, or has a column more than once.
    """
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return data
    pandas = sys.modules.get("pandas")  # never imported for it
    if isinstance(data, getattr(pandas, "DataFrame", ())):
        columns = _read_frame(data, [*wanted, ERROR])
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        columns = _read_list(data, text_column, wanted)
    else:
        try:
            stream = pa.RecordBatchReader.from_stream(data)
        except Exception:  # not a stream, or not one of a table
            kind = f"{type(data).__module__}.{type(data).__qualname__}"
            raise ValueError(Errors.OM350.format(type=kind, column=text_column)) from None
        return stream.read_all()
    arrays = {name: _to_array(values) for name, values in columns.items()}
    if text_column in columns:
        read = [_read_value(value) for value in columns[text_column]]
        texts, errors = [text for text, _ in read], [error for _, error in read]
        arrays[text_column] = pa.array(texts, pa.string())
        arrays.setdefault(ERROR, pa.nulls(len(texts), pa.string()))
        if any(errors):
            given = arrays[ERROR].to_pylist()
            arrays[ERROR] = _to_array([a or b for a, b in zip(given, errors, strict=True)])
    return pa.table(arrays)


def _read_value(value: Any) -> tuple[str | None, str | None]:
    """The text that a value is, or why it is none."""
    try:
        return read_text(value), None
    except Exception as error:  # of a value's own class
        return None, describe(error)


def _read_frame(frame: Any, wanted: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of a DataFrame of pandas, and its index if that has a name.

    RAISES (ValueError): If a column that is wanted is there more than once.
    """
    check_once([str(name) for name in frame.columns], wanted)
    names = [name for name in frame.index.names if name is not None]
    if names and frame.columns.intersection(names).empty:
        frame = frame.reset_index()
    return {
        str(name): values.astype(object).where(values.notna(), None).tolist()
        for name, values in frame.items()
    }


def _read_list(
    data: Sequence[Any], text_column: str, wanted: Sequence[str]
) -> dict[str, list[Any]]:
    rows = [row if isinstance(row, Mapping) else {text_column: row} for row in data]
    names = dict.fromkeys(name for row in rows for name in row) if rows else wanted
    return {str(name): [row.get(name) for row in rows] for name in names}


def _to_array(values: list[Any]) -> pa.Array:
    """Values of one type as that, others as strings."""
    try:
        return pa.array(values)
    except Exception:  # pyarrow's own, OverflowError, UnicodeEncodeError
        strings = [None if value is None else str(value) for value in values]
        return pa.array([s and s.encode("utf8", "backslashreplace").decode() for s in strings])
