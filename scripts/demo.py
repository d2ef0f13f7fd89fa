"""Find drugs, diseases, genes and cell lines in texts, with the bundled checkpoint.

    python scripts/demo.py [TEXTS] [OUTPUT]

Prints every entity with its label, score, datasets and character offsets, and writes
a displaCy page. Fails if one of the domains finds nothing in all of the texts.
"""

from collections import Counter
from pathlib import Path

import spacy
import typer
from spacy import displacy
from wasabi import msg

from spacy_openmed import catalogue
from spacy_openmed.cli.ner import get_entities, print_entities

DOMAINS = ("pharmacology", "disease", "genomics")
EXAMPLES = Path(__file__).parent.parent / "examples"


def main(
    texts: Path = typer.Argument(EXAMPLES, help="Folder of .txt files", exists=True),
    output: Path = typer.Argument(Path("demo.html"), help="Page to write"),
) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"domain": list(DOMAINS)})
    paths = sorted(texts.glob("*.txt"))
    docs = list(nlp.pipe(path.read_text(encoding="utf8") for path in paths))
    counts: Counter[str] = Counter()
    for path, doc in zip(paths, docs, strict=True):
        doc.user_data["title"] = path.stem
        msg.divider(path.stem)
        entities = get_entities(doc)
        print_entities(entities)
        for entity in entities:
            counts.update({catalogue.datasets()[name].domain for name in entity["datasets"]})
    page = displacy.render(docs, style="ent", page=True, jupyter=False)
    output.write_text(page, encoding="utf8")
    msg.good(f"Wrote the page to {output.resolve()}")
    msg.text(", ".join(f"{domain}: {counts[domain]} entities" for domain in DOMAINS))
    if silent := [domain for domain in DOMAINS if not counts[domain]]:
        msg.fail(f"Nothing found for: {', '.join(silent)}", exits=1)


if __name__ == "__main__":
    typer.run(main)
