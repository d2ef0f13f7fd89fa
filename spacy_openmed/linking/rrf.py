"""Rich Release Format: the UMLS Metathesaurus and RxNorm."""

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TextIO

from .records import Record

# Columns of MRCONSO.RRF; those of RXNCONSO.RRF are the same.
ID, LANGUAGE, STATUS, FORM, PREFERRED = 0, 1, 2, 4, 6
SOURCE, NAME, SUPPRESSED = 11, 14, 16
CONCEPTS, TYPES, DEFINITIONS = "MRCONSO.RRF", "MRSTY.RRF", "MRDEF.RRF"
RX_CONCEPTS, RX_TYPES = "RXNCONSO.RRF", "RXNSTY.RRF"
# Of MRDEF.RRF.
DEFINITION, DEFINITION_SUPPRESSED = 5, 6

Open = Callable[[Path], TextIO]


def read_umls(folder: Path, open_text: Open) -> Iterator[Record]:
    """Read the Metathesaurus: names in English that are not suppressed.

    folder (Path): The folder with `MRCONSO.RRF` and, for types and definitions, `MRSTY.RRF` and
        `MRDEF.RRF`. The rows of a concept follow one another, as the release has them.
    open_text (Callable): Opens a file, which may be compressed.
    YIELDS (Record): The concepts. Their types are TUIs ("T047").
    """
    types = _read_types(folder / TYPES, open_text)
    definitions: dict[str, str] = {}
    for row in _read_rows(folder / DEFINITIONS, open_text):
        if row[DEFINITION_SUPPRESSED] == "N":
            definitions.setdefault(row[ID], row[DEFINITION])
    rows = (
        row
        for row in _read_rows(folder / CONCEPTS, open_text)
        if row[LANGUAGE] == "ENG" and row[SUPPRESSED] == "N"
    )
    for id, group in groupby(rows, key=lambda row: row[ID]):
        # The preferred form of the preferred term comes first.
        ordered = sorted(
            group, key=lambda row: (row[STATUS] != "P", row[FORM] != "PF", row[PREFERRED] != "Y")
        )
        first, *others = dict.fromkeys(row[NAME] for row in ordered)
        yield Record(f"UMLS:{id}", first, tuple(others), types.get(id, ()), definitions.get(id))


def read_rxnorm(folder: Path, open_text: Open) -> Iterator[Record]:
    """Read RxNorm: the concepts with a name of its own, and the names from its sources.

    folder (Path): The folder with `RXNCONSO.RRF` and, for types, `RXNSTY.RRF`.
    open_text (Callable): Opens a file, which may be compressed.
    YIELDS (Record): The concepts.
    """
    types = _read_types(folder / RX_TYPES, open_text)
    own: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for row in _read_rows(folder / RX_CONCEPTS, open_text):
        if row[LANGUAGE] == "ENG" and row[SUPPRESSED] == "N":
            names = own if row[SOURCE] == "RXNORM" else others
            names.setdefault(row[ID], []).append(row[NAME])
    for id, (first, *rest) in own.items():
        aliases = dict.fromkeys((*rest, *others.get(id, ())))
        yield Record(f"RXCUI:{id}", first, tuple(aliases), types.get(id, ()))


def _read_types(path: Path, open_text: Open) -> dict[str, tuple[str, ...]]:
    types: dict[str, tuple[str, ...]] = {}
    for row in _read_rows(path, open_text):
        types[row[0]] = (*types.get(row[0], ()), row[1])
    return types


def _read_rows(path: Path, open_text: Open) -> Iterator[list[str]]:
    """YIELDS (list[str]): The fields of each row; none if there is no such file."""
    if not path.exists():
        path = path.with_name(f"{path.name}.gz")
    if path.exists():
        with open_text(path) as file:
            for line in file:
                yield line.rstrip("\r\n").split("|")
