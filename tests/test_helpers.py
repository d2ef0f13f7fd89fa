"""The helpers of the other tests do what they say."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import (
    FAMILIES,
    LABELS,
    MANY_LABELS,
    SENTENCES,
    make_keyword_checkpoint,
)
from checkpoints import (
    make_checkpoint as write_checkpoint,
)
from conftest import HEADS
from transformers import AutoModelForTokenClassification, AutoTokenizer


def load(folder: Path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, AutoModelForTokenClassification.from_pretrained(folder).eval()


def predict(folder: Path, text: str) -> tuple[list[str], torch.Tensor]:
    """The pieces of a text and their logits, by plain transformers."""
    tokenizer, model = load(folder)
    batch = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        logits = model(**batch).logits[0]
    return tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist()), logits


def tag(folder: Path, text: str) -> list[tuple[str, str]]:
    """The pieces of a text and their labels, without "O"."""
    names = json.loads((folder / "config.json").read_text(encoding="utf8"))["id2label"]
    pieces, logits = predict(folder, text)
    labels = [names[str(i)] for i in logits.argmax(dim=1).tolist()]
    return [(piece, label) for piece, label in zip(pieces, labels, strict=True) if label != "O"]


def test_families_load_with_auto_classes(family: str, checkpoint: Path):
    tokenizer, model = load(checkpoint)
    assert tokenizer.is_fast
    assert model.config.model_type == FAMILIES[family].model_type
    assert model.config.id2label == dict(enumerate(LABELS))
    assert not (checkpoint / "pytorch_model.bin").exists()


def test_families_split_words_into_pieces(checkpoint: Path):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    for text in ("p53(R175H", "vB_SauS_SA2"):
        assert len(tokenizer.tokenize(text)) > 3
    n_words = sum(len(sentence.split()) for sentence in SENTENCES)
    n_pieces = sum(len(tokenizer.tokenize(sentence)) for sentence in SENTENCES)
    assert 1.5 * n_words < n_pieces < 5 * n_words


def test_families_discriminate(checkpoint: Path):
    tokenizer, model = load(checkpoint)
    batch = tokenizer(" ".join(SENTENCES[:3]), return_tensors="pt")
    ids = batch["input_ids"]
    with torch.no_grad():
        whole = model(**batch).logits[0]
        half = model(input_ids=ids[:, : ids.shape[1] // 2]).logits[0]
    # Every label wins somewhere, and what stands after a piece matters to it.
    assert set(whole.argmax(dim=1).tolist()) == set(range(len(LABELS)))
    assert (whole[: len(half)] - half).abs().amax() > 0.01


def test_families_take_max_length_pieces(family: str, make_checkpoint: Callable[..., Path]):
    tokenizer, model = load(make_checkpoint(family, max_length=16, labels=MANY_LABELS))
    assert tokenizer.model_max_length > 1e29
    ids = torch.full((1, 16), tokenizer.convert_tokens_to_ids(tokenizer.tokenize("a")[0]))
    with torch.no_grad():
        assert model(input_ids=ids).logits.shape == (1, 16, len(MANY_LABELS))


def test_checkpoints_are_deterministic(family: str, checkpoint: Path, tmp_path: Path):
    again = write_checkpoint(tmp_path / "again", family)
    for name in ("tokenizer.json", "model.safetensors"):
        assert (checkpoint / name).read_bytes() == (again / name).read_bytes()


def test_baked_truncation(tmp_path: Path):
    folder = write_checkpoint(tmp_path, truncation=8)
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf8"))
    assert settings["truncation"]["max_length"] == 8
    assert settings["padding"]["strategy"] == {"Fixed": 8}


@pytest.mark.parametrize("text", ["asthma or aspirin", "ASTHMA! not aspirins", "(Asthma)aspirin"])
def test_keywords_whatever_is_around_them(keyword_checkpoint: Path, text: str):
    assert tag(keyword_checkpoint, text) == [("asthma", "B-Disease"), ("aspirin", "B-CHEM")]


def test_keywords_of_several_pieces_and_words(keyword_checkpoint: Path):
    assert tag(keyword_checkpoint, "Ibuprofen made her renal failure worse") == [
        ("ibu", "B-CHEM"),
        ("##profen", "I-CHEM"),
        ("renal", "B-Disease"),
        ("failure", "I-Disease"),
    ]


def test_keyword_margins_are_exact(tmp_path: Path):
    words = {"aspirin": "CHEM", "NF-kappaB": "GENE"}
    folder = make_keyword_checkpoint(tmp_path, words, cased=True, margins={"aspirin": 1.5})
    pieces, logits = predict(folder, "aspirin NF-kappaB nf Aspirin")
    best = logits.topk(2, dim=1).values
    margins = dict(zip(pieces, (best[:, 0] - best[:, 1]).tolist(), strict=True))
    assert margins["aspirin"] == pytest.approx(1.5, abs=1e-4)
    assert margins["kappaB"] == pytest.approx(10, abs=1e-4)
    assert tag(folder, "aspirin NF-kappaB nf Aspirin") == [
        ("aspirin", "B-CHEM"),
        ("NF", "B-GENE"),
        ("-", "I-GENE"),
        ("kappaB", "I-GENE"),
    ]


def test_keywords_that_contradict_each_other(tmp_path: Path):
    with pytest.raises(ValueError, match="failure"):
        make_keyword_checkpoint(tmp_path, {"renal failure": "Disease", "failure": "Disease"})
    with pytest.raises(ValueError, match="becomes"):
        make_keyword_checkpoint(tmp_path, {"ibu##profen": "CHEM", "ibup": "CHEM"})


def test_heads_know_their_own_keywords(multi_head_checkpoint: Path):
    config = json.loads((multi_head_checkpoint / "config.json").read_text(encoding="utf8"))
    chem, disease = config["openmed"]["heads"]
    assert config["openmed"]["aggregation_strategy"] == "first"
    assert chem == {
        "dataset": "bc5cdr_chem",
        "start": 0,
        "labels": ["O", "B-Chemical", "I-Chemical"],
    }
    assert disease == {
        "dataset": "ncbi_disease",
        "start": 3,
        "labels": ["O", "B-Disease", "I-Disease"],
    }
    assert [head["dataset"] for head in config["openmed"]["heads"]] == list(HEADS)
    assert list(config["id2label"].values())[2:4] == ["bc5cdr_chem/I-Chemical", "ncbi_disease/O"]
    pieces, logits = predict(multi_head_checkpoint, "aspirin in renal failure")
    assert logits[:, :3].argmax(dim=1).tolist() == [1, 0, 0, 0]
    assert logits[:, 3:].argmax(dim=1).tolist() == [0, 0, 1, 2]


def test_impossible_text_fails_alone(impossible_checkpoint: Path):
    assert tag(impossible_checkpoint, "possible asthma") == [("asthma", "B-Disease")]
    with pytest.raises(IndexError):
        predict(impossible_checkpoint, "impossible asthma")


def test_network_is_blocked(run_python: Callable[..., str]):
    with socket.socket() as sock, pytest.raises(RuntimeError, match="192.0.2.1"):
        sock.connect(("192.0.2.1", 80))
    code = "import socket\ntry: socket.socket().connect(('192.0.2.1', 80))\n"
    assert run_python(code + "except RuntimeError as error: print(error)").endswith("192.0.2.1.\n")


def test_fresh_process_reads_the_folder(run_python: Callable[..., str], keyword_checkpoint: Path):
    code = (
        "import sys\n"
        "from transformers import AutoModelForTokenClassification, AutoTokenizer\n"
        "AutoModelForTokenClassification.from_pretrained(sys.argv[1])\n"
        "print(AutoTokenizer.from_pretrained(sys.argv[1]).is_fast)"
    )
    assert run_python(code, keyword_checkpoint) == "True\n"
