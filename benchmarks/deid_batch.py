"""De-identification of a table of notes: its speed, and that nothing is lost when it is killed.

    python benchmarks/deid_batch.py [--number 10000]

Notes from the training part of the notes corpus, each copy with other identifiers, go through
`python -m spacy openmed deid --action encrypt` in a Parquet file. The command is killed (SIGKILL)
after two fifths of the shards, and run again. Then every row is checked: it has an audit, its
replacements account for every changed character, and decryption restores the original note exactly.
Rows/s are those of the second run alone, including the start of the command.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import typer
from pyarrow import parquet
from util import OUTPUT, print_rows, save_results

from spacy_openmed.deid import decrypt_row
from spacy_openmed.deid.anonymize import CHECKS
from spacy_openmed.deid.audit import Deidentified

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from notes_corpus import annotate, read_notes

KEY = "no secret: the notes are invented"
KILL_AT = 0.4  # of the shards
COLUMNS = (
    *("notes", "rows kept", "rows done again", "rows/s", "errors", "replacements"),
    *("audit complete", "decrypted exactly"),
)


def main(
    number: int = typer.Option(10_000, min=3, help="Notes"),
    shard_size: int = typer.Option(1000, min=1, help="Rows of a shard"),
    n_process: int = typer.Option(1, min=1, help="Processes"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    De-identify a table of notes, kill the run, go on, and check every row.
    """
    if number <= 2 * shard_size:
        raise typer.BadParameter("--number must be more than two shards")
    with TemporaryDirectory() as name:
        folder = Path(name)
        notes = list(islice(make_notes(), number))
        parquet.write_table(pa.Table.from_pylist(notes), folder / "notes.parquet")
        (folder / "key").write_text(KEY, encoding="utf8")
        command = [
            *(sys.executable, "-m", "spacy", "openmed", "deid", str(folder / "notes.parquet")),
            *("--output", str(folder / "out"), "--action", "encrypt"),
            *("--key-file", str(folder / "key"), "--id-column", "id"),
            *("--patient-column", "patient", "--shard-size", str(shard_size)),
            *("--n-process", str(n_process)),
        ]
        kept = kill(command, folder / "out", max(1, int(KILL_AT * number / shard_size)))
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        rows = parquet.read_table(sorted((folder / "out").glob("part-*.parquet"))).to_pylist()
        table = (COLUMNS, [check(notes, rows, kept, seconds)])
    print_rows(*table, as_json)
    save_results(output, {"deid_batch": table})


def make_notes() -> Iterator[dict[str, str]]:
    """YIELDS (dict[str, str]): Endless rows: id, patient and text."""
    notes = read_notes(split="train")
    for seed in count():
        for note in notes:
            name = f"{note.id}-{seed}"
            yield {"id": name, "patient": name, "text": annotate(note, seed).text}


def kill(command: list[str], output: Path, n_shards: int) -> int:
    """Start a command, and kill it and its processes once it has written some shards.

    command (list[str]): The command.
    output (Path): The folder it writes to.
    n_shards (int): How many shards to wait for.
    RETURNS (int): How many rows were written by then.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that its processes are killed, too
    )
    while process.poll() is None and len(list(output.glob("part-*.parquet"))) < n_shards:
        time.sleep(0.05)
    if process.poll() is not None:
        raise SystemExit("The command ended before it could be killed.")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return sum(parquet.read_metadata(path).num_rows for path in output.glob("part-*.parquet"))


def check(
    notes: list[dict[str, str]], rows: list[dict[str, Any]], kept: int, seconds: float
) -> tuple[object, ...]:
    """Compare the output with the notes.

    notes (list[dict[str, str]]): The rows that were given.
    rows (list[dict[str, Any]]): The rows of the output.
    kept (int): How many of them the first run had written.
    seconds (float): Duration of the second run.
    RETURNS (tuple[object, ...]): A row of the table.
    """
    if [row["id"] for row in rows] != [note["id"] for note in notes]:
        raise SystemExit("The rows of the output are not those of the input.")
    done = [(n["text"], row) for n, row in zip(notes, rows, strict=True) if row["error"] is None]
    return (
        len(rows),
        kept,
        len(rows) - kept,
        (len(rows) - kept) / seconds,
        len(rows) - len(done),
        sum(len(row["entities"]) for _, row in done),
        sum(is_complete(text, row) for text, row in done),
        sum(decrypt_row(row, KEY) == text for text, row in done),
    )


def is_complete(text: str, row: Mapping[str, Any]) -> bool:
    """Check whether the audit of a row accounts for all changes.

    text (str): The old text.
    row (Mapping[str, Any]): The row of the output.
    RETURNS (bool): Whether what lies between the replacements is the same in both texts.
    """
    audit = {name: row[name] for name in CHECKS} | {"replacements": row["entities"]}
    replacements = Deidentified.from_dict(row["text"], audit).replacements
    end = new_end = 0
    for r in replacements:
        if text[end : r.start] != row["text"][new_end : r.new_start] or r.action != "encrypt":
            return False
        end, new_end = r.end, r.new_end
    return all(row[name] for name in CHECKS) and text[end:] == row["text"][new_end:]


if __name__ == "__main__":
    typer.run(main)
