"""MeSH's descriptors and supplementary records, in XML and in ASCII."""

from collections.abc import Iterator
from typing import IO, Any, TextIO
from xml.etree.ElementTree import Element, iterparse

from .records import Record

ROOTS = ("DescriptorRecordSet", "SupplementalRecordSet")
_RECORDS = {"DescriptorRecord": "Descriptor", "SupplementalRecord": "SupplementalRecord"}
NEW = "*NEWRECORD"


def read_mesh_xml(file: IO[bytes]) -> Iterator[Record]:
    """Read `descYYYY.xml` or `suppYYYY.xml`.

    file (IO): The file.
    YIELDS (Record): The records. The types of a descriptor are the tops of its trees: "C", "D".
    """
    for _, record in iterparse(file):
        kind = _RECORDS.get(record.tag)
        if kind is None:
            continue
        names = [_text(record, f"{kind}Name/String")]
        names += [term.text for term in record.iterfind("ConceptList/Concept/TermList/Term/String")]
        trees = [number.text or "" for number in record.iterfind("TreeNumberList/TreeNumber")]
        notes = [_text(record, "Note"), _text(record, "ConceptList/Concept/ScopeNote")]
        yield _make_record(_text(record, f"{kind}UI"), names, trees, notes)
        record.clear()


def read_mesh_ascii(file: TextIO) -> Iterator[Record]:
    """Read `dYYYY.bin` or `cYYYY.bin`.

    file (TextIO): The file.
    YIELDS (Record): As `read_mesh_xml`.
    """
    fields: dict[str, list[str]] = {}
    for line in (*file, NEW):
        line = line.strip()
        if line == NEW:
            if "UI" in fields:
                names = [fields.get("MH", fields.get("NM", [""]))[0]]
                for tag in ("ENTRY", "PRINT ENTRY", "SY"):
                    names += [value.split("|")[0] for value in fields.get(tag, ())]
                notes = [fields.get(tag, [None])[0] for tag in ("MS", "NO")]  # type: ignore[list-item]
                yield _make_record(fields["UI"][0], names, fields.get("MN", []), notes)
            fields = {}
        elif " = " in line:
            tag, value = line.split(" = ", 1)
            fields.setdefault(tag, []).append(value)


def _make_record(id: Any, names: list[Any], trees: list[str], notes: list[Any]) -> Record:
    first, *others = (" ".join(name.split()) for name in names if name)
    note = next((" ".join(note.split()) for note in notes if note), None)
    types = tuple(dict.fromkeys(tree[0] for tree in trees if tree))
    return Record(f"MESH:{id}", first, tuple(dict.fromkeys(others)), types, note)


def _text(record: Element, path: str) -> str | None:
    return record.findtext(path)
