"""Read texts from files of many formats, as tables of a few rows at a time.

A row that can't be read costs that row only, and a file that can't be read becomes one such row.
Errors name file and row. They never hold any text, nor the messages of pyarrow, which do.
"""

import csv
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TextIO

from ..apply.texts import ERROR, read_text
from ..encoding import BROKEN, UTF8, decode, find_encoding, open_lines
from ..errors import Errors, NoColumnError, describe, missing_extra
from ..suggestions import near_path, nearest

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import fs, parquet
except ImportError as error:
    raise missing_extra("batch", error) from error

if TYPE_CHECKING:
    from spacy.tokens import Doc

# By the ending of the files. What pyarrow reads, and what is read here.
COLUMNAR = {"parquet": ("parquet",), "arrow": ("arrow", "feather", "ipc")}
DELIMITERS = {"csv": ",", "tsv": "\t"}
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
OTHERS = {
    "csv": ("csv",),
    "tsv": ("tsv",),
    "jsonl": ("jsonl", "ndjson"),
    "spacy": ("spacy",),
    "txt": ("txt",),
}
FORMATS = (*COLUMNAR, *OTHERS)
ENCODED = ("csv", "tsv", "jsonl", "txt")  # in an encoding that the user may name
ENDINGS = {ending: name for name, them in {**COLUMNAR, **OTHERS}.items() for ending in them}
STDIN = "-"
PLACE = "_place"  # the column that says where a row is
SAMPLE = 1000  # rows that tell whether there are ids
MAX_SAMPLE = 100_000  # the same, if none of them can be read
MAX_RECORD = 1 << 26  # characters of a row of CSV: a quote that is never closed takes every line


@dataclass(frozen=True)
class Source:
    """Files of texts.

    files (tuple[fs.FileInfo, ...]): The files, in order; none: standard input.
    format (str): One of `FORMATS`.
    filesystem (fs.FileSystem): Where they are.
    root (str): What was named: a file or a folder.
    encoding (str): The encoding of text files.
    delimiter (str): What is between the columns of CSV.
    n_left_out (int): Files of the folder that have another format.
    """

    files: tuple[Any, ...]
    format: str
    filesystem: Any = field(compare=False)
    root: str
    encoding: str = UTF8
    delimiter: str = ","
    n_left_out: int = 0

    def fingerprint(self) -> list[Any]:
        """RETURNS (list): How the files are read, and name, size and time of change of each."""
        files = [[info.path, info.size, info.mtime_ns] for info in self.files]
        return [self.format, self.encoding, self.delimiter, files]

    def name(self, file: Any) -> str:
        """RETURNS (str): A file's name, below the folder that was named."""
        return file.base_name if file.path == self.root else _name_in(file.path, self.root)


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


def find_source(
    uri: str,
    format: str | None = None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Source:
    """Find the files of texts.

    uri (str): A file or a folder, or "-" for standard input.
    format (str | None): One of `FORMATS`. None: by the files' ending; standard input is "jsonl".
    encoding (str | None): The encoding of CSV, TSV, JSONL and .txt files. None: UTF-8. A
        byte-order mark says more.
    delimiter (str | None): What is between the columns of CSV: a character, or "tab". None: a
        comma, a tab for TSV.
    RETURNS (Source): The files. Of a folder, all that are in it or below, by name, but those
        whose name or folder begins with "." or "_", and those of other or unknown formats.
    RAISES (OSError): If there are no files of texts.
    RAISES (ValueError): If their format is not known, or not one, or not for standard input, or
        if the format has no encoding or delimiter to choose.
    """
    if format is not None and format not in FORMATS:
        near = nearest(format, FORMATS)
        raise ValueError(
            Errors.OM519.format(
                what="input", format=format, nearest=near, formats=", ".join(FORMATS)
            )
        )
    if uri == STDIN:
        if format in ("spacy", *COLUMNAR):
            raise ValueError(Errors.OM514.format(format=format, formats=", ".join(ENCODED)))
        format = format or "jsonl"
        return Source((), format, None, uri, *_read_settings(format, encoding, delimiter))
    filesystem, root = find_filesystem(uri)
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        is_local = isinstance(filesystem, fs.LocalFileSystem)
        near = near_path(Path(root)) if is_local else ""
        raise OSError(Errors.OM510.format(path=uri, nearest=near))
    files, n_left_out = [info], 0
    if info.type == fs.FileType.Directory:
        below = sorted(_find_below(filesystem, root), key=lambda file: file.path)
        wanted = ENDINGS.values() if format is None else [format]
        files = [file for file in below if ENDINGS.get(file.extension) in wanted]
        n_left_out = len(below) - len(files)
    if not files:
        raise OSError(Errors.OM511.format(path=uri, formats=", ".join(FORMATS)))
    found = {ENDINGS.get(file.extension) for file in files} if format is None else {format}
    if len(found) > 1 or None in found:
        raise ValueError(
            Errors.OM512.format(
                path=uri,
                endings=", ".join(sorted({file.extension or "none" for file in files})),
                formats=", ".join(FORMATS),
            )
        )
    format = str(found.pop())
    settings = _read_settings(format, encoding, delimiter)
    return Source(tuple(files), format, filesystem, root, *settings, n_left_out)


def _find_below(filesystem: Any, root: str) -> Iterator[Any]:
    for file in filesystem.get_file_info(fs.FileSelector(root, recursive=True)):
        parts = PurePosixPath(file.path).relative_to(root).parts
        if file.type == fs.FileType.File and not any(part[0] in "._" for part in parts):
            yield file


def _read_settings(format: str, encoding: str | None, delimiter: str | None) -> tuple[str, str]:
    """Encoding and delimiter of a format, from those that were named."""
    for option, value, supported in (
        ("encoding", encoding, ENCODED),
        ("delimiter", delimiter, tuple(DELIMITERS)),
    ):
        if value is not None and format not in supported:
            formats = ", ".join(supported)
            raise ValueError(Errors.OM620.format(option=option, formats=formats, format=format))
    delimiter = DELIMITER_NAMES.get(delimiter or "", delimiter)
    if delimiter is None:
        delimiter = DELIMITERS.get(format, ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(Errors.OM535.format(n=len(delimiter)))
    return find_encoding(encoding or UTF8), delimiter


def count_rows(source: Source) -> int | None:
    """RETURNS (int | None): How many texts there are, where that is soon known."""
    if source.format == "parquet" and source.files:
        try:
            return ds.dataset(
                [file.path for file in source.files], filesystem=source.filesystem, format="parquet"
            ).count_rows()
        except (OSError, pa.ArrowException):  # one of the files can't be read
            return None
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
    if source.format in COLUMNAR:
        tables = _read_columns(source, size, text_column, id_column, columns, optional)
    else:
        rows = _READERS[source.format](source, text_column, id_column, columns)
        tables = _to_tables(rows, size, text_column, id_column, columns, optional)
    start = 0
    for table in tables:
        if id_column is None and "id" not in table.column_names:
            numbers = pa.array(range(start, start + len(table)), pa.int64())
            table = table.append_column("id", numbers)
        start += len(table)
        yield table


def _describe_place(name: str, row: int, line: int | None = None) -> str:
    return f"{name}, row {row}" if line is None else f"{name}, row {row}, line {line}"


def _find_absent(
    text_column: str, id_column: str | None, columns: Sequence[str], names: Iterable[str]
) -> list[str]:
    known = {*names}
    wanted = dict.fromkeys([text_column, *filter(None, [id_column]), *columns])
    return [name for name in wanted if name not in known]


# What pyarrow reads


class _FileProblem(ValueError):
    """Why a file can't be read, or not to its end."""


def _read_columns(
    source: Source,
    size: int,
    text_column: str,
    id_column: str | None,
    columns: Sequence[str],
    optional: Sequence[str],
) -> Iterator["pa.Table"]:
    schema: pa.Schema | None = None
    waiting: list[pa.Table] = []
    problems: list[tuple[ValueError, str]] = []  # of files before the first that can be read
    for file in source.files:
        name, row = source.name(file), 0
        try:
            with _reading(source.format):
                try:
                    dataset = ds.dataset(
                        [file.path], filesystem=source.filesystem, format=source.format
                    )
                except pa.ArrowInvalid:  # also of columns of one name, whichever they are
                    _check_once(_read_names(source, file))
                    raise
            names = dataset.schema.names
            _check_once(names, [text_column, id_column or "id", *columns])
            if schema is None and id_column is None and "id" in names:
                id_column = "id"
            elif schema is not None and id_column is None and "id" in names:
                raise _FileProblem(Errors.OM623)
            if absent := _find_absent(text_column, id_column, columns, names):
                raise NoColumnError(absent, names)
            wanted = dict.fromkeys([text_column, *filter(None, [id_column]), *columns])
            wanted |= dict.fromkeys(name for name in optional if name in names)
            if schema is None:
                types = {name: dataset.schema.field(name).type for name in wanted}
                schema = pa.schema(
                    (name, pa.string() if pa.types.is_null(type) else type)
                    for name, type in types.items()
                )
                waiting += [_to_error(schema, *problem) for problem in problems]
            elif absent := [name for name in schema.names if name not in names]:
                raise NoColumnError(absent, names)
            wanted = dict.fromkeys(schema.names)
            batches = dataset.to_batches(
                columns=[*wanted], batch_size=size, batch_readahead=2, fragment_readahead=1
            )
            while True:
                with _reading(source.format):
                    batch = next(batches, None)
                if batch is None:
                    break
                waiting.append(_to_table(batch, schema, text_column, name, row))
                row += len(batch)
                while sum(map(len, waiting)) >= size:
                    table = pa.concat_tables(waiting)
                    yield table.slice(0, size)
                    waiting = [table.slice(size)]
        except (NoColumnError, _FileProblem) as error:
            place = _describe_place(name, row + 1) if row else name
            if schema is not None:
                waiting.append(_to_error(schema, error, place))
            elif len(source.files) == 1 and isinstance(error, NoColumnError):
                raise
            else:
                problems.append((error, place))
    if schema is None:
        raise ValueError("{} ({})".format(*problems[0]))
    while any(map(len, waiting)):
        table = pa.concat_tables(waiting)
        yield table.slice(0, size)
        waiting = [table.slice(size)]


def _read_names(source: Source, file: Any) -> list[str]:
    if source.format == "parquet":
        return parquet.read_schema(file.path, filesystem=source.filesystem).names
    with source.filesystem.open_input_file(file.path) as stream:
        return pa.ipc.open_file(stream).schema.names


def _check_once(names: Sequence[str], wanted: Iterable[str] | None = None) -> None:
    """RAISES (_FileProblem): If a column (of those wanted) is there more than once."""
    for name in names if wanted is None else wanted:
        if names.count(name) > 1:
            raise _FileProblem(Errors.OM627.format(name=name))


@contextmanager
def _reading(format: str) -> Iterator[None]:
    """Say that a file can't be read, without pyarrow's message."""
    try:
        yield
    except (OSError, pa.ArrowException):
        raise _FileProblem(Errors.OM530.format(format=format)) from None


def _to_table(
    batch: "pa.RecordBatch", schema: "pa.Schema", text_column: str, name: str, start: int
) -> "pa.Table":
    """Rows as the schema says, with their places."""
    errors: list[str | None] = [None] * len(batch)
    arrays = []
    for wanted in schema:
        array = batch.column(wanted.name)
        if array.type != wanted.type:
            try:
                array = array.cast(wanted.type)
            except pa.ArrowException:
                raise _FileProblem(Errors.OM625.format(name=wanted.name)) from None
        if wanted.name != text_column:
            array = _drop_invalid(array, wanted.name, errors)
        arrays.append(array)
    numbers = range(start + 1, start + 1 + len(batch))
    places = [_describe_place(name, number) for number in numbers]
    arrays += [pa.array(errors, pa.string()), pa.array(places, pa.string())]
    return pa.table(arrays, [*schema.names, ERROR, PLACE])


def _drop_invalid(array: "pa.Array", name: str, errors: list[str | None]) -> "pa.Array":
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
                errors[i] = Errors.OM626.format(name=name)
        return pa.array(values, array.type)
    return array


def _to_error(schema: "pa.Schema", error: ValueError, place: str) -> "pa.Table":
    """One row that says what is wrong with a file."""
    arrays = [
        *(pa.nulls(1, field.type) for field in schema),
        pa.array([str(error)]),
        pa.array([place]),
    ]
    return pa.table(arrays, [*schema.names, ERROR, PLACE])


# What is read here


@dataclass(slots=True)
class Row:
    """A text, or why it can't be read.

    text (Any): The text, checked later.
    id (Any): What says which row it is.
    values (Mapping[str, Any] | None): All that the row has by name; None if it can't be read.
    error (str | None): Why it can't be.
    place (str): Where it is.
    broken (str | None): The encoding, if the row has bytes that are not valid in it.
    """

    text: Any = None
    id: Any = None
    values: Mapping[str, Any] | None = None
    error: str | None = None
    place: str = ""
    broken: str | None = None


def _to_tables(
    rows: Iterator[Row],
    size: int,
    text_column: str,
    id_column: str | None,
    columns: Sequence[str],
    optional: Sequence[str],
) -> Iterator["pa.Table"]:
    sample = list(islice(rows, SAMPLE))
    while len(sample) < MAX_SAMPLE and all(row.error for row in sample):
        more = list(islice(rows, SAMPLE))
        if not more:
            break
        sample += more
    good = [row for row in sample if row.values is not None and not row.error]
    names = dict.fromkeys(name for row in good for name in row.values or ())
    if good and (absent := _find_absent(text_column, id_column, columns, names)):
        known = [name for name in names if isinstance(name, str) and name.isidentifier()]
        if len(known) < len(names):
            known.append(f"{len(names) - len(known)} more")
        raise NoColumnError(absent, known)
    columns = [*columns, *(name for name in optional if name not in columns)]
    id_name = id_column
    if id_column is None and any(not _is_missing(row.id) for row in sample):
        id_name = "id"
    rows = chain(sample, rows)
    del sample, good
    while chunk := list(islice(rows, size)):
        read = [_read_row(row, text_column, id_column, id_name, columns) for row in chunk]
        names_read = [text_column, ERROR, *columns, *filter(None, [id_name])]
        arrays = {
            name: pa.array([row.get(name) for row in read], pa.string())
            for name in dict.fromkeys(names_read)
        }
        arrays[PLACE] = pa.array([row.place for row in chunk], pa.string())
        yield pa.table(arrays)


def _read_row(
    row: Row,
    text_column: str,
    id_column: str | None,
    id_name: str | None,
    columns: Sequence[str],
) -> dict[str, str | None]:
    """The values of a row as strings. What can't be kept is left out, with an error."""
    if row.error is not None or row.values is None:
        own = {} if id_name is None or row.id is None else {id_name: row.id}
        return {**own, ERROR: row.error}
    error = None
    read: dict[str, str | None] = {}
    try:
        read[text_column] = read_text(row.text)
    except ValueError as problem:
        error = str(problem)
        if text_column not in row.values:
            error = Errors.OM624.format(name=text_column)
        elif row.broken and isinstance(row.text, str):
            error = Errors.OM501.format(encoding=row.broken)
    for name in columns:
        if name not in read:
            error = _keep(read, name, row.values.get(name), error)
    if id_name is not None:
        value = row.id if id_column is None else row.values.get(id_column)
        if _is_missing(value):
            value, error = None, Errors.OM538.format(name=id_name)
        error = _keep(read, id_name, value, error)
    elif not _is_missing(row.id):
        error = Errors.OM623
    if error is not None:
        read[text_column], read[ERROR] = None, error
    return read


def _is_missing(id: Any) -> bool:
    """Whether a row has no id. CSV has an empty field there."""
    return id is None or (isinstance(id, str) and not id.strip())


def _keep(read: dict[str, str | None], name: str, value: Any, error: str | None) -> str | None:
    """Keep a value as a string. What is wrong with the row then, if anything is."""
    try:
        read[name] = _to_string(value)
    except (RecursionError, TypeError, ValueError):
        return error or Errors.OM626.format(name=name)
    return error


def _to_string(value: Any) -> str | None:
    """RAISES (ValueError): If it is not valid Unicode."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode("utf8")
    return text


@contextmanager
def _open(source: Source, file: Any, newline: str) -> Iterator[TextIO]:
    """The lines of a file; None: of standard input."""
    if file is None:
        with open_lines(sys.stdin.buffer, source.encoding, newline) as lines:
            yield lines
        return
    with (
        source.filesystem.open_input_stream(file.path) as stream,
        open_lines(stream, source.encoding, newline) as lines,
    ):
        yield lines


def _name(source: Source, file: Any) -> str:
    return "standard input" if file is None else source.name(file)


def _read_files(source: Source, read: Callable[[Any], Iterator[Row]]) -> Iterator[Row]:
    """The rows of all files. A file that can't be read, or not to its end, is a row.

    RAISES (ValueError): If no file can be read.
    """
    problems: list[Row] = []  # of files before the first that can be read
    is_read = False
    for file in source.files or [None]:
        problem = None
        try:
            for row in read(file):
                if not is_read:
                    yield from problems
                    is_read = True
                yield row
        except _FileProblem as error:
            problem = str(error)
        except OSError:
            problem = Errors.OM530.format(format=source.format)
        if problem is not None:
            problems.append(Row(error=problem, place=_name(source, file)))
            if is_read:
                yield problems[-1]
        elif not is_read:  # a file without rows
            yield from problems
            is_read = True
    if not is_read:
        raise ValueError(f"{problems[0].error} ({problems[0].place})")


def _read_jsonl(
    source: Source, text_column: str, id_column: str | None, columns: Sequence[str]
) -> Iterator[Row]:
    def read(file: Any) -> Iterator[Row]:
        name, row = _name(source, file), 0
        with _open(source, file, "\n") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row += 1
                place = _describe_place(name, row, number)
                broken = lines.encoding if BROKEN in line else None
                try:
                    record = json.loads(line)
                except (RecursionError, ValueError):
                    record = None
                if isinstance(record, dict):
                    text, id = record.get(text_column), record.get("id")
                    yield Row(text, id, record, None, place, broken)
                else:
                    error = Errors.OM501.format(encoding=broken) if broken else Errors.OM513
                    yield Row(error=error, place=place)

    rows = _read_files(source, read)
    return rows if source.files else _name_formats(rows)


def _name_formats(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows of standard input. Where none of the first is JSON, it may be of another format."""
    first = list(islice(rows, SAMPLE))
    is_other = all(row.error == Errors.OM513 for row in first)
    for row in chain(first, rows):
        if is_other and row.error == Errors.OM513:
            row.error = Errors.OM702
        yield row


def _read_csv(
    source: Source, text_column: str, id_column: str | None, columns: Sequence[str]
) -> Iterator[Row]:
    # csv's own limit, of the whole process, is 131,072 characters a field.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))

    def read(file: Any) -> Iterator[Row]:
        name, row = _name(source, file), 0
        with _open(source, file, "") as lines:
            records = _Records(lines, source.delimiter)
            header = records.read()
            if header is None:
                raise _FileProblem(Errors.OM530.format(format=source.format))
            _check_header(header, source.format, text_column, id_column, columns)
            while (record := records.read()) is not None:
                row += 1
                place = _describe_place(name, row, record.line)
                if not record.is_whole or len(record.fields) != len(header.fields):
                    yield Row(error=_describe_record(record, header, source.format), place=place)
                    continue
                values = dict(zip(header.fields, record.fields, strict=True))
                broken = lines.encoding if BROKEN in "".join(record.fields) else None
                yield Row(values[text_column], values.get("id"), values, None, place, broken)

    return _read_files(source, read)


def _check_header(
    header: "_Record",
    format: str,
    text_column: str,
    id_column: str | None,
    columns: Sequence[str],
) -> None:
    """RAISES (_FileProblem): If a header lacks columns. Its names are not told: in a file without
    one, they are a row."""
    if not header.is_whole:
        raise _FileProblem(Errors.OM534.format(format=format))
    if absent := _find_absent(text_column, id_column, columns, header.fields):
        hint = nearest(absent[0], header.fields)
        if len(header.fields) == 1:
            others = [
                name
                for name in (";", "tab", "|", ",")
                if DELIMITER_NAMES.get(name, name) in header.fields[0]
            ]
            hint = f" The delimiter may be '{others[0]}'." if others else ""
        n = len(header.fields)
        raise _FileProblem(Errors.OM622.format(absent=", ".join(absent), n=n, hint=hint))
    _check_once(header.fields, [text_column, id_column or "id", *columns])


def _describe_record(record: "_Record", header: "_Record", format: str) -> str:
    if not record.is_whole:
        return Errors.OM534.format(format=format)
    return Errors.OM533.format(n=len(record.fields), expected=len(header.fields))


@dataclass(slots=True)
class _Record:
    """A row of CSV.

    line (int): The line that it begins at, counted from 1.
    fields (list[str]): Its fields.
    is_whole (bool): Whether its quotes are balanced.
    """

    line: int
    fields: list[str]
    is_whole: bool = True


class _Records:
    """The rows of a CSV file. After an unbalanced quote, only the line that the row begins at is
    lost: the lines that the quote took are read again.

    lines (Iterator[str]): The lines, with their ends.
    delimiter (str): What is between the fields.
    """

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        self.lines = lines
        self.delimiter = delimiter
        self.line = 1  # the number of the next
        self.again: deque[str] = deque()  # lines that were part of a row that was not whole
        self.taken: list[str] = []
        self._reader = self._make_reader()

    def read(self) -> _Record | None:
        """RETURNS (_Record | None): The next row that is not blank; None at the end."""
        while True:
            self.taken.clear()
            was_taken = bool(self.again)
            line = self.line
            try:
                fields = next(self._reader, None)
                is_whole = True
            except csv.Error:
                fields, is_whole = [], False
            if fields is None:
                return None
            if not is_whole:
                self.again.extendleft(reversed(self.taken[1:]))
                del self.taken[1:]
                self._reader = self._make_reader()
            elif was_taken and len(self.taken) == 1:
                is_whole = self.taken[0].count('"') % 2 == 0
            self.line += len(self.taken)
            if fields or not is_whole:
                return _Record(line, fields, is_whole)

    def _make_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), strict=True, delimiter=self.delimiter)

    def _feed(self) -> Iterator[str]:
        n_chars = 0
        while (line := self.again.popleft() if self.again else next(self.lines, None)) is not None:
            n_chars = n_chars + len(line) if self.taken else len(line)
            self.taken.append(line)
            if n_chars > MAX_RECORD and len(self.taken) > 1:
                raise csv.Error
            yield line


def _read_txt(
    source: Source, text_column: str, id_column: str | None, columns: Sequence[str]
) -> Iterator[Row]:
    for file in source.files or [None]:
        name, id = _name(source, file), STDIN if file is None else source.name(file)
        try:
            text = decode(_read_bytes(source, file), source.encoding)
        except UnicodeDecodeError as problem:
            yield Row(id=id, error=Errors.OM501.format(encoding=problem.encoding), place=name)
        except OSError:
            yield Row(id=id, error=Errors.OM530.format(format="txt"), place=name)
        else:
            yield Row(text, id, {text_column: text, "id": id}, place=name)


def _read_bytes(source: Source, file: Any) -> bytes:
    if file is None:  # standard input is one text
        return sys.stdin.buffer.read()
    with source.filesystem.open_input_stream(file.path) as stream:
        return stream.read()


def _name_in(path: str, root: str) -> str:
    return str(PurePosixPath(path).relative_to(root))


def _read_spacy(
    source: Source, text_column: str, id_column: str | None, columns: Sequence[str]
) -> Iterator[Row]:
    def read(file: Any) -> Iterator[Row]:
        name = source.name(file)
        try:
            for number, doc in enumerate(_read_bin(source, file), 1):
                values = {**doc.user_data, text_column: doc.text}
                place = _describe_place(name, number)
                yield Row(doc.text, doc.user_data.get("id"), values, place=place)
        except Exception:  # whatever zlib, msgpack or spaCy find
            raise _FileProblem(Errors.OM530.format(format="spacy")) from None

    return _read_files(source, read)


def _read_bin(source: Source, file: Any) -> Iterator["Doc"]:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    docs = DocBin(store_user_data=True).from_bytes(_read_bytes(source, file))
    yield from docs.get_docs(Vocab())


def read_docs(source: Source, file: Any) -> Iterator["Doc"]:
    """Read the documents of a .spacy file.

    source (Source): The files.
    file (fs.FileInfo): The file.
    YIELDS (Doc): Each document.
    RAISES (ValueError): If the file can't be read.
    """
    docs = _read_bin(source, file)
    while True:
        try:
            doc = next(docs, None)
        except Exception:  # whatever zlib, msgpack or spaCy find
            name = source.name(file)
            raise ValueError(f"{Errors.OM530.format(format='spacy')} ({name})") from None
        if doc is None:
            return
        yield doc


_READERS: dict[str, Callable[..., Iterator[Row]]] = {
    "csv": _read_csv,
    "tsv": _read_csv,
    "jsonl": _read_jsonl,
    "spacy": _read_spacy,
    "txt": _read_txt,
}


def make_table(data: Any, text_column: str, wanted: Sequence[str]) -> "pa.Table | pa.RecordBatch":
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
            raise ValueError(Errors.OM602.format(type=kind, column=text_column)) from None
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
    _check_once([str(name) for name in frame.columns], wanted)
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
