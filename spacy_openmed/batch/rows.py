"""Read the rows of JSON lines, of text files, and of .spacy files."""

import json
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ..encoding import BROKEN, decode
from ..errors import Errors
from .csv_rows import read_csv
from .reading import ColumnNames, FileProblem, Row, describe_place, read_files
from .sources import STDIN, Source

if TYPE_CHECKING:
    from spacy.tokens import Doc

SAMPLE = 1000  # rows that tell what is read: whether there are ids, whether it is JSON at all


def read_jsonl(source: Source, columns: ColumnNames) -> Iterator[Row]:
    """Read JSON lines.

    source (Source): The files.
    columns (ColumnNames): The fields to read.
    RETURNS (Iterator[Row]): The rows.
    """

    def read(file: Any) -> Iterator[Row]:
        name, row = source.name(file), 0
        with source.open(file, "\n") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row += 1
                place = describe_place(name, row, number)
                broken = lines.encoding if BROKEN in line else None
                try:
                    record = json.loads(line)
                except (RecursionError, ValueError):
                    record = None
                if isinstance(record, dict):
                    text, id = record.get(columns.text), record.get("id")
                    yield Row(text, id, record, None, place, broken)
                else:
                    error = Errors.OM302.format(encoding=broken) if broken else Errors.OM355
                    yield Row(error=error, place=place)

    rows = read_files(source, read)
    return rows if source.files else _name_formats(rows)


def _name_formats(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows of standard input. Where none of the first is JSON, it may be of another format."""
    first = list(islice(rows, SAMPLE))
    is_other = all(row.error == Errors.OM355 for row in first)
    for row in chain(first, rows):
        if is_other and row.error == Errors.OM355:
            row.error = Errors.OM377
        yield row


def read_txt(source: Source, columns: ColumnNames) -> Iterator[Row]:
    """Read files that are one text each. Their ids are their names.

    source (Source): The files.
    columns (ColumnNames): The columns to read.
    YIELDS (Row): A row for each file.
    """
    for file in source.files or [None]:
        name = source.name(file)
        id = STDIN if file is None else name
        try:
            text = decode(source.read(file), source.encoding)
        except UnicodeDecodeError as problem:
            yield Row(id=id, error=Errors.OM302.format(encoding=problem.encoding), place=name)
        except OSError:
            yield Row(id=id, error=Errors.OM362.format(format="txt"), place=name)
        else:
            yield Row(text, id, {columns.text: text, "id": id}, place=name)


def read_spacy(source: Source, columns: ColumnNames) -> Iterator[Row]:
    """Read .spacy files. The entries of `doc.user_data` are columns.

    source (Source): The files.
    columns (ColumnNames): The columns to read.
    RETURNS (Iterator[Row]): The rows.
    """

    def read(file: Any) -> Iterator[Row]:
        name = source.name(file)
        try:
            for number, doc in enumerate(_read_bin(source, file), 1):
                values = {**doc.user_data, columns.text: doc.text}
                place = describe_place(name, number)
                yield Row(doc.text, doc.user_data.get("id"), values, place=place)
        except Exception:  # whatever zlib, msgpack or spaCy find
            raise FileProblem(Errors.OM362.format(format="spacy")) from None

    return read_files(source, read)


def read_docs(source: Source, file: Any) -> Iterator["Doc"]:
    """Read the documents of a .spacy file.

    source (Source): The files.
    file (fs.FileInfo): The file.
    YIELDS (Doc): Each document.
    RAISES (ValueError): If the file can't be read.
    """
    try:
        yield from _read_bin(source, file)
    except Exception:  # whatever zlib, msgpack or spaCy find
        name = source.name(file)
        raise ValueError(f"{Errors.OM362.format(format='spacy')} ({name})") from None


def _read_bin(source: Source, file: Any) -> Iterator["Doc"]:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    docs = DocBin(store_user_data=True).from_bytes(source.read(file))
    yield from docs.get_docs(Vocab())


READERS: dict[str, Callable[[Source, ColumnNames], Iterator[Row]]] = {
    "csv": read_csv,
    "tsv": read_csv,
    "jsonl": read_jsonl,
    "spacy": read_spacy,
    "txt": read_txt,
}
