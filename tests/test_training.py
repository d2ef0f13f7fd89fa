"""Training: what the head learns, what it must not touch, and what is saved."""

import copy
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
import torch
from checkpoints import make_checkpoint as build_checkpoint
from conftest import make_nlp
from hypothesis import given
from hypothesis import strategies as st
from spacy.training import Example
from spacy.util import load_config, registry
from thinc.api import SGD, Adam
from transformers import AutoModel

from spacy_openmed.ner.decoding import LabelScheme
from spacy_openmed.ner.loss import cross_entropy, softmax
from spacy_openmed.ner.targets import MISSING, read_states

ROOT = Path(__file__).parent.parent

TEXTS = [
    ("The patient took aspirin for asthma.", {"entities": [(17, 24, "DRUG"), (29, 35, "SIGN")]}),
    ("Aspirin and metformin were given.", {"entities": [(0, 7, "DRUG"), (12, 21, "DRUG")]}),
    ("She denies chest pain.", {"entities": [(11, 21, "SIGN")]}),
    ("Nothing was found.", {"entities": []}),
]


def make_examples(nlp, texts=TEXTS):
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in texts]


def train(nlp, examples, *, steps=40, rate=5e-3, **settings):
    sgd = Adam(rate, L2=0.01, grad_clip=1.0, **settings)
    losses = []
    for _ in range(steps):
        losses.append(nlp.update(examples, sgd=sgd)["openmed_ner"])
    return sgd, losses


def logits_of(nlp, text="Aspirin for asthma and chest pain"):
    return nlp.get_pipe("openmed_ner").model.predict([nlp.make_doc(text)]).logits


@pytest.fixture
def trained(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")))
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    train(nlp, examples)
    return nlp


@pytest.fixture
def bare_encoder(tmp_path):
    folder = build_checkpoint(tmp_path / "encoder", "bert")
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    config = {k: v for k, v in config.items() if k not in ("id2label", "label2id")}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf8")
    return folder


def test_overfitting_io(trained, tmp_path):
    assert trained.evaluate(make_examples(trained))["ents_f"] == 1.0
    trained.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.evaluate(make_examples(loaded))["ents_f"] == 1.0
    np.testing.assert_allclose(logits_of(loaded), logits_of(trained), atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "deberta-v2", "modernbert"])
def test_every_family_learns(family, make_checkpoint):
    nlp = make_nlp(make_checkpoint(family, labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")))
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    _, losses = train(nlp, examples, steps=15)
    assert losses[-1] < losses[0] / 2


def test_implicit_labels(trained):
    assert trained.get_pipe("openmed_ner").labels == ("DRUG", "SIGN")


def test_components_of_earlier_versions_answer_as_they_did(trained, tmp_path):
    trained.to_disk(tmp_path)
    path = tmp_path / "openmed_ner" / "cfg"
    cfg = srsly.read_json(path)
    assert cfg.pop("version")
    cfg |= {"labels": {}, "chosen": ["bc5cdr_chem", "bc4chemd", "fsu"]}  # what a domain meant
    srsly.write_json(path, cfg)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("openmed_ner").labels == ("DRUG", "SIGN")
    assert loaded.get_pipe("openmed_ner")._trained


def test_explicit_labels_extend_the_head(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    component = nlp.get_pipe("openmed_ner")
    before = logits_of(nlp)
    component.initialize(lambda: make_examples(nlp), nlp=nlp, labels=["DRUG", "DOSE"])
    assert component.labels == ("DRUG", "DOSE")
    np.testing.assert_allclose(logits_of(nlp)[:, :3], before, atol=1e-6)


def test_label_data_initializes(trained, make_checkpoint):
    labels = trained.get_pipe("openmed_ner").label_data
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    component = nlp.get_pipe("openmed_ner")
    component.initialize(lambda: make_examples(nlp), nlp=nlp, labels=labels)
    assert component.label_data == labels


def test_no_label(bare_encoder):
    nlp = make_nlp(bare_encoder)
    with pytest.raises(ValueError, match="OM207"):
        nlp.initialize(lambda: make_examples(nlp, [("Nothing.", {"entities": []})]))


def test_answers_in_the_words_of_the_data(make_checkpoint, tmp_path):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DISEASE", "I-DISEASE")))
    examples = make_examples(nlp, [("He has asthma.", {"entities": [(7, 13, "Disease")]})])
    nlp.initialize(lambda: examples)
    train(nlp, examples, steps=20)
    assert nlp.evaluate(examples)["ents_f"] == 1.0
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("openmed_ner").labels == ("Disease",)


def test_bare_encoder_gets_a_head(bare_encoder):
    nlp = make_nlp(bare_encoder)
    with pytest.raises(ValueError, match="OM102"):
        nlp("She took aspirin.")
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    train(nlp, examples)
    assert nlp.evaluate(examples)["ents_f"] == 1.0


def test_unknown_labels_get_a_new_head(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    texts = [("No rash after lunch.", {"entities": [(3, 7, "SIGN"), (14, 19, "MEAL")]})]
    nlp.initialize(lambda: make_examples(nlp, texts))
    component = nlp.get_pipe("openmed_ner")
    assert component.labels == ("MEAL", "SIGN")
    assert len(component.shim.heads) == 3


def test_several_heads_that_know_the_labels_need_a_choice(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    texts = [("Aspirin for asthma.", {"entities": [(0, 7, "Chemical"), (12, 18, "Disease")]})]
    with pytest.raises(ValueError, match="OM206.*bc5cdr_chem, ncbi_disease"):
        nlp.initialize(lambda: make_examples(nlp, texts))


def test_labels_that_none_of_several_heads_has(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint, dataset=["bc5cdr_chem", "ncbi_disease"])
    component = nlp.get_pipe("openmed_ner")
    with pytest.raises(ValueError, match="OM208.*DOSE"):
        component.initialize(lambda: make_examples(nlp), labels=["CHEMICAL", "DISEASE", "DOSE"])


def test_a_new_head_can_not_have_the_name_of_another(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint, dataset="ncbi_disease")
    with pytest.raises(ValueError, match="OM209.*'ncbi_disease'"):
        nlp.initialize(lambda: make_examples(nlp))


def test_the_only_head_that_knows_the_labels_learns(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    texts = [("He has asthma.", {"entities": [(7, 13, "Disease")]})]
    nlp.initialize(lambda: make_examples(nlp, texts))
    assert [head.dataset for head in nlp.get_pipe("openmed_ner").heads] == ["ncbi_disease"]


def test_frozen_encoder_leaves_other_heads(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint, dataset="ncbi_disease", model={"frozen_layers": -1})
    texts = [("She denies chest pain.", {"entities": [(11, 21, "Disease")]})]
    examples = make_examples(nlp, texts)
    before = logits_of(nlp)
    nlp.initialize(lambda: examples)
    train(nlp, examples)
    after = logits_of(nlp)
    heads = {head.dataset: head for head in nlp.get_pipe("openmed_ner").shim.heads}
    kept, own = heads["bc5cdr_chem"].columns, heads["ncbi_disease"].columns
    np.testing.assert_allclose(after[:, kept], before[:, kept], atol=1e-6)
    assert np.abs(after[:, own] - before[:, own]).max() > 0.1


def test_frozen_encoder_leaves_the_layers_that_heads_share(make_checkpoint):
    labels = ("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")
    nlp = make_nlp(make_checkpoint("modernbert", labels=labels), model={"frozen_layers": -1})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    shim = nlp.get_pipe("openmed_ner").shim
    before = copy.deepcopy(shim.own().module.state_dict())
    train(nlp, examples, steps=2)
    after = shim.own().module.state_dict()
    changed = {key for key in before if not before[key].equal(after[key])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_frozen_layers_are_not_trained(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")), model={"frozen_layers": 1})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    shim = nlp.get_pipe("openmed_ner").shim
    before = copy.deepcopy(shim.own().module.state_dict())
    train(nlp, examples, steps=2)
    after = shim.own().module.state_dict()
    changed = {key for key in before if not before[key].equal(after[key])}
    assert changed
    assert not [key for key in changed if "embeddings" in key or ".layer.0." in key]


def test_training_leaves_a_component_with_the_same_checkpoint_alone(make_checkpoint):
    folder = make_checkpoint(labels=("O", "B-DRUG", "I-DRUG"))
    nlp, other = make_nlp(folder), make_nlp(folder)
    before = logits_of(other)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    train(nlp, examples, steps=3)
    np.testing.assert_array_equal(logits_of(other), before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_copies_are_trained_apart(trained, duplicate):
    copied = duplicate(trained)
    before = logits_of(trained)
    np.testing.assert_allclose(logits_of(copied), before, atol=1e-6)
    train(copied, make_examples(copied), steps=3)
    np.testing.assert_array_equal(logits_of(trained), before)
    assert np.abs(logits_of(copied) - before).max() > 1e-4


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_copies_and_components_made_later_have_ids_of_their_own(make_checkpoint, duplicate):
    made = [make_nlp(make_checkpoint())]
    for _ in range(2):
        made += [duplicate(made[0]), make_nlp(make_checkpoint())]
    ids = [nlp.get_pipe("openmed_ner").shim.id for nlp in made]
    assert len({*ids}) == len(ids)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_copies_share_nothing_in_an_optimizer(make_checkpoint, duplicate):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")))
    nlp.initialize(lambda: make_examples(nlp))
    train(nlp, make_examples(nlp), steps=1)
    alone, first, second = (duplicate(nlp) for _ in range(3))
    train(alone, make_examples(alone), steps=3)
    sgd = Adam(5e-3, L2=0.01, grad_clip=1.0)
    for _ in range(3):
        for copied in (first, second):
            copied.update(make_examples(copied), sgd=sgd)
    for copied in (first, second):
        np.testing.assert_allclose(logits_of(copied), logits_of(alone), atol=1e-5)
    scalers = [copied.get_pipe("openmed_ner").shim._grad_scaler for copied in (first, second)]
    assert scalers[0] is not scalers[1]


def test_resumes_from_a_saved_pipeline(make_checkpoint, tmp_path):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")))
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    _, first = train(nlp, examples, steps=10)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    loaded.resume_training()
    _, second = train(loaded, make_examples(loaded), steps=3)
    assert second[0] < first[-2]


def test_averages_are_used(trained):
    examples = make_examples(trained)
    before = logits_of(trained)
    sgd, _ = train(trained, examples, steps=5, use_averages=True)
    after = logits_of(trained)
    with trained.use_params(sgd.averages):
        averaged = logits_of(trained)
    assert np.abs(averaged - after).max() > 1e-5
    assert np.abs(averaged - before).max() < np.abs(after - before).max()
    np.testing.assert_array_equal(logits_of(trained), after)


def test_dropout_reaches_the_transformer(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    plain = {nlp.update(examples, drop=0.0, sgd=False)["openmed_ner"] for _ in range(3)}
    dropped = {nlp.update(examples, drop=0.5, sgd=False)["openmed_ner"] for _ in range(3)}
    assert len(plain) == 1
    assert len(dropped) == 3


def test_gradients_accumulate(make_checkpoint):
    def step(batches):
        nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")))
        examples = make_examples(nlp) * 2
        nlp.initialize(lambda: examples)
        for batch in batches(examples):
            nlp.update(batch, sgd=False)
        weights = nlp.get_pipe("openmed_ner").shim.own().module.classifier.weight
        return weights.grad.numpy()

    whole = step(lambda examples: [examples])
    halves = step(lambda examples: [examples[:4], examples[4:]])
    np.testing.assert_allclose(halves, 2 * whole, atol=1e-5)


def test_long_documents_are_trained_whole(make_checkpoint):
    text = "nothing to see here . " * 60 + "She took aspirin ."
    at = text.index("aspirin")
    nlp = make_nlp(
        make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")), model={"window": 32, "stride": 8}
    )
    examples = make_examples(nlp, [(text, {"entities": [(at, at + 7, "DRUG")]})])
    nlp.initialize(lambda: examples)
    train(nlp, examples, steps=30)
    assert [ent.start_char for ent in nlp(text).ents] == [at]


def test_empty_documents_do_no_harm(trained):
    examples = make_examples(trained, [("", {}), ("   ", {}), *TEXTS])
    assert np.isfinite(trained.update(examples, sgd=Adam(1e-4))["openmed_ner"])


def test_missing_annotation_is_not_learned_from(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    nlp.initialize(lambda: make_examples(nlp))
    unknown = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text, _ in TEXTS]
    assert nlp.update(unknown, sgd=False)["openmed_ner"] == 0.0


def test_gold_of_another_tokenization_is_aligned(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    reference = spacy.tokens.Doc(
        nlp.vocab, words=["took", "asp", "irin", "."], spaces=[True, False, False, False]
    )
    reference.ents = [spacy.tokens.Span(reference, 1, 3, label="DRUG")]
    examples = [Example(nlp.make_doc("took aspirin."), reference)]
    nlp.initialize(lambda: examples)
    train(nlp, examples, steps=20)
    assert [ent.text for ent in nlp("took aspirin.").ents] == ["aspirin"]


def test_strategy_is_stored_with_the_checkpoint(make_checkpoint, tmp_path):
    folder = make_checkpoint(labels=("O", "B-DRUG", "I-DRUG"))
    nlp = make_nlp(folder, aggregation_strategy="average")
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    loaded.get_pipe("openmed_ner").shim.load()
    assert loaded.get_pipe("openmed_ner").shim.checkpoint.strategy == "average"


def test_add_label(trained):
    component = trained.get_pipe("openmed_ner")
    before = logits_of(trained)
    assert component.add_label("DRUG") == 0
    assert component.add_label("DOSE") == 1
    assert component.labels == ("DRUG", "SIGN", "DOSE")
    np.testing.assert_allclose(logits_of(trained)[:, :5], before, atol=1e-6)


def test_frozen_component_is_not_changed(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    before = logits_of(nlp)
    nlp.update(make_examples(nlp), sgd=Adam(1e-2), exclude=["openmed_ner"])
    np.testing.assert_array_equal(logits_of(nlp), before)


@pytest.mark.parametrize("layers", [-2, 99])
def test_frozen_layers_out_of_range(make_checkpoint, layers):
    nlp = make_nlp(
        make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")), model={"frozen_layers": layers}
    )
    nlp.initialize(lambda: make_examples(nlp))
    with pytest.raises(ValueError, match="OM151"):
        nlp.update(make_examples(nlp))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_moving_to_a_device_keeps_what_was_learned(trained, duplicate):
    before = logits_of(trained)
    copied = duplicate(trained)
    for nlp in (trained, copied):
        nlp.get_pipe("openmed_ner").model.to_cpu()
        np.testing.assert_allclose(logits_of(nlp), before, atol=1e-6)


def test_averages_are_used_after_a_copy_and_an_error(trained):
    sgd, _ = train(trained, make_examples(trained), steps=5, use_averages=True)
    copy.deepcopy(trained)
    after = logits_of(trained)

    def fail():
        with trained.use_params(sgd.averages):
            assert np.abs(logits_of(trained) - after).max() > 1e-5
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    np.testing.assert_array_equal(logits_of(trained), after)


class Scaler:
    """thinc's gradient scaler, for a CPU."""

    found_inf, _enabled = False, True

    def to_(self, device):
        self._enabled = True

    def scale(self, tensor):
        return tensor * 1024

    def unscale(self, gradients):
        for gradient in gradients:
            gradient /= 1024

    def update(self):
        pass


def test_scaled_gradients_of_several_batches_are_unscaled_once(make_checkpoint):
    def weights_after(scaler, **model):
        nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")), model=model)
        examples = make_examples(nlp)
        nlp.initialize(lambda: examples)
        shim = nlp.get_pipe("openmed_ner").shim
        with torch.no_grad():  # new rows are random
            shim.own().module.classifier.weight.fill_(0.01)
        if scaler is not None:
            shim._grad_scaler = scaler
        nlp.update(examples, sgd=SGD(0.1))
        return shim.own().module.classifier.weight.detach().numpy()

    expected = weights_after(None)
    np.testing.assert_allclose(weights_after(Scaler(), max_batch_tokens=1), expected, atol=1e-5)


def test_prediction_after_a_failed_update_is_not_random(trained, monkeypatch):
    before = logits_of(trained)
    module = trained.get_pipe("openmed_ner").shim.own().module
    hook = module.classifier.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained.update(make_examples(trained), drop=0.5, sgd=False)
    hook.remove()
    np.testing.assert_array_equal(logits_of(trained), before)


def test_labels_that_mean_one_type_are_kept_apart(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-PERSON", "I-PERSON")))
    texts = [
        ("Ada saw Bob.", {"entities": [(0, 3, "PATIENT"), (8, 11, "NAME")]}),
        ("Bob saw nobody.", {"entities": [(0, 3, "NAME")]}),
    ]
    examples = make_examples(nlp, texts)
    nlp.initialize(lambda: examples)
    train(nlp, examples)
    assert nlp.evaluate(examples)["ents_f"] == 1.0


@pytest.mark.parametrize("first", ["NAME", "PATIENT"])  # sorted before and after PERSON
def test_a_types_own_name_comes_before_those_alike(make_checkpoint, first):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-PERSON", "I-PERSON")))
    texts = [("Ada saw Bob.", {"entities": [(0, 3, first), (8, 11, "PERSON")]})]
    examples = make_examples(nlp, texts)
    nlp.initialize(lambda: examples)
    train(nlp, examples)
    assert [ent.label_ for ent in nlp("Ada saw Bob.").ents] == [first, "PERSON"]


def test_add_label_adds_what_the_component_does_not_answer(make_checkpoint):
    component = make_nlp(make_checkpoint(labels=("O", "B-PERSON", "I-PERSON"))).get_pipe(
        "openmed_ner"
    )
    assert [component.add_label(label) for label in ("PERSON", "PATIENT", "PATIENT")] == [0, 1, 0]
    assert component.labels == ("PERSON", "PATIENT")


def test_checkpoint_without_a_linear_classifier_is_not_trained(make_checkpoint, tmp_path):
    folder = make_checkpoint(labels=("O", "B-DRUG", "I-DRUG"))
    nlp = make_nlp(shutil.copytree(folder, tmp_path / "own"))
    module = nlp.get_pipe("openmed_ner").shim.load().module
    module.score = module.classifier
    del module.classifier
    with pytest.raises(ValueError, match="OM107"):
        nlp.initialize(lambda: make_examples(nlp))


def test_model_card_of_the_base_is_kept_as_such(make_checkpoint, tmp_path):
    folder = make_checkpoint(labels=("O", "B-DRUG", "I-DRUG"))
    folder = shutil.copytree(folder, tmp_path / "own")
    (folder / "README.md").write_text("the card", encoding="utf8")
    nlp = make_nlp(folder)
    examples = make_examples(nlp)
    for name in ("once", "twice"):
        nlp.initialize(lambda: examples)
        nlp.to_disk(tmp_path / name)
        saved = tmp_path / name / "openmed_ner" / "checkpoint"
        assert (saved / "BASE_README.md").read_text(encoding="utf8") == "the card"
        assert not (saved / "README.md").exists()
        nlp = spacy.load(tmp_path / name)


def test_unknown_labels_are_told_once(trained):
    texts = [("He took 5 mg.", {"entities": [(8, 12, "DOSE")]})]
    examples = make_examples(trained, texts)
    with pytest.warns(UserWarning, match=r"OM909.*DOSE"):
        trained.update(examples, sgd=False)
    trained.update(examples, sgd=False)


def test_saving_over_a_trained_pipeline_leaves_nothing_of_it(trained, make_checkpoint, tmp_path):
    trained.get_pipe("openmed_ner").cfg["labels"] = {"DRUG": "Medicine"}
    trained.to_disk(tmp_path)
    make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG"))).to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("openmed_ner").labels == ("CHEMICAL",)
    trained.get_pipe("openmed_ner").from_disk(tmp_path / "openmed_ner")
    assert trained.get_pipe("openmed_ner").cfg["trained"] == []


def test_other_settings_choose_another_head_to_train(multi_head_checkpoint, tmp_path):
    nlp = make_nlp(multi_head_checkpoint)
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path)
    config = {"components": {"openmed_ner": {"dataset": "ncbi_disease"}}}
    loaded = spacy.load(tmp_path, config=config)
    texts = [("He has asthma.", {"entities": [(7, 13, "Disease")]})]
    loaded.update(make_examples(loaded, texts), sgd=False)
    component = loaded.get_pipe("openmed_ner")
    assert component.cfg["trained"] == ["ncbi_disease"]
    assert [head.dataset for head in component.heads] == ["ncbi_disease"]


@pytest.mark.parametrize("is_relative", [False, True])
def test_saved_pipeline_needs_no_other_folder(bare_encoder, tmp_path, monkeypatch, is_relative):
    monkeypatch.chdir(bare_encoder.parent)
    folder = bare_encoder.name if is_relative else bare_encoder
    nlp = make_nlp(folder, dataset="my_head")
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(bare_encoder)
    monkeypatch.chdir(tmp_path)
    loaded = spacy.load(tmp_path / "saved")
    assert [head.dataset for head in loaded.get_pipe("openmed_ner").heads] == ["my_head"]


def test_source_goes_on_training(trained, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", source=trained)
    assert nlp.evaluate(make_examples(nlp))["ents_f"] == 1.0
    nlp.resume_training()
    _, losses = train(nlp, make_examples(nlp), steps=2)
    assert losses[0] < 0.1


@pytest.mark.filterwarnings(r"ignore:\[OM904\]")  # of processors without fp16
def test_fp16_needs_a_gpu(make_checkpoint):
    nlp = make_nlp(
        make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")),
        model={"precision": "fp16", "device": "cpu"},
    )
    nlp.initialize(lambda: make_examples(nlp))
    with pytest.raises(ValueError, match="OM152"):
        nlp.update(make_examples(nlp))


@pytest.mark.filterwarnings(r"ignore:\[OM904\]")  # of processors without bf16
def test_bf16_trains_and_keeps_fp32_weights(make_checkpoint):
    nlp = make_nlp(
        make_checkpoint(labels=("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")),
        model={"precision": "bf16", "device": "cpu"},
    )
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    _, losses = train(nlp, examples, steps=15)
    assert losses[-1] < losses[0] / 2
    assert nlp.get_pipe("openmed_ner").shim.own().module.classifier.weight.dtype == torch.float32


def test_read_states():
    tags = ["B-DRUG", "L-DRUG", "O", None, "-", "U-SIGN", "I-DRUG", "U-OTHER"]
    states = read_states(tags, {"DRUG": 0, "SIGN": 1}, 2)
    assert states.tolist() == [1, 3, 0, MISSING, MISSING, 2, 3, 0]


def test_states_without_a_label_do_not_count():
    scheme = LabelScheme.from_labels(["O", "B-A"], name="x")
    loss, gradient, count = cross_entropy(np.zeros((2, 2)), np.array([1, 2]), scheme)
    assert count == 1
    assert loss == pytest.approx(np.log(2))
    assert not gradient[1].any()


@given(st.integers(0, 2**32 - 1))
def test_gradient_is_that_of_the_loss(seed):
    rng = np.random.default_rng(seed)
    scheme = LabelScheme.from_labels(["O", "B-A", "I-A", "L-A", "U-A", "B-B", "I-B"], name="x")
    logits = rng.normal(size=(4, 7))
    targets = rng.integers(-1, 5, size=4)
    loss, gradient, count = cross_entropy(logits, targets, scheme)
    assert count == (targets != MISSING).sum()
    step = rng.normal(size=logits.shape)
    ahead, _, _ = cross_entropy(logits + 1e-5 * step, targets, scheme)
    behind, _, _ = cross_entropy(logits - 1e-5 * step, targets, scheme)
    assert (ahead - behind) / 2e-5 == pytest.approx((gradient * step).sum(), abs=1e-4)
    wanted = (softmax(logits) @ scheme.fold)[np.arange(4), targets]
    assert loss == pytest.approx(-np.log(wanted[targets != MISSING]).sum())


def test_resume_config_goes_on_with_a_saved_pipeline(trained, tmp_path):
    trained.to_disk(tmp_path)
    path = Path(__file__).parent.parent / "configs" / "resume.cfg"
    config = spacy.util.load_config(path, overrides={"paths.model": str(tmp_path)})
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    assert nlp.evaluate(make_examples(nlp))["ents_f"] == 1.0
    assert nlp.get_pipe("openmed_ner")._trained


def test_labels_are_added_to_a_new_head_beside_others(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    component = nlp.get_pipe("openmed_ner")
    before = component.labels
    assert [component.add_label(label) for label in ("SIGN", "DRUG", "SIGN")] == [1, 1, 0]
    assert component.labels[: len(before)] == before
    assert {"SIGN", "DRUG"} <= {*component.labels}


def test_add_label_then_initialize_then_update(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    component = nlp.get_pipe("openmed_ner")
    for label in ("SIGN", "DRUG"):
        component.add_label(label)
    nlp.initialize()
    assert component.labels == ("SIGN", "DRUG")
    examples = make_examples(nlp)
    train(nlp, examples)
    assert nlp.evaluate(examples)["ents_f"] == 1.0


def test_add_label_then_initialize_with_other_labels(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    component = nlp.get_pipe("openmed_ner")
    component.add_label("DOSE")
    nlp.initialize(lambda: make_examples(nlp))
    assert component.labels == ("DOSE", "DRUG", "SIGN")


def test_add_label_learns_without_initialize(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    component = nlp.get_pipe("openmed_ner")
    before = component.labels
    component.add_label("SIGN")
    component.add_label("DRUG")
    _, losses = train(nlp, make_examples(nlp))
    assert losses[-1] < losses[0] / 2
    assert component.labels == (*before, "SIGN", "DRUG")


def test_initialize_takes_examples_as_spacy_does(multi_head_checkpoint):
    nlp = make_nlp(multi_head_checkpoint)
    for wrong in (lambda: None, lambda: make_examples(nlp)[0], list, make_examples(nlp)):
        with pytest.raises(TypeError):
            nlp.initialize(get_examples=wrong)


def test_add_label_takes_strings_only(make_checkpoint):
    nlp = make_nlp(make_checkpoint(labels=("O", "B-DRUG", "I-DRUG")))
    with pytest.raises(ValueError, match="E187"):
        nlp.get_pipe("openmed_ner").add_label(5)


@pytest.mark.parametrize(
    ("labels", "new"),
    [(("O", "DRUG"), ["DOSE"]), (("O", "DRUG-B", "DRUG-I"), ["DOSE-B", "DOSE-I"])],
)
def test_new_labels_are_written_as_the_head_writes_them(make_checkpoint, labels, new):
    nlp = make_nlp(make_checkpoint(labels=labels))
    component = nlp.get_pipe("openmed_ner")
    assert component.add_label("DOSE") == 1
    assert component.shim.heads[0].labels == (*labels, *new)
    assert component.labels == ("CHEMICAL", "DOSE")


@pytest.mark.parametrize("name", ["train", "resume"])
def test_a_trained_pipeline_can_be_trained_further(name: str):
    config = load_config(ROOT / "configs" / f"{name}.cfg")
    learn_rate = config["training"]["optimizer"]["learn_rate"]
    assert learn_rate["total_steps"] == config["training"]["max_steps"]
    # As `Language.create_optimizer` does, without the rest of the config.
    registry.resolve({"optimizer": config["training"]["optimizer"]})
