"""Tables of names: CSV, TSV and JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from ..errors import Errors
from .curies import to_curie
from .records import Record, merge_records

# What columns are called, here and elsewhere; scispaCy's names come first.
COLUMNS = {
    "concept_id": ("concept_id", "id", "code", "curie", "cui", "identifier"),
    "canonical_name": ("canonical_name", "name", "label", "term", "description", "title"),
    "aliases": ("aliases", "synonyms", "synonym", "alias", "names"),
    "types": ("types", "type", "semantic_types", "semantic_type", "category"),
    "definition": ("definition", "def"),
}
NEEDED = ("concept_id", "canonical_name")
SEPARATOR = "|"  # between the values of one cell


def read_csv(
    file: TextIO, *, name: str, delimiter: str, prefix: str | None = None
) -> Iterator[Record]:
    """Read a table with a header.

    file (TextIO): The file.
    name (str): Its name, for errors.
    delimiter (str): The character between cells.
    prefix (str | None): The prefix of ids that have none.
    YIELDS (Record): The concepts; rows of one id are one concept.
    RAISES (ValueError): If there is no column of ids or of names.
    """
    rows = csv.DictReader(file, delimiter=delimiter)
    columns = _find_columns(rows.fieldnames or (), name)
    yield from merge_records(_to_records(rows, columns, prefix))


def read_jsonl(file: TextIO, *, name: str, prefix: str | None = None) -> Iterator[Record]:
    """Read JSON lines, such as the knowledge bases of scispaCy.

    file (TextIO): The file.
    name (str): Its name, for errors.
    prefix (str | None): The prefix of ids that have none.
    YIELDS (Record): The concepts; lines of one id are one concept.
    RAISES (ValueError): If a line is not an object with an id and a name.
    """
    yield from merge_records(_read_objects(file, name, prefix))


def _read_objects(file: TextIO, name: str, prefix: str | None) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ValueError(Errors.OM608.format(path=name, number=number))
        yield from _to_records([row], _find_columns([*row], name), prefix)


def _find_columns(names: Sequence[str], path: str) -> dict[str, str]:
    by_lower = {name.strip().lower().replace(" ", "_"): name for name in names}
    found = {
        field: next(by_lower[known] for known in column if known in by_lower)
        for field, column in COLUMNS.items()
        if not by_lower.keys().isdisjoint(column)
    }
    for field in NEEDED:
        if field not in found:
            known, there = ", ".join(COLUMNS[field]), ", ".join(names) or "none"
            raise ValueError(Errors.OM607.format(path=path, known=known, names=there))
    return found


def _to_records(rows: Any, columns: Mapping[str, str], prefix: str | None) -> Iterator[Record]:
    for row in rows:
        values = {field: row[column] for field, column in columns.items()}
        id, name = (str(values[field] or "").strip() for field in NEEDED)
        if id and name:
            yield Record(
                to_curie(id, prefix),
                name,
                _to_tuple(values.get("aliases")),
                _to_tuple(values.get("types")),
                values.get("definition") or None,
            )


def _to_tuple(value: Any) -> tuple[str, ...]:
    values = value.split(SEPARATOR) if isinstance(value, str) else value or ()
    return tuple(str(item).strip() for item in values if str(item).strip())
