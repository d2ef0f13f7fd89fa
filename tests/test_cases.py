"""Inputs that failed when the product was tried, in a folder that OPENMED_CASES names.

Its `field.jsonl` and `users.jsonl` have an object a line: "id", "part", "kind", "input",
"expected". `CHECKS` says how a part is checked: with a new part, add a function there.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asserting import find_context, make_rules
from typer.testing import CliRunner

from spacy_openmed.cli import openmed_cli

CASES = os.environ.get("OPENMED_CASES", "")
FILES = ("field.jsonl", "users.jsonl")
PROSE = {"platform", "graph"}  # written to be read, not run; so is all of deid in users.jsonl
Case = dict[str, Any]


def read_cases(part: str) -> list[Case]:
    """The cases of a part."""
    paths = [Path(CASES) / name for name in FILES] if CASES else []
    lines = (
        line for path in paths if path.is_file() for line in path.read_text("utf8").splitlines()
    )
    cases = [json.loads(line) for line in lines if line.strip()]
    return [case for case in cases if case["part"] == part and part not in PROSE]


def run(*args: object) -> tuple[int, str]:
    """Run a command: its exit code, and what it prints, in one line."""
    result = CliRunner().invoke(openmed_cli, [*map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def write_file(given: dict[str, Any], folder: Path) -> Path:
    """Write the file that a case describes."""
    path = folder / given["file"]
    if "lines" in given:
        path.write_text("\n".join(given["lines"]) + "\n", "utf8")
    elif "content" in given:
        path.write_text(given["content"], "utf8")
    else:  # "EF BB BF + 'text'"
        numbers, _, text = given["bytes"].partition(" + ")
        path.write_bytes(bytes.fromhex(numbers) + text.strip("'").encode())
    return path


def words_of(content: str) -> set[str]:
    """What may not stand in a message: the longer words of the texts."""
    return {word for word in content.replace(",", " ").split() if len(word) > 6}


def check_process(case: Case, folder: Path) -> None:
    """Every row is there, bad rows have an error with their number, and no message has a text."""
    from pyarrow import parquet

    path = write_file(case["input"], folder)
    options = ["--columns", "text"]
    if path.suffix == ".csv" and ";" in path.read_text("utf8"):
        options += ["--delimiter", ";"]
    code, printed = run("process", path, folder / "out", "--domain", "disease", *options)
    rows = parquet.read_table(folder / "out" / "part-00000.parquet").to_pylist()
    is_bad = [row["entities"] is None for row in rows]
    assert code == (3 if any(is_bad) else 0)
    content = path.read_text("utf8", errors="replace")
    for number, row in enumerate(rows, 1):
        if row["entities"] is None:
            assert f"row {number}" in row["error"]
            assert path.name in row["error"]
            assert not [word for word in words_of(content) if word in row["error"]]
    if "bytes" in case["input"]:
        assert "\ufeff" not in rows[0]["text"]
        assert rows[0]["entities"][0]["start"] == 0
        assert rows[0]["entities"][0]["score"] > 0.8
    elif path.suffix == ".csv" and "delimiter" in case["kind"]:
        assert [row["entities"][0]["text"] for row in rows] == ["asthma"]
    else:
        assert (len(rows), is_bad) == (2, [False, True])
    assert not [word for word in words_of(content) if word in printed]


def check_convert(case: Case, folder: Path) -> None:
    """The export is read, and its entity is there."""
    import spacy
    from spacy.tokens import DocBin

    path = write_file(case["input"], folder)
    code, printed = run("convert", path, folder / "out.spacy")
    assert code == 0, printed
    (doc,) = DocBin().from_disk(folder / "out.spacy").get_docs(spacy.blank("en").vocab)
    row = json.loads(case["input"]["content"])
    entities = row.get("label") or [(s["start"], s["end"], s["label"]) for s in row["spans"]]
    assert [[e.start_char, e.end_char, e.label_] for e in doc.ents] == [[*e] for e in entities]


def check_batch(case: Case, folder: Path) -> None:
    """The call works."""
    pandas = pytest.importorskip("pandas")
    from spacy_openmed.batch.annotator import annotate

    result = eval(case["input"]["code"], {"annotate": annotate, "pandas": pandas})
    assert result["error"].null_count == len(result) == 1


def check_deid(case: Case, folder: Path) -> None:
    """What is to go is gone, what is to stay is there, and a surrogate is the same for the same."""
    if isinstance(case["expected"], str):
        pytest.skip("its expectation is prose")
    given, expected = case["input"], case["expected"]
    action = "redact" if isinstance(given, str) else given["action"]
    text = given if isinstance(given, str) else given["text"]
    key = folder / "key"
    key.write_text("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "utf8")
    source = folder / "note.txt"
    source.write_text(text, "utf8")
    code, printed = run("deid", source, "-a", action, "-k", key)
    assert code == 0
    assert not [part for part in expected.get("gone", ()) if part in printed]
    kept = [*expected.get("kept", ()), *expected.get("letters_kept", ())]
    assert all(part in printed for part in kept)
    words = re.findall(r"\w+", printed.lower())
    if "same_surname_times" in expected:
        assert max(map(words.count, words)) >= expected["same_surname_times"]
    if "one_number" in expected:
        numbers = [re.sub(r"\D", "", part)[-10:] for part in printed.split(" or ")]
        assert len({*numbers}) == 1


def check_context(case: Case, folder: Path) -> None:
    """The rules say of every mention what is expected, and nothing else."""
    pytest.importorskip("negspacy")
    assert not find_context(make_rules(), case["input"], case["expected"], "DISEASE")


CHECKS: dict[str, Callable[[Case, Path], None]] = {
    "process": check_process,
    "convert": check_convert,
    "batch": check_batch,
    "deid": check_deid,
    "context": check_context,
}
PARAMS = [
    pytest.param(part, case, id=f"{part}-{case['id']}")
    for part in CHECKS
    for case in read_cases(part)
]


@pytest.mark.skipif(not CASES, reason="OPENMED_CASES names no folder with field.jsonl")
@pytest.mark.parametrize(("part", "case"), PARAMS or [pytest.param("", {}, id="none")])
def test_case(part: str, case: Case, tmp_path: Path):
    assert part, "the folder that OPENMED_CASES names has no cases to check"
    pytest.importorskip("pyarrow")
    CHECKS[part](case, tmp_path)
