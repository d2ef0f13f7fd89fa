"""Linking mentions to ICD-10-CM."""

import pickle

import pytest

pytest.importorskip("simple_icd_10_cm")
pytest.importorskip("sklearn")
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spacy_openmed.hcc.icd10cm import (
    OTHER_CHAPTERS,
    Code,
    Vocabulary,
    add_aliases,
    read_aliases,
    read_vocabulary,
    to_key,
)
from spacy_openmed.hcc.linking import (
    ALIAS,
    COVERED,
    PART,
    RANKED,
    TERM,
    WORDS_OF,
    Linker,
    make_linker,
)
from spacy_openmed.hcc.ranking import normalise


@pytest.fixture(scope="module")
def linker() -> Linker:
    return make_linker(read_vocabulary())


def first(linker: Linker, text: str) -> str:
    return linker.link(text)[0].code


def test_aliases_are_of_codes_to_report():
    aliases = read_aliases()
    assert len(aliases) > 200
    codes = read_vocabulary().codes
    assert [alias for alias, code in aliases.items() if not codes[code].is_billable] == []


def test_no_alias_is_of_two_codes():
    keys: dict[str, set[str]] = {}
    for alias, code in read_aliases().items():
        keys.setdefault(to_key(alias), set()).add(code)
    assert {key: codes for key, codes in keys.items() if len(codes) > 1} == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CHF", "I50.9"),
        ("HTN", "I10"),
        ("hypertension", "I10"),
        ("T2DM", "E11.9"),
        ("COPD", "J44.9"),
        ("CKD stage 3b", "N18.32"),
        ("AF", "I48.91"),
        ("MI", "I21.9"),
        ("breast cancer", "C50.919"),
        ("acute renal failure", "N17.9"),
    ],
)
def test_alias(linker: Linker, text: str, code: str):
    candidate = linker.link(text)[0]
    assert (candidate.code, candidate.score, candidate.how) == (code, 1.0, ALIAS)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kidney failure, acute", "N17.9"),
        ("cancer of prostate", "C61"),
        ("lung malignancy", "C34.90"),
        ("carcinoma of the pancreas", "C25.9"),
    ],
)
def test_words_of_an_alias(linker: Linker, text: str, code: str):
    candidate = linker.link(text)[0]
    assert (candidate.code, candidate.how) == (code, WORDS_OF)


def test_cancer_of_an_unknown_site_is_no_part(linker: Linker):
    assert linker.link("cancer")[0].code == "C80.1"
    assert linker.find_part("gizzard cancer") == []


@pytest.mark.parametrize("text", ["Typhoid  arthritis", "TYPHOID ARTHRITIS", "typhoid\narthritis"])
def test_term_of_the_vocabulary(linker: Linker, text: str):
    candidate = linker.link(text)[0]
    assert (candidate.code, candidate.score, candidate.how) == ("A01.04", 1.0, TERM)


def test_term_of_several_codes_is_less_likely_to_be_one(linker: Linker):
    names: dict[str, set[str]] = {}
    for code in linker.codes:
        for term in code.terms:
            names.setdefault(to_key(term), set()).add(code.code)
    aliases = {to_key(alias) for alias in linker.vocabulary.aliases}
    descriptions = {to_key(code.description) for code in linker.codes}
    name = next(n for n, c in names.items() if len(c) == 2 and n not in aliases | descriptions)
    assert [(c.score, c.how) for c in linker.find_exact(name)] == [(0.5, TERM)] * 2
    assert {c.code for c in linker.find_exact(name)} == names[name]


@pytest.mark.parametrize(
    ("text", "code", "how"),
    [
        ("chronic leukaemia of monocytes and myelocytes", "C93.10", COVERED),
        ("failure of the left cardiac ventricle", "I50.1", COVERED),
        ("gastric ulceration with bleeding", "K25.4", RANKED),
    ],
)
def test_covered_or_ranked(linker: Linker, text: str, code: str, how: str):
    candidates = linker.link(text)
    assert candidates[0].how == how
    assert code in [candidate.code for candidate in candidates]
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)


@pytest.mark.parametrize(
    ("text", "code", "score"),
    [
        ("worsening CHF", "I50.9", 0.5),
        ("COPD, severe", "J44.9", 0.5),
        ("invasive ductal carcinoma of the left breast", "C50.912", 0.6),
    ],
)
def test_alias_in_a_longer_mention(linker: Linker, text: str, code: str, score: float):
    [candidate] = linker.find_part(text)
    assert (candidate.code, candidate.score, candidate.how) == (code, score, PART)
    assert linker.find_part(f"{text} beside very many others, all longer words") == []


@pytest.mark.parametrize("text", ["", " ", "?", "qqqq xzxz", "the of and", "\n", "𝔘𝔫𝔦"])
def test_what_is_no_disease_scores_low(linker: Linker, text: str):
    assert all(candidate.score < 0.1 for candidate in linker.link(text))


@given(st.text(max_size=40))
@settings(max_examples=30)
def test_every_candidate_can_be_reported(linker: Linker, text: str):
    candidates = linker.link(text)
    assert len(candidates) <= 5
    assert len({candidate.code for candidate in candidates}) == len(candidates)
    for candidate in candidates:
        code = linker.vocabulary.codes[candidate.code]
        assert code.is_billable
        assert candidate.description == code.description
        assert 0 <= candidate.score <= 1


@example("𝛱")
@given(st.text())
def test_keys_are_stable(text: str):
    assert to_key(to_key(text)) == to_key(text)


def test_normalised_words():
    assert {*normalise("Renal tumour, unspecified").split()} == {"kidney", "neoplasm"}
    assert {*normalise("neoplasms of the kidney").split()} == {"kidney", "neoplasm"}
    assert normalise("Anaemias") == "anemia"
    assert normalise("CKD stage III") == normalise("chronic kidney disease, stage 3")
    assert normalise("the of") == "the of"


@pytest.mark.parametrize(
    ("heading", "code"),
    [
        ("I50", "I50.9"),
        ("E11", "E11.9"),
        ("N18.3", "N18.30"),
        ("C34", "C34.90"),
        ("C90.0", "C90.00"),
        ("I10", "I10"),
        ("C50", "C50.919"),
        ("Q00", None),
    ],
)
def test_code_to_report_of_a_heading(heading: str, code: str | None):
    assert read_vocabulary().to_billable(heading) == code


def test_every_code_leads_up_to_a_category():
    vocabulary = read_vocabulary()
    for code in vocabulary.codes:
        if code.startswith(OTHER_CHAPTERS):
            continue
        *_, top = (code, *(ancestor.code for ancestor in vocabulary.ancestors(code)))
        assert len(top) == 3


def test_rows_give_the_vocabulary_back():
    vocabulary = read_vocabulary()
    rows = vocabulary.to_rows()
    assert Vocabulary.from_rows(rows).to_rows() == rows


@pytest.mark.slow
def test_own_aliases_go_first():
    vocabulary = add_aliases(read_vocabulary(), {"ward shorthand": "J18.9", "chf": "I50.22"})
    linker = Linker(vocabulary)
    assert first(linker, "ward shorthand") == "J18.9"
    assert first(linker, "CHF") == "I50.22"


@pytest.mark.parametrize("code", ["I50", "X99.9", ""])
def test_alias_of_no_code_to_report_is_an_error(code: str):
    with pytest.raises(ValueError, match="OM551"):
        add_aliases(read_vocabulary(), {"something": code})


def test_small_vocabulary():
    codes = [
        Code("A00", "Cholera", "A00-A09", False),
        Code("A00.9", "Cholera, unspecified", "A00", True),
    ]
    linker = Linker(Vocabulary({code.code: code for code in codes}, {}))
    assert [c.code for c in linker.link("epidemic cholera")] == ["A00.9"]
    rows = linker.vocabulary.to_rows()
    assert pickle.loads(pickle.dumps(linker.vocabulary)).to_rows() == rows


@pytest.mark.parametrize(
    "text",
    [
        "gunshot wound of the left forearm",
        "frostbite of the right foot",
        "crush injury of left thigh",
    ],
)
def test_description_of_another_site_does_not_cover(linker: Linker, text: str):
    assert all(candidate.how == RANKED for candidate in linker.link(text))


def test_the_code_to_report_is_billable(linker: Linker):
    codes = linker.vocabulary.codes
    reported = [linker.vocabulary.to_billable(code) for code in codes]
    assert all(codes[code].is_billable for code in reported if code is not None)


@pytest.mark.parametrize("text", ["moderate disease", "right eye", "his right ear"])
def test_description_without_a_disease_does_not_cover(linker: Linker, text: str):
    assert all(candidate.how == RANKED for candidate in linker.link(text))
