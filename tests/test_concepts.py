"""Which mentions stand for one thing."""

from collections import Counter

import pytest
import spacy
from spacy.tokens import Doc, Span, SpanGroup

from spacy_openmed.abbreviations import find_abbreviations, find_definitions, is_short_for
from spacy_openmed.extensions import register_extensions
from spacy_openmed.relations.concepts import choose_name, find_concepts, make_id


def make_doc(text: str, *entities: str, label: str = "DISEASE") -> Doc:
    """A document with every occurrence of some texts as entities."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": entity} for entity in entities])
    return nlp(text)


def mentions(doc: Doc) -> list[list[str]]:
    return [[span.text for span in concept.mentions] for concept in find_concepts(doc)]


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        ("CKD", "chronic kidney disease", True),
        ("MI", "myocardial infarction", True),
        ("IDM", "indomethacin", True),
        ("T2DM", "type 2 diabetes mellitus", True),
        ("5-HT", "5-hydroxytryptamine", True),
        ("CKD", "renal failure", False),
        ("EF", "heart failure", False),  # the first letter begins no word
        ("A", "asthma", False),
        ("asthma", "asthma", False),
        ("(C)", "cancer", False),
    ],
)
def test_short_forms(short: str, long: str, expected: bool):
    assert is_short_for(short, long) is expected


@pytest.mark.parametrize(
    "text",
    ["chronic kidney disease (CKD) and CKD", "CKD (chronic kidney disease) and CKD"],
)
def test_brackets_explain_an_abbreviation(text: str):
    doc = make_doc(text, "chronic kidney disease", "CKD")
    [(short, long)] = find_abbreviations(doc.ents).items()
    assert (short.text, long.text) == ("CKD", "chronic kidney disease")
    [concept] = find_concepts(doc)
    assert len(concept.mentions) == 3
    assert concept.id == "OPENMED_TEXT:DISEASE/chronic_kidney_disease"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the chronic kidney disease (CKD)", [("CKD", "chronic kidney disease")]),
        ("the CKD (chronic kidney disease)", [("CKD", "chronic kidney disease")]),
        ("heart failure [HF]", [("HF", "heart failure")]),
        ('heart failure ("HF")', [("HF", "heart failure")]),
        ("heart failure (HF; stage C)", [("HF", "heart failure")]),
        ("a failure (heart failure [HF])", [("HF", "heart failure")]),
        ("heart\nfailure\n(HF)", [("HF", "heart\nfailure")]),
        ("Normal heart. Failure (HF)", []),  # two sentences
        ("Heart\n\nfailure (HF)", []),
        ("heart failure (see HF below)", []),
        ("asthma (i.e. a disease)", []),
        ("heart failure (12)", []),
        ("heart failure (HF", []),
        ("(HF)", []),
        ("", []),
    ],
)
def test_definitions(text: str, expected: list[tuple[str, str]]):
    found = find_definitions(text)
    assert [(text[d[0] : d[1]], text[d[2] : d[3]]) for d in found] == expected


def test_brackets_without_an_abbreviation():
    doc = make_doc("renal failure (CKD)", "renal failure", "CKD")
    assert mentions(doc) == [["renal failure"], ["CKD"]]


def test_case_punctuation_and_plural_do_not_matter():
    doc = make_doc("Seizures, seizure; renal-failure, Renal failure", *("Seizures", "seizure"))
    assert mentions(doc) == [["Seizures", "seizure"]]
    doc = make_doc("renal-failure, Renal failure", "renal-failure", "Renal failure")
    assert mentions(doc) == [["renal-failure", "Renal failure"]]


@pytest.mark.parametrize("text", ["AIDS", "thrombosis", "lupus", "abscess"])
def test_no_plural(text: str):
    assert make_id(make_doc(text, text).ents[0]).endswith(f"/{text.lower()}")


def test_labels_keep_things_apart():
    doc = make_doc("lead", "lead")
    doc.ents = [Span(doc, 0, 1, "CHEMICAL")]
    doc.spans["openmed"] = [Span(doc, 0, 1, "DISEASE"), Span(doc, 0, 1, "CHEMICAL")]
    assert [(c.label, len(c.mentions)) for c in find_concepts(doc)] == [
        ("CHEMICAL", 1),
        ("DISEASE", 1),
    ]
    assert [c.label for c in find_concepts(doc, labels=["DISEASE"])] == ["DISEASE"]
    assert find_concepts(doc, span_keys=[], labels=["DISEASE"]) == []


def test_ids_of_a_linker_are_kept():
    doc = make_doc("fever pyrexia", "fever")
    doc.ents = [
        Span(doc, 0, 1, "DISEASE", kb_id="MESH:D005334"),
        Span(doc, 1, 2, "DISEASE", kb_id="MESH:D005334"),
    ]
    [concept] = find_concepts(doc)
    assert concept.id == "MESH:D005334"
    assert len(concept.mentions) == 2


@pytest.mark.parametrize("attribute", ["is_negated", "is_hypothetical", "is_family"])
def test_what_is_not_asserted_is_left_out(attribute: str):
    register_extensions()
    doc = make_doc("asthma, asthma", "asthma")
    doc.ents[0]._.set(attribute, True)
    assert mentions(doc) == [["asthma"]]
    doc.ents[1]._.set(attribute, True)
    assert mentions(doc) == []


def test_history_is_asserted():
    register_extensions()
    doc = make_doc("stroke", "stroke")
    doc.ents[0]._.is_historical = True
    assert mentions(doc) == [["stroke"]]


def test_each_id_of_a_mention_is_a_thing():
    doc = make_doc("fever", "fever")
    group = [Span(doc, 0, 1, "DISEASE", kb_id=id) for id in ("MESH:1", "", "MESH:2", "MESH:1")]
    doc.spans["openmed"] = group
    assert [concept.id for concept in find_concepts(doc)] == ["MESH:1", "MESH:2"]


def test_entities_without_letters_are_no_things():
    assert mentions(make_doc("... asthma", "...", "asthma")) == [["asthma"]]


def test_identifiers_are_no_things():
    doc = make_doc("Dr. Velasquez saw asthma.", "Velasquez", "asthma")
    spans = [Span(doc, 0, 2, "PERSON")]
    doc.spans["mine"] = SpanGroup(doc, spans=spans, attrs={"identifiers": ["name"]})
    assert mentions(doc) == [["asthma"]]


def test_a_linkers_id_under_two_labels_is_one_thing():
    doc = make_doc("aspirin aspirin", "aspirin")
    doc.ents = [Span(doc, i, i + 1, "XY"[i], kb_id="MESH:D001241") for i in range(2)]
    [concept] = find_concepts(doc)
    assert (concept.label, len(concept.mentions)) == ("X", 2)


def test_the_name_is_the_most_frequent_one():
    assert choose_name(Counter({"CKD": 2, "kidney disease": 1})) == "CKD"
    assert choose_name(Counter({"CKD": 1, "kidney disease": 1})) == "kidney disease"
    assert choose_name(Counter({"Tremor": 1, "tremor": 1})) == "tremor"
