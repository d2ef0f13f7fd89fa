import re
from collections import Counter
from pathlib import Path

from spacy.cli._util import Arg, Opt
from spacy.tokens import DocBin
from wasabi import msg

from ..apply.blank import blank_pipeline
from ..corpora.detect import AUTO, READERS, find_inputs, read_documents
from ..corpora.to_doc import GOLD_KEY, to_doc
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
    canonical: bool = Opt(False, "--canonical", "-c", help="Name types as the components do"),
    n_sents: int = Opt(
        1, "--n-sents", "-n", min=0, help="Sentences a document, of IOB files without"
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
        raise ValueError(Errors.OM068.format(path=output_path))
    check_input(input_path, what="file or folder")
    check_output(output_path, parents=True)
    labels = dict(_pair(text) for text in rename)
    inputs, passed_over = find_inputs(input_path, format, encoding=encoding)
    nlp = blank_pipeline(lang)
    docs = DocBin(store_user_data=True)
    counts: Counter[str] = Counter()
    entities: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    places: dict[str, str] = {}  # of the first document with each change
    seen: set[str] = set()
    for path, found in inputs:
        sources = read_documents(path, found, n_sents=n_sents, encoding=encoding)
        for number, source in enumerate(sources, 1):
            try:
                doc, changed = to_doc(source, nlp, labels=labels, types=types, canonical=canonical)
                docs.add(doc)
            except ValueError as err:  # not its message: it may hold the text
                raise ValueError(
                    Errors.OM069.format(path=path, number=number, error=type(err).__name__)
                ) from None
            seen.update(mention.label for mention in source.mentions)
            counts.update({"documents": 1, "tokens": len(doc)})
            counts["relations"] += len(doc.user_data["relations"])
            counts["mentions"] += len(doc.spans[GOLD_KEY])
            entities.update(ent.label_ for ent in doc.ents)
            changes.update({change.value: n for change, n in changed.items()})
            for change in changed:
                places.setdefault(change.value, f"{path}, document {number}")
    output_path.parent.mkdir(parents=True, exist_ok=True)
    docs.to_disk(output_path)
    msg.table([(name, f"{n:,}") for name, n in counts.items()], aligns=("l", "r"))
    msg.table([(name, f"{n:,}") for name, n in entities.most_common()], aligns=("l", "r"))
    if not counts["mentions"]:
        msg.warn("No mention was taken: there is nothing to learn from")
    if passed_over:
        names = ", ".join(str(file) for file in passed_over[:5])
        more = f" and {len(passed_over) - 5:,} more" if len(passed_over) > 5 else ""
        kind = "no known format" if format == AUTO else f"another format than {format}"
        msg.warn(f"Files passed over, of {kind}: {names}{more}")
    if absent := sorted({*labels, *types} - seen):
        near = "".join(nearest(name, seen) for name in absent)
        msg.warn(f"No mention is of the type {', '.join(absent)}.{near}")
    for name, n in changes.items():
        noun = re.sub(r"^(token|document|mention|relation)s\b", r"\1", name) if n == 1 else name
        msg.warn(f"{n:,} {noun} ({'first ' * (n > 1)}in {places[name]})")
    msg.good(f"Wrote {count(counts['documents'], 'document')} to {output_path}")


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ValueError(Errors.OM067.format(text=text))
    return old, new
