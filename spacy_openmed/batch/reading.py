"""What the readers of files share: which columns to read, rows, and what is wrong with a file.

A row that can't be read costs that row only, and a file that can't be read becomes one such row.
Errors name file and row. They never hold any text, nor the messages of pyarrow, which do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Errors
from .sources import Source

PLACE = "_place"  # the column that says where a row is


class FileProblem(ValueError):
    """Why a file can't be read, or not to its end."""


@dataclass(frozen=True)
class ColumnNames:
    """The columns to read, see `tables.read_tables`.

    text (str): That of the texts.
    id (str | None): That which says which row is which. None: "id", if there is one.
    others (tuple[str, ...]): Others that have to be there.
    optional (tuple[str, ...]): Others that need not.
    """

    text: str
    id: str | None = None
    others: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def required(self) -> list[str]:
        """RETURNS (list[str]): Those that have to be there, each once."""
        return [*dict.fromkeys([self.text, *filter(None, [self.id]), *self.others])]

    def find_absent(self, names: Iterable[str]) -> list[str]:
        """RETURNS (list[str]): Those that have to be there and are not."""
        known = {*names}
        return [name for name in self.required if name not in known]

    def check_once(self, names: Sequence[str]) -> None:
        """RAISES (FileProblem): If one of them is there more than once."""
        check_once(names, [self.text, self.id or "id", *self.others])


def check_once(names: Sequence[str], wanted: Iterable[str]) -> None:
    """Check that columns are not ambiguous.

    names (Sequence[str]): The columns that there are.
    wanted (Iterable[str]): Those to check.
    RAISES (FileProblem): If one of them is there more than once.
    """
    for name in wanted:
        if names.count(name) > 1:
            raise FileProblem(Errors.OM376.format(name=name))


def describe_place(name: str, row: int, line: int | None = None) -> str:
    """RETURNS (str): Where a row is: the name of its file, its number, and its line if known."""
    return f"{name}, row {row}" if line is None else f"{name}, row {row}, line {line}"


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


def read_files(source: Source, read: Callable[[Any], Iterator[Row]]) -> Iterator[Row]:
    """Read the rows of all files. A file that can't be read, or not to its end, is a row.

    source (Source): The files.
    read (Callable[[Any], Iterator[Row]]): Reads the rows of one; None stands for standard input.
    YIELDS (Row): The rows.
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
        except FileProblem as error:
            problem = str(error)
        except OSError:
            problem = Errors.OM362.format(format=source.format)
        if problem is not None:
            problems.append(Row(error=problem, place=source.name(file)))
            if is_read:
                yield problems[-1]
        elif not is_read:  # a file without rows
            yield from problems
            is_read = True
    if not is_read:
        raise ValueError(f"{problems[0].error} ({problems[0].place})")
