"""What a checkpoint asserts of entities: found, pooled, written, saved, and kept in training."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from checkpoints import ASSERTION_GROUPS, ASSERTIONS, edit_config, make_multi_head_checkpoint
from conftest import HEADS, add_openmed, make_nlp
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_openmed.checkpoints.heads import Head
from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.ner.assertion import find_assertions

TEXT = "Aspirin and valproic acid; no asthma, renal failure."
# What the checkpoint asserts of the entities of the text.
ASSERTED_THERE = ["PRESENT", "STOPPED", "ABSENT", "FAMILY"]


@pytest.fixture(scope="module")
def nlp(assertion_checkpoint: Path) -> Language:
    return make_nlp(assertion_checkpoint)


def asserted(doc: Doc, key: str = "openmed") -> list[str | None]:
    return doc.spans[key].attrs["assertions"]


def edit_row(folder: Path, **values: object) -> Path:
    """Change the assertion head's row in a checkpoint's config.json."""
    facts = json.loads((folder / "config.json").read_text(encoding="utf8"))["openmed"]
    facts["heads"][-1] |= values
    return edit_config(folder, openmed=facts)


def test_entities_have_assertions(nlp: Language):
    doc = nlp(TEXT)
    assert [span.text for span in doc.spans["openmed"]] == [
        *("Aspirin", "valproic acid", "asthma", "renal failure")
    ]
    assert asserted(doc) == ASSERTED_THERE
    scores = doc.spans["openmed"].attrs["assertion_scores"]
    assert all(0.99 < score <= 1 for score in scores)


def test_the_head_finds_no_entities(nlp: Language):
    component = nlp.get_pipe("openmed_ner")
    assert [head.dataset for head in component.heads] == list(HEADS)
    assert component.labels == ("CHEMICAL", "DISEASE")
    with pytest.raises(ValueError, match="OM050. Unknown dataset 'assertion'"):
        make_nlp(component.shim.name, dataset="assertion")


@pytest.mark.parametrize("mode", ["token", "strict", "contract", "expand"])
@pytest.mark.parametrize("settings", [{"label_scheme": "native"}, {"label_map": {"DISEASE": "X"}}])
def test_whatever_entities_are_called(assertion_checkpoint: Path, settings: dict, mode: str):
    doc = make_nlp(assertion_checkpoint, alignment_mode=mode, **settings)(TEXT)
    assert asserted(doc) == ASSERTED_THERE


def test_a_label_for_types_of_two_groups(assertion_checkpoint: Path):
    labels = {"DISEASE": "X", "CHEMICAL": "X"}
    assert asserted(make_nlp(assertion_checkpoint, label_map=labels)(TEXT)) == [None] * 4


@pytest.mark.parametrize(
    ("native", "expected"),
    [("Cancer", "ABSENT"), ("PROBLEM", "ABSENT"), ("Simple_chemical", "PRESENT"), ("Organ", None)],
)
def test_which_labels_have_assertions(tmp_path: Path, native: str, expected: str | None):
    heads = {"bionlp2013_cg": {"asthma": native}}
    folder = make_multi_head_checkpoint(tmp_path, heads, assertions={"asthma": "ABSENT"})
    assert asserted(make_nlp(folder)("Some asthma.")) == [expected]


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
def test_log_probabilities_of_the_tokens_are_averaged(
    make_checkpoint: Callable[..., Path], strategy: str
):
    nlp = make_nlp(make_checkpoint("bert"))
    docs = [nlp.make_doc(text) for text in ("No ibuprofen  \u200b given.", "", "Myocarditis")]
    output = nlp.get_pipe("openmed_ner").model.predict(docs)
    spans = [(0, 1, "DISEASE"), (0, 4, "DRUG"), (1, 3, "DISEASE"), (3, 4, "DISEASE")]
    spans += [(6, 7, "DRUG"), (6, 7, "ANATOMY")]  # of the last text
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (output.buffer.n_pieces, 2 + len(ASSERTIONS))).astype("float32")
    groups = {"DISEASE": ASSERTION_GROUPS["PROBLEM"], "DRUG": ASSERTION_GROUPS["DRUG"]}
    own = tuple((kind, tuple(labels)) for kind, labels in groups.items())
    best, probabilities = find_assertions(
        output.buffer,
        logits,
        Head("assertion", 2, ASSERTIONS, temperature=1.5, groups=own),
        np.array([start for start, _, _ in spans]),
        np.array([end for _, end, _ in spans]),
        np.array([[*groups].index(kind) if kind in groups else -1 for *_, kind in spans]),
        strategy=strategy,
    )
    probs = np.exp(logits[:, 2:] / 1.5)
    probs /= probs.sum(axis=1, keepdims=True)
    units = output.buffer.tokens
    bounds = [*units.alignment.starts, len(units.alignment.pieces)]
    assert 3 not in units.index  # an invisible character has no piece
    for (start, end, kind), label, row in zip(spans, best, probabilities, strict=True):
        rows = []
        for i, token in enumerate(units.index):
            if start <= token < end:
                pieces = probs[units.alignment.pieces[bounds[i] : bounds[i + 1]]]
                of = {"first": 0, "max": pieces.max(axis=1).argmax()}
                rows.append(
                    np.log(pieces[of[strategy]] if strategy in of else pieces).reshape(-1, 9)
                )
        if kind not in groups or not rows:
            assert (label, row.any()) == (-1, False)
            continue
        mean = np.mean([row.mean(axis=0) for row in rows], axis=0)
        expected = [np.exp(m) * (a in groups[kind]) for m, a in zip(mean, ASSERTIONS, strict=True)]
        assert row == pytest.approx(np.array(expected) / sum(expected), rel=1e-4)
        assert label == np.argmax(expected)
    assert (best >= 0).tolist() == [True, True, True, False, True, False]


def test_spans_that_are_given(nlp: Language, assertion_checkpoint: Path):
    component = nlp.get_pipe("openmed_ner")
    docs = [nlp.make_doc(text) for text in (TEXT, "", "Asthma with renal failure")]
    asthma, failure, both = (0, 1, "PROBLEM"), (2, 4, "Disease"), (0, 4, "DISEASE")
    spans = [
        [Span(docs[0], 6, 7, "DISEASE"), Span(docs[0], 6, 7, "ANATOMY")],
        [],
        [Span(docs[2], *at) for at in (both, asthma, failure)],
    ]
    found = component.assess(docs, spans)
    labels = [[asserted and asserted.label for asserted in own] for own in found]
    assert labels == [["ABSENT", None], [], ["FAMILY", "ABSENT", "FAMILY"]]
    assert [*found[0][0].probs] == ASSERTION_GROUPS["PROBLEM"]
    assert not docs[0].spans
    own = make_nlp(assertion_checkpoint, label_map={"DISEASE": "X"})
    span = Span(docs[0], 6, 7, "X")
    assert own.get_pipe("openmed_ner").assess(docs[:1], [[span]])[0][0].label == "ABSENT"


def test_spans_that_are_given_to_a_checkpoint_that_does_not_say(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint)
    doc = nlp(TEXT)
    assert asserted(doc) == [None] * 4
    with pytest.raises(ValueError, match="OM215"):
        nlp.get_pipe("openmed_ner").assess([doc], [doc.ents])


def test_assertions_survive_a_docbin(nlp: Language):
    data = DocBin(docs=[nlp(TEXT)]).to_bytes()
    (doc,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert asserted(doc) == ASSERTED_THERE
    assert None not in doc.spans["openmed"].attrs["assertion_scores"]


def test_a_component_that_does_not_say_takes_nothing_back(
    assertion_checkpoint: Path, multi_head_checkpoint: Path
):
    nlp = make_nlp(multi_head_checkpoint, name="without", domain="disease")
    add_openmed(nlp, assertion_checkpoint, name="with")
    add_openmed(nlp, multi_head_checkpoint, name="again")
    assert asserted(nlp(TEXT)) == ASSERTED_THERE


def test_without_a_group_they_are_in_user_data(assertion_checkpoint: Path):
    nlp = make_nlp(assertion_checkpoint, name="drugs", domain="pharmacology", annotate="ents")
    add_openmed(nlp, assertion_checkpoint, name="diseases", domain="disease", annotate="ents")
    doc = Doc(nlp.vocab).from_bytes(nlp(TEXT).to_bytes())
    rows = doc.user_data["openmed_assertions"]
    assert [row[3] for row in rows] == ASSERTED_THERE
    assert [doc.char_span(*row[:3]) for row in rows] == [*doc.ents]
    assert all(0.99 < row[4] <= 1 for row in rows)
    again = nlp(nlp.make_doc("Nothing."))
    assert "openmed_assertions" not in again.user_data


def test_saved_and_loaded(nlp: Language, tmp_path: Path):
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert asserted(loaded(TEXT)) == ASSERTED_THERE
    assert asserted(loaded.from_bytes(nlp.to_bytes())(TEXT)) == ASSERTED_THERE
    facts = json.loads((tmp_path / "openmed_ner/checkpoint/config.json").read_text("utf8"))
    row = facts["openmed"]["heads"][-1]
    assert (row["kind"], row["groups"]) == ("assertion", ASSERTION_GROUPS)


def test_training_other_heads_keeps_it(assertion_checkpoint: Path, tmp_path: Path):
    nlp = make_nlp(assertion_checkpoint, model={"frozen_layers": -1})
    component = nlp.get_pipe("openmed_ner")
    examples = [
        Example.from_dict(nlp.make_doc("A rash now."), {"entities": [(2, 6, "SIGN")]}),
    ]
    component.initialize(lambda: examples, nlp=nlp, head="signs")
    optimizer = component.create_optimizer()
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    assert component.labels == ("SIGN",)
    gold = nlp.make_doc(TEXT)
    spans = [Span(gold, 0, 1, "DRUG"), Span(gold, 6, 7, "PROBLEM"), Span(gold, 8, 10, "PROBLEM")]
    nlp.to_disk(tmp_path)
    for pipe in (component, spacy.load(tmp_path).get_pipe("openmed_ner")):
        labels = [asserted.label for asserted in pipe.assess([gold], [spans])[0]]
        assert labels == ["PRESENT", "ABSENT", "FAMILY"]


def test_it_is_not_trained_as_a_head_of_entities(assertion_checkpoint: Path):
    nlp = make_nlp(assertion_checkpoint)
    example = Example.from_dict(nlp.make_doc("A rash."), {"entities": [(2, 6, "SIGN")]})
    with pytest.raises(ValueError, match="OM118.*'assertion'"):
        nlp.get_pipe("openmed_ner").initialize(lambda: [example], nlp=nlp, head="assertion")


@pytest.mark.parametrize("groups", [None, {}, [], {"PROBLEM": []}, {"PROBLEM": ["GONE"]}])
def test_groups_that_are_not_valid(tmp_path: Path, groups: object):
    folder = make_multi_head_checkpoint(tmp_path, HEADS, assertions={})
    edit_row(folder, groups=groups)
    with pytest.raises(ValueError, match="OM117.*PRESENT, ABSENT"):
        load_checkpoint(Source(str(folder)))
