"""Saved pipelines hold all that they need, and predict what they did before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import torch
from conftest import ENGINE, add_openmed, found, make_nlp
from safetensors.torch import load_file, save_file
from spacy.language import Language
from spacy.util import load_config_from_str, load_model_from_config
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.checkpoints.checkpoint import Checkpoint

TEXT = "Aspirin and ibuprofen for asthma in renal failure."

# Prints what a saved pipeline finds in a text, to five places.
PREDICT = """
import sys
import spacy
doc = spacy.load(sys.argv[1])(sys.argv[2])
attrs = doc.spans["openmed"].attrs
print([(span.start_char, span.end_char, span.label_) for span in doc.spans["openmed"]])
print([round(score, 5) for score in attrs["scores"]], attrs["datasets"], attrs["char_offsets"])
"""


def predict(nlp: Language, text: str) -> list[tuple]:
    doc = nlp(text)
    group = doc.spans["openmed"]
    scores = [round(score, 5) for score in group.attrs["scores"]]
    ends = [(span.start_char, span.end_char, span.label_) for span in group]
    return [*zip(ends, scores, group.attrs["datasets"], group.attrs["char_offsets"], strict=True)]


def checkpoint_of(nlp: Language) -> Checkpoint:
    return nlp.get_pipe("openmed_ner").shim.checkpoint


def half(folder: Path, copy: Path) -> Path:
    """A copy of a checkpoint with its weights in fp16."""
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    weights = {key: value.half() for key, value in weights.items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    return copy


@pytest.fixture
def original(multi_head_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that may be deleted."""
    return shutil.copytree(multi_head_checkpoint, tmp_path / "original")


def test_every_family_round_trips(checkpoint: Path, tmp_path: Path):
    nlp = make_nlp(checkpoint)
    text = "Renal failure,  p53(R175H) and NF-kappaB.\n10mg of aspirin " * 20
    expected = predict(nlp, text)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert checkpoint_of(loaded) is not checkpoint_of(nlp)
    assert predict(loaded, text) == expected
    assert expected


def test_bytes_round_trip(original: Path):
    nlp = make_nlp(original, domain="disease")
    expected = predict(nlp, TEXT)
    data = nlp.to_bytes()
    config = nlp.config
    shutil.rmtree(original)
    del nlp
    loaded = load_model_from_config(config).from_bytes(data)
    assert predict(loaded, TEXT) == expected
    assert loaded.to_bytes() == data


def test_pipe_alone_round_trips(original: Path, tmp_path: Path):
    pipe = make_nlp(original).get_pipe("openmed_ner")
    other = make_nlp(tmp_path / "nowhere")
    pipe.to_disk(tmp_path / "pipe")
    assert other.get_pipe("openmed_ner").from_disk(tmp_path / "pipe").heads == pipe.heads
    assert len(other(TEXT).ents) == 4
    other = make_nlp(tmp_path / "nowhere")
    assert other.get_pipe("openmed_ner").from_bytes(pipe.to_bytes()).heads == pipe.heads
    assert len(other(TEXT).ents) == 4


@pytest.mark.parametrize("settings", [{}, {"domain": "disease"}], ids=["all", "domain"])
def test_original_folder_is_not_needed(original: Path, tmp_path: Path, settings: dict):
    nlp = make_nlp(original, **settings)
    expected = predict(nlp, TEXT)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(original)
    (tmp_path / "saved").rename(tmp_path / "moved")
    loaded = spacy.load(tmp_path / "moved")
    assert predict(loaded, TEXT) == expected
    loaded.to_disk(tmp_path / "again")
    assert predict(spacy.load(tmp_path / "again"), TEXT) == expected


@pytest.mark.slow
def test_fresh_process(original: Path, tmp_path: Path, run_python: Callable[..., str]):
    nlp = make_nlp(original)
    add_openmed(nlp, original, name="diseases", domain="disease", label_scheme="native")
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(original)
    ends, scores, datasets, offsets = zip(*predict(nlp, TEXT), strict=True)
    assert run_python(PREDICT, tmp_path / "saved", TEXT).splitlines() == [
        str(list(ends)),
        f"{list(scores)} {list(datasets)} {list(offsets)}",
    ]


@pytest.mark.slow
def test_fresh_process_with_the_bundled_checkpoint(tmp_path: Path, run_python: Callable[..., str]):
    nlp = make_nlp(None)
    expected = predict(nlp, TEXT)
    nlp.to_disk(tmp_path)
    assert (
        str([ends for ends, *_ in expected]) == run_python(PREDICT, tmp_path, TEXT).split("\n")[0]
    )
    assert expected


def test_saved_folder_is_a_plain_checkpoint(checkpoint: Path, tmp_path: Path):
    make_nlp(checkpoint).to_disk(tmp_path)
    folder = tmp_path / "openmed_ner" / "checkpoint"
    text = "Renal failure, p53(R175H) and NF-kappaB"
    logits = []
    for path in (checkpoint, folder):
        batch = AutoTokenizer.from_pretrained(path)(text, return_tensors="pt")
        with torch.no_grad():
            logits.append(AutoModelForTokenClassification.from_pretrained(path)(**batch).logits)
    assert torch.equal(*logits)


def test_saved_checkpoint_says_what_its_heads_are(keyword_checkpoint: Path, tmp_path: Path):
    make_nlp(keyword_checkpoint).to_disk(tmp_path)
    config = (tmp_path / "openmed_ner" / "checkpoint" / "config.json").read_text(encoding="utf8")
    (head,) = json.loads(config)["openmed"]["heads"]
    assert head["dataset"] == keyword_checkpoint.name
    assert sorted(head["labels"]) == ["B-CHEM", "B-Disease", "I-CHEM", "I-Disease", "O"]


def test_licence_is_saved_with_the_weights(original: Path, tmp_path: Path):
    (original / "LICENSE").write_text("Do as you like.", encoding="utf8")
    (original / "README.md").write_text("# Card", encoding="utf8")
    (original / "training_args.bin").write_bytes(b"pickle")
    make_nlp(original).to_disk(tmp_path / "saved")
    folder = tmp_path / "saved" / "openmed_ner" / "checkpoint"
    assert (folder / "LICENSE").read_text(encoding="utf8") == "Do as you like."
    assert (folder / "README.md").read_text(encoding="utf8") == "# Card"
    assert not (folder / "training_args.bin").exists()


def save_and_compare(source: Path, folder: Path, precision: str) -> bool:
    """Whether a saved pipeline has the very weights of its checkpoint, in their format."""
    nlp = make_nlp(source, model={"precision": precision})
    nlp("aspirin")
    nlp.to_disk(folder)
    saved = folder / "openmed_ner" / "checkpoint" / "model.safetensors"
    assert saved.stat().st_size == pytest.approx((source / saved.name).stat().st_size, abs=200)
    before, after = load_file(source / saved.name), load_file(saved)
    assert before.keys() == after.keys()
    assert {value.dtype for value in before.values()} == {value.dtype for value in after.values()}
    return all(torch.equal(before[key], after[key]) for key in before)


def test_stored_weights_do_not_change(checkpoint: Path, tmp_path: Path):
    assert save_and_compare(checkpoint, tmp_path / "saved", "fp32")


def test_half_precision_stays_half(checkpoint: Path, tmp_path: Path):
    assert save_and_compare(half(checkpoint, tmp_path / "half"), tmp_path / "saved", "fp32")


@pytest.mark.filterwarnings("ignore:.OM904")
@pytest.mark.skipif(ENGINE != "torch", reason="the other engines leave the weights in fp32")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision_of_the_engine_is_not_saved(
    make_checkpoint: Callable[..., Path], tmp_path: Path, precision: str
):
    assert save_and_compare(make_checkpoint(), tmp_path / "saved", precision)


def test_saving_over_itself(original: Path, tmp_path: Path):
    expected = predict(make_nlp(original), TEXT)
    nlp = make_nlp(original)
    for _ in range(3):
        nlp.to_disk(tmp_path / "saved")
        assert predict(nlp, TEXT) == expected
        nlp = spacy.load(tmp_path / "saved")
    nlp.to_disk(tmp_path / "saved")
    assert predict(nlp, TEXT) == expected
    assert predict(spacy.load(tmp_path / "saved"), TEXT) == expected


def test_saving_another_checkpoint_over_it(
    original: Path, keyword_checkpoint: Path, tmp_path: Path
):
    make_nlp(original).to_disk(tmp_path / "saved")
    old = spacy.load(tmp_path / "saved")
    make_nlp(keyword_checkpoint, label_scheme="native").to_disk(tmp_path / "saved")
    new = spacy.load(tmp_path / "saved")
    assert found(new("aspirin")) == [("aspirin", "CHEM")]
    assert found(old("aspirin")) == [("aspirin", "CHEMICAL")]


def test_excluded_checkpoint(original: Path, tmp_path: Path):
    nlp = make_nlp(original)
    pipe = nlp.get_pipe("openmed_ner")
    pipe.to_disk(tmp_path / "pipe", exclude=["checkpoint"])
    assert list((tmp_path / "pipe").iterdir()) == []
    assert len(pipe.to_bytes(exclude=["checkpoint"])) < 100
    pipe.from_disk(tmp_path / "pipe", exclude=["checkpoint"])
    pipe.from_bytes(pipe.to_bytes(), exclude=["checkpoint"])
    assert pipe.shim.name == str(original)
    assert len(nlp(TEXT).ents) == 4


def test_checkpoint_that_was_not_saved(original: Path, tmp_path: Path):
    pipe = make_nlp(original).get_pipe("openmed_ner")
    pipe.to_disk(tmp_path / "pipe", exclude=["checkpoint"])
    with pytest.raises(OSError, match=r"OM105.*saved completely"):
        pipe.from_disk(tmp_path / "pipe")


def test_loading_with_the_component_disabled_or_excluded(original: Path, tmp_path: Path):
    make_nlp(original).to_disk(tmp_path / "saved")
    shutil.rmtree(original)
    disabled = spacy.load(tmp_path / "saved", disable=["openmed_ner"])
    assert not disabled(TEXT).ents
    disabled.enable_pipe("openmed_ner")
    assert len(disabled(TEXT).ents) == 4
    assert spacy.load(tmp_path / "saved", exclude=["openmed_ner"]).pipe_names == []


def test_sourced_component(original: Path, tmp_path: Path):
    source = make_nlp(original, domain="disease", label_scheme="native")
    source.to_disk(tmp_path / "saved")
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", source=spacy.load(tmp_path / "saved"))
    assert found(nlp(TEXT)) == [("asthma", "Disease"), ("renal failure", "Disease")]


def test_config_round_trips(multi_head_checkpoint: Path):
    settings = {
        "domain": ["disease", "pharmacology"],
        "dataset": None,
        "size": "best",
        "aggregation_strategy": "average",
        "decoding": "greedy",
        "alignment_mode": "expand",
        "threshold": 0.25,
        "label_scheme": "native",
        "label_map": {"GENE/PROTEIN": "Gene", "Cell-line-name": "Line", "p.value": "odd"},
        "labels_to_ignore": ["RNA", "B-x: y"],
        "annotate": "spans",
        "annotate_spans_key": "sc",
        "ents_policy": "longest",
    }
    model = {"revision": "v2", "device": "cpu", "window": 64, "stride": 8}
    nlp = make_nlp(multi_head_checkpoint, model=model, **settings)
    text = nlp.config.to_str()
    again = load_model_from_config(load_config_from_str(text))
    assert again.config.to_str() == text
    written = again.config["components"]["openmed_ner"]
    assert {key: written[key] for key in settings} == settings
    assert {key: written["model"][key] for key in model} == model
    pipe = again.get_pipe("openmed_ner")
    assert pipe.label_map == settings["label_map"]
    assert pipe.model.attrs["window"] == 64


def test_defaults_round_trip():
    nlp = make_nlp(None)
    text = nlp.config.to_str()
    assert load_model_from_config(load_config_from_str(text)).config.to_str() == text
