"""Read IOB."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..encoding import UTF8
from .documents import Change, Mention, SourceDocument
from .reading import malformed, read_lines, split_columns

DOCSTART = re.compile(r"-DOCSTART-(?:\s+\((.+?)\))?(?:\s.*)?")
TAG = re.compile(r"O|[BIESLU](-.+)?")
UNTYPED = "ENTITY"  # the label of tags without one, as in BioBERT's copies of the corpora
IOB_SUFFIXES = (".bio", ".conll", ".iob", ".iob2", ".tsv", ".txt")


def read_iob(path: Path, encoding: str = UTF8, *, n_sents: int = 1) -> Iterator[SourceDocument]:
    """Read columns: token first, tag last; IOB, IOB2, IOBES or BILUO, with or without labels.

    Blank lines end sentences. `-DOCSTART-` begins a document, optionally followed by `(id)`.
    Without it, every `n_sents` sentences make a document.
    """
    documents: list[tuple[str | None, list[list[tuple[str, str]]]]] = [(None, [[]])]
    for number, line in read_lines(path, encoding):
        if match := DOCSTART.fullmatch(line):
            documents.append((match[1], [[]]))
        elif not line.strip():
            documents[-1][1].append([])
        else:
            columns = split_columns(line)
            is_empty = not columns[0] and line.startswith("\t")  # not white space as a token
            if len(columns) < 2 or is_empty or not TAG.fullmatch(columns[-1]):
                expected = "a token, and in the last column O or a tag such as B-Disease"
                raise malformed(path, number, "iob", expected)
            documents[-1][1][-1].append((columns[0], columns[-1]))
    if len(documents) == 1:
        sentences = [sentence for sentence in documents[0][1] if sentence]
        n = n_sents or max(1, len(sentences))
        documents = [(None, sentences[i : i + n]) for i in range(0, len(sentences), n)]
    elif not any(documents[0][1]):  # nothing before the first -DOCSTART-
        documents = documents[1:]
    for number, (id, sentences) in enumerate(documents, 1):
        yield _to_document(id or f"{path.stem}-{number}", filter(None, sentences))


def _to_document(id: str, sentences: Iterable[list[tuple[str, str]]]) -> SourceDocument:
    words: list[str] = []
    sent_starts: list[bool] = []
    mentions: list[Mention] = []
    repaired = blank = position = 0
    for sentence in sentences:
        is_open = False
        blank += sum(not word for word, _ in sentence)
        for i, (word, tag) in enumerate(pair for pair in sentence if pair[0]):
            kind, label = tag[0], tag[2:] or UNTYPED
            end = position + len(word)
            if kind == "O":
                is_open = False
            elif kind in "BSU" or not is_open or label != mentions[-1].label:
                repaired += kind not in "BSU"
                mentions.append(Mention(((position, end),), label))
                is_open = kind not in "SULE"
            else:
                mentions[-1] = Mention(((mentions[-1].fragments[0][0], end),), label)
                is_open = kind not in "LE"
            words.append(word)
            sent_starts.append(i == 0)
            position = end + 1
    changes = Counter({Change.REPAIRED: repaired, Change.BLANK: blank})
    text = " ".join(words)
    return SourceDocument(id, text, mentions, [], words, sent_starts, changes)
