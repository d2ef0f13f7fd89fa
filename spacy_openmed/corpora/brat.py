"""Read brat."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..encoding import UTF8
from ..errors import Errors
from .documents import Change, Mention, SourceDocument, count_misses
from .reading import malformed, read_lines, read_text


def read_brat(path: Path, encoding: str = UTF8) -> Iterator[SourceDocument]:
    """Read brat standoff: pairs of `.txt` and `.ann`, all of a folder or one.

    Offsets count every character of the text file, but many tools read CR LF as one character.
    The reading that puts more mentions at their offsets is used.
    """
    anns = [path.with_suffix(".ann")]
    if path.is_dir():
        anns = sorted(ann for ann in path.glob("*.ann") if not ann.name.startswith("."))
    for ann in anns:
        if not ann.with_suffix(".txt").is_file():
            raise ValueError(Errors.OM257.format(path=ann))
        text = read_text(ann.with_suffix(".txt"), encoding)
        document = _to_document(ann, text, encoding)
        unix_text = text.replace("\r\n", "\n")
        if count_misses(unix_text, document.mentions) < count_misses(text, document.mentions):
            document.text = unix_text
            document.changes[Change.LINE_ENDS] += 1
        yield document


def _to_document(path: Path, text: str, encoding: str) -> SourceDocument:
    document = SourceDocument(path.stem, text)
    index: dict[str, int | None] = {}
    concepts: dict[str, str] = {}
    relations: list[tuple[str, list[str]]] = []
    for number, line in read_lines(path, encoding):
        id, _, rest = line.partition("\t")
        fields, _, quote = rest.partition("\t")
        kind, *args = fields.split(" ") if fields else [""]
        if id.startswith("T"):
            offsets = [part.split(" ") for part in " ".join(args).split(";")]
            if not all(len(o) == 2 and o[0].isdecimal() and o[1].isdecimal() for o in offsets):
                raise malformed(path, number, "brat", "T1<tab>Type start end<tab>mention")
            index[id] = len(document.mentions)
            places = [(int(start), int(end)) for start, end in offsets]
            document.mentions.append(Mention.of(places, kind, quote or None))
        elif id.startswith("R"):
            relations.append((kind, [arg.partition(":")[2] for arg in args if arg]))
        elif id.startswith("N") and len(args) == 2:  # N1 Reference T1 MESH:D001249
            concepts.setdefault(args[0], args[1])
        elif line.strip():
            document.changes[Change.OTHER_KIND] += 1
    for name, concept in concepts.items():
        i = index.get(name)
        if i is not None:
            document.mentions[i] = replace(document.mentions[i], concept=concept)
    for kind, names in relations:
        document.add_relation(kind, [index.get(name) for name in names])
    return document
