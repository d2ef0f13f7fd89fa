import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.cli._util import Arg, Opt
from wasabi import msg, table

from .. import catalogue
from ..errors import Errors
from ..formatting import wrap_text
from ..suggestions import near_path
from ._options import SIZES, check_output, decode_utf8, read_file

if TYPE_CHECKING:
    from spacy.tokens import Doc

SPANS_KEY = "openmed"


def ner_cli(
    # fmt: off
    text: str = Arg(..., help="The text, the path of a text file, or '-' for standard input"),
    domain: list[str] | None = Opt(None, "--domain", "-d", help="Name of a domain, repeatable"),
    dataset: list[str] | None = Opt(None, "--dataset", "-D", help="Name of a dataset, repeatable"),
    size: str = Opt(catalogue.MINI, "--size", "-s", help=f"Size of the checkpoint: {SIZES}"),
    model: str | None = Opt(None, "--model", "-m", help="Hub id or folder, instead of a size"),
    language: str = Opt("en", "--language", "-l", help="Language of the text, a spaCy code"),
    threshold: str = Opt("0", "--threshold", "-t", help="Lowest score, or 'recommended'"),
    as_json: bool = Opt(False, "--json", "-j", help="Print JSON"),
    html: Path | None = Opt(None, "--html", "-H", help="Write a displaCy page", dir_okay=False),
    # fmt: on
) -> None:
    """
    Find the entities of one text.

    EXAMPLE: python -m spacy openmed ner note.txt --domain disease --domain pharmacology
    """
    from spacy import displacy

    from ..apply.blank import blank_pipeline

    config: dict[str, Any] = {
        "domain": domain or None,
        "dataset": dataset or None,
        "size": size,
        "model": {"name": model},
        "threshold": _read_threshold(threshold),
        "annotate_spans_key": SPANS_KEY,
    }
    content = read_text(text)
    if html is not None:
        check_output(html)
    note = ""
    if model is None:
        chosen = catalogue.choose(domain=domain, dataset=dataset, size=size, language=language)
        note = chosen.note
    nlp = blank_pipeline(language)
    nlp.add_pipe("openmed_ner", config=config)
    doc = nlp(content)
    if html is not None:
        html.write_text(displacy.render(doc, style="ent", page=True, jupyter=False), "utf8")
    entities = get_entities(doc)
    if as_json:
        print(json.dumps(entities, indent=2, ensure_ascii=False))
        return
    print_entities(entities)
    if note:
        print(wrap_text(note))
    if html is not None:
        msg.good(f"Wrote the page to {html}")


# A text without spaces that ends so is the path of a file that is not there.
ENDINGS = {
    *(".txt", ".text", ".md", ".note", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html"),
    *(".rtf", ".doc", ".docx", ".pdf", ".log"),
}


def read_text(text: str) -> str:
    """Read what a command was given, without changing line ends: offsets count them. A byte-order
    mark is left out.

    text (str): A text, the path of a text file, or "-" for standard input.
    RETURNS (str): The text.
    RAISES (OSError): If it is plainly a path, but not that of a file.
    RAISES (ValueError): If the file is not encoded in UTF-8.
    """
    if text == "-":
        return decode_utf8(sys.stdin.buffer.read(), text)
    if os.path.isfile(text):  # False too for texts that can't be a path
        return read_file(Path(text))
    ends_so = os.path.splitext(text)[1].lower() in ENDINGS and not any(map(str.isspace, text))
    if os.path.isdir(text):
        raise OSError(Errors.OM709.format(path=text))
    if ends_so:
        raise OSError(Errors.OM708.format(path=text, nearest=near_path(Path(text))))
    return text


def get_entities(doc: "Doc") -> list[dict[str, Any]]:
    """Get what the component found as plain records.

    doc (Doc): The annotated document.
    RETURNS (list[dict[str, Any]]): One record a span, in the order of the text.
    """
    from ..spans import read_spans

    rows = sorted(read_spans(doc, SPANS_KEY), key=lambda row: (row.span.start, row.span.end))
    return [
        {
            "text": row.span.text,
            "label": row.span.label_,
            "score": row.score,
            "datasets": [*row.datasets],
            "start": row.span.start_char,
            "end": row.span.end_char,
        }
        for row in rows
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
            "" if e["score"] is None else f"{e['score']:.2f}",
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


def _read_threshold(threshold: str) -> float | str:
    if threshold == "recommended":
        return threshold
    try:
        return float(threshold)
    except ValueError:
        raise ValueError(Errors.OM001.format(threshold=repr(threshold))) from None
