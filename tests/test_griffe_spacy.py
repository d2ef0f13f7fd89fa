"""The extension that reads our docstrings for the pages of the Python API."""

from pathlib import Path
from typing import Any

import pytest

griffe = pytest.importorskip("griffe")

ROOT = Path(__file__).parent.parent

from griffe_spacy import SpacyDocstrings

SOURCE = '''
from dataclasses import dataclass


def cut(text: str, start: int = 0, *, end: int | None = None, **others: str) -> str:
    """Cut a text.

    It keeps (all) of this: as text.

    text (str): The text, which goes
        on in a second line.
    start, end (int | None): First character, and the one after the last.
    **others (dict[str, tuple(int)]): Whatever.
    RETURNS (str): The part.
    RAISES (ValueError): If there is none.
    RAISES (OSError): Never.
    DOCS: https://spacy.io/api
    """


def lines(text: str):
    """YIELDS (str): The lines."""


@dataclass
class Place:
    """A place.

    line (int): Its line.
    """

    line: int


class Reader:
    """Reads.

    path (str): The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
'''


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("package")
    (folder / "described.py").write_text(SOURCE, encoding="utf8")
    extensions = griffe.load_extensions(SpacyDocstrings)
    return griffe.load("described", search_paths=[folder], extensions=extensions)


def sections(obj: Any) -> dict[str, Any]:
    return {section.kind.value: section.value for section in obj.docstring.parsed}


def test_text_stays_text(module: Any):
    texts = [s.value for s in module["cut"].docstring.parsed if s.kind.value == "text"]
    assert texts == [
        "Cut a text.\n\nIt keeps (all) of this: as text.",
        "See <https://spacy.io/api>.",
    ]


def test_parameters_have_type_text_and_default(module: Any):
    rows = [
        (row.name, str(row.annotation), row.description, row.value and str(row.value))
        for row in sections(module["cut"])["parameters"]
    ]
    shared = "First character, and the one after the last."
    assert rows == [
        ("text", "str", "The text, which goes\non in a second line.", None),
        ("start", "int | None", shared, "0"),
        ("end", "int | None", shared, "None"),
        ("**others", "dict[str, tuple(int)]", "Whatever.", None),
    ]


def test_results_and_errors(module: Any):
    found = sections(module["cut"])
    assert [(str(r.annotation), r.description) for r in found["returns"]] == [("str", "The part.")]
    assert [str(row.annotation) for row in found["raises"]] == ["ValueError", "OSError"]
    assert [row.description for row in sections(module["lines"])["yields"]] == ["The lines."]


def test_fields_of_a_class_are_its_attributes_or_what_it_takes(module: Any):
    assert [row.name for row in sections(module["Place"])["attributes"]] == ["line"]
    assert [row.name for row in sections(module["Reader"])["parameters"]] == ["path"]


def test_our_docstrings_name_the_parameters_that_there_are():
    extensions = griffe.load_extensions(SpacyDocstrings)
    package = griffe.load("spacy_openmed", search_paths=[ROOT], extensions=extensions)
    unknown, missed = [], []
    stack = [package]
    while stack:
        obj = stack.pop()
        stack += [member for member in obj.members.values() if not member.is_alias]
        if obj.docstring is None:
            continue
        found = sections(obj)
        known = {parameter.name for parameter in getattr(obj, "parameters", None) or ()}
        rows = found.get("parameters", ())
        unknown += [(obj.path, row.name) for row in rows if row.name.lstrip("*") not in known]
        lines = found.get("text", "").splitlines()
        missed += [obj.path for line in lines if line.startswith(("RETURNS", "YIELDS", "RAISES"))]
    assert not unknown
    assert not missed
