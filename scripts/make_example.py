"""Make docs/assets/example.html: the entities of an invented note, in displaCy's colours.

    python scripts/make_example.py

The fragment is part of a page of the manual. It needs no network: mini finds the entities.
"""

from pathlib import Path

import spacy
from spacy import displacy

from spacy_openmed import catalogue

ROOT = Path(__file__).parent.parent
NOTE = """\
72-year-old woman with type 2 diabetes, hypertension and chronic kidney disease, admitted with
pneumonia. She was treated with ceftriaxone and azithromycin. Metformin was stopped because of
acute kidney injury. Lisinopril 10 mg daily and atorvastatin 40 mg at night were continued.
No history of stroke. Father died of myocardial infarction.
"""
HEADS = ("bc5cdr_disease", "ncbi_disease", "bc5cdr_chem")


def main() -> None:
    """Write the fragment."""
    dataset = ["notes"] if "notes" in catalogue.bundled() else list(HEADS)
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"dataset": dataset})
    html = displacy.render(nlp(NOTE), style="ent", page=False, minify=True)
    path = ROOT / "docs" / "assets" / "example.html"
    path.write_text(f'<div class="displacy">{html}</div>\n', encoding="utf8")


if __name__ == "__main__":
    main()
