"""Fields of HL7 v2."""

import re
from collections.abc import Iterator
from functools import partial

from ..clinical_words import read_words
from .fields import read_tables
from .layout import STRUCTURE, Layout

_NAME, _PROVIDER, _ADDRESS = "name", "provider", "address"
_SEGMENT = re.compile(
    r"(?<![^\r\n])[ \t]*((?:MSH|EVN|PID|PD1|NK1|PV1|PV2|OBR|ORC|OBX|DG1|AL1|GT1|IN1|IN2|NTE|TXA"
    r"|RXA|RXE|RXO|RXD|RXR|PR1|SCH|ROL|SPM|MRG|ACC|IAM|Z[A-Z0-9]{2})\|[^\r\n]*)"
)
_PERSON = re.compile(r"\w*\^([^\W\d_][^\W\d_'’-]+)\^([^\W\d_][^\W\d_'’-]+)(?:\^|\Z)")
_TIMESTAMP = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{4}(?:\d\d)?)?(?:[+-]\d{4})?"
)
_FREE_FIELDS = {("NTE", 3), ("OBX", 5), ("PV2", 3)}
_TEXT_TYPES = {"TX", "FT", "ST", ""}
_VALUES = {  # the label of an observation's value by its type, where it identifies a person
    **dict.fromkeys(("DT", "DTM", "TS"), "DATE"),
    **dict.fromkeys(("PN", "XPN"), _NAME),
    **dict.fromkeys(("CN", "XCN"), _PROVIDER),
    **dict.fromkeys(("AD", "XAD"), _ADDRESS),
    **dict.fromkeys(("TN", "XTN"), "PHONE"),
    "CX": "UNIQUE_ID",
}
_ADDRESS_PARTS = {
    **dict.fromkeys((1, 2), "STREET_ADDRESS"),
    3: "CITY",
    5: "ZIP_CODE",
    **dict.fromkeys((8, 10), "LOCATION"),  # other designation, census tract
    9: "COUNTY",
}


def read_hl7(layout: Layout) -> None:
    """Find the segments of HL7 v2.

    layout (Layout): The text. Its fields and structure are added.
    """
    segments = read_tables().segments
    for segment in _SEGMENT.finditer(layout.text):
        start = segment.start(1)
        layout.mark(*segment.span(1), STRUCTURE)
        parts = segment[1].split("|")
        name = parts[0]
        labels = segments.get(name, {})
        position = start + len(name) + 1
        shift = 1 if name == "MSH" else 0
        for number, part in enumerate(parts[1:], 1 + shift):
            end = position + len(part)
            label = labels.get(number)
            if (name, number) == ("OBX", 5):
                label = _VALUES.get(parts[2])
            if label is None and _is_person(part):
                label = _PROVIDER
            if label is not None:
                _read_field(layout, position, part, label)
            elif (name, number) in _FREE_FIELDS or name[0] == "Z":
                is_text = name != "OBX" or parts[2] in _TEXT_TYPES
                for offset, piece in _cut(part, "~^&"):
                    layout.add(
                        position + offset, position + offset + len(piece), None if is_text else ""
                    )
            else:
                for offset, piece in _cut(part, "~^&"):
                    if _TIMESTAMP.fullmatch(piece):
                        layout.add(position + offset, position + offset + len(piece), "DATE")
            position = end + 1


def _is_person(field: str) -> bool:
    """Whether a field of unknown meaning has the format of a person: ID^FAMILY^GIVEN."""
    match = _PERSON.match(field)
    return match is not None and read_words().plain.isdisjoint(map(str.lower, match.groups()))


def _cut(text: str, signs: str) -> Iterator[tuple[int, str]]:
    """YIELDS (tuple[int, str]): The start of each part, and its text."""
    for match in re.finditer(rf"[^{re.escape(signs)}]+", text):
        yield match.start(), match[0]


def _read_field(layout: Layout, position: int, field: str, label: str) -> None:
    for offset, repetition in _cut(field, "~"):
        start = position + offset
        for number, component in enumerate(repetition.split("^"), 1):
            add = partial(layout.add, start, start + len(component))
            if label == _NAME and number <= 3:
                add("PERSON")
            elif label == _PROVIDER and number <= 4:
                is_id = any(map(str.isdigit, component))
                add("UNIQUE_ID" if is_id else "PERSON")
            elif label == _ADDRESS:
                add(_ADDRESS_PARTS.get(number, ""))
            elif label == "PHONE":
                if "@" in component:
                    add("EMAIL")
                elif any(map(str.isdigit, component)):
                    add("PHONE")
            elif label not in (_NAME, _PROVIDER) and number == 1:
                add(label)
            start += len(component) + 1
