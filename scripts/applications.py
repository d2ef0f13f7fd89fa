"""Notes in, everything out: entities in their context, de-identified texts, a graph, HCC reports.

    python scripts/applications.py [NOTES] [OUTPUT]

NOTES is a folder of texts called PATIENT-NUMBER.txt; those of examples/patients are of nobody.
Writes a page to look at (OUTPUT/index.html), and beside it the texts without their identifiers,
the audits of these, the graph and the reports. One pipeline does it all: OUTPUT/pipeline.
"""

import json
from html import escape
from pathlib import Path

import spacy
import typer
from spacy import displacy
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from spacy_openmed.context import AXES
from spacy_openmed.deidentify import carry_over, deidentify
from spacy_openmed.graph import GraphBuilder
from spacy_openmed.graph_files import write_graph
from spacy_openmed.labels import DISPLACY_COLORS

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
</style>
</head>
<body>
<h1>One pipeline</h1>
<p>{pipes}</p>
{notes}
<iframe src="graph/graph.html" title="Knowledge graph"></iframe>
</body>
</html>
"""
NOTE = """<h2>{title}</h2>
<div class="columns">
<div><h3>As it was written</h3>{before}</div>
<div><h3>Without identifiers</h3>{after}</div>
</div>
"""


def main(
    notes: Path = typer.Argument(NOTES, help="Folder of PATIENT-NUMBER.txt", exists=True),
    output: Path = typer.Argument(Path("applications"), help="Folder to write to"),
) -> None:
    nlp = make_pipeline()
    output.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(output / "pipeline")
    paths = sorted(notes.glob("*-*.txt"))
    texts = [path.read_text(encoding="utf8") for path in paths]
    for folder in ("deidentified", "audits"):
        (output / folder).mkdir(exist_ok=True)
    builder = GraphBuilder(span_keys=[])
    shown = []
    for path, doc in zip(paths, nlp.pipe(texts), strict=True):
        patient, _, _ = path.stem.partition("-")
        builder.add(doc, path.stem)
        result = deidentify(doc, "surrogate", key=KEY, patient=patient)
        (output / "deidentified" / path.name).write_text(result.text, encoding="utf8")
        audit = json.dumps(result.to_dict(), indent=1)
        (output / "audits" / f"{path.stem}.json").write_text(audit, encoding="utf8")
        new_doc = carry_over(doc, nlp.make_doc(result.text), result)
        shown.append(
            NOTE.format(title=escape(path.stem), before=render(doc), after=render(new_doc))
        )
        msg.text(
            f"{path.stem}: {len(doc.ents)} entities, {len(doc.spans['phi'])} identifiers, "
            f"{len(doc._.relations)} relations"
        )
    graph = builder.build()
    write_graph(graph, output / "graph", ["html", "json", "kgx"])
    page = PAGE.format(pipes=escape(" → ".join(nlp.pipe_names)), notes="".join(shown))
    (output / "index.html").write_text(page, encoding="utf8")
    msg.good(f"Wrote {output / 'index.html'}")


def make_pipeline() -> Language:
    """RETURNS (Language): Entities of two domains, identifiers, context and relations."""
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", name="findings", config={"domain": ["disease", "pharmacology"]})
    # In a group of its own: personal data are no findings.
    privacy = {"domain": "privacy", "annotate": "spans", "annotate_spans_key": "privacy"}
    nlp.add_pipe("openmed_ner", name="privacy", config=privacy)
    nlp.add_pipe("openmed_phi", config={"spans_key": "privacy"})
    nlp.add_pipe("openmed_context")
    nlp.add_pipe("openmed_relation")
    return nlp


def render(doc: Doc) -> str:
    """RETURNS (str): The document's entities in HTML, with what their context says of them."""
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
