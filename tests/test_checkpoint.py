"""Checkpoints are found and loaded, or the error says what is wrong with them."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import (
    FAMILIES,
    FAMILIES_LIKE_ROBERTA,
    LABELS,
    SENTENCES,
    edit_config,
    is_native,
)
from conftest import make_nlp
from processor import expect_emulation
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_openmed.checkpoints.checkpoint import Checkpoint
from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.engines.base import Engine, EngineSettings
from spacy_openmed.engines.registry import make_engine

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER_SHA = "89abcdef0123456789abcdef0123456789abcdef"


def load(name: object, **settings) -> Checkpoint:
    return load_checkpoint(Source(str(name), **settings), EngineSettings(device="cpu"))


def without(folder: Path, copy: Path, *patterns: str) -> Path:
    """A copy of a checkpoint without some of its files."""
    return shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*patterns))


@pytest.fixture
def bert(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return shutil.copytree(make_checkpoint(), tmp_path / "bert")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hugging Face hub, in the place of the user's."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def put_into_cache(cache: Path, id: str, folder: Path, sha: str, *refs: str) -> Path:
    """Lay a checkpoint out as the hub's client does: blobs, links to them, and refs."""
    repo = cache / f"models--{id.replace('/', '--')}"
    snapshot = repo / "snapshots" / sha
    for path in (repo / "blobs", repo / "refs", snapshot):
        path.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        blob = repo / "blobs" / f"{sha}-{file.name}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    for ref in refs:
        (repo / "refs" / ref).write_text(sha, encoding="utf8")
    return snapshot


def test_every_family_loads(family: str, checkpoint: Path):
    loaded = load(checkpoint)
    assert loaded.module.config.model_type == FAMILIES[family].model_type
    assert [(head.start, head.labels) for head in loaded.heads] == [(0, LABELS)]
    assert loaded.limit == 128
    assert not loaded.module.training
    pieces = loaded.encode([SENTENCES[0]])
    assert len(pieces.ids) == pieces.lengths[0] == len(pieces.offsets) > 10


def test_special_pieces_are_the_tokenizers(checkpoint: Path):
    loaded = load(checkpoint)
    ids = AutoTokenizer.from_pretrained(checkpoint)(SENTENCES[0])["input_ids"]
    own = loaded.encode([SENTENCES[0]]).ids.tolist()
    assert [*loaded.prefix, *own, *loaded.suffix] == ids
    assert loaded.prefix
    assert loaded.suffix


@pytest.mark.parametrize(("model_max_length", "limit"), [(int(1e30), 128), (64, 64), (512, 128)])
def test_limit_is_the_smaller_one(
    make_checkpoint: Callable[..., Path], model_max_length: int, limit: int
):
    assert load(make_checkpoint(model_max_length=model_max_length)).limit == limit


@pytest.mark.parametrize("family", FAMILIES_LIKE_ROBERTA)
def test_long_texts_where_positions_are_numbered_from_the_padding_id(
    family: str, make_checkpoint: Callable[..., Path]
):
    folder = make_checkpoint(family)
    assert load(folder).limit == 128
    nlp = make_nlp(folder, model={"window": 128})
    logits = nlp.get_pipe("openmed_ner").model.predict([nlp.make_doc("aspirin " * 300)]).logits
    assert len(logits) >= 600


def test_baked_truncation_does_not_truncate(make_checkpoint: Callable[..., Path]):
    text = " ".join(SENTENCES)
    baked = load(make_checkpoint(truncation=8)).encode([text, "aspirin"])
    plain = load(make_checkpoint()).encode([text, "aspirin"])
    assert baked.ids.tolist() == plain.ids.tolist()
    assert baked.lengths.tolist() == plain.lengths.tolist()
    assert baked.lengths[0] > 300


def test_same_name_is_loaded_once(make_checkpoint: Callable[..., Path]):
    folder = make_checkpoint()
    first = load(folder)
    assert load(folder) is first
    assert load(folder / ".." / folder.name) is first
    low = EngineSettings(device="cpu", precision="bf16")
    with expect_emulation("bf16"):
        assert load_checkpoint(Source(str(folder)), low) is not first


def test_changed_weights_are_loaded_again(bert: Path):
    first = load(bert)
    weights = load_file(bert / "model.safetensors")
    save_file({key: value + 1 for key, value in weights.items()}, bert / "new", {"format": "pt"})
    (bert / "new").replace(bert / "model.safetensors")
    bias = load(bert).module.classifier.bias
    assert torch.equal(bias, first.module.classifier.bias + 1)


def test_changed_labels_are_loaded_again(bert: Path):
    first = load(bert)
    edit_config(bert, id2label={"0": "O", "1": "B-X", "2": "I-X"})
    assert load(bert).heads != first.heads


def test_the_engine_is_made_once_whatever_threads_ask(bert: Path, monkeypatch: pytest.MonkeyPatch):
    made = []

    def make_slowly(checkpoint: Checkpoint) -> Engine:
        made.append(make_engine(checkpoint))
        time.sleep(0.05)  # so that the others ask meanwhile
        return made[-1]

    monkeypatch.setattr("spacy_openmed.engines.make_engine", make_slowly)
    loaded = load(bert)
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: loaded.engine, range(4)))
    assert len(made) == 1
    assert all(engine is made[0] for engine in engines)


def test_heads_without_dataset_have_the_checkpoints_name(bert: Path):
    (head,) = load(bert).heads
    assert head.dataset == "bert"
    assert head.threshold is None


def test_overwriting_the_file_changes_nothing_that_is_loaded(
    make_checkpoint: Callable[..., Path], tmp_path: Path
):
    folder = shutil.copytree(make_checkpoint("deberta-v2"), tmp_path / "copy")
    nlp = make_nlp(folder)
    model, doc = nlp.get_pipe("openmed_ner").model, nlp.make_doc(SENTENCES[0])
    before = model.predict([doc]).logits
    size = (folder / "model.safetensors").stat().st_size
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(size // 4)
        file.write(bytes(size - size // 4))
    assert np.array_equal(model.predict([doc]).logits, before)


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        (None, r"OM113.*no names"),
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, r"OM113.*no names"),
        (["O", "B-X", "I-X"], r"OM113.*no names"),
        ({"O": 0, "B-X": 1, "I-X": 2}, r"OM114.*keys are O, B-X, I-X"),
        ({0: "O", 1: "B-X", 3: "I-X"}, r'OM114.*keys are 0, 1, 3.*from "0" to "2"'),
        ({1: "O", 2: "B-X", 3: "I-X"}, r"OM114.*keys are 1, 2, 3"),
        ({0: "O", 1: "B-X", 2: None}, r"OM114.*not a string"),
        ({0: "O", 1: "B-X", 2: "B-X"}, r"OM114.*B-X more than once"),
        ({0: "O", 1: "B-X"}, r"OM115.* 2 labels.* has 3"),
        ({0: "O", 1: "B-X", 2: "I-X", 3: "B-Y"}, r"OM115.* 4 labels.* has 3"),
    ],
)
def test_labels_that_do_not_fit(bert: Path, id2label: object, message: str):
    edit_config(bert, id2label=id2label, label2id=None)
    with pytest.raises(ValueError, match=message):
        load(bert)


def test_labels_that_transformers_left_out(bert: Path):
    model = AutoModelForTokenClassification.from_pretrained(bert)
    model.config.num_labels = 2  # transformers' default
    model.classifier = torch.nn.Linear(32, 2)
    model.save_pretrained(bert)
    assert "id2label" not in json.loads((bert / "config.json").read_text(encoding="utf8"))
    with pytest.raises(ValueError, match="OM113"):
        load(bert)
    with pytest.raises(ValueError, match="OM113"):  # before it is loaded
        _ = make_nlp(bert).get_pipe("openmed_ner").labels


def test_heads_that_do_not_fit(multi_head_checkpoint: Path, tmp_path: Path):
    folder = shutil.copytree(multi_head_checkpoint, tmp_path / "copy")
    head = {"dataset": "ncbi_disease", "start": 4, "labels": ["O", "B-Disease", "I-Disease"]}
    edit_config(folder, openmed={"heads": [head]})
    with pytest.raises(ValueError, match=r"OM115.* 7 labels.* has 6"):
        load(folder)


@pytest.mark.parametrize("model_max_length", [2, 0])
def test_a_limit_that_leaves_no_room(bert: Path, model_max_length: int):
    path = bert / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf8"))
    path.write_text(json.dumps({**settings, "model_max_length": model_max_length}))
    with pytest.raises(ValueError, match=rf"OM116.* {model_max_length} pieces.*model_max_length"):
        load(bert)


def test_facts_of_the_source_describe_the_head(bert: Path):
    (head,) = load(bert, dataset="ncbi_disease", threshold=0.7).heads
    assert (head.dataset, head.threshold) == ("ncbi_disease", 0.7)


def test_missing_folder(tmp_path: Path, hub_cache: Path):
    (tmp_path / "somewhere").mkdir()
    with pytest.raises(OSError, match=r"OM112.*nowhere.*Did you mean 'somewhere'") as error:
        load(tmp_path / "nowhere")
    assert "download" not in str(error.value)
    with pytest.raises(OSError, match=r"OM111.*size = \"mini\""):
        load(Path("mini"))


@pytest.mark.parametrize("revision", [None, "v2"])
@pytest.mark.parametrize(
    ("local_files_only", "why"), [(True, "local_files_only is set"), (False, "download")]
)
def test_id_that_is_not_in_the_cache(
    hub_cache: Path, local_files_only: bool, why: str, revision: str | None
):
    with pytest.raises(OSError, match=f"OM100.*{why}") as error:
        load("OpenMed/No-Such-Model", local_files_only=local_files_only, revision=revision)
    assert ("(revision v2)" in str(error.value)) == (revision == "v2")


@pytest.mark.slow
def test_hub_out_of_reach(run_python: Callable[..., str]):
    code = (
        "from spacy_openmed.checkpoints.loading import load_checkpoint\n"
        "from spacy_openmed.checkpoints.source import Source\n"
        "try: load_checkpoint(Source('OpenMed/No-Such-Model'))\n"
        "except OSError as error: print(error)"
    )
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "[OM100]" in run_python(code, env=env)


def test_cached_id_loads(hub_cache: Path, bert: Path):
    put_into_cache(hub_cache, "OpenMed/Tiny", bert, SHA, "main")
    loaded = load("OpenMed/Tiny")
    assert loaded.name == "OpenMed/Tiny"
    assert loaded.heads[0].dataset == "Tiny"
    own = AutoModelForTokenClassification.from_pretrained(bert)
    assert torch.equal(loaded.module.classifier.weight, own.classifier.weight)


@pytest.mark.parametrize(
    ("revision", "label"),
    [(None, "B-main"), ("main", "B-main"), ("v2", "B-v2"), (OTHER_SHA, "B-v2"), (SHA, "B-main")],
)
def test_revision(hub_cache: Path, bert: Path, revision: str | None, label: str):
    for name, sha in (("main", SHA), ("v2", OTHER_SHA)):
        edit_config(bert, id2label={0: f"B-{name}", 1: f"I-{name}", 2: "O"})
        put_into_cache(hub_cache, "OpenMed/Tiny", bert, sha, name)
    assert load("OpenMed/Tiny", revision=revision).heads[0].labels[0] == label


def test_revision_that_is_not_in_the_cache(hub_cache: Path, bert: Path):
    put_into_cache(hub_cache, "OpenMed/Tiny", bert, SHA, "main")
    with pytest.raises(OSError, match=r"OM100.*revision v3"):
        load("OpenMed/Tiny", revision="v3")


@pytest.mark.parametrize(
    "missing", [("config.json",), ("model.safetensors",), ("tokenizer.json", "vocab.txt")]
)
def test_half_a_snapshot_is_not_taken(
    hub_cache: Path, bert: Path, tmp_path: Path, missing: tuple[str, ...]
):
    part = without(bert, tmp_path / "part", *missing)
    put_into_cache(hub_cache, "OpenMed/Tiny", part, SHA, "main")
    with pytest.raises(OSError, match="OM100"):
        load("OpenMed/Tiny", local_files_only=True)


@pytest.mark.slow
def test_cached_id_loads_in_a_fresh_process(
    run_python: Callable[..., str], make_checkpoint: Callable[..., Path], tmp_path: Path
):
    put_into_cache(tmp_path / "home" / "hub", "OpenMed/Tiny", make_checkpoint(), SHA, "main")
    code = (
        "from spacy_openmed.checkpoints.loading import load_checkpoint\n"
        "from spacy_openmed.checkpoints.source import Source\n"
        "print(load_checkpoint(Source('OpenMed/Tiny')).heads[0].dataset)"
    )
    assert run_python(code, env={"HF_HOME": str(tmp_path / "home")}) == "Tiny\n"


@pytest.mark.parametrize("architecture", ["gigabert", "eurobert", None])
def test_architecture_that_transformers_lacks(bert: Path, architecture: str | None):
    if architecture in FAMILIES and is_native(architecture):
        pytest.skip(f"the installed transformers has {architecture}")
    edit_config(bert, model_type=architecture, auto_map={"AutoConfig": "code.Config"})
    with pytest.raises(ValueError, match=f"OM101.*'{architecture}'.*transformers"):
        load(bert)


def test_bare_encoder_has_no_heads(bert: Path):
    weights = load_file(bert / "model.safetensors")
    encoder = {key: value for key, value in weights.items() if "classifier" not in key}
    save_file(encoder, bert / "model.safetensors", {"format": "pt"})
    assert load(bert).heads == []


def test_damaged_encoder(bert: Path):
    weights = load_file(bert / "model.safetensors")
    rest = {key: value for key, value in weights.items() if ".layer.0." not in key}
    save_file(rest, bert / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"OM102.*encoder\.layer\.0"):
        load(bert)


def test_slow_tokenizer(bert: Path):
    (bert / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "CanineTokenizer"}
    (bert / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    with pytest.raises(ValueError, match="OM103"):
        load(bert)


def test_sentencepiece_file_that_can_not_be_read(
    make_checkpoint: Callable[..., Path], tmp_path: Path
):
    folder = without(make_checkpoint("deberta-v2"), tmp_path / "copy", "tokenizer.json")
    (folder / "spm.model").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"OM103.*sentencepiece"):
        load(folder)


def test_pickled_weights(bert: Path):
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"OM104.*Pickled"):
        load(bert)


def test_folder_that_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(OSError, match=r"OM105.*config\.json"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_truncated_file(bert: Path, file: str):
    content = (bert / file).read_bytes()
    (bert / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"OM106.*incomplete"):
        load(bert)


def test_missing_shard(bert: Path):
    model = AutoModelForTokenClassification.from_pretrained(bert)
    (bert / "model.safetensors").unlink()
    model.save_pretrained(bert, max_shard_size="20KB")
    shards = sorted(bert.glob("*.safetensors"))
    assert len(shards) > 1
    assert torch.equal(load(bert).module.classifier.weight, model.classifier.weight)
    shards[-1].unlink()
    with pytest.raises(OSError, match="OM106"):
        load(bert)


# Without its files, transformers 5 makes up a tokenizer that knows the special pieces only.
def test_missing_tokenizer(checkpoint: Path, tmp_path: Path):
    keep = ("config.json", "model.safetensors", "tokenizer_config.json")
    others = [file.name for file in checkpoint.iterdir() if file.name not in keep]
    folder = without(checkpoint, tmp_path / "copy", *others)
    with pytest.raises(OSError, match=r"OM106.*tokenizer\.json"):
        load(folder)


@pytest.mark.parametrize(
    "model_type", ["bert", "gigabert", "whisper"], ids=["native", "unknown", "other_task"]
)
def test_code_of_the_checkpoint_is_not_run(bert: Path, model_type: str):
    (bert / "code.py").write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_name('ran').touch()\n"
        "class Config: pass\nclass Model: pass\nclass Tokenizer: pass\n",
        encoding="utf8",
    )
    edit_config(
        bert,
        model_type=model_type,
        auto_map={
            "AutoConfig": "code.Config",
            "AutoModelForTokenClassification": "code.Model",
            "AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"],
        },
    )
    settings = json.loads((bert / "tokenizer_config.json").read_text(encoding="utf8"))
    settings["auto_map"] = {"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]}
    if model_type != "bert":
        settings["tokenizer_class"] = "UnheardOfTokenizer"
    (bert / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    if model_type == "bert":
        assert type(load(bert).module).__name__ == "BertForTokenClassification"
    else:
        with pytest.raises((OSError, ValueError), match="OM10[16]"):
            load(bert)
    assert not list(bert.rglob("ran"))


def test_loading_says_nothing(bert: Path, capfd: pytest.CaptureFixture[str]):
    load(bert)
    assert capfd.readouterr() == ("", "")


def test_stored_dtype_is_that_of_the_weights(bert: Path):
    weights = load_file(bert / "model.safetensors")
    half = {key: value.half() for key, value in weights.items()}
    save_file(half, bert / "model.safetensors", {"format": "pt"})
    loaded = load(bert)
    assert loaded.stored_dtype == torch.float16
    assert loaded.module.dtype == torch.float32
