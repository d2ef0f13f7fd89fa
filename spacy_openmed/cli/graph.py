from pathlib import Path
from typing import TYPE_CHECKING

import typer
from spacy.cli._util import Opt
from wasabi import msg

from ..errors import Errors
from ..formatting import count
from ._options import check_output, split_names

if TYPE_CHECKING:
    from ..graph.builder import GraphBuilder

FORMATS = "graphml, json, kgx, turtle, neo4j, html"


def graph_cli(
    # fmt: off
    given: str = typer.Argument(..., metavar="IN", help="Output of `openmed process`, or .spacy"),
    output: Path = typer.Argument(..., metavar="OUT", help="Folder for the graph", file_okay=False),
    to: str = Opt("json,html", "--to", "-t", help=f"Formats, of {FORMATS}: NAME,NAME"),
    labels: str = Opt(
        "",
        "--labels",
        "-L",
        help="Labels of entities to take: NAME,NAME; else all but personal data, doses, results",
    ),
    span_keys: str = Opt(
        "", "--span-keys", help="Groups in doc.spans to read beside 'openmed': NAME,NAME"
    ),
    scope: str = Opt(
        "sentence", "--scope", help="What makes two things stand together: sentence or document"
    ),
    min_documents: int = Opt(
        1, "--min-documents", min=1, help="Leave out edges found in fewer documents"
    ),
    min_npmi: float = Opt(
        -1.0, "--min-npmi", min=-1, max=1, help="Leave out pairs nearer to chance, which is 0"
    ),
    min_score: float = Opt(0.0, "--min-score", min=0, max=1, help="Leave out weaker relations"),
    min_text_score: float = Opt(
        0.5,
        "--min-text-score",
        min=0,
        max=1,
        help="Leave out things without an id whose mentions score less",
    ),
    max_evidence: int = Opt(5, "--max-evidence", min=1, help="Places to keep for each edge"),
    builder_path: Path | None = Opt(
        None,
        "--builder",
        "-b",
        help="File to keep what was counted in. If it is there, these documents are added to it",
        dir_okay=False,
    ),
    text_column: str = Opt("text", "--text-column", "-tk", help="Column of the texts"),
    id_column: str | None = Opt(None, "--id-column", help="Column of the ids; else 'id'"),
    # fmt: on
) -> None:
    """
    Build a knowledge graph from annotated documents: what is mentioned together, how often and
    where, and the relations that `openmed_relation` found.

    EXAMPLE:

    python -m spacy openmed process pipeline notes.parquet docs --to spacy

    python -m spacy openmed graph docs graph --to kgx,html

    python -m spacy openmed graph more-docs graph --builder builder.json
    """
    from ..apply.pipelines import SPANS_KEY
    from ..batch.results import read_annotated
    from ..graph.builder import GraphBuilder
    from ..graph.export import check_formats, write_graph

    formats = split_names(to)
    check_formats(formats)
    check_output(output, what="folder", parents=True)
    wanted = split_names(labels)
    builder = GraphBuilder(
        span_keys=[SPANS_KEY, *split_names(span_keys)],
        labels=wanted or None,
        scope=scope,  # type: ignore[arg-type]
        max_evidence=max_evidence,
    )
    if builder_path is not None:
        check_output(builder_path)
        builder = _go_on(builder, builder_path)
    n_before, n_failed = builder.n_documents, 0
    for id, doc in read_annotated(given, text_column=text_column, id_column=id_column):
        if doc is None:
            n_failed += 1
        else:
            builder.add(doc, id)
    if n_failed and builder.n_documents == n_before:
        raise ValueError(Errors.OM720.format(rows=count(n_failed, "row")))
    graph = builder.build(
        min_documents=min_documents,
        min_npmi=min_npmi,
        min_score=min_score,
        min_text_score=min_text_score,
    )
    paths = write_graph(graph, output, formats)
    if builder_path is not None:
        builder.to_disk(builder_path)
    if n_failed:
        msg.warn(Errors.OM720.format(rows=count(n_failed, "row")))
    for note in builder.explain(graph):
        msg.warn(note)
    msg.good(
        f"{count(len(graph), 'thing')} and {count(graph.number_of_edges(), 'edge')} from "
        f"{count(builder.n_documents, 'document')}: {', '.join(str(path) for path in paths)}"
    )


def _go_on(builder: "GraphBuilder", path: Path) -> "GraphBuilder":
    """RETURNS (GraphBuilder): The saved builder, if there is one. It has to have the settings of
    the one that is given."""
    if not path.exists():
        return builder
    saved = builder.from_disk(path)
    if saved.settings != builder.settings:
        settings = ", ".join(f"{name} = {value}" for name, value in saved.settings.items())
        raise ValueError(Errors.OM683.format(path=path, settings=settings))
    return saved
