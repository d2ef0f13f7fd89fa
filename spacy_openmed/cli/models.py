import json
from dataclasses import asdict
from itertools import groupby
from textwrap import fill
from typing import Any

from spacy.cli._util import Opt
from wasabi import table

from .. import catalogue
from ..catalogue.records import CheckpointInfo

WIDTH = 80
# Ids in full, with the columns still fitting.
TABLE: dict[str, Any] = {"max_col": 62, "spacing": 2}


def models_cli(
    # fmt: off
    kind: str | None = Opt(None, "--kind", "-k", help="'ner' or 'pii'"),
    domain: str | None = Opt(None, "--domain", "-d", help="Name of a domain"),
    dataset: str | None = Opt(None, "--dataset", "-D", help="Name of a dataset"),
    size: str | None = Opt(None, "--size", "-s", help=f"One of: {', '.join(catalogue.SIZES)}"),
    architecture: str | None = Opt(None, "--architecture", "-a", help="Model type, e.g. 'bert'"),
    language: str | None = Opt(None, "--language", "-l", help="Language code, e.g. 'en'"),
    max_params: int | None = Opt(None, "--max-params", "-m", help="Most parameters, in millions"),
    as_json: bool = Opt(False, "--json", "-j", help="Print JSON with everything that is known"),
    # fmt: on
) -> None:
    """
    List the checkpoints on the hub, those that fulfil all conditions.

    EXAMPLE: python -m spacy openmed models --domain disease --max-params 150
    """
    found = catalogue.find(
        kind=kind,
        domain=domain,
        dataset=dataset,
        size=size,
        architecture=architecture,
        language=language,
        max_params=None if max_params is None else max_params * 1_000_000,
    )
    heads = catalogue.bundled()
    if as_json:
        print(json.dumps([as_record(checkpoint) for checkpoint in found], indent=2))
        return
    for title, rows in groupby(sorted(found, key=_title), key=_title):
        cells = [(c.id, c.size or "-", format_f1(c.f1)) for c in rows]
        print(f"\n{wrap_text(title)}")
        print(table(cells, header=("checkpoint", "size", "F1"), divider=True, **TABLE).strip())
    bundled = f"Bundled with the package: mini ({', '.join(heads)})."
    print(f"\n{wrap_text(f'{len(found)} checkpoints. {bundled}')}")


def as_record(checkpoint: CheckpointInfo) -> dict[str, Any]:
    """Get everything that is known of a checkpoint.

    checkpoint (CheckpointInfo): The checkpoint.
    RETURNS (dict[str, Any]): Its fields and properties, for JSON.
    """
    return {
        **asdict(checkpoint),
        "canonical_labels": checkpoint.canonical_labels,
        "size": checkpoint.size,
        "f1": checkpoint.f1,
    }


def format_f1(f1: float | None) -> str:
    """Format a score or a threshold for a table.

    f1 (float | None): The number, from 0 to 1.
    RETURNS (str): The number to four digits; "-" if there is none.
    """
    return "-" if f1 is None else f"{f1:.4g}"


def wrap_text(text: str, indent: str = "") -> str:
    """Break a text into lines that fit a terminal. Names and ids stay whole.

    text (str): The text.
    indent (str): What the lines after the first begin with.
    RETURNS (str): The lines.
    """
    return fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _title(checkpoint: CheckpointInfo) -> str:
    title = f"{checkpoint.domain} / {checkpoint.dataset or ', '.join(checkpoint.languages)}"
    labels = ", ".join(checkpoint.canonical_labels)
    return f"{title}: {labels}" if labels else title
