"""The component `openmed_linker`."""

import pickle
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from spacy_openmed.linking import Record, build_vocabulary
from spacy_openmed.linking.component import OpenMedLinker

DISEASES = (
    Record("MESH:D003924", "Diabetes Mellitus, Type 2", ("T2DM",), ("C",), "A definition."),
    Record("MESH:D009203", "Myocardial Infarction", ("heart attack", "MI"), ("C",)),
    Record("MESH:D008944", "Mitral Valve Insufficiency", ("mitral insufficiency", "MI"), ("C",)),
    Record("MESH:D006073", "Gout", (), ("C",)),
)
DRUGS = (Record("RXCUI:1191", "aspirin", ("acetylsalicylic acid", "ASA")),)
TERMS = {
    "DISEASE": ("heart attack", "mitral insufficiency", "MI", "gout", "hypertension"),
    "CHEMICAL": ("aspirin", "gout"),
    "PERSON": ("Gout",),
}


@pytest.fixture(scope="module")
def diseases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vocabulary(DISEASES, tmp_path_factory.mktemp("linker") / "diseases").path


@pytest.fixture(scope="module")
def drugs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vocabulary(DRUGS, tmp_path_factory.mktemp("linker") / "drugs").path


def make_nlp(vocabulary: Path | None, *labels: str, **settings) -> Language:
    nlp = spacy.blank("en")
    patterns = [
        {"label": label, "pattern": text}
        for label in labels or ("DISEASE",)
        for text in TERMS[label]
    ]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    source = None if vocabulary is None else str(vocabulary)
    nlp.add_pipe("openmed_linker", config={"vocabulary": source, **settings})
    return nlp


def ids(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.kb_id_) for ent in doc.ents]


def test_entities_get_ids(diseases: Path):
    doc = make_nlp(diseases)("A heart attack, gout and hypertension.")
    assert ids(doc) == [
        ("heart attack", "MESH:D009203"),
        ("gout", "MESH:D006073"),
        ("hypertension", ""),
    ]
    [(id, score)] = doc.ents[0]._.kb_ents
    assert id == "MESH:D009203"
    assert 0.8 < score <= 1
    assert doc.ents[2]._.kb_ents == []


def test_script_of_a_user_of_scispacy(diseases: Path):
    """As in scispaCy's README, but for the component's name and its vocabulary."""
    nlp = make_nlp(diseases, resolve_abbreviations=True, threshold=0.0)
    doc = nlp("A mitral insufficiency (MI) was found. MI is treated.")
    entity = doc.ents[2]
    linker = nlp.get_pipe("openmed_linker")
    found = [linker.kb.cui_to_entity[umls_ent[0]] for umls_ent in entity._.kb_ents]
    assert found[0] == DISEASES[2]
    assert (found[0].canonical_name, found[0].definition) == ("Mitral Valve Insufficiency", None)
    assert linker.kb.alias_to_cuis["MI"] == {"MESH:D009203", "MESH:D008944"}
    assert "nothing" not in linker.kb.alias_to_cuis
    assert len(linker.kb.cui_to_entity) == len(DISEASES)


def test_abbreviations_are_spelled_out_only_if_asked(diseases: Path):
    text = "A mitral insufficiency (MI) was found."
    scores = [
        make_nlp(diseases, resolve_abbreviations=on)(text).ents[1]._.kb_ents[0][1]
        for on in (True, False)
    ]
    assert scores[0] > scores[1]


def test_threshold_and_number_of_candidates(diseases: Path):
    text = "MI"
    assert len(make_nlp(diseases, threshold=0.0)(text).ents[0]._.kb_ents) == 2
    assert len(make_nlp(diseases, threshold=0.0, n_candidates=1)(text).ents[0]._.kb_ents) == 1
    doc = make_nlp(diseases, threshold=1.0)(text)
    assert ids(doc) == [("MI", "")]
    assert doc.ents[0]._.kb_ents == []


def test_labels_have_vocabularies_of_their_own(diseases: Path, drugs: Path):
    nlp = make_nlp(diseases, "DISEASE", "CHEMICAL", labels={"Chemical": str(drugs)})
    assert ids(nlp("aspirin for a heart attack")) == [
        ("aspirin", "RXCUI:1191"),
        ("heart attack", "MESH:D009203"),
    ]
    nlp = make_nlp(None, "DISEASE", "CHEMICAL", labels={"CHEMICAL": str(drugs)})
    assert ids(nlp("aspirin for a heart attack"))[1] == ("heart attack", "")


def test_persons_are_not_linked(diseases: Path):
    doc = make_nlp(diseases, "PERSON")("Gout")
    assert [(ent.label_, ent.kb_id_) for ent in doc.ents] == [("PERSON", "")]
    assert ids(make_nlp(diseases, "PERSON", labels={"PERSON": str(diseases)})("Gout")) == [
        ("Gout", "MESH:D006073")
    ]


def test_groups_of_spans(diseases: Path):
    nlp = make_nlp(diseases)
    doc = nlp.make_doc("gout and a heart attack")
    spans = [Span(doc, 0, 1, "DISEASE", span_id="a"), Span(doc, 3, 5, "DISEASE")]
    doc.spans["openmed"] = SpanGroup(doc, spans=spans, attrs={"scores": [0.9, 0.8]})
    doc.spans["other"] = [Span(doc, 0, 1, "DISEASE")]
    doc = nlp.get_pipe("openmed_linker")(doc)
    group = doc.spans["openmed"]
    assert [(span.kb_id_, span.id_) for span in group] == [
        ("MESH:D006073", "a"),
        ("MESH:D009203", ""),
    ]
    assert group.attrs == {"scores": [0.9, 0.8]}
    assert doc.spans["other"][0].kb_id_ == ""


def test_concepts_of_one_place_are_those_of_the_entity(diseases: Path, tmp_path: Path):
    others = build_vocabulary([Record("RXCUI:2", "gout")], tmp_path / "others").path
    nlp = make_nlp(diseases, labels={"CHEMICAL": str(others)})
    doc = nlp.make_doc("heart attack, gout")
    doc.spans["openmed"] = [Span(doc, 0, 2, "DISEASE"), Span(doc, 3, 4, "CHEMICAL")]
    doc.ents = [Span(doc, 3, 4, "DISEASE")]
    doc = nlp.get_pipe("openmed_linker")(doc)
    assert [id for id, _ in doc.ents[0]._.kb_ents] == ["MESH:D006073"]
    assert doc.spans["openmed"][1].kb_id_ == "RXCUI:2"


def test_ids_that_are_there_stay(diseases: Path):
    nlp = make_nlp(diseases)
    doc = nlp.make_doc("gout")
    doc.ents = [Span(doc, 0, 1, "DISEASE", kb_id="ICD10CM:M10.9")]
    assert ids(nlp.get_pipe("openmed_linker")(doc)) == [("gout", "ICD10CM:M10.9")]


def test_saving_takes_the_vocabulary_along(diseases: Path, tmp_path: Path):
    nlp = make_nlp(tmp_path / "gone")
    nlp.get_pipe("openmed_linker").from_disk(saved(diseases, tmp_path / "a"))
    nlp.to_disk(tmp_path / "b")
    assert ids(spacy.load(tmp_path / "b")("gout")) == [("gout", "MESH:D006073")]


def test_bytes_take_the_vocabulary_along(diseases: Path, tmp_path: Path):
    data = make_nlp(diseases).get_pipe("openmed_linker").to_bytes()
    nlp = make_nlp(tmp_path / "gone")
    nlp.get_pipe("openmed_linker").from_bytes(data)
    assert ids(nlp("gout")) == [("gout", "MESH:D006073")]


def test_a_saved_vocabulary_stays_with_its_label(diseases: Path, drugs: Path, tmp_path: Path):
    nlp = make_nlp(diseases, labels={"CHEMICAL": str(drugs)})
    nlp.to_disk(tmp_path / "a")
    for vocabulary in ("aaa", "zzz"):  # sorted before and after the other
        config = {"components": {"openmed_linker": {"vocabulary": vocabulary}}}
        again = spacy.load(tmp_path / "a", config=config)
        assert ids(again("gout")) == [("gout", "MESH:D006073")]


def test_fingerprints_tell_vocabularies_that_are_not_saved(diseases: Path, drugs: Path):
    made = [make_nlp(diseases, save_vocabulary=False).get_pipe("openmed_linker") for _ in range(2)]
    other = make_nlp(drugs, save_vocabulary=False).get_pipe("openmed_linker")
    assert made[0].fingerprint() == made[1].fingerprint() != other.fingerprint()


def test_saving_leaves_the_vocabulary_out(diseases: Path, tmp_path: Path):
    nlp = make_nlp(diseases, save_vocabulary=False)
    nlp.to_disk(tmp_path / "a")
    assert [*(tmp_path / "a" / "openmed_linker").iterdir()] == []
    assert ids(spacy.load(tmp_path / "a")("gout")) == [("gout", "MESH:D006073")]
    assert len(nlp.get_pipe("openmed_linker").to_bytes()) < 100


def saved(vocabulary: Path, path: Path) -> Path:
    make_nlp(vocabulary).get_pipe("openmed_linker").to_disk(path)
    return path


def test_other_processes(diseases: Path):
    nlp = make_nlp(diseases)
    docs = nlp.pipe(["gout", "a heart attack"], n_process=2)
    assert [ids(doc)[0][1] for doc in docs] == ["MESH:D006073", "MESH:D009203"]


def test_a_copy_links_too(diseases: Path):
    linker = make_nlp(diseases).get_pipe("openmed_linker")
    doc = make_nlp(diseases).make_doc("gout")
    doc.ents = [Span(doc, 0, 1, "DISEASE")]
    copy = pickle.loads(pickle.dumps(linker))
    assert isinstance(copy, OpenMedLinker)
    assert ids(copy(doc)) == [("gout", "MESH:D006073")]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, "OM611"),
        ({"vocabulary": "x", "threshold": 1.5}, "OM011.*threshold"),
        ({"vocabulary": "x", "n_candidates": 0}, "OM012.*n_candidates"),
    ],
)
def test_settings_that_are_not_valid(settings: dict, error: str):
    with pytest.raises(ValueError, match=error):
        spacy.blank("en").add_pipe("openmed_linker", config=settings)


def test_a_vocabulary_that_is_not_there():
    nlp = make_nlp(Path("nowhere"))
    with pytest.raises(OSError, match="OM609"):
        nlp("gout")
