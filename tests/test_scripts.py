"""The scripts that make the bundled checkpoint, and the steps of project.yml."""

import json
import re
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import checkpoints as ckpt
import pytest
import spacy
import srsly
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer
from weasel.util.config import load_project_config

ROOT = Path(__file__).parent.parent
import bundle_mini
import mini_data
import mini_training
import prepare_mini
import project
import refit_head
import score_mini
import train_mini

HEADS = {
    "corpora": {"made-up": {"reader": "iob", "heads": {"drugs": ["Drug"]}}},
    "heads": {"drugs": {"types": ["Drug"]}, "more": {"types": ["Dose"], "keep": False}},
}
IOB = "We\tO\ngave\tO\naspirin\tB-Drug\n.\tO\n\nNo\tO\nasthma\tO\nwas\tO\nseen\tO\n.\tO\n\n"


class Interrupted(Exception):
    pass


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Run `train_mini.py` on a made-up corpus; gives the folder that it writes."""
    for split in ("train", "dev", "test"):
        path = tmp_path / "ner" / "made-up" / f"{split}.iob"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Held-back sentences are not trained on: those of the training set are others.
        path.write_text(IOB.replace("gave", "take") if split == "train" else IOB, encoding="utf8")
    monkeypatch.setattr(mini_data, "UNSEEN", {})
    heads = tmp_path / "heads.json"
    heads.write_text(json.dumps(HEADS), encoding="utf8")
    monkeypatch.setenv("OPENMED_CORPORA", str(tmp_path))
    encoder = ckpt.make_checkpoint(tmp_path / "encoder", "bert")

    def run(
        name: str, *, lr: float = 1e-3, pieces: int = 512, stop_after: int | None = None
    ) -> Path:
        steps = 0
        own = mini_training.learning_rate

        def learning_rate(*args, **kwargs):
            nonlocal steps
            steps += 1
            if stop_after is not None and steps > stop_after:
                raise Interrupted
            return own(*args, **kwargs)

        options = ["--pieces", pieces, "--export-pieces", 128, "--lr", lr, "--batch-pieces", 32]
        options += ["--save-minutes", 0]
        argv = ["train_mini.py", encoder, tmp_path / name, "--heads", heads, *options]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [*map(str, argv)])
            patch.setattr(mini_training, "learning_rate", learning_rate)
            train_mini.main()
        return tmp_path / name

    run.heads = heads  # type: ignore[attr-defined]
    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_interrupted_training_goes_on_where_it_was(train, tmp_path):
    whole = weights(train("whole") / "final")
    with pytest.raises(Interrupted):
        train("halves", stop_after=3)
    assert (tmp_path / "halves" / "training.pt").is_file()
    halves = train("halves")
    torch.testing.assert_close(weights(halves / "final"), whole, rtol=0, atol=0)
    assert not (halves / "training.pt").exists()


def test_training_does_not_go_on_with_other_arguments(train):
    with pytest.raises(Interrupted):
        train("run", stop_after=3)
    with pytest.raises(SystemExit, match="other arguments"):
        train("run", lr=1e-4)


def test_bundle_is_the_mean_in_half_precision(train, tmp_path, monkeypatch):
    run = train("run")
    first, last = run / "average-1", run / "final"
    (tmp_path / "encoder" / "special_tokens_map.json").write_text("{}", encoding="utf8")
    output = tmp_path / "bundle"
    facts, accuracy = tmp_path / "facts.json", tmp_path / "accuracy.json"
    facts.write_text('[{"dataset": "drugs", "temperature": 1.5}]', encoding="utf8")
    table = {"columns": ["dataset", "P", "F1, gold tokens"], "rows": [["drugs", 90.0, 81.237]]}
    accuracy.write_text(json.dumps({"tables": {"accuracy": table}}), encoding="utf8")
    argv = ["bundle_mini.py", tmp_path / "encoder", first, last, "--output", output]
    argv += ["--facts", facts, "--accuracy", accuracy]
    monkeypatch.setattr(sys, "argv", [*map(str, argv), "--window", "64"])
    bundle_mini.main()
    expected = {key: ((a + b) / 2).half() for (key, a), b in zip_states(first, last)}
    for part in ("weight", "bias"):  # the other head only served the training
        expected[f"classifier.{part}"] = expected[f"classifier.{part}"][:3]
    torch.testing.assert_close(weights(output), expected, rtol=0, atol=0)
    config = json.loads((output / "config.json").read_text(encoding="utf8"))
    assert config["openmed"]["window"] == 64
    (head,) = config["openmed"]["heads"]
    assert (head["dataset"], head["temperature"], head["f1"]) == ("drugs", 1.5, 0.8124)
    assert config["id2label"] == {"0": "drugs/O", "1": "drugs/B-Drug", "2": "drugs/I-Drug"}


def test_a_bundled_checkpoint_is_averaged_with_later_ones(train, tmp_path, monkeypatch):
    last = train("run") / "final"
    (tmp_path / "encoder" / "special_tokens_map.json").write_text("{}", encoding="utf8")
    facts = tmp_path / "facts.json"
    facts.write_text('[{"dataset": "drugs", "temperature": 1.5}]', encoding="utf8")
    soup, output = tmp_path / "soup", tmp_path / "bundle"
    for argv in (
        (tmp_path / "encoder", last, "--output", soup, "--facts", facts),
        (tmp_path / "encoder", soup, last, "--output", output),
    ):
        monkeypatch.setattr(sys, "argv", ["bundle_mini.py", *map(str, argv)])
        bundle_mini.main()
    torch.testing.assert_close(weights(output), weights(soup), rtol=1e-3, atol=1e-4)
    (head,) = json.loads((output / "config.json").read_text(encoding="utf8"))["openmed"]["heads"]
    assert (head["dataset"], "temperature" in head) == ("drugs", False)


def test_a_refitted_head_leaves_everything_else_alone(train, tmp_path, monkeypatch, capsys):
    checkpoint = train("run") / "final"
    before = weights(checkpoint)
    argv = ["refit_head.py", checkpoint, "drugs", "--heads", train.heads, "--splits", "train"]
    monkeypatch.setattr(sys, "argv", [*map(str, argv)])
    refit_head.main()
    first, last = re.findall(r"\d\.\d+", capsys.readouterr().out.splitlines()[-1])
    assert float(last) < float(first)
    after = weights(checkpoint)
    assert {k for k in before if not before[k].equal(after[k])} == {*refit_head.LAYER}
    for name in refit_head.LAYER:
        assert not before[name][:3].equal(after[name][:3])
        assert before[name][3:].equal(after[name][3:])


def test_line_breaks_are_a_piece(tmp_path, monkeypatch):
    encoder = ckpt.make_checkpoint(tmp_path / "encoder", "bert")
    path = encoder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf8"))
    content["model"]["vocab"]["[unused0]"] = len(content["model"]["vocab"])
    path.write_text(json.dumps(content), encoding="utf8")
    (encoder / "special_tokens_map.json").write_text("{}", encoding="utf8")
    argv = ["prepare_mini.py", encoder, tmp_path / "prepared"]
    monkeypatch.setattr(sys, "argv", [*map(str, argv)])
    prepare_mini.main()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "prepared")
    text = "no asthma\r\n\naspirin"
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    assert [text[a:b] for a, b in offsets].count("\n") == 2


def test_score_of_a_trained_checkpoint(train, tmp_path):
    heads, corpora = mini_data.read_heads(train.heads)
    run = train("run", lr=1e-2, pieces=2048)
    dev = tmp_path / "ner" / "made-up" / "dev.iob"  # what it learned by heart
    dev.write_text(IOB.split("\n\n")[0].replace("gave", "take") + "\n\n", encoding="utf8")
    scores = score_mini.score(heads, corpora, run / "final", 1000, set())
    assert scores == {"drugs (made-up)": {"all": 100.0}}


def zip_states(first: Path, last: Path):
    return zip(weights(first).items(), weights(last).values(), strict=True)


@pytest.mark.parametrize(("n_words", "epochs"), [(4600, 8), (4600, 1), (100, 1), (136_000, 3)])
def test_the_last_step_is_evaluated(n_words, epochs):
    steps, frequency = project.plan_steps(n_words, 400, epochs)
    assert steps % frequency == 0
    assert abs(steps - epochs * n_words / 400) <= 8


def test_convert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.convert("medication")
    assert (tmp_path / "corpus" / "medication" / "test.spacy").is_file()


def test_every_corpus_of_the_project_has_a_domain_and_a_head():
    heads, _ = mini_data.read_heads(ROOT / "scripts" / "mini_heads.json")
    known = {head.dataset for head in heads}
    assert {facts.head for facts in project.CORPORA.values()} - known == {"medication"}


def test_no_workflow_is_called_as_a_command():
    path = Path(project.__file__).parent.parent / "project.yml"
    config = srsly.read_yaml(path)  # with such a name, spaCy refuses every command of the project
    assert not config["workflows"].keys() & {command["name"] for command in config["commands"]}


def test_gpu_settings_are_settings_of_the_config_and_in_the_manual():
    path = ROOT / "configs" / "train.cfg"
    manual = " ".join((ROOT / "docs" / "guides" / "training.md").read_text(encoding="utf8").split())
    header = " ".join(re.findall(r"^#\s*(.*)$", path.read_text(encoding="utf8"), re.MULTILINE))
    config = spacy.util.load_config(path)
    for name, value in project.ON_GPU.items():
        section, _, key = name.rpartition(".")
        assert key in reduce(getitem, section.split("."), config)
        assert f"--{name} {value}" in header
        assert f"--{name} {value}" in manual


@pytest.mark.parametrize(("gpu_id", "device", "size"), [(-1, "auto", 400), (0, "cuda", 4000)])
def test_train_adds_the_gpu_settings_on_a_gpu(tmp_path, monkeypatch, gpu_id, device, size):
    monkeypatch.chdir(tmp_path)
    project.convert("medication")
    runs = []
    monkeypatch.setattr(project, "spacy_train", lambda *args, **kwargs: runs.append(kwargs))
    project.train("medication", ROOT / "configs" / "train.cfg", gpu_id=gpu_id)
    config = spacy.util.load_config(ROOT / "configs" / "train.cfg", overrides=runs[0]["overrides"])
    assert config["components"]["openmed_ner"]["model"]["device"] == device
    assert config["training"]["batcher"]["size"] == size


def test_assets_are_pinned():
    config = load_project_config(ROOT)
    assert len({asset["dest"] for asset in config["assets"]}) == len(config["assets"])
    for asset in config["assets"]:
        assert asset["url"].startswith("https://")
        # A commit in the URL, a checksum, or both.
        pinned = re.search(r"/[0-9a-f]{12}/", asset["url"])
        assert pinned or re.fullmatch("[0-9a-f]{32}", asset.get("checksum", ""))


def test_assets_of_the_corpora_are_where_convert_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMED_CORPORA", raising=False)
    paths = {Path(asset["dest"]) for asset in load_project_config(ROOT)["assets"]}
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folders = list(Path("assets").glob("*-IOB"))
    assert folders
    for folder in folders:
        corpus = folder.name.removesuffix("-IOB")
        assert corpus in project.CORPORA
        assert {project.find_split(corpus, split) for split in project.SPLITS} <= paths
