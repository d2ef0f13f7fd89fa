"""What a vocabulary says of a concept."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Record(NamedTuple):
    """A concept of a vocabulary. The fields are those of scispaCy's `Entity`.

    concept_id (str): Its id, as a CURIE: "MESH:D003920".
    canonical_name (str): Its name.
    aliases (tuple[str, ...]): Its other names.
    types (tuple[str, ...]): Its semantic types: "T047", "C18".
    definition (str | None): Its definition.
    """

    concept_id: str
    canonical_name: str
    aliases: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    definition: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): Its name and its other names, each once."""
        return tuple(dict.fromkeys((self.canonical_name, *self.aliases)))


def merge_records(records: Iterable[Record]) -> Iterator[Record]:
    """Join the records of one concept: a table may have a row for each name.

    records (Iterable[Record]): The records.
    YIELDS (Record): One for each id. The first canonical name stays; the others are aliases.
    """
    by_id: dict[str, list[Record]] = {}
    for record in records:
        by_id.setdefault(record.concept_id, []).append(record)
    for id, rows in by_id.items():
        first, *others = [name for row in rows for name in row.names]
        yield Record(
            id,
            first,
            tuple(dict.fromkeys(others)),
            tuple(dict.fromkeys(type for row in rows for type in row.types)),
            next((row.definition for row in rows if row.definition), None),
        )
