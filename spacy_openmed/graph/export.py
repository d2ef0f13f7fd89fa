"""Write a knowledge graph for other programs, and as a picture."""

import csv
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import Errors, missing_extra
from ..linking import curies
from ..relations.concepts import TEXT_PREFIX
from ..suggestions import nearest
from .counts import TOGETHER
from .picture import draw

if TYPE_CHECKING:
    from networkx import MultiDiGraph

# Classes and predicates of the Biolink model (https://w3id.org/biolink).
BIOLINK = "https://w3id.org/biolink/vocab/"
CATEGORIES = {
    "CHEMICAL": "ChemicalEntity",
    "SIMPLE_CHEMICAL": "ChemicalEntity",
    "AMINO_ACID": "ChemicalEntity",
    "DISEASE": "Disease",
    "CANCER": "Disease",
    "PATHOLOGICAL_FORMATION": "DiseaseOrPhenotypicFeature",
    "DOSE": "ClinicalAttribute",
    "FORM": "ClinicalAttribute",
    "ROUTE": "ClinicalAttribute",
    "FREQUENCY": "ClinicalAttribute",
    "DURATION": "ClinicalAttribute",
    "TEST": "Procedure",
    "TEST_RESULT": "ClinicalMeasurement",
    "PROCEDURE": "Procedure",
    "DEVICE": "Device",
    "GENE_OR_GENE_PRODUCT": "Gene",
    "VARIANT": "SequenceVariant",
    "DNA": "NucleicAcidEntity",
    "RNA": "NucleicAcidEntity",
    "PROTEIN": "Protein",
    "PROTEIN_COMPLEX": "MacromolecularComplex",
    "PROTEIN_ENUM": "Protein",
    "PROTEIN_FAMILY_OR_GROUP": "ProteinFamily",
    "PROTEIN_VARIANT": "Protein",
    "CELL": "Cell",
    "CELL_LINE": "CellLine",
    "CELL_TYPE": "Cell",
    "CELLULAR_COMPONENT": "CellularComponent",
    "SPECIES": "OrganismTaxon",
    "ORGANISM": "OrganismTaxon",
    "ORGANISM_SUBDIVISION": "AnatomicalEntity",
    "ORGANISM_SUBSTANCE": "AnatomicalEntity",
    "ANATOMY": "AnatomicalEntity",
    "ANATOMICAL_SYSTEM": "AnatomicalEntity",
    "DEVELOPING_ANATOMICAL_STRUCTURE": "AnatomicalEntity",
    "IMMATERIAL_ANATOMICAL_ENTITY": "AnatomicalEntity",
    "MULTI_TISSUE_STRUCTURE": "GrossAnatomicalStructure",
    "ORGAN": "GrossAnatomicalStructure",
    "TISSUE": "GrossAnatomicalStructure",
}
ANY_CATEGORY = "NamedThing"
PREDICATES = {TOGETHER: "occurs_together_in_literature_with", "CAUSES": "causes"}
ANY_PREDICATE = "related_to"
# The IRI of each prefix in RDF. Other prefixes become urn:PREFIX:…
PREFIXES = {**curies.PREFIXES, TEXT_PREFIX: "urn:openmed:text:"}
SOURCE = "infores:spacy-openmed"
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}  # KGX's

Row = Sequence[Any]


def write_graph(graph: "MultiDiGraph", folder: str | Path, formats: Iterable[str]) -> list[Path]:
    """Write a graph.

    graph (MultiDiGraph): The graph that `GraphBuilder.build` made.
    folder (str | Path): The folder to write to. It is created if needed.
    formats (Iterable[str]): One or more of `FORMATS`: "graphml", "json" (networkx's node-link
        format), "kgx" (TSV for KGX, in the Biolink model's terms), "turtle", "neo4j" (CSV for
        `neo4j-admin database import`) and "html" (a picture of the things mentioned most, which
        needs no network).
    RETURNS (list[Path]): The files.
    RAISES (ValueError): If there is no such format.
    """
    wanted = list(formats)
    check_formats(wanted)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name in wanted for path in FORMATS[name](graph, folder)]


def check_formats(formats: Iterable[str]) -> None:
    """Raise an error for a format that can't be written.

    formats (Iterable[str]): Names of formats.
    RAISES (ValueError): If there is no such format.
    """
    for name in formats:
        if name not in FORMATS:
            near = nearest(name, FORMATS)
            raise ValueError(
                Errors.OM676.format(format=name, nearest=near, formats=", ".join(FORMATS))
            )


def category(label: str) -> str:
    """RETURNS (str): The Biolink class of an entity label, as a CURIE."""
    return f"biolink:{CATEGORIES.get(label, ANY_CATEGORY)}"


def predicate(relation: str) -> str:
    """RETURNS (str): The Biolink predicate of a relation, as a CURIE."""
    return f"biolink:{PREDICATES.get(relation, ANY_PREDICATE)}"


def expand(curie: str) -> str:
    """RETURNS (str): The IRI of an id. Ids without a known prefix get a `urn:`."""
    prefix, colon, local = curie.partition(":")
    if not colon:
        return f"urn:openmed:id:{quote(curie)}"
    return PREFIXES.get(prefix, f"urn:{quote(prefix)}:") + quote(local, safe="/%_.-")


def _to_json(value: Any) -> str:
    """A value as deterministic JSON."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _edges(graph: "MultiDiGraph") -> Iterator[tuple[str, str, str, str, dict[str, Any]]]:
    """Id, head, tail, relation and data of each edge. Ids are deterministic."""
    for head, tail, relation, data in graph.edges(keys=True, data=True):
        id = uuid.uuid5(uuid.NAMESPACE_URL, _to_json([head, relation, tail]))
        yield f"urn:uuid:{id}", head, tail, relation, data


def _publications(data: Mapping[str, Any]) -> list[str]:
    """The ids of documents that are CURIEs themselves, such as PMID:123."""
    ids = dict.fromkeys(place["document"] for place in data["evidence"])
    return [id for id in ids if re.fullmatch(r"[A-Za-z][\w.]*:\S+", id)]


def _table(path: Path, header: Row, rows: Iterable[Row], **dialect: Any) -> Path:
    with path.open("w", encoding="utf8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", **dialect)
        writer.writerow(header)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return path


def _write_graphml(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    import networkx as nx

    flat = nx.MultiDiGraph(**graph.graph)
    for id, node in graph.nodes(data=True):
        flat.add_node(id, **node | {"synonyms": "|".join(node["synonyms"])})
    for head, tail, relation, data in graph.edges(keys=True, data=True):
        scalars = {k: v for k, v in data.items() if v is not None}
        flat.add_edge(head, tail, relation, **scalars | {"evidence": _to_json(data["evidence"])})
    path = folder / "graph.graphml"
    nx.write_graphml(flat, path, named_key_ids=True)
    return [path]


def _write_json(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    import networkx as nx

    path = folder / "graph.json"
    data = nx.node_link_data(graph, edges="edges")
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf8")
    return [path]


def _write_kgx(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    nodes = (
        (
            *(id, category(n["label"]), n["name"], "|".join(n["synonyms"]), "", SOURCE),
            *(n["mentions"], n["documents"]),
        )
        for id, n in graph.nodes(data=True)
    )
    edges = (
        (
            *(id, head, predicate(relation), tail, "biolink:Association", SOURCE),
            "text_co_occurrence" if relation == TOGETHER else "not_provided",
            "text_mining_agent",
            "|".join(_publications(data)),
            *(data[name] for name in ("documents", "sentences", "score", "npmi")),
            _to_json(data["evidence"]),
        )
        for id, head, tail, relation, data in _edges(graph)
    )
    node_header = (
        *("id", "category", "name", "synonym", "xref", "provided_by"),
        *("mentions", "documents"),
    )
    edge_header = (
        *("id", "subject", "predicate", "object", "category", "primary_knowledge_source"),
        *("knowledge_level", "agent_type", "publications"),
        *("documents", "sentences", "score", "npmi", "evidence"),
    )
    return [
        _table(folder / "nodes.tsv", node_header, nodes, **TSV),
        _table(folder / "edges.tsv", edge_header, edges, **TSV),
    ]


def _write_neo4j(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    nodes = (
        (id, n["name"], n["mentions"], n["documents"], n["label"])
        for id, n in graph.nodes(data=True)
    )
    edges = (
        (
            *(head, tail, relation),
            *(data[name] for name in ("documents", "sentences", "score", "npmi")),
            _to_json(data["evidence"]),
        )
        for _, head, tail, relation, data in _edges(graph)
    )
    node_header = (":ID", "name", "mentions:int", "documents:int", ":LABEL")
    edge_header = (
        *(":START_ID", ":END_ID", ":TYPE"),
        *("documents:int", "sentences:int", "score:double", "npmi:double", "evidence"),
    )
    return [
        _table(folder / "neo4j-nodes.csv", node_header, nodes),
        _table(folder / "neo4j-relationships.csv", edge_header, edges),
    ]


def _write_turtle(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    try:
        from rdflib import RDF, RDFS, Graph, Literal, Namespace, URIRef
    except ImportError as error:
        raise missing_extra("graph", error) from error
    biolink = Namespace(BIOLINK)
    triples = Graph()
    triples.bind("biolink", biolink)
    for prefix, iri in PREFIXES.items():
        triples.bind(prefix, iri)
    for id, node in graph.nodes(data=True):
        subject = URIRef(expand(id))
        triples.add((subject, RDF.type, biolink[category(node["label"]).partition(":")[2]]))
        triples.add((subject, RDFS.label, Literal(node["name"])))
    for id, head, tail, relation, data in _edges(graph):
        subject, object = URIRef(expand(head)), URIRef(expand(tail))
        verb, edge = biolink[predicate(relation).partition(":")[2]], URIRef(id)
        triples.add((subject, verb, object))
        triples.add((edge, RDF.type, biolink.Association))
        triples.add((edge, RDF.subject, subject))
        triples.add((edge, RDF.predicate, verb))
        triples.add((edge, RDF.object, object))
        triples.add((edge, biolink.evidence_count, Literal(data["documents"])))
        for publication in _publications(data):
            triples.add((edge, biolink.publications, URIRef(expand(publication))))
    path = folder / "graph.ttl"
    triples.serialize(path, format="turtle", encoding="utf8")
    return [path]


def _write_html(graph: "MultiDiGraph", folder: Path) -> list[Path]:
    path = folder / "graph.html"
    path.write_text(draw(graph), encoding="utf8")
    return [path]


FORMATS: dict[str, Callable[["MultiDiGraph", Path], list[Path]]] = {
    "graphml": _write_graphml,
    "json": _write_json,
    "kgx": _write_kgx,
    "turtle": _write_turtle,
    "neo4j": _write_neo4j,
    "html": _write_html,
}
