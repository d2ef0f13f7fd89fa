import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from spacy.cli._util import Arg, Opt

from .. import catalogue
from ..deid.pipes import add_phi_pipes, phi_settings
from ..errors import Errors, hiding_text
from ._options import (
    DELIMITER,
    ENCODING,
    FORMAT,
    ROWS_WITH_ERRORS,
    SIZES,
    check_choice,
    check_output,
    check_pipeline,
    read_file,
    split_names,
)
from .ner import read_text

if TYPE_CHECKING:
    from spacy.language import Language

KEY_VARIABLE = "OPENMED_DEID_KEY"


def deid_cli(
    # fmt: off
    text: str = Arg(
        ...,
        help="The text, the path of a text file, or '-' for standard input; or a folder or a "
        "Parquet, Arrow, JSONL or .spacy file of many texts (with --text-column, CSV too; with "
        "--format, any file)",
    ),
    action: str = Opt(
        "redact",
        "--action",
        "-a",
        help="redact, mask, hash, surrogate, shift, generalise, encrypt or keep",
    ),
    actions: list[str] | None = Opt(
        None, "--label", "-L", help="Another action for a label, e.g. DATE=shift, repeatable"
    ),
    key_file: Path | None = Opt(
        None,
        "--key-file",
        "-k",
        help=f"File with the secret key (else the variable {KEY_VARIABLE})",
        dir_okay=False,
    ),
    patient: str = Opt(
        "", "--patient", "-p", help="Id of the patient: surrogates and days are the same within one"
    ),
    output: Path | None = Opt(
        None,
        "--output",
        "-o",
        help="Write the text there, not to standard output; for many texts, a folder",
    ),
    audit: Path | None = Opt(
        None,
        "--audit",
        "-A",
        help="Write what was done, as JSON without any text; with --decrypt: read it",
        dir_okay=False,
    ),
    decrypt: bool = Opt(
        False, "--decrypt", "-d", help="Give back what was encrypted, by the audit"
    ),
    threshold: float = Opt(
        0.3, "--threshold", "-t", help="Lowest score of an identifier; lower finds more"
    ),
    pipeline: str | None = Opt(
        None, "--pipeline", "-P", help="A pipeline that has openmed_phi, instead of one made here"
    ),
    size: str = Opt(
        catalogue.MINI, "--size", "-s", help=f"Size of the checkpoint for names: {SIZES}"
    ),
    model: str | None = Opt(None, "--model", "-m", help="Hub id or folder, instead of a size"),
    format: str | None = FORMAT,
    delimiter: str | None = DELIMITER,
    encoding: str | None = ENCODING,
    text_column: str | None = Opt(
        None, "--text-column", "-tk", help="Column of the texts of a table; else 'text'"
    ),
    id_column: str | None = Opt(None, "--id-column", help="Column that says which row is which"),
    patient_column: str | None = Opt(
        None, "--patient-column", help="Column with the id of the patient"
    ),
    columns: str = Opt("", "--columns", help="Other columns to keep, as they are: NAME,NAME"),
    to: str = Opt("parquet", "--to", help="Format of many texts: parquet or jsonl"),
    shard_size: int = Opt(1000, "--shard-size", min=1, help="Rows of a shard, for many texts"),
    n_process: int = Opt(1, "--n-process", "-n", min=1, help="Processes, for many texts"),
    force: bool = Opt(
        False, "--force", "-F", help="Start again, and replace what is in the folder"
    ),
    # fmt: on
) -> None:
    """
    Remove the identifiers of HIPAA's Safe Harbor from a text, or from a table of texts. A run
    over a table that was interrupted goes on where it was when the same command is given again.

    What is found is not everything: look at the result before it goes anywhere. For example, with
    surrogates for names and numbers, and dates shifted:

    python -m spacy openmed deid note.txt --action surrogate --key-file secret.txt --patient 17
    """
    if not decrypt and (format is not None or os.path.isdir(text) or _is_table(text, text_column)):
        if output is None:
            raise ValueError(Errors.OM717.format(path=text))
        for option, value in (("audit", audit), ("patient", patient)):
            if value:
                raise ValueError(Errors.OM718.format(option=option))
        check_choice("size", size, catalogue.SIZES)
        config = {**phi_settings(size, model), "openmed_phi": {"threshold": threshold}}
        _run(
            {"uri": text, "format": format, "encoding": encoding, "delimiter": delimiter},
            str(output),
            config if pipeline is None else check_pipeline(pipeline),
            {
                "text_column": text_column or "text",
                "id_column": "id" if id_column is None else id_column,
                "columns": split_names(columns),
                "action": action,
                "actions": tuple(sorted(_read_actions(actions or []).items())),
                "patient_column": patient_column,
                "key": _read_key(key_file),
                "threads": max(1, (os.cpu_count() or 1) // n_process) if n_process > 1 else 0,
            },
            {
                "id_column": id_column,
                "format": to,
                "shard_size": shard_size,
                "n_process": n_process,
            },
            force=force,
        )
        return
    many = {
        "format": format,
        "delimiter": delimiter,
        "encoding": encoding,
        "id-column": id_column,
        "patient-column": patient_column,
        "columns": columns,
    }
    for option, value in many.items():
        if value:
            raise ValueError(Errors.OM719.format(option=option))
    content = read_text(text)
    if not content.strip():
        raise ValueError(Errors.OM716)
    key = _read_key(key_file)
    chosen = _read_actions(actions or [])
    for path in (output, None if decrypt else audit):
        if path is not None:
            check_output(path)
    if decrypt:
        result = _decrypt(content, audit, key)
    else:
        from ..deid.anonymize import deidentify
        from ..deid.pipes import annotate_text

        nlp = _make_pipeline(pipeline, threshold, size, model)
        with hiding_text():
            done = deidentify(
                annotate_text(nlp, content),
                action,  # type: ignore[arg-type]
                actions=chosen,
                key=key,
                patient=patient,
            )
        result = done.text
        if audit is not None:
            audit.write_text(json.dumps(done.to_dict(), indent=1), encoding="utf8")
    if output is not None:
        output.write_bytes(result.encode("utf8"))
        print(f"Wrote the text to {output}", file=sys.stderr)
    else:
        # A text that was encrypted can be restored only if it stays as it is.
        if content == text and "encrypt" not in {action, *chosen.values()}:
            result = result.removesuffix("\n") + "\n"
        sys.stdout.buffer.write(result.encode("utf8"))
        sys.stdout.flush()


def _is_table(path: str, text_column: str | None) -> bool:
    """Whether a file has many texts. CSV is one text, with fields, if no column is named."""
    ending = os.path.splitext(path)[1].lower()
    endings = {".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".spacy"}
    more = {".csv", ".tsv"} if text_column is not None else set()
    return ending in endings | more and os.path.isfile(path)


def _run(
    given: dict[str, Any],
    output: str,
    model: Any,
    settings: dict[str, Any],
    options: dict[str, Any],
    *,
    force: bool,
) -> None:
    from ..apply.pipelines import to_model
    from ..batch.deid import Deidentifier
    from ..batch.display import print_summary, run_with_progress
    from ..batch.job import Job
    from ..batch.output import FORMATS
    from ..batch.sources import check_format, find_source

    check_format("output", options["format"], [name for name in FORMATS if name != "spacy"])
    annotator = Deidentifier(to_model(model), **settings)
    job = Job(annotator, find_source(**given), output=output, **options)
    summary = run_with_progress(job, force=force)
    print_summary(job, summary)
    if summary.errors:
        raise typer.Exit(ROWS_WITH_ERRORS)


def _make_pipeline(
    pipeline: str | None, threshold: float, size: str, model: str | None
) -> "Language":
    import spacy

    from ..apply.blank import blank_pipeline, lift_limit

    if pipeline is not None:
        return lift_limit(spacy.load(check_pipeline(pipeline)))
    check_choice("size", size, catalogue.SIZES)
    return add_phi_pipes(blank_pipeline(), size=size, checkpoint=model, threshold=threshold)


def _read_key(path: Path | None) -> str | None:
    """A key is never an argument: those can be read by every user of a machine."""
    if path is None:
        return os.environ.get(KEY_VARIABLE) or None
    return read_file(path)


def _read_actions(actions: list[str]) -> dict[str, Any]:
    pairs = [text.partition("=") for text in actions]
    for text, (label, _, action) in zip(actions, pairs, strict=True):
        if not label or not action:
            raise ValueError(Errors.OM714.format(text=text))
    return {label: action for label, _, action in pairs}


def _decrypt(text: str, audit: Path | None, key: str | None) -> str:
    from ..deid.anonymize import decrypt
    from ..deid.audit import Deidentified

    if audit is None or key is None:
        raise ValueError(Errors.OM715)
    try:
        data = json.loads(read_file(audit))
    except json.JSONDecodeError as error:
        raise ValueError(Errors.OM512) from error
    return decrypt(Deidentified.from_dict(text, data), key)
