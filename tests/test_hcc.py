"""`openmed_hcc`, the patient's report, and the command."""

import csv
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import ignore_error
from typer.testing import CliRunner

for package in ("hccinfhir", "negspacy", "simple_icd_10_cm", "sklearn"):
    pytest.importorskip(package)

from spacy_openmed.batch.hcc import read_notes, report_patients
from spacy_openmed.cli import openmed_cli
from spacy_openmed.hcc.component import add_hcc_pipes
from spacy_openmed.hcc.icd10cm import read_vocabulary
from spacy_openmed.hcc.patterns import alias_patterns
from spacy_openmed.hcc.report import patient_report
from spacy_openmed.hcc.report_files import to_html
from spacy_openmed.hcc.risk import MODELS, calculate, clean_demographic, find_hccs

NOTES = Path(__file__).parent.parent / "examples" / "hcc_notes.jsonl"
PATTERNS = [
    {"label": "DISEASE", "pattern": text}
    for text in (
        "heart failure",
        "CHF",
        "CKD",
        "MI",
        "pneumonia",
        "breast cancer",
        "diabetes",
        "osteomyelitis",
        "zzyzx",
    )
] + [{"label": "CHEMICAL", "pattern": "insulin"}, {"label": "Cancer", "pattern": "melanoma"}]


def make_nlp(**settings) -> Language:
    """A pipeline whose entities are known."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    nlp.add_pipe("openmed_context")
    nlp.add_pipe("openmed_hcc", config=settings)
    return nlp


@pytest.fixture(scope="module")
def nlp() -> Language:
    return make_nlp()


def codes(doc: Doc) -> list[str]:
    return [found["code"] for found in doc._.hcc]


def test_code_with_evidence(nlp: Language):
    doc = nlp("She feels well. CHF is stable.")
    [found] = doc._.hcc
    assert found == {
        "code": "I50.9",
        "description": "Heart failure, unspecified",
        "score": 1.0,
        "how": "alias",
        "hcc_v24": ["85"],
        "hcc_v28": ["226"],
        "start": 16,
        "end": 19,
        "sentence": [16, 30],
        "historical": False,
        "symptom": False,
        "rule": "",
    }
    assert [candidate["code"] for candidate in doc.ents[0]._.icd10cm] == ["I50.9"]


def test_candidates_of_a_name_that_is_not_known(nlp: Language):
    doc = nlp.make_doc("failure of the left cardiac ventricle")
    doc.ents = [Span(doc, 0, len(doc), "DISEASE")]
    candidates = nlp.get_pipe("openmed_hcc")(doc).ents[0]._.icd10cm
    assert len({candidate["code"] for candidate in candidates}) == len(candidates) == 5


@pytest.mark.parametrize(
    "text",
    [
        "No evidence of pneumonia.",
        "She denies diabetes.",
        "No family history of diabetes.",
        "Her husband had a melanoma.",
        "Rule out MI.",
        "Return if you develop pneumonia.",
    ],
)
def test_no_code_of_what_is_not_the_patients(nlp: Language, text: str):
    doc = nlp(text)
    assert len(doc.ents) == 1
    assert doc._.hcc == doc._.hcc_unlinked == []


def test_planted_notes_give_no_code_of_a_distractor():
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    rows = [json.loads(line) for line in NOTES.read_text(encoding="utf8").splitlines()]
    assert len(rows) >= 20
    n_found = 0
    for row, doc in zip(rows, nlp.pipe(row["text"] for row in rows), strict=True):
        found = set(codes(doc))
        assert not found & set(row["distractors"]), row["patient"]
        n_found += len(found & set(row["codes"]))
        for each in doc._.hcc:
            start, end = each["sentence"]
            assert start <= each["start"] < each["end"] <= end
    assert n_found > sum(len(row["codes"]) for row in rows) / 2


def test_historical_is_kept_and_flagged(nlp: Language):
    [found] = nlp("History of breast cancer.")._.hcc
    assert found["historical"]
    assert found["code"] == "Z85.3"  # "history of" belongs to the name of the code
    [found] = nlp("Past medical history: CHF")._.hcc
    assert (found["code"], found["historical"]) == ("I50.9", True)


def test_mention_takes_in_the_words_of_the_name(nlp: Language):
    doc = nlp("Diagnoses: CKD stage 3b, acute on chronic diastolic heart failure.")
    assert codes(doc) == ["N18.32", "I50.33"]
    assert [doc.text[f["start"] : f["end"]] for f in doc._.hcc] == [
        "CKD stage 3b",
        "acute on chronic diastolic heart failure",
    ]


def test_a_part_of_a_longer_name_is_not_listed_again(nlp: Language):
    doc = nlp.make_doc("Type 2 diabetes with neuropathy.")
    doc.ents = [Span(doc, 0, 3, "DISEASE"), Span(doc, 4, 5, "DISEASE")]
    doc = nlp.get_pipe("openmed_hcc")(doc)
    assert codes(doc) == ["E11.40"]
    assert doc.ents[1]._.icd10cm


def test_labels(nlp: Language):
    assert codes(nlp("Insulin and insulin for melanoma.")) == ["C43.9"]
    assert codes(make_nlp(labels=["CANCER"])("melanoma and CHF")) == ["C43.9"]


def test_span_groups_are_read(nlp: Language):
    doc = nlp.make_doc("Breast tumour of the CHF patient, no CKD")
    doc.spans["openmed"] = [Span(doc, 4, 5, "DISEASE"), Span(doc, 8, 9, "DISEASE")]
    doc.set_ents([])
    for name in ("openmed_context", "openmed_hcc"):
        doc = nlp.get_pipe(name)(doc)
    assert codes(doc) == ["I50.9"]
    assert doc.spans["openmed"][0]._.icd10cm


def test_abstention(nlp: Language):
    doc = nlp("She has zzyzx.")
    assert doc._.hcc == []
    [unlinked] = doc._.hcc_unlinked
    assert doc.text[unlinked["start"] : unlinked["end"]] == "zzyzx"
    assert all(candidate["score"] < 0.1 for candidate in unlinked["candidates"])
    assert codes(make_nlp(threshold=0.0)("She has zzyzx."))


@pytest.mark.slow
def test_own_aliases():
    nlp = make_nlp(aliases={"zzyzx": "J18.9"})
    assert codes(nlp("zzyzx")) == ["J18.9"]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "No entity."])
def test_nothing_to_link(nlp: Language, text: str):
    doc = nlp(text)
    assert doc._.hcc == doc._.hcc_unlinked == []


def test_threshold_out_of_range():
    with pytest.raises(ValueError, match="OM011"):
        make_nlp(threshold=1.1)


def test_report_of_documents_of_another_process(nlp: Language):
    doc = nlp("CHF is stable.")
    Doc.remove_extension("hcc")
    assert [row["code"] for row in patient_report([doc])["codes"]] == ["I50.9"]


@pytest.mark.slow
def test_warns_without_context(run_python: Callable[..., str]):
    code = (
        "import warnings, spacy\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('entity_ruler').add_patterns([{'label': 'DISEASE', 'pattern': 'CHF'}])\n"
        "nlp.add_pipe('openmed_hcc')\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    docs = list(nlp.pipe(['CHF'] * 2))\n"
        "found = [str(w.message)[:7] for w in caught if 'OM' in str(w.message)]\n"
        "print(found, docs[1]._.hcc[0]['code'])"
    )
    assert run_python(code) == "['[OM912]'] I50.9\n"


# Saving


@pytest.mark.slow
def test_saved_pipeline_in_a_fresh_process(
    nlp: Language, tmp_path: Path, run_python: Callable[..., str]
):
    nlp.to_disk(tmp_path / "nlp")
    code = (
        "import sys, spacy\n"
        "sys.modules['simple_icd_10_cm'] = None\n"  # the vocabulary is in the pipeline
        "doc = spacy.load(sys.argv[1])('CHF, no pneumonia. Stenosis of the renal artery')\n"
        "print([found['code'] for found in doc._.hcc])"
    )
    assert run_python(code, tmp_path / "nlp") == "['I50.9']\n"


@pytest.mark.slow
def test_bytes():
    data = make_nlp(aliases={"zzyzx": "J18.9"}).get_pipe("openmed_hcc").to_bytes()
    other = make_nlp()
    other.get_pipe("openmed_hcc").from_bytes(data)
    assert codes(other("zzyzx")) == ["J18.9"]


@pytest.mark.slow
def test_two_processes(nlp: Language):
    texts = ["CHF and CKD stage 4.", "No pneumonia.", "History of MI."] * 2
    expected = [doc._.hcc for doc in nlp.pipe(texts)]
    assert [doc._.hcc for doc in nlp.pipe(texts, n_process=2, batch_size=2)] == expected


def test_component_without_its_extra(run_python: Callable[..., str]):
    code = (
        "import sys, spacy\n"
        "sys.modules['simple_icd_10_cm'] = None\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('entity_ruler').add_patterns([{'label': 'DISEASE', 'pattern': 'CHF'}])\n"
        "nlp.add_pipe('openmed_context')\n"
        "nlp.add_pipe('openmed_hcc')\n"
        "try: nlp('CHF')\n"
        "except ImportError as error: print(error)"
    )
    printed = run_python(code)
    assert "OM002" in printed
    assert "spacy-openmed[hcc]" in printed


def test_import_is_light(run_python: Callable[..., str]):
    code = (
        "import sys, spacy_openmed.hcc\n"
        "heavy = ('sklearn', 'hccinfhir', 'simple_icd_10_cm', 'negspacy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert run_python(code) == "[]\n"


# The report


def test_report(nlp: Language):
    docs = [nlp("CHF is stable. Past medical history: osteomyelitis"), nlp("CHF. She has zzyzx.")]
    report = patient_report(docs, patient="7", demographics={"age": 70, "sex": "F"})
    assert "review" in report["notice"]
    rows = {row["code"]: row for row in report["codes"]}
    assert {code: row["counted"] for code, row in rows.items()} == {"M86.9": False, "I50.9": True}
    evidence = rows["I50.9"]["evidence"]
    assert [e["document"] for e in evidence] == [0, 1]
    assert all(e["mention"] == "CHF" and e["sentence"].startswith("CHF") for e in evidence)
    assert [e["mention"] for e in report["unlinked"]] == ["zzyzx"]
    v28 = report["models"]["v28"]
    [row] = v28["hccs"]
    assert (row["hcc"], row["codes"]) == ("226", ["I50.9"])
    assert v28["raf"] == pytest.approx(sum(v28["coefficients"].values()), abs=1e-3)
    assert json.loads(json.dumps(report)) == report
    with_history = patient_report(docs, demographics={"age": 70, "sex": "F"}, historical=True)
    assert {row["hcc"] for row in with_history["models"]["v28"]["hccs"]} == {"226", "92"}
    assert with_history["models"]["v28"]["raf"] > v28["raf"]


def test_no_risk_score_without_demographics(nlp: Language):
    v24 = patient_report([nlp("CHF")])["models"]["v24"]
    assert v24["raf"] is None
    assert [row["hcc"] for row in v24["hccs"]] == ["85"]


def test_hierarchies():
    found = calculate(["E11.9", "E11.22"], "v24")["hccs"]
    assert [(row["hcc"], row["codes"]) for row in found] == [("18", ["E11.22"])]


def test_demographics_that_are_none(nlp: Language):
    with pytest.raises(ValueError, match="OM555"):
        patient_report([nlp("CHF")], demographics={"age": "old", "sex": "F"})


@pytest.mark.parametrize(
    ("field", "value", "clean"),
    [
        *(("sex", "Female", "F"), ("sex", 1, "M"), ("orec", 1, "1"), ("orec", 1.0, "1")),
        *(("dual_elgbl_cd", "2", "02"), ("age", "70", 70), ("age", float("nan"), None)),
    ],
)
def test_demographics_as_they_are_written(field: str, value: object, clean: object):
    assert clean_demographic(field, value) == clean


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        *(("age", 170, "OM555"), ("age", -1, "OM555"), ("sex", "unknown", "OM556")),
        *(("dual_elgbl_cd", "77", "OM556"), ("orec", 7, "OM556")),
    ],
)
def test_impossible_demographics(field: str, value: object, code: str):
    with pytest.raises(ValueError, match=code):
        clean_demographic(field, value)


def test_document_that_was_not_looked_at(nlp: Language):
    with pytest.raises(ValueError, match="OM552"):
        patient_report([nlp.make_doc("CHF")])


@pytest.mark.parametrize(("model", "version"), [("v24", "24"), ("v28", "28")])
def test_hccinfhir_against_hccpy(model: str, version: str):
    with warnings.catch_warnings():  # pkg_resources, which hccpy imports, is deprecated
        warnings.simplefilter("ignore")
        from hccpy.hcc import HCCEngine

        engine = HCCEngine(version)
    rng = random.Random(0)
    known = [c.replace(".", "") for c in read_vocabulary().codes if find_hccs(c, model)]
    known = sorted(set(known) & set(engine.dx2cc))
    n_same = 0
    for _ in range(50):
        chosen = rng.sample(known, 4)
        ours = {row["hcc"] for row in calculate(chosen, model, {"age": 70, "sex": "F"})["hccs"]}
        theirs = engine.profile(chosen, age=70, sex="F", elig="CNA")["hcc_lst"]
        names = {name.removeprefix("HCC") for name in theirs}
        n_same += ours == {name for name in names if name.isdigit()}
    assert n_same >= 48


def test_models():
    assert set(MODELS) == {"v24", "v28"}
    assert find_hccs("I50.9", "v28") == ["226"]
    assert find_hccs("I10", "v28") == []
    for function in (find_hccs, lambda code, model: calculate([code], model)):
        with pytest.raises(ValueError, match="OM554"):
            function("I10", "v22")


def test_alias_patterns():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())
    found = [ent.text for ent in nlp("Breast Cancer, MI, T2DM; 98% on RA, mi casa, Pe: clear").ents]
    assert found == ["Breast Cancer", "MI", "T2DM"]


def test_no_alias_that_is_another_word_in_its_case():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())
    other = "Not as severe as before. History of all stays. Seen as spondylitis. Total IgE 90."
    assert not nlp(other).ents
    other = (
        "PCA pump, VAD clinic, CHL on the left, tai chi, pots, images in PACS, pls call, the gist."
    )
    assert not nlp(other).ents
    found = nlp("Severe AS, history of ALL, PCa, VaD, frequent PACs, GIST").ents
    assert [ent.text for ent in found] == [
        "Severe AS",
        "history of ALL",
        "PCa",
        "VaD",
        "PACs",
        "GIST",
    ]


# The command


def run(*args: object, input: str | None = None) -> list[dict]:
    result = CliRunner().invoke(openmed_cli, ["hcc", *map(str, args)], input=input)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def fail(*args: object) -> str:
    result = CliRunner().invoke(openmed_cli, ["hcc", *map(str, args)])
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def pipeline(nlp: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nlp")
    nlp.to_disk(folder)
    return folder


def test_command_gives_one_report_a_patient(pipeline: Path, tmp_path: Path):
    notes = tmp_path / "notes.jsonl"
    rows = [
        {"patient": 7, "age": 70, "sex": "F", "text": "CHF, no pneumonia."},
        {"patient": 8, "text": "Father had CHF."},
        {"patient": 7, "text": "CKD stage 4"},
    ]
    notes.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    first, second = run(notes, "--pipeline", pipeline)
    assert (first["patient"], second["patient"]) == ("7", "8")
    assert {row["code"] for row in first["codes"]} == {"I50.9", "N18.4"}
    assert first["models"]["v28"]["raf"] > 0
    assert [(row["code"], row["hcc_v28"]) for row in second["codes"]] == [("Z82.49", [])]
    assert second["models"]["v28"]["raf"] is None


@pytest.mark.slow
def test_command_with_the_bundled_model(tmp_path: Path):
    (tmp_path / "kim.txt").write_text("Type 2 diabetes. No sign of pneumonia.", encoding="utf8")
    output = tmp_path / "reports.jsonl"
    assert run(tmp_path, "--output", output) == []
    report = json.loads(output.read_text(encoding="utf8"))
    assert report["patient"] == "kim"
    assert [row["code"] for row in report["codes"]] == ["E11.9"]


def test_command_says_where_its_reports_are(pipeline: Path, tmp_path: Path):
    (tmp_path / "kim.txt").write_text("CHF.", encoding="utf8")
    args = ["hcc", str(tmp_path), "-P", str(pipeline), "-o", str(tmp_path / "out.jsonl")]
    result = CliRunner().invoke(openmed_cli, args)
    assert result.stdout == ""
    assert "Wrote 1 report to" in result.stderr


def test_command_reads_standard_input(pipeline: Path):
    [report] = run(
        "-", "-P", pipeline, "--historical", input='{"text": "Past medical history: CHF"}\n'
    )
    assert [row["counted"] for row in report["codes"]] == [True]


def test_command_threshold(pipeline: Path):
    [report] = run("-", "-P", pipeline, "-t", "0", input='{"text": "zzyzx"}')
    assert report["unlinked"] == []


@pytest.fixture
def table() -> list[dict]:
    first = {"patient": "7", "note": "n1", "date": "2024-05-01", "age": 70, "sex": "Female"}
    return [
        {**first, "text": "CHF, stable on <b>Lasix</b>."},
        {**first, "note": "n2", "date": "2024-06-01", "text": "= diabetes"},
    ]


def write_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", encoding="utf8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_command_reads_csv_and_parquet(pipeline: Path, tmp_path: Path, table: list[dict]):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    parquet.write_table(pa.Table.from_pylist(table), tmp_path / "notes.parquet")
    for path in (write_csv(tmp_path / "notes.csv", table), tmp_path / "notes.parquet"):
        [report] = run(path, "-P", pipeline)
        evidence = report["codes"][1]["evidence"][0]
        assert (evidence["note"], evidence["date"]) == ("n1", "2024-05-01")
        assert report["models"]["v28"]["raf"] > 0


def test_command_writes_a_table_for_coders(pipeline: Path, tmp_path: Path, table: list[dict]):
    pytest.importorskip("pyarrow")
    path = write_csv(tmp_path / "notes.csv", table)
    result = CliRunner().invoke(openmed_cli, ["hcc", str(path), "-P", str(pipeline), "--to", "csv"])
    assert result.exit_code == 0, result.output
    diabetes, chf = csv.DictReader(result.stdout.splitlines())
    assert (chf["code"], chf["date"], chf["note"]) == ("I50.9", "2024-05-01", "n1")
    assert (chf["hcc_v28"], chf["context"], chf["assessed"]) == ("226", "present", "stable")
    assert diabetes["sentence"] == "'= diabetes"  # no formula


def test_command_writes_a_page(pipeline: Path, tmp_path: Path, table: list[dict]):
    pytest.importorskip("pyarrow")
    output = tmp_path / "report.html"
    run(write_csv(tmp_path / "notes.csv", table), "-P", pipeline, "-o", output)
    page = output.read_text(encoding="utf8")
    assert "<mark>CHF</mark>, stable on &lt;b&gt;Lasix&lt;/b&gt;." in page
    assert "review" in page
    assert "http" not in page


def test_page_quotes_a_mention_that_goes_on_in_the_next_sentence(nlp: Language):
    doc = nlp.make_doc("She has heart failure.")
    for token in doc:
        token.is_sent_start = token.text in ("She", "failure")
    doc.set_ents([Span(doc, 2, 4, "DISEASE")])
    report = patient_report([nlp.get_pipe("openmed_hcc")(doc)])
    assert "She has <mark>heart</mark>” (" in to_html([report], "")


def test_command_without_notes(tmp_path: Path):
    assert "[OM379]" in fail(tmp_path)


def test_notes_that_can_not_be_read(tmp_path: Path):
    lines = {
        b'{"patient": "a", "text": ["secret"]}': ("a", "OM378"),
        b'{"patient": "b", "note": "secret"}': ("b", "OM378"),
        b'{"patient": "c", "text": "secret \\udead"}': ("c", "OM308"),
        b'{"patient": "d", "text": "secret \xff"}': ("d", "OM302"),
        b'{"text": "secret': (None, "OM378"),
        b'["secret"]': (None, "OM378"),
        b"[" * 100_000: (None, "OM378"),
    }
    path = tmp_path / "notes.jsonl"
    path.write_bytes(b"\n\n".join([*lines, b'{"patient": "g", "text": "CHF"}']))
    *bad, good = read_notes(path)
    expected = [
        (patient or f"{path}:{2 * i + 1}", f"[{code}]")
        for i, (patient, code) in enumerate(lines.values())
    ]
    assert [(note["patient"], note["error"][:7]) for note in bad] == expected
    assert all(note.keys() == {"patient", "error"} for note in bad)
    assert "secret" not in str([note["error"] for note in bad])
    assert good == {"patient": "g", "text": "CHF"}


def test_notes_in_other_encodings(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes("CHF, é".encode("cp1252"))
    (tmp_path / "b.txt").write_bytes("CHF, é".encode("utf-16"))
    first, second = read_notes(tmp_path)
    assert (first["patient"], first["error"][:7]) == ("a", "[OM302]")
    assert second["text"] == "CHF, é"
    assert {note["text"] for note in read_notes(tmp_path, "cp1252")} == {"CHF, é"}
    with pytest.raises(ValueError, match="OM009"):
        list(read_notes(tmp_path, "cp999"))


def test_bad_patient_does_not_end_the_run(pipeline: Path):
    rows = [
        {"patient": "partly", "text": "CHF"},
        {"patient": "partly", "text": None},
        {"patient": "no age", "text": "secret", "age": "old", "sex": "F"},
        {"patient": "two ages", "text": "secret", "age": 7},
        {"patient": "two ages", "text": "secret", "age": 80},
        {"patient": "good", "text": "CHF"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    result = CliRunner().invoke(openmed_cli, ["hcc", "-", "-P", str(pipeline)], input=lines)
    assert result.exit_code == 3, result.output
    *bad, good = map(json.loads, result.stdout.splitlines())
    assert [(report["patient"], report["error"][:7]) for report in bad] == [
        ("partly", "[OM378]"),
        ("no age", "[OM555]"),
        ("two ages", "[OM380]"),
    ]
    assert all(report.keys() == {"patient", "error"} for report in bad)
    assert "secret" not in result.output
    assert [row["code"] for row in good["codes"]] == ["I50.9"]


def test_notes_without_a_patient_are_of_different_ones(tmp_path: Path):
    for name, lines in (
        ("a", '{"text": "x"}\n{"text": "y", "patient": null}'),
        ("b", '{"text": "z"}'),
    ):
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8-sig")
    for ward in "12":
        (tmp_path / ward).mkdir()
        (tmp_path / ward / "note.txt").write_text("", encoding="utf8")
    patients = [note["patient"] for note in read_notes(tmp_path)]
    assert len(patients) == len(set(patients)) == 5


def test_codes_are_counted_once_however_they_are_written():
    [hcc] = calculate(iter(["e119", "E119"]), "v28", {"age": 70, "sex": "F"})["hccs"]
    assert hcc["codes"] == ["E119"]


def test_number_of_candidates_out_of_range():
    with pytest.raises(ValueError, match="OM012"):
        make_nlp(n_candidates=0)


@pytest.mark.slow
def test_aliases_of_a_saved_pipeline(pipeline: Path):
    config = {"components": {"openmed_hcc": {"aliases": {"zzyzx": "J18.9"}}}}
    assert codes(spacy.load(pipeline, config=config)("zzyzx")) == ["J18.9"]


def test_no_report_without_a_note_that_the_pipeline_dropped():
    def fail(doc: Doc) -> Doc:
        raise KeyError(doc.text)

    Language.component("openmed_test_drops", func=fail)
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_test_drops")
    nlp.set_error_handler(ignore_error)
    [report] = report_patients([{"patient": "7", "text": "secret"}], nlp, historical=False)
    assert report["patient"] == "7"
    assert report["error"].startswith("[OM303]")


def test_a_report_of_documents_that_were_columns(nlp: Language):
    pa = pytest.importorskip("pyarrow", reason="needs the extra [batch]")
    from spacy_openmed.batch.columns import COLUMNS

    doc = nlp("1. Asthma. 2. Type 2 diabetes. Chest pain today. Blorbitis major.")
    again = nlp.make_doc(doc.text)
    for name in ("hcc", "hcc_unlinked"):
        column = COLUMNS[name]
        [rows] = pa.array([column.read(doc)], column.type).to_pylist()
        column.write(again, rows)
    assert patient_report([again]) == patient_report([doc])


@pytest.mark.parametrize("known", [{"age": 70}, {"sex": "F"}, {"age": None, "sex": "F"}, {}])
def test_without_age_or_sex_there_is_no_score(nlp: Language, known: dict):
    report = patient_report([nlp("CHF.")], demographics=known)
    assert [row["code"] for row in report["codes"]] == ["I50.9"]
    assert report["models"]["v28"]["raf"] is None


def test_the_age_at_the_last_visit_counts(nlp: Language):
    notes = [{"patient": "a", "text": "CHF.", "sex": "F", "age": age} for age in (70, 71)]
    [report] = report_patients(notes, nlp, historical=False)
    assert report["demographics"] == {"age": 71, "sex": "F"}


def test_a_note_without_a_text_is_an_error(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra [batch]")
    import pyarrow as pa

    rows = [{"patient": "a", "text": None}, {"patient": "b", "text": "CHF."}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "notes.parquet")
    first, second = read_notes(tmp_path / "notes.parquet")
    assert "OM301" in first["error"]
    assert second["text"] == "CHF."


def test_notes_of_nobody_are_not_of_one_patient(tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"patient": "", "text": "COPD"}\n{"patient": " ", "text": "CHF"}\n', "utf8")
    assert len({note["patient"] for note in read_notes(path)}) == 2
