"""Notes of patients from files, and a report of each patient's codes."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..apply.texts import read_text
from ..encoding import BROKEN, UTF8, decode, find_encoding, is_unicode, open_lines
from ..errors import Errors, describe

if TYPE_CHECKING:
    from spacy.language import Language

PATIENT, TEXT, ERROR = "patient", "text", "error"
MOST_YEARS = 3  # between the notes of a patient
ROWS = 1000  # rows of a table that are read at once
DEMOGRAPHICS = (
    *("age", "sex", "dual_elgbl_cd", "orec", "crec", "new_enrollee", "snp", "low_income"),
)
FIELDS = {
    "note": ("note", "note_id", "id"),
    "date": ("date", "date_of_service", "service_date", "encounter_date"),
}
TABLES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")
OWN = (".txt", ".jsonl")  # endings of what is read here; `tables` reads the others
EXPECTED = f'an object with "{TEXT}", a string, and perhaps "{PATIENT}" and demographics'
Note = dict[str, Any]


def read_notes(path: Path, encoding: str = UTF8) -> Iterator[Note]:
    """Read notes.

    path (Path): A file or a folder, or "-".
    encoding (str): The encoding of the files; a byte-order mark says more.
    YIELDS (dict[str, Any]): Each note, with "text" and "patient"; one that can't be read has
        "error" in place of "text".
    RAISES (OSError): If there are no notes.
    RAISES (ValueError): If there is no such encoding.
    """
    encoding = find_encoding(encoding)
    if str(path) == "-":
        yield from _read_lines(path, sys.stdin.buffer, encoding)
        return
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.suffix in (*OWN, *TABLES) and file.is_file()]
    if not files:
        raise OSError(Errors.OM379.format(path=path))
    for file in files:
        if file.suffix == ".jsonl":
            with file.open("rb") as stream:
                yield from _read_lines(file, stream, encoding)
        elif file.suffix in TABLES:
            yield from _read_table(file, encoding)
        else:
            name = file.relative_to(path).with_suffix("") if path.is_dir() else file.stem
            try:
                yield {PATIENT: str(name), TEXT: decode(file.read_bytes(), encoding)}
            except UnicodeDecodeError as error:
                problem = Errors.OM302.format(encoding=error.encoding)
                yield {PATIENT: str(name), ERROR: f"{problem} ({file})"}


def _read_table(path: Path, encoding: str) -> Iterator[Note]:
    """The rows of a table as notes. An empty cell is no value."""
    from .reading import PLACE
    from .sources import find_source
    from .tables import read_tables

    is_text = path.suffix in (".csv", ".tsv")
    source = find_source(str(path), encoding=encoding if is_text else None)
    names = [name for row in FIELDS.values() for name in row]
    wanted = [PATIENT, *names, *DEMOGRAPHICS]
    for table in read_tables(source, ROWS, text_column=TEXT, optional=wanted):
        for row in table.to_pylist():
            note = {key: value for key, value in row.items() if value not in (None, "")}
            place = f"{path}:{note.pop(PLACE, '')}"
            note[PATIENT] = _read_patient(note.get(PATIENT), place)
            problem = note.get(ERROR)
            try:
                note[TEXT] = read_text(row.get(TEXT))
            except ValueError as error:
                problem = problem or str(error)
            yield (
                note
                if problem is None
                else {
                    PATIENT: note[PATIENT],
                    ERROR: f"{problem} ({place})",
                }
            )


def _read_patient(value: Any, place: str) -> str:
    """Who a patient is; where that is not said, the note's place."""
    return place if value is None or not str(value).strip() else str(value)


def _read_lines(path: Path, stream: Any, encoding: str) -> Iterator[Note]:
    with open_lines(stream, encoding) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                note = json.loads(line)
            except (RecursionError, ValueError):
                note = None
            place = f"{path}:{number}"
            patient = note.get(PATIENT) if isinstance(note, dict) else None
            known = {PATIENT: _read_patient(patient, place)}
            text = note.get(TEXT) if isinstance(note, dict) else None
            if BROKEN in line:
                yield {**known, ERROR: f"{Errors.OM302.format(encoding=lines.encoding)} ({place})"}
            elif not isinstance(text, str):
                problem = Errors.OM378.format(path=path, number=number, expected=EXPECTED)
                yield {**known, ERROR: problem}
            elif not is_unicode(text):
                yield {**known, ERROR: f"{Errors.OM308.format(what='text')} ({place})"}
            else:
                yield {**note, **known}


def report_patients(
    notes: list[Note], nlp: "Language", historical: bool
) -> Iterator[dict[str, Any]]:
    """Make a report a patient; an error for one of whom a note can't be read or coded, as a report
    without it would look complete.

    notes (list[Note]): The notes of all patients, see `read_notes`.
    nlp (Language): A pipeline with `openmed_hcc`.
    historical (bool): See `hcc.patient_report`.
    YIELDS (dict[str, Any]): The reports, see `hcc.patient_report`, or "patient" and "error".
    """
    from ..hcc.report import patient_report
    from ..hcc.risk import MODELS, calculate

    patients: dict[str, list[Note]] = {}
    for note in notes:
        patients.setdefault(note[PATIENT], []).append(note)
    for patient, rows in patients.items():
        if problems := [row[ERROR] for row in rows if ERROR in row and TEXT not in row]:
            yield {PATIENT: patient, ERROR: problems[0]}
            continue
        try:
            demographics = _demographics(patient, rows)
            for model in MODELS if demographics else ():  # before the work, not after it
                calculate([], model, demographics)
            docs = list(nlp.pipe(row[TEXT] for row in rows))
            if len(docs) != len(rows):  # an error handler of the pipeline kept quiet
                raise ValueError(Errors.OM303)
            yield patient_report(
                docs,
                patient=patient,
                demographics=demographics,
                historical=historical,
                notes=[{key: _first(row, names) for key, names in FIELDS.items()} for row in rows],
            )
        except ImportError:
            raise
        except Exception as error:  # of any component
            yield {PATIENT: patient, ERROR: describe(error)}


def _first(note: Note, names: Sequence[str]) -> str | None:
    values = [note[name] for name in names if note.get(name) not in (None, "")]
    return str(values[0]) if values else None


def _demographics(patient: str, notes: list[Note]) -> dict[str, Any] | None:
    """What the notes of a patient say. Of the ages at several visits, the last counts."""
    from ..hcc.risk import clean_demographic

    found: dict[str, Any] = {}
    for note in notes:
        for field in DEMOGRAPHICS:
            value = clean_demographic(field, note.get(field))
            if value is None or found.setdefault(field, value) == value:
                continue
            if field != "age" or abs(found[field] - value) > MOST_YEARS:
                raise ValueError(Errors.OM380.format(patient=patient, field=field))
            found[field] = max(found[field], value)
    return found or None
