import json
from itertools import groupby

from spacy.cli._util import Opt
from wasabi import table

from .. import catalogue
from ..catalogue.records import CheckpointInfo
from ..formatting import TABLE, format_score, wrap_text


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
    List the checkpoints on the hub that fulfil all conditions.

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
        print(json.dumps([checkpoint.to_dict() for checkpoint in found], indent=2))
        return
    for title, rows in groupby(sorted(found, key=_title), key=_title):
        cells = [(c.id, c.size or "-", format_score(c.f1)) for c in rows]
        print(f"\n{wrap_text(title)}")
        print(table(cells, header=("checkpoint", "size", "F1"), divider=True, **TABLE).strip())
    bundled = f"Bundled with the package: mini ({', '.join(heads)})."
    print(f"\n{wrap_text(f'{len(found)} checkpoints. {bundled}')}")


def _title(checkpoint: CheckpointInfo) -> str:
    title = f"{checkpoint.domain} / {checkpoint.dataset or ', '.join(checkpoint.languages)}"
    labels = ", ".join(checkpoint.canonical_labels)
    return f"{title}: {labels}" if labels else title
