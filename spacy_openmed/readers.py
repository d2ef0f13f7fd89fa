"""Read annotated corpora: IOB, PubTator, BioC, brat and JSON lines.

A reader gives what the source says: texts, mentions at character offsets, relations. Whether the
offsets hold is for `convert` to check. No error holds a text: it may be a patient's.

Why no library: `bioc` 2.1 reads three of these formats, but takes a PubTator mention without a
concept id for a relation, shifts offsets where a title ends in a space, refuses BioC that leaves
out what the DTD and PubTator 3 leave out (ids, roles, empty lists), and prints lines it can't read.
spaCy's converters keep no ids, and document boundaries only where they read `-DOCSTART- -X- O O`.
"""

import json
import operator
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .catalogue import nearest
from .errors import Errors

AUTO = "auto"
DOCSTART = re.compile(r"-DOCSTART-(?:\s+\((.+?)\))?(?:\s.*)?")
TAG = re.compile(r"O|[BIESLU](-.+)?")
UNTYPED = "ENTITY"  # the label of tags without one, as in BioBERT's copies of the corpora
PASSAGE = re.compile(r"([^|\t]+)\|([a-z])\|(.*)", re.DOTALL)
NO_CONCEPT = ("", "-", "-1")
CONCEPT_KEYS = {"identifier", "mesh", "omim", "cui", "umls", "ncbi gene", "ncbi taxonomy"}
RELATION_KEYS = ("type", "relation", "relation type", "relation_type")
IOB_SUFFIXES = (".bio", ".conll", ".iob", ".iob2", ".tsv", ".txt")
MAX_GAP = 1000  # line ends that stand for what lies between two passages
BIOC_CHILDREN = ("passage", "sentence", "annotation", "relation", "location", "node")


class Change(str, Enum):
    """What was done to a source that is not what it seems, for the report."""

    REPAIRED = "entities that begin with I-"
    BLANK = "tokens left out: nothing but white space"
    IN_BYTES = "documents whose offsets count bytes"
    LINE_ENDS = "documents whose offsets count a line end as one character"
    MOVED = "mentions moved by a few characters, to where they stand"
    TRIMMED = "mentions cut: spaces at their ends"
    GAPS = "discontinuous mentions, given by their whole extent"
    EXPANDED = "mentions expanded to whole tokens"
    OVERLAPPING = "overlapping: left out of doc.ents"
    MISMATCHED = "mentions left out: not at their offsets"
    EMPTY = "mentions left out: without characters"
    UNLABELLED = "mentions left out: without a type"
    OTHER_TYPE = "mentions left out: of other types"
    UNRESOLVED = "relations left out: an argument is missing"
    ARITY = "relations left out: not of two arguments"
    OTHER_KIND = "events, attributes, notes left out"


@dataclass(frozen=True)
class Mention:
    """One annotated mention, where the source says that it stands."""

    fragments: tuple[tuple[int, int], ...]  # start and end (exclusive), in the text's order
    label: str
    text: str | None = None  # as the source quotes it; None where it does not
    concept: str = ""  # concept id
    has_gaps: bool = False  # known though `fragments` is the whole extent

    def stands(self, text: str, shift: int = 0) -> bool:
        """Tell whether the mention is at its offsets.

        text (str): The document's text.
        shift (int): Characters to move the offsets by.
        RETURNS (bool): Whether the offsets lie in the text and, where the source quotes the
            mention, hold what it quotes. White space may differ; of a discontinuous mention, the
            parts may be quoted or the whole.
        """
        places = [(start + shift, end + shift) for start, end in self.fragments]
        if not places or places[0][0] < 0 or places[-1][1] > len(text):
            return False
        if self.text is None:
            return True
        parts = [text[start:end] for start, end in places]
        readings = (" ".join(parts), "".join(parts), text[places[0][0] : places[-1][1]])
        return self.text.split() in [reading.split() for reading in readings]


Relation = tuple[str, int | str, int | str]  # type, head, tail: index of a mention, or concept id


@dataclass
class SourceDocument:
    """One document of a corpus. `words` and `sent_starts` are for sources with tokens."""

    id: str
    text: str
    mentions: list[Mention] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    words: list[str] | None = None
    sent_starts: list[bool] | None = None
    changes: Counter[Change] = field(default_factory=Counter)


def find_inputs(path: Path, format: str = AUTO) -> tuple[list[tuple[Path, str]], list[Path]]:
    """Find what can be read in a folder and below.

    path (Path): A file or a folder.
    format (str): One of `READERS`, or "auto" to tell it by the content.
    RETURNS (tuple[list[tuple[Path, str]], list[Path]]): Paths and formats (of brat, the folders
        that hold `.ann` files), and the files that were passed over.
    RAISES (ValueError): If there is no such format, or nothing to read.
    """
    if format not in (AUTO, *READERS):
        known = (AUTO, *READERS)
        near = nearest(format, known)
        raise ValueError(Errors.OM060.format(format=format, nearest=near, known=", ".join(known)))
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
        found = format if file == path and format != AUTO else detect_format(file)
        if found is None and format == "iob" and file.suffix in IOB_SUFFIXES:
            found = "iob"  # how it begins does not tell: "IL-2<tab>B"
        if found == "brat" and file.parent in folders:
            continue
        if found is None or format not in (AUTO, found):
            passed_over.append(file)
        else:
            inputs.append((file, found))
    if not inputs:
        raise ValueError(Errors.OM061.format(path=path, known=", ".join(READERS)))
    return inputs, passed_over


def detect_format(path: Path) -> str | None:
    """Tell the format of a file by how it begins.

    path (Path): The file.
    RETURNS (str | None): One of `READERS`; None if it is none of them.
    """
    if path.with_suffix(".ann").is_file() and path.suffix in (".ann", ".txt"):
        return "brat"
    with path.open("rb") as file:
        line = next((line for line in file if line.strip()), b"").decode("utf-8-sig", "replace")
        file.seek(0)
        head = file.read(4096)
    line = line.rstrip("\r\n")
    if line.lstrip().startswith("<"):
        return "bioc" if b"<collection" in head else None
    if line.lstrip().startswith(("{", "[")):
        if any(name in head for name in (b'"documents"', b'"passages"', b'"PubTator3"')):
            return "bioc"
        return "jsonl" if b'"text"' in line.encode() else None
    if PASSAGE.fullmatch(line):
        return "pubtator"
    columns = _columns(line)
    typed = len(columns) > 1 and (columns[-1] == "O" or "-" in columns[-1])
    return "iob" if typed and TAG.fullmatch(columns[-1]) or DOCSTART.fullmatch(line) else None


def read_documents(path: Path, format: str, *, n_sents: int = 1) -> Iterator[SourceDocument]:
    """Read the documents of one input.

    path (Path): The file; of brat also a folder.
    format (str): One of `READERS`.
    n_sents (int): Sentences a document, for IOB files without `-DOCSTART-`; 0 for all in one.
    YIELDS (SourceDocument): The documents, in the source's order.
    RAISES (ValueError): If the source is not in the format.
    """
    documents = read_iob(path, n_sents=n_sents) if format == "iob" else READERS[format](path)
    number = 0
    for number, document in enumerate(documents, 1):  # noqa: B007
        yield document
    if not number:
        raise ValueError(Errors.OM064.format(path=path, format=format))


def read_iob(path: Path, *, n_sents: int = 1) -> Iterator[SourceDocument]:
    """Read columns: token first, tag last; IOB, IOB2, IOBES or BILUO, with or without labels.

    Blank lines end sentences. `-DOCSTART-` begins a document, with `(id)` after it or without;
    where there is none, every `n_sents` sentences are a document.
    """
    documents: list[tuple[str | None, list[list[tuple[str, str]]]]] = [(None, [[]])]
    for number, line in _lines(path):
        if match := DOCSTART.fullmatch(line):
            documents.append((match[1], [[]]))
        elif not line.strip():
            documents[-1][1].append([])
        else:
            columns = _columns(line)
            is_empty = not columns[0] and line.startswith("\t")  # not white space as a token
            if len(columns) < 2 or is_empty or not TAG.fullmatch(columns[-1]):
                expected = "a token, and in the last column O or a tag such as B-Disease"
                raise _malformed(path, number, "iob", expected)
            documents[-1][1][-1].append((columns[0], columns[-1]))
    if len(documents) == 1:
        sentences = [sentence for sentence in documents[0][1] if sentence]
        n = n_sents or max(1, len(sentences))
        documents = [(None, sentences[i : i + n]) for i in range(0, len(sentences), n)]
    elif not any(documents[0][1]):  # nothing before the first -DOCSTART-
        documents = documents[1:]
    for number, (id, sentences) in enumerate(documents, 1):
        yield _iob_document(id or f"{path.stem}-{number}", filter(None, sentences))


def _iob_document(id: str, sentences: Iterable[list[tuple[str, str]]]) -> SourceDocument:
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


def read_pubtator(path: Path) -> Iterator[SourceDocument]:
    """Read PubTator. Offsets count one character between title and abstract: a space here."""
    document: SourceDocument | None = None
    for number, line in _lines(path):
        columns = line.split("\t")
        if match := PASSAGE.fullmatch(line):
            id, kind, passage = match.groups()
            if document is not None and document.id == id and kind != "t":
                document.text += f" {passage}" if passage else ""
                continue
            if document is not None:
                yield document
            document = SourceDocument(id, passage)
        elif not line.strip():
            continue
        elif document is None or columns[0] != document.id or len(columns) < 4:
            expected = "'id|t|title', or columns that begin with the id of the title before them"
            raise _malformed(path, number, "pubtator", expected)
        elif len(columns) > 4 and columns[1].isdecimal() and columns[2].isdecimal():
            place = (int(columns[1]), int(columns[2]))
            concept = (columns[5:] or [""])[0].strip()
            document.mentions.append(_mention([place], columns[4], columns[3], concept))
        else:
            document.relations.append((columns[1], columns[2], columns[3]))
    if document is not None:
        yield document


def read_brat(path: Path) -> Iterator[SourceDocument]:
    """Read brat standoff: pairs of `.txt` and `.ann`, all of a folder or one.

    Offsets count every character of the text file, but many tools read line ends of two
    characters as one: the reading under which more mentions stand where they should is taken.
    """
    anns = [path.with_suffix(".ann")]
    if path.is_dir():
        anns = sorted(ann for ann in path.glob("*.ann") if not ann.name.startswith("."))
    for ann in anns:
        if not ann.with_suffix(".txt").is_file():
            raise ValueError(Errors.OM065.format(path=ann))
        text = _read_text(ann.with_suffix(".txt"), "utf-8")
        document = _brat_document(ann, text)
        unix_text = text.replace("\r\n", "\n")
        if _misses(unix_text, document.mentions) < _misses(text, document.mentions):
            document.text = unix_text
            document.changes[Change.LINE_ENDS] += 1
        yield document


def _brat_document(path: Path, text: str) -> SourceDocument:
    document = SourceDocument(path.stem, text)
    index: dict[str, int | None] = {}
    concepts: dict[str, str] = {}
    relations: list[tuple[str, list[str]]] = []
    for number, line in _lines(path):
        id, _, rest = line.partition("\t")
        fields, _, quote = rest.partition("\t")
        kind, *args = fields.split(" ") if fields else [""]
        if id.startswith("T"):
            offsets = [part.split(" ") for part in " ".join(args).split(";")]
            if not all(len(o) == 2 and o[0].isdecimal() and o[1].isdecimal() for o in offsets):
                raise _malformed(path, number, "brat", "T1<tab>Type start end<tab>mention")
            index[id] = len(document.mentions)
            places = [(int(start), int(end)) for start, end in offsets]
            document.mentions.append(_mention(places, kind, quote or None))
        elif id.startswith("R"):
            relations.append((kind, [arg.partition(":")[2] for arg in args if arg]))
        elif id.startswith("N") and len(args) == 2:  # N1 Reference T1 MESH:D001249
            concepts.setdefault(args[0], args[1])
        elif line.strip():
            document.changes[Change.OTHER_KIND] += 1
    for name, concept in concepts.items():
        i = index.get(name)
        if i is not None:
            old = document.mentions[i]
            document.mentions[i] = Mention(old.fragments, old.label, old.text, concept)
    for kind, names in relations:
        _add_relation(document, kind, [index.get(name) for name in names])
    return document


def read_bioc(path: Path) -> Iterator[SourceDocument]:
    """Read BioC, XML or JSON: a collection, lists of them, PubTator 3's answers, JSON lines."""
    content = path.read_bytes()
    documents = _bioc_xml(path) if content.lstrip()[:6].find(b"<") >= 0 else _bioc_json(path)
    for number, source in enumerate(documents, 1):
        try:
            document = _bioc_document(source, f"{path.stem}-{number}")
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(Errors.OM066.format(path=path, number=number, format="bioc")) from None
        yield document


def _bioc_xml(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "document":
                yield _bioc_node(element)
                element.clear()
    except ElementTree.ParseError as err:
        raise _malformed(path, err.position[0], "bioc", "well-formed XML") from None


def _bioc_node(element: ElementTree.Element) -> dict[str, Any]:
    """Make of an XML element what BioC's JSON has in its place."""
    infons = {infon.get("key", ""): infon.text or "" for infon in element.findall("infon")}
    node: dict[str, Any] = {**element.attrib, "infons": infons}
    for name in ("id", "offset", "text"):
        child = element.find(name)
        if child is not None:
            node[name] = child.text or ""
    for name in BIOC_CHILDREN:
        node[f"{name}s"] = [_bioc_node(child) for child in element.findall(name)]
    return node


def _bioc_json(path: Path) -> Iterator[dict[str, Any]]:
    text = _read_text(path)
    try:
        values = [json.loads(text)]
    except json.JSONDecodeError:
        values = [value for _, value in _json_lines(path, "bioc")]
    while values:
        value = values.pop(0)
        if isinstance(value, dict) and "passages" in value:
            yield value
        elif isinstance(value, dict):
            values = [child for child in value.values() if isinstance(child, list)] + values
        elif isinstance(value, list):
            values = value + values


def _bioc_document(source: dict[str, Any], default_id: str) -> SourceDocument:
    passages = source.get("passages") or []
    sentences = [s for passage in passages for s in passage.get("sentences") or []]
    chunks = [
        (int(part["offset"]), part["text"])
        for passage in passages
        for part in ([passage] if passage.get("text") else passage.get("sentences") or [])
        if part.get("text")
    ]
    levels = [source, *passages, *sentences]
    annotations = [a for level in levels for a in level.get("annotations") or []]
    document = SourceDocument(_id_of(source, default_id), *_lay_out(chunks, annotations))
    if _misses(document.text, document.mentions) and not document.text.isascii():
        # BioC's DTD asks for offsets in bytes; most corpora count characters all the same.
        in_bytes = _lay_out(chunks, annotations, in_bytes=True)
        if _misses(*in_bytes) < _misses(document.text, document.mentions):
            document.text, document.mentions = in_bytes
            document.changes[Change.IN_BYTES] += 1
    index: dict[str, int | None] = {}
    for i, annotation in enumerate(annotations):
        id = str(annotation.get("id"))
        index[id] = None if id in index else i  # an id that stands twice refers to nothing
    concepts = {m.concept for m in document.mentions}
    concepts |= {part for concept in concepts for part in re.split(r"[|,;]", concept)}
    for relation in (r for level in levels for r in level.get("relations") or []):
        infons = relation.get("infons") or {}
        key = next((key for key in RELATION_KEYS if key in infons), "")
        nodes = relation.get("nodes") or []
        args: list[int | str | None] = [index.get(str(node["refid"])) for node in nodes]
        if len(nodes) < 2:  # between concepts (BC5CDR, BioRED, PubTator 3): they are in the infons
            values = [
                value.get("identifier") if isinstance(value, dict) else value
                for name, value in infons.items()
                if name != key and (isinstance(value, dict) or value in concepts)
            ]
            args = values if len(values) == 2 else args
        _add_relation(document, str(infons.get(key, "")), args)
    return document


def _lay_out(
    chunks: Sequence[tuple[int, str]], annotations: Iterable[dict[str, Any]], in_bytes: bool = False
) -> tuple[str, list[Mention]]:
    """Join the texts of a document, at their offsets, and find the annotations' places in it."""
    text = ""
    end = 0
    chunks = sorted(chunks, key=lambda chunk: chunk[0])
    starts = []
    for offset, chunk in chunks:
        gap = 1 if offset < end else offset - end
        text += " " if gap == 1 else "\n" * min(gap, MAX_GAP)
        starts.append(len(text))
        text += chunk
        end = offset + len(chunk.encode() if in_bytes else chunk)

    def position(offset: int) -> int:
        if not chunks:
            return offset
        i = max(0, bisect_right(chunks, offset, key=lambda chunk: chunk[0]) - 1)
        first, chunk = chunks[i]
        if in_bytes and offset > first:
            return starts[i] + len(chunk.encode()[: offset - first].decode(errors="ignore"))
        return starts[i] + offset - first

    mentions = []
    for annotation in annotations:
        infons = annotation.get("infons") or {}
        places = []
        for location in annotation.get("locations") or []:
            start, length = int(location["offset"]), int(location["length"])
            last = position(start + length - 1)  # the end may be where the next chunk begins
            places.append((position(start), last + 1 if length else position(start)))
        concepts = [str(v) for key, v in infons.items() if key.lower() in CONCEPT_KEYS and v]
        label, quote = str(infons.get("type") or ""), annotation.get("text") or None
        mentions.append(_mention(places, label, quote, (concepts or [""])[0]))
    return text, mentions


def read_jsonl(path: Path) -> Iterator[SourceDocument]:
    """Read JSON lines: {"id", "text", "entities": [[start, end, label], ...], "relations":
    [[type, head, tail], ...]}, where head and tail are the index of an entity or a concept id.
    Optional: "ids", a concept id an entity, and "discontinuous", indices of entities with gaps.
    """
    for number, row in _json_lines(path, "jsonl"):
        try:
            if not isinstance(row["text"], str):
                raise TypeError
            concepts = row.get("ids") or [""] * len(row["entities"])
            gaps = set(row.get("discontinuous", []))
            mentions = [
                Mention(
                    ((operator.index(s), operator.index(e)),),
                    str(label),
                    concept=str(concept or ""),
                    has_gaps=i in gaps,
                )
                for i, ((s, e, label), concept) in enumerate(
                    zip(row["entities"], concepts, strict=True)
                )
            ]
            document = SourceDocument(_id_of(row, f"{path.stem}-{number}"), row["text"])
            document.mentions = mentions
            for kind, *args in row.get("relations", []):
                known = [a if isinstance(a, str) or a < len(mentions) else None for a in args]
                _add_relation(document, str(kind), known)
        except (AttributeError, KeyError, TypeError, ValueError):
            expected = '{"id": ..., "text": ..., "entities": [[start, end, label], ...]}'
            raise _malformed(path, number, "jsonl", expected) from None
        yield document


def _id_of(source: dict[str, Any], default: str) -> str:
    id = source.get("id")
    return default if id in (None, "") else str(id)


def _mention(
    places: Sequence[tuple[int, int]], label: str, text: str | None, concept: str = ""
) -> Mention:
    return Mention(tuple(sorted(places)), label, text, "" if concept in NO_CONCEPT else concept)


def _add_relation(document: SourceDocument, kind: str, args: Sequence[int | str | None]) -> None:
    if len(args) != 2:
        document.changes[Change.ARITY] += 1
    elif args[0] is None or args[1] is None:
        document.changes[Change.UNRESOLVED] += 1
    else:
        document.relations.append((kind, args[0], args[1]))


def _misses(text: str, mentions: Iterable[Mention]) -> int:
    return sum(not mention.stands(text) for mention in mentions)


def _columns(line: str) -> list[str]:
    return [column.strip() for column in line.split("\t")] if "\t" in line else line.split()


def _read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(Errors.OM204.format(path=path)) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and their numbers. A line ends at LF or CR LF, at nothing else that Unicode has."""
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        yield number, line.removesuffix("\r")


def _json_lines(path: Path, format: str) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path):
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                raise _malformed(path, number, format, "JSON") from None
            yield number, value


def _malformed(path: Path, number: int, format: str, expected: str) -> ValueError:
    error = Errors.OM063.format(path=path, number=number, format=format, expected=expected)
    return ValueError(error)


READERS: dict[str, Callable[[Path], Iterator[SourceDocument]]] = {
    "iob": read_iob,
    "pubtator": read_pubtator,
    "bioc": read_bioc,
    "brat": read_brat,
    "jsonl": read_jsonl,
}
