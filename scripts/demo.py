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
from spacy.tokens import Doc, Span
from wasabi import msg

from spacy_openmed import catalogue

DOMAINS = ("pharmacology", "disease", "genomics")
EXAMPLES = Path(__file__).parent.parent / "examples"
SPANS_KEY = "openmed"


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
        print_entities(doc)
        counts.update(count_domains(doc))
    page = displacy.render(docs, style="ent", page=True, jupyter=False)
    output.write_text(page, encoding="utf8")
    msg.good(f"Wrote the page to {output.resolve()}")
    msg.text(", ".join(f"{domain}: {counts[domain]} entities" for domain in DOMAINS))
    if silent := [domain for domain in DOMAINS if not counts[domain]]:
        msg.fail(f"Nothing found for: {', '.join(silent)}", exits=1)


def print_entities(doc: Doc) -> None:
    """Print a table of a document's entities.

    doc (Doc): The document, with its title in `doc.user_data`.
    """
    msg.divider(doc.user_data["title"])
    rows = [
        (
            " ".join(span.text.split()),
            span.label_,
            f"{score:.2f}",
            ", ".join(datasets),
            f"{span.start_char}-{span.end_char}",
        )
        for span, score, datasets in found(doc)
    ]
    header = ("Entity", "Label", "Score", "Datasets", "Offsets")
    msg.table(rows, header=header, divider=True, aligns=("l", "l", "r", "l", "r"))


def count_domains(doc: Doc) -> Counter[str]:
    """Count the entities of every domain.

    doc (Doc): The document.
    RETURNS (Counter[str]): Number of entities by domain.
    """
    known = catalogue.datasets()
    counts: Counter[str] = Counter()
    for _, _, datasets in found(doc):
        counts.update({known[dataset].domain for dataset in datasets})
    return counts


def found(doc: Doc) -> list[tuple[Span, float, list[str]]]:
    """Get the entities with what is known of each, in the order of the text.

    doc (Doc): The document.
    RETURNS (list[tuple[Span, float, list[str]]]): Span, score and datasets of every entity.
    """
    group = doc.spans[SPANS_KEY]
    rows = zip(group, group.attrs["scores"], group.attrs["datasets"], strict=True)
    return sorted(rows, key=lambda row: (row[0].start, row[0].end))


if __name__ == "__main__":
    typer.run(main)
