"""Batches side by side: same answers, no thread settings that leak, no hang after a fork."""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import found, make_nlp
from spacy.language import Language

from spacy_openmed.engines import parallel
from spacy_openmed.engines.base import Engine

TEXTS = ["aspirin for asthma", "renal failure and ibuprofen " * 30, "", "valproic acid"] * 12
needs_openmp = pytest.mark.skipif(
    not parallel._has_thread_settings(), reason="PyTorch's threads are not those of OpenMP"
)


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_workers", lambda: 2)


class Recorder(Engine):
    """Notes which threads an engine runs in, and how many threads it may use in each."""

    is_parallel = True  # type: ignore[assignment]

    def __init__(self, whole: Engine) -> None:
        self.whole = whole
        self.threads: set[str] = set()
        self.n_threads: set[int] = set()

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.threads.add(threading.current_thread().name)
        self.n_threads.add(torch.get_num_threads())
        return self.whole(windows)


def make_recorded(folder: Path) -> tuple[Language, Recorder]:
    nlp = make_nlp(folder)
    checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
    checkpoint.engine = engine = Recorder(checkpoint.engine)
    return nlp, engine


@needs_openmp
@pytest.mark.usefixtures("two_workers")
def test_batches_run_in_threads_of_their_own(keyword_checkpoint: Path, tmp_path: Path):
    nlp, engine = make_recorded(shutil.copytree(keyword_checkpoint, tmp_path / "copy"))
    docs = list(nlp.pipe(TEXTS))
    assert [found(doc) for doc in docs] == [found(nlp(text)) for text in TEXTS]
    assert any(name.startswith("openmed") for name in engine.threads)


@needs_openmp
def test_settings_of_other_threads_stay(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(parallel, "_make_pool", parallel._make_pool.__wrapped__)  # a new one
    try:
        settings: list[int] = []

        class Observer(Engine):
            def __call__(self, windows):
                settings.append(torch.get_num_threads())
                return windows

        batches = [np.arange(1)] * 4
        parallel.predict_side_by_side(Observer(), batches, list, lambda batch, rows: None, 2)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 2
        assert torch.get_num_threads() == 2
        assert settings == [1] * 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("n_threads", "n_cpus", "expected"), [(1, 8, 1), (4, 2, 2), (2, 8, 2)])
@needs_openmp
def test_workers_are_what_torch_and_the_container_allow(
    monkeypatch: pytest.MonkeyPatch, n_threads: int, n_cpus: int, expected: int
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    monkeypatch.setattr(parallel, "count_cpus", lambda: n_cpus)
    assert parallel.count_workers() == expected


class Crowded(Engine):
    """An engine that has memory in the main thread only."""

    is_parallel = True  # type: ignore[assignment]

    def __init__(self, whole: Engine) -> None:
        self.whole = whole

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError
        return self.whole(windows)


@pytest.mark.usefixtures("two_workers")
def test_batches_without_memory_beside_others_run_alone(keyword_checkpoint: Path, tmp_path: Path):
    nlp = make_nlp(shutil.copytree(keyword_checkpoint, tmp_path / "copy"))
    checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
    checkpoint.engine = Crowded(checkpoint.engine)
    expected = make_nlp(keyword_checkpoint).pipe(TEXTS)
    assert [found(doc) for doc in nlp.pipe(TEXTS)] == [found(doc) for doc in expected]


class Counting(Engine):
    """Counts its batches and fails at the first."""

    n_batches = 0

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.n_batches += 1
        if self.n_batches == 1:
            raise RuntimeError("shapes")
        threading.Event().wait(0.02)
        return list(windows)


def test_after_an_error_no_more_batches_begin():
    engine = Counting()
    with pytest.raises(RuntimeError, match="shapes"):
        parallel.predict_side_by_side(
            engine, [np.arange(1)] * 100, list, lambda batch, rows: None, 2
        )
    assert engine.n_batches < 50


def test_after_an_interrupt_no_more_batches_begin():
    engine = Counting()
    engine.n_batches = 1  # does not fail

    def interrupt(batch: np.ndarray, rows: list[np.ndarray]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.predict_side_by_side(engine, [np.arange(1)] * 100, list, interrupt, 2)
    assert engine.n_batches < 50


def test_batches_stay_to_be_done_where_no_thread_starts():
    parallel._make_pool(os.getpid(), 3).shutdown()
    batches = [np.arange(1)] * 4
    left = parallel.predict_side_by_side(Counting(), batches, list, lambda batch, rows: None, 3)
    assert left == batches
    parallel._make_pool.cache_clear()


@pytest.mark.usefixtures("two_workers")
def test_threads_may_share_a_pipeline(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    expected = [found(doc) for doc in nlp.pipe(TEXTS)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: [found(doc) for doc in nlp.pipe(TEXTS)], range(6)))
    assert answers == [expected] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_uses_one_thread_once_it_predicts(
    run_python: Callable[..., str], keyword_checkpoint: Path
):
    code = (
        "import faulthandler, os, sys\n"
        "import spacy, torch\n"
        "faulthandler.dump_traceback_later(120, exit=True)\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('openmed_ner', config={'model': {'name': sys.argv[1]}})\n"
        "texts = ['aspirin for asthma ' * 40] * 8\n"
        "ents = [str(doc.ents) for doc in nlp.pipe(texts)]\n"
        "if os.fork() == 0:\n"
        "    before = torch.get_num_threads()\n"
        "    same = [str(doc.ents) for doc in nlp.pipe(texts)] == ents\n"
        "    print(before, torch.get_num_threads(), same, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(torch.get_num_threads())"
    )
    printed = run_python(code, keyword_checkpoint, env={"OMP_NUM_THREADS": "2"})
    assert printed.split() == ["2", "1", "True", "2"]


@pytest.mark.parametrize("n_workers", [2, 3, 8])
@pytest.mark.parametrize("n_pieces", [1, 300, 1024, 3600, 100_000])
def test_workers_get_equal_shares(n_pieces: int, n_workers: int):
    size = parallel.share_pieces(n_pieces, 1024, n_workers)
    n_batches = -(-n_pieces // size)
    assert size <= parallel.BATCH_PIECES
    assert size == parallel.LEAST_PIECES or n_batches % n_workers == 0
    assert parallel.share_pieces(n_pieces, 100, n_workers) <= 100


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "100000 100000"}, "0::/\n", 1),
        ({"cpu.max": "1 100000"}, "0::/\n", 1),
        ({"cpu.max": "max 100000"}, "0::/\n", None),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, "0::/a/b\n", 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, "", 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", None),
        (
            {"cpu/d/cpu.cfs_quota_us": "90000", "cpu/d/cpu.cfs_period_us": "100000"},
            "5:memory:/x\n4:cpu,cpuacct:/d\n",
            1,
        ),
        ({"cpu.max": "?"}, "0::/\n", None),
        ({}, "0::/\n", None),
    ],
)
def test_cpus_that_a_container_grants(
    tmp_path: Path, files: dict[str, str], own: str, expected: int | None
):
    for name, content in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "own").write_text(own)
    count = parallel.count_cpus(tmp_path / "groups", tmp_path / "own")
    assert count == (expected or parallel.count_cpus(tmp_path / "none", tmp_path / "none"))


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_cpus_of_the_process(tmp_path: Path):
    n_cpus = len(os.sched_getaffinity(0))
    assert parallel.count_cpus(tmp_path / "none", tmp_path / "none") == n_cpus


def test_one_batch_uses_no_more_threads_than_cpus(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(parallel, "count_cpus", lambda: 2)
    try:
        with parallel.within_quota():
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_another_number_of_workers_ends_the_threads_of_the_last():
    parallel._make_pool.cache_clear()
    first = {*parallel._make_pool(os.getpid(), 3)._threads}
    second = {*parallel._make_pool(os.getpid(), 2)._threads}
    for thread in first:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in first)
    assert all(thread.is_alive() for thread in second)
