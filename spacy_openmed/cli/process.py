import json
import os

import typer
from spacy.cli._util import Opt
from wasabi import msg

from ..errors import Errors
from ._options import (
    DELIMITER,
    ENCODING,
    FORMAT,
    INTERRUPTED,
    ROWS_WITH_ERRORS,
    SIZES,
    WITHOUT_MODEL,
    choose_model,
    split_names,
)

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
    precision: str = Opt("auto", "--precision", help=WITHOUT_MODEL),
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
    force: bool = Opt(False, "--force", "-F", help="Start again, and replace what is in OUT"),
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
    try:
        from ..batch.annotator import Annotator
        from ..batch.display import print_summary, run_with_progress
        from ..batch.job import Job
        from ..batch.output import FORMATS
        from ..batch.sources import check_format, find_source

        check_format("output", to, FORMATS)
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
        summary = run_with_progress(job, force=force)
    except KeyboardInterrupt:
        msg.fail(Errors.OM700)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(json.dumps({**summary.to_dict(), "files_left_out": job.source.n_left_out}))
    else:
        print_summary(job, summary)
    if summary.errors:
        raise typer.Exit(ROWS_WITH_ERRORS)
