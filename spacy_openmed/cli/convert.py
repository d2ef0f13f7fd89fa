import re
from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg

from ..apply.blank import blank_pipeline
from ..corpora.convert import convert
from ..corpora.detect import AUTO, READERS, find_inputs
from ..encoding import UTF8
from ..errors import Errors
from ..formatting import count
from ..suggestions import nearest
from ._options import check_input, check_output


def convert_cli(
    # fmt: off
    input_path: Path = Arg(..., help="Corpus: a file, or a folder of files"),
    output_path: Path = Arg(..., help="The .spacy file to write", dir_okay=False),
    format: str = Opt(AUTO, "--format", "-f", help=f"One of: {', '.join((AUTO, *READERS))}"),
    lang: str = Opt("en", "--lang", "-l", help="Language whose tokenizer to use"),
    rename: list[str] = Opt([], "--rename", "-r", help="OLD=NEW: other name for a type"),
    types: list[str] = Opt([], "--type", "-t", help="Take this type only, repeatable"),
    canonical: bool = Opt(
        False, "--canonical", "-c", help="Write canonical labels, as the components do"
    ),
    n_sents: int = Opt(
        1,
        "--n-sents",
        "-n",
        min=0,
        help="Sentences in a document, for IOB files that do not mark documents; 0: all",
    ),
    encoding: str = Opt(UTF8, "--encoding", help="Encoding of the files: cp1252, utf-16, ..."),
    # fmt: on
) -> None:
    """
    Convert an annotated corpus (IOB, PubTator, BioC, brat, JSON lines, exports of doccano and
    Prodigy) to a .spacy file, and print what it holds and what was changed.

    EXAMPLE: python -m spacy openmed convert corpus.pubtator train.spacy --type Chemical
    """
    if output_path.suffix != ".spacy":  # or a slip of the hand overwrites the corpus
        raise ValueError(Errors.OM705.format(path=output_path))
    check_input(input_path, what="file or folder")
    check_output(output_path, parents=True)
    labels = dict(_pair(text) for text in rename)
    inputs, passed_over = find_inputs(input_path, format, encoding=encoding)
    done = convert(
        inputs,
        blank_pipeline(lang),
        labels,
        types,
        canonical=canonical,
        n_sents=n_sents,
        encoding=encoding,
    )
    output_path.parent.mkdir(parents=True, exist_ok=True)
    done.docs.to_disk(output_path)
    msg.table([(name, f"{n:,}") for name, n in done.counts.items()], aligns=("l", "r"))
    msg.table([(name, f"{n:,}") for name, n in done.entities.most_common()], aligns=("l", "r"))
    if not done.counts["mentions"]:
        msg.warn("No mention was taken: there is nothing to learn from")
    if passed_over:
        names = ", ".join(str(file) for file in passed_over[:5])
        more = f" and {len(passed_over) - 5:,} more" if len(passed_over) > 5 else ""
        kind = "no known format" if format == AUTO else f"another format than {format}"
        msg.warn(f"Files passed over, of {kind}: {names}{more}")
    if absent := sorted({*labels, *types} - done.seen):
        near = "".join(nearest(name, done.seen) for name in absent)
        msg.warn(f"No mention is of the type {', '.join(absent)}.{near}")
    for name, n in done.changes.items():
        noun = re.sub(r"^(token|document|mention|relation)s\b", r"\1", name) if n == 1 else name
        msg.warn(f"{n:,} {noun} ({'first ' * (n > 1)}in {done.places[name]})")
    msg.good(f"Wrote {count(done.counts['documents'], 'document')} to {output_path}")


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ValueError(Errors.OM704.format(text=text))
    return old, new
