"""The torch engine: logits of a batch are those of its windows, on a device that is there."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checkpoints import SENTENCES
from conftest import found, make_nlp
from processor import expect_emulation
from torch import nn
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.engines.base import Engine, is_out_of_memory
from spacy_openmed.engines.torch import TorchEngine, resolve_device, resolve_precision

CPU = torch.device("cpu")
ORDERS = ([0, 1, 2, 3, 4], [3, 2, 4, 0, 1], [0, 4], [3])  # of the windows in a batch


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> nn.Module:
    return AutoModelForTokenClassification.from_pretrained(checkpoint).eval()


@pytest.fixture(scope="session")
def windows(checkpoint: Path) -> list[np.ndarray]:
    """Windows of different lengths, and two of the same."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    texts = [*SENTENCES[:3], "aspirin", SENTENCES[0]]
    return [np.array(tokenizer(text)["input_ids"]) for text in texts]


def test_batch_does_not_matter(checkpoint: Path, model: nn.Module, windows: list[np.ndarray]):
    pad = AutoTokenizer.from_pretrained(checkpoint).pad_token_id
    with torch.no_grad():
        alone = [model(torch.from_numpy(ids)[None]).logits[0].numpy() for ids in windows]
    for order in ORDERS:
        found = TorchEngine(model, pad)([windows[i] for i in order])
        for i, logits in zip(order, found, strict=True):
            assert logits.dtype == np.float32
            assert logits.shape == alone[i].shape == (len(windows[i]), 3)
            np.testing.assert_allclose(logits, alone[i], atol=1e-4)


def test_logits_of_low_precision_are_float32(
    make_checkpoint: Callable[..., Path],
):
    folder = make_checkpoint()
    ids = np.array(AutoTokenizer.from_pretrained(folder)(SENTENCES[0])["input_ids"])
    model = AutoModelForTokenClassification.from_pretrained(folder)
    (full,) = TorchEngine(model, 0)([ids])
    (low,) = TorchEngine(model.to(torch.bfloat16), 0)([ids])
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() < 0.3


def test_engine_neither_trains_nor_keeps_gradients(make_checkpoint: Callable[..., Path]):
    model = AutoModelForTokenClassification.from_pretrained(make_checkpoint()).train()
    engine = TorchEngine(model, 0)
    window = np.array([2, 7, 8, 9, 3])
    np.testing.assert_allclose(*engine([window, window]), atol=1e-4)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


class Failing(nn.Module):
    """A module that fails as told."""

    def __init__(self, fail: Callable[[], object]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.fail = fail

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None):
        return SimpleNamespace(logits=self.fail())


def out_of_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def out_of_memory() -> torch.Tensor:
    return torch.empty(1 << 60)


def other_error() -> None:
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [
        (out_of_gpu_memory, MemoryError, r"OM156.*CUDA out of memory"),
        (out_of_memory, MemoryError, r"OM156.* 2 windows of up to 3 pieces.* \d{19} bytes"),
        (other_error, RuntimeError, "^mat1 and mat2"),
    ],
)
def test_memory_errors_are_told_from_others(fail: Callable, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        TorchEngine(Failing(fail), 0)([np.array([1, 2]), np.array([1, 2, 3])])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),  # of Python, numpy and pybind11
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.0 GB)"),
        RuntimeError("could not create a memory object"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
        RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer"),
        RuntimeError("bad allocation"),
    ],
)
def test_libraries_say_in_their_own_words_that_they_get_no_memory(error: Exception):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "message",
    [
        "view size is not compatible; the storage was not allocated contiguously",
        "Expected AllocateFinalOutput to have been called before we read the OrtValue",
        "Failed to allocate required number of vector registers",
        "could not create a memory descriptor from blob",
    ],
)
def test_other_words_about_memory_are_errors_of_their_own(message: str):
    assert not is_out_of_memory(RuntimeError(message))


TEXTS = ["aspirin for asthma", "renal failure and ibuprofen " * 30, "", "valproic acid"]


class SmallEngine(Engine):
    """An engine with memory for so many pieces only."""

    def __init__(self, whole: Engine, n_pieces: int) -> None:
        self.whole, self.n_pieces = whole, n_pieces

    def __call__(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        if len(windows) * max(map(len, windows)) > self.n_pieces:
            raise MemoryError
        return self.whole(windows)


@pytest.fixture
def small_memory(keyword_checkpoint: Path, tmp_path: Path):
    """A pipeline whose engine has memory for so many pieces only."""

    def make(n_pieces: int, **model):
        nlp = make_nlp(shutil.copytree(keyword_checkpoint, tmp_path / "copy"), model=model)
        checkpoint = nlp.get_pipe("openmed_ner").shim.checkpoint
        checkpoint.engine = SmallEngine(checkpoint.engine, n_pieces)
        return nlp

    return make


def test_batches_that_do_not_fit_are_halved(small_memory: Callable, keyword_checkpoint: Path):
    nlp = small_memory(100, window=40)
    with pytest.warns(UserWarning, match="OM908") as caught:
        docs = list(nlp.pipe(TEXTS))
    expected = make_nlp(keyword_checkpoint, model={"window": 40}).pipe(TEXTS)
    assert [found(doc) for doc in docs] == [found(doc) for doc in expected]
    assert str(caught[-1].message).endswith(
        f"max_batch_tokens to {nlp.get_pipe('openmed_ner').model.attrs['max_batch_tokens']} "
        "or lower to avoid the retry."
    )
    assert 40 <= nlp.get_pipe("openmed_ner").model.attrs["max_batch_tokens"] < 200
    # It remembers, and does not warn again.
    assert [found(doc) for doc in nlp.pipe(TEXTS)] == [found(doc) for doc in docs]


def test_what_is_left_is_planned_anew(small_memory: Callable):
    nlp = small_memory(100, window=40)
    engine = nlp.get_pipe("openmed_ner").shim.checkpoint.engine
    failed = []

    def begin(windows: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        try:
            return Engine.begin(engine, windows)
        except MemoryError:
            failed.append(len(windows))
            raise

    engine.begin = begin
    with pytest.warns(UserWarning, match="OM908") as caught:
        docs = list(nlp.pipe(TEXTS * 20, batch_size=len(TEXTS) * 20))
    assert len(docs) == len(TEXTS) * 20
    assert 1 <= len(failed) <= 5  # halvings, not a failure for each batch
    assert len(caught) == 1


def test_window_that_does_not_fit_is_the_documents_fault(small_memory: Callable):
    nlp = small_memory(30)
    errors = []
    nlp.set_error_handler(lambda name, proc, docs, error: errors.append((docs[0].text, error)))
    with pytest.warns(UserWarning, match="OM908"):
        texts = [doc.text for doc in nlp.pipe(TEXTS)]
    assert texts == [TEXTS[0], TEXTS[2], TEXTS[3]]
    assert [(text, type(error)) for text, error in errors] == [(TEXTS[1], MemoryError)]


def test_device_cpu():
    assert resolve_device("cpu") == CPU


def test_device_auto():
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert (resolve_device("auto").type != "cpu") == gpu


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("gpu", "no such name"),
        ("", "no such name"),
        ("cuda:one", "no such name"),
        ("cuda:64", "torch sees .* GPUs"),
        ("meta", "another kind"),
    ],
)
def test_devices_that_are_not_there(device: str, why: str):
    with pytest.raises(ValueError, match=f"OM150.*'{device}'.*{why}"):
        resolve_device(device)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has an Apple GPU")
def test_no_apple_gpu():
    with pytest.raises(ValueError, match=r"OM150.*Apple GPU"):
        resolve_device("mps")


def test_precision_auto_is_fp32_on_a_cpu():
    assert resolve_precision("auto", CPU) == torch.float32


@pytest.mark.parametrize(("capability", "n_warnings"), [("AVX2", 1), ("AVX512", 0)])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_precision_that_the_processor_lacks(
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    precision: str,
    dtype: str,
    capability: str,
    n_warnings: int,
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert resolve_precision(precision, CPU) == getattr(torch, dtype)
    assert [str(warning.message)[:7] for warning in recwarn] == ["[OM904]"] * n_warnings


def test_avx512_without_bf16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with pytest.warns(UserWarning, match="OM904"):
        resolve_precision("bf16", CPU)


def test_emulation_is_warned_of_and_finds_the_same(
    keyword_checkpoint: Path, run_python: Callable[..., str]
):
    code = (
        "import sys, warnings, spacy\n"
        "for precision in ('fp32', 'bf16', 'fp16'):\n"
        "    model = {'name': sys.argv[1], 'device': 'cpu', 'precision': precision}\n"
        "    nlp = spacy.blank('en')\n"
        "    nlp.add_pipe('openmed_ner', config={'model': model})\n"
        "    with warnings.catch_warnings(record=True) as caught:\n"
        "        warnings.simplefilter('always')\n"
        "        doc = nlp('aspirin for asthma')\n"
        "    print(precision, doc.ents, *{str(each.message)[:7] for each in caught})"
    )
    env = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert run_python(code, keyword_checkpoint, env=env).splitlines() == [
        "fp32 (aspirin, asthma)",
        "bf16 (aspirin, asthma) [OM904]",
        "fp16 (aspirin, asthma) [OM904]",
    ]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_is_the_modules(make_checkpoint: Callable[..., Path], precision: str):
    nlp = make_nlp(make_checkpoint(), model={"precision": precision})
    with expect_emulation(precision):
        nlp("aspirin")
    dtype = nlp.get_pipe("openmed_ner").shim.checkpoint.module.dtype
    assert dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
