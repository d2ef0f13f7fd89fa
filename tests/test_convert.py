"""The converter: documents, offsets, relations, and what it says that it changed."""

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_openmed.cli import openmed_cli
from spacy_openmed.convert import GOLD_KEY, to_doc
from spacy_openmed.readers import Change, Mention, SourceDocument, detect_format, read_documents

PUBTATOR = """1|t|Aspirin
1|a|It caused asthma.
1\t0\t7\tAspirin\tChemical\tD001241
1\t18\t24\tasthma\tDisease\tD001249
1\tCID\tD001241\tD001249

2|t|Nothing
2|a|here.
"""
IOB = """-DOCSTART- (a)\tO

Asthma\tB-Disease
was\tO
seen\tO

Renal\tI-Disease
failure\tI-Disease

-DOCSTART- (b)\tO

Fine\tO
"""
BIOC = {
    "documents": [
        {
            "id": "7",
            "passages": [
                {
                    "offset": 0,
                    "text": "Aspirin helps.",
                    "annotations": [
                        {
                            "id": "T1",
                            "text": "Aspirin",
                            "infons": {"type": "Chemical"},
                            "locations": [{"offset": 0, "length": 7}],
                        }
                    ],
                }
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def convert(nlp, path, format, **settings):
    return [to_doc(source, nlp, **settings) for source in read_documents(path, format)]


def test_pubtator_keeps_documents_concepts_and_relations(nlp, tmp_path):
    path = tmp_path / "a.pubtator"
    path.write_text(PUBTATOR, encoding="utf8")
    (first, _), (second, _) = convert(nlp, path, "pubtator")
    assert [(e.text, e.label_, e.kb_id_) for e in first.ents] == [
        ("Aspirin", "Chemical", "D001241"),
        ("asthma", "Disease", "D001249"),
    ]
    assert first.user_data["relations"] == [["CID", "D001241", "D001249"]]
    assert second.user_data["id"] == "2"
    assert not second.ents


def test_iob_keeps_documents_and_sentences(nlp, tmp_path):
    path = tmp_path / "a.iob"
    path.write_text(IOB, encoding="utf8")
    (first, changes), (second, _) = convert(nlp, path, "iob", canonical=True)
    assert [(ent.text, ent.label_) for ent in first.ents] == [
        ("Asthma", "DISEASE"),
        ("Renal failure", "DISEASE"),
    ]
    assert len(list(first.sents)) == 2
    assert changes[Change.REPAIRED] == 1
    assert second.user_data["id"] == "b"


def test_brat_with_a_gap_and_a_relation(nlp, tmp_path):
    (tmp_path / "a.txt").write_text("lower to the  injury from aspirin", encoding="utf8")
    (tmp_path / "a.ann").write_text(
        "T1\tDisease 0 5;14 20\tlower injury\nT2\tDrug 26 33\taspirin\n"
        "R1\tcauses Arg1:T2 Arg2:T1\n",
        encoding="utf8",
    )
    ((doc, changes),) = convert(nlp, tmp_path, "brat")
    assert changes[Change.GAPS] == 1
    spans = doc.spans[GOLD_KEY]
    ((kind, head, tail),) = doc.user_data["relations"]
    assert (kind, spans[head].text, spans[tail].label_) == ("causes", "aspirin", "Disease")


def test_bioc_json(nlp, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(BIOC), encoding="utf8")
    assert detect_format(path) == "bioc"
    ((doc, _),) = convert(nlp, path, "bioc")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Aspirin", "Chemical")]


def test_mention_inside_a_token_is_expanded(nlp):
    source = SourceDocument("1", "p53(R175H was seen", [Mention(((0, 3),), "Gene", "p53")])
    doc, changes = to_doc(source, nlp)
    assert [ent.text for ent in doc.ents] == ["p53(R175H"]
    assert changes == {Change.EXPANDED: 1}


def test_mention_a_little_off_is_moved(nlp):
    source = SourceDocument("1", "He took aspirin", [Mention(((7, 14),), "Drug", "aspirin")])
    doc, changes = to_doc(source, nlp)
    assert [ent.text for ent in doc.ents] == ["aspirin"]
    assert changes == {Change.MOVED: 1}


def test_mention_that_is_not_there_is_counted(nlp):
    source = SourceDocument("1", "He took aspirin", [Mention(((0, 2),), "Drug", "insulin")])
    doc, changes = to_doc(source, nlp)
    assert not doc.ents
    assert changes == {Change.MISMATCHED: 1}


def test_overlapping_mentions_are_all_in_the_group(nlp):
    mentions = [Mention(((0, 11),), "Disease"), Mention(((0, 4),), "Organ")]
    doc, changes = to_doc(SourceDocument("1", "lung cancer", mentions), nlp)
    assert [ent.text for ent in doc.ents] == ["lung cancer"]
    assert len(doc.spans[GOLD_KEY]) == 2
    assert changes == {Change.OVERLAPPING: 1}


def test_other_types_are_left_out_with_their_relations(nlp):
    mentions = [Mention(((0, 4),), "Organ"), Mention(((5, 11),), "Disease")]
    source = SourceDocument("1", "lung cancer", mentions, [("in", 1, 0)])
    doc, changes = to_doc(source, nlp, types=["Disease"])
    assert [ent.text for ent in doc.ents] == ["cancer"]
    assert doc.user_data["relations"] == []
    assert changes == {Change.OTHER_TYPE: 1, Change.UNRESOLVED: 1}


def test_command_writes_and_reports(tmp_path: Path):
    source, output = tmp_path / "a.pubtator", tmp_path / "out" / "a.spacy"
    source.write_text(PUBTATOR, encoding="utf8")
    result = CliRunner().invoke(
        openmed_cli, ["convert", str(source), str(output), "--rename", "Chemical=DRUG"]
    )
    assert result.exit_code == 0, result.output
    assert "documents" in result.output
    assert "asthma" not in result.output
    docs = list(DocBin().from_disk(output).get_docs(spacy.blank("en").vocab))
    assert [ent.label_ for ent in docs[0].ents] == ["DRUG", "Disease"]


def test_command_names_the_line_that_it_cannot_read(tmp_path: Path):
    path = tmp_path / "a.pubtator"
    path.write_text("1|t|Aspirin\n1|a|x\nsecret words\n", encoding="utf8")
    result = CliRunner().invoke(
        openmed_cli, ["convert", str(path), str(tmp_path / "o.spacy"), "-f", "pubtator"]
    )
    assert result.exit_code == 1
    assert "line 3" in " ".join(result.output.split())  # it is wrapped
    assert "secret" not in result.output


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_medication_offsets_hold(nlp, split):
    path = Path(__file__).parent.parent / "examples" / "medication" / f"{split}.pubtator"
    for doc, changes in convert(nlp, path, "pubtator"):
        assert not {*changes} - {Change.EXPANDED}
        assert len(doc.ents) == len(doc.spans[GOLD_KEY])
