"""Batches ahead: an engine that need not be waited for works while the CPU does other things."""

import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import found, make_nlp
from spacy.language import Language

from spacy_openmed.engines.base import Engine

TEXTS = ["aspirin for asthma", "renal failure and ibuprofen " * 30, "", "valproic acid", "asthma"]


class ThreadEngine(Engine):
    """An engine in another thread."""

    def __init__(self, whole: Engine) -> None:
        self.whole = whole
        self.pool = ThreadPoolExecutor(1)

    @property
    def is_async(self) -> bool:
        return True

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self.begin(windows)()

    def begin(self, windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        return self.pool.submit(self.whole, windows).result


def in_thread(nlp: Language) -> Language:
    checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
    checkpoint.engine = ThreadEngine(checkpoint.engine)
    return nlp


@pytest.fixture
def nlp(keyword_checkpoint: Path, tmp_path: Path) -> Language:
    # A copy: checkpoints are shared, and so are their engines.
    return in_thread(make_nlp(shutil.copytree(keyword_checkpoint, tmp_path / "copy")))


def test_predict_does_not_wait(nlp: Language, keyword_checkpoint: Path):
    pipe = nlp.get_pipe("openmed_ner")
    docs = [nlp.make_doc(text) for text in TEXTS]
    entities = pipe.predict(docs)
    assert "data" not in vars(entities)
    expected = make_nlp(keyword_checkpoint).get_pipe("openmed_ner").predict(docs)
    assert [[e[:4] for e in found] for found in entities] == [
        [e[:4] for e in found] for found in expected
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 128])
def test_documents_and_entities_are_the_same(
    nlp: Language, keyword_checkpoint: Path, batch_size: int
):
    docs = list(nlp.pipe(TEXTS, batch_size=batch_size))
    expected = make_nlp(keyword_checkpoint).pipe(TEXTS)
    assert [(d.text, found(d)) for d in docs] == [(d.text, found(d)) for d in expected]


def test_next_batch_is_begun_before_the_last_is_finished(nlp: Language):
    read: list[int] = []

    def stream() -> Iterator[str]:
        for i, text in enumerate(TEXTS):
            read.append(i)
            yield text

    docs = nlp.pipe(stream(), batch_size=1)
    next(docs)
    assert read == [0, 1]
    next(docs)
    assert read == [0, 1, 2]


def test_batches_are_not_ahead_on_a_cpu(keyword_checkpoint: Path):
    nlp, read = make_nlp(keyword_checkpoint), []
    docs = nlp.pipe((read.append(text) or text for text in TEXTS), batch_size=1)
    next(docs)
    assert read == TEXTS[:1]


def test_documents_before_an_error_of_the_stream_are_not_lost(nlp: Language):
    def stream() -> Iterator[str]:
        yield from TEXTS
        raise OSError("the file is cut off")

    docs = nlp.pipe(stream(), batch_size=len(TEXTS))
    assert [next(docs).text for _ in TEXTS] == TEXTS
    with pytest.raises(OSError, match="cut off"):
        next(docs)


@pytest.mark.parametrize("batch_size", [1, 2, 128])
def test_impossible_document_fails_alone(
    impossible_checkpoint: Path, tmp_path: Path, batch_size: int
):
    nlp = in_thread(make_nlp(shutil.copytree(impossible_checkpoint, tmp_path / "copy")))
    failed: list[str] = []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.extend(d.text for d in docs))
    texts = ["asthma", "an impossible case", "aspirin", "renal failure"]
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert [(d.text, len(d.ents)) for d in docs] == [
        ("asthma", 1),
        ("aspirin", 1),
        ("renal failure", 1),
    ]
    assert failed == ["an impossible case"]


class LateError(ThreadEngine):
    """Fails when its answer is waited for, as a GPU does."""

    def begin(self, windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        wait = super().begin(windows)

        def fail() -> list[np.ndarray]:
            if max(map(len, windows)) > 20:
                raise RuntimeError("an illegal memory access was encountered")
            return wait()

        return fail


def test_late_error_is_the_documents_fault(nlp: Language):
    checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
    checkpoint.engine = LateError(checkpoint.engine.whole)
    errors: list[tuple[str, str]] = []
    nlp.set_error_handler(
        lambda name, proc, docs, error: errors.append((docs[0].text, type(error).__name__))
    )
    assert [d.text for d in nlp.pipe(TEXTS, batch_size=2)] == [TEXTS[0], *TEXTS[2:]]
    assert errors == [(TEXTS[1], "RuntimeError")]


class BatchError(Exception):
    pass


class OneByOne(ThreadEngine):
    """Takes one window at a time, and notes whether the errors before that are still held."""

    def __init__(self, whole: Engine) -> None:
        super().__init__(whole)
        self.errors: list[weakref.ref] = []
        self.is_held: list[bool] = []

    def begin(self, windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        if len(windows) > 1:
            raise self.new_error()
        self.is_held.append(any(error() is not None for error in self.errors))
        return super().begin(windows)

    def new_error(self) -> BatchError:
        error = BatchError()
        self.errors.append(weakref.ref(error))
        return error


def test_halves_have_the_memory_of_what_failed(nlp: Language):
    checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
    engine = checkpoint.engine = OneByOne(checkpoint.engine.whole)
    texts = ["aspirin for asthma", "renal failure", "valproic acid", "asthma"]
    assert [len(doc.ents) for doc in nlp.pipe(texts)] == [2, 1, 1, 1]
    assert len(engine.errors) == 3
    assert engine.is_held == [False] * 4


def test_raised_error_stops_the_stream(impossible_checkpoint: Path, tmp_path: Path):
    nlp = in_thread(make_nlp(shutil.copytree(impossible_checkpoint, tmp_path / "copy")))
    docs = nlp.pipe(["asthma", "an impossible case", "aspirin"], batch_size=1)
    assert next(docs).text == "asthma"
    with pytest.raises(IndexError):
        next(docs)
    with pytest.raises(StopIteration):
        next(docs)
