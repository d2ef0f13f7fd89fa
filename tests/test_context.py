"""`openmed_context`: what is said of an entity, on spans and groups, in every kind of note."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from asserting import find_context, make_rules
from conftest import make_nlp as make_ner
from negspacy.termsets import termset
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span

from spacy_openmed.clinical.answers import load_answers
from spacy_openmed.clinical.termsets import AXES, BESIDE, OF_DRUGS, TRIGGERS, load_termsets
from spacy_openmed.sections import find_sections, get_sections, load_headings
from spacy_openmed.sentences import set_sentence_starts
from spacy_openmed.spans import Entity, add_spans, set_ents

DISEASES = (
    *("asthma", "pneumonia", "fever", "COPD", "CHF", "HTN", "E. coli sepsis", "breast cancer"),
    *(
        "family history of colon cancer",
        "anemia due to GI bleed",
        "heart attack",
        "lupus",
        "stroke",
    ),
)


def make_nlp(**config) -> Language:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": "DISEASE", "pattern": text} for text in DISEASES])
    nlp.add_pipe("openmed_context", config=config)
    return nlp


@pytest.fixture(scope="module")
def nlp() -> Language:
    return make_nlp()


def axes(doc: Doc) -> list[tuple[str, ...]]:
    """What is said of each entity, in order."""
    return [tuple(a for a, name in AXES.items() if ent._.get(name)) for ent in doc.ents]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Asthma.", [()]),
        ("No evidence of pneumonia.", [("negated",)]),
        ("She denies asthma, fever or pneumonia.", [("negated",)] * 3),
        ("Pneumonia was ruled out.", [("negated",)]),
        ("No fever, but pneumonia on the film.", [("negated",), ()]),
        ("No increase in COPD symptoms.", [()]),
        ("No fever; pneumonia is seen.", [("negated",), ()]),
        ("History of breast cancer.", [("historical",)]),
        ("She had a stroke in the past.", [("historical",)]),
        ("History of asthma, presents with fever.", [("historical",), ()]),
        ("A 60-year-old man with a two-day history of fever.", [()]),
        ("Return if you have fever.", [("hypothetical",)]),
        ("Chest film to rule out pneumonia.", [("hypothetical",)]),
        ("Possible lupus.", [("hypothetical",)]),
        ("His mother had lupus.", [("family",)]),
        ("Her sister died of a stroke, but the patient has asthma.", [("family",), ()]),
        ("Brought in by his wife with fever.", [()]),
        ("Family history of stroke, no lupus.", [("family",), ("negated", "family")]),
        ("No history of asthma.", [("negated", "historical")]),
    ],
)
def test_what_is_said_of_entities(nlp: Language, text: str, expected: list[tuple[str, ...]]):
    assert axes(nlp(text)) == expected


# An entity that crosses a termination word or a sentence start gets no result from negspacy.
@pytest.mark.parametrize("text", ["No anemia due to GI bleed.", "No E. coli sepsis."])
def test_entity_over_the_end_of_a_scope(nlp: Language, text: str):
    doc = nlp.make_doc(text)
    for token in doc:
        token.is_sent_start = token.i in (0, 3)
    for _, component in nlp.pipeline:
        doc = component(doc)
    assert len(doc.ents) == 1
    assert axes(doc) == [("negated",)]


def test_entity_that_begins_with_a_trigger(nlp: Language):
    assert axes(nlp("Family history of colon cancer.")) == [("family",)]


def test_trigger_over_several_spaces(nlp: Language):
    assert axes(nlp("There is no   evidence  of   asthma.")) == [("negated",)]


def test_line_that_goes_on(nlp: Language):
    text = "The patient says that she never had any kind of\nasthma. Now she has\nfever."
    doc = nlp(text)
    assert axes(doc) == [("negated",), ()]
    assert [sent.text for sent in doc.sents][0].endswith("of\nasthma.")


def test_lines_of_a_list_are_sentences(nlp: Language):
    doc = nlp("no asthma\nCOPD\nno fever\nstroke\n")
    assert axes(doc) == [("negated",), (), ("negated",), ()]


def test_sentences_that_are_there_are_kept(nlp: Language):
    doc = nlp.make_doc("No asthma. COPD")
    for token in doc:
        token.is_sent_start = token.i == 0
    set_sentence_starts(doc)
    assert len(list(doc.sents)) == 1


def test_empty_documents(nlp: Language):
    for text in ("", " ", "\n\n", "no entity here"):
        assert nlp(text).text == text


SECTIONS = """HISTORY OF PRESENT ILLNESS: Asthma.

Past Medical History:
1. COPD
2. HTN

Family History
Significant for breast cancer.
Father: heart attack at 60

ASSESSMENT AND PLAN: CHF. No fever.
"""


def test_headings_hold_for_their_section(nlp: Language):
    assert axes(nlp(SECTIONS)) == [
        (),
        ("historical",),
        ("historical",),
        ("family",),
        ("family",),
        (),
        ("negated",),
    ]


@pytest.mark.parametrize(
    "heading", ["CARDIAC: CHF", "Cardiac:\nCHF", "\nCardiac: CHF", "\nCARDIAC\nCHF"]
)
def test_headings_that_are_not_known_end_a_section(nlp: Language, heading: str):
    assert axes(nlp(f"Family history: lupus\n{heading}")) == [("family",), ()]


def test_words_before_a_colon_do_not(nlp: Language):
    assert axes(nlp("Family history: lupus\nOn his side: CHF")) == [("family",), ("family",)]


def test_span_groups(nlp: Language):
    other = make_nlp(span_keys=["openmed", "absent"])
    doc = other.make_doc("No asthma. COPD.")
    doc.spans["openmed"] = [Span(doc, 1, 2, "X"), Span(doc, 3, 4, "X")]
    doc.spans["elsewhere"] = [Span(doc, 0, 2, "X")]
    doc = other.get_pipe("openmed_context")(doc)
    assert [span._.is_negated for span in doc.spans["openmed"]] == [True, False]
    assert not doc.spans["elsewhere"][0]._.is_negated


def test_a_second_run_takes_back_the_first(nlp: Language):
    doc = nlp("No asthma.")
    make_nlp(termsets={"negated": {}}).get_pipe("openmed_context")(doc)
    assert axes(doc) == [()]


def test_own_lists(nlp: Language):
    other = make_nlp(termsets={"family": {"preceding_negations": ["the neighbour has"]}})
    assert axes(other("The neighbour has asthma. His mother had no lupus.")) == [
        ("family",),
        ("negated",),
    ]


def test_lists_of_negspacy():
    other = make_nlp(termsets={"negated": termset("en_clinical").get_patterns()})
    assert axes(other("Patient denies asthma.")) == [("negated",)]


@pytest.mark.parametrize(
    ("termsets", "code"),
    [
        ({"negation": {}}, "OM450.*negated"),
        ({"negated": {"preceding": ["no"]}}, "OM451.*preceding_negations"),
    ],
)
def test_lists_that_are_none(termsets: dict, code: str):
    with pytest.raises(ValueError, match=code):
        make_nlp(termsets=termsets)


@pytest.mark.parametrize("axis", [*AXES, *OF_DRUGS])
def test_our_lists_are_clean(axis: str):
    lists = load_termsets()[axis]
    assert {*lists} == {*TRIGGERS, *BESIDE, "headings"}
    for phrases in lists.values():
        assert len(phrases) == len({*phrases})
        assert all(phrase == " ".join(phrase.lower().split()) for phrase in phrases)
    kinds = [{*lists[key]} for key in ("pseudo_negations", "termination")]
    triggers = {*lists["preceding_negations"], *lists["following_negations"]}
    assert not any(kind & triggers for kind in kinds)


def test_round_trip(nlp: Language, tmp_path: Path):
    config = {"termsets": {"family": {"preceding_negations": ["the neighbour has"]}}}
    make_nlp(**config).to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert axes(loaded("The neighbour has asthma.")) == [("family",)]
    assert axes(pickle.loads(pickle.dumps(loaded))("No asthma.")) == [("negated",)]


def test_flags_survive_a_docbin(nlp: Language):
    data = DocBin(store_user_data=True)
    data.add(nlp("No asthma. COPD."))
    (doc,) = DocBin(store_user_data=True).from_bytes(data.to_bytes()).get_docs(nlp.vocab)
    assert axes(doc) == [("negated",), ()]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Asthma.", "PRESENT"),
        ("No asthma.", "ABSENT"),
        ("Possible lupus.", "POSSIBLE"),
        ("History of asthma.", "HISTORICAL"),
        ("No history of asthma.", "ABSENT"),
        ("Family history: possible lupus, no asthma.", "FAMILY"),
    ],
)
def test_one_label_for_what_the_rules_find(nlp: Language, text: str, label: str):
    for ent in nlp(text).ents:
        assert (ent._.context, ent._.context_score) == (label, None)


def assert_all(nlp: Language, text: str, labels: dict[str, str | None], score: float = 0.9) -> Doc:
    """A document whose entities a checkpoint has found and asserted, before the component."""
    doc = nlp.make_doc(text)
    entities = [
        Entity(i, i + 1, "DISEASE", 0.8, ("x",), 0, 0, labels[token.text], score)
        for i, token in enumerate(doc)
        if token.text in labels
    ]
    set_ents(doc, entities, "keep")
    add_spans(doc, entities, "openmed")
    return doc


@pytest.mark.parametrize(
    ("label", "axis"),
    [
        ("PRESENT", ()),
        ("ABSENT", ("negated",)),
        ("POSSIBLE", ("hypothetical",)),
        ("CONDITIONAL", ("hypothetical",)),
        ("HISTORICAL", ("historical",)),
        ("FAMILY", ("family",)),
        ("STOPPED", ("historical",)),
        ("ALLERGY", ()),
        ("NOT_TAKEN", ("negated",)),
    ],
)
def test_what_a_checkpoint_asserts_decides(nlp: Language, label: str, axis: tuple[str, ...]):
    doc = assert_all(nlp, "No asthma, his mother had lupus.", {"asthma": label, "lupus": None})
    doc = nlp.get_pipe("openmed_context")(doc)
    assert axes(doc) == [axis, ("negated", "family")]
    asthma, lupus = doc.ents
    assert (asthma._.context, asthma._.context_score) == (label, 0.9)
    assert (lupus._.context, lupus._.context_score) == ("FAMILY", None)
    assert [span._.context for span in doc.spans["openmed"]] == [label, "FAMILY"]


@pytest.mark.parametrize(
    ("source", "expected"), [("auto", ("ABSENT", None)), ("model", ("POSSIBLE", 0.4))]
)
def test_the_rules_decide_where_a_checkpoint_is_unsure(source: str, expected: tuple):
    nlp = make_nlp(source=source)
    doc = assert_all(nlp, "No asthma.", {"asthma": "POSSIBLE"}, score=0.4)
    (ent,) = nlp.get_pipe("openmed_context")(doc).ents
    assert (ent._.context, ent._.context_score) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("auto", [("POSSIBLE", 0.9), ("FAMILY", None)]),
        ("rules", [("ABSENT", None), ("FAMILY", None)]),
        ("model", [("POSSIBLE", 0.9), (None, None)]),
    ],
)
def test_source(source: str, expected: list[tuple]):
    nlp = make_nlp(source=source)
    labels = {"asthma": "POSSIBLE", "lupus": None}
    doc = assert_all(nlp, "No asthma. His mother had lupus.", labels)
    doc = nlp.get_pipe("openmed_context")(doc)
    assert [(ent._.context, ent._.context_score) for ent in doc.ents] == expected
    assert any(ent._.is_family for ent in doc.ents) == (source != "model")


@pytest.mark.parametrize(
    ("text", "asserted", "expected"),
    [
        ("[x] asthma  [ ] lupus", "ABSENT PRESENT", "PRESENT ABSENT"),
        ("(-) asthma (?) lupus", "PRESENT ABSENT", "ABSENT POSSIBLE"),
        ("☐ asthma", "HISTORICAL", "ABSENT"),
        ("☒ asthma", "HISTORICAL", "HISTORICAL"),
        ("Mother: ☐ asthma", "FAMILY", "FAMILY"),
    ],
)
def test_a_mark_decides_before_a_checkpoint(nlp: Language, text: str, asserted: str, expected: str):
    labels = dict(zip(("asthma", "lupus"), asserted.split(), strict=False))
    doc = nlp.get_pipe("openmed_context")(assert_all(nlp, text, {**labels}))
    assert [ent._.context for ent in doc.ents] == expected.split()


@pytest.mark.parametrize(
    ("text", "asserted", "expected"),
    [
        ("Findings worrisome for a new lupus.", "ABSENT", "POSSIBLE"),
        ("No findings worrisome for lupus.", "ABSENT", "ABSENT"),
        ("Imaging failed to reveal lupus.", "PRESENT", "ABSENT"),
        ("No significant change in her lupus.", "ABSENT", "PRESENT"),
        ("Hydroxychloroquine to prevent lupus.", "PRESENT", "CONDITIONAL"),
        ("A personal history of lupus; her aunt has it, too.", "FAMILY", "HISTORICAL"),
        ("Being treated for lupus.", "HISTORICAL", "PRESENT"),
        ("Was treated for lupus.", "HISTORICAL", "HISTORICAL"),
        ("Plan for lupus: rheumatology.", "CONDITIONAL", "PRESENT"),
        ("lupus since 2015", "HISTORICAL", "PRESENT"),
        ("no lupus since 2015", "ABSENT", "ABSENT"),
        ("lupus for the past two years", "HISTORICAL", "PRESENT"),
        ("lupus, stable", "HISTORICAL", "PRESENT"),
        ("Return if fever, lupus, worse pain.", "CONDITIONAL", "CONDITIONAL"),
    ],
)
def test_a_phrase_decides_before_a_checkpoint(
    nlp: Language, text: str, asserted: str, expected: str
):
    doc = nlp.get_pipe("openmed_context")(assert_all(nlp, text, {"lupus": asserted}))
    (lupus,) = doc.ents
    score = 0.9 if asserted == expected else None
    assert (lupus._.context, lupus._.context_score) == (expected, score)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("67 yo F with lupus here for follow up", ("PRESENT", None)),
        ("FHx: diabetes (mother), lupus", ("FAMILY", 0.9)),
    ],
)
def test_a_disease_of_the_family_needs_a_relative(nlp: Language, text: str, expected: tuple):
    doc = nlp.get_pipe("openmed_context")(assert_all(nlp, text, {"lupus": "FAMILY"}))
    (lupus,) = doc.ents
    assert (lupus._.context, lupus._.context_score) == expected


def test_phrases_leave_the_source_model_alone():
    nlp = make_nlp(source="model")
    doc = assert_all(nlp, "Hydroxychloroquine to prevent lupus.", {"lupus": "PRESENT"})
    (lupus,) = nlp.get_pipe("openmed_context")(doc).ents
    assert lupus._.context == "PRESENT"


def test_source_that_there_is_not():
    with pytest.raises(ValueError, match="OM004.*source = 'modell'.*Did you mean 'model'"):
        make_nlp(source="modell")


def test_a_checkpoint_that_asserts_nothing_is_warned_of_once():
    nlp = make_nlp(source="model")
    with pytest.warns(UserWarning, match="OM910.*'openmed_context'.*auto"):
        doc = nlp("No asthma.")
    assert doc.ents[0]._.context is None
    nlp("No lupus.")


@pytest.mark.parametrize("annotate", ["both", "ents", "spans"])
def test_assertions_of_a_checkpoint(assertion_checkpoint: Path, annotate: str):
    nlp = make_ner(assertion_checkpoint, annotate=annotate)
    nlp.add_pipe("openmed_context", config={"source": "model"})
    doc = nlp("Aspirin, valproic acid and asthma.")
    spans = doc.ents if annotate == "ents" else doc.spans["openmed"]
    assert [span._.context for span in spans] == ["PRESENT", "STOPPED", "ABSENT"]
    assert all(span._.context_score > 0.99 for span in spans)
    assert [span._.is_historical for span in spans] == [False, True, False]


CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "context_cases.jsonl").read_text("utf8").splitlines()
]


@pytest.mark.parametrize("kind", dict.fromkeys(case["kind"] for case in CASES))
def test_kinds_of_notes(kind: str):
    rules = make_rules()
    label = "DRUG" if kind == "drugs" else "DISEASE"
    wrong = {
        case["text"]: found
        for case in CASES
        if case["kind"] == kind
        and (found := find_context(rules, case["text"], case["expected"], label))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("context", "flags"),
    [("STOPPED", ("historical",)), ("NOT_TAKEN", ("negated",)), ("ALLERGY", ())],
)
def test_flags_of_drugs(context: str, flags: tuple[str, ...]):
    texts = {
        "STOPPED": "Stopped lisinopril.",
        "NOT_TAKEN": "Declined lisinopril.",
        "ALLERGY": "Allergic to lisinopril.",
    }
    rules = make_rules()
    doc = rules.make_doc(texts[context])
    doc.set_ents([Span(doc, len(doc) - 2, len(doc) - 1, "CHEMICAL")])
    assert axes(rules(doc)) == [flags]


def test_own_lists_of_drugs():
    nlp = spacy.blank("en")
    termsets = {"stopped": {"preceding_negations": ["has run out of"]}}
    nlp.add_pipe("openmed_context", config={"termsets": termsets})
    doc = nlp.make_doc("Has run out of lisinopril.")
    doc.set_ents([Span(doc, 4, 5, "DRUG")])
    assert nlp(doc).ents[0]._.context == "STOPPED"


def test_sections_cover_a_note():
    sections = find_sections(SECTIONS)
    assert [section.kind for section in sections] == [
        "history_of_present_illness",
        "past_medical_history",
        "family_history",
        "relatives",
        "assessment_and_plan",
    ]
    assert "".join(SECTIONS[section.start : section.end] for section in sections) == SECTIONS


def test_text_before_the_first_heading_is_a_section():
    first, second = find_sections("A 60-year-old man.\nIMPRESSION: asthma")
    assert (first.kind, first.heading, first.body) == (None, "", 0)
    assert (second.kind, second.is_inline) == ("assessment", True)


def test_sections_of_a_document(nlp: Language):
    doc = nlp.make_doc("Plan: rest\nFHx: lupus\n")
    assert [(span.label_, span.text) for span in doc._.sections] == [
        ("plan", "Plan: rest\n"),
        ("family_history", "FHx: lupus\n"),
    ]
    assert get_sections(nlp.make_doc("")) == []


def test_our_headings_are_clean():
    headings = load_headings()
    assert all(heading == " ".join(heading.lower().split()) for heading in headings)
    assert {"family_history", "allergies", "stopped_medications"} < {*headings.values()}


@pytest.mark.parametrize(
    ("text", "mention", "answer"),
    [
        ("Strep: neg", "Strep", "absent"),
        ("Strep: negative cultures", "Strep", None),
        ("HIV: equivocal", "HIV", "possible"),
        ("HIV: POS", "HIV", "present"),
        ("☐ asthma", "asthma", "absent"),
        ("asthma ☐ stroke ☑", "stroke", "present"),
        ("asthma: ☐ yes ☐ no", "asthma", None),
        ("asthma: ☐ yes", "asthma", "absent"),
        ("fever - cough", "cough", None),
        ("+cough", "cough", "present"),
    ],
)
def test_answers(text: str, mention: str, answer: str | None):
    start = text.index(mention)
    assert load_answers().read(text, start, start + len(mention)) == answer


@pytest.mark.slow
def test_processes(nlp: Language):
    docs = nlp.pipe(["No asthma.", "His mother has COPD."] * 4, n_process=2, batch_size=2)
    assert [axes(doc) for doc in docs] == [[("negated",)], [("family",)]] * 4


@pytest.mark.slow
def test_fresh_process(nlp: Language, tmp_path: Path, run_python: Callable[..., str]):
    nlp.to_disk(tmp_path / "pipeline")
    code = (
        "import sys, spacy\n"
        "doc = spacy.load(sys.argv[1])('No asthma.')\n"
        "print(doc.ents[0]._.is_negated)"
    )
    assert run_python(code, tmp_path / "pipeline") == "True\n"


@pytest.mark.slow
def test_extra_that_is_not_installed(run_python: Callable[..., str]):
    code = (
        "import sys, spacy\n"
        "sys.modules['negspacy'] = None\n"
        "nlp = spacy.blank('en')\n"
        "try: nlp.add_pipe('openmed_context')\n"
        "except ImportError as error: print(error)"
    )
    printed = run_python(code)
    assert "OM002" in printed
    assert "spacy-openmed[clinical]" in printed
