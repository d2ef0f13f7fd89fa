"""Reports of `openmed_hcc` for reading: a CSV table, and an HTML page that needs no network."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from ..formatting import without_formula
from .risk import MODELS

MEAT = ("monitored", "evaluated", "assessed", "treated")
COLUMNS = (
    *("patient", "date", "note", "code", "description", "hcc_v24", "hcc_v28", "counted"),
    *("context", "mention", "sentence", *MEAT),
    *("superseded_by", "rule", "how", "score", "start", "end", "error"),
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>HCC report</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; color: #1c2733; background: #fff }}
table {{ border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid #d8dee4 }}
mark {{ background: #ffe9a8; color: inherit }}
.off {{ color: #5b6773 }}
.error {{ color: #a40000 }}
code {{ font-weight: 600 }}
@media print {{ section {{ break-inside: avoid }} }}
</style>
</head>
<body>
<h1>HCC report</h1>
<p>{notice}</p>
{patients}
</body>
</html>
"""
PATIENT = """<section>
<h2>Patient {patient}</h2>
{scores}
{table}
</section>"""
TABLE = """<table>
<thead><tr><th>Code</th><th>HCC</th><th>Evidence</th><th>Hints (MEAT)</th>
<th>Status</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{unlinked}"""


def to_rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Make a row for each mention that supports a code.

    report (Mapping[str, Any]): A report of `patient_report`, or one with an "error".
    YIELDS (dict[str, Any]): The `COLUMNS`.
    """
    if "error" in report:
        yield {**dict.fromkeys(COLUMNS, ""), "patient": report["patient"], "error": report["error"]}
    for code in report.get("codes", ()):
        for evidence in code["evidence"]:
            yield {
                "patient": report["patient"],
                "date": evidence["date"] or "",
                "note": _note(evidence),
                "code": code["code"],
                "description": code["description"],
                **{f"hcc_{model}": " ".join(code[f"hcc_{model}"]) for model in MODELS},
                "counted": "yes" if code["counted"] else "no",
                "context": describe_context(evidence),
                "mention": evidence["mention"],
                "sentence": " ".join(evidence["sentence"].split()),
                **{kind: ", ".join(evidence["meat"].get(kind, ())) for kind in MEAT},
                "superseded_by": code["superseded_by"] or "",
                "rule": code["rule"] or evidence["rule"],
                "how": evidence["how"],
                "score": evidence["score"],
                "start": evidence["start"],
                "end": evidence["end"],
                "error": "",
            }


def to_csv(reports: Iterable[Mapping[str, Any]]) -> str:
    """Write reports as CSV. A value that a spreadsheet would take for a formula is prefixed
    with `'`.

    reports (Iterable[Mapping[str, Any]]): The reports.
    RETURNS (str): A header, and a row for each mention that supports a code.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for report in reports:
        for row in to_rows(report):
            writer.writerow({name: without_formula(value) for name, value in row.items()})
    return stream.getvalue()


def to_html(reports: Iterable[Mapping[str, Any]], notice: str) -> str:
    """Write reports as a page.

    reports (Iterable[Mapping[str, Any]]): The reports.
    notice (str): Text to show above them.
    RETURNS (str): The page.
    """
    patients = "\n".join(map(_to_section, reports))
    return PAGE.format(notice=escape(notice), patients=patients)


def to_table(report: Mapping[str, Any]) -> str:
    """RETURNS (str): The codes of a report as a table in HTML, those that count for risk first,
    and below it the mentions without a code."""
    rows = "\n".join(_to_html_row(code) for code in _by_importance(report["codes"]))
    unlinked = ", ".join(dict.fromkeys(escape(row["mention"]) for row in report["unlinked"]))
    return TABLE.format(
        rows=rows or '<tr><td colspan="5">No codes.</td></tr>',
        unlinked=f"<p>Mentions without a code: {unlinked}</p>" if unlinked else "",
    )


def describe_context(evidence: Mapping[str, Any]) -> str:
    """RETURNS (str): "present", "historical" or "symptom"."""
    if evidence["historical"]:
        return "historical"
    return "symptom" if evidence["symptom"] else "present"


def _to_section(report: Mapping[str, Any]) -> str:
    patient = escape(str(report["patient"]))
    if "error" in report:
        error = escape(report["error"])
        return f'<section><h2>Patient {patient}</h2><p class="error">{error}</p></section>'
    scores = _to_scores(report["models"])
    return PATIENT.format(patient=patient, scores=scores, table=to_table(report))


def _by_importance(codes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What counts for risk first."""
    return sorted(
        codes,
        key=lambda code: (not code["counted"], not (code["hcc_v28"] or code["hcc_v24"])),
    )


def _to_scores(models: Mapping[str, Any]) -> str:
    lines = []
    for name, model in models.items():
        hccs = "; ".join(f"{row['hcc']} {row['label']}" for row in model["hccs"]) or "none"
        raf = f"risk score {model['raf']}" if model["raf"] is not None else "no risk score"
        lines.append(f"<p><strong>{name.upper()}</strong>: {raf}. {escape(hccs)}</p>")
    return "\n".join(lines)


def _to_html_row(code: Mapping[str, Any]) -> str:
    hccs = "<br>".join(
        f"{model.upper()}: {', '.join(code[f'hcc_{model}'])}"
        for model in MODELS
        if code[f"hcc_{model}"]
    )
    status = "counted" if code["counted"] else "not counted"
    if code["superseded_by"]:
        status += f": superseded by {escape(code['superseded_by'])} ({escape(code['rule'])})"
    evidence = "<br>".join(_to_quote(row) for row in code["evidence"])
    meat = {
        kind: dict.fromkeys(word for row in code["evidence"] for word in row["meat"].get(kind, ()))
        for kind in MEAT
    }
    hints = "<br>".join(
        f"{kind}: {escape(', '.join(words))}" for kind, words in meat.items() if words
    )
    off = "" if code["counted"] else ' class="off"'
    return (
        f"<tr{off}><td><code>{escape(code['code'])}</code><br>{escape(code['description'])}</td>"
        f"<td>{hccs}</td><td>{evidence}</td><td>{hints}</td><td>{status}</td></tr>"
    )


def _to_quote(row: Mapping[str, Any]) -> str:
    sentence = row["sentence"]
    # A mention may go on in the next sentence.
    mention = row["mention"][: row["sentence_end"] - row["start"]].strip()
    # The sentence is stripped, so at most this many characters are missing at its start.
    n_lost = row["sentence_end"] - row["sentence_start"] - len(sentence)
    at = sentence.find(mention, max(0, row["start"] - row["sentence_start"] - n_lost))
    before, after = sentence[:at], sentence[at + len(mention) :]
    quote = f"{escape(before)}<mark>{escape(mention)}</mark>{escape(after)}"
    place = ", ".join(filter(None, [str(row["date"] or ""), f"note {_note(row)}"]))
    rule = f" {escape(row['rule'])}." if row["rule"] else ""
    return f"“{quote}” ({escape(place)}; {describe_context(row)}).{rule}"


def _note(evidence: Mapping[str, Any]) -> str:
    return str(evidence["document"] + 1 if evidence["note"] is None else evidence["note"])
