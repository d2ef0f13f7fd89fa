"""Read CSV and TSV. A quote that is never closed costs the row that it is in."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..encoding import BROKEN
from ..errors import Errors
from ..suggestions import nearest
from .reading import ColumnNames, FileProblem, Row, describe_place, read_files
from .sources import DELIMITER_NAMES, Source

MAX_RECORD = 1 << 26  # characters of a row: a quote that is never closed takes every line


def read_csv(source: Source, columns: ColumnNames) -> Iterator[Row]:
    """Read CSV and TSV.

    source (Source): The files.
    columns (ColumnNames): The columns to read.
    RETURNS (Iterator[Row]): The rows.
    """
    # csv's own limit, of the whole process, is 131,072 characters a field.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))

    def read(file: Any) -> Iterator[Row]:
        name, row = source.name(file), 0
        with source.open(file, "") as lines:
            records = Records(lines, source.delimiter)
            header = records.read()
            if header is None:
                raise FileProblem(Errors.OM362.format(format=source.format))
            _check_header(header, source.format, columns)
            while (record := records.read()) is not None:
                row += 1
                place = describe_place(name, row, record.line)
                if not record.is_whole or len(record.fields) != len(header.fields):
                    yield Row(error=_describe_record(record, header, source.format), place=place)
                    continue
                values = dict(zip(header.fields, record.fields, strict=True))
                broken = lines.encoding if BROKEN in "".join(record.fields) else None
                yield Row(values[columns.text], values.get("id"), values, None, place, broken)

    return read_files(source, read)


@dataclass(slots=True)
class Record:
    """A row of CSV.

    line (int): The line that it begins at, counted from 1.
    fields (list[str]): Its fields.
    is_whole (bool): Whether its quotes are balanced.
    """

    line: int
    fields: list[str]
    is_whole: bool = True


class Records:
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

    def read(self) -> Record | None:
        """RETURNS (Record | None): The next row that is not blank; None at the end."""
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
                return Record(line, fields, is_whole)

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


def _check_header(header: Record, format: str, columns: ColumnNames) -> None:
    """RAISES (FileProblem): If a header lacks columns. Its names are not told: in a file without
    one, they are a row."""
    if not header.is_whole:
        raise FileProblem(Errors.OM364.format(format=format))
    if absent := columns.find_absent(header.fields):
        hint = nearest(absent[0], header.fields)
        if len(header.fields) == 1:
            others = [
                name
                for name in (";", "tab", "|", ",")
                if DELIMITER_NAMES.get(name, name) in header.fields[0]
            ]
            hint = f" The delimiter may be '{others[0]}'." if others else ""
        n = len(header.fields)
        raise FileProblem(Errors.OM371.format(absent=", ".join(absent), n=n, hint=hint))
    columns.check_once(header.fields)


def _describe_record(record: Record, header: Record, format: str) -> str:
    if not record.is_whole:
        return Errors.OM364.format(format=format)
    return Errors.OM363.format(n=len(record.fields), expected=len(header.fields))
