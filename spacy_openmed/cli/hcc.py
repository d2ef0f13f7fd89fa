import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from spacy.cli._util import Arg, Opt

from .. import catalogue
from ..batch.hcc import ERROR, PATIENT, TEXT, read_notes, report_patients
from ..encoding import UTF8
from ..formatting import count
from ._options import SIZES, check_choice, check_input, check_output, check_pipeline

if TYPE_CHECKING:
    from spacy.language import Language

PATIENTS_WITH_ERRORS = 3  # exit code
FORMATS = ("jsonl", "csv", "html")


def hcc_cli(
    # fmt: off
    notes: Path = Arg(
        ...,
        help="A .txt file (one note), a .jsonl, .csv, .tsv or .parquet file, or a folder of them; "
        f'\'-\': JSONL from standard input. A row has "{TEXT}", and may have "{PATIENT}", '
        '"note", "date", "age", "sex", "dual_elgbl_cd", "orec", .... The name of a .txt file '
        "is the id of its patient",
        allow_dash=True,
    ),
    output: Path | None = Opt(
        None, "--output", "-o", help="Write the reports there, not to standard output"
    ),
    to: str | None = Opt(
        None,
        "--to",
        help="Format: jsonl (a report a line), csv (a row for each mention) or html (a page). "
        "Default: by the ending of --output, else jsonl",
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
    encoding: str = Opt(UTF8, "--encoding", help="Encoding of the notes: cp1252, utf-16, ..."),
    # fmt: on
) -> None:
    """
    Suggest ICD-10-CM codes and HCC categories for a coder to review, with the evidence of each
    code: one JSON object a patient, a CSV table, or an HTML page. Without age and sex there is no
    risk score.

    EXAMPLE: python -m spacy openmed hcc notes.csv --output report.html

    Exit codes: 0 all done; 1 failed; 3 done, but some patients have an error in place of a report.
    """
    if output is not None:
        check_output(output)
    if to is None:
        ending = output.suffix.lstrip(".") if output is not None else ""
        to = ending if ending in FORMATS else FORMATS[0]
    check_choice("format", to, FORMATS)
    if str(notes) != "-":
        check_input(notes, what="file or folder")
    found = list(read_notes(notes, encoding))
    reports = list(report_patients(found, _make_pipeline(pipeline, size, threshold), historical))
    content = _write(reports, to)
    if output is not None:
        output.write_text(content, encoding="utf8")
        print(f"Wrote {count(len(reports), 'report')} to {output}", file=sys.stderr)
    else:
        sys.stdout.write(content)
    if any(ERROR in report for report in reports):
        raise typer.Exit(PATIENTS_WITH_ERRORS)


def _write(reports: list[dict[str, Any]], to: str) -> str:
    from ..hcc.report import NOTICE
    from ..hcc.report_files import to_csv, to_html

    if to == "csv":
        return to_csv(reports)
    if to == "html":
        return to_html(reports, NOTICE)
    return "".join(f"{json.dumps(report)}\n" for report in reports)


def _make_pipeline(pipeline: str | None, size: str, threshold: float | None) -> "Language":
    import spacy

    from ..apply.blank import blank_pipeline, lift_limit
    from ..hcc.component import add_hcc_pipes

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
