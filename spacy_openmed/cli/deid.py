import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.cli._util import Arg, Opt

from .. import catalogue
from ..errors import Errors, hiding_text
from ._options import SIZES, check_choice, check_output, check_pipeline, read_file
from .ner import read_text

if TYPE_CHECKING:
    from spacy.language import Language

KEY_VARIABLE = "OPENMED_DEID_KEY"


def deid_cli(
    # fmt: off
    text: str = Arg(..., help="The text, the path of a text file, or '-' for standard input"),
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
        None, "--output", "-o", help="Write the text there, not to standard output", dir_okay=False
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
    # fmt: on
) -> None:
    """
    Take the identifiers of HIPAA's Safe Harbor out of one text.

    What is found is not everything: look at the result before it goes anywhere. For example, with
    surrogates for names and numbers, and dates shifted:

    python -m spacy openmed deid note.txt --action surrogate --key-file secret.txt --patient 17
    """
    content = read_text(text)
    key = _read_key(key_file)
    chosen = _read_actions(actions or [])
    for path in (output, None if decrypt else audit):
        if path is not None:
            check_output(path)
    if decrypt:
        result = _decrypt(content, audit, key)
    else:
        from ..deidentify import deidentify

        nlp = _make_pipeline(pipeline, threshold, size, model)
        with hiding_text():
            done = deidentify(
                nlp(content),
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
        sys.stdout.buffer.write(result.encode("utf8"))
        sys.stdout.flush()


def _make_pipeline(
    pipeline: str | None, threshold: float, size: str, model: str | None
) -> "Language":
    import spacy

    from ..blank import blank_pipeline, lift_limit

    if pipeline is not None:
        return lift_limit(spacy.load(check_pipeline(pipeline)))
    check_choice("size", size, catalogue.SIZES)
    nlp = blank_pipeline()
    config: dict[str, Any] = {"domain": "privacy", "size": size, "model": {"name": model}}
    nlp.add_pipe("openmed_ner", config={**config, "annotate": "spans"})
    nlp.add_pipe("openmed_phi", config={"threshold": threshold})
    return nlp


def _read_key(path: Path | None) -> str | None:
    """A key is never an argument: those can be read by every user of a machine."""
    if path is None:
        return os.environ.get(KEY_VARIABLE) or None
    return read_file(path).strip()


def _read_actions(actions: list[str]) -> dict[str, Any]:
    pairs = [text.partition("=") for text in actions]
    for text, (label, _, action) in zip(actions, pairs, strict=True):
        if not label or not action:
            raise ValueError(Errors.OM313.format(text=text))
    return {label: action for label, _, action in pairs}


def _decrypt(text: str, audit: Path | None, key: str | None) -> str:
    from ..deidentify import Deidentified, decrypt

    if audit is None or key is None:
        raise ValueError(Errors.OM314)
    try:
        data = json.loads(read_file(audit))
    except json.JSONDecodeError as error:
        raise ValueError(Errors.OM312) from error
    return decrypt(Deidentified.from_dict(text, data), key)
