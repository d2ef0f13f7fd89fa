"""Read texts from files of many forms, as tables of a few rows at a time."""

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from .batch import ERROR, read_text
from .errors import Errors, NoColumnError, describe, missing_extra

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import csv, fs
except ImportError as error:
    raise missing_extra("batch", error) from error

# By the ending of the files. What pyarrow reads, and what is read here.
COLUMNAR = {"parquet": ("parquet",), "csv": ("csv",), "arrow": ("arrow", "feather", "ipc")}
OTHERS = {"jsonl": ("jsonl", "ndjson"), "spacy": ("spacy",), "txt": ("txt",)}
FORMATS = (*COLUMNAR, *OTHERS)
ENDINGS = {ending: name for name, them in {**COLUMNAR, **OTHERS}.items() for ending in them}
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """Files of texts.

    files (tuple[fs.FileInfo, ...]): The files, in order; none: standard input.
    format (str): One of `FORMATS`.
    filesystem (fs.FileSystem): Where they are.
    root (str): What was named: a file or a folder.
    """

    files: tuple[Any, ...]
    format: str
    filesystem: Any = field(compare=False)
    root: str

    def fingerprint(self) -> list[list[Any]]:
        """RETURNS (list[list]): Name, size and time of change of each file."""
        return [[info.path, info.size, info.mtime_ns] for info in self.files]


def find_filesystem(uri: str) -> tuple[Any, str]:
    """Find where a path or URI leads.

    uri (str): A local path, or a URI of any filesystem that pyarrow or fsspec knows.
    RETURNS (tuple[fs.FileSystem, str]): The filesystem, and the path in it.
    RAISES (ImportError): If fsspec needs another package for it.
    RAISES (ValueError): If neither knows it.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def find_source(uri: str, format: str | None = None) -> Source:
    """Find the files of texts.

    uri (str): A file or a folder, or "-" for standard input.
    format (str | None): One of `FORMATS`. None: by the files' ending; standard input is "jsonl".
    RETURNS (Source): The files. Of a folder, all that are in it or below, by name, but those
        whose name or folder begins with "." or "_".
    RAISES (OSError): If there are none.
    RAISES (ValueError): If their form is not known, or not one, or not for standard input.
    """
    if uri == STDIN:
        if format not in (None, "jsonl", "txt"):
            raise ValueError(Errors.OM514.format(format=format))
        return Source((), format or "jsonl", None, uri)
    filesystem, root = find_filesystem(uri)
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        raise OSError(Errors.OM510.format(path=uri))
    files = [info]
    if info.type == fs.FileType.Directory:
        below = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
        files = sorted(
            (
                file
                for file in below
                if file.type == fs.FileType.File
                and not any(
                    part[0] in "._" for part in PurePosixPath(file.path).relative_to(root).parts
                )
            ),
            key=lambda file: file.path,
        )
    found = {ENDINGS.get(file.extension) for file in files}
    if format is not None and info.type == fs.FileType.Directory:
        files = [file for file in files if ENDINGS.get(file.extension) == format]
        found = {format}
    if not files:
        raise OSError(Errors.OM511.format(path=uri, formats=", ".join(FORMATS)))
    if format is None and (len(found) > 1 or None in found):
        raise ValueError(
            Errors.OM512.format(
                path=uri,
                endings=", ".join(sorted({file.extension or "none" for file in files})),
                formats=", ".join(FORMATS),
            )
        )
    return Source(tuple(files), format or str(found.pop()), filesystem, root)


@dataclass
class Row:
    """A text of a file that has no columns."""

    text: Any
    id: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def count_rows(source: Source) -> int | None:
    """RETURNS (int | None): How many texts there are, where that is soon known."""
    if source.format == "parquet" and source.files:
        return _open_dataset(source, "").count_rows()
    return len(source.files) if source.format == "txt" and source.files else None


def read_tables(
    source: Source,
    size: int,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    columns: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Iterator["pa.Table"]:
    """Read texts, a table of so many at a time, each but the last of the same size.

    source (Source): The files.
    size (int): Rows of a table.
    text_column (str): The column of texts, or the field of JSON lines; it is called so in the
        tables too.
    id_column (str | None): The column that says which row is which, called so in the tables too.
        None: "id" if there is one; else that is made of numbers, for text files of their names.
    columns (Sequence[str]): Other columns to read. What JSON lines and `doc.user_data` of .spacy
        files have in them, and in the id column, becomes a string.
    optional (Sequence[str]): The same for columns that need not be there.
    YIELDS (pa.Table): `text_column`, the id column, `columns`, and "error", which says so where
        there is no text (a line is no JSON).
    RAISES (ValueError): If there is no such column.
    """
    if source.format in COLUMNAR:
        tables = _read_columns(source, size, text_column, id_column, columns, optional)
    else:
        wanted = [*filter(None, [id_column]), *columns]
        rows = _READERS[source.format](source, text_column, wanted)
        tables = _to_tables(rows, size, text_column, id_column, [*columns, *optional])
    start = 0
    for table in tables:
        if id_column is None and "id" not in table.column_names:
            numbers = pa.array(range(start, start + len(table)), pa.int64())
            table = table.append_column("id", numbers)
        start += len(table)
        yield table


def _read_columns(
    source: Source,
    size: int,
    text_column: str,
    id_column: str | None,
    columns: Sequence[str],
    optional: Sequence[str],
) -> Iterator["pa.Table"]:
    dataset = _open_dataset(source, text_column)
    names = dataset.schema.names
    if id_column is None and "id" in names:
        id_column = "id"
    wanted = [text_column, *filter(None, [id_column]), *columns]
    if absent := [name for name in wanted if name not in names]:
        raise NoColumnError(absent, names)
    batches = dataset.to_batches(
        columns=list(dict.fromkeys([*wanted, *(name for name in optional if name in names)])),
        batch_size=size,
        batch_readahead=2,
        fragment_readahead=1,
    )
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting)) >= size:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size)
            waiting = table.slice(size).to_batches()
    if any(map(len, waiting)):
        yield pa.Table.from_batches(waiting)


def _open_dataset(source: Source, text_column: str) -> "ds.Dataset":
    form: Any = source.format
    if form == "csv":
        form = ds.CsvFileFormat(
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={
                    text_column: pa.binary()
                },  # a text that is no UTF-8 is one row's error
                strings_can_be_null=False,
            ),
        )
    paths = [file.path for file in source.files]
    return ds.dataset(paths, filesystem=source.filesystem, format=form)


def _to_tables(
    rows: Iterator[Row], size: int, text_column: str, id_column: str | None, columns: Sequence[str]
) -> Iterator["pa.Table"]:
    has_ids = None
    while chunk := list(islice(rows, size)):
        if has_ids is None:
            has_ids = chunk[0].id is not None
        texts: list[str | None] = []
        for row in chunk:
            try:
                texts.append(None if row.error else read_text(row.text))
            except ValueError as error:
                row.error = str(error)
                texts.append(None)
        arrays = {text_column: texts, ERROR: [row.error for row in chunk]}
        arrays |= {name: [_to_string(row.values.get(name)) for row in chunk] for name in columns}
        if id_column is not None:
            arrays[id_column] = [_to_string(row.values.get(id_column)) for row in chunk]
        elif has_ids:
            arrays["id"] = [row.id for row in chunk]
        yield pa.table({name: pa.array(values, pa.string()) for name, values in arrays.items()})


def _to_string(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _read_jsonl(source: Source, text_column: str, wanted: Sequence[str]) -> Iterator[Row]:
    is_checked = False
    for line in _read_lines(source):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:  # no JSON, or not in UTF-8
            record = None
        if not isinstance(record, dict):
            yield Row(None, error=Errors.OM513)
            continue
        if not is_checked and (
            absent := [name for name in (text_column, *wanted) if name not in record]
        ):
            raise NoColumnError(absent, list(record))
        is_checked = True
        yield Row(record.get(text_column), _to_string(record.get("id")), record)


def _read_lines(source: Source) -> Iterator[bytes]:
    if not source.files:
        yield from sys.stdin.buffer
    for file in source.files:
        with source.filesystem.open_input_stream(file.path) as stream:
            yield from io.BufferedReader(stream)


def _read_txt(source: Source, text_column: str, wanted: Sequence[str]) -> Iterator[Row]:
    if not source.files:  # standard input is one text
        yield Row(sys.stdin.buffer.read(), id=STDIN)
    for file in source.files:
        name = file.base_name if file.path == source.root else _name_in(file.path, source.root)
        with source.filesystem.open_input_stream(file.path) as stream:
            yield Row(stream.read(), id=name)


def _name_in(path: str, root: str) -> str:
    return str(PurePosixPath(path).relative_to(root))


def _read_spacy(source: Source, text_column: str, wanted: Sequence[str]) -> Iterator[Row]:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    for file in source.files:
        with source.filesystem.open_input_stream(file.path) as stream:
            docs = DocBin().from_bytes(stream.read())
        for doc in docs.get_docs(Vocab()):
            yield Row(doc.text, _to_string(doc.user_data.get("id")), doc.user_data)


_READERS = {"jsonl": _read_jsonl, "spacy": _read_spacy, "txt": _read_txt}


def make_table(data: Any, text_column: str, wanted: Sequence[str]) -> "pa.Table | pa.RecordBatch":
    """Make a table of data in another format. Every row keeps its place, whatever it holds.

    data (pa.Table | pa.RecordBatch | pandas.DataFrame | Sequence): The data: a table of pyarrow,
        which is returned as it is; a DataFrame; a list of texts or dicts; anything that exports
        an Arrow stream.
    text_column (str): The column of texts. Where a value is not a text, the column "error" says
        so.
    wanted (Sequence[str]): The columns of a list that has no rows.
    RETURNS (pa.Table | pa.RecordBatch): The table.
    RAISES (ValueError): If the data is in another format.
    """
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return data
    pandas = sys.modules.get("pandas")  # never imported for it
    if isinstance(data, getattr(pandas, "DataFrame", ())):
        columns = _read_frame(data)
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        columns = _read_list(data, text_column, wanted)
    else:
        try:
            stream = pa.RecordBatchReader.from_stream(data)
        except Exception:  # not a stream, or not one of a table
            kind = f"{type(data).__module__}.{type(data).__qualname__}"
            raise ValueError(Errors.OM602.format(type=kind, column=text_column)) from None
        return stream.read_all()
    arrays = {name: _to_array(values) for name, values in columns.items()}
    if text_column in columns:
        rows = [_to_row(value) for value in columns[text_column]]
        arrays[text_column] = pa.array([row.text for row in rows], pa.string())
        errors = [row.error for row in rows]
        arrays.setdefault(ERROR, pa.nulls(len(rows), pa.string()))
        if any(errors):
            given = arrays[ERROR].to_pylist()
            arrays[ERROR] = _to_array([a or b for a, b in zip(given, errors, strict=True)])
    return pa.table(arrays)


def _to_row(value: Any) -> Row:
    try:
        text = read_text(value)
        text.encode("utf8")
        return Row(text)
    except Exception as error:
        return Row(None, error=describe(error))


def _read_frame(frame: Any) -> dict[str, list[Any]]:
    """The columns of a DataFrame of pandas, and its index if that has a name."""
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


def _to_array(values: list[Any]) -> "pa.Array":
    """Values of one type as that, others as strings."""
    try:
        return pa.array(values)
    except Exception:  # pyarrow's own, OverflowError, UnicodeEncodeError
        strings = [None if value is None else str(value) for value in values]
        return pa.array([s and s.encode("utf8", "backslashreplace").decode() for s in strings])
