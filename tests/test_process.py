"""`python -m spacy openmed process`: files in, shards out, and nothing lost on the way."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner

pa = pytest.importorskip("pyarrow")

from conftest import make_nlp
from pyarrow import csv, feather, parquet

from spacy_openmed.batch.output import MANIFEST, SUCCESS
from spacy_openmed.cli import openmed_cli

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


def write(folder: Path, format: str, texts: list[str], **columns: list) -> Path:
    """Write texts in one of the formats of input."""
    path = folder / f"notes.{format}"
    table = pa.table({"text": texts, **columns})
    if format == "parquet":
        parquet.write_table(table, path)
    elif format == "csv":
        csv.write_csv(table, path)
    elif format == "arrow":
        feather.write_feather(table, path)
    elif format == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf8")
    elif format == "spacy":
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


def errors(folder: Path) -> list[str | None]:
    """The code of the error of each row, and where the row is."""
    found = [row["error"] for row in read(folder)]
    return [error and f"{error[1:6]} {error[error.rindex('(') :]}" for error in found]


@pytest.mark.parametrize("format", ["parquet", "csv", "arrow", "jsonl", "spacy", "txt"])
def test_formats_of_input(pipeline: Path, tmp_path: Path, format: str):
    path = write(tmp_path, format, TEXTS)
    printed = run(pipeline, path, tmp_path / "out")
    assert "4 rows, 3 entities" in printed
    rows = read(tmp_path / "out")
    assert names(rows) == FOUND
    ids = [f"{i}.txt" for i in range(4)] if format == "txt" else [0, 1, 2, 3]
    assert [row["id"] for row in rows] == ids


@pytest.mark.parametrize("format", ["parquet", "csv", "arrow", "jsonl", "spacy"])
def test_ids_and_columns_are_kept(pipeline: Path, tmp_path: Path, format: str):
    columns = {"id": list("abcd"), "ward": ["x", "y", "x", "z"]}
    path = write(tmp_path, format, TEXTS, **columns)
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


@Language.component("test_unsaved")
def set_unsaved(doc: Doc) -> Doc:
    if "Aspirin" in doc.text:
        doc.user_data["rule"] = {1, 2}
    return doc


def test_documents_that_can_not_be_saved(keyword_checkpoint: Path, tmp_path: Path):
    nlp = make_nlp(keyword_checkpoint)
    nlp.add_pipe("test_unsaved")
    nlp.to_disk(tmp_path / "pipeline")
    path = write(tmp_path, "parquet", TEXTS)
    printed = run(tmp_path / "pipeline", path, tmp_path / "out", "--to", "spacy", code=3)
    assert "4 rows, 1 entity" in printed
    assert "[OM007] The pipeline failed: TypeError." in printed


def test_bundled_model_on_standard_input(tmp_path: Path):
    lines = b'{"text": "Metformin for type 2 diabetes."}\n\nno json\n{"text": 3}\n'
    printed = run("-", tmp_path, "-d", "disease", "--json", input=lines, code=3)
    counts = json.loads(printed)
    assert counts["rows"] == 3
    assert counts["entities"] == {"DISEASE": 1}
    assert {error[:7]: n for error, n in counts["errors"].items()} == {"[OM355]": 1, "[OM301]": 1}
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


# Rows and files that can't be read


def test_bad_lines_cost_themselves_only(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(
        b"secret, and not JSON\n"
        b'{"id": 5, "text": "Had asthma."}\n'
        b"\n"
        b'{"id": 6, "text": "secret \\udc00"}\n'
        b'{"id": 7, "text": null}\n'
        b'{"id": 8, "text": ["secret"]}\n'
        b'{"id": 9, "note": "secret"}\n'
        b'["secret"]\n' + b"[" * 100_000 + b'\n{"id": 10, "text": "secret \xff"}\n'
        b'{"id": 6, "text": "\\u0000 Aspirin"}\n'
    )
    printed = run(pipeline, path, tmp_path / "out", code=3)
    rows = read(tmp_path / "out")
    assert names(rows) == [None, ["asthma"], *[None] * 7, ["Aspirin"]]
    assert [row["id"] for row in rows] == [None, *"56789", None, None, "10", "6"]
    assert errors(tmp_path / "out") == [
        "OM355 (notes.jsonl, row 1, line 1)",
        None,
        "OM308 (notes.jsonl, row 3, line 4)",
        "OM301 (notes.jsonl, row 4, line 5)",
        "OM301 (notes.jsonl, row 5, line 6)",
        "OM373 (notes.jsonl, row 6, line 7)",
        "OM355 (notes.jsonl, row 7, line 8)",
        "OM355 (notes.jsonl, row 8, line 9)",
        "OM302 (notes.jsonl, row 9, line 10)",
        None,
    ]
    assert "3 rows: [OM355]" in printed
    assert "secret" not in printed + str([row["error"] for row in rows])


def test_bad_rows_of_csv_cost_themselves_only(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.csv"
    path.write_text(
        "id,text\n"
        "007,Had asthma.\n"
        "b,secret, and more\n"
        "secret\n"
        "\n"
        'c,"not closed, secret\n'
        'd,He said "aspirin"\n'
        'e,"two\nlines, ""asthma"""\n',
        "utf8",
    )
    printed = run(pipeline, path, tmp_path / "out", code=3)
    rows = read(tmp_path / "out")
    assert names(rows) == [["asthma"], None, None, None, ["aspirin"], ["asthma"]]
    assert [row["id"] for row in rows] == ["007", None, None, None, "d", "e"]
    assert errors(tmp_path / "out")[1:4] == [
        "OM363 (notes.csv, row 2, line 3)",
        "OM363 (notes.csv, row 3, line 4)",
        "OM364 (notes.csv, row 4, line 6)",
    ]
    assert "secret" not in printed + str(rows)


def test_quote_that_is_never_closed(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.tsv"
    path.write_text('text\n"not closed\n' + "Had asthma.\n" * 3, "utf8")
    run(pipeline, path, tmp_path / "out", code=3)
    assert names(read(tmp_path / "out")) == [None, *[["asthma"]] * 3]


def test_text_of_csv_of_millions_of_characters(tmp_path: Path):
    from spacy_openmed.batch.sources import find_source
    from spacy_openmed.batch.tables import read_tables

    text = "a\n" * 1_000_000
    path = write(tmp_path, "csv", [text, "b"])
    (table,) = read_tables(find_source(str(path)), 10)
    assert table["text"].to_pylist() == [text, "b"]


@pytest.mark.parametrize("first", ["no JSON", '{"text": 3}', '{"id": 4, "text": "\\ud800"}'])
def test_bad_first_line_does_not_change_ids(pipeline: Path, tmp_path: Path, first: str):
    path = tmp_path / "notes.jsonl"
    path.write_text(f'{first}\n{{"id": 71, "text": "asthma"}}\n', "utf8")
    run(pipeline, path, tmp_path / "out", "--shard-size", 1, code=3)
    assert [row["id"] for row in read(tmp_path / "out")][1] == "71"


def test_rows_without_an_id_among_others(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "asthma"}\n{"id": 0, "text": "asthma"}\n', "utf8")
    run(pipeline, path, tmp_path / "out", code=3)
    rows = read(tmp_path / "out")
    assert [row["id"] for row in rows] == [None, "0"]
    assert names(rows) == [None, ["asthma"]]
    assert errors(tmp_path / "out")[0] == "OM368 (notes.jsonl, row 1, line 1)"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.csv", 'id,text\n"",asthma\n7,asthma\n'),
        ("notes.jsonl", '{"id": "", "text": "asthma"}\n{"id": "7", "text": "asthma"}\n'),
    ],
)
def test_an_empty_id_is_none(pipeline: Path, tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content, "utf8")
    run(pipeline, tmp_path / name, tmp_path / "out", code=3)
    assert [row["id"] for row in read(tmp_path / "out")] == [None, "7"]
    assert str(errors(tmp_path / "out")[0]).startswith(f"OM368 ({name}, row 1,")


def test_a_column_of_empty_ids_is_as_good_as_none(pipeline: Path, tmp_path: Path):
    (tmp_path / "notes.csv").write_text("id,text\n,asthma\n,asthma\n", "utf8")
    run(pipeline, tmp_path / "notes.csv", tmp_path / "out")
    assert [row["id"] for row in read(tmp_path / "out")] == [0, 1]


def test_ids_that_come_too_late_are_not_dropped(tmp_path: Path):
    from spacy_openmed.batch.rows import SAMPLE
    from spacy_openmed.batch.sources import find_source
    from spacy_openmed.batch.tables import read_tables

    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": ""}\n' * SAMPLE + '{"id": "a", "text": "b"}\n', "utf8")
    (table,) = read_tables(find_source(str(path)), 2 * SAMPLE)
    assert table["error"].null_count == SAMPLE
    assert table["error"][-1].as_py().startswith("[OM372]")


def test_columns_that_can_not_be_kept(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_text(
        '{"text": "asthma", "ward": "\\udfff"}\n{"text": "asthma", "ward": {"a": [1]}}\n', "utf8"
    )
    run(pipeline, path, tmp_path / "out", "--columns", "ward", code=3)
    rows = read(tmp_path / "out")
    assert [row["ward"] for row in rows] == [None, '{"a": [1]}']
    assert names(rows) == [None, ["asthma"]]


@pytest.mark.parametrize("format", ["csv", "parquet", "spacy"])
def test_files_that_can_not_be_read_are_a_row_each(pipeline: Path, tmp_path: Path, format: str):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, format, ["asthma"], id=["x"]).rename(folder / f"b.{format}")
    for name in "ac":
        (folder / f"{name}.{format}").write_bytes(b"")
    if format == "csv":
        (folder / "d.csv").write_text("id,secret\n1,secret\n", "utf8")
        (folder / "e.csv").write_text("id,text\n", "utf8")
    run(pipeline, folder, tmp_path / "out", code=3)
    rows = read(tmp_path / "out")
    assert names(rows)[:3] == [None, ["asthma"], None]
    assert [row["id"] for row in rows][:3] == [None, "x", None]
    more = ["OM371 (d.csv)"] if format == "csv" else []
    expected = [f"OM362 (a.{format})", None, f"OM362 (c.{format})", *more]
    assert errors(tmp_path / "out") == expected
    assert "secret" not in str(rows)


def test_columns_that_are_there_twice(pipeline: Path, tmp_path: Path):
    csv_file = tmp_path / "notes.csv"
    csv_file.write_text("text,id,text\nsecret,1,secret\n", encoding="utf8")
    assert "[OM376]" in run(pipeline, csv_file, tmp_path / "out", code=1)
    table = pa.table([["1"], ["secret"], ["secret"]], names=["id", "text", "text"])
    parquet.write_table(table, tmp_path / "notes.parquet")
    feather.write_feather(table, tmp_path / "notes.arrow")
    for name in ("notes.parquet", "notes.arrow"):
        output = run(pipeline, tmp_path / name, tmp_path / "out", code=1)
        assert f"[OM376] The column 'text' is there more than once. ({name})" in output


def test_values_that_can_not_be_kept(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_text(
        '{"text": "Aspirin", "ward": "\\udc00"}\n{"text": "Aspirin", "ward": "3"}\n', "utf8"
    )
    run(pipeline, path, tmp_path / "out", "--columns", "ward", code=3)
    assert errors(tmp_path / "out") == ["OM375 (notes.jsonl, row 1, line 1)", None]
    invalid = pa.array([b"\xff", b"3"]).view(pa.string())
    parquet.write_table(
        pa.table({"text": ["Aspirin"] * 2, "ward": invalid}), tmp_path / "notes.parquet"
    )
    run(pipeline, tmp_path / "notes.parquet", tmp_path / "out2", "--columns", "ward", code=3)
    assert errors(tmp_path / "out2") == ["OM375 (notes.parquet, row 1)", None]


def test_parquet_of_other_types_and_without_the_column(pipeline: Path, tmp_path: Path):
    for name, table in (
        ("a", {"text": ["asthma"], "id": [1]}),
        ("b", {"text": ["asthma"], "id": ["secret"]}),
        ("c", {"text": ["asthma"]}),
        ("d", {"text": ["aspirin", None], "id": pa.array([2, 3], pa.int32())}),
    ):
        parquet.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    printed = run(pipeline, tmp_path, tmp_path / "_out", code=3)
    assert errors(tmp_path / "_out") == [
        None,
        "OM374 (b.parquet)",
        "OM008 (c.parquet)",
        None,
        "OM301 (d.parquet, row 2)",
    ]
    assert [row["id"] for row in read(tmp_path / "_out")] == [1, None, None, 2, 3]
    assert "secret" not in printed


def test_folder_of_texts_with_another_file(pipeline: Path, tmp_path: Path):
    folder = write(tmp_path, "txt", ["asthma"])
    (folder / "README.md").write_text("About the notes", "utf8")
    assert "1 file left out" in run(pipeline, folder, tmp_path / "out")
    assert json.loads(run(pipeline, folder, tmp_path / "out", "--json"))["files_left_out"] == 1
    (folder / "notes.csv").write_text("text\n", "utf8")
    assert "OM354" in run(pipeline, folder, tmp_path / "two", code=1)


def test_rows_of_a_csv_without_a_header_are_not_told(pipeline: Path, tmp_path: Path):
    path = tmp_path / "notes.csv"
    path.write_text("Jane,Placeholder has HIV\n", "utf8")
    printed = run(pipeline, path, tmp_path / "out", code=1)
    assert "OM371" in printed
    assert not {"Jane", "Placeholder"} & {*printed.replace(",", " ").split()}
    path.write_text("id;text\n1;asthma\n", "utf8")
    assert "The delimiter may be ';'" in run(pipeline, path, tmp_path / "out", code=1)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "id;text\n1;Asthma, é\n".encode(), ["--delimiter", ";"]),
        ("a.tsv", "id\ttext\n1\tAsthma, é\n".encode(), []),
        ("a.txt", "id\ttext\n1\tAsthma, é\n".encode(), ["-f", "csv", "--delimiter", "tab"]),
        ("a.tsv", "id\ttext\n1\tAsthma, é\n".encode("cp1252"), ["--encoding", "windows-1252"]),
        ("a.jsonl", '{"text": "Asthma, é"}\n'.encode("utf-8-sig"), []),
        ("a.jsonl", '{"text": "Asthma, é"}\n'.encode("latin1"), ["--encoding", "latin1"]),
        ("a.csv", 'text\n"Asthma, é"\n'.encode("utf-16"), []),
        ("a.txt", "Asthma, é".encode("utf-8-sig"), ["--encoding", "cp1252"]),
        ("a.txt", "Asthma, é".encode("utf-16-be"), ["--encoding", "utf-16-be"]),
        ("-", '{"text": "Asthma, é"}\n'.encode("utf-8-sig"), []),
        ("-", "id|text\n1|Asthma, é\n".encode(), ["-f", "csv", "--delimiter", "|"]),
    ],
)
def test_delimiters_and_encodings(
    pipeline: Path, tmp_path: Path, name: str, content: bytes, options: list[str]
):
    source: Path | str = name
    if name != "-":
        source = tmp_path / name
        source.write_bytes(content)
    run(pipeline, source, tmp_path / "out", "--columns", "text", *options, input=content)
    (row,) = read(tmp_path / "out")
    assert row["text"] == "Asthma, é"
    assert [(e["start"], e["text"]) for e in row["entities"]] == [(0, "Asthma")]


# Going on


def test_killed_while_the_manifest_was_written(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{MANIFEST}").write_text('{"pipel', "utf8")
    run(pipeline, path, tmp_path / "out")
    assert names(read(tmp_path / "out")) == FOUND
    assert not list(tmp_path.glob("out/.*"))


def test_manifest_that_is_damaged(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_bytes(b"")
    run(pipeline, path, tmp_path / "out")
    for damaged in ('{"pipel', "[]"):
        (tmp_path / "out" / MANIFEST).write_text(damaged, "utf8")
        assert "OM370" in run(pipeline, path, tmp_path / "out", code=1)


@pytest.mark.parametrize("damaged", ["", "[]", "{}", "\x00\x00"])
def test_counts_that_are_damaged(pipeline: Path, tmp_path: Path, damaged: str):
    path = write(tmp_path, "parquet", TEXTS)
    run(pipeline, path, tmp_path / "out")
    (tmp_path / "out" / "_part-00000.json").write_text(damaged, "utf8")
    assert "4 rows, 3 entities" in run(pipeline, path, tmp_path / "out")
    assert names(read(tmp_path / "out")) == FOUND
    run(pipeline, path, tmp_path / "out", "--force")


def test_shards_that_are_damaged_are_made_again(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    run(pipeline, path, tmp_path / "out", "--shard-size", 2)
    (tmp_path / "out" / "part-00000.parquet").write_bytes(b"")
    (tmp_path / "out" / "_part-00001.json").write_text('{"rows', "utf8")
    assert "4 rows, 3 entities" in run(pipeline, path, tmp_path / "out", "--shard-size", 2)
    assert names(read(tmp_path / "out")) == FOUND


def test_disk_that_is_full(pipeline: Path, tmp_path: Path):
    resource = pytest.importorskip("resource")
    path = write(tmp_path, "jsonl", [*TEXTS, "asthma " * 1000])
    args = [pipeline, path, tmp_path / "out", "--shard-size", 4, "--to", "jsonl"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        printed = run(*args, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "OM366" in printed
    assert "asthma" not in printed
    done = tmp_path / "out" / "part-00000.jsonl"
    time_of_first = done.stat().st_mtime_ns
    assert "5 rows, 1,003 entities" in run(*args)
    assert done.stat().st_mtime_ns == time_of_first
    assert not list(tmp_path.glob("out/.*"))


def test_folder_that_can_not_be_made(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    for output in (path, path / "out"):
        assert "OM366" in run(pipeline, path, output, code=1)


def test_nothing_is_written_before_the_engine_and_the_texts_are_there(
    keyword_checkpoint: Path, pipeline: Path, tmp_path: Path
):
    path = write(tmp_path, "jsonl", TEXTS)
    # ONNX Runtime has no bf16; where it is not installed, that is what is wrong.
    make_nlp(keyword_checkpoint).to_disk(tmp_path / "saved")
    config = tmp_path / "saved" / "config.cfg"
    text = config.read_text("utf8").replace('precision = "fp32"', 'precision = "bf16"')
    config.write_text(text.replace('engine = "torch"', 'engine = "onnx"'), "utf8")
    run(tmp_path / "saved", path, tmp_path / "out", code=1)
    run(pipeline, path, tmp_path / "out", "--text-column", "note", code=1)
    assert not (tmp_path / "out").exists()


def test_another_device_is_the_same_job(keyword_checkpoint: Path, tmp_path: Path):
    from spacy_openmed.apply.pipelines import to_model
    from spacy_openmed.batch.annotator import Annotator
    from spacy_openmed.batch.job import Job
    from spacy_openmed.batch.sources import find_source

    source = find_source(str(write(tmp_path, "jsonl", TEXTS)))
    model = to_model({"model": {"name": str(keyword_checkpoint), "precision": "fp32"}})
    jobs = [Job(Annotator(model, device=name), source, None, "out") for name in (None, "cpu")]
    assert jobs[0].manifest() == jobs[1].manifest()


def test_other_labels_are_another_job(keyword_checkpoint: Path, tmp_path: Path):
    from spacy_openmed.apply.fingerprint import fingerprint

    folder = shutil.copytree(keyword_checkpoint, tmp_path / "copy")
    before = fingerprint(make_nlp(folder))
    config = json.loads((folder / "config.json").read_text("utf8"))
    config["id2label"] = {
        number: label.replace("Disease", "SIGN") for number, label in config["id2label"].items()
    }
    (folder / "config.json").write_text(json.dumps(config), "utf8")
    os.utime(folder / "model.safetensors")  # loaded checkpoints are kept by it
    assert fingerprint(make_nlp(folder)) != before


def test_a_process_that_is_killed(pipeline: Path, tmp_path: Path):
    from spacy_openmed.apply.pipelines import to_model
    from spacy_openmed.batch.annotator import Annotator
    from spacy_openmed.batch.job import Job, _make_map
    from spacy_openmed.batch.sources import find_source
    from spacy_openmed.batch.tables import read_tables

    source = find_source(str(write(tmp_path, "jsonl", TEXTS)))
    annotator = Annotator(to_model(pipeline), id_column="id")
    job = Job(annotator, source, None, str(tmp_path / "out"), n_process=2)
    [table] = read_tables(source, 100)

    def annotate_and_kill() -> None:
        with _make_map(job) as map_:
            parts = map_(table)
            for child in multiprocessing.active_children():
                child.kill()
            list(parts)

    with pytest.raises(OSError, match="OM367"):
        annotate_and_kill()


@pytest.mark.filterwarnings("ignore:.OM904")
def test_weights_that_are_rounded_for_a_device_hash_alike(keyword_checkpoint: Path):
    from spacy_openmed.checkpoints.loading import load_checkpoint
    from spacy_openmed.checkpoints.source import Source
    from spacy_openmed.engines.base import EngineSettings
    from spacy_openmed.engines.base import fingerprint as hash_weights

    hashes = {
        hash_weights(load_checkpoint(Source(str(keyword_checkpoint)), settings).stored_weights)
        for settings in (EngineSettings(device="cpu", precision=p) for p in ("fp32", "bf16"))
    }
    assert len(hashes) == 1


@pytest.mark.slow
@pytest.mark.parametrize("n_process", [1, 2])
def test_interrupted_and_resumed(pipeline: Path, tmp_path: Path, n_process: int):
    path = write(tmp_path, "parquet", TEXTS * 500)
    command = [sys.executable, "-m", "spacy", "openmed", "process", pipeline, path]
    command += [tmp_path / "out", "--shard-size", "40", "--n-process", n_process]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("out/part-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"OM700" in output
    assert b"Traceback" not in log
    assert "2,000 rows, 1,500 entities" in run(*command[5:-2])


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
    out = tmp_path / "out"
    assert f"Wrote 4 rows, 3 entities to {out}." in run(pipeline, path, out)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    again = run(pipeline, path, out)
    assert f"Nothing was left to do. {out} holds 4 rows, 3 entities." in again
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}


def test_a_copy_of_the_pipeline_goes_on(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    copy = shutil.copytree(pipeline, tmp_path / "copy")
    run(copy, path, tmp_path / "out")
    os.utime(copy / "config.cfg", (1, 1))
    assert "Nothing was left to do." in run(copy, path, tmp_path / "out")


@pytest.mark.parametrize("to", ["parquet", "spacy"])
def test_errors_are_told_with_their_first_place(pipeline: Path, tmp_path: Path, to: str):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": 1}\n{"text": "Asthma."}\n[]\n[]\n', "utf8")
    args = (pipeline, path, tmp_path / "out", "--to", to, "--shard-size", 2)
    for _ in range(2):
        printed = run(*args, code=3)
        assert "1 row: [OM301]" in printed
        assert "It is in notes.jsonl, row 1, line 1." in printed
        assert "2 rows: [OM355]" in printed
        assert "The first is in notes.jsonl, row 3, line 3." in printed
    (tmp_path / "out" / f"part-00001.{to}").unlink()
    assert "An earlier run wrote 2 rows of it." in run(*args, code=3)


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
    assert "OM357" in printed
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


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", "[OM377] Without --format, every line of standard input has to be a JSON object"),
        ('{"text": "asthma"}', "[OM355] The line is not a JSON object"),
    ],
)
def test_standard_input_that_is_not_json(pipeline: Path, tmp_path: Path, line: str, error: str):
    content = f"id,text\n1,secret\n{line}".encode()
    output = run(pipeline, "-", tmp_path / "out", code=3, input=content)
    assert error in output
    assert ("--format csv" in output) == ("OM377" in error)
    assert "secret" not in output


def test_standard_input_can_not_be_taken_up_again(pipeline: Path, tmp_path: Path):
    run(pipeline, "-", tmp_path, input=b'{"text": "asthma"}\n')
    assert "OM361" in run(pipeline, "-", tmp_path, input=b'{"text": "aspirin"}\n', code=1)


def test_folder_with_something_else_is_left_alone(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", TEXTS)
    assert "OM358" in run(pipeline, path, tmp_path, "--force", code=1)
    assert path.exists()


def test_strict_stops_at_the_first_error(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "parquet", [*TEXTS, None, *TEXTS])
    printed = run(pipeline, path, tmp_path / "out", "--strict", "--shard-size", 4, code=1)
    assert "[OM359]" in printed
    assert "[OM301] The text is of type null, not a string. (notes.parquet, row 5)" in printed
    assert names(read(tmp_path / "out")) == FOUND


# What can't be


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["IN", "OUT"], "OM702"),
        (["PIPELINE", "IN", "OUT", "-d", "disease"], "OM701"),
        (["PIPELINE", "missing.parquet", "OUT"], "OM352"),
        (["PIPELINE", "NEAR", "OUT"], "Did you mean 'notes.parquet'?"),
        (["PIPELINE", "EMPTY", "OUT"], "OM353"),
        (["PIPELINE", "UNKNOWN", "OUT"], "OM354"),
        (["PIPELINE", "-", "OUT", "--format", "parquet"], "OM356"),
        (["PIPELINE", "IN", "OUT", "--to", "jsnol"], "Did you mean 'jsonl'?"),
        (["PIPELINE", "IN", "OUT", "--format", "parqet"], "Did you mean 'parquet'?"),
        (["PIPELINE", "IN", "OUT", "--to", "csv"], "[OM360] 'csv' is not an output format."),
        (["PIPELINE", "IN", "OUT", "--format", "xml"], "[OM360] 'xml' is not an input format."),
        (["PIPELINE", "-", "OUT", "--encoding", "cp12522"], "Did you mean 'cp1252'"),
        (["PIPELINE", "-", "OUT", "--encoding", "base64"], "OM009"),
        (["PIPELINE", "IN", "OUT", "--encoding", "utf8"], "OM369"),
        (["PIPELINE", "-", "OUT", "--delimiter", ";"], "OM369"),
        (["PIPELINE", "-", "OUT", "-f", "csv", "--delimiter", "::"], "OM365"),
        (["PIPELINE", "IN", "OUT", "--text-column", "note"], "OM008"),
        (["PIPELINE", "IN", "OUT", "--columns", "ward"], "OM008"),
        (["IN", "OUT", "-d", "astrology"], "OM05"),
        (["no_such_pipeline", "IN", "OUT"], "OM600"),
    ],
)
def test_errors(pipeline: Path, tmp_path: Path, args: list[str], code: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "unknown.docx").write_bytes(b"")
    places = {
        "PIPELINE": pipeline,
        "IN": write(tmp_path, "parquet", TEXTS),
        "OUT": tmp_path / "out",
        "NEAR": tmp_path / "notez.parquet",
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
    assert "OM002" in printed
    assert "spacy-openmed[batch]" in printed


def test_attribute_that_nothing_sets(pipeline: Path, tmp_path: Path):
    path = write(tmp_path, "jsonl", TEXTS)
    for form in ("parquet", "spacy"):
        args = (pipeline, path, tmp_path / "out", "--to", form, "--attributes", "is_negated")
        assert "OM309" in run(*args, code=1)
        assert not (tmp_path / "out").exists()
