"""Fields of FHIR (JSON and XML), HL7 v2 and CSV in a text: the structure, and what a field holds.

Offsets are those of the text, so that replacing a value leaves the structure intact.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
import srsly

from ..paths import DATA_PATH
from .clinical_words import read_words

FREE, STRUCTURE, PROTECTED = 0, 1, 2

PATH = DATA_PATH / "fields.json"
_DATE_KEY = re.compile(
    r"(?:.*(?:date|datetime)|date.*|start|end|issued|period|lastupdated|timestamp|instant|recorded"
    r"|onset|abatement|dos|admitted|discharged|admission|discharge|collected|received|reported)"
)
_DATE_VALUE = re.compile(
    r"\s*(?:\d{1,4}[-/.]\d|\d{6,14}|[A-Za-z]{3,9}\.? \d|\d{1,2}[ -][A-Za-z]{3})"
)
_NUMBER = re.compile(r"\s*\d{4,}\s*")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|&#\w+;")
_NUMBERED = re.compile(r"(?<=[^\W\d_]{2})\d{2,}\b")  # made-up patients: "Aaron697"
# What identifies a person in any field.
_TELLING = re.compile(r"\d{3}[- .]\d{2}[- .]\d{4}|\d{3}[-. )]{1,2}\d{3}[-. ]\d{4}|\w@\w")
_CODED = {"coding", "code", "valuecodeableconcept", "valuequantity", "component", "interpretation"}
_PEOPLE = {
    *("patient", "practitioner", "relatedperson", "person", "subject", "performer", "author"),
    *("contact", "generalpractitioner", "requester", "recorder", "asserter", "participant"),
    *("individual", "actor", "informant", "attester", "who", "member", "name", "assignedperson"),
}
_PLACES = {"organization", "managingorganization", "serviceprovider", "location", "custodian"}


class Tables(NamedTuple):
    """What fields hold.

    keys (dict[str, str]): The label of the value for each name of a field, in lower case without
        separators; "" where the value identifies nobody.
    segments (dict[str, dict[int, str]]): The same for each segment of HL7 v2 and number of a field.
        A name, a provider and an address have components.
    """

    keys: dict[str, str]
    segments: dict[str, dict[int, str]]


@cache
def read_tables() -> Tables:
    """RETURNS (Tables): The tables of `fields.json`, read when they are first needed."""
    data = srsly.read_json(PATH)
    keys = {
        key: label
        for label, rows in data["keys"].items()
        for row in ([rows] if isinstance(rows, str) else rows)
        for key in row.split()
    }
    segments = {
        name: {number: label for label, numbers in fields.items() for number in numbers}
        for name, fields in data["segments"].items()
    }
    return Tables(keys, segments)


class Field(NamedTuple):
    """The value of a field that identifies a person.

    start, end (int): Its characters.
    label (str): Canonical label.
    """

    start: int
    end: int
    label: str


class Layout:
    """The structure of a text.

    text (str): The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: list[Field] = []
        self.kinds = np.zeros(len(text), dtype="int8")

    def mark(self, start: int, end: int, kind: int) -> None:
        """Mark characters as FREE, STRUCTURE or PROTECTED."""
        self.kinds[start:end] = kind

    def mark_signs(self, start: int, end: int) -> None:
        """Mark characters as structure, without the spaces among them."""
        for at in range(start, end):
            if not self.text[at].isspace():
                self.kinds[at] = STRUCTURE

    def add(self, start: int, end: int, label: str | None) -> None:
        """Add the value of a field.

        start, end (int): Its characters.
        label (str | None): What it holds; "" if it identifies nobody, None if that is not known.
        """
        value = self.text[start:end]
        stripped = value.strip()
        if not stripped:
            return
        if label == "" and _TELLING.search(value):
            label = None
        start += value.index(stripped)
        end = start + len(stripped)
        self.mark(start, end, FREE if label is None else PROTECTED)
        if label:
            self.fields.append(Field(start, end, label))

    def is_free(self, start: int, end: int) -> bool:
        """RETURNS (bool): Whether characters are free text."""
        return not self.kinds[start:end].any()

    def split(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Split what was found at the structure that it crosses.

        start, end (int): Its characters.
        YIELDS (tuple[int, int]): Its parts in free text.
        """
        free = self.kinds[start:end] == FREE
        if free.all():
            yield start, end
            return
        borders = np.flatnonzero(np.diff(np.concatenate([[0], free.view("int8"), [0]])))
        for first, last in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
            part = self.text[start + first : start + last]
            if any(map(str.isalnum, part)):
                lead = len(part) - len(part.lstrip())
                yield start + first + lead, start + first + len(part.rstrip())


def read_layout(text: str) -> Layout | None:
    """Find the fields of a text.

    text (str): The text.
    RETURNS (Layout | None): Its structure; None if it is prose.
    """
    layout = Layout(text)
    if '":' in text or '" :' in text:
        _read_json(layout)
    if "</" in text or "/>" in text:
        _read_xml(layout)
    if "|" in text:
        _read_hl7(layout)
    if not layout.kinds.any():
        _read_csv(layout)
    return layout if layout.kinds.any() else None


@lru_cache(maxsize=4096)
def to_key(name: str) -> str:
    """RETURNS (str): The name of a field in lower case, with letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def label_of(key: str, value: str, parents: tuple[str, ...] = ()) -> str | None:
    """Say what a field holds.

    key (str): Its name.
    value (str): Its value.
    parents (tuple[str, ...]): Names of the fields that it is in, the innermost last.
    RETURNS (str | None): Canonical label; "" if it identifies nobody, None if that is not known.
    """
    keys = read_tables().keys
    name = to_key(key)
    above = [to_key(parent) for parent in parents]
    nearest = above[-1] if above else ""
    if name == "value" and nearest:
        if nearest == "telecom":
            name = "email" if "@" in value else "phone"
        elif nearest == "identifier":
            name = "identifier"
        elif nearest in keys or nearest.startswith("value"):
            return label_of(nearest, value, tuple(above[:-1]))
    if name == "extension" and nearest == "id":
        return "UNIQUE_ID"
    if name in ("display", "text"):
        if nearest in _CODED or "coding" in above:
            return "" if name == "display" else None
        if nearest in _PEOPLE and name == "display" or nearest == "name":
            return "PERSON"
        return "ORGANIZATION" if nearest in _PLACES and name == "display" else None
    if name == "name" and (nearest in _PLACES or {"organization", "location"} & {*above}):
        return "ORGANIZATION"
    if _DATE_KEY.fullmatch(name) and name not in keys:
        return "DATE" if _DATE_VALUE.match(value) else None
    label = keys.get(name)
    if label == "UNIQUE_ID" and not any(map(str.isdigit, value)):
        return None
    if label == "PERSON":
        if _NUMBER.fullmatch(value):
            return "UNIQUE_ID"
        value = _NUMBERED.sub("", _ESCAPE.sub("x", value))
        is_name = any(map(str.isalpha, value)) and not any(map(str.isdigit, value))
        return "PERSON" if is_name else None
    return label


# JSON

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_KEY = re.compile(rf"({_STRING})\s*:\s*(?=[\"\[{{\d\-tfn])")
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<other>[^\s\"\[\]{{}},:]+)"
)


def _read_json(layout: Layout) -> None:
    text = layout.text
    first = _KEY.search(text)
    if first is None:
        return
    position = end = _find_opening(text, first.start(), 0)
    stack: list[str] = []
    key: str | None = None
    while True:
        before = position
        while position < len(text) and text[position] in " \t\r\n,:":
            position += 1
        token = _TOKEN.match(text, position)
        if token is None:
            break
        layout.mark_signs(before, position)
        if is_key := _KEY.match(text, position):
            key = is_key[1][1:-1]
            layout.mark(position, is_key.end(), STRUCTURE)
            position = end = is_key.end()
            continue
        if token["open"]:
            layout.mark_signs(*token.span())
            stack.append(key or "")
            if token["open"] == "{":
                key = None
        elif token["close"]:
            if not stack:
                break
            layout.mark_signs(*token.span())
            key = stack.pop()
        elif token["string"]:
            layout.mark(token.start(), token.end(), STRUCTURE)
            _add_json(layout, token.start() + 1, token.end() - 1, key, tuple(stack))
        elif re.fullmatch(r"-?\d[\d.eE+-]*", token[0]):
            label = label_of(key or "", token[0], tuple(filter(None, stack)))
            layout.add(*token.span(), label if label not in (None, "PERSON") else "")
        elif token[0] not in ("true", "false", "null"):
            break
        position = end = token.end()
        if not stack and token["close"]:
            more = _KEY.search(text, end)
            if more is None:
                break
            position = _find_opening(text, more.start(), end)


def _find_opening(text: str, position: int, first: int) -> int:
    """Go back from a key over the brackets that open before it, to `first` at most."""
    while position > first and text[position - 1] in "[{ \t\r\n":
        position -= 1
    return position


def _add_json(
    layout: Layout, start: int, end: int, key: str | None, stack: tuple[str, ...]
) -> None:
    value = layout.text[start:end]
    parents = tuple(filter(None, stack))
    if parents and parents[-1] == key:  # an array
        parents = parents[:-1]
    label = label_of(key or "", value, parents)
    if key in ("reference", "fullUrl") and "/" in value and label:
        cut = value.rindex("/") + 1
        layout.add(start, start + cut, "")
        start += cut
    layout.add(start, end, label)


# XML

_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[\w:.-]+)(?P<attrs>(?:\s+[\w:.-]+\s*=\s*\"[^\"]*\")*)\s*(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*\"([^\"]*)\"")


def _read_xml(layout: Layout) -> None:
    stack: list[str] = []
    last = None
    for tag in _TAG.finditer(layout.text):
        layout.mark(*tag.span(), STRUCTURE)
        name = tag["name"].rpartition(":")[2]
        if last is not None and tag["close"] and stack and stack[-1] == name:
            value = layout.text[last : tag.start()]
            if "<" not in value:
                layout.add(last, tag.start(), label_of(name, value, tuple(stack[:-1])))
        for attribute in _ATTRIBUTE.finditer(tag["attrs"]):
            offset = tag.start("attrs")
            start, end = offset + attribute.start(2), offset + attribute.end(2)
            key, parents = attribute[1], (*stack, name)
            if key == "value":
                key, parents = name, tuple(stack)
            label = label_of(key, attribute[2], parents)
            if label != "":
                layout.add(start, end, label)
        if tag["close"]:
            if stack and stack[-1] == name:
                stack.pop()
        elif not tag["empty"]:
            stack.append(name)
        last = None if tag["empty"] else tag.end()


# HL7 v2

_NAME, _PROVIDER, _ADDRESS = "name", "provider", "address"
_SEGMENT = re.compile(
    r"(?<![^\r\n])[ \t]*((?:MSH|EVN|PID|PD1|NK1|PV1|PV2|OBR|ORC|OBX|DG1|AL1|GT1|IN1|IN2|NTE|TXA"
    r"|RXA|RXE|RXO|RXD|RXR|PR1|SCH|ROL|SPM|MRG|ACC|IAM|Z[A-Z0-9]{2})\|[^\r\n]*)"
)
_PERSON = re.compile(r"\w*\^([^\W\d_][^\W\d_'’-]+)\^([^\W\d_][^\W\d_'’-]+)(?:\^|\Z)")
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


def _read_hl7(layout: Layout) -> None:
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
            position = end + 1


def _is_person(field: str) -> bool:
    """Whether a field of no known meaning has the format of a person: ID^FAMILY^GIVEN."""
    match = _PERSON.match(field)
    return match is not None and read_words().plain.isdisjoint(map(str.lower, match.groups()))


def _cut(text: str, signs: str) -> Iterator[tuple[int, str]]:
    """YIELDS (tuple[int, str]): Where each part begins, and the part."""
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


# CSV

_HEADER = re.compile(
    r"\A\ufeff?\s*([\w\"][\w \"#./()-]*(?:([,;\t|])[ ]*[\w\"][\w \"#./()-]*)+)\r?\n"
)


def _read_csv(layout: Layout) -> None:
    text = layout.text
    header = _HEADER.match(text)
    if header is None:
        return
    sign = header[2]
    names = [name.strip(' "') for name in header[1].split(sign)]
    keys = [to_key(name) for name in names]
    tables = read_tables()
    known = sum(key in tables.keys or bool(_DATE_KEY.fullmatch(key)) for key in keys)
    first = text[header.end() :].partition("\n")[0]
    if not known or len(names) < 2 or first.count(sign) < len(names) - 1:
        return
    layout.mark(*header.span(), STRUCTURE)
    cell = re.compile(
        rf'(?:"((?:[^"]|"")*)"|([^{re.escape(sign)}\r\n]*))({re.escape(sign)}|\r?\n|\Z)'
    )
    position, column = header.end(), 0
    while position < len(text):
        if column == 0 and text[position] != '"':
            stop = text.find("\n", position) + 1 or len(text)
            if sign not in text[position:stop]:  # a line without the sign is no row
                position = stop
                continue
        match = cell.match(text, position)
        if match is None:
            break
        layout.mark(*match.span(), STRUCTURE)
        group = 2 if match[1] is None else 1
        if column < len(names):
            value = match[group]
            layout.add(*match.span(group), label_of(names[column], value))
        else:
            layout.add(*match.span(group), None)
        column = column + 1 if match[3] == sign else 0
        if match.end() == position:
            break
        position = match.end()
