"""Read the benchmark corpora: sentences from IOB2 files, documents from JSON lines.

No corpus is part of the package. They are looked for in the folder that the
environment variable ``OPENMED_CORPORA`` names, or in ``assets/``.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy_openmed.errors import Errors

DOCSTART = "-DOCSTART-"


@dataclass(frozen=True)
class Sentence:
    """One sentence of an IOB2 file."""

    doc: int  # running number of its document in the file
    tokens: tuple[str, ...]
    tags: tuple[str, ...]  # IOB2, one a token


@dataclass(frozen=True)
class Document:
    """One raw text with character offsets."""

    id: str
    text: str
    entities: tuple[tuple[int, int, str], ...]  # start, end (exclusive), type


def find_corpora() -> Path:
    """Find the folder of the corpora.

    RETURNS (Path): The folder.
    RAISES (FileNotFoundError): If neither place has it.
    """
    folder = Path(os.environ.get("OPENMED_CORPORA") or "assets")
    if not (folder / "ner").is_dir():
        raise FileNotFoundError(Errors.OM250.format(folder=folder))
    return folder


def read_sentences(corpus: str, split: str, *, folder: Path | None = None) -> list[Sentence]:
    """Read a split's sentences.

    corpus (str): Folder name, e.g. "NCBI-disease".
    split (str): "train", "dev" or "test".
    folder (Path | None): Folder of the corpora.
    RETURNS (list[Sentence]): The sentences, in the file's order.
    RAISES (FileNotFoundError): If the file is not there.
    """
    path = _find_split(folder, "ner", corpus, split, ".iob")
    # Document boundaries stand in the file itself or, where the source has none,
    # in a table beside it.
    table = path.with_suffix(".docs.tsv")
    starts = set()
    if table.is_file():
        rows = table.read_text(encoding="utf8").splitlines()[1:]
        starts = {int(row.split("\t")[1]) for row in rows}
    sentences: list[Sentence] = []
    doc = 0
    for tokens, tags in _iob_blocks(path):
        if tokens[0].startswith(DOCSTART):
            doc += 1
            continue
        if len(sentences) in starts:
            doc += 1
        sentences.append(Sentence(doc, tuple(tokens), tuple(tags)))
    return sentences


def _find_split(folder: Path | None, kind: str, corpus: str, split: str, suffix: str) -> Path:
    path = (folder or find_corpora()) / kind / corpus / f"{split}{suffix}"
    if not path.is_file():
        raise FileNotFoundError(Errors.OM251.format(corpus=corpus, split=split, path=path))
    return path


def _iob_blocks(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    tokens: list[str] = []
    tags: list[str] = []
    with path.open(encoding="utf8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line:
                token, _, tag = line.rpartition("\t")
                tokens.append(token)
                tags.append(tag)
            elif tokens:
                yield tokens, tags
                tokens, tags = [], []
    if tokens:
        yield tokens, tags


def read_documents(corpus: str, split: str, *, folder: Path | None = None) -> list[Document]:
    """Read a split's raw texts.

    corpus (str): Folder name, e.g. "NCBI-disease".
    split (str): "train", "dev" or "test".
    folder (Path | None): Folder of the corpora.
    RETURNS (list[Document]): The documents, in the file's order.
    RAISES (FileNotFoundError): If the file is not there.
    """
    path = _find_split(folder, "docs", corpus, split, ".jsonl")
    with path.open(encoding="utf8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Document(row["id"], row["text"], tuple((s, e, label) for s, e, label in row["entities"]))
        for row in rows
    ]
