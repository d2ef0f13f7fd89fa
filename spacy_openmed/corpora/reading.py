"""Read the files of corpora: whole, by lines, or as JSON lines."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..encoding import decode
from ..errors import Errors


def read_text(path: Path, encoding: str) -> str:
    """Read a whole file.

    path (Path): The file.
    encoding (str): Its encoding; a byte-order mark takes precedence.
    RETURNS (str): Its text.
    RAISES (ValueError): If it is not in that encoding.
    """
    try:
        return decode(path.read_bytes(), encoding)
    except UnicodeDecodeError as error:
        raise ValueError(Errors.OM255.format(path=path, encoding=error.encoding)) from None


def read_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Read the lines of a file. Lines end at LF or CR LF only, not at Unicode's other separators.

    path (Path): The file.
    encoding (str): Its encoding; a byte-order mark takes precedence.
    YIELDS (tuple[int, str]): The number of each line, counted from 1, and the line.
    RAISES (ValueError): If it is not in that encoding.
    """
    for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
        yield number, line.removesuffix("\r")


def read_json_lines(path: Path, format: str, encoding: str) -> Iterator[tuple[int, Any]]:
    """Read a file that has a JSON value on each line. Blank lines are left out.

    path (Path): The file.
    format (str): The file's format, for the error.
    encoding (str): Its encoding; a byte-order mark takes precedence.
    YIELDS (tuple[int, Any]): The number of each line, counted from 1, and its value.
    RAISES (ValueError): If a line is not JSON, or the file is not in that encoding.
    """
    for number, line in read_lines(path, encoding):
        if line.strip():
            try:
                value = json.loads(line)
            except (RecursionError, ValueError):
                raise malformed(path, number, format, "JSON") from None
            yield number, value


def split_columns(line: str) -> list[str]:
    """RETURNS (list[str]): The columns of a line: between tabs, or between spaces if it has no
    tab."""
    return [column.strip() for column in line.split("\t")] if "\t" in line else line.split()


def id_of(source: Mapping[str, Any], default: str) -> str:
    """RETURNS (str): The id of a document read from JSON; the default if it has none."""
    id = source.get("id")
    return default if id in (None, "") else str(id)


def malformed(path: Path, number: int, format: str, expected: str, reason: str = "") -> ValueError:
    """Make the error for a line that is not in its format.

    path (Path): The file.
    number (int): The line's number.
    format (str): The file's format.
    expected (str): What a line of it is.
    reason (str): What is wrong with this one, if known: a sentence with a space after it.
    RETURNS (ValueError): The error. It does not quote the line, which may be a patient's.
    """
    return ValueError(
        Errors.OM254.format(
            path=path, number=number, format=format, reason=reason, expected=expected
        )
    )
