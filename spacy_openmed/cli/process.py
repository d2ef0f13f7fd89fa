import json
import os
from typing import TYPE_CHECKING

import typer
from spacy.cli._util import Opt
from wasabi import msg

from ..errors import Errors
from ..formatting import count
from ..suggestions import nearest
from ._options import (
    DELIMITER,
    ENCODING,
    FORMAT,
    INTERRUPTED,
    ROWS_WITH_ERRORS,
    SIZES,
    choose_model,
    split_names,
)

if TYPE_CHECKING:
    from ..batch.output import Summary
    from ..batch.sources import Source

PATHS = (
    "MODEL: a pipeline's path or package, left out where --domain, --dataset or --size is given. "
    "IN: a file or a folder of Parquet, CSV, TSV, Arrow, JSONL, .spacy or .txt files, or '-' for "
    "standard input (JSONL, or the --format given). OUT: a folder. IN and OUT may be URIs, such as s3://bucket/notes."
)


def process_cli(
    # fmt: off
    paths: list[str] = typer.Argument(..., metavar="[MODEL] IN OUT", help=PATHS),
    domain: list[str] | None = Opt(None, "--domain", "-d", help="Name of a domain, repeatable"),
    dataset: list[str] | None = Opt(None, "--dataset", "-D", help="Name of a dataset, repeatable"),
    size: str | None = Opt(None, "--size", "-s", help=f"Size of the checkpoint: {SIZES}"),
    precision: str = Opt("auto", "--precision", help="fp32, bf16, fp16 or int8, without MODEL"),
    format: str | None = FORMAT,
    delimiter: str | None = DELIMITER,
    encoding: str | None = ENCODING,
    to: str = Opt("parquet", "--to", "-t", help="Format of OUT: parquet, jsonl or spacy"),
    text_column: str = Opt("text", "--text-column", "-tk", help="Column of the texts"),
    id_column: str | None = Opt(
        None, "--id-column", help="Column that says which row is which; else 'id', or numbers"
    ),
    columns: str = Opt("", "--columns", help="Other columns to keep: NAME,NAME"),
    attributes: str = Opt(
        "", "--attributes", help="Extension attributes of entities to add: NAME,NAME"
    ),
    limit: int | None = Opt(None, "--limit", min=1, help="Annotate no more rows than this"),
    batch_size: int = Opt(1000, "--batch-size", "-b", min=1, help="Rows annotated together"),
    shard_size: int = Opt(10_000, "--shard-size", min=1, help="Rows of a shard"),
    n_process: int = Opt(1, "--n-process", "-n", min=1, help="Processes"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    strict: bool = Opt(False, "--strict", help="Stop at the first row that can't be annotated"),
    force: bool = Opt(False, "--force", "-F", help="Begin anew, whatever is in OUT"),
    as_json: bool = Opt(False, "--json", "-j", help="Print the summary as JSON"),
    # fmt: on
) -> None:
    """
    Find the entities of any number of texts. A run that was interrupted goes on where it was when
    the same command is given again.

    EXAMPLE: python -m spacy openmed process notes.parquet found --domain disease

    Exit codes: 0 all done; 1 failed; 3 done, but some rows have an error in place of entities; 130
    interrupted.
    """
    from tqdm import tqdm

    try:
        from ..batch.annotator import Annotator
        from ..batch.job import Job, run
        from ..batch.output import FORMATS
        from ..batch.sources import count_rows, find_source

        if to not in FORMATS:
            near = nearest(to, FORMATS)
            raise ValueError(
                Errors.OM360.format(
                    what="output", format=to, nearest=near, formats=", ".join(FORMATS)
                )
            )
        if len(paths) not in (2, 3):
            raise ValueError(Errors.OM701)
        if len(paths) == 2 and not (domain or dataset or size):
            raise ValueError(Errors.OM702)
        *model, given, output = paths
        cores = os.cpu_count() or 1
        job = Job(
            Annotator(
                choose_model(model[0] if model else None, domain, dataset, size, precision),
                text_column,
                "id" if id_column is None else id_column,
                split_names(columns),
                split_names(attributes),
                device=f"cuda:{gpu_id}" if gpu_id >= 0 else None,
                threads=max(1, cores // n_process) if n_process > 1 else 0,
            ),
            find_source(given, format, encoding=encoding, delimiter=delimiter),
            id_column,
            output,
            format=to,
            shard_size=shard_size,
            batch_size=batch_size,
            limit=limit,
            n_process=n_process,
            strict=strict,
        )
        total = count_rows(job.source)
        if limit is not None:
            total = min(total, limit) if total is not None else None
        with tqdm(total=total, unit="docs", disable=None) as bar:
            n_pieces = 0

            def tick(rows: int, pieces: int) -> None:
                nonlocal n_pieces
                n_pieces += pieces
                bar.update(rows)
                bar.set_postfix_str(
                    f"{n_pieces / max(bar.format_dict['elapsed'], 1e-9):,.0f} pieces/s"
                )

            summary = run(job, force=force, tick=tick)
    except KeyboardInterrupt:
        msg.fail(Errors.OM700)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(json.dumps({**summary.to_dict(), "files_left_out": job.source.n_left_out}))
    else:
        print_summary(summary, job.source, output)
    if summary.errors:
        raise typer.Exit(ROWS_WITH_ERRORS)


def print_summary(summary: "Summary", source: "Source", output: str) -> None:
    """Print what a run came to.

    summary (Summary): What is in the output.
    source (Source): The files that were read.
    output (str): The folder.
    """
    if source.n_left_out:
        msg.warn(f"{count(source.n_left_out, 'file')} left out: not {source.format}")
    by_count = sorted(summary.entities.items(), key=lambda item: (-item[1], item[0]))
    msg.table([(label, f"{n:,}") for label, n in by_count], aligns=("l", "r"))
    for error, n in summary.errors.items():
        msg.warn(
            f"{count(n, 'row')}: {error} {'The first is' if n > 1 else 'It is'} in "
            f"{summary.places[error]}."
        )
    n_entities = summary.entities.total()
    noun = "entity" if n_entities == 1 else "entities"
    found = f"{count(summary.rows, 'row')}, {n_entities:,} {noun}"
    if summary.rows and summary.n_kept == summary.rows:
        msg.good(f"Nothing was left to do. {output} holds {found}.")
    elif summary.n_kept:
        msg.good(
            f"{output} holds {found}. An earlier run wrote {count(summary.n_kept, 'row')} of it."
        )
    else:
        msg.good(f"Wrote {found} to {output}.")
