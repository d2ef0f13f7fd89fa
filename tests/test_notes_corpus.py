"""The notes corpus: its markup, checks and formats."""

import json
from pathlib import Path

import notes_plain
import pytest
import typer
from notes_codes import ALL, NoteCode, add_counts, find_code_faults, read_note_codes
from notes_counts import read_plain
from notes_formats import WRITERS
from spacy.tokens import DocBin
from spacy.vocab import Vocab

import notes_corpus as corpus

HEADER = "=== nursing-z01 | general medicine | UK | F 67\n"
BODY = """{patient.last}, {patient.first}  seen {date}
c/o [[SOB|P]], no [[chest pain|P no]]. h/o [[breast cancer|P past Z85.3]].
[[Lasix|B stopped]] [[40 mg|DO]] [[PO|RO]]. Signed: {dr1.initial}, for {PATIENT.LAST}
"""


@pytest.fixture
def make_note(tmp_path):
    def make(body: str, header: str = HEADER) -> corpus.Note:
        path = tmp_path / "nursing" / "train-z.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(header + body, encoding="utf8")
        return corpus.read_file(path)[0]

    return make


def test_markup_becomes_spans(make_note):
    text = corpus.annotate(make_note(BODY))
    spans = [(text.text[s.start : s.end], *s[2:]) for s in text.entities]
    assert spans == [
        ("SOB", "PROBLEM", "PRESENT", None, False),
        ("chest pain", "PROBLEM", "ABSENT", None, False),
        ("breast cancer", "PROBLEM", "HISTORICAL", "Z85.3", False),
        ("Lasix", "DRUG", "STOPPED", None, True),
        ("40 mg", "DOSE", None, None, False),
        ("PO", "ROUTE", None, None, False),
    ]


def test_a_placeholder_has_one_value_in_a_note_and_another_with_another_seed(make_note):
    note = make_note(BODY)
    names = set()
    for seed in range(5):
        text = corpus.annotate(note, seed)
        values = [text.text[s.start : s.end] for s in text.identifiers]
        assert [s.label for s in text.identifiers] == [*["PERSON"] * 2, "DATE", *["PERSON"] * 2]
        assert values[4] == values[0].upper()
        assert text == corpus.annotate(note, seed)
        names.add(values[0])
    assert len(names) > 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[[fever|X]]", "unknown tag"),
        ("[[fever|P never]]", "takes no 'never'"),
        ("[[ fever|P]]", "begin or end with a space"),
        ("[[fever.|P]]", "end with punctuation"),
        ("[[fever|P", "unpaired"),
        ("[[gout|P no M10.9]]", "takes no code"),
        ("[[gout|P Q99.99]]", "not in ICD-10-CM"),
        ("seen by {doctor}", "unknown placeholder"),
        ("seen by {dr1.nickname}", "unknown form of a name"),
        ("seen on {date:german}", "unknown format of a date"),
        ("call {phone+1}", "takes an offset"),
        ("seen on {date+9999999}", "too far"),
        ("[[Dr {dr1} syndrome|P]]", "may not hold a placeholder"),
    ],
)
def test_faults_are_found_and_named_by_line(make_note, body, message):
    if "ICD" in message:
        pytest.importorskip("simple_icd_10_cm")
    faults = corpus.find_faults([make_note(f"first line\n{body}\n")])
    assert [(fault.line, message in fault.message) for fault in faults] == [(3, True)]


def test_two_notes_share_no_two_long_lines(tmp_path):
    lines = [f"{word} ward round with the whole team and the family present" for word in "ABC"]
    path = tmp_path / "nursing" / "train-z.txt"
    path.parent.mkdir()
    second = HEADER.replace("z01", "z02")
    path.write_text(f"{HEADER}{lines[0]}\n{lines[1]}\n{second}{lines[0]}\n{lines[2]}\n")
    assert not corpus.find_faults(corpus.read_file(path))
    path.write_text(f"{HEADER}{lines[0]}\n{lines[1]}\n{second}{lines[0]}\n{lines[1]}\n")
    assert "shares 2 long lines" in corpus.find_faults(corpus.read_file(path))[0].message


def test_a_run_of_words_of_another_text_is_found(make_note, tmp_path):
    said = "the patient was seen in clinic today after a fall from a ladder at home on Sunday"
    (tmp_path / "other.jsonl").write_text(json.dumps({"text": f"Note. {said} and he was fine."}))
    faults = corpus.find_copies([make_note(f"Seen late. {said}, no loss.")], tmp_path)
    assert "copies: 'the patient was seen" in faults[0].message
    assert not corpus.find_copies([make_note("Seen late after a fall from a ladder.")], tmp_path)


def test_a_stock_phrase_does_not_excuse_the_words_around_it(make_note, tmp_path):
    stock = "was seen in consultation at the request of Dr"
    said = "a tall man fell off a ladder at home on Sunday and could not get up again"
    row = json.dumps({"text": f"He {stock}. Odd\u2028: {said}"}, ensure_ascii=False)
    (tmp_path / "other.jsonl").write_text(row, encoding="utf8")
    faults = corpus.find_copies([make_note(f"He {stock}. Odd: {said}")], tmp_path)
    assert "copies: 'odd a tall man" in faults[0].message
    assert not corpus.find_copies([make_note(f"He {stock}. Odd: a boy")], tmp_path)


def test_comparison_needs_the_texts_of_the_assets(tmp_path):
    assert read_plain(tmp_path) == []
    with pytest.raises(SystemExit):
        notes_plain.main(tmp_path)
    assert not (tmp_path / "notes_plain").exists()


def test_repeats_that_are_not_marked_are_found(make_note):
    note = make_note("[[gout|P]] again. No gouty tophi. Known gout since youth.")
    assert corpus.find_unmarked(note) == ["gout"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("=== nursing-z1 | ward | UK\n", "malformed header"),
        ("=== nursing-y1 | ward | UK | -\n", "does not fit"),
        ("text\n=== nursing-z1 | ward | UK | -\n", "before the first header"),
    ],
)
def test_malformed_files_are_refused(make_note, header, message):
    with pytest.raises(ValueError, match=message):
        make_note("text", header)


def test_formats_agree_on_the_entities(make_note, tmp_path):
    note = make_note(BODY)
    text = corpus.annotate(note)
    for write in WRITERS.values():
        write(tmp_path, "train", [(note, text)])
    expected = [(text.text[s.start : s.end], s.label) for s in text.entities]
    row = json.loads((tmp_path / "train.jsonl").read_text(encoding="utf8"))
    assert [(row["text"][a:b], label) for a, b, label in row["entities"]] == expected
    doc = next(DocBin().from_disk(tmp_path / "train.spacy").get_docs(Vocab()))
    assert [(ent.text, ent.label_) for ent in doc.ents] == expected
    assert [span.label_ for span in doc.spans["icd10cm"]] == ["Z85.3"]
    ann = (tmp_path / "train" / "nursing-z01.ann").read_text(encoding="utf8")
    rows = [line.split("\t") for line in ann.splitlines() if line.startswith("T")]
    assert [(row[2], row[1].split()[0]) for row in rows][: len(expected)] == expected
    iob = (tmp_path / "train.iob").read_text(encoding="utf8")
    assert "chest\tB-PROBLEM\npain\tI-PROBLEM\n" in iob


def test_brat_has_a_piece_for_each_line_that_is_not_empty(make_note, tmp_path):
    note = make_note("[[chest\n\npain|P]]")
    WRITERS["brat"](tmp_path, "train", [(note, corpus.annotate(note))])
    ann = (tmp_path / "train" / "nursing-z01.ann").read_text(encoding="utf8")
    assert "T1\tPROBLEM 0 5;7 11\t" in ann


def test_standoff_spans_come_from_a_marked_copy():
    text = "Denies fever.\nOn Lasix 40 mg."
    spans = corpus.make_standoff("Denies [[fever|P no]].\nOn [[Lasix|B]] [[40 mg|DO]].", text)
    assert [text[s.start : s.end] for s in spans] == ["fever", "Lasix", "40 mg"]
    with pytest.raises(ValueError, match="differs at character 7: 'Denies Fever"):
        corpus.make_standoff("Denies [[Fever|P no]].\nOn Lasix 40 mg.", text)


def test_agreement_counts_spans_that_are_the_same(make_note):
    note = make_note("[[gout|P M10.9]] and [[left knee pain|P]], on [[Zyloprim|B]]")
    second = {note.id: "[[gout|P past]] and left [[knee pain|P]], on [[Zyloprim|B]]"}
    assert corpus.score_agreement([note], second) == {
        "PROBLEM": (2, 2, 1),
        "DRUG": (1, 1, 1),
        "assertion of PROBLEM": (1, 1, 0),
        "assertion of DRUG": (1, 1, 1),
        "ICD-10-CM": (1, 0, 0),
    }
    with pytest.raises(ValueError, match=f"{note.id}: the copy differs"):
        corpus.score_agreement([note], {note.id: "gout and knee pain"})


def test_texts_of_standoff_annotation_come_from_the_assets(tmp_path, monkeypatch):
    table = 'ID,section_header,section_text,dialogue\n7,CC,"Gout,  again.",x\n8,CC,Cough.,x\n'
    (tmp_path / "MTS-Dialog-TrainingSet.csv").write_text(table, encoding="utf8")
    notes_plain.main(tmp_path)
    text = "Gout,  again."
    row = {
        "id": "mts-train-7",
        "split": "dev",
        "sha256": corpus.fingerprint(text),
        "entities": [[0, 4, "PROBLEM", "PRESENT", None, False]],
    }
    other = {**row, "id": "mts-train-99"}  # a text that is not at hand
    standoff = tmp_path / "standoff"
    standoff.mkdir()
    lines = f"{json.dumps(row)}\n{json.dumps(other)}\n"
    (standoff / "dev.jsonl").write_text(lines, encoding="utf8")
    monkeypatch.setattr(corpus, "STANDOFF", standoff)
    monkeypatch.setenv("OPENMED_CORPORA", str(tmp_path))
    [(id, found)] = corpus.read_standoff("dev")
    assert (id, found.text, found.entities[0].label) == ("mts-train-7", text, "PROBLEM")
    (standoff / "dev.jsonl").write_text(lines.replace(row["sha256"], "0"), encoding="utf8")
    with pytest.raises(ValueError, match="another one"):
        corpus.read_standoff("dev")


def test_real_sections_have_no_test_split(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import notes

    with pytest.raises(typer.BadParameter, match="no test part"):
        notes.main(split="test", standoff=True)


def test_faults_in_the_codes_of_whole_notes(make_note, tmp_path):
    pytest.importorskip("simple_icd_10_cm")
    note = make_note(BODY)
    rows = [
        (note.id, "Z85.3", "history", "h/o breast cancer"),
        (note.id, "I50.9|I50", "diagnosis", "SOB"),
        (note.id, "R06.02", "complaint", "SOB"),
        (note.id, "R07.9", "symptom", "crushing chest pain"),
        ("nursing-z99", "I10", "diagnosis", "HTN"),
    ]
    path = tmp_path / "codes" / "train.tsv"
    path.parent.mkdir()
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf8")
    assert [fault.message for fault in find_code_faults([note], tmp_path)] == [
        f"{note.id}: I50 is not a code to report",
        f"{note.id}: unknown class complaint",
        f"{note.id}: the evidence of R07.9 is not in the note",
        "no note of this split has the id nursing-z99",
    ]
    path.write_text(f"{note.id}\tI10\n", encoding="utf8")
    [fault] = find_code_faults([note], tmp_path)
    assert "expected 4 columns" in fault.message


def test_a_note_without_codes_has_an_empty_list(tmp_path):
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "dev.tsv").write_text(
        "letter-v01\tI10\tdiagnosis\tHTN\nletter-v02\t-\t-\t-\n", encoding="utf8"
    )
    assert read_note_codes("dev", tmp_path) == {
        "letter-v01": [NoteCode(("I10",), "diagnosis", "HTN")],
        "letter-v02": [],
    }


def test_each_of_several_codes_is_right_and_a_wrong_one_counts_in_its_own_class():
    gold = [
        NoteCode(("E11.40", "E11.42"), "diagnosis", "T2DM w/ neuropathy"),
        NoteCode(("R05.9",), "symptom", "cough"),
        NoteCode(("Z79.4",), "status", "Lantus"),
    ]
    scores = {}
    add_counts(scores, {"E11.42", "E11.40", "R05.9", "Z79.84", "I10"}, gold)
    counts = {name: (prf.tp, prf.fp, prf.fn) for name, prf in scores.items()}
    assert counts == {
        "diagnoses": (1, 1, 0),
        "symptoms": (1, 0, 0),
        "status and history": (0, 1, 1),
        "family and other": (0, 0, 0),
        ALL: (2, 2, 1),
    }
