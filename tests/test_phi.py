"""`openmed_phi`: the 18 identifiers, easy and hard, and the component in a pipeline."""

import json
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import srsly
from checkpoints import ODD_TEXTS
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, SpanGroup

pytest.importorskip("presidio_analyzer", reason="needs the extra [deid]")

import regex

from spacy_openmed.deid import deidentify
from spacy_openmed.deid.candidates import Candidate, resolve
from spacy_openmed.deid.clinical_words import read_words
from spacy_openmed.deid.identifiers import IDENTIFIERS, SMALL_ZIP3, generalise, may_stay
from spacy_openmed.deid.presidio import RULES
from spacy_openmed.labels import LABELS

# Identifier, text, and what of it has to go. The second of each is hard: no label before it, an odd
# form, or what Presidio's validators throw away.
NOTES = [
    ("name", "Patient: Rosalind Achterberg was seen today.", ["Rosalind Achterberg"]),
    ("name", "SIGNED BY: OKAFOR, CHIDI R. for dr. lund", ["OKAFOR, CHIDI R."]),
    ("name", "Dr. O'Malley-Huang agrees. Plan as O'Malley-Huang wrote.", ["O'Malley-Huang"]),
    (
        "geography",
        "Lives at 41 Marrow Lane, Apt. 6C, Tillingham.",
        ["41 Marrow Lane", "Tillingham"],
    ),
    (
        "geography",
        "Mail to P.O. Box 2207, Ashgrove, VT 05301.",
        ["P.O. Box 2207", "Ashgrove", "05301"],
    ),
    ("geography", "Found at 43.65321, -72.31877 without shoes.", ["43.65321, -72.31877"]),
    ("date", "Admitted 03/14/2021, discharged 2021-03-19.", ["03/14/2021", "2021-03-19"]),
    ("date", "Fell on March 4th; DOB: 1961; scan in Mar 2021.", ["March 4th", "1961", "Mar 2021"]),
    ("date", "Operated on the 9th of October, seen 11/23.", ["9th of October", "11/23"]),
    ("date", "A 93-year-old woman.", ["93"]),
    ("date", "Pleasant 101yo F. Her sister is ninety-four years old.", ["101", "ninety-four"]),
    ("phone", "Call 617-555-0148 before noon.", ["617-555-0148"]),
    ("phone", "Pager 40121, mother on (802) 555 0119 x 77.", ["40121", "(802) 555 0119 x 77"]),
    ("fax", "Fax: 617-555-0190", ["617-555-0190"]),
    ("fax", "Results faxed to (413)555-0123 at noon.", ["(413)555-0123"]),
    ("email", "Write to r.achterberg@example.com.", ["r.achterberg@example.com"]),
    (
        "email",
        "Write to ward7@hospital.local or nurse@icu2.",
        ["ward7@hospital.local", "nurse@icu2"],
    ),
    ("ssn", "SSN: 219-09-9999", ["219-09-9999"]),
    ("ssn", "His number 123-45-6789; soc sec no. 000 12 3456.", ["123-45-6789", "000 12 3456"]),
    ("medical_record", "MRN: 00482913", ["00482913"]),
    ("medical_record", "Med. Rec. No. is A-77-31-02, chart #55120.", ["A-77-31-02", "55120"]),
    ("health_plan", "Member ID: XQZ882100347", ["XQZ882100347"]),
    ("health_plan", "Medicare 1EG4-TE5-MK73, group no. 70-1135", ["1EG4-TE5-MK73", "70-1135"]),
    ("account", "Account number 4410029837", ["4410029837"]),
    (
        "account",
        "Paid from acct ending in 8821, card 1234 5678 1234 5678.",
        ["8821", "1234 5678 1234 5678"],
    ),
    ("date", "Ms. Lund is 93 and well. Age: 95.", ["93", "95"]),
    ("date", "Lena Fischer, 93, admitted with asthma.", ["93"]),
    ("license", "Medical license no. MA-118203", ["MA-118203"]),
    ("license", "DEA# BX9912345; driver's licence S99988801", ["BX9912345", "S99988801"]),
    ("vehicle", "VIN 1M8GDM9AXKP042788", ["1M8GDM9AXKP042788"]),
    ("vehicle", "Hit by a car with license plate 7ABX 113.", ["7ABX 113"]),
    ("device", "Pacemaker serial number PJN-884201", ["PJN-884201"]),
    (
        "device",
        "Pump S/N: 00-4471-K, UDI (01)00844588003288(17)141120",
        ["00-4471-K", "(01)00844588003288(17)141120"],
    ),
    (
        "url",
        "See https://portal.example.org/patient?id=4",
        ["https://portal.example.org/patient?id=4"],
    ),
    (
        "url",
        "Blog at www.walkingwithms.local and families.example/rosa",
        ["www.walkingwithms.local", "families.example/rosa"],
    ),
    ("ip", "Logged in from 192.168.4.27", ["192.168.4.27"]),
    (
        "ip",
        "From 2001:db8:85a3::8a2e:370:7334, then 10.0.0.999",
        ["2001:db8:85a3::8a2e:370:7334", "10.0.0.999"],
    ),
    ("biometric", "Fingerprint ID FP-88213", ["FP-88213"]),
    (
        "biometric",
        "Iris scan template stored as 7741-IR; voice-print no. 20V3",
        ["7741-IR", "20V3"],
    ),
    ("photograph", "Wound: see IMG_20814.JPG", ["IMG_20814.JPG"]),
    (
        "photograph",
        "Photo reference 55-0921, scan in pics/face_left.dcm",
        ["55-0921", "pics/face_left.dcm"],
    ),
    ("other", "Study subject 0042-117", ["0042-117"]),
    (
        "other",
        "Specimen barcode 77120034, badge: K2201, user name: r_acht_90",
        ["77120034", "K2201", "r_acht_90"],
    ),
]
PLAIN = (
    "Blood pressure 120/80, pulse 72, temperature 98.6. Takes metformin 500 mg twice daily and "
    "aspirin 81 mg. Patient is 98 kg and was 95% on air, pulse is 92. "
    "No pain.No rash; home 5 days.In bed. "
    "A 67-year-old with B12 deficiency, T4 normal, disc bulge at L4-L5."
)


@pytest.fixture(scope="module")
def nlp() -> Language:
    return make_nlp()


def make_nlp(**settings) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"domain": "privacy", "annotate": "spans"})
    nlp.add_pipe("openmed_phi", config=settings)
    return nlp


@pytest.fixture(scope="module")
def rules() -> Language:
    """Rules alone."""
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    return nlp


@pytest.fixture(scope="module")
def after_model() -> Language:
    """The rules, after a model whose finds are given."""
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi")
    return nlp


def rows(doc: Doc) -> list[tuple]:
    group = doc.spans["phi"]
    names = ("scores", "identifiers", "sources", "rules", "char_offsets")
    columns = [group.attrs[name] for name in names]
    return [(s.text, s.label_, *values) for s, *values in zip(group, *columns, strict=True)]


def found(doc: Doc) -> dict[str, str]:
    """The identifier of each text that is to go."""
    group = doc.spans["phi"]
    offsets, names = group.attrs["char_offsets"], group.attrs["identifiers"]
    return {doc.text[s:e]: name for (s, e), name in zip(offsets, names, strict=True)}


@pytest.mark.parametrize(("identifier", "text", "values"), NOTES)
def test_identifiers(nlp: Language, identifier: str, text: str, values: list[str]):
    doc = nlp(text)
    group = doc.spans["phi"]
    owners: dict[int, str] = {}
    for (start, end), name in zip(
        group.attrs["char_offsets"], group.attrs["identifiers"], strict=True
    ):
        owners |= dict.fromkeys(range(start, end), name)
    for value in values:
        start = text.index(value)
        where = [i for i in range(start, start + len(value)) if text[i].isalnum()]
        assert {owners.get(i) for i in where} == {identifier}, value


def test_each_identifier_has_easy_and_hard_notes():
    names = [name for name, *_ in NOTES]
    assert set(names) == set(IDENTIFIERS)
    assert len(IDENTIFIERS) == 18
    assert min(map(names.count, IDENTIFIERS)) >= 2


def test_every_label_is_canonical_and_of_one_identifier():
    labels = [label for group in IDENTIFIERS.values() for label in group]
    assert set(labels) <= set(LABELS)
    assert len(labels) == len(set(labels))


def test_what_is_no_identifier_stays(nlp: Language):
    assert rows(nlp(PLAIN)) == []


def test_attrs_are_in_step(nlp: Language):
    doc = nlp("Dr. Lund saw MRN:00482913 again.")
    (name, number) = rows(doc)
    assert name[:2] == ("Lund", "PERSON")
    assert name[3:5] == ("name", "model")
    assert name[5:] == ("", [4, 8])
    assert 0.5 < name[2] <= 1
    assert number[1:] == (
        "MEDICAL_RECORD_NUMBER",
        0.9,
        "medical_record",
        "rule",
        "MedicalRecordNumber",
        [17, 25],
    )


def test_names_are_found_again(nlp: Language):
    text = "Patient: Rosalind Achterberg. Plan: Achterberg to rest. ACHTERBERG agrees."
    last = rows(nlp(text))[-2:]
    assert [row[0] for row in last] == ["Achterberg", "ACHTERBERG"]


def test_names_are_found_again_by_rule():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    text = "Patient: Rosalind Achterberg. Achterberg rests."
    assert rows(nlp(text))[-1][:2] == ("Achterberg", "PERSON")
    assert rows(nlp(text))[-1][5] == "RepeatedName"
    nlp.get_pipe("openmed_phi").repeat_names = False
    assert found(nlp(text)) == {"Rosalind Achterberg": "name"}


def test_names_with_an_apostrophe_are_found_again(rules: Language):
    doc = rules("Dr. O'Brien came. Then O'Brien left, and Dr. Lund too.")
    assert [row[0] for row in rows(doc)] == ["O'Brien", "O'Brien", "Lund"]


CAPITALS = [
    (
        "DR. SMITH NOTED DIABETES MELLITUS, HYPERTENSION. DIABETES MELLITUS IS STABLE.",
        ["SMITH"],
    ),
    ("DR. JUAN R. DE LA CRUZ SAW HER. CRUZ", ["JUAN R. DE LA CRUZ", "CRUZ"]),
    ("PATIENT: OKAFOR, CHIDI R. HAS NO FEVER. NO FEVER", ["OKAFOR, CHIDI R."]),
    ("ATTENDING: DR. ANNA MARIA LOPEZ\nNO FEVER", ["ANNA MARIA LOPEZ"]),
    ("PATIENT: ANNA MARIA LOPEZ  DOB: YES", ["ANNA MARIA LOPEZ"]),
    ("NOTED AND SEEN BY ANNA LUND MD", ["ANNA LUND"]),
    ("Dr. ANNA MARIA LOPEZ PEREZ saw her. PEREZ", ["ANNA MARIA LOPEZ PEREZ", "PEREZ"]),
]


@pytest.mark.parametrize(("text", "expected"), CAPITALS)
def test_names_in_capitals_end(rules: Language, text: str, expected: list[str]):
    offsets = rules(text).spans["phi"].attrs["char_offsets"]
    assert [text[start:end] for start, end in offsets] == expected


# What of a text has to go, and what has to stay, by the rules alone.
BESIDE = [
    ("Seen by A.Ph. de Visser.", ["A.Ph. de Visser"], []),
    ("Dr. Lund wrote. Then J. Lund left.", ["Lund", "J. Lund"], []),
    ("Ordering: SANTOS-BRYCE, J", ["SANTOS-BRYCE, J"], ["Ordering"]),
    ("Nora Lindqvist, RN wrote. NL was calm.", ["Nora Lindqvist", "NL"], ["RN"]),
    ('Patient: Rosa Achterberg, "Sunny", is here.', ["Rosa Achterberg", "Sunny"], []),
    ("Report to Jae-won RN at seven.", ["Jae-won"], ["RN"]),
    ("Will, her grandson, agrees.", ["Will"], ["grandson"]),
    ("Mother Asthma. Daughters April and Summer came.", ["April", "Summer"], ["Asthma"]),
    ("Slept well.\nWY", ["WY"], []),
    ("Dictated RK/mm  dd 1/20/26", ["RK", "mm", "1/20/26"], ["dd"]),
    ("Verified by tech LSM today.", ["LSM"], ["tech"]),
    ("李小龙 came with Мария Иванова.", ["李小龙", "Мария Иванова"], ["came"]),
    ("\uff2e\uff4f\uff52\uff41 came.", ["\uff2e\uff4f\uff52\uff41"], []),
    ("seen by dr hollis today, dr to call", ["hollis"], ["to call"]),
    ("Mr. Lund came. Mr. Lund's wife and the Lunds left.", ["Lund", "Lunds"], ["'s"]),
    ("Works at Smith & Sons, lives in Coffey Nursing Home.", ["Smith & Sons", "Coffey"], []),
    ("HCN: 345 510 737, bleep 40121, p232.566.5079", ["345 510 737", "232.566.5079"], []),
    ("IG handle @sunny.d.finch", ["@sunny.d.finch"], ["handle"]),
    ("Seen New Year's Eve 2019, recheck Tues.", ["New Year's Eve 2019", "Tues"], []),
    ("Cultures of 31/3 grew, f/u 2-3 with us, 2-3 weeks.", ["31/3", "2-3"], ["2-3 weeks"]),
]


@pytest.mark.parametrize(("text", "gone", "kept"), BESIDE)
def test_rules_find_what_has_an_odd_format(
    rules: Language, text: str, gone: list[str], kept: list[str]
):
    left = "".join(leave(rules(text)))
    assert not [part for part in gone if part in left.replace("2-3 weeks", "")]
    assert all(part in left for part in kept)


def leave(doc: Doc) -> list[str]:
    """What is left of a text."""
    end, left = 0, []
    for start, stop in doc.spans["phi"].attrs["char_offsets"]:
        left += [doc.text[end:start], "_"]
        end = stop
    return [*left, doc.text[end:]]


STAYS = [
    "Pain 7/10, strength 4/5, BP 94/58, murmur 2/6, MIC <=8/4, ate 1/2 of it, 3/4 lunch.",
    "Entresto 24/26; Norco 5/325; Maxzide 37.5/25; Advair 250/50.",
    "Review in 2/52, antibiotics for 5/7. Vent 22/380/12/60.",
    "Prednisone taper 40-30-20-10.",
    "Diabetes, ME today stable. Echo, LA dilated. Headache, HI fever. Left Ankle, AL brace.",
    "Imaging: Brain, CT 70450 without contrast.",
    "Dialysis every Tuesday, Thursday and Saturday.",
]


@pytest.mark.parametrize("text", STAYS)
def test_scores_doses_and_durations_stay(rules: Language, text: str):
    assert found(rules(text)) == {}


def test_a_city_before_a_state_goes(rules: Language):
    assert list(found(rules("Lives in Ashgrove, VT with her son.\nBoston, MA 02115"))) == [
        *("Ashgrove", "Boston", "02115")
    ]


def make_model_doc(nlp: Language, text: str, *spans: tuple[str, str]) -> Doc:
    """A document in which a model has found these texts."""
    doc = nlp.make_doc(text)
    doc.spans["openmed"] = [
        doc.char_span(
            text.index(part), text.index(part) + len(part), label, alignment_mode="expand"
        )
        for part, label in spans
    ]
    return nlp.get_pipe("openmed_phi")(doc)


@pytest.mark.parametrize(
    ("text", "part", "label"),
    [
        ("Avoid Reglan and Haldol.", "Reglan", "PERSON"),
        ("Takes Advair Diskus daily.", "Advair Diskus", "ORGANIZATION"),
        ("Barlow negative, hips fine.", "Barlow", "PERSON"),
        ("Crohn disease; Montreal L1.", "Montreal", "LOCATION"),
        ("He called and she rang from home.", "rang", "PERSON"),
        ("Exam: Bence Jones negative.", "Bence", "PERSON"),
        ("Headache 6/10 today.", "6/10", "DATE"),
        ("KCl 20 @ 250 given.", "20 @ 250", "EMAIL"),
        ("Managed with PEG 3350 today.", "PEG 3350", "ID"),
        ("Becker muscular dystrophy; Becker nevus test positive.", "Becker", "PERSON"),
        ("Dx Barrett, on omeprazole 20 mg, no dysphagia.", "Barrett", "PERSON"),
        ("Referred to Speech Therapy.", "Speech Therapy", "ORGANIZATION"),
    ],
)
def test_a_model_s_mistakes_stay(text: str, part: str, label: str):
    assert found(make_model_doc(make_nlp(), text, (part, label))) == {}


@pytest.mark.parametrize(
    ("text", "part", "label"),
    [
        ("Seen by Barlow today.", "Barlow", "PERSON"),
        ("Dr. Parkinson called.", "Parkinson", "PERSON"),
        ("Frank Miller came.", "Frank Miller", "PERSON"),
        ("Lives in Denver now.", "Denver", "LOCATION"),
        ("Born at Heart Hospital.", "Heart Hospital", "ORGANIZATION"),
        ("They had 3: Kyle, John and Bo.", "John", "PERSON"),
        ("Write to 583\nMagrethevej 298", "583", "ADDRESS"),
        ("Box 8158, Aalborg", "Box 8158", "ADDRESS"),
        ("Becker and Vasquez founded it.", "Becker", "PERSON"),
        ("As Kelly shouted at Scott, he left.", "Kelly", "PERSON"),
        ("Seen for COPD by the team: Thomas R., 65.", "Thomas", "PERSON"),
        ("We moved to Los Angeles.", "Los Angeles", "LOCATION"),
        ("South Korea was fun.", "South Korea", "LOCATION"),
        ("We like State Farm Insurance.", "State Farm Insurance", "ORGANIZATION"),
        ("My zip code is 2200.", "2200", "ADDRESS"),
        ("Durham NC 27705", "NC", "LOCATION"),
        ("Suite 947, Sudan", "Sudan", "LOCATION"),
        ("Cultures of 12/8 grew.", "12/8", "DATE"),
    ],
)
def test_names_like_terms_go_where_a_name_stands(text: str, part: str, label: str):
    assert part in found(make_model_doc(make_nlp(), text, (part, label)))


# Whole texts by kind: what a model is said to find in them, what has to go, what has to stay, and
# what the text becomes.
WHOLE = [
    json.loads(line)
    for line in Path(__file__).with_name("deid_cases.jsonl").read_text("utf8").splitlines()
]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case['kind']}-{i}") for i, case in enumerate(WHOLE)]
)
def test_whole_texts(after_model: Language, case: dict):
    doc = make_model_doc(after_model, case["text"], *case.get("model", ()))
    key = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    text = deidentify(doc, case.get("action", "redact"), key=key).text
    assert not [
        part for part in case["gone"] if re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text)
    ]
    assert [part for part in case["kept"] if part not in text] == []
    assert re.fullmatch(case.get("becomes", "(?s).*"), text)


def test_what_a_rule_says_counts_where_a_model_is_surer():
    text = "Hypertension and fever noted. GP Bryant notified."
    assert list(found(make_model_doc(make_nlp(), text, ("Bryant", "PERSON")))) == ["Bryant"]


@pytest.mark.parametrize(
    ("text", "part", "label", "whole"),
    [
        ("Moved to:\n43 12 Oak Lane", "12 Oak Lane", "ADDRESS", "43 12 Oak Lane"),
        ("22 498317 office", "498317", "PHONE", "22 498317"),
        ("61 51 81\nfax none", "61 51", "PHONE", "61 51 81"),
    ],
)
def test_numbers_of_one_line_belong_together(text: str, part: str, label: str, whole: str):
    assert whole in found(make_model_doc(make_nlp(), text, (part, label)))


def test_the_list_of_clinical_words_has_its_kinds():
    words = read_words()
    assert {"babinski", "zofran", "silvadene", "rheumatology"} <= words.plain
    assert {"barlow", "allegra", "denver"} <= words.eponyms
    assert {"hope", "john", "will"} <= words.names
    assert words.phrases.search("Bence Jones")


STRUCTURED = [
    ("<given>Adam</given><family>Everyman</family>", "<given>_</given><family>_</family>"),
    (
        '{"name":[{"family":"Okafor","given":["Ifeoma"]}],"id":"p-1","code":{"text":"A1c"}}',
        '{"name":[{"family":"_","given":["_"]}],"id":"_","code":{"text":"A1c"}}',
    ),
    (
        '"subject":{"reference":"Patient/pt-8","display":"Marta Lund"},"unit":"mg"',
        '"subject":{"reference":"Patient/_","display":"_"},"unit":"mg"',
    ),
    (
        "PID|1||0044^^^A^MR||LUND^MONA^^^^^L||19580630|F|||9 Fir Ln^^Tall^MA^02115",
        "PID|1||_^^^A^MR||_^_^^^^^L||_|F|||_^^_^MA^_",
    ),
    ("NK1|1|WALKER^DENISE|SPO||(937)555-0102", "NK1|1|_^_|SPO||_"),
    ("OBX|1|NM|4548-4^HEMOGLOBIN A1C^LN||8.1|%", "OBX|1|NM|4548-4^HEMOGLOBIN A1C^LN||8.1|%"),
    (
        "patient_name,dob,dx\nWalker;Denise,1950-01-02,COPD\n",
        "patient_name,dob,dx\n_,_,COPD\n",
    ),
    ('name;mrn;dx\n"Lund; Amy";12;asthma', 'name;mrn;dx\n"_";_;asthma'),
]


@pytest.mark.parametrize(("text", "expected"), STRUCTURED)
def test_fields_go_by_their_names_and_the_structure_stays(nlp: Language, text: str, expected: str):
    assert "".join(leave(nlp(text))) == expected


def test_names_of_fields_are_found_again_in_free_text(rules: Language):
    text = '{"name":{"family":"Zielinska"},"note":{"text":"Zielinska rests."}}'
    assert "Zielinska" not in "".join(leave(rules(text)))


def test_names_end_before_a_word_that_begins_like_a_part_of_one(rules: Language):
    assert list(found(rules("Dr. Lund denied it. Dr. Okafor left."))) == ["Lund", "Okafor"]


@pytest.mark.parametrize("gap", ["            ", "\n", "\t"])
def test_names_of_fields_are_no_names(gap: str):
    nlp = make_nlp()
    doc = nlp.make_doc(f"Rosa Lund{gap}MRN: none. MRN, DOB.")
    i = next(token.i for token in doc if token.text == "MRN")
    doc.spans["openmed"] = [Span(doc, 0, i + 1, "PERSON")]
    nlp.get_pipe("openmed_phi")(doc)
    assert found(doc) == {"Rosa Lund": "name"}


def test_names_of_fields_are_no_names_for_rules(rules: Language):
    assert found(rules("Patient: Rosa Maria Lund   Phone: none")) == {"Rosa Maria Lund": "name"}


def test_the_threshold_is_the_operating_point():
    text = "Seen 12/30/2020. 7731002 was noted."
    low, high = (make_nlp(spans_key=None, threshold=t)(text) for t in (0.3, 0.5))
    assert list(found(low)) == ["12/30/2020", "7731002"]
    assert list(found(high)) == ["12/30/2020"]


def test_the_threshold_counts_for_columns_of_names():
    text = "Drug | Dose | Prescriber\nwarfarin | 5 mg | Haugen"
    low, high = (make_nlp(spans_key=None, threshold=t)(text) for t in (0.3, 0.6))
    assert (list(found(low)), list(found(high))) == (["Haugen"], [])


def test_ents_of_other_components_stay_as_they_are():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "DISEASE", "pattern": "Lund disease"}])
    nlp.add_pipe("openmed_ner", config={"domain": "privacy", "annotate": "spans"})
    nlp.add_pipe("openmed_phi")
    doc = nlp("Dr. Amy Lund has Lund disease.")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Lund disease", "DISEASE")]


def test_labels_of_any_privacy_checkpoint_are_read(rules: Language):
    nlp = make_nlp()
    doc = nlp.make_doc("Zorblax met 45 and 97 in Zzyzx, CA with Qwib.")
    labels = [("LAST_NAME", 0), ("AGE", 2), ("AGE", 4), ("CITY", 6), ("STATE", 8), ("GENDER", 10)]
    doc.spans["openmed"] = [Span(doc, i, i + 1, label) for label, i in labels]
    nlp.get_pipe("openmed_phi")(doc)
    assert found(doc) == {"Zorblax": "name", "97": "date", "Zzyzx": "geography"}
    assert [row[1] for row in rows(doc)] == ["SURNAME", "AGE", "CITY"]


def test_spans_that_were_added_to_the_model_s_count():
    nlp = make_nlp()
    doc = nlp.make_doc("Zorblax met Qwib and Florbix.")
    spans = [Span(doc, i, i + 1, "PERSON") for i in (0, 2, 4)]
    doc.spans["openmed"] = SpanGroup(doc, spans=spans, attrs={"scores": [0.9, 0.9]})
    nlp.get_pipe("openmed_phi")(doc)
    assert found(doc) == dict.fromkeys(("Zorblax", "Qwib", "Florbix"), "name")


def test_a_place_with_the_suffix_of_a_name_is_a_person():
    nlp = make_nlp()
    doc = nlp.make_doc("Visited Zorb Hall III in Hall II.")
    doc.spans["openmed"] = [Span(doc, 1, 4, "LOCATION"), Span(doc, 5, 7, "LOCATION")]
    nlp.get_pipe("openmed_phi")(doc)
    assert [row[1] for row in rows(doc)] == ["PERSON", "LOCATION"]


def test_context_counts_without_lemmas(rules: Language):
    # Presidio boosts a score by the lemmas around; a blank pipeline has none.
    assert found(rules("She was given 912701234 there.")) == {"912701234": "other"}
    assert [row[1] for row in rows(rules("The taxpayer has 912701234 there."))] == ["TAX_ID"]


@pytest.mark.parametrize("unit", [" ", "a ", "A.", "A-", "Aa-", "1 ", "a.a", "   AB"])
def test_patterns_do_not_hang_on_long_lines(unit: str):
    text = unit * (20_000 // len(unit)) + "\0"
    rules = srsly.read_yaml(RULES)
    for recognizer in rules["recognizers"]:
        for pattern in recognizer.get("patterns", ()):
            compiled = regex.compile(pattern["regex"], rules["global_regex_flags"])
            compiled.search(text, timeout=5)


def test_recognizers_of_ones_own(tmp_path: Path):
    nlp = spacy.blank("en")
    phi = nlp.add_pipe("openmed_phi", config={"spans_key": None})
    text = "Bed QQ-7 is free."
    assert found(nlp(text)) == {}
    pattern = {"name": "bed", "regex": r"\bQQ-\d\b", "score": 0.9}
    bed = {"name": "Bed", "supported_entity": "UNIQUE_ID", "patterns": [pattern]}
    phi.add_recognizers([bed])
    assert found(nlp(text)) == {"QQ-7": "other"}
    nlp.to_disk(tmp_path)
    assert found(spacy.load(tmp_path)(text)) == {"QQ-7": "other"}
    again = spacy.blank("en")
    again.add_pipe("openmed_phi", config={"spans_key": None})
    assert found(again.from_bytes(nlp.to_bytes())(text)) == {"QQ-7": "other"}
    assert found(pickle.loads(pickle.dumps(nlp))(text)) == {"QQ-7": "other"}


def test_recognizers_of_no_identifier_are_an_error(rules: Language):
    phi = rules.get_pipe("openmed_phi")
    with pytest.raises(ValueError, match=r"\[OM502\].*'Mood' is for 'MOOD'"):
        phi.add_recognizers([{"name": "Mood", "supported_entity": "MOOD", "patterns": []}])
    assert phi.recognizers == []


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_out_of_range_is_an_error(threshold: float):
    with pytest.raises(ValueError, match="OM011"):
        spacy.blank("en").add_pipe("openmed_phi", config={"threshold": threshold})


def test_without_a_model_before_it_is_an_error():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi")
    with pytest.raises(ValueError, match=r'\[OM503\].*domain = "privacy"'):
        nlp("Dr. Lund")


def test_errors_go_to_the_error_handler():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi")
    failed = []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.append((name, len(docs))))
    list(nlp.pipe(["Dr. Lund", "Dr. Okafor"]))
    assert failed == [("openmed_phi", 1)] * 2


def test_odd_texts(rules: Language, subtests: pytest.Subtests):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            doc = rules(odd_text)
            for start, end in doc.spans["phi"].attrs["char_offsets"]:
                assert odd_text[start:end].strip()


def test_identifiers_survive_a_doc_bin(nlp: Language):
    doc = nlp("Dr. Lund, MRN: 00482913, 617-555-0148.")
    data = DocBin(docs=[doc]).to_bytes()
    [again] = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert rows(again) == rows(doc) != []


TEXTS = [text for _, text, _ in NOTES[::6]]
SAVED = """
import sys, json, spacy
nlp = spacy.load(sys.argv[1])
docs = nlp.pipe(json.loads(sys.argv[2]))
print(json.dumps([doc.spans["phi"].attrs["char_offsets"] for doc in docs]))
"""


@pytest.mark.slow
def test_a_saved_pipeline_runs_without_network(nlp: Language, run_python: Callable, tmp_path: Path):
    nlp.to_disk(tmp_path / "nlp")
    output = json.loads(run_python(SAVED, tmp_path / "nlp", json.dumps(TEXTS)))
    assert output == [doc.spans["phi"].attrs["char_offsets"] for doc in nlp.pipe(TEXTS)]


@pytest.mark.slow
def test_two_processes_find_the_same(nlp: Language):
    expected = [rows(doc) for doc in nlp.pipe(TEXTS)]
    assert [rows(doc) for doc in nlp.pipe(TEXTS, n_process=2)] == expected


def test_no_text_in_the_log(nlp: Language, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    nlp("Call Rosalind Achterberg, account 4410029837, ward7@hospital.local.")
    assert not any(word in caplog.text for word in ("Achterberg", "4410029837", "ward7"))


NO_NETWORK = """
import socket

def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("openmed_ner", config={"domain": "privacy", "annotate": "spans"})
nlp.add_pipe("openmed_phi")
print(len(nlp("Mail a.b@example.com, see www.example.co.uk, Dr. Lund.").spans["phi"]))
"""


@pytest.mark.slow
def test_nothing_touches_the_network(run_python: Callable[..., str]):
    assert run_python(NO_NETWORK) == "3\n"


MISSING = """
import sys, spacy
nlp = spacy.blank("en")
nlp.add_pipe("openmed_phi", config={"spans_key": None})
sys.modules["presidio_analyzer"] = None  # its own factory has been imported before
try:
    nlp("Dr. Lund")
except ImportError as error:
    print(error)
"""


def test_a_missing_extra_is_named(run_python: Callable[..., str]):
    message = run_python(MISSING)
    assert message.startswith("[OM500]")
    assert "spacy-openmed[deid]" in message


def test_the_module_of_the_factory_imports_no_presidio(run_python: Callable[..., str]):
    code = 'import sys, spacy_openmed.deid.component; print("presidio_analyzer" in sys.modules)'
    assert run_python(code) == "False\n"


# What of an identifier may stay


@pytest.mark.parametrize(
    "text",
    [
        *("45", "89", "age 89", "89-year-old", "45 y/o", "45M", "89 years 11 months", "4½"),
        *("fifty", "eighty-nine", "in her eighties", "octogenarian", "newborn", "over 65"),
        *(
            "9 months",
            "100 months",
            "36-hour-old",
            "two hundred weeks",
            "39+2 weeks",
            "9-12 MONTHS",
        ),
        "45 Jahre",
    ],
)
def test_ages_up_to_89_may_stay(text: str):
    assert may_stay("AGE", text)
    assert generalise("AGE", text, this_year=2026) == text


@pytest.mark.parametrize(
    "text",
    [
        *("90", "117", "103 y.o.", "95M", "93 years 2 months", "92-95 years", "at least 90", "90+"),
        *("ninety-one", "a hundred", "one hundred and three", "in his nineties", "centenarian"),
        *("1,200 months", "95 Jahre"),
    ],
)
def test_ages_over_89_are_90_or_older(text: str):
    assert not may_stay("AGE", text)
    assert generalise("AGE", text, this_year=2026) == "90+"


@pytest.mark.parametrize(
    "text",
    [
        *("", "elderly", "vierundneunzig", "1" * 5000, "1930", "01/02/45"),
        *("95m", "93 W", "day 95 of life", "96-100 months", "85-95", "under 90", "about 95"),
        *("10 decades", "nine decades old", "four score and ten"),
    ],
)
def test_an_age_that_is_not_sure_goes(text: str):
    assert not may_stay("AGE", text)
    assert generalise("AGE", text, this_year=2026) is None


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("ZIP_CODE", "02138", "021**"),
        ("ZIP_CODE", "03601-1234", "000**"),
        ("ZIP_CODE", "021384307", "021**"),
        ("ZIP_CODE", "SW1A 1AA", None),
        ("ZIP_CODE", "K1A 0B1", None),
        ("ZIP_CODE", "1012 AB", None),
        ("DATE", "March 4, 2021", "2021"),
        ("DATE_OF_BIRTH", "3/14/1931", None),
        ("DATE", "March 4th", None),
        ("DATE", "01/02/2024 - 03/04/2024", "2024"),
        ("DATE", "2023-2024", None),
        ("DATE", "the 1990s", None),
        ("DATE", "admitted 1931", None),
        ("DATE_OF_BIRTH", "4 May 1950", "1950"),
        ("DATE_TIME", "2024-05-06T07:08:09Z", "2024"),
        ("DATE_TIME", "05/06/24 1945", None),
        ("DATE_TIME", "May 6 at 1945h", None),
        ("PERSON", "Lund 2021", None),
    ],
)
def test_generalise(label: str, text: str, expected: str | None):
    assert generalise(label, text, this_year=2026) == expected


def test_small_areas():
    assert len(SMALL_ZIP3) == 17
    assert all(len(area) == 3 and area.isdigit() for area in SMALL_ZIP3)


# Overlaps


def test_the_label_that_says_more_wins():
    text = "12 Oak St, Boston 02138"
    place = Candidate(0, 23, "LOCATION", 0.99, "")
    street, code = (
        Candidate(0, 9, "STREET_ADDRESS", 0.7, "Street"),
        Candidate(18, 23, "ZIP_CODE", 0.8, "ZipCode"),
    )
    assert resolve(text, [street, code, place]) == [
        street,
        place._replace(start=11, end=17),
        code,
    ]


def test_a_guess_does_not_win():
    guess = Candidate(0, 4, "BANK_ACCOUNT", 0.4, "UsBankRecognizer")
    sure = Candidate(0, 4, "ID", 0.9, "")
    assert resolve("1234", [guess, sure]) == [sure]


def test_one_label_is_joined():
    parts = [Candidate(0, 3, "PERSON", 0.6, "TitledName"), Candidate(0, 8, "PERSON", 0.9, "")]
    assert resolve("Amy Lund", parts) == [Candidate(0, 8, "PERSON", 0.9, "")]


candidates = st.lists(
    st.builds(
        lambda start, size, label, score: Candidate(start, start + size, label, score, ""),
        st.integers(0, 20),
        st.integers(1, 10),
        st.sampled_from(["PERSON", "DATE", "ID", "SSN"]),
        st.sampled_from([0.3, 0.6, 0.9]),
    )
)


@given(candidates, st.text("a1 .", min_size=30, max_size=30))
def test_resolved_ones_do_not_overlap_and_lose_nothing(given: list[Candidate], text: str):
    resolved = resolve(text, given)
    assert all(a.end <= b.start for a, b in zip(resolved, resolved[1:], strict=False))
    before = {i for c in given for i in range(c.start, c.end) if text[i].isalnum()}
    after = {i for c in resolved for i in range(c.start, c.end) if text[i].isalnum()}
    assert after == before


STRUCTURED = [
    ("MSH|^~\\&|LAB\rPID|1||4455||Moss^Ada\rOBX|1|TX|||fine\r", "Moss"),
    ('{"resourceType": "Patient", "name": [{"family": "Mu\\u00f1oz"}]}', "Mu\\u00f1oz"),
    ('{"resourceType": "Patient", "name": [{"family": "Stiedemann542"}]}', "Stiedemann542"),
    ('{"status": "call 617-555-0148", "id": "x"}', "617-555-0148"),
    ("Status,Date\nActive,2020-01-02\n\nNote: SSN 123-45-6789\n", "123-45-6789"),
    ("MSH|^~\\&|LAB\nOBX|1|DT|Seen||20200102\n", "20200102"),
    ("MSH|^~\\&|LAB\nPID|1||||||||||1 Elm St^^Boston^MA^02115^^^Beacon Hill\n", "Beacon Hill"),
]


@pytest.mark.parametrize(("text", "identifier"), STRUCTURED)
def test_what_structured_texts_hid(text: str, identifier: str):
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    doc = nlp(text)
    start = text.index(identifier)
    spans = doc.spans["phi"].attrs["char_offsets"]
    assert any(a <= start and start + len(identifier) <= b for a, b in spans)


@pytest.mark.parametrize(
    "recognizer",
    [
        {"supported_entity": "UNIQUE_ID", "patterns": []},
        {"name": "Bed", "supported_entity": "UNIQUE_ID", "patterns": [{"regex": "Z"}]},
        {
            "name": "Bed",
            "supported_entity": "UNIQUE_ID",
            "patterns": [{"name": "form", "regex": "(", "score": 0.5}],
        },
        "Bed",
    ],
)
def test_recognizers_that_are_malformed(recognizer: object):
    phi = spacy.blank("en").add_pipe("openmed_phi")
    with pytest.raises(ValueError, match="OM516"):
        phi.add_recognizers([recognizer])
