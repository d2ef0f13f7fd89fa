"""Heads on token vectors: of any tok2vec layer, and of spacy-transformers' shared encoder."""

import copy
from importlib.util import find_spec

import numpy as np
import pytest
import spacy
from conftest import make_nlp
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_openmed.checkpoints.windows import plan_span_windows, plan_windows
from spacy_openmed.ner.plan import Plan

HAS_TRANSFORMERS = find_spec("spacy_transformers") is not None
needs_spacy_transformers = pytest.mark.skipif(
    not HAS_TRANSFORMERS, reason="spacy-transformers is not installed beside this transformers"
)
TEXTS = [
    ("The patient took aspirin for asthma.", [(17, 24, "DRUG"), (29, 35, "SIGN")]),
    ("Aspirin and metformin were given.", [(0, 7, "DRUG"), (12, 21, "DRUG")]),
    ("She denies chest pain.", [(11, 21, "SIGN")]),
    ("Nothing was found.", []),
]
CNN = {
    "@architectures": "spacy-openmed.Tok2VecClassifier.v1",
    "tok2vec": {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 32,
        "depth": 2,
        "embed_size": 500,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
        "pretrained_vectors": None,
    },
}
LISTENER = {
    "@architectures": "spacy-openmed.Tok2VecClassifier.v1",
    "tok2vec": {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    },
}


def make_examples(nlp):
    return [Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in TEXTS]


def train(nlp, examples, steps, rate=5e-3):
    sgd = Adam(rate)
    return [nlp.update(examples, sgd=sgd) for _ in range(steps)]


@pytest.fixture
def cnn():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"model": CNN})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    train(nlp, examples, 40)
    return nlp


def test_learns_on_any_token_vectors(cnn):
    assert cnn.evaluate(make_examples(cnn))["ents_f"] == 1.0
    assert cnn.get_pipe("openmed_ner").labels == ("DRUG", "SIGN")


def test_needs_training():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"model": CNN})
    with pytest.raises(ValueError, match="OM102"):
        nlp("aspirin")


def test_saves_and_loads(cnn, tmp_path):
    cnn.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.evaluate(make_examples(loaded))["ents_f"] == 1.0
    again = spacy.blank("en")
    again.add_pipe("openmed_ner", config={"model": CNN})
    again.get_pipe("openmed_ner").from_bytes(cnn.get_pipe("openmed_ner").to_bytes())
    assert again.evaluate(make_examples(again))["ents_f"] == 1.0


def test_a_device_is_no_setting_of_it(cnn, tmp_path):
    batch = pytest.importorskip("spacy_openmed.batch")
    cnn.to_disk(tmp_path)
    table = batch.annotate([TEXTS[0][0]], tmp_path, device="cpu")
    assert table["entities"][0].as_py()


def test_added_label_keeps_what_was_learned(cnn):
    component = cnn.get_pipe("openmed_ner")
    docs = [cnn.make_doc(text) for text, _ in TEXTS]
    before = component.model.predict(docs).logits
    assert component.add_label("DOSE") == 1
    after = component.model.predict(docs).logits
    np.testing.assert_allclose(after[:, : before.shape[1]], before, atol=1e-6)
    assert after.shape[1] == before.shape[1] + 2
    train(cnn, make_examples(cnn), 3)
    assert cnn.evaluate(make_examples(cnn))["ents_f"] == 1.0


def test_copied_model_is_resized_alone(cnn):
    copied = copy.deepcopy(cnn)
    assert copied.get_pipe("openmed_ner").add_label("DOSE") == 1
    train(copied, make_examples(copied), 1)
    assert cnn.get_pipe("openmed_ner").labels == ("DRUG", "SIGN")
    assert cnn.evaluate(make_examples(cnn))["ents_f"] == 1.0


def test_domain_has_no_meaning():
    with pytest.raises(ValueError, match="OM210"):
        spacy.blank("en").add_pipe("openmed_ner", config={"model": CNN, "domain": "disease"})


def test_empty_documents(cnn):
    assert not cnn("").ents
    assert not cnn("   ").ents
    assert cnn.get_pipe("openmed_ner").predict([]) == []


@needs_spacy_transformers
@pytest.mark.filterwarnings("ignore")  # of spacy-transformers and its transformers
def test_two_components_share_one_transformer(make_checkpoint, tmp_path):
    nlp = spacy.blank("en")
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(make_checkpoint()),
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 16}
        | {"stride": 12},
    }
    nlp.add_pipe("transformer", config={"model": model})
    nlp.add_pipe("openmed_ner", name="drugs", config={"model": LISTENER, "annotate": "spans"})
    nlp.add_pipe("openmed_ner", name="both", config={"model": LISTENER})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    assert len(nlp.get_pipe("transformer").listeners) == 2
    losses = train(nlp, examples, 40)
    assert losses[-1]["both"] < losses[0]["both"] / 2
    assert losses[-1]["drugs"] < losses[0]["drugs"] / 2
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    texts = [text for text, _ in TEXTS]
    found, again = (
        [[(e.text, e.label_) for e in doc.ents] for doc in pipeline.pipe(texts)]
        for pipeline in (nlp, loaded)
    )
    assert found == again
    assert ("aspirin", "DRUG") in found[0]


@needs_spacy_transformers
@pytest.mark.filterwarnings("ignore")
def test_span_getters_of_spacy_transformers_are_windows(make_checkpoint):
    getter = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 4, "stride": 4}
    text = "The patient took aspirin for asthma and was seen again on Monday."
    folder = make_checkpoint()
    by_spans = make_nlp(folder, model={"get_spans": getter})
    whole = make_nlp(folder)
    doc = whole.make_doc(text)
    first = doc[:4].text
    logits = by_spans.get_pipe("openmed_ner").model.predict([doc]).logits
    alone = whole.get_pipe("openmed_ner").model.predict([whole.make_doc(first)]).logits
    np.testing.assert_allclose(logits[: len(alone)], alone, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_sentences_as_windows(make_checkpoint, family):
    def get_sentences(docs: list[Doc]):
        return [list(doc.sents) for doc in docs]

    nlp = make_nlp(make_checkpoint(family))
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp.get_pipe("sentencizer")(nlp.make_doc("He took aspirin. She has asthma."))
    model = nlp.get_pipe("openmed_ner").model
    model.attrs["get_spans"] = get_sentences
    plan = Plan(model, nlp.get_pipe("openmed_ner").shim.checkpoint, [doc])
    offsets = plan.pieces.offsets
    bounds = zip(plan.windows.starts, plan.windows.ends - 1, strict=True)
    seen = [doc.text[offsets[first, 0] : offsets[last, 1]].strip() for first, last in bounds]
    assert seen == ["He took aspirin.", "She has asthma."]
    assert len(model.predict([doc]).logits) == len(offsets)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4).flatmap(
        lambda lengths: st.tuples(
            st.just(lengths),
            st.tuples(
                *(
                    st.lists(
                        st.tuples(st.integers(0, n), st.integers(0, n)).map(
                            lambda pair: tuple(sorted(pair))
                        ),
                        max_size=6,
                    )
                    for n in lengths
                )
            ),
        )
    )
)
def test_every_piece_is_in_one_window(case):
    lengths, spans = case
    windows = plan_span_windows(np.array(lengths), spans, 10, 3)
    own = [np.arange(a, b) for a, b in zip(windows.own_starts, windows.own_ends, strict=True)]
    np.testing.assert_array_equal(np.concatenate([[], *own]), np.arange(sum(lengths)))
    assert (windows.ends - windows.starts <= 10).all()
    assert (windows.own_starts >= windows.starts).all()
    assert (windows.own_ends <= windows.ends).all()


def test_spans_that_cover_a_text_as_windows_do():
    expected = plan_windows(np.array([25]), 10, 4)
    spans = list(zip(expected.starts.tolist(), expected.ends.tolist(), strict=True))
    windows = plan_span_windows(np.array([25]), [spans], 10, 4)
    np.testing.assert_array_equal(windows.own_starts, expected.own_starts)
    np.testing.assert_array_equal(windows.own_ends, expected.own_ends)
