"""Notes in, everything out: entities in their context, de-identified texts, a graph, HCC reports.

    python scripts/applications.py [NOTES] [OUTPUT]

NOTES is a folder of texts called PATIENT-NUMBER.txt; those of examples/patients are of nobody.
Writes a page to look at (OUTPUT/index.html), and beside it the texts without their identifiers,
the audits of these, the graph and the reports. One pipeline does it all: OUTPUT/pipeline.
"""

import json
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import spacy
import typer
from spacy import displacy
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from spacy_openmed.clinical.termsets import AXES
from spacy_openmed.colors import DISPLACY_COLORS
from spacy_openmed.deid.anonymize import deidentify
from spacy_openmed.deid.audit import carry_over
from spacy_openmed.graph.builder import GraphBuilder
from spacy_openmed.graph.export import write_graph
from spacy_openmed.hcc.patterns import alias_patterns
from spacy_openmed.hcc.report import patient_report

NOTES = Path(__file__).parent.parent / "examples" / "patients"
KEY = "these notes are of nobody: the key is no secret"

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>One pipeline</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2em auto; color: #222; }}
.columns {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2em; }}
iframe {{ width: 100%; height: 1100px; border: 0; }}
table {{ border-collapse: collapse; }}
td, th {{ text-align: left; vertical-align: top; padding: .2em .8em;
  border-bottom: 1px solid #eee; }}
</style>
</head>
<body>
<h1>One pipeline</h1>
<p>{pipes}</p>
{patients}
<iframe src="graph/graph.html" title="Knowledge graph"></iframe>
</body>
</html>
"""
NOTE = """<h3>Note {title}</h3>
<div class="columns">
<div><h4>As it was written</h4>{before}</div>
<div><h4>Without identifiers</h4>{after}</div>
</div>
"""
REPORT = """<h2>Patient {patient}</h2>
<p>{notice}</p>
<table>
<tr><th>ICD-10-CM</th><th></th><th>HCC, V28</th><th>counts</th><th>evidence</th></tr>
{rows}
</table>
"""
ROW = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"


def main(
    notes: Path = typer.Argument(NOTES, help="Folder of PATIENT-NUMBER.txt", exists=True),
    output: Path = typer.Argument(Path("applications"), help="Folder to write to"),
) -> None:
    for folder in ("deidentified", "audits", "reports"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    nlp = make_pipeline()
    nlp.to_disk(output / "pipeline")
    builder = GraphBuilder(span_keys=[])
    shown = []
    for patient, group in groupby(sorted(notes.glob("*-*.txt")), find_patient):
        paths = list(group)
        docs = list(nlp.pipe(path.read_text(encoding="utf8") for path in paths))
        report = patient_report(docs, patient=patient)
        write_json(report, output / "reports" / f"{patient}.json")
        shown.append(show_report(report, [path.stem for path in paths]))
        for path, doc in zip(paths, docs, strict=True):
            builder.add(doc, path.stem)
            result = deidentify(doc, "surrogate", key=KEY, patient=patient)
            (output / "deidentified" / path.name).write_text(result.text, encoding="utf8")
            write_json(result.to_dict(), output / "audits" / f"{path.stem}.json")
            new_doc = carry_over(doc, nlp.make_doc(result.text), result)
            title = escape(path.stem)
            shown.append(NOTE.format(title=title, before=show(doc), after=show(new_doc)))
            msg.text(
                f"{path.stem}: {len(doc.ents)} entities, {len(doc.spans['phi'])} identifiers, "
                f"{len(doc._.relations)} relations, {len(doc._.hcc)} codes"
            )
    write_graph(builder.build(), output / "graph", ["html", "json", "kgx"])
    page = PAGE.format(pipes=escape(" → ".join(nlp.pipe_names)), patients="".join(shown))
    (output / "index.html").write_text(page, encoding="utf8")
    msg.good(f"Wrote {output / 'index.html'}")


def make_pipeline() -> Language:
    """RETURNS (Language): Entities of two domains, identifiers, context, relations and codes."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())  # type: ignore[attr-defined]  # of diseases
    nlp.add_pipe("openmed_ner", name="findings", config={"domain": ["disease", "pharmacology"]})
    # In a group of its own: personal data are not clinical findings.
    privacy = {"domain": "privacy", "annotate": "spans", "annotate_spans_key": "privacy"}
    nlp.add_pipe("openmed_ner", name="privacy", config=privacy)
    nlp.add_pipe("openmed_phi", config={"spans_key": "privacy"})
    nlp.add_pipe("openmed_context")
    nlp.add_pipe("openmed_relation")
    nlp.add_pipe("openmed_hcc")
    return nlp


def find_patient(path: Path) -> str:
    """RETURNS (str): The id of the note's patient."""
    return path.stem.partition("-")[0]


def write_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf8")


def show_report(report: dict[str, Any], titles: list[str]) -> str:
    """RETURNS (str): A patient's codes in HTML, each with its evidence."""
    rows = []
    for code in report["codes"]:
        evidence = [
            f"{titles[place['document']]}: {' '.join(place['sentence'].split())}"
            for place in code["evidence"]
        ]
        cells = (
            *(code["code"], code["description"], ", ".join(code["hcc_v28"])),
            "yes" if code["counted"] else "history",
        )
        lines = "<br>".join(map(escape, evidence))
        rows.append(ROW.format(*map(escape, cells), lines))
    return REPORT.format(
        patient=escape(report["patient"]), notice=escape(report["notice"]), rows="\n".join(rows)
    )


def show(doc: Doc) -> str:
    """RETURNS (str): The document's entities in HTML, with their context."""
    ents = []
    colors = {}
    for ent in doc.ents:
        said = [axis for axis, name in AXES.items() if ent._.get(name)]
        label = " · ".join([ent.label_, *said])
        colors[label] = DISPLACY_COLORS.get(ent.label_, "#ddd")
        ents.append({"start": ent.start_char, "end": ent.end_char, "label": label})
    data = {"text": doc.text, "ents": ents, "title": None}
    return displacy.render(
        data, style="ent", manual=True, minify=True, jupyter=False, options={"colors": colors}
    )


if __name__ == "__main__":
    typer.run(main)
