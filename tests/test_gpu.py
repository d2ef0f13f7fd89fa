"""On a GPU: the same answers as on a CPU, in less memory than a batch takes, and training."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from checkpoints import SENTENCES
from conftest import found, make_nlp
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam
from transformers import AutoTokenizer

from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.engines.base import EngineSettings
from spacy_openmed.paths import MINI_PATH

ROOT = Path(__file__).parent.parent
from project import ON_GPU

CONFIG = ROOT / "configs" / "train.cfg"

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
    # What torch says of its own threads, and of TF32, which it is not to use.
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores"),
]

# How far logits may be from those of fp32 on a CPU; they go from -5 to 12.
LIMITS = {"fp32": 1e-3, "bf16": 1.0, "fp16": 0.2}
TEXTS = [*SENTENCES, "aspirin", " ".join(SENTENCES * 40), ""]
NOTE = "He takes metformin and aspirin for type 2 diabetes mellitus and renal failure. "


def logits_of(folder: Path, rows: list[np.ndarray], device: str, precision: str):
    settings = EngineSettings("torch", device, precision)
    return load_checkpoint(Source(str(folder)), settings).engine(rows)


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize(
    "family", ["mini", "distilbert", "roberta", "xlm-roberta", "deberta-v2", "modernbert"]
)
def test_logits_are_those_of_a_cpu(
    make_checkpoint: Callable[..., Path], family: str, precision: str
):
    folder = MINI_PATH if family == "mini" else make_checkpoint(family)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [np.array(tokenizer(text)["input_ids"]) for text in [*SENTENCES, "aspirin"]]
    expected = logits_of(folder, rows, "cpu", "fp32")
    for ours, theirs in zip(logits_of(folder, rows, "cuda", precision), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=LIMITS[precision])


def mini(device: str, precision: str = "fp32", **model) -> Language:
    nlp = spacy.blank("en")
    settings = {"device": device, "precision": precision, **model}
    nlp.add_pipe("openmed_ner", config={"domain": "disease", "model": settings})
    return nlp


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_entities_are_those_of_a_cpu(batch_size: int):
    texts = [*TEXTS, NOTE * 300]
    docs = mini("cuda").pipe(texts, batch_size=batch_size)
    expected = mini("cpu").pipe(texts, batch_size=batch_size)
    assert [found(doc) for doc in docs] == [found(doc) for doc in expected]


@pytest.mark.parametrize("precision", ["auto", "bf16", "fp16"])
def test_entities_in_half_precision(precision: str):
    doc = mini("auto", precision)(NOTE * 300)
    assert found(doc).count(("renal failure", "DISEASE")) == 300


def test_it_is_ahead():
    nlp = mini("cuda")
    assert nlp.get_pipe("openmed_ner").shim.is_async
    read: list[str] = []
    docs = nlp.pipe((read.append(text) or text for text in TEXTS), batch_size=1)
    next(docs)
    assert read == TEXTS[:2]


def test_batch_that_does_not_fit_is_halved():
    texts = [NOTE * 20] * 200
    expected = [found(doc) for doc in mini("cuda").pipe(texts)]
    nlp = mini("cuda", max_batch_tokens=1 << 22)
    nlp("Aspirin.")
    torch.cuda.empty_cache()
    used, total = torch.cuda.memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((used + 100e6) / total)
    try:
        with pytest.warns(UserWarning, match="OM908"):
            docs = list(nlp.pipe(texts, batch_size=200))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [found(doc) for doc in docs] == expected
    assert nlp.get_pipe("openmed_ner").model.attrs["max_batch_tokens"] < 1 << 17


def test_components_share_the_weights():
    one, two = mini("cuda"), mini("cuda:0")
    assert one.get_pipe("openmed_ner").shim.load() is two.get_pipe("openmed_ner").shim.load()


def test_piece_that_the_weights_lack_leaves_the_gpu_usable(impossible_checkpoint: Path):
    nlp = make_nlp(impossible_checkpoint, model={"device": "cuda"})
    nlp.set_error_handler(lambda *args: None)
    docs = list(nlp.pipe(["asthma", "an impossible case", "aspirin"]))
    assert [found(doc)[0][0] for doc in docs] == ["asthma", "aspirin"]


def test_no_int8():
    with pytest.raises(ValueError, match=r"OM153.*cuda"):
        mini("cuda", "int8")("Aspirin.")


@pytest.mark.slow
def test_compiled():
    texts = [NOTE * n for n in (1, 3, 10, 20)]
    docs = mini("cuda", compile=True).pipe(texts)
    assert [found(doc) for doc in docs] == [found(doc) for doc in mini("cpu").pipe(texts)]


def test_device_follows_no_current_device():
    last = torch.cuda.device_count() - 1
    with torch.cuda.device(0):
        assert found(mini(f"cuda:{last}")(NOTE)) == found(mini("cpu")(NOTE))


def test_thinc_on_the_gpu(run_python: Callable[..., str]):
    pytest.importorskip("cupy")
    code = (
        "import spacy, sys; spacy.require_gpu(); nlp = spacy.blank('en')\n"
        "nlp.add_pipe('openmed_ner', config={'domain': 'disease'})\n"
        "print(*nlp(sys.argv[1]).ents, sep=', ')"
    )
    assert "renal failure" in run_python(code, NOTE)


TRAIN = [
    ("The patient took aspirin for asthma.", {"entities": [(17, 24, "DRUG"), (29, 35, "SIGN")]}),
    ("Aspirin and metformin were given.", {"entities": [(0, 7, "DRUG"), (12, 21, "DRUG")]}),
    ("She denies chest pain.", {"entities": [(11, 21, "SIGN")]}),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training(make_checkpoint: Callable[..., Path], tmp_path: Path, precision: str):
    labels = ("O", "B-DRUG", "I-DRUG", "B-SIGN", "I-SIGN")
    nlp = make_nlp(make_checkpoint(labels=labels), model={"device": "cuda", "precision": precision})
    examples = [Example.from_dict(nlp.make_doc(text), gold) for text, gold in TRAIN]
    nlp.initialize(lambda: examples)
    sgd = Adam(5e-3, L2=0.01, grad_clip=1.0)
    for _ in range(60):
        nlp.update(copy.copy(examples), sgd=sgd)
    assert nlp.evaluate(examples)["ents_f"] == 1.0
    nlp.to_disk(tmp_path / "trained")
    on_cpu = {"components": {"openmed_ner": {"model": {"device": "cpu", "precision": "fp32"}}}}
    loaded = spacy.load(tmp_path / "trained", config=on_cpu)
    assert loaded.evaluate(examples)["ents_f"] == 1.0


def test_spacy_train(tmp_path: Path, run_python: Callable[..., str]):
    pytest.importorskip("cupy")
    nlp = spacy.blank("en")
    golds = [Example.from_dict(nlp.make_doc(text), gold).reference for text, gold in TRAIN]
    DocBin(docs=golds * 20).to_disk(tmp_path / "train.spacy")
    code = (
        "import json, sys; from pathlib import Path; from spacy.cli.train import train\n"
        "config, folder = map(Path, sys.argv[1:3])\n"
        "sizes = {'training.max_steps': 100, 'training.eval_frequency': 50}\n"
        "sizes |= {'training.max_epochs': 0, 'training.optimizer.learn_rate.warmup_steps': 10}\n"
        "paths = {f'paths.{x}': str(folder / 'train.spacy') for x in ('train', 'dev')}\n"
        "train(config, folder, use_gpu=0, overrides={**json.loads(sys.argv[3]), **paths, **sizes})"
    )
    run_python(code, CONFIG, tmp_path, json.dumps(ON_GPU))
    trained = spacy.load(tmp_path / "model-best")
    assert found(trained(TRAIN[0][0])) == [("aspirin", "DRUG"), ("asthma", "SIGN")]
