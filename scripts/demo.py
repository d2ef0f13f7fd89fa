"""Find drugs, diseases, genes and cell lines in texts, with the bundled checkpoint.

    python scripts/demo.py [TEXTS] [OUTPUT]

Prints a table for each text: how many entities each domain found, and the surest of them.
Writes a displaCy page with all of them. Fails if a domain finds nothing in any of the texts.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import spacy
import typer
from spacy import displacy
from wasabi import msg, table

from spacy_openmed import catalogue
from spacy_openmed.cli.ner import get_entities

DOMAINS = ("pharmacology", "disease", "genomics")
EXAMPLES = Path(__file__).parent.parent / "examples"
WIDTH = 50  # of the examples; the whole table fits a terminal of 80 columns
NEXT = (
    ('ner "No asthma. Takes metformin."', "the entities of your own text"),
    ("info genomics", "what a domain finds, and how well"),
    ("models --domain disease", "OpenMed's larger checkpoints"),
)


def main(
    texts: Path = typer.Argument(EXAMPLES, help="Folder of .txt files", exists=True),
    output: Path = typer.Argument(Path("demo.html"), help="Page to write"),
) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"domain": list(DOMAINS)})
    paths = sorted(texts.glob("*.txt"))
    docs = list(nlp.pipe(path.read_text(encoding="utf8") for path in paths))
    counts = dict.fromkeys(DOMAINS, 0)
    for path, doc in zip(paths, docs, strict=True):
        doc.user_data["title"] = path.stem
        groups = group_by_domain(get_entities(doc))
        rows = [(domain, len(group), show_surest(group)) for domain, group in groups.items()]
        msg.divider(path.stem)
        header = ("domain", "entities", "surest, with their scores")
        print(
            table(
                rows, header=header, divider=True, aligns=["l", "r", "l"], max_col=WIDTH, spacing=2
            )
        )
        for domain, group in groups.items():
            counts[domain] += len(group)
    page = displacy.render(docs, style="ent", page=True, jupyter=False)
    output.write_text(page, encoding="utf8")
    msg.divider("all texts")
    print(", ".join(f"{domain}: {counts[domain]} entities" for domain in DOMAINS))
    if silent := [domain for domain in DOMAINS if not counts[domain]]:
        msg.fail(f"Nothing found for: {', '.join(silent)}", exits=1)
    msg.good(f"Wrote all entities, in colour, to {output.resolve()}. Open it in a browser.")
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    print("\nWhat to try next:")
    for command, purpose in NEXT:
        print(f"\n  # {purpose}\n  {python} -m spacy openmed {command}")


def group_by_domain(entities: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group entities by the domains whose datasets found them.

    entities (Iterable[dict[str, Any]]): Records as `get_entities` makes them.
    RETURNS (dict[str, list[dict[str, Any]]]): The records of each of `DOMAINS`.
    """
    groups: dict[str, list[dict[str, Any]]] = {domain: [] for domain in DOMAINS}
    for entity in entities:
        for domain in {catalogue.datasets()[name].domain for name in entity["datasets"]}:
            if domain in groups:
                groups[domain].append(entity)
    return groups


def show_surest(entities: Iterable[dict[str, Any]]) -> str:
    """List as many entities as fit a line, by falling score, each text once.

    entities (Iterable[dict[str, Any]]): Records as `get_entities` makes them.
    RETURNS (str): The line; a text that is too long to fit is left out.
    """
    shown: dict[str, str] = {}
    for entity in sorted(entities, key=lambda entity: -entity["score"]):
        text = " ".join(entity["text"].split())
        item = f"{text} {entity['score']:.2f}"
        if len(", ".join([*shown.values(), item])) <= WIDTH:
            shown.setdefault(text.casefold(), item)
    return ", ".join(shown.values())


if __name__ == "__main__":
    typer.run(main)
