"""Make the texts that `notes_corpus/standoff` annotates, from the assets that hold them.

    python -m spacy project assets --extra
    python scripts/notes_plain.py assets/notes_plain

The texts are sections of MTS-Dialog and ACI-Bench (CC BY 4.0), and transcription samples of
mtsamples.com (licence unclear). They are not part of this repository: the annotation refers to each
by its id and checksum. It also refers to 18 texts that no asset has, from PriMock57 (CC BY 4.0),
Apache cTAKES (Apache 2.0) and a test part of ACI-Bench. These are left out.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import typer
from wasabi import msg

# Prefix of the ids, the file in the assets, the column of the id, and that of the text.
TABLES = (
    ("mts-train", "MTS-Dialog-TrainingSet.csv", "ID", "section_text"),
    ("mts-valid", "MTS-Dialog-ValidationSet.csv", "ID", "section_text"),
    ("mts-test1", "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv", "ID", "section_text"),
    ("aci-train", "aci-bench-train.csv", "encounter_id", "note"),
)
# Ids are the numbers of the rows; the text is in the longest column.
NUMBERED = ("mtsamples", "mtsamples.csv")
OUTPUT = "notes_plain.jsonl"


def main(
    folder: Path = typer.Argument(..., help="Folder of the assets", exists=True, file_okay=False),
) -> None:
    """Write FOLDER/notes_plain/notes_plain.jsonl. OPENMED_CORPORA can then name FOLDER."""
    rows = [{"id": id, "text": text} for id, text in read_assets(folder)]
    if not rows:
        msg.fail(f"{folder} holds none of the assets", exits=1)
    output = folder / "notes_plain"
    output.mkdir(exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (output / OUTPUT).write_text(content, encoding="utf8")
    msg.good(f"Wrote {len(rows)} texts to {output / OUTPUT}")


def read_assets(folder: Path) -> Iterator[tuple[str, str]]:
    """Read the texts.

    folder (Path): Folder of the assets. Files that are not there are left out.
    YIELDS (tuple[str, str]): Id and text.
    """
    for prefix, name, id_column, text_column in TABLES:
        path = folder / name
        if not path.is_file():
            msg.warn(f"{path} is not there")
            continue
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                yield f"{prefix}-{row[id_column]}", row[text_column].strip()
    prefix, name = NUMBERED
    path = folder / name
    if not path.is_file():
        msg.warn(f"{path} is not there")
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield f"{prefix}-{number}", max(map(str, row.values()), key=len).strip()


if __name__ == "__main__":
    typer.run(main)
