"""The converter: documents, offsets, relations, and what it says that it changed."""

import json
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_openmed.cli import openmed_cli
from spacy_openmed.corpora.detect import detect_format, find_inputs, read_documents
from spacy_openmed.corpora.documents import Change, Mention, SourceDocument
from spacy_openmed.corpora.to_doc import GOLD_KEY, to_doc

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
    assert "line 3:" in " ".join(result.output.split())  # wrapped by the path's length
    assert "secret" not in result.output


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_medication_offsets_hold(nlp, split):
    path = Path(__file__).parent.parent / "examples" / "medication" / f"{split}.pubtator"
    for doc, changes in convert(nlp, path, "pubtator"):
        assert not {*changes} - {Change.EXPANDED}
        assert len(doc.ents) == len(doc.spans[GOLD_KEY])


def write_bioc(path: Path, *, in_bytes: bool) -> Path:
    """A title and an abstract that are not ASCII, with a relation between concepts and one
    between annotations."""
    title, abstract = "Ménière", "Fièvre – left and right arm; aspirin"

    def at(text: str) -> int:
        return len(text.encode() if in_bytes else text)

    first = at(title) + 1
    drug, left, right = (first + at(abstract.partition(w)[0]) for w in ("aspirin", "left", "arm"))
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source/><date/><key/><document><id>11</id>
<passage><offset>0</offset><text>{title}</text></passage>
<passage><offset>{first}</offset><text>{abstract}</text>
<annotation id="a"><infon key="type">Drug</infon><infon key="MESH">D1</infon>
<location offset="{drug}" length="7"/><text>aspirin</text></annotation>
<annotation id="b"><infon key="type">Body</infon><infon key="MESH">D2</infon>
<location offset="{left}" length="4"/><location offset="{right}" length="3"/>
<text>left arm</text></annotation></passage>
<relation id="R0"><infon key="relation">CID</infon><infon key="Drug">D1</infon>
<infon key="Body">D2</infon></relation>
<relation id="R1"><infon key="type">in</infon><node refid="b"/><node refid="a"/></relation>
</document></collection>""",
        encoding="utf8",
    )
    return path


@pytest.mark.parametrize("in_bytes", [False, True])
def test_bioc_xml_counts_characters_or_bytes(nlp, tmp_path, in_bytes):
    path = write_bioc(tmp_path / "a.xml", in_bytes=in_bytes)
    assert detect_format(path) == "bioc"
    ((doc, changes),) = convert(nlp, path, "bioc")
    assert doc.text == "Ménière Fièvre – left and right arm; aspirin"
    assert [(e.text, e.kb_id_) for e in doc.ents] == [
        ("left and right arm", "D2"),
        ("aspirin", "D1"),
    ]
    assert bool(changes[Change.IN_BYTES]) == in_bytes


def test_bioc_relations_of_concepts_and_of_annotations(nlp, tmp_path):
    ((doc, _),) = convert(nlp, write_bioc(tmp_path / "a.xml", in_bytes=False), "bioc")
    between_concepts, (kind, head, tail) = doc.user_data["relations"]
    assert between_concepts == ["CID", "D1", "D2"]
    spans = doc.spans[GOLD_KEY]
    assert (kind, spans[head].label_, spans[tail].label_) == ("in", "Body", "Drug")


def test_brat_line_ends_of_two_characters(nlp, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"Gout.\r\nHad asthma.\r\n")
    (tmp_path / "a.ann").write_bytes(b"T1\tDisease 10 16\tasthma\r\nA1\tNegated T1\r\n")
    ((doc, changes),) = convert(nlp, tmp_path, "brat")
    assert [ent.text for ent in doc.ents] == ["asthma"]
    assert changes == {Change.LINE_ENDS: 1, Change.OTHER_KIND: 1}


def test_pubtator_with_windows_line_ends(nlp, tmp_path):
    path = tmp_path / "a.pubtator"
    path.write_bytes(PUBTATOR.replace("\n", "\r\n").encode())
    (doc, changes), _ = convert(nlp, path, "pubtator")
    assert [ent.text for ent in doc.ents] == ["Aspirin", "asthma"]
    assert not changes


def test_document_without_text(nlp, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "text": "", "entities": []}\n', encoding="utf8")
    ((doc, changes),) = convert(nlp, path, "jsonl")
    (read,) = DocBin(store_user_data=True, docs=[doc]).get_docs(nlp.vocab)
    assert (len(read), read.user_data["id"], changes) == (0, "1", {})


def test_all_survives_docbin(nlp):
    mentions = [Mention(((0, 3),), "Gene", "p53", "7157"), Mention(((14, 18),), "Organ")]
    source = SourceDocument("1", "p53(R175H) in lung", mentions, [("in", 0, 1), ("x", "a", "b")])
    doc, _ = to_doc(source, nlp)
    data = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (read,) = DocBin().from_bytes(data).get_docs(spacy.blank("en").vocab)
    group = read.spans[GOLD_KEY]
    assert [(s.text, s.kb_id_) for s in group] == [("p53(R175H", "7157"), ("lung", "")]
    assert [read.text[start:end] for start, end in group.attrs["char_offsets"]] == ["p53", "lung"]
    assert read.user_data["id"] == "1"
    assert [[*r] for r in read.user_data["relations"]] == [["in", 0, 1], ["x", "a", "b"]]


def test_mention_without_a_type_is_counted(nlp):
    source = SourceDocument("1", "He took aspirin", [Mention(((8, 15),), "")])
    doc, changes = to_doc(source, nlp)
    assert not doc.spans[GOLD_KEY]
    assert changes == {Change.UNLABELLED: 1}


@pytest.mark.parametrize(
    ("text", "start", "quote"),
    [
        ("MMS was seen", 0, "MS"),
        ("in insulin", 7, "su"),
        ("ox a ox", 2, "b"),
        ("MS or MS", 3, "MS"),
    ],
)
def test_mention_is_not_moved_into_a_word_or_where_it_may_be_two(nlp, text, start, quote):
    source = SourceDocument("1", text, [Mention(((start, start + len(quote)),), "X", quote)])
    doc, changes = to_doc(source, nlp)
    assert not doc.ents
    assert changes == {Change.MISMATCHED: 1}


def test_mention_over_a_line_end_has_no_gap(nlp):
    source = SourceDocument("1", "lung\ncancer", [Mention(((0, 4), (5, 11)), "X", "lung cancer")])
    doc, changes = to_doc(source, nlp)
    assert [ent.text for ent in doc.ents] == ["lung\ncancer"]
    assert not changes


@given(data=st.data())
def test_entities_cover_their_mentions(nlp, data: st.DataObject):
    text = data.draw(st.text(st.sampled_from("ab5 -(.\n’é🩺"), max_size=40))
    cuts = data.draw(st.lists(st.integers(0, len(text)), unique=True, max_size=8).map(sorted))
    places = [*zip(cuts[::2], cuts[1::2], strict=False)]
    mentions = [Mention(((start, end),), "X", text[start:end]) for start, end in places]
    doc, changes = to_doc(SourceDocument("1", text, mentions), nlp)
    extents = [(span.start_char, span.end_char) for span in doc.spans[GOLD_KEY]]
    words = [
        (start + len(text[start:end]) - len(text[start:end].lstrip()), start, end)
        for start, end in places
        if text[start:end].strip()
    ]
    assert len(extents) == len(words)
    assert changes[Change.EMPTY] == len(places) - len(words)
    for (left, right), (first, start, end) in zip(extents, words, strict=True):
        assert left <= first
        assert start + len(text[start:end].rstrip()) <= right
    assert {(e.start_char, e.end_char) for e in doc.ents} <= {*extents}
    assert len(doc.ents) == len(extents) - changes[Change.OVERLAPPING]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("o.spacy", "--lang klingon", "klingon"),
        ("o.spacy", "-f pubtatr", "[OM252] 'pubtatr' is not a corpus format. Did you mean"),
        ("o.spacy", "-r DRUG", "[OM704]"),
        ("a.pubtator", "", "[OM705]"),
    ],
)
def test_command_with_a_bad_option_is_an_error(tmp_path, output, options, message):
    path = tmp_path / "a.pubtator"
    path.write_text(PUBTATOR, encoding="utf8")
    args = ["convert", str(path), str(tmp_path / output), *options.split()]
    result = CliRunner().invoke(openmed_cli, args)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert message in " ".join(result.output.split())
    assert path.read_text(encoding="utf8") == PUBTATOR


def test_command_says_which_type_there_is_not(tmp_path: Path):
    path = tmp_path / "a.pubtator"
    path.write_text(PUBTATOR, encoding="utf8")
    args = ["convert", str(path), str(tmp_path / "o.spacy"), "-t", "Chemicla"]
    assert "No mention is of the type Chemicla" in CliRunner().invoke(openmed_cli, args).output


def test_named_format_is_taken_at_its_word(tmp_path: Path):
    (tmp_path / "train.tsv").write_text("IL-2\tB\nfell\tO\n", encoding="utf8")
    (tmp_path / "notes.md").write_text("About the corpus", encoding="utf8")
    inputs, passed_over = find_inputs(tmp_path, "iob")
    assert inputs == [(tmp_path / "train.tsv", "iob")]
    assert passed_over == [tmp_path / "notes.md"]


def test_command_names_the_first_document_that_it_changed(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "Asthma.", "entities": [[0, end, "DISEASE"]]} for end in (6, 0, 6)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    args = ["convert", str(path), str(tmp_path / "out.spacy")]
    printed = " ".join(CliRunner().invoke(openmed_cli, args).output.split())
    assert "1 mention left out: without characters" in printed
    assert "a.jsonl, document 2)" in printed


def test_command_names_the_files_that_it_passes_over(tmp_path: Path):
    (tmp_path / "a.pubtator").write_text(PUBTATOR, encoding="utf8")
    (tmp_path / "notes.md").write_text("About the corpus", encoding="utf8")
    args = ["convert", str(tmp_path), str(tmp_path / "out.spacy")]
    assert "notes.md" in CliRunner().invoke(openmed_cli, args).stdout


def test_command_names_the_document_that_spacy_cannot_hold(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "Fine.", "entities": []}\n{"text": "Secret \\ud800", "entities": []}\n',
        encoding="utf8",
    )
    args = ["convert", str(path), str(tmp_path / "out.spacy")]
    result = CliRunner().invoke(openmed_cli, args)
    assert result.exit_code == 1
    assert "OM259" in result.stdout
    assert "document 2" in result.stdout
    assert "Secret" not in result.stdout


def test_command_reads_texts_longer_than_parsers_take(tmp_path: Path):
    path, output = tmp_path / "a.jsonl", tmp_path / "out.spacy"
    row = {"text": "a " * 600_000, "entities": []}
    path.write_text(json.dumps(row), encoding="utf8")
    result = CliRunner().invoke(openmed_cli, ["convert", str(path), str(output)])
    assert result.exit_code == 0, result.stdout


def test_offsets_far_from_the_start_do_not_make_a_long_text(nlp, tmp_path):
    source = json.loads(json.dumps(BIOC))
    passage = source["documents"][0]["passages"][0]
    passage["offset"] = passage["annotations"][0]["locations"][0]["offset"] = 5_000_000
    (tmp_path / "a.json").write_text(json.dumps(source), encoding="utf8")
    ((doc, _),) = convert(nlp, tmp_path / "a.json", "bioc")
    assert [ent.text for ent in doc.ents] == ["Aspirin"]
    assert len(doc.text) < 2000


def test_id_may_be_zero(nlp, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 0, "text": "a", "entities": []}', encoding="utf8")
    ((doc, _),) = convert(nlp, tmp_path / "a.jsonl", "jsonl")
    assert doc.user_data["id"] == "0"


def test_offset_has_to_be_a_whole_number(nlp, tmp_path):
    row = '{"text": "abc", "entities": [[0, 2.9, "X"]]}'
    (tmp_path / "a.jsonl").write_text(row, encoding="utf8")
    with pytest.raises(ValueError, match="OM254"):
        convert(nlp, tmp_path / "a.jsonl", "jsonl")


def test_nothing_that_is_a_corpus(tmp_path):
    (tmp_path / "a.txt").write_text("secret", encoding="utf8")
    with pytest.raises(ValueError, match="OM253") as error:
        find_inputs(tmp_path, "auto")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "format", "content", "code"),
    [
        ("a.jsonl", "jsonl", "\n", "OM256"),
        ("a.ann", "brat", "T1\tDrug 0 6\tsecret\n", "OM257"),
        ("a.json", "bioc", '{"documents": [{"passages": [{"text": "secret"}]}]}', "OM258"),
    ],
)
def test_corpus_that_is_not_whole(nlp, tmp_path, name, format, content, code):
    (tmp_path / name).write_text(content, encoding="utf8")
    with pytest.raises(ValueError, match=code) as error:
        convert(nlp, tmp_path / name, format)
    assert "secret" not in str(error.value)


def test_hidden_brat_files_are_left_alone(nlp, tmp_path):
    (tmp_path / "a.txt").write_text("Aspirin", encoding="utf8")
    (tmp_path / "a.ann").write_text("T1\tDrug 0 7\tAspirin\n", encoding="utf8")
    (tmp_path / "._a.ann").write_bytes(b"\x00\xff")
    ((doc, _),) = convert(nlp, tmp_path, "brat")
    assert len(doc.ents) == 1


def test_token_of_white_space_is_counted(nlp, tmp_path):
    (tmp_path / "a.iob").write_text("Big\tB-X\n\u2009\tI-X\ntoe\tI-X\n", encoding="utf8")
    ((doc, counts),) = convert(nlp, tmp_path / "a.iob", "iob")
    assert [ent.text for ent in doc.ents] == ["Big toe"]
    assert counts[Change.BLANK] == 1


def test_command_says_that_there_is_nothing_to_learn(tmp_path: Path):
    path = tmp_path / "a.pubtator"
    path.write_text(PUBTATOR, encoding="utf8")
    args = ["convert", str(path), str(tmp_path / "out.spacy"), "--type", "Gene"]
    assert "No mention was taken" in CliRunner().invoke(openmed_cli, args).stdout


# doccano and Prodigy


def to_json_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


DOCCANO = {"id": 3, "text": "Insulin for diabetes", "label": [[0, 7, "Drug"], [12, 20, "Problem"]]}


@pytest.mark.parametrize("key", ["label", "labels", "entities"])
def test_doccano(nlp, tmp_path, key):
    row = {("entities" if k == key else k): v for k, v in DOCCANO.items() if k != "label"}
    row[key] = DOCCANO["label"]
    path = to_json_lines(tmp_path / "a.jsonl", {**row, key: []}, row)
    ((name, format),), _ = find_inputs(tmp_path)
    _, (doc, changes) = convert(nlp, name, format)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [
        ("Insulin", "Drug"),
        ("diabetes", "Problem"),
    ]
    assert doc.user_data["id"] == "3"
    assert (path, changes) == (name, {})


def test_doccano_with_relations(nlp, tmp_path):
    row = {
        "id": 3,
        "text": "Insulin for diabetes",
        "entities": [
            {"id": 91, "label": "Drug", "start_offset": 0, "end_offset": 7},
            {"id": 90, "label": "Problem", "start_offset": 12, "end_offset": 20},
        ],
        "relations": [
            {"id": 1, "from_id": 91, "to_id": 90, "type": "treats"},
            {"id": 2, "from_id": 91, "to_id": 4, "type": "treats"},
        ],
        "Comments": [],
    }
    empty = {**row, "entities": [], "relations": []}
    path = to_json_lines(tmp_path / "a.jsonl", empty, row)
    assert detect_format(path) == "doccano"
    _, (doc, changes) = convert(nlp, path, "doccano")
    ((kind, head, tail),) = doc.user_data["relations"]
    spans = doc.spans[GOLD_KEY]
    assert (kind, spans[head].text, spans[tail].text) == ("treats", "Insulin", "diabetes")
    assert changes == {Change.UNRESOLVED: 1}


def test_prodigy_leaves_out_what_was_not_accepted(nlp, tmp_path):
    spans = [{"start": 0, "end": 7, "label": "Drug"}, {"start": 12, "end": 20, "label": "Problem"}]
    row = {"text": "Insulin for diabetes", "_input_hash": 5, "answer": "accept", "spans": spans}
    row["relations"] = [{"head_span": spans[0], "child_span": spans[1], "label": "treats"}]
    others = [{**row, "answer": answer} for answer in ("reject", "ignore")]
    path = to_json_lines(tmp_path / "a.jsonl", others[0], row, others[1], {**row, "spans": []})
    assert detect_format(path) == "prodigy"
    (doc, changes), (second, more) = convert(nlp, path, "prodigy")
    assert [ent.text for ent in doc.ents] == ["Insulin", "diabetes"]
    assert doc.user_data["relations"] == [["treats", 0, 1]]
    assert changes == {Change.REJECTED: 2}
    assert not second.ents
    assert more == {Change.UNRESOLVED: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "secret", "label": ["secret"]}, "An entity is not [start, end, label]."),
        ({"text": "secret", "label": "secret"}, "The entities are not a list."),
        ({"text": "secret", "spans": [{"start": "0", "end": 3, "label": "X"}]}, "whole number"),
        ({"text": ["secret"], "answer": "accept"}, "There is no text, or it is not a string."),
        ({"text": "secret", "meta": {}}, "There are no entities."),
        ({"text": "secret", "spans": [{"start": 0}]}, "Expected"),
        (["secret"], "Expected"),
    ],
)
def test_row_that_is_malformed_is_named_without_its_text(nlp, tmp_path, row, reason):
    path = to_json_lines(tmp_path / "a.jsonl", DOCCANO, row)
    with pytest.raises(ValueError, match="OM254.*line 2") as error:
        convert(nlp, path, "jsonl")
    assert reason in str(error.value)
    assert "secret" not in str(error.value)


def test_json_that_is_nested_too_deeply(nlp, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "", "entities": []}\n' + "[" * 100_000, encoding="utf8")
    for format in ("jsonl", "bioc"):
        with pytest.raises(ValueError, match="OM254"):
            convert(nlp, path, format)


def test_command_reads_other_encodings(tmp_path: Path):
    path, output = tmp_path / "a.pubtator", tmp_path / "out.spacy"
    path.write_bytes(PUBTATOR.replace("Aspirin", "Ménière").encode("cp1252"))
    args = ["convert", str(path), str(output)]
    result = CliRunner().invoke(openmed_cli, args)
    assert "OM255" in result.output
    assert CliRunner().invoke(openmed_cli, [*args, "--encoding", "cp1252"]).exit_code == 0
    (doc, _) = DocBin().from_disk(output).get_docs(spacy.blank("en").vocab)
    assert doc[0].text == "Ménière"
    assert "OM009" in CliRunner().invoke(openmed_cli, [*args, "--encoding", "cp999"]).output


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_of_corpora(nlp, tmp_path, encoding):
    path = tmp_path / "a.pubtator"
    path.write_bytes(PUBTATOR.encode(encoding))
    assert detect_format(path) == "pubtator"
    (doc, changes), _ = convert(nlp, path, "pubtator")
    assert [ent.text for ent in doc.ents] == ["Aspirin", "asthma"]
    assert not changes


def test_byte_order_mark_of_brat_texts(nlp, tmp_path):
    (tmp_path / "a.txt").write_bytes("Gout".encode("utf-8-sig"))
    (tmp_path / "a.ann").write_bytes("T1\tDisease 0 4\tGout\n".encode("utf-8-sig"))
    ((doc, changes),) = convert(nlp, tmp_path, "brat")
    assert ([ent.text for ent in doc.ents], changes) == (["Gout"], {})
