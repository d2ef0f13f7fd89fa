"""Read BioC, XML and JSON."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..encoding import UTF8
from ..errors import Errors
from .documents import Change, Mention, SourceDocument, count_misses
from .reading import id_of, malformed, read_json_lines, read_text

CONCEPT_KEYS = {"identifier", "mesh", "omim", "cui", "umls", "ncbi gene", "ncbi taxonomy"}
RELATION_KEYS = ("type", "relation", "relation type", "relation_type")
MAX_GAP = 1000  # line ends that stand for what lies between two passages
CHILDREN = ("passage", "sentence", "annotation", "relation", "location", "node")


def read_bioc(path: Path, encoding: str = UTF8) -> Iterator[SourceDocument]:
    """Read BioC, XML or JSON: a collection, lists of them, PubTator 3's answers, JSON lines."""
    with path.open("rb") as file:
        is_xml = b"<" in file.read(64).lstrip()[:6]
    documents = _read_xml(path) if is_xml else _read_json(path, encoding)
    for number, source in enumerate(documents, 1):
        try:
            document = _to_document(source, f"{path.stem}-{number}")
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(Errors.OM258.format(path=path, number=number, format="bioc")) from None
        yield document


def _read_xml(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "document":
                yield _to_node(element)
                element.clear()
    except ElementTree.ParseError as err:
        raise malformed(path, err.position[0], "bioc", "well-formed XML") from None


def _to_node(element: ElementTree.Element) -> dict[str, Any]:
    """Convert an XML element to BioC's JSON."""
    infons = {infon.get("key", ""): infon.text or "" for infon in element.findall("infon")}
    node: dict[str, Any] = {**element.attrib, "infons": infons}
    for name in ("id", "offset", "text"):
        child = element.find(name)
        if child is not None:
            node[name] = child.text or ""
    for name in CHILDREN:
        node[f"{name}s"] = [_to_node(child) for child in element.findall(name)]
    return node


def _read_json(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    text = read_text(path, encoding)
    try:
        values = [json.loads(text)]
    except (RecursionError, ValueError):
        values = [value for _, value in read_json_lines(path, "bioc", encoding)]
    while values:
        value = values.pop(0)
        if isinstance(value, dict) and "passages" in value:
            yield value
        elif isinstance(value, dict):
            values = [child for child in value.values() if isinstance(child, list)] + values
        elif isinstance(value, list):
            values = value + values


def _to_document(source: dict[str, Any], default_id: str) -> SourceDocument:
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
    document = SourceDocument(id_of(source, default_id), *_lay_out(chunks, annotations))
    if count_misses(document.text, document.mentions) and not document.text.isascii():
        # BioC's DTD asks for offsets in bytes, but most corpora count characters.
        in_bytes = _lay_out(chunks, annotations, in_bytes=True)
        if count_misses(*in_bytes) < count_misses(document.text, document.mentions):
            document.text, document.mentions = in_bytes
            document.changes[Change.IN_BYTES] += 1
    index: dict[str, int | None] = {}
    for i, annotation in enumerate(annotations):
        id = str(annotation.get("id"))
        index[id] = None if id in index else i  # a duplicate id refers to nothing
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
        document.add_relation(str(infons.get(key, "")), args)
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
        mentions.append(Mention.of(places, label, quote, (concepts or [""])[0]))
    return text, mentions
