import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.cli._util import Arg, Opt

from .. import catalogue
from ..errors import Errors
from ._options import (
    SIZES,
    check_choice,
    check_input,
    check_output,
    check_pipeline,
    decode,
    read_file,
)

if TYPE_CHECKING:
    from spacy.language import Language

PATIENT, TEXT = "patient", "text"
DEMOGRAPHICS = (
    *("age", "sex", "dual_elgbl_cd", "orec", "crec", "new_enrollee", "snp", "low_income"),
)
EXPECTED = f'an object with "{TEXT}", a string, and perhaps "{PATIENT}" and demographics'
Note = dict[str, Any]


def hcc_cli(
    # fmt: off
    notes: Path = Arg(
        ...,
        help="A .txt file (one note), a .jsonl file, or a folder of them; '-': JSONL from "
        f'standard input. A line has "{TEXT}", and may have "{PATIENT}", "age", "sex", '
        '"dual_elgbl_cd", "orec", ...; a .txt file is of the patient of its name',
        allow_dash=True,
    ),
    output: Path | None = Opt(
        None, "--output", "-o", help="Write the reports there, not to standard output"
    ),
    historical: bool = Opt(
        False, "--historical", "-H", help="Let diagnoses count that are mentioned as history only"
    ),
    threshold: float | None = Opt(
        None,
        "--threshold",
        "-t",
        min=0,
        max=1,
        help="Lowest score of a code; lower gives more codes",
    ),
    pipeline: str | None = Opt(
        None, "--pipeline", "-P", help="A pipeline that has openmed_hcc, instead of one made here"
    ),
    size: str = Opt(catalogue.MINI, "--size", "-s", help=f"Size of the checkpoint: {SIZES}"),
    # fmt: on
) -> None:
    """
    Suggest ICD-10-CM codes and HCC categories for a coder to review: one JSON object a patient,
    with the evidence of each code. Without age and sex there is no risk score.

    EXAMPLE: python -m spacy openmed hcc notes.jsonl --output reports.jsonl
    """
    if output is not None:
        check_output(output)
    found = list(read_notes(notes))
    reports = _report(found, _make_pipeline(pipeline, size, threshold), historical)
    content = "".join(f"{json.dumps(report)}\n" for report in reports)
    if output is not None:
        output.write_text(content, encoding="utf8")
    else:
        sys.stdout.write(content)


def read_notes(path: Path) -> Iterator[Note]:
    """Read notes.

    path (Path): A file or a folder, or "-".
    YIELDS (dict[str, Any]): Each note, with "text" and "patient".
    RAISES (OSError): If there are none.
    RAISES (ValueError): If a line is no note.
    """
    if str(path) == "-":
        yield from _read_lines(path, sys.stdin.buffer.read())
        return
    check_input(path, what="file or folder")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.suffix in (".txt", ".jsonl") and file.is_file()]
    if not files:
        raise OSError(Errors.OM336.format(path=path))
    for file in files:
        if file.suffix == ".jsonl":
            yield from _read_lines(file, file.read_bytes())
        else:
            name = file.relative_to(path).with_suffix("") if path.is_dir() else file.stem
            yield {PATIENT: str(name), TEXT: read_file(file)}


def _read_lines(path: Path, content: bytes) -> Iterator[Note]:
    for number, line in enumerate(decode(content, path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            note = json.loads(line)
        except json.JSONDecodeError:
            note = None
        if not isinstance(note, dict) or not isinstance(note.get(TEXT), str):
            raise ValueError(Errors.OM335.format(path=path, number=number, expected=EXPECTED))
        patient = note.get(PATIENT)
        yield {**note, PATIENT: f"{path}:{number}" if patient is None else str(patient)}


def _make_pipeline(pipeline: str | None, size: str, threshold: float | None) -> "Language":
    import spacy

    from ..blank import blank_pipeline, lift_limit
    from ..hcc import add_hcc_pipes

    if pipeline is None:
        check_choice("size", size, catalogue.SIZES)
        nlp = blank_pipeline()
        add_hcc_pipes(nlp, size=size)
    else:
        nlp = lift_limit(spacy.load(check_pipeline(pipeline)))
    if threshold is not None:
        for name in nlp.pipe_names:
            if nlp.get_pipe_meta(name).factory == "openmed_hcc":
                nlp.get_pipe(name).threshold = threshold  # type: ignore[attr-defined]
    return nlp


def _report(notes: list[Note], nlp: "Language", historical: bool) -> Iterator[dict[str, Any]]:
    from ..hcc import MODELS, calculate, patient_report

    patients: dict[str, list[Note]] = {}
    for note in notes:
        patients.setdefault(note[PATIENT], []).append(note)
    demographics = {patient: _demographics(patient, rows) for patient, rows in patients.items()}
    for patient, known in demographics.items():  # or say now what is wrong, not after all the work
        for model in MODELS if known else ():
            try:
                calculate([], model, known)
            except ValueError as error:
                raise ValueError(f"{error} (Patient '{patient}'.)") from error
    for patient, rows in patients.items():
        docs = list(nlp.pipe(row[TEXT] for row in rows))
        yield patient_report(
            docs, patient=patient, demographics=demographics[patient], historical=historical
        )


def _demographics(patient: str, notes: list[Note]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for note in notes:
        for field in DEMOGRAPHICS:
            value = note.get(field)
            if value is not None and found.setdefault(field, value) != value:
                raise ValueError(Errors.OM337.format(patient=patient, field=field))
    return found or None
