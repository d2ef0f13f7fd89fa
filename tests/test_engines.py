"""Every engine in every precision gives the logits of fp32, as near as the precision allows."""

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import spacy
import torch
from checkpoints import SENTENCES
from conftest import found, make_nlp
from processor import HAS_BF16, HAS_ONEDNN, HAS_OPENVINO, HAS_VNNI, expect_emulation
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.checkpoints.checkpoint import Checkpoint
from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.engines import attention, int8, registry, selection
from spacy_openmed.engines import torch as torch_engine
from spacy_openmed.engines.base import (
    ARCHITECTURES,
    EngineSettings,
    converting,
    fingerprint,
    round_up,
)
from spacy_openmed.engines.packed import FeedForward, OneDnnLinear, PackedEngine
from spacy_openmed.engines.torch import TorchEngine
from spacy_openmed.engines.torch import has_vnni as vnni_is_there
from spacy_openmed.engines.torch_training import begin_update
from spacy_openmed.paths import MINI_PATH

# How far logits of the bundled checkpoint may be from transformers' own; they go from -5 to 12.
LIMITS = {"fp32": 1e-4, "bf16": 1.0, "int8": 8.0, "torch-int8": 2.0}
# How many of 100 labels of pieces may be others.
CHANGED = {"fp32": 0.0, "bf16": 0.5, "int8": 2.0, "torch-int8": 0.5}
ENGINES = {
    "torch-fp32": True,
    "torch-bf16": HAS_BF16,
    "torch-int8": HAS_VNNI,
    "openvino-fp32": HAS_OPENVINO,
    "openvino-bf16": HAS_OPENVINO and HAS_BF16,
    "openvino-int8": HAS_OPENVINO and find_spec("nncf"),
    "onnx-fp32": find_spec("onnxruntime") and find_spec("onnx"),
    "onnx-int8": find_spec("onnxruntime") and find_spec("onnx"),
}
slow_int8_is_all_right = pytest.mark.filterwarnings(r"ignore:\[OM906\]")
AVAILABLE = [
    pytest.param(
        *name.split("-"),
        marks=slow_int8_is_all_right if there else pytest.mark.skip("not to be had here"),
    )
    for name, there in ENGINES.items()
]
every_engine = pytest.mark.parametrize(("engine", "precision"), AVAILABLE)
needs_vnni = pytest.mark.skipif(not HAS_VNNI, reason="the processor has no AVX512-VNNI")
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="PyTorch has no oneDNN here")
needs_openvino = pytest.mark.skipif(
    not (HAS_OPENVINO and find_spec("nncf")), reason="needs openvino and nncf"
)
needs_onnx = pytest.mark.skipif(
    not (find_spec("onnxruntime") and find_spec("onnx")), reason="needs onnxruntime and onnx"
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Converted models are made anew for every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(folder: Path, engine: str = "torch", precision: str = "fp32", **settings) -> Checkpoint:
    return load_checkpoint(
        Source(str(folder)), EngineSettings(engine, "cpu", precision, **settings)
    )


def windows(folder: Path, texts: list[str]) -> list[np.ndarray]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [np.array(tokenizer(text)["input_ids"]) for text in texts]


def plain_logits(folder: Path, rows: list[np.ndarray]) -> list[np.ndarray]:
    module = AutoModelForTokenClassification.from_pretrained(folder).float().eval()
    with torch.inference_mode():
        return [module(torch.from_numpy(row)[None]).logits[0].numpy() for row in rows]


ORDERS = ([0, 1, 2, 3, 4], [3, 2, 4, 0, 1], [0, 4], [3])  # of the windows in a batch
TEXTS = [*SENTENCES, "aspirin", SENTENCES[0], " ".join(SENTENCES)]


@every_engine
def test_logits_are_those_of_transformers(engine: str, precision: str):
    key = "torch-int8" if (engine, precision) == ("torch", "int8") else precision
    checkpoint = load(MINI_PATH, engine, precision)
    rows = windows(MINI_PATH, TEXTS)
    logits, expected = checkpoint.engine(rows), plain_logits(MINI_PATH, rows)
    n_changed = 0.0
    for ours, theirs in zip(logits, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=LIMITS[key])
        parts = [head.columns for head in checkpoint.heads]
        n_changed += sum(
            int((ours[:, part].argmax(1) != theirs[:, part].argmax(1)).sum()) for part in parts
        ) / len(parts)
    assert n_changed <= CHANGED[key] / 100 * sum(map(len, rows))


@every_engine
def test_entities_of_every_engine(engine: str, precision: str):
    nlp = make_nlp(None, domain="disease", model={"engine": engine, "precision": precision})
    texts = ["Metformin for type 2 diabetes mellitus.", "", "He was treated for asthma."]
    assert [found(doc) for doc in nlp.pipe(texts)] == [
        [("type 2 diabetes mellitus", "DISEASE")],
        [],
        [("asthma", "DISEASE")],
    ]


# Without padding


def test_architectures_that_need_no_padding(checkpoint: Path):
    loaded = load(checkpoint)
    packable = loaded.module.config.model_type in ARCHITECTURES
    assert isinstance(loaded.engine, PackedEngine if packable else TorchEngine)


def test_row_of_windows_is_what_they_are_alone(checkpoint: Path):
    rows = windows(checkpoint, [*SENTENCES[:3], "aspirin", SENTENCES[0]])
    expected = plain_logits(checkpoint, rows)
    engine = load(checkpoint).engine
    for order in ORDERS:
        for i, ours in zip(order, engine([rows[i] for i in order]), strict=True):
            np.testing.assert_allclose(ours, expected[i], atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{"hidden_act": "relu"}, {"is_decoder": True}], ids=["relu", "decoder"]
)
def test_other_layers_are_padded(make_checkpoint: Callable, tmp_path: Path, settings: dict):
    folder = shutil.copytree(make_checkpoint(), tmp_path / "copy")
    module = AutoModelForTokenClassification.from_pretrained(folder, **settings)
    module.save_pretrained(folder)
    engine = load(folder).engine
    assert isinstance(engine, TorchEngine)
    rows = windows(folder, SENTENCES[:2])
    for ours, theirs in zip(engine(rows), plain_logits(folder, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_embeddings_narrower_than_the_layers(tmp_path: Path, make_checkpoint: Callable):
    from transformers import ElectraConfig, ElectraForTokenClassification

    folder = shutil.copytree(make_checkpoint(), tmp_path / "electra")
    (folder / "model.safetensors").unlink()
    n_pieces = len(AutoTokenizer.from_pretrained(folder))
    config = ElectraConfig(
        vocab_size=n_pieces,
        embedding_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        id2label={0: "O", 1: "B-X"},
    )
    ElectraForTokenClassification(config).save_pretrained(folder)
    engine = load(folder).engine
    assert isinstance(engine, PackedEngine)
    rows = windows(folder, SENTENCES)
    for ours, theirs in zip(engine(rows), plain_logits(folder, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_sizes_repeat_and_waste_little():
    sizes = [round_up(n, 6) for n in range(1, 4097)]
    assert all(size >= n and size - n <= n / 31 for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 300


def draw_attention(size: float, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """RETURNS (tuple[torch.Tensor, ...]): Queries, keys, values, and what mixing them gives."""
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 4, 50, 16).to(dtype)
    queries *= size
    scores = (queries @ keys.transpose(2, 3)).float() / 4
    assert (scores.max() > 88) == (size == 100)  # beyond what exp can tell apart in fp32
    return queries, keys, values, scores.softmax(-1) @ values.float()


@pytest.mark.parametrize("size", [1, 100], ids=["small scores", "scores beyond exp's range"])
def test_attention_in_bf16(size: float):
    *parts, expected = draw_attention(size, torch.bfloat16)
    close = (attention.attend_in_bf16(*parts).float() - expected).abs().amax(-1) < 0.05
    assert close.all() if size == 1 else close.float().mean() > 0.8  # the scores are rounded too


@needs_onednn
@pytest.mark.parametrize(
    ("size", "falls_back"),
    [(1, False), (15, False), (100, True)],
    ids=["small scores", "scores that are clipped", "scores beyond exp's range"],
)
def test_attention_by_head(monkeypatch: pytest.MonkeyPatch, size: float, falls_back: bool):
    *parts, expected = draw_attention(size)
    pytorchs = MagicMock(wraps=attention.scaled_dot_product_attention)
    monkeypatch.setattr(attention, "scaled_dot_product_attention", pytorchs)
    torch.testing.assert_close(attention.attend_by_head(*parts), expected, atol=1e-4, rtol=1e-5)
    assert pytorchs.called == falls_back


@needs_onednn
def test_attention_by_head_where_all_scores_of_a_query_are_low():
    queries, keys, values, _ = draw_attention(1)
    queries[..., 0], keys[..., 0] = 8, keys[..., 0] - 20
    expected = (queries @ keys.transpose(2, 3) / 4).softmax(-1) @ values
    context = attention.attend_by_head(queries, keys, values)
    torch.testing.assert_close(context, expected, atol=1e-4, rtol=1e-5)


@needs_onednn
@pytest.mark.parametrize("n_more", [0, 5])  # 5: not a multiple of what windows are padded to
def test_long_windows_by_head_give_the_logits_of_transformers(
    monkeypatch: pytest.MonkeyPatch, n_more: int
):
    monkeypatch.setattr(attention, "choose_kernel", lambda *_: attention.attend_by_head)
    length = attention.LONG_WINDOW + n_more
    rows = [np.resize(windows(MINI_PATH, SENTENCES[:1])[0], length)] * 2
    for ours, theirs in zip(
        load(MINI_PATH).engine(rows), plain_logits(MINI_PATH, rows), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=LIMITS["fp32"])


@pytest.mark.parametrize(
    ("has_avx512", "has_amx", "dtype", "length", "n_threads", "kernel"),
    [
        (True, False, torch.float32, 224, 1, "attend_by_head"),
        (True, False, torch.float32, 223, 1, "scaled_dot_product_attention"),
        (True, False, torch.float32, 224, 2, "scaled_dot_product_attention"),
        (True, False, torch.bfloat16, 10, 2, "attend_in_bf16"),
        (True, True, torch.float32, 224, 1, "scaled_dot_product_attention"),
        (True, True, torch.bfloat16, 224, 1, "scaled_dot_product_attention"),
        (False, False, torch.float32, 224, 1, "scaled_dot_product_attention"),
    ],
)
def test_kernel_by_processor(
    monkeypatch: pytest.MonkeyPatch,
    has_avx512: bool,
    has_amx: bool,
    dtype: torch.dtype,
    length: int,
    n_threads: int,
    kernel: str,
):
    monkeypatch.setattr(attention, "HAS_AVX512", has_avx512)
    monkeypatch.setattr(attention, "HAS_AMX", has_amx)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    assert attention.choose_kernel(dtype, length) is getattr(attention, kernel)


@needs_onednn
def test_attention_that_has_changed_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "HAS_AVX512", True)
    monkeypatch.setattr(attention, "HAS_AMX", False)
    monkeypatch.setattr(attention, "attend_by_head", lambda queries, keys, values: keys)
    monkeypatch.setattr(selection, "_checked", set())
    with pytest.warns(UserWarning, match="OM905"):
        assert isinstance(load(MINI_PATH).copy().engine, TorchEngine)


@pytest.mark.skipif(not HAS_BF16, reason="the processor has no bf16")
@pytest.mark.parametrize("n_windows", [1, 40])  # 40 of one length are worth attention in bf16
def test_bf16_by_how_many_windows_are_as_long(n_windows: int):
    rows = windows(MINI_PATH, SENTENCES[:1]) * n_windows
    expected = plain_logits(MINI_PATH, rows[:1])[0]
    for ours in load(MINI_PATH, precision="bf16").engine(rows):
        np.testing.assert_allclose(ours, expected, atol=LIMITS["bf16"])


def test_weights_that_change_are_used(make_checkpoint: Callable):
    checkpoint = load(make_checkpoint()).copy()
    rows = windows(make_checkpoint(), SENTENCES[:1])
    before = checkpoint.engine(rows)[0]
    with torch.no_grad():
        checkpoint.module.classifier.bias += 1
    checkpoint.forget_engine()
    np.testing.assert_allclose(checkpoint.engine(rows)[0], before + 1, atol=1e-4)


# Chosen by itself


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine's operators were checked yet."""
    monkeypatch.setattr(selection, "_checked", set())


def break_operator(monkeypatch: pytest.MonkeyPatch, owner: type, broken: Callable) -> None:
    right = owner.__call__
    monkeypatch.setattr(owner, "__call__", lambda *args, **kw: broken(right, *args, **kw))


def give_other_answers(right: Callable, *args, **kw) -> torch.Tensor:
    return -right(*args, **kw)


def lack_operator(right: Callable, *args, **kw) -> torch.Tensor:
    return torch.ops.mkldnn._no_such_operator(*args)


def change_signature(right: Callable, *args, **kw) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(args[1])


@pytest.mark.skipif(not HAS_ONEDNN, reason="runs padded without oneDNN")
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("broken", [give_other_answers, lack_operator, change_signature])
def test_plain_module_runs_where_an_operator_is_no_longer_what_it_was(
    keyword_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable
):
    break_operator(monkeypatch, OneDnnLinear, broken)
    rows = windows(keyword_checkpoint, ["aspirin for asthma", "she"])
    checkpoint = load(keyword_checkpoint)
    checkpoint.forget_engine()  # other tests may have made it
    with pytest.warns(UserWarning, match="OM905.*fp32"):
        engine = checkpoint.engine
    checkpoint.forget_engine()
    assert isinstance(engine, TorchEngine)
    for ours, theirs in zip(engine(rows), plain_logits(keyword_checkpoint, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@needs_vnni
@pytest.mark.usefixtures("unchecked")
def test_plain_module_runs_where_int8_is_no_longer_what_it_was(monkeypatch: pytest.MonkeyPatch):
    break_operator(monkeypatch, int8.Int8Linear, give_other_answers)
    checkpoint = load(MINI_PATH, precision="int8")
    checkpoint.forget_engine()
    with pytest.warns(UserWarning, match="OM905.*int8"):
        engine = checkpoint.engine
    checkpoint.forget_engine()
    assert isinstance(engine, TorchEngine)


def test_engines_are_not_checked_again(make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch):
    checkpoint = load(make_checkpoint()).copy()
    assert checkpoint.engine
    monkeypatch.setattr(selection, "sample_windows", None)
    checkpoint.forget_engine()  # as after a step of training
    assert isinstance(checkpoint.engine, PackedEngine if HAS_ONEDNN else TorchEngine)


def test_nothing_set_is_auto():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"domain": "disease"})
    assert nlp.get_pipe("openmed_ner").shim.settings.name == "auto"
    assert nlp.config["components"]["openmed_ner"]["model"]["engine"] == "auto"


@needs_openvino
def test_auto_takes_the_faster_engine(make_checkpoint: Callable):
    folder = make_checkpoint("deberta-v2")
    engine = load(folder, "auto").engine
    assert type(engine).__name__ == "OpenVINOEngine"
    rows = windows(folder, SENTENCES)
    for ours, theirs in zip(engine(rows), plain_logits(folder, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@needs_openvino
def test_auto_takes_no_engine_with_other_answers(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selection, "SAME", 0.0)
    checkpoint = load(make_checkpoint("deberta-v2"), "auto")
    checkpoint.forget_engine()
    assert isinstance(checkpoint.engine, TorchEngine)
    checkpoint.forget_engine()


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_auto_is_torch_where_openvino_is_broken(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def fail(_checkpoint: Checkpoint) -> None:
        raise error("libopenvino.so: cannot open shared object file")

    broken = SimpleNamespace(make_openvino_engine=fail)
    monkeypatch.setitem(sys.modules, "spacy_openmed.engines.openvino", broken)
    monkeypatch.setattr(registry.EngineInfo, "is_installed", lambda *_: True)
    checkpoint = load(make_checkpoint("deberta-v2"), "auto")
    checkpoint.forget_engine()
    assert isinstance(checkpoint.engine, TorchEngine)
    checkpoint.forget_engine()


def test_a_checkpoint_that_an_engine_can_not_convert(make_checkpoint: Callable):
    module = load(make_checkpoint()).module
    with pytest.raises(ValueError, match="OM154.*'onnx'.*'bert'"), converting(module, "onnx"):
        raise RuntimeError("no such operator")


@pytest.mark.parametrize("kind", ["deberta-v2", "bert"])
def test_auto_is_torch_where_nothing_else_is_installed(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch, kind: str
):
    monkeypatch.setitem(sys.modules, "openvino", None)
    checkpoint = load(make_checkpoint(kind), "auto")
    checkpoint.forget_engine()
    assert isinstance(checkpoint.engine, TorchEngine | PackedEngine)
    checkpoint.forget_engine()


# Compiled


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_compiled_module_gives_the_same(make_checkpoint: Callable, kind: str):
    folder = make_checkpoint(kind)
    rows = windows(folder, TEXTS[:-1])
    compiled = load(folder, compile=True).engine
    for batch in (rows, rows[:1], rows[1:3]):
        for ours, theirs in zip(compiled(batch), plain_logits(folder, batch), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_compiling_without_a_compiler(make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch):
    config = pytest.importorskip("torch._inductor.config")
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "fx_graph_cache", False)
    engine = load(make_checkpoint(), compile=True).engine
    with pytest.raises(ValueError, match="OM155"):
        engine(windows(make_checkpoint(), SENTENCES[:1]))


@pytest.mark.parametrize(("engine", "precision"), [("torch", "int8"), ("openvino", "fp32")])
def test_what_can_not_be_compiled(keyword_checkpoint: Path, engine: str, precision: str):
    with pytest.raises(ValueError, match="OM110"):
        load(keyword_checkpoint, engine, precision, compile=True)


# 8-bit integers


@needs_vnni
def test_ranges_are_saved_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    nlp = make_nlp(None, domain="disease", model={"precision": "int8"})
    doc = nlp(SENTENCES[0])
    nlp.to_disk(tmp_path / "saved")
    monkeypatch.setattr(int8, "find_ranges", None)
    loaded = spacy.load(tmp_path / "saved")
    np.testing.assert_array_equal(*(logits(n, SENTENCES[0]) for n in (nlp, loaded)))
    assert found(loaded(SENTENCES[0])) == found(doc)


def logits(nlp: spacy.Language, text: str) -> np.ndarray:
    return nlp.get_pipe("openmed_ner").model.predict([nlp.make_doc(text)]).logits


@needs_vnni
def test_ranges_of_other_weights_are_not_used(make_checkpoint: Callable, tmp_path: Path):
    load(MINI_PATH, precision="int8").save(tmp_path)
    stored = np.load(tmp_path / int8.RANGES)
    module = AutoModelForTokenClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        module.bert.encoder.layer[0].intermediate.dense.weight *= 2
    module.save_pretrained(tmp_path)
    engine = load(tmp_path, precision="int8").engine
    assert (engine.ranges["0.down"] > 1.2 * np.abs(stored["0.down"])).any()


@needs_vnni
@pytest.mark.parametrize("n_large", [0, 8])
def test_few_large_outputs_of_a_gelu_do_not_make_all_coarse(n_large: int):
    torch.manual_seed(0)
    up, down = torch.nn.Linear(64, 256), torch.nn.Linear(256, 64)
    with torch.no_grad():
        up.weight[10 : 10 + n_large] *= 100
        down.weight[:, 10 : 10 + n_large] /= 100
    layers = FeedForward(OneDnnLinear(up), OneDnnLinear(down))
    x = torch.randn(200, 64)
    with torch.inference_mode():
        expected = layers(x) - x
        largest = layers.up(x, gelu=True).abs().amax(0)
        ours = int8.Int8FeedForward(layers, x.abs().amax(0), largest)(x) - x
    assert (ours - expected).norm() < 0.02 * expected.norm()


@needs_vnni
def test_own_sample_texts(tmp_path: Path):
    sample = tmp_path / "sample.txt"
    sample.write_text("Aspirin for asthma.\n\nNo fever.\n", encoding="utf8")
    own = load(MINI_PATH, precision="int8", calibration=str(sample)).engine
    ours = load(MINI_PATH, precision="int8").engine
    assert (own.ranges["0.mix"] <= ours.ranges["0.mix"]).mean() > 0.9
    assert not np.array_equal(own.ranges["0.mix"], ours.ranges["0.mix"])


def by_disk(nlp: spacy.Language, folder: Path) -> spacy.Language:
    nlp.to_disk(folder)
    return spacy.load(folder)


def by_bytes(nlp: spacy.Language, folder: Path) -> spacy.Language:
    return spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())


@slow_int8_is_all_right
@pytest.mark.parametrize("copy", [by_disk, by_bytes])
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("torch", marks=needs_vnni),
        pytest.param("openvino", marks=[needs_openvino, pytest.mark.slow]),
    ],
)
def test_own_sample_texts_are_not_needed_again(tmp_path: Path, engine: str, copy: Callable):
    sample = tmp_path / "sample.txt"
    sample.write_text("Aspirin for asthma.\nNo fever.\n", encoding="utf8")
    model = {"engine": engine, "precision": "int8", "calibration": str(sample)}
    nlp = make_nlp(None, domain="disease", model=model)
    expected = logits(nlp, SENTENCES[0])
    sample.unlink()
    loaded = copy(nlp, tmp_path / "saved")
    np.testing.assert_allclose(logits(loaded, SENTENCES[0]), expected, atol=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe"])
def test_sample_that_can_not_be_read(tmp_path: Path, content: bytes | None):
    sample = tmp_path / "sample.txt"
    if content is not None:
        sample.write_bytes(content)
    checkpoint = load(MINI_PATH, calibration=str(sample))
    with pytest.raises(ValueError, match="OM108"):
        checkpoint.sample_batches()


def test_processor_without_int8(keyword_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(int8, "has_vnni", lambda: False)
    with pytest.raises(ValueError, match="OM157.*VNNI"):
        load(keyword_checkpoint, precision="int8").engine  # noqa: B018
    nlp = make_nlp(keyword_checkpoint, model={"engine": "torch", "precision": "int8"})
    nlp.set_error_handler(lambda *args: None)  # is for documents: none is at fault
    with pytest.raises(ValueError, match="OM157"):
        list(nlp.pipe(["aspirin"]))


@needs_vnni
def test_auto_uses_what_torch_saved_for_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load(MINI_PATH, "torch", "int8").save(tmp_path)
    monkeypatch.setattr(int8, "find_ranges", None)
    assert isinstance(load(tmp_path, "auto", "int8").engine, int8.Int8Engine)


def test_auto_runs_int8_in_fp32_where_that_is_faster(
    keyword_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch_engine, "has_vnni", lambda: False)
    with pytest.warns(UserWarning, match="OM903"):
        checkpoint = load(keyword_checkpoint, "auto", "int8")
    assert type(checkpoint.engine) is PackedEngine


@needs_openvino
def test_int8_of_openvino_warns_where_it_is_slow(
    keyword_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    from spacy_openmed.engines import openvino

    monkeypatch.setattr(openvino, "has_vnni", lambda: False)
    with pytest.warns(UserWarning, match="OM906"):
        load(keyword_checkpoint, "openvino", "int8").engine  # noqa: B018


@pytest.mark.parametrize("capability", ["AVX2", "DEFAULT"])
def test_int8_needs_the_wide_registers(monkeypatch: pytest.MonkeyPatch, capability: str):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    assert not vnni_is_there()


@needs_vnni
def test_int8_of_narrow_layers(keyword_checkpoint: Path):
    rows = windows(keyword_checkpoint, ["aspirin for asthma", "renal failure", "she"])
    checkpoint = load(keyword_checkpoint, precision="int8")
    assert checkpoint.module.config.intermediate_size < int8.N_OUTLIERS
    for ours, theirs in zip(
        checkpoint.engine(rows), plain_logits(keyword_checkpoint, rows), strict=True
    ):
        assert (ours.argmax(1) == theirs.argmax(1)).all()


@needs_vnni
def test_architecture_without_int8(make_checkpoint: Callable):
    with pytest.raises(ValueError, match="OM153.*deberta"):
        load(make_checkpoint("deberta-v2"), precision="int8").engine  # noqa: B018


def test_training_is_in_fp32(make_checkpoint: Callable):
    checkpoint = load(make_checkpoint()).copy()
    from thinc.shims.pytorch_grad_scaler import PyTorchGradScaler

    rows = windows(make_checkpoint(), SENTENCES[:1])
    trained, _ = begin_update(checkpoint.module, rows, 0, 0.0, "int8", PyTorchGradScaler())
    np.testing.assert_allclose(trained[0], checkpoint.engine(rows)[0], atol=1e-4)


# OpenVINO


@needs_openvino
def test_converted_model_is_saved_in_the_pipeline(
    keyword_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
):
    from spacy_openmed.engines import openvino

    nlp = make_nlp(keyword_checkpoint, model={"engine": "openvino"})
    text = "aspirin for asthma"
    expected = found(nlp(text))
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(empty_cache)
    monkeypatch.setattr(openvino, "convert", None)
    loaded = spacy.load(tmp_path / "saved")
    assert found(loaded(text)) == expected == [("aspirin", "CHEMICAL"), ("asthma", "DISEASE")]
    loaded.to_disk(tmp_path / "saved")  # over the file that it has in use
    assert found(loaded(text)) == expected


@needs_openvino
def test_converted_model_is_cached(
    keyword_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from spacy_openmed.engines import openvino

    folder = shutil.copytree(keyword_checkpoint, tmp_path / "copy")
    load(folder, "openvino").engine  # noqa: B018
    monkeypatch.setattr(openvino, "convert", None)
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "another")
    assert load(folder, "openvino").engine(windows(folder, ["aspirin"]))[0].shape[1] == 5


@needs_openvino
def test_nobody_is_told(run_python: Callable):
    code = (
        "import sys, unittest.mock\n"
        "from spacy_openmed.engines.openvino import without_telemetry\n"
        "with without_telemetry():\n"
        "    import nncf.telemetry.wrapper as wrapper\n"
        "import openvino.tools.ovc.telemetry_utils as utils\n"
        "print(isinstance(wrapper.telemetry, unittest.mock.MagicMock), utils.tm.__name__)\n"
        "print('openvino_telemetry' in sys.modules)"
    )
    printed = run_python(code).split()
    assert printed == ["True", "openvino.tools.ovc.telemetry_stub", "False"]


@needs_onnx
def test_onnx_runtime_tells_nobody(run_python: Callable, empty_cache: Path):
    code = (
        "import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None)  # that of this process\n"
        "import spacy_openmed.engines.onnx"
    )
    run_python(code)
    assert not list(empty_cache.rglob("*"))


# ONNX


@needs_onnx
def test_checkpoint_that_is_only_an_onnx_file(
    keyword_checkpoint: Path, tmp_path: Path, empty_cache: Path
):
    from spacy_openmed.engines import onnx

    folder = shutil.copytree(keyword_checkpoint, tmp_path / "published")
    (folder / "onnx").mkdir()
    onnx.convert(load(keyword_checkpoint).module, folder / "onnx" / "model.onnx")
    (folder / "model.safetensors").unlink()
    nlp = make_nlp(folder, model={"engine": "onnx"})
    text = "aspirin for asthma"
    assert found(nlp(text)) == found(make_nlp(keyword_checkpoint)(text)) != []
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(folder)
    loaded = spacy.load(tmp_path / "saved")
    assert found(loaded(text)) == found(nlp(text))
    with pytest.raises(ValueError, match="OM104"):
        loaded.get_pipe("openmed_ner").shim.own()


@needs_onnx
def test_saving_leaves_nothing_of_another_checkpoint(keyword_checkpoint: Path, tmp_path: Path):
    from spacy_openmed.engines import onnx

    load(keyword_checkpoint).save(tmp_path)
    onnx.convert(load(keyword_checkpoint).module, tmp_path / "model.onnx")
    (tmp_path / "model.safetensors").unlink()
    file_only = load(tmp_path, "onnx")
    assert file_only.engine  # has read its file
    load(keyword_checkpoint).save(tmp_path)
    assert [path.name for path in tmp_path.glob("model.*")] == ["model.safetensors"]
    file_only.save(tmp_path)
    assert [path.name for path in tmp_path.glob("model.*")] == ["model.onnx"]


# What can't be had


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        pytest.param("openvino", "fp16", marks=needs_openvino),
        pytest.param("onnx", "bf16", marks=needs_onnx),
        pytest.param("onnx", "fp16", marks=needs_onnx),
    ],
)
def test_precision_that_an_engine_lacks(keyword_checkpoint: Path, engine: str, precision: str):
    with (
        expect_emulation(precision),
        pytest.raises(ValueError, match=f"OM153.*{engine}"),
    ):
        load(keyword_checkpoint, engine, precision).engine  # noqa: B018


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_engine_that_is_not_installed(run_python: Callable, engine: str):
    module = {"openvino": "openvino", "onnx": "onnxruntime"}[engine]
    code = (
        "import sys, spacy\n"
        f"sys.modules['{module}'] = None\n"
        "nlp = spacy.blank('en')\n"
        f"config = {{'domain': 'disease', 'model': {{'engine': '{engine}'}}}}\n"
        "nlp.add_pipe('openmed_ner', config=config)\n"
        "try: nlp('No asthma.')\n"
        "except ImportError as error: print(error)"
    )
    printed = run_python(code)
    assert "OM002" in printed
    assert f"spacy-openmed[{engine}]" in printed


def test_other_engines_run_on_a_cpu(keyword_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    from spacy_openmed.engines import torch as engine

    monkeypatch.setattr(engine, "resolve_device", lambda name: torch.device("cuda", 1))
    with pytest.raises(ValueError, match="OM109.*onnx.*cuda:1"):
        load_checkpoint(Source(str(keyword_checkpoint)), EngineSettings("onnx", "cuda:1"))


def test_fingerprint_is_of_the_values(make_checkpoint: Callable):
    module = AutoModelForTokenClassification.from_pretrained(make_checkpoint())
    before = fingerprint(module.state_dict())
    with torch.no_grad():
        module.classifier.bias[0] += 1e-3
    assert fingerprint(module.state_dict()) != before
    assert len(before) == 32


def test_filler_is_no_longer_than_the_windows(keyword_checkpoint: Path):
    rows = windows(keyword_checkpoint, ["aspirin"] * 4097 + ["asthma"])
    logits = load(keyword_checkpoint).engine(rows)
    np.testing.assert_allclose(
        logits[-1], plain_logits(keyword_checkpoint, rows[-1:])[0], atol=1e-4
    )


@needs_openvino
def test_shapes_that_openvino_meets_again():
    checkpoint = load(MINI_PATH, "openvino")
    limit, shape = checkpoint.limit, checkpoint.engine.shape
    given = [(n, longest) for n in range(1, 65) for longest in range(3, limit + 1)]
    met = {(n, longest): shape([np.zeros(longest)] * n) for n, longest in given}
    assert all(n <= met[n, longest][0] <= 1.25 * n for n, longest in given)
    assert all(longest <= met[n, longest][1] <= 1.07 * longest for n, longest in given)
    assert max(length for _, length in met.values()) == limit  # it has no more positions
    assert len(set(met.values())) < len(given) / 10


@needs_openvino
def test_cache_that_can_not_be_written(
    keyword_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "copy")
    assert len(load(folder, "openvino").engine(windows(folder, ["aspirin"]))) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux's means")
@pytest.mark.parametrize(
    "engine",
    [
        "torch",
        pytest.param("openvino", marks=needs_openvino),
        pytest.param("onnx", marks=needs_onnx),
    ],
)
def test_no_memory_left(run_python: Callable, engine: str):
    code = (
        "import resource, sys, numpy, spacy\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('openmed_ner', config={'model': {'engine': sys.argv[1]}})\n"
        "nlp('No asthma.')\n"
        "engine = nlp.get_pipe('openmed_ner').shim.checkpoint.engine\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 300 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try: engine([numpy.ones(500, dtype='int64')] * 400)\n"
        "except MemoryError: print('MemoryError')"
    )
    assert "MemoryError" in run_python(code, engine)
