"""`openmed_relation`: what it finds, where, and that it goes with the pipeline."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_openmed.extensions import register_extensions
from spacy_openmed.relations.component import PATH, OpenMedRelation
from spacy_openmed.relations.concepts import find_concepts
from spacy_openmed.relations.features import make_pairs
from spacy_openmed.relations.weights import N_WEIGHTS, RelationModel, hash_features

TEXT = (
    "Lithium-induced tremor in a patient with depression. We saw tremor after lithium was given "
    "for depression. Aspirin was given too."
)
PATTERNS = {"CHEMICAL": ("lithium", "aspirin", "cisplatin"), "DISEASE": ("tremor", "depression")}


def make_nlp(**config) -> Language:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(
        [{"label": label, "pattern": text} for label, texts in PATTERNS.items() for text in texts]
    )
    nlp.add_pipe("openmed_relation", config=config)
    return nlp


@pytest.fixture(scope="module")
def nlp() -> Language:
    return make_nlp()


def names(doc: Doc) -> list[tuple[str, str]]:
    """The relations' two ends, without prefix and label."""
    return [(r["head"].rpartition("/")[2], r["tail"].rpartition("/")[2]) for r in doc._.relations]


def test_a_cause_is_found_and_an_indication_is_not(nlp: Language):
    doc = nlp(TEXT)
    assert names(doc) == [("lithium", "tremor")]
    [relation] = doc._.relations
    assert relation["label"] == "CAUSES"
    assert 0.5 < relation["score"] < 1


def test_evidence_is_the_sentences_with_both(nlp: Language):
    [relation] = nlp(TEXT)._.relations
    found = [
        tuple(TEXT[slice(*place[side])] for side in ("head", "tail"))
        for place in relation["evidence"]
    ]
    assert found == [("Lithium", "tremor"), ("lithium", "tremor")]
    sentences = [TEXT[slice(*place["sentence"])] for place in relation["evidence"]]
    assert sentences[0] == "Lithium-induced tremor in a patient with depression."
    assert sentences[1].startswith("We saw tremor")


def test_evidence_across_sentences(nlp: Language):
    doc = nlp.make_doc("Cisplatin was given. Then came tremor. Nothing else.")
    doc.ents = [Span(doc, 0, 1, "CHEMICAL"), Span(doc, 6, 7, "DISEASE")]
    heads, tails = (find_concepts(doc, labels=[label]) for label in PATTERNS)
    [pair] = make_pairs(doc, heads, tails, max_distance=1)
    [place] = pair.evidence
    assert doc.text[slice(*place.sentence)] == "Cisplatin was given. Then came tremor."
    assert not list(make_pairs(doc, heads, tails, max_distance=0))


@pytest.mark.parametrize("text", ["", " ", "Nothing.", "Aspirin.", "Tremor."])
def test_no_pairs(nlp: Language, text: str):
    assert nlp(text)._.relations == []


@pytest.mark.parametrize("side", [0, 1])
def test_a_negated_mention_makes_no_relation(nlp: Language, side: int):
    register_extensions()
    doc = nlp("Lithium-induced tremor.")
    assert names(doc) == [("lithium", "tremor")]
    doc.ents[side]._.is_negated = True
    assert nlp.get_pipe("openmed_relation")(doc)._.relations == []


def test_threshold():
    few, many = (len(make_nlp(threshold=t)(TEXT)._.relations) for t in (0.99, 0.0))
    assert (few, many) == (0, 4)
    with pytest.raises(ValueError, match="OM011"):
        make_nlp(threshold=1.5)


def test_span_groups_are_read():
    nlp = make_nlp(span_keys=["mine"])
    doc = nlp.make_doc(TEXT)
    doc.spans["mine"] = [Span(doc, 0, 1, "CHEMICAL"), Span(doc, 3, 4, "DISEASE")]
    assert names(nlp.get_pipe("openmed_relation")(doc)) == [("lithium", "tremor")]


def test_long_documents_are_quick(nlp: Language):
    n = 2000  # 4 million pairs of mentions, if each were looked at
    text = "Lithium-induced tremor. " * n
    doc = nlp.make_doc(text)
    spans = [
        Span(doc, token.i, token.i + 1, {"Lithium": "CHEMICAL", "tremor": "DISEASE"}[token.text])
        for token in doc
        if token.text in ("Lithium", "tremor")
    ]
    doc.ents = spans
    relations = nlp.get_pipe("openmed_relation")(doc)._.relations
    assert len(relations[0]["evidence"]) == n


def test_relations_travel_with_the_document(nlp: Language):
    docs = list(nlp.pipe([TEXT] * 3, n_process=2, batch_size=2))
    assert [names(doc) for doc in docs] == [[("lithium", "tremor")]] * 3
    copy = Doc(nlp.vocab).from_bytes(docs[0].to_bytes())
    assert names(copy) == [("lithium", "tremor")]


def test_a_pipeline_keeps_its_own_weights(tmp_path: Path):
    bundled = RelationModel.from_bytes(PATH.read_bytes())
    none = np.zeros_like(bundled.weights)
    own = RelationModel(none, 5.0, "TREATS", ("CHEMICAL",), ("DISEASE",), 0.9)
    weights = tmp_path / "own.npz"
    weights.write_bytes(own.to_bytes())
    nlp = make_nlp(path=str(weights))
    nlp.to_disk(tmp_path / "pipeline")
    weights.unlink()
    doc = spacy.load(tmp_path / "pipeline")(TEXT)
    assert {relation["label"] for relation in doc._.relations} == {"TREATS"}
    assert len(doc._.relations) == 4
    clone = OpenMedRelation(Vocab()).from_bytes(nlp.get_pipe("openmed_relation").to_bytes())
    assert clone.weights.label == "TREATS"
    assert clone.threshold == 0.9


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_damaged_weights(tmp_path: Path, content: bytes):
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="OM652"):
        OpenMedRelation(Vocab(), path=path).weights  # noqa: B018


def test_missing_weights(tmp_path: Path):
    with pytest.raises(OSError, match="OM651"):
        make_nlp(path=str(tmp_path / "none.npz"))(TEXT)


def test_features_count_once():
    hashed = hash_features(["a", "b", "a"], N_WEIGHTS)
    assert len(hashed) == 2
    assert hashed.max() < N_WEIGHTS


def test_score_is_that_of_a_logistic_model():
    weights = np.zeros(4, dtype=np.float32)
    weights[hash_features(["a"], 4)] = 2.0
    model = RelationModel(weights, -1.0, "CAUSES", (), (), 0.5)
    assert model.score(["a"]) == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert model.score([]) == pytest.approx(1 / (1 + np.exp(1.0)))
