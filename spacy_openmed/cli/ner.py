import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.cli._util import Arg, Opt
from wasabi import msg, table

from ..catalogue import MINI

if TYPE_CHECKING:
    from spacy.tokens import Doc

SPANS_KEY = "openmed"


def ner_cli(
    # fmt: off
    text: str = Arg(..., help="The text, the path of a text file, or '-' for standard input"),
    domain: list[str] | None = Opt(None, "--domain", "-d", help="Name of a domain, repeatable"),
    dataset: list[str] | None = Opt(None, "--dataset", "-D", help="Name of a dataset, repeatable"),
    size: str = Opt(MINI, "--size", "-s", help="Size of the checkpoint"),
    model: str | None = Opt(None, "--model", "-m", help="Hub id or folder of a checkpoint"),
    threshold: str | None = Opt(None, "--threshold", "-t", help="Least score, or 'recommended'"),
    as_json: bool = Opt(False, "--json", "-j", help="Print JSON"),
    html: Path | None = Opt(None, "--html", "-H", help="Write a displaCy page", dir_okay=False),
    # fmt: on
) -> None:
    """
    Find the entities of one text.
    """
    import spacy
    from spacy import displacy

    config: dict[str, Any] = {"size": size, "annotate_spans_key": SPANS_KEY}
    if domain:
        config["domain"] = domain
    if dataset:
        config["dataset"] = dataset
    if model is not None:
        config["model"] = {"name": model}
    if threshold is not None:
        config["threshold"] = _number(threshold)
    nlp = spacy.blank("en")
    try:
        nlp.add_pipe("openmed_ner", config=config)
        doc = nlp(read_text(text))
    except (OSError, ValueError) as err:
        msg.fail(str(err), exits=1)
    entities = get_entities(doc)
    if html is not None:
        html.write_text(displacy.render(doc, style="ent", page=True, jupyter=False), "utf8")
    if as_json:
        print(json.dumps(entities, indent=2, ensure_ascii=False))
    else:
        print_entities(entities)


def read_text(text: str) -> str:
    """Read what a command was given, without changing line ends: offsets count them.

    text (str): A text, the path of a text file, or "-" for standard input.
    RETURNS (str): The text.
    """
    if text == "-":
        return sys.stdin.buffer.read().decode("utf8")
    if os.path.isfile(text):  # False too for texts that can't be a path
        return Path(text).read_bytes().decode("utf8")
    return text


def get_entities(doc: "Doc") -> list[dict[str, Any]]:
    """Get what the component found as plain records.

    doc (Doc): The annotated document.
    RETURNS (list[dict[str, Any]]): One record a span, in the order of the text.
    """
    group = doc.spans[SPANS_KEY]
    rows = zip(group, group.attrs["scores"], group.attrs["datasets"], strict=True)
    return [
        {
            "text": span.text,
            "label": span.label_,
            "score": score,
            "datasets": names,
            "start": span.start_char,
            "end": span.end_char,
        }
        for span, score, names in sorted(rows, key=lambda row: (row[0].start, row[0].end))
    ]


def print_entities(entities: list[dict[str, Any]]) -> None:
    """Print entities as a table.

    entities (list[dict[str, Any]]): Records as `get_entities` makes them.
    """
    if not entities:
        msg.info("No entities found.")
        return
    rows = [
        (
            " ".join(e["text"].split()),
            e["label"],
            f"{e['score']:.2f}",
            ", ".join(e["datasets"]),
            e["start"],
            e["end"],
        )
        for e in entities
    ]
    header = ("entity", "label", "score", "dataset", "start", "end")
    print(
        table(rows, header=header, divider=True, aligns=["l", "l", "r", "l", "r", "r"], spacing=2)
    )


def _number(threshold: str) -> float | str:
    try:
        return float(threshold)
    except ValueError:
        return threshold
