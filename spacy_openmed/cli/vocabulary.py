import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from spacy.cli._util import Arg, Opt
from wasabi import msg, table

from ..formatting import count
from ._options import check_output, guard

if TYPE_CHECKING:
    from ..linking.records import Record

HELP = "Build and search the vocabularies that openmed_linker links entities to."


def build_cli(
    # fmt: off
    given: Path = Arg(
        ...,
        help="A file in OBO, OWL, SKOS, MeSH's XML or ASCII, CSV, TSV or JSON lines, or the folder "
        "of a release of UMLS or RxNorm. Files may be compressed (.gz)",
        exists=True,
    ),
    output: Path = Arg(..., help="Folder for the vocabulary", file_okay=False),
    prefix: str | None = Opt(None, "--prefix", help="Prefix of ids that have none: MY for MY:1"),
    # fmt: on
) -> None:
    """
    Build a vocabulary from its files.

    EXAMPLE: python -m spacy openmed vocabulary build hp.obo hpo
    """
    from tqdm import tqdm

    from ..linking.reading import NOTICES, read_records
    from ..linking.vocabulary import build_vocabulary

    check_output(output, what="folder", parents=True)
    prefixes: set[str] = set()
    with tqdm(read_records(given, prefix=prefix), unit=" concepts", file=sys.stderr) as records:
        vocabulary = build_vocabulary(_note(records, prefixes), output, source=given.name)
    counts = vocabulary.counts
    msg.good(
        f"{count(counts.records, 'concept')} with {count(counts.names, 'name')} in {output}. "
        f"{count(counts.ambiguous, 'name')} of several concepts."
    )
    for found in sorted(prefixes & NOTICES.keys()):
        msg.warn(NOTICES[found])


def _note(records: Iterable["Record"], prefixes: set[str]) -> Iterator["Record"]:
    """YIELDS (Record): The records; the prefixes of their ids are put into the set."""
    for record in records:
        prefixes.add(record.concept_id.partition(":")[0])
        yield record


def search_cli(
    # fmt: off
    text: str = Arg(..., help="The name to look for"),
    vocabulary: str = Opt(
        "icd10cm", "--vocabulary", "-V", help="A vocabulary's folder or file, icd10cm or hpo"
    ),
    n: int = Opt(10, "--number", "-n", min=1, help="Concepts to print at most"),
    # fmt: on
) -> None:
    """
    Search a vocabulary for a name.

    EXAMPLE: python -m spacy openmed vocabulary search "heart attack" --vocabulary hpo
    """
    from ..linking.ranking import Linker, Mention
    from ..linking.vocabulary import open_vocabulary

    opened = open_vocabulary(vocabulary)
    [found] = Linker(opened).link([Mention(text, "")], n)
    if not found:
        msg.warn("Nothing is like this name.")
        return
    rows = [(c.id, f"{c.score:.2f}", opened[c.id].canonical_name) for c in found]
    print(table(rows, header=("id", "score", "name"), divider=True, max_col=80).strip())


vocabulary_cli = typer.Typer(name="vocabulary", help=HELP, no_args_is_help=True)
vocabulary_cli.command("build")(guard(build_cli, extra="linking"))
vocabulary_cli.command("search")(guard(search_cli, extra="linking"))
