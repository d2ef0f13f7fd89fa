"""The component gives what plain transformers gives."""

import math
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import FAMILIES, MANY_LABELS, SENTENCES
from conftest import found, make_nlp
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from spacy_openmed.ner.logits import PieceLogits

TEXTS = [*SENTENCES, "", "aspirin", "  renal  failure\n", "p53(R175H BRCA1/2 10mg", "fever 🤒 患者"]
LONG = " ".join(SENTENCES)


class Plain:
    """A checkpoint, used through transformers alone."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForTokenClassification.from_pretrained(folder).eval()
        ids = self.encode("a", special=True)
        at = ids.index(self.encode("a")[0])
        self.prefix, self.suffix = ids[:at], ids[at + len(self.encode("a")) :]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return self.tokenizer(text, add_special_tokens=special)["input_ids"]

    def predict(self, text: str) -> np.ndarray:
        """The logits of a text's pieces, without those of the special ones."""
        ids = self.encode(text, special=True)
        return self.logits([ids])[0, len(self.prefix) : len(ids) - len(self.suffix)]

    def logits(self, rows: list[list[int]]) -> np.ndarray:
        with torch.inference_mode():
            return self.model(input_ids=torch.tensor(rows)).logits.numpy()

    def predict_long(self, text: str, window: int, stride: int) -> np.ndarray:
        """Each piece as predicted in the window that it is deepest inside."""
        ids = self.encode(text)
        capacity = window - len(self.prefix) - len(self.suffix)
        count = math.ceil((len(ids) - stride) / (capacity - stride))
        size = math.ceil((len(ids) + stride * (count - 1)) / count)
        starts = [min(i * (size - stride), len(ids) - size) for i in range(count)]
        rows = [self.prefix + ids[start : start + size] + self.suffix for start in starts]
        logits = self.logits(rows)[:, len(self.prefix) :]

        def owner(piece: int) -> int:
            inside = [i for i, start in enumerate(starts) if start <= piece < start + size]
            depths = [min(piece - starts[i], starts[i] + size - 1 - piece) for i in inside]
            return max(zip(depths, inside, strict=True))[1]

        return np.stack([logits[w, i - starts[w]] for i in range(len(ids)) for w in [owner(i)]])


@pytest.fixture(scope="module")
def folder(family: str, make_checkpoint: Callable[..., Path]) -> Path:
    """A checkpoint of every family in turn, with labels of several types."""
    return make_checkpoint(family, labels=MANY_LABELS)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Plain:
    return Plain(folder)


@pytest.fixture(scope="module")
def bert(make_checkpoint: Callable[..., Path]) -> Plain:
    return Plain(make_checkpoint("bert", max_length=32))


def predict(folder: Path, texts: list[str], **model: Any) -> tuple[PieceLogits, list[np.ndarray]]:
    """What the component's model says, whole and text by text."""
    nlp = make_nlp(folder, model=model)
    output = nlp.get_pipe("openmed_ner").model.predict([nlp.make_doc(text) for text in texts])
    return output, np.split(output.logits, np.cumsum(output.pieces.lengths)[:-1])


def test_logits_of_short_texts(folder: Path, plain: Plain):
    texts = random.Random(0).sample(TEXTS, len(TEXTS))
    expected = [plain.predict(text) for text in texts]
    for max_batch_tokens in (None, 1, 100):
        _, logits = predict(folder, texts, max_batch_tokens=max_batch_tokens)
        for ours, theirs in zip(logits, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_logits_of_long_texts(folder: Path, plain: Plain):
    check_long_texts(folder, plain, window=16, stride=4)


# Where windows begin and end has nothing to do with the family.
@pytest.mark.parametrize(("window", "stride"), [(16, 13), (50, 0), (128, 96), (3, 0)])
def test_logits_of_other_windows(make_checkpoint: Callable[..., Path], window: int, stride: int):
    folder = make_checkpoint(labels=MANY_LABELS)
    check_long_texts(folder, Plain(folder), window, stride)


def check_long_texts(folder: Path, plain: Plain, window: int, stride: int) -> None:
    texts = ["aspirin", LONG, "", LONG[: len(LONG) // 2]]
    _, logits = predict(folder, texts, window=window, stride=stride)
    for i in (1, 3):
        expected = plain.predict_long(texts[i], window, stride)
        np.testing.assert_allclose(logits[i], expected, atol=1e-4)


def test_windows_are_as_long_as_the_checkpoint_takes(folder: Path, plain: Plain):
    _, [logits] = predict(folder, [LONG])
    expected = plain.predict_long(LONG, 128, (128 - len(plain.prefix) - len(plain.suffix)) // 4)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def shuffled_words(plain: Plain, seed: int, n: int = 18) -> list[str]:
    """Words that are words to spaCy and to the tokenizer, without a piece for the space."""
    words = sorted({word for word in LONG.split() if word.isascii() and word.isalpha()})
    words = [word for word in words if plain.tokenizer.tokenize(f"a {word}")[1] not in ("▁", "Ġ")]
    assert len(words) > 40
    return random.Random(seed).sample(words, n)


# Of two families, one that marks the words' beginnings and one that marks what goes on.
STRATEGIES = [("bert", "average"), ("bert", "max"), ("roberta", "average"), ("roberta", "max")]


@pytest.mark.parametrize(
    ("family", "strategy"),
    [*((family, "first") for family in FAMILIES), *STRATEGIES],
    scope="session",
)
def test_spans_are_those_of_the_pipeline_of_transformers(folder: Path, plain: Plain, strategy: str):
    settings = {"trim": False, "abbreviations": False, "label_scheme": "native"}
    nlp = make_nlp(folder, aggregation_strategy=strategy, decoding="greedy", **settings)
    sentences = [shuffled_words(plain, seed) for seed in range(8)]
    docs = [nlp.make_doc(" ".join(words)) for words in sentences]
    assert [[token.text for token in doc] for doc in docs] == sentences
    with warnings.catch_warnings():
        # Tokenizers without a mark for pieces inside words: it then looks for spaces.
        warnings.filterwarnings("ignore", "Tokenizer does not support real words")
        theirs = pipeline(
            "token-classification",
            model=plain.model,
            tokenizer=plain.tokenizer,
            aggregation_strategy=strategy,
            device="cpu",
        )([doc.text for doc in docs])
    labels = set()
    for doc, entities in zip(nlp.pipe(docs), theirs, strict=True):
        expected = []
        for entity in entities:
            text = doc.text[entity["start"] : entity["end"]]
            start = entity["end"] - len(text.lstrip())
            expected.append((start, entity["end"], entity["entity_group"]))
        ours = [(span.start_char, span.end_char, span.label_) for span in doc.spans["openmed"]]
        assert ours == expected
        labels.update(label for *_, label in ours)
    assert labels == {"GENE/PROTEIN", "Disease", "cell_type"}


def test_an_entity_at_the_end_of_a_long_text(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, model={"window": 32})
    end = "She was treated with ibuprofen"
    doc, short = nlp.pipe(["She denies chest pain. " * 4000 + end, end])
    assert found(doc) == found(short) == [("ibuprofen", "CHEMICAL")]
    assert doc.ents[0].end_char == len(doc.text)
    scores = [each.spans["openmed"].attrs["scores"] for each in (doc, short)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_every_piece_of_a_long_text_is_predicted(keyword_checkpoint: Path):
    text = "aspirin in renal failure. " * 4000
    output, _ = predict(keyword_checkpoint, [text], window=32)
    assert len(output.pieces.ids) == len(output.logits) == 20_000
    short, _ = predict(keyword_checkpoint, ["aspirin in renal failure."])
    np.testing.assert_allclose(output.logits, np.tile(short.logits, (4000, 1)), atol=1e-4)


def test_the_last_window_of_a_long_text_is_a_text_of_its_own(
    make_checkpoint: Callable[..., Path], bert: Plain
):
    vocab = sorted(word for word in bert.tokenizer.get_vocab() if word.isascii() and word.isalpha())
    words = random.Random(0).choices([word for word in vocab if len(word) > 1], k=20_000)
    folder = make_checkpoint("bert", max_length=32)
    _, [whole] = predict(folder, [" ".join(words)])
    assert len(whole) == 20_000
    last = bert.predict(" ".join(words[-30:]))
    np.testing.assert_allclose(whole[-18:], last[-18:], atol=1e-4)


@pytest.mark.parametrize("stride", [0, 1, 4, 13])
def test_entities_are_found_wherever_windows_meet(keyword_checkpoint: Path, stride: int):
    nlp = make_nlp(keyword_checkpoint, model={"window": 16, "stride": stride})
    texts = ["pain " * n + "in renal failure " + "and fever " * 9 for n in range(40)]
    for doc in nlp.pipe(texts):
        assert found(doc) == [("renal failure", "DISEASE")]
