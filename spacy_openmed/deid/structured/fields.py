"""What a field holds, by its name and the names of the fields around it: `data/fields.json`."""

import re
from functools import cache, lru_cache
from typing import NamedTuple

import srsly

from ...paths import DATA_PATH

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
    """RETURNS (Tables): The tables of `fields.json`, read at first use."""
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


@lru_cache(maxsize=4096)
def to_key(name: str) -> str:
    """RETURNS (str): The name of a field in lower case, with letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def label_of(key: str, value: str, parents: tuple[str, ...] = ()) -> str | None:
    """Say what a field holds.

    key (str): Its name.
    value (str): Its value.
    parents (tuple[str, ...]): Names of the enclosing fields, the innermost last.
    RETURNS (str | None): Canonical label; "" if it identifies nobody, None if unknown.
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


def is_known(name: str) -> bool:
    """RETURNS (bool): Whether the name of a field says what the field holds."""
    key = to_key(name)
    return key in read_tables().keys or bool(_DATE_KEY.fullmatch(key))
