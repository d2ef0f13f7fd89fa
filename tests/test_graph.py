"""Knowledge graphs: what is counted, what each form holds when its own library reads it back, and
the command."""

import csv
import json
import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from typer.testing import CliRunner

nx = pytest.importorskip("networkx")
rdflib = pytest.importorskip("rdflib")
pa = pytest.importorskip("pyarrow")

from pyarrow import parquet

from spacy_openmed.cli import openmed_cli
from spacy_openmed.errors import Errors
from spacy_openmed.extensions import RELATIONS, register_extensions
from spacy_openmed.graph.builder import GraphBuilder
from spacy_openmed.graph.counts import TOGETHER
from spacy_openmed.graph.export import (
    BIOLINK,
    CATEGORIES,
    FORMATS,
    PREDICATES,
    category,
    expand,
    write_graph,
)
from spacy_openmed.graph.picture import draw
from spacy_openmed.labels import BIOMEDICAL
from spacy_openmed.relations.component import OpenMedRelation

TEXTS = {
    "PMID:1": "Lithium caused tremor. Aspirin was given.",
    "PMID:2": "Lithium and aspirin. No tremor. Tremor came.",
    "3": "Lithium.",
}
LABEL = {"lithium": "CHEMICAL", "aspirin": "CHEMICAL", "tremor": "DISEASE"}
LITHIUM, ASPIRIN, TREMOR = (f"OPENMED_TEXT:{label}/{name}" for name, label in LABEL.items())


def make_doc(text: str) -> Doc:
    doc = spacy.blank("en").make_doc(text)
    doc.ents = [Span(doc, t.i, t.i + 1, LABEL[t.lower_]) for t in doc if t.lower_ in LABEL]
    return doc


def make_builder(**settings) -> GraphBuilder:
    """A builder that has read the texts, in one of which a tremor is negated."""
    register_extensions()
    builder = GraphBuilder(**settings)
    for id, text in TEXTS.items():
        doc = make_doc(text)
        for ent in doc.ents:
            ent._.is_negated = doc[max(ent.start - 1, 0)].text == "No"
        if id == "PMID:1":
            OpenMedRelation(doc.vocab)(doc)
        builder.add(doc, id)
    return builder


@pytest.fixture(scope="module")
def graph():
    return make_builder().build()


def test_nodes(graph):
    assert graph.graph == {"documents": 3, "sentences": 6}
    assert graph.nodes[LITHIUM] == {
        "name": "Lithium",
        "synonyms": [],
        "label": "CHEMICAL",
        "vocabulary": "",
        "mentions": 3,
        "documents": 3,
        "sentences": 3,
    }
    assert graph.nodes[TREMOR]["mentions"] == 2  # the negated one does not count


def test_edges_of_a_sentence(graph):
    pairs = {
        (h, t): data for h, t, key, data in graph.edges(keys=True, data=True) if key == TOGETHER
    }
    assert pairs.keys() == {(LITHIUM, TREMOR), (ASPIRIN, LITHIUM)}
    edge = pairs[LITHIUM, TREMOR]
    assert (edge["documents"], edge["sentences"], edge["score"]) == (1, 1, None)
    assert edge["npmi"] == pytest.approx(math.log((1 / 6) / (3 / 6 * 2 / 6)) / -math.log(1 / 6))
    [place] = edge["evidence"]
    text = TEXTS[place["document"]]
    assert [text[slice(*place[k])] for k in ("head", "tail")] == ["Lithium", "tremor"]
    assert text[slice(*place["sentence"])] == "Lithium caused tremor."


def test_edges_of_a_document():
    graph = make_builder(scope="document").build()
    edge = graph.edges[ASPIRIN, TREMOR, TOGETHER]
    assert (edge["documents"], edge["sentences"]) == (2, 0)
    assert edge["npmi"] == pytest.approx(1.0)  # in the same two of three documents
    place = edge["evidence"][1]
    text = TEXTS[place["document"]]
    assert [text[slice(*place[k])] for k in ("head", "tail")] == ["aspirin", "Tremor"]
    assert text[slice(*place["sentence"])] == text


def test_relations_are_edges_with_a_direction(graph):
    edge = graph.edges[LITHIUM, TREMOR, "CAUSES"]
    assert edge["documents"] == 1
    assert edge["score"] == edge["evidence"][0]["score"] > 0.5
    assert edge["npmi"] is None


def test_a_relation_between_things_that_are_left_out():
    doc = make_doc("Lithium caused tremor.")
    OpenMedRelation(doc.vocab)(doc)
    builder = GraphBuilder(labels=["DISEASE"])
    builder.add(doc, "1")
    graph = builder.build()
    assert list(graph) == [TREMOR]
    assert not graph.edges


@pytest.mark.parametrize("label", ["PERSON", "DOSE", "TEST_RESULT"])
def test_what_is_left_out_unless_it_is_asked_for(label: str):
    doc = make_doc("Lithium for Rosa.")
    doc.spans["openmed"] = [Span(doc, 2, 3, label)]
    builders = [GraphBuilder(), GraphBuilder(labels=[label])]
    for builder in builders:
        builder.add(doc, "1")
    assert [list(builder.build()) for builder in builders] == [
        [LITHIUM],
        [f"OPENMED_TEXT:{label}/rosa"],
    ]


@pytest.mark.parametrize(
    ("limits", "n"),
    [
        ({}, 3),
        ({"min_documents": 2}, 0),
        ({"min_npmi": 0.01}, 1),  # lithium is in every second sentence: nothing but chance
        ({"min_score": 0.999}, 2),
    ],
)
def test_weak_edges_are_left_out(limits: dict, n: int):
    assert make_builder().build(**limits).number_of_edges() == n


def test_evidence_is_kept_up_to_a_number_and_counted():
    builder = GraphBuilder(max_evidence=2)
    for i in range(5):
        builder.add(make_doc("Lithium and aspirin."), str(i))
    edge = builder.build().edges[ASPIRIN, LITHIUM, TOGETHER]
    assert edge["documents"] == 5
    assert [place["document"] for place in edge["evidence"]] == ["0", "1"]
    assert edge["npmi"] == 1.0


def make_labelled(text: str, *ents: tuple[str, str, str, float]) -> Doc:
    """A document with entities: text, label, id and score of each."""
    doc = spacy.blank("en").make_doc(text)
    spans, scores = [], []
    for own, label, kb_id, score in ents:
        start = text.index(own)
        spans.append(doc.char_span(start, start + len(own), label, kb_id=kb_id))
        scores.append(score)
    doc.spans["openmed"] = SpanGroup(doc, spans=spans, attrs={"scores": scores})
    return doc


def build_nodes(*docs: Doc) -> dict[str, dict]:
    builder = GraphBuilder()
    for number, doc in enumerate(docs):
        builder.add(doc, f"PMID:{number}")
    return dict(builder.build().nodes(data=True))


def test_concepts_of_a_vocabulary_are_one_node():
    nodes = build_nodes(
        make_labelled("Heart attack.", ("Heart attack", "DISEASE", "MESH:D009203", 0.9)),
        make_labelled("An MI.", ("MI", "DISEASE", "MESH:D009203", 0.9)),
    )
    assert [*nodes] == ["MESH:D009203"]
    node = nodes["MESH:D009203"]
    assert (node["name"], node["synonyms"], node["vocabulary"], node["documents"]) == (
        "Heart attack",
        ["MI"],
        "MESH",
        2,
    )


@pytest.mark.parametrize(("score", "label"), [(0.5, "DISEASE"), (0.99, "CHEMICAL")])
def test_the_surest_label_of_a_text_counts(score: float, label: str):
    doc = make_labelled("gout", ("gout", "CHEMICAL", "", score), ("gout", "DISEASE", "", 0.9))
    [(id, node)] = build_nodes(doc).items()
    assert (id, node["documents"]) == (f"OPENMED_TEXT:{label}/gout", 1)


def test_the_label_with_an_id_counts():
    doc = make_labelled(
        "Gout", ("Gout", "CHEMICAL", "", 0.99), ("Gout", "DISEASE", "MESH:D006073", 0.5)
    )
    assert [*build_nodes(doc)] == ["MESH:D006073"]


def test_documents_decide_on_the_label_of_a_text():
    docs = [
        make_labelled("gout", ("gout", label, "", 0.9)) for label in ("X", "DISEASE", "DISEASE")
    ]
    [(id, node)] = build_nodes(*docs).items()
    assert (id, node["documents"]) == ("OPENMED_TEXT:DISEASE/gout", 3)


def test_one_text_under_labels_with_a_slash():
    doc = make_labelled("gout", ("gout", "A/B", "", 0.5), ("gout", "C/D", "", 0.9))
    assert [*build_nodes(doc)] == ["OPENMED_TEXT:C/D/gout"]


def test_edges_of_one_text_under_two_labels():
    builder = GraphBuilder()
    for id, label in (("1", "CHEMICAL"), ("2", "DISEASE"), ("3", "DISEASE")):
        ents = (("tremor", "DISEASE", "", 0.9), ("gout", label, "", 0.9))
        builder.add(make_labelled("tremor and gout", *ents), id)
    [(head, tail, edge)] = builder.build().edges(data=True)
    assert (head, tail) == ("OPENMED_TEXT:DISEASE/gout", "OPENMED_TEXT:DISEASE/tremor")
    assert (edge["documents"], len(edge["evidence"])) == (3, 3)


@pytest.mark.parametrize(
    "text",
    [
        *("a", "5", "12 %", "mg", "mg/kg", "5 mL", "min-1", "beats/min", "II", "IV"),
        *("loss of", "and fever", "-induced", "anti-"),
        *("fatal", "cellular", "selective", "inherited", "locally", "benign", "abnormal ocular"),
    ],
)
def test_what_is_no_name_is_no_node(text: str):
    builder = GraphBuilder()
    builder.add(make_labelled(f"{text} was", (text, "DISEASE", "", 0.9)), "1")
    graph = builder.build()
    assert [*graph] == []
    assert any("OM681" in note and "1 mention" in note for note in builder.explain(graph))


@pytest.mark.parametrize(
    "text",
    [
        *("MS", "MG", "HER2", "in situ carcinoma", "hepatitis A", "IN", "gold", "UTI", "T4", "VX"),
        *(
            "-31T/C",
            "X-ray",
            "sedative",
            "thiopental",
            "fatal asthma",
            "seed",
            "anomaly",
            "chemical",
        ),
        *("patched", "smoothened", "sudafed", "ferrous", "pemetrexed", "Fatal", "depressed"),
        *("triple negative", "left ventricular mass"),
        "type 2 diabetes",
    ],
)
def test_what_may_be_a_name_is_a_node(text: str):
    builder = GraphBuilder()
    builder.add(make_labelled(text, (text, "DISEASE", "", 0.9)), "1")
    graph = builder.build()
    assert len(graph) == 1
    assert not any("OM681" in note for note in builder.explain(graph))


def test_a_thing_without_an_id_needs_a_mention_with_a_high_score():
    builder = GraphBuilder()
    for id, score in (("1", 0.3), ("2", 0.6)):
        ents = (("gout", "DISEASE", "", score), ("tremor", "DISEASE", "", 0.4))
        builder.add(make_labelled("gout, tremor or K", *ents, ("K", "CHEMICAL", "X:1", 0.1)), id)
    gout, tremor = "OPENMED_TEXT:DISEASE/gout", "OPENMED_TEXT:DISEASE/tremor"
    graph = builder.build()
    assert [*graph] == [gout, "X:1"]
    assert [edge[:2] for edge in graph.edges] == [(gout, "X:1")]
    assert any("OM684" in note and "1 text " in note for note in builder.explain(graph))
    assert [*builder.build(min_text_score=0)] == [gout, tremor, "X:1"]


def test_the_best_score_of_two_labels_counts():
    builder = GraphBuilder()
    for id, label, score in (("1", "DISEASE", 0.3), ("2", "CHEMICAL", 0.7)):
        builder.add(make_labelled("gout", ("gout", label, "", score)), id)
    assert len(builder.build()) == 1
    assert len(GraphBuilder.from_bytes(builder.to_bytes()).build()) == 1


@pytest.mark.parametrize(
    ("score", "why"),
    [(0.3, "score too low (--min-text-score)."), (0.9, "every edge has a text that was left out.")],
)
def test_a_graph_whose_texts_were_left_out_says_so(score: float, why: str):
    builder = GraphBuilder()
    ents = (("tremor", "DISEASE", "", 0.3), ("gout", "DISEASE", "", score))
    builder.add(make_labelled("tremor and gout", *ents), "1")
    assert builder.explain(builder.build())[-1].endswith(why)


def test_builders_that_were_saved_without_scores_keep_their_texts():
    builder = GraphBuilder()
    builder.add(make_labelled("gout", ("gout", "DISEASE", "", 0.3)), "1")
    state = json.loads(builder.to_bytes())
    for _, node in state["nodes"]:
        del node["score"]
    assert len(GraphBuilder.from_bytes(json.dumps(state).encode()).build()) == 1


def test_a_vocabulary_knows_what_is_a_name():
    assert [*build_nodes(make_labelled("K", ("K", "CHEMICAL", "CHEBI:29103", 0.9)))] == [
        "CHEBI:29103"
    ]


def test_a_builder_goes_on(tmp_path: Path):
    """The graph is that of all documents at once."""
    whole = make_builder()
    builder = GraphBuilder()
    for id, doc in zip(TEXTS, map(make_doc, TEXTS.values()), strict=True):
        builder.add(doc, id)
        builder.to_disk(tmp_path / "builder")
        builder = GraphBuilder.from_disk(tmp_path / "builder")
    at_once = GraphBuilder()
    for id, text in TEXTS.items():
        at_once.add(make_doc(text), id)
    assert builder.to_bytes() == at_once.to_bytes()
    assert nx.node_link_data(builder.build()) == nx.node_link_data(at_once.build())
    again = GraphBuilder.from_bytes(whole.to_bytes())
    assert nx.node_link_data(again.build()) == nx.node_link_data(whole.build())
    assert again.explain(again.build()) == whole.explain(whole.build())


def test_settings_of_a_builder_are_saved():
    builder = GraphBuilder(span_keys=["a"], labels=["X"], scope="document", max_evidence=2)
    again = GraphBuilder.from_bytes(builder.to_bytes())
    assert (again.span_keys, again.labels, again.scope, again.max_evidence) == (
        ("a",),
        frozenset(["X"]),
        "document",
        2,
    )


def test_the_picture_lists_what_is_mentioned_most(tmp_path: Path):
    builder = GraphBuilder()
    nlp = spacy.blank("en")
    for n, words in enumerate([["asthma", "fever"]] * 3 + [[f"x{i}" for i in range(22)]]):
        doc = Doc(nlp.vocab, words=words)
        doc.ents = [Span(doc, i, i + 1, "DISEASE") for i in range(len(words))]
        builder.add(doc, str(n))
    page = draw(builder.build())
    assert page.index("<td>asthma</td>") < page.index("<td>x0</td>")


def test_no_evidence():
    with pytest.raises(ValueError, match="OM677"):
        GraphBuilder(max_evidence=0)


def test_no_scope_of_that_name():
    with pytest.raises(ValueError, match="OM675"):
        GraphBuilder(scope="page")  # type: ignore[arg-type]


def test_every_form_is_the_same_each_time(tmp_path: Path):
    for name in "ab":
        write_graph(make_builder().build(), tmp_path / name, FORMATS)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 8
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_graphml_is_read_by_networkx(graph, tmp_path: Path):
    [path] = write_graph(graph, tmp_path, ["graphml"])
    read = nx.read_graphml(path, force_multigraph=True)
    assert {id: {**node, "synonyms": []} for id, node in read.nodes(data=True)} == dict(
        graph.nodes(data=True)
    )
    edge = read.edges[LITHIUM, TREMOR, "CAUSES"]
    assert json.loads(edge["evidence"]) == graph.edges[LITHIUM, TREMOR, "CAUSES"]["evidence"]


def test_names_that_xml_forbids(tmp_path: Path):
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["ab\x0bc<&>", "tremor"])
    doc.ents = [Span(doc, 0, 1, "CHEMICAL"), Span(doc, 1, 2, "DISEASE")]
    builder = GraphBuilder()
    builder.add(doc, "1")
    paths = write_graph(builder.build(), tmp_path, FORMATS)
    read = nx.read_graphml(paths[0])
    assert sorted(data["name"] for _, data in read.nodes(data=True)) == ["ab c<&>", "tremor"]
    assert "ab c&lt;&amp;&gt;" in (tmp_path / "graph.html").read_text(encoding="utf8")


def test_json_is_read_by_networkx(graph, tmp_path: Path):
    [path] = write_graph(graph, tmp_path, ["json"])
    read = nx.node_link_graph(json.loads(path.read_text(encoding="utf8")), edges="edges")
    assert nx.utils.graphs_equal(read, graph)


def read_table(path: Path, **form) -> list[dict[str, str]]:
    with path.open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file, **form))


def test_kgx(graph, tmp_path: Path):
    # As KGX reads them: tabs, and quotes that mean nothing.
    nodes, edges = (
        read_table(path, delimiter="\t", quoting=csv.QUOTE_NONE)
        for path in write_graph(graph, tmp_path, ["kgx"])
    )
    assert {node["id"]: node["category"] for node in nodes} == {
        ASPIRIN: "biolink:ChemicalEntity",
        LITHIUM: "biolink:ChemicalEntity",
        TREMOR: "biolink:Disease",
    }
    causes = next(edge for edge in edges if edge["predicate"] == "biolink:causes")
    assert (causes["subject"], causes["object"]) == (LITHIUM, TREMOR)
    assert causes["publications"] == "PMID:1"
    assert causes["knowledge_level"] == "not_provided"
    assert json.loads(causes["evidence"])[0]["document"] == "PMID:1"
    together = [edge for edge in edges if edge is not causes]
    assert {edge["knowledge_level"] for edge in together} == {"text_co_occurrence"}
    assert len({edge["id"] for edge in edges}) == len(edges) == 3


def test_turtle_is_read_by_rdflib(graph, tmp_path: Path):
    [path] = write_graph(graph, tmp_path, ["turtle"])
    read = rdflib.Graph().parse(path)
    biolink = rdflib.Namespace(BIOLINK)
    lithium, tremor = (rdflib.URIRef(expand(id)) for id in (LITHIUM, TREMOR))
    assert (lithium, biolink.causes, tremor) in read
    assert (lithium, rdflib.RDF.type, biolink.ChemicalEntity) in read
    query = """SELECT ?name WHERE {
        ?edge rdf:predicate biolink:causes ; rdf:object ?o ; biolink:publications PMID:1 .
        ?o rdfs:label ?name }"""
    assert [str(row[0]) for row in read.query(query)] == ["tremor"]


def test_neo4j_tables(graph, tmp_path: Path):
    nodes, edges = (read_table(path) for path in write_graph(graph, tmp_path, ["neo4j"]))
    ids = {node[":ID"] for node in nodes}
    assert {node[":LABEL"] for node in nodes} == {"CHEMICAL", "DISEASE"}
    assert {edge[":START_ID"] for edge in edges} | {edge[":END_ID"] for edge in edges} <= ids
    assert {edge[":TYPE"] for edge in edges} == {"CAUSES", TOGETHER}


def test_the_picture_needs_no_network(graph, tmp_path: Path):
    [path] = write_graph(graph, tmp_path, ["html"])
    page = path.read_text(encoding="utf8")
    assert "http" not in page
    assert "<script" not in page
    assert all(f">{name}</text>" in page for name in ("Lithium", "tremor"))


def test_the_picture_of_nothing(tmp_path: Path):
    write_graph(GraphBuilder().build(), tmp_path, FORMATS)
    assert "0 things" in (tmp_path / "graph.html").read_text(encoding="utf8")


def test_no_form_of_that_name(graph, tmp_path: Path):
    with pytest.raises(ValueError, match="OM676.*gexf"):
        write_graph(graph, tmp_path, ["gexf"])


@pytest.mark.parametrize(
    ("curie", "iri"),
    [
        ("MESH:D005334", "http://id.nlm.nih.gov/mesh/D005334"),
        ("OPENMED_TEXT:DISEASE/a%20b", "urn:openmed:text:DISEASE/a%20b"),
        ("LOCAL:1 2", "urn:LOCAL:1%202"),
        ("Q42", "urn:openmed:id:Q42"),
    ],
)
def test_iris(curie: str, iri: str):
    assert expand(curie) == iri


def test_names_are_those_of_the_biolink_model():
    yaml = pytest.importorskip("yaml")
    try:
        schema = resources.files("biolink_model") / "schema" / "biolink_model.yaml"
    except ModuleNotFoundError:
        pytest.skip("the Biolink model is not installed")
    model = yaml.load(schema.read_text(encoding="utf8"), Loader=yaml.CSafeLoader)
    classes = {"".join(w[:1].upper() + w[1:] for w in name.split()) for name in model["classes"]}
    slots = {name.replace(" ", "_") for name in model["slots"]}
    assert {*CATEGORIES.values(), "Association", "NamedThing"} <= classes
    assert {*PREDICATES.values(), "related_to", "publications", "evidence_count"} <= slots
    enums = model["enums"]
    levels = enums["KnowledgeLevelEnum"]["permissible_values"]
    assert {"text_co_occurrence", "not_provided"} <= set(levels)
    assert "text_mining_agent" in enums["AgentTypeEnum"]["permissible_values"]


def test_every_biomedical_label_has_a_category():
    assert CATEGORIES.keys() == BIOMEDICAL.keys()
    assert category("PERSON") == "biolink:NamedThing"


# The command


def run(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(openmed_cli, ["graph", *map(str, args)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def write_rows(path: Path, rows: list[dict]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def make_rows() -> list[dict]:
    rows = []
    for id, text in TEXTS.items():
        entities = [
            {
                "start": ent.start_char,
                "end": ent.end_char,
                "label": ent.label_,
                "score": 0.9,
                "text": ent.text,
                "dataset": None,
                "is_negated": ent.doc[max(ent.start - 1, 0)].text == "No",
            }
            for ent in make_doc(text).ents
        ]
        rows.append({"id": id, "text": text, "entities": entities, "error": None})
    return [*rows, {"id": "4", "text": None, "entities": None, "error": "[OM301]"}]


def test_graph_of_parquet(tmp_path: Path):
    path = write_rows(tmp_path / "found.parquet", make_rows())
    output = run(path, tmp_path / "graph", "--to", "json,kgx")
    assert "3 things and 2 edges from 3 documents" in output
    assert "OM720" in output  # the row that could not be annotated
    data = json.loads((tmp_path / "graph" / "graph.json").read_text(encoding="utf8"))
    [tremor] = [node for node in data["nodes"] if node["id"] == TREMOR]
    assert tremor["mentions"] == 2


def test_the_command_goes_on(tmp_path: Path):
    rows = make_rows()[:-1]
    parts = [write_rows(tmp_path / f"{i}.parquet", [row]) for i, row in enumerate(rows)]
    for path in parts:
        run(path, tmp_path / "graph", "--builder", tmp_path / "builder.json")
    run(write_rows(tmp_path / "all.parquet", rows), tmp_path / "at-once")
    graphs = [(tmp_path / name / "graph.json").read_text("utf8") for name in ("graph", "at-once")]
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize(
    ("content", "args", "code"),
    [
        (GraphBuilder().to_bytes(), ["--scope", "document"], "OM683"),
        (b"{}", [], "OM682"),
        (b"\xff", [], "OM682"),
    ],
)
def test_builders_that_do_not_fit(tmp_path: Path, content: bytes, args: list[str], code: str):
    path = write_rows(tmp_path / "found.parquet", make_rows())
    (tmp_path / "builder.json").write_bytes(content)
    args = ["--builder", str(tmp_path / "builder.json"), *args]
    assert code in run(path, tmp_path / "graph", *args, code=1)
    assert (tmp_path / "builder.json").read_bytes() == content
    assert not (tmp_path / "graph").exists()


def test_graph_of_json_lines(tmp_path: Path):
    path = tmp_path / "found.jsonl"
    path.write_text("\n".join(map(json.dumps, make_rows())), encoding="utf8")
    assert "3 things and 2 edges" in run(path, tmp_path / "graph", "--scope", "sentence")


def test_graph_of_spacy_files_has_relations(tmp_path: Path):
    docs = DocBin(store_user_data=True)
    for id, text in TEXTS.items():
        doc = make_doc(text)
        OpenMedRelation(doc.vocab)(doc)
        doc.user_data["id"] = id
        docs.add(doc)
    docs.to_disk(tmp_path / "docs.spacy")
    output = run(tmp_path / "docs.spacy", tmp_path / "graph", "--labels", "CHEMICAL,DISEASE")
    assert "from 3 documents" in output
    data = json.loads((tmp_path / "graph" / "graph.json").read_text(encoding="utf8"))
    assert "CAUSES" in {edge["key"] for edge in data["edges"]}


# Of a medicine or a disease that is negated, the family's, or a part of an address, too.
NOTES = {
    "PMID:1": "Aspirin-induced asthma in two patients. Asthma after aspirin.",
    "PMID:2": "There was no evidence of asthma or renal failure.",
    "PMID:3": "Her mother had asthma and renal failure.",
    "PMID:4": "Valproic acid caused renal failure. No asthma.",
    "PMID:5": "Aspirin for asthma; write to aspirin@example.org about renal failure.",
    "PMID:6": "",
    "PMID:7": "Ibuprofen 😀 for renal failure",
}


@pytest.fixture(scope="module")
def pipeline(keyword_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import make_nlp

    pytest.importorskip("presidio_analyzer")
    nlp = make_nlp(keyword_checkpoint)
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    nlp.add_pipe("openmed_context")
    nlp.add_pipe("openmed_relation")
    folder = tmp_path_factory.mktemp("pipeline") / "saved"
    nlp.to_disk(folder)
    return folder


def process(pipeline: Path, folder: Path, *args: object, name: str = "docs") -> Path:
    """Run `process` on the notes, of which there is one more that is no text."""
    rows = [{"pmid": id, "text": text} for id, text in {**NOTES, "PMID:8": None}.items()]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    paths = [pipeline, folder / "in.jsonl", folder / name]
    args = (*paths, "--id-column", "pmid", *args)
    result = CliRunner().invoke(openmed_cli, ["process", *map(str, args)])
    assert result.exit_code == 3, result.output
    return folder / name


def test_the_commands_give_the_graph_of_python(
    pipeline: Path, tmp_path: Path, run_python: Callable[..., str]
):
    nlp = spacy.load(pipeline)
    builder = GraphBuilder()
    for doc, id in nlp.pipe(((text, id) for id, text in NOTES.items()), as_tuples=True):
        builder.add(doc, id)
    expected = builder.build()
    keys = [(head[-6:], tail[-7:], key) for head, tail, key in expected.edges(keys=True)]
    assert sorted(keys) == [
        ("asthma", "failure", TOGETHER),
        ("c_acid", "failure", "CAUSES"),
        ("c_acid", "failure", TOGETHER),
        ("profen", "failure", TOGETHER),
        ("spirin", "/asthma", "CAUSES"),
        ("spirin", "/asthma", TOGETHER),
        ("spirin", "failure", TOGETHER),  # Aspirin for asthma, not the address
    ]
    forms = ("spacy", "parquet", "jsonl")
    for form in forms:
        process(pipeline, tmp_path, "--to", form, "--columns", "text", name=form)
    # In a process that has never seen the components.
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from spacy_openmed.cli import openmed_cli\n"
        "for form in sys.argv[2:]:\n"
        "    paths = [f'{sys.argv[1]}/{form}', f'{sys.argv[1]}/graph-{form}']\n"
        "    args = ['graph', *paths, '--id-column', 'pmid', '--to', 'json']\n"
        "    result = CliRunner().invoke(openmed_cli, args)\n"
        "    assert result.exit_code == 0 and 'OM720' in result.output, result.output\n"
    )
    run_python(code, tmp_path, *forms)
    for form in forms:
        data = json.loads((tmp_path / f"graph-{form}" / "graph.json").read_text(encoding="utf8"))
        read = nx.node_link_graph(data, edges="edges")
        assert nx.utils.graphs_equal(read, expected), form


def test_attributes_that_are_not_registered_yet():
    register_extensions()
    doc = make_doc("Lithium caused tremor. Aspirin and tremor.")
    OpenMedRelation(doc.vocab)(doc)
    doc.ents[2]._.is_negated = True
    Doc.remove_extension(RELATIONS)
    Span.remove_extension("is_negated")
    builder = GraphBuilder()
    builder.add(doc, "1")
    assert {key for *_, key in builder.build().edges(keys=True)} == {"CAUSES", TOGETHER}
    assert ASPIRIN not in builder.build()


def test_ids_of_spacy_files_are_those_of_the_column(pipeline: Path, tmp_path: Path):
    docs = process(pipeline, tmp_path, "--to", "spacy")
    assert "no column ward" in run(docs, tmp_path / "graph", "--id-column", "ward", code=1)
    run(docs, tmp_path / "graph")
    data = json.loads((tmp_path / "graph" / "graph.json").read_text(encoding="utf8"))
    places = [place for edge in data["edges"] for place in edge["evidence"]]
    assert {place["document"] for place in places} <= {*NOTES}


@pytest.mark.parametrize("form", ["txt", "jsonl", "parquet", "spacy"])
def test_notes_that_are_not_annotated(tmp_path: Path, form: str):
    notes = tmp_path / "notes"
    notes.mkdir()
    if form == "txt":
        (notes / "1.txt").write_text("Lithium.", encoding="utf8")
    elif form == "jsonl":
        (notes / "1.jsonl").write_text('{"id": "1", "text": "Lithium."}', encoding="utf8")
    elif form == "parquet":
        write_rows(notes / "1.parquet", [{"id": "1", "text": "Lithium."}])
    else:
        DocBin(docs=[spacy.blank("en")("Lithium.")]).to_disk(notes / "1.spacy")
    output = run(notes, tmp_path / "graph", code=1)
    assert "OM383" in output
    assert "openmed process" in output
    assert not (tmp_path / "graph").exists()


def test_rows_that_all_failed(tmp_path: Path):
    path = write_rows(tmp_path / "found.parquet", make_rows()[-1:])
    assert "[OM720] Left out, as they could not be annotated: 1 row." in run(
        path, tmp_path / "graph", code=1
    )


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--labels", "DISEASES"], "[OM680] No entity has the label 'DISEASES'. Did you"),
        (
            ["--labels", "DISEASES"],
            "[OM678] The graph has no things: all 8 mentions of entities are left out",
        ),
        (["--labels", "CHEMICAL,DISEASE", "--min-documents", 3], "try --min-documents 1"),
        (["--labels", "CHEMICAL,DISEASE", "--min-npmi", 1], "2 edges below --min-npmi 1 (try"),
        (["--labels", "DISEASE"], "no two things stand in the same sentence"),
    ],
)
def test_an_empty_graph_says_why(tmp_path: Path, args: list, why: str):
    path = write_rows(tmp_path / "found.parquet", make_rows())
    assert why in run(path, tmp_path / "graph", *args)


@pytest.mark.parametrize("content", [b"", b"Lithium.", b"PK\x03\x04"])
def test_a_file_that_is_no_docbin(tmp_path: Path, content: bytes):
    (tmp_path / "docs.spacy").write_bytes(content)
    output = run(tmp_path / "docs.spacy", tmp_path / "graph", code=1)
    assert "[OM362] The file can't be read as spacy to its end" in output
    assert "(docs.spacy)" in output


def test_documents_of_a_pipeline_without_context_and_relations_say_so(tmp_path: Path):
    doc = spacy.blank("en")("Lithium.")
    doc.ents = [Span(doc, 0, 1, "CHEMICAL")]
    builder = GraphBuilder()
    builder.add(doc, "1")
    assert builder.explain(builder.build())[0] == Errors.OM679
    register_extensions()
    doc.ents[0]._.is_negated = False
    builder.add(doc, "2")
    assert Errors.OM679 not in builder.explain(builder.build())


def test_documents_without_entities_say_so(tmp_path: Path):
    doc = spacy.blank("en")("Lithium.")
    doc.spans["mine"] = [Span(doc, 0, 1, "CHEMICAL")]
    DocBin(docs=[doc]).to_disk(tmp_path / "docs.spacy")
    paths = tmp_path / "docs.spacy", tmp_path / "graph"
    assert 'no entities in doc.ents or doc.spans["openmed"]' in run(*paths)
    assert "1 thing and 0 edges from 1 document:" in run(*paths, "--span-keys", "mine")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--to", "gexf"], "OM676"),
        (["--scope", "page"], "OM675"),
        (["--text-column", "note"], "OM381"),
    ],
)
def test_wrong_arguments(tmp_path: Path, args: list[str], code: str):
    path = write_rows(tmp_path / "found.parquet", make_rows())
    assert code in run(path, tmp_path / "graph", *args, code=1)
    assert not (tmp_path / "graph").exists()


def test_entities_of_another_text(tmp_path: Path):
    rows = make_rows()
    rows[0]["text"] = "Short."
    path = write_rows(tmp_path / "found.parquet", rows)
    assert "OM382" in run(path, tmp_path / "graph", code=1)


@pytest.mark.parametrize(
    "entities", ["secret", [[0, 7, "CHEMICAL"]], [{"text": "secret"}], {"start": 0}, 3]
)
def test_entities_of_another_layout(tmp_path: Path, entities: object):
    path = tmp_path / "gold.jsonl"
    rows = [{"text": "Lithium.", "entities": []}, {"text": "Lithium.", "entities": entities}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    output = run(path, tmp_path / "graph", code=1)
    assert "[OM384]" in output
    assert "row 2" in output
    assert "secret" not in output


def test_doc_has_no_relations_before_the_component(graph):
    doc = make_doc(TEXTS["PMID:1"])
    assert doc._.get(RELATIONS) is None
