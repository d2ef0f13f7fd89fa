"""Find the files of a corpus and its format."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from ..encoding import UTF8, find_encoding, open_lines
from ..errors import Errors
from ..suggestions import nearest
from .bioc import read_bioc
from .brat import read_brat
from .documents import SourceDocument
from .iob import DOCSTART, IOB_SUFFIXES, TAG, read_iob
from .jsonl import JSONL, read_jsonl
from .pubtator import PASSAGE, read_pubtator
from .reading import split_columns

AUTO = "auto"
READERS: dict[str, Callable[..., Iterator[SourceDocument]]] = {
    "iob": read_iob,
    "pubtator": read_pubtator,
    "bioc": read_bioc,
    "brat": read_brat,
    "jsonl": read_jsonl,
    "doccano": partial(read_jsonl, format="doccano"),
    "prodigy": partial(read_jsonl, format="prodigy"),
}


def find_inputs(
    path: Path, format: str = AUTO, *, encoding: str = UTF8
) -> tuple[list[tuple[Path, str]], list[Path]]:
    """Find readable files in a folder and its subfolders.

    path (Path): A file or a folder.
    format (str): One of `READERS`, or "auto" to detect it by the content.
    encoding (str): The files' encoding; a byte-order mark takes precedence.
    RETURNS (tuple[list[tuple[Path, str]], list[Path]]): Paths and formats (for brat, the folders
        with `.ann` files), and the files that were skipped.
    RAISES (ValueError): If there is no such format, or nothing to read.
    """
    if format not in (AUTO, *READERS):
        known = (AUTO, *READERS)
        near = nearest(format, known)
        raise ValueError(Errors.OM252.format(format=format, nearest=near, known=", ".join(known)))
    encoding = find_encoding(encoding)
    files = [path]
    folders: set[Path] = set()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        folders = {file.parent for file in files if file.suffix == ".ann"}
        if format not in (AUTO, "brat"):
            folders = set()
    inputs = [(folder, "brat") for folder in sorted(folders)]
    passed_over = []
    for file in files:
        found = format if file == path and format != AUTO else detect_format(file, encoding)
        if found is None and format == "iob" and file.suffix in IOB_SUFFIXES:
            found = "iob"  # how it begins does not tell: "IL-2<tab>B"
        if found == "brat" and file.parent in folders:
            continue
        if found in JSONL and format in JSONL:
            found = format  # a row without entities may be of any of them
        if found is None or format not in (AUTO, found):
            passed_over.append(file)
        else:
            inputs.append((file, found))
    if not inputs:
        raise ValueError(Errors.OM253.format(path=path, known=", ".join(READERS)))
    return inputs, passed_over


def detect_format(path: Path, encoding: str = UTF8) -> str | None:
    """Detect the format of a file by its beginning.

    path (Path): The file.
    encoding (str): Its encoding; a byte-order mark takes precedence.
    RETURNS (str | None): One of `READERS`; None if it is none of them.
    """
    if path.with_suffix(".ann").is_file() and path.suffix in (".ann", ".txt"):
        return "brat"
    with path.open("rb") as file, open_lines(file, encoding) as lines:
        line = next((line for line in lines if line.strip()), "")
        head = line + "".join(islice(lines, 100))
    line = line.rstrip("\r\n")
    if line.lstrip().startswith("<"):
        return "bioc" if "<collection" in head[:4096] else None
    if line.lstrip().startswith(("{", "[")):
        if any(name in head[:4096] for name in ('"documents"', '"passages"', '"PubTator3"')):
            return "bioc"
        found = filter(None, map(_detect_jsonl, head.split("\n")))
        return next(found, "jsonl" if '"text"' in line else None)
    if PASSAGE.fullmatch(line):
        return "pubtator"
    columns = split_columns(line)
    typed = len(columns) > 1 and (columns[-1] == "O" or "-" in columns[-1])
    return "iob" if typed and TAG.fullmatch(columns[-1]) or DOCSTART.fullmatch(line) else None


def _detect_jsonl(line: str) -> str | None:
    """Which tool wrote a line of JSON; None if it is not a document."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        row = json.loads(line)
    except (RecursionError, ValueError):
        return None
    if not isinstance(row, dict) or not row.keys() & {"text", "data"}:
        return None
    if row.keys() & {"spans", "answer", "_input_hash"}:
        return "prodigy"
    entities = row.get("entities")
    has_offsets = isinstance(entities, list) and any(isinstance(e, dict) for e in entities)
    if has_offsets or row.keys() & {"label", "labels", "Comments"}:
        return "doccano"
    return "jsonl" if "text" in row else None


def read_documents(
    path: Path, format: str, *, n_sents: int = 1, encoding: str = UTF8
) -> Iterator[SourceDocument]:
    """Read the documents of one input.

    path (Path): The file; for brat, also a folder.
    format (str): One of `READERS`.
    n_sents (int): Sentences per document, for IOB files without `-DOCSTART-`; 0 for all in one.
    encoding (str): The files' encoding; a byte-order mark takes precedence.
    YIELDS (SourceDocument): The documents, in the source's order.
    RAISES (ValueError): If the source is not in the format.
    """
    encoding = find_encoding(encoding)
    if format == "iob":
        documents = read_iob(path, encoding, n_sents=n_sents)
    else:
        documents = READERS[format](path, encoding)
    number = 0
    for number, document in enumerate(documents, 1):  # noqa: B007
        yield document
    if not number:
        raise ValueError(Errors.OM256.format(path=path, format=format))
