"""`python -m spacy openmed process`: files in, shards out, and nothing lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

pa = pytest.importorskip("pyarrow")

from conftest import make_nlp
from pyarrow import csv, feather, parquet

from spacy_openmed.cli import openmed_cli
from spacy_openmed.process import MANIFEST, SUCCESS

TEXTS = ["No asthma.", "Nothing here.", "Aspirin for renal failure", ""]
FOUND = [["asthma"], [], ["Aspirin", "renal failure"], []]


@pytest.fixture(scope="session")
def pipeline(keyword_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline that finds the `KEYWORDS`."""
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    make_nlp(keyword_checkpoint).to_disk(folder)
    return folder


def run(*args: object, code: int = 0, input: bytes | None = None) -> str:
    """Run the command; gives what it prints, in one line."""
    result = CliRunner().invoke(openmed_cli, ["process", *map(str, args)], input=input)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def read(folder: Path) -> list[dict]:
    """The rows of all shards."""
    tables = [parquet.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    return pa.concat_tables(tables).to_pylist() if tables else []


def names(rows: list[dict]) -> list[list[str] | None]:
    """The texts of the entities of each row."""
    return [
        None if row["entities"] is None else [entity["text"] for entity in row["entities"]]
        for row in rows
    ]


def write(folder: Path, form: str, texts: list[str], **columns: list) -> Path:
    """Write texts in one of the forms of input."""
    path = folder / f"notes.{form}"
    table = pa.table({"text": texts, **columns})
    if form == "parquet":
        parquet.write_table(table, path)
    elif form == "csv":
        csv.write_csv(table, path)
    elif form == "arrow":
        feather.write_feather(table, path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf8")
    elif form == "spacy":
        nlp = spacy.blank("en")
        docs = DocBin(store_user_data=True)
        for row in table.to_pylist():
            doc = nlp.make_doc(row.pop("text"))
            doc.user_data |= row
            docs.add(doc)
        docs.to_disk(path)
    else:
        path = folder / "notes"
        path.mkdir()
        for i, text in enumerate(texts):
            (path / f"{i}.txt").write_text(text, "utf8")
    return path


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow", "jsonl", "spacy", "txt"])
def test_forms_of_input(pipeline: Path, tmp_path: Path, form: str):
    path = write(tmp_path, form, TEXTS)
    printed = run(pipeline, path, tmp_path / "out")
    assert "4 rows, 3 entities" in printed
    rows = read(tmp_path / "out")
    assert names(rows) == FOUND
    ids = [f"{i}.txt" for i in range(4)] if form == "txt" else [0, 1, 2, 3]
    assert [row["id"] for row in rows] == ids


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow", "jsonl", "spacy"])
def test_ids_and_columns_are_kept(pipeline: Path, tmp_path: Path, form: str):
    columns = {"id": list("abcd"), "ward": ["x", "y", "x", "z"]}
    path = write(tmp_path, form, TEXTS, **columns)
    run(pipeline, path, tmp_path / "one", "--columns", "ward")
    rows = read(tmp_path / "one")
    assert [row["id"] for row in rows] == columns["id"]
    assert [row["ward"] for row in rows] == columns["ward"]
    run(pipeline, path, tmp_path / "two", "--id-column", "ward")
    assert [row["ward"] for row in read(tmp_path / "two")] == columns["ward"]


def test_output_as_json_lines(pipeline: Path, tmp_path: Path):
    run(pipeline, write(tmp_path, "jsonl", TEXTS), tmp_path / "out", "--to", "jsonl")
    lines = (tmp_path / "out" / "part-00000.jsonl").read_text("utf8").splitlines()
    assert names([json.loads(line) for line in lines]) == FOUND


def test_output_as_documents(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS, ward=[1, 2, 3, 4])
    run(pipeline, path, tmp_path / "out", "--to", "spacy", "--columns", "ward", "-b", 3)
    docs = DocBin().from_disk(tmp_path / "out" / "part-00000.spacy")
    docs = list(docs.get_docs(spacy.blank("en").vocab))
    assert [[ent.text for ent in doc.ents] for doc in docs] == FOUND
    assert [doc.user_data for doc in docs] == [{"id": i, "ward": i + 1} for i in range(4)]


def test_bundled_model_on_standard_input(tmp_path: Path):
    lines = b'{"text": "Metformin for type 2 diabetes."}\n\nno json\n{"text": 3}\n'
    printed = run("-", tmp_path, "-d", "disease", "--json", input=lines, code=3)
    counts = json.loads(printed)
    assert counts["rows"] == 3
    assert counts["entities"] == {"DISEASE": 1}
    assert {error[:7]: n for error, n in counts["errors"].items()} == {"[OM513]": 1, "[OM500]": 1}
    assert names(read(tmp_path)) == [["type 2 diabetes"], None, None]


def test_encodings_that_are_broken(pipeline: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b'text\n"asthma, or\nnot"\n\xff\xfe\naspirin\n')
    run(pipeline, tmp_path / "in", tmp_path / "out", code=3)
    assert names(read(tmp_path / "out")) == [["asthma"], None, ["aspirin"]]


def test_folders_are_read_by_name_to_their_depth(pipeline: Path, tmp_path: Path):
    for name, text in (("b/1.txt", "asthma"), ("a.txt", "aspirin"), ("_skipped/2.txt", "asthma")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf8")
    run(pipeline, tmp_path / "in", tmp_path / "out")
    assert [row["id"] for row in read(tmp_path / "out")] == ["a.txt", "b/1.txt"]


def test_limit(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS * 3)
    run(pipeline, path, tmp_path / "out", "--limit", 5, "--shard-size", 3)
    assert names(read(tmp_path / "out")) == FOUND + FOUND[:1]


def test_uri_of_another_filesystem(pipeline: Path, tmp_path: Path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/given/notes.jsonl", b'{"text": "No asthma."}\n')
    run(pipeline, "memory://given/notes.jsonl", "memory://found", "--to", "jsonl")
    row = json.loads(memory.cat("/found/part-00000.jsonl"))
    assert names([row]) == [["asthma"]]


@pytest.mark.slow
def test_more_processes_give_the_same(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS * 5)
    run(pipeline, path, tmp_path / "one")
    command = [sys.executable, "-m", "spacy", "openmed", "process", pipeline, path]
    options = ["--n-process", "2", "--batch-size", "4"]
    subprocess.run([*command, tmp_path / "two", *options], check=True, capture_output=True)
    assert read(tmp_path / "two") == read(tmp_path / "one")


# Going on


@pytest.mark.slow
def test_killed_and_resumed(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS * 500, id=list(range(2000)))
    sizes = ["--shard-size", "40", "--batch-size", "20"]
    command = [sys.executable, "-m", "spacy", "openmed", "process"]
    command += [str(pipeline), str(path), str(tmp_path / "out"), *sizes]
    for n_shards in (3, 9):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("out/part-*"))) < n_shards:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "out" / SUCCESS).exists()
    done = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("out/part-*")}
    assert 9 <= len(done) < 50
    assert "2,000 rows, 1,500 entities" in run(*command[5:])
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == t for name, t in done.items())
    run(pipeline, path, tmp_path / "whole", *sizes)
    assert read(tmp_path / "out") == read(tmp_path / "whole")
    assert not list(tmp_path.glob("out/.*"))


def test_nothing_is_done_twice(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    first = run(pipeline, path, tmp_path / "out")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    assert run(pipeline, path, tmp_path / "out") == first
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}


@pytest.mark.parametrize(
    ("change", "what"),
    [("pipeline", "pipeline"), ("input", "input"), ("--limit", "settings")],
)
def test_output_of_something_else_is_not_gone_on_with(
    pipeline: Path, keyword_checkpoint: Path, tmp_path: Path, change: str, what: str
):
    path = write(tmp_path, "parquet", TEXTS)
    run(pipeline, path, tmp_path / "out")
    other: list = [pipeline, path, tmp_path / "out"]
    if change == "pipeline":
        make_nlp(keyword_checkpoint, threshold=0.99).to_disk(tmp_path / "other")
        other[0] = tmp_path / "other"
    elif change == "input":
        write(tmp_path, "parquet", TEXTS[:2])
    else:
        other += ["--limit", 2]
    printed = run(*other, code=1)
    assert "OM515" in printed
    assert what in printed
    assert names(read(tmp_path / "out")) == FOUND
    run(*other, "--force")
    assert len(read(tmp_path / "out")) == (4 if change == "pipeline" else 2)


def test_weights_that_are_others(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    run(pipeline, path, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text("utf8"))
    nlp = spacy.load(pipeline)
    checkpoint = nlp.get_pipe("openmed_ner").shim.own()
    checkpoint.module.classifier.bias.data += 1
    nlp.to_disk(tmp_path / "other")
    run(tmp_path / "other", path, tmp_path / "out2")
    other = json.loads((tmp_path / "out2" / MANIFEST).read_text("utf8"))
    assert manifest["pipeline"] != other["pipeline"]


def test_standard_input_can_not_be_taken_up_again(pipeline: Path, tmp_path: Path):
    run(pipeline, "-", tmp_path, input=b'{"text": "asthma"}\n')
    assert "OM520" in run(pipeline, "-", tmp_path, input=b'{"text": "aspirin"}\n', code=1)


def test_folder_with_something_else_is_left_alone(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    assert "OM516" in run(pipeline, path, tmp_path, "--force", code=1)
    assert path.exists()


def test_strict_stops_at_the_first_error(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", [*TEXTS, None, *TEXTS])
    printed = run(pipeline, path, tmp_path / "out", "--strict", "--shard-size", 4, code=1)
    assert "[OM517] Among rows 4 to 7: [OM500]" in printed
    assert names(read(tmp_path / "out")) == FOUND


# What can't be


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["IN", "OUT"], "OM518"),
        (["PIPELINE", "IN", "OUT", "-d", "disease"], "OM518"),
        (["PIPELINE", "missing.parquet", "OUT"], "OM510"),
        (["PIPELINE", "EMPTY", "OUT"], "OM511"),
        (["PIPELINE", "UNKNOWN", "OUT"], "OM512"),
        (["PIPELINE", "-", "OUT", "--format", "parquet"], "OM514"),
        (["PIPELINE", "IN", "OUT", "--to", "xml"], "OM519"),
        (["PIPELINE", "IN", "OUT", "--text-column", "note"], "OM503"),
        (["PIPELINE", "IN", "OUT", "--columns", "ward"], "OM503"),
        (["IN", "OUT", "-d", "astrology"], "OM1"),
        (["no_such_pipeline", "IN", "OUT"], "OM680"),
    ],
)
def test_errors(pipeline: Path, tmp_path: Path, args: list[str], code: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "unknown.docx").write_bytes(b"")
    places = {
        "PIPELINE": pipeline,
        "IN": write(tmp_path, "parquet", TEXTS),
        "OUT": tmp_path / "out",
        "EMPTY": tmp_path / "empty",
        "UNKNOWN": tmp_path / "unknown.docx",
    }
    assert code in run(*(places.get(arg, arg) for arg in args), code=1)


def test_extra_that_is_missing(run_python: Callable):
    code = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "from typer.testing import CliRunner\n"
        "from spacy_openmed.cli import openmed_cli\n"
        "print(CliRunner().invoke(openmed_cli, ['process', 'a', 'b', '-d', 'disease']).output)"
    )
    printed = " ".join(run_python(code).split())
    assert "OM027" in printed
    assert "spacy-openmed[batch]" in printed


def test_help_has_an_example():
    assert "openmed process notes.parquet found" in run("--help")
