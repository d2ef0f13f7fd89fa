"""Read vocabularies, whatever the format of their files."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO
from xml.etree.ElementTree import ParseError, iterparse

from ..errors import Errors
from ..suggestions import near_path
from . import mesh, obo, rdf, rows, rrf
from .records import Record

FORMATS = "OBO, OWL, SKOS, UMLS or RxNorm (RRF), MeSH (XML, ASCII), CSV, TSV or JSON lines"
# What a user has to know before passing a vocabulary on.
NOTICES = {
    "UMLS": "UMLS needs a licence from the NLM, and forbids passing its content on.",
    "RXCUI": "RxNorm's own names are free; names of its sources may need a UMLS licence.",
    "SNOMEDCT": "SNOMED CT needs a licence.",
    "OMIM": "OMIM's names need a licence for commercial use.",
}
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SUFFIXES = {".obo", ".bin", ".jsonl", *_DELIMITERS, *rdf.FORMATS}


def read_records(path: str | Path, *, prefix: str | None = None) -> Iterator[Record]:
    """Read the concepts of a vocabulary.

    path (str | Path): Its file, which may be compressed by gzip, or its folder: one with
        `MRCONSO.RRF` (UMLS) or `RXNCONSO.RRF` (RxNorm), or with files of one vocabulary.
    prefix (str | None): The prefix of ids that have none: "MY" for "MY:1".
    YIELDS (Record): The concepts.
    RAISES (OSError): If there is no such file.
    RAISES (ValueError): If its format is unknown, or it is not valid.
    RAISES (ImportError): If it is OWL or SKOS, and the extra `linking` is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise OSError(Errors.OM600.format(what="file", path=path, nearest=near_path(path)))
    if not path.is_dir():
        yield from _read_file(path, prefix)
        return
    names = {child.name.removesuffix(".gz") for child in path.iterdir()}
    if rrf.CONCEPTS in names:
        yield from rrf.read_umls(path, open_text)
    elif rrf.RX_CONCEPTS in names:
        yield from rrf.read_rxnorm(path, open_text)
    else:
        files = sorted(child for child in path.iterdir() if _find_suffix(child) in _SUFFIXES)
        if not files:
            raise ValueError(Errors.OM606.format(path=path, formats=FORMATS))
        for file in files:
            yield from _read_file(file, prefix)


def _read_file(path: Path, prefix: str | None) -> Iterator[Record]:
    suffix = _find_suffix(path)
    if path.name.removesuffix(".gz") == rrf.CONCEPTS:
        yield from rrf.read_umls(path.parent, open_text)
    elif path.name.removesuffix(".gz") == rrf.RX_CONCEPTS:
        yield from rrf.read_rxnorm(path.parent, open_text)
    elif suffix == ".xml" and _find_root(path) in mesh.ROOTS:
        with open_bytes(path) as stream:
            try:
                yield from mesh.read_mesh_xml(stream)
            except ParseError as error:
                raise _invalid(path, error) from None
    elif suffix in rdf.FORMATS:
        with open_bytes(path) as stream:
            yield from rdf.read_rdf(stream, rdf.FORMATS[suffix], path.name, prefix)
    elif suffix in _SUFFIXES:
        with open_text(path) as file:
            if suffix == ".obo":
                yield from obo.read_obo(file, prefix=prefix)
            elif suffix == ".bin":
                yield from mesh.read_mesh_ascii(file)
            elif suffix == ".jsonl":
                yield from rows.read_jsonl(file, name=path.name, prefix=prefix)
            else:
                delimiter = _DELIMITERS[suffix]
                yield from rows.read_csv(file, name=path.name, delimiter=delimiter, prefix=prefix)
    else:
        raise ValueError(Errors.OM606.format(path=path, formats=FORMATS))


def open_bytes(path: Path) -> IO[bytes]:
    """RETURNS (IO): A file, decompressed."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def open_text(path: Path) -> TextIO:
    """RETURNS (TextIO): A text file in UTF-8, decompressed."""
    return io.TextIOWrapper(open_bytes(path), "utf-8-sig", errors="replace", newline="")


def _find_suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _find_root(path: Path) -> str:
    with open_bytes(path) as stream:
        try:
            return next(iterparse(stream, events=("start",)))[1].tag
        except (ParseError, StopIteration) as error:
            raise _invalid(path, error) from None


def _invalid(path: Path, error: Exception) -> ValueError:
    return ValueError(Errors.OM613.format(path=path.name, error=type(error).__name__))
