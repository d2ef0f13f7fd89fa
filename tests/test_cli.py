"""`python -m spacy openmed`: what the commands print, and how they fail."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import spacy
import typer
from click.testing import Result
from conftest import make_nlp
from hubs import Hub
from typer.testing import CliRunner

from spacy_openmed import catalogue, paths
from spacy_openmed.apply.blank import blank_pipeline, lift_limit
from spacy_openmed.cli import openmed_cli
from spacy_openmed.cli._options import guard

PHARMA = "OpenMed/OpenMed-NER-PharmaDetect-SuperClinical-434M"
TEXT = "Aspirin and valproic acid, not for asthma."


def run(*args: object, input: str | bytes | None = None) -> str:
    """Run a command that succeeds; gives what it prints."""
    result = CliRunner().invoke(openmed_cli, [*map(str, args)], input=input)
    assert result.exit_code == 0, result.output
    return result.stdout


def fail(*args: object, input: str | bytes | None = None) -> str:
    """Run a command that fails with a message; gives it in one line."""
    result = CliRunner().invoke(openmed_cli, [*map(str, args)], input=input)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


def facts(output: str) -> dict[str, str]:
    """The names and values that `info` prints in two columns."""
    found: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if line[:1].strip():
            name = line[:16].strip()
            found[name] = line[16:].strip()
        elif line.strip():
            found[name] += " " + line.strip()
    return found


def columns(output: str) -> list[list[str]]:
    """The rows of the tables that a command prints, without their headers."""
    return [line.split() for line in output.splitlines() if line.startswith("OpenMed/")]


@pytest.mark.parametrize("name", [command.name for command in openmed_cli.registered_commands])
def test_help_has_an_example(name: str):
    assert f"python -m spacy openmed {name} " in " ".join(run(name, "--help").split())


# models


def test_models_lists_all_checkpoints_with_size_and_score():
    output = run("models")
    rows = columns(output)
    assert sorted(row[0] for row in rows) == [c.id for c in catalogue.checkpoints()]
    assert [PHARMA, "xlarge", "0.9614"] in rows
    assert "754 checkpoints. Bundled with the package: mini (bc5cdr_chem," in output


def test_models_groups_by_what_they_find():
    output = run("models", "--domain", "genomics")
    titles = [line for line in output.splitlines() if line.startswith("genomics / ")]
    assert titles == sorted(titles)
    assert "genomics / gellus: CELL_LINE" in titles
    assert len(titles) == 5


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ("--kind pii --language de", {"kind": "pii", "language": "de"}),
        ("-d disease -s compact", {"domain": "disease", "size": "compact"}),
        ("-D bc2gm -a deberta-v2", {"dataset": "bc2gm", "architecture": "deberta-v2"}),
        ("--max-params 66", {"max_params": 66_000_000}),
        ("--size best", {"size": "best"}),
    ],
)
def test_models_filters(options: str, filters: dict):
    ids = [row["id"] for row in json.loads(run("models", *options.split(), "--json"))]
    assert ids == [c.id for c in catalogue.find(**filters)]


def test_models_json_tells_everything():
    (row,) = json.loads(run("models", "-D", "bc5cdr_chem", "--size", "best", "--json"))
    expected = {
        "id": PHARMA,
        "params": 434_000_000,
        "architecture": "deberta-v2",
        "labels": ["CHEM"],
        "canonical_labels": ["CHEMICAL"],
        "dataset": "bc5cdr_chem",
        "domain": "pharmacology",
        "size": "xlarge",
        "f1": 0.9614,
        "license": "apache-2.0",
        "recommended_confidence": 0.65,
        "onnx_repo": f"{PHARMA}-v1-onnx-android",
    }
    assert expected.items() <= row.items()
    assert row["scores"][0]["source"]


def test_models_says_when_there_are_none():
    assert "0 checkpoints." in run("models", "-D", "cll", "-a", "qwen")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-d", "genomix"), "[OM050] Unknown domain 'genomix'. Did you mean 'genomics'?"),
        (("-s", "tiny"), "There are: mini, compact, medium, large, xlarge, giant, best."),
        (("-d", "disease", "-D", "cll"), "[OM052] The datasets (cll) do not fit the domains"),
    ],
)
def test_models_with_a_bad_filter_is_an_error(args: tuple[str, ...], message: str):
    assert message in fail("models", *args)


# info


def test_info_of_a_domain():
    output = run("info", "genomics")
    found = facts(output)
    assert found["domain"] == "genomics"
    assert "which finds cell lines only (dataset 'gellus')" in found["on the hub"]
    assert found["bundled"].startswith("jnlpba, bc2gm")
    assert found["jnlpba"] == "finds DNA, RNA, PROTEIN, CELL_LINE, CELL_TYPE"
    assert found["license"] == "apache-2.0 (of all sizes)"
    best = ["best", "OpenMed/OpenMed-NER-GenomeDetect-SuperClinical-434M", "0.901"]
    assert best in [line.split() for line in output.splitlines()]


def test_info_of_a_domain_that_is_not_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config.json").write_text('{"openmed": {"heads": []}}', encoding="utf8")
    monkeypatch.setattr(paths, "MINI_PATH", tmp_path)
    output = run("info", "anatomy")
    assert facts(output)["bundled"] == "nothing"
    sizes = [line.split()[0] for line in output.splitlines() if " OpenMed/OpenMed-NER-" in line]
    assert sizes[-6:] == ["compact", "medium", "large", "xlarge", "giant", "best"]


def test_info_of_privacy_goes_by_language():
    output = run("info", "privacy", "--language", "de")
    assert "OpenMed/OpenMed-PII-German-ClinicalBGE-Large-568M-v1" in output
    assert "[OM060]" in fail("info", "privacy", "--language", "cs")


def test_info_of_a_dataset():
    output = run("info", "bc2gm")
    found = facts(output)
    assert (found["domain"], found["finds"]) == ("genomics", "GENE_OR_GENE_PRODUCT")
    assert (found["native labels"], found["bundled"]) == ("GENE/PROTEIN", "yes")
    assert found["best F1"] == "0.901 (OpenMed announcement, July 2025)"
    assert found["earlier F1"].startswith("0.8875")
    assert found["license"].startswith("apache-2.0")


def test_info_of_a_dataset_that_is_not_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert "no checkpoint on the hub" in facts(run("info", "notes"))["best"]
    head = {"dataset": "fsu", "start": 0, "labels": ["O", "B-Gene", "I-Gene"]}
    notes = {"dataset": "notes", "start": 3, "labels": ["O", "B-DOSE", "I-DOSE"], "f1": 0.9}
    config = json.dumps({"openmed": {"heads": [head, notes]}})
    (tmp_path / "config.json").write_text(config, encoding="utf8")
    monkeypatch.setattr(paths, "MINI_PATH", tmp_path)
    output = run("info", "notes")
    assert facts(output)["bundled"] == "yes, finds DOSE"
    assert ["mini", "mini", "0.9"] in [line.split() for line in output.splitlines()]


def test_every_domain_and_dataset_has_its_info():
    for name in [*catalogue.domains(), *catalogue.datasets()]:
        dataset = catalogue.datasets().get(name)
        is_on_hub = dataset is None or dataset.best is not None
        assert bool(columns(run("info", name).replace("best     ", ""))) == is_on_hub


def test_info_of_a_checkpoint():
    found = facts(run("info", "OpenMed/OpenMed-NER-GenomicDetect-SnowMed-568M"))
    assert found["dataset"] == "gellus: Gellus"
    assert (found["finds"], found["native labels"]) == ("CELL_LINE", "Cell-line-name")
    assert found["note"] == "Finds cell lines only, whatever the name GenomicDetect says."
    assert found["size"] == "giant, 568M parameters"
    assert (found["architecture"], found["license"]) == ("xlm-roberta", "apache-2.0")
    assert found["threshold"] == "0.65 (recommended)"
    assert found["F1 gellus"] == "0.998 (OpenMed announcement, July 2025)"


@pytest.mark.parametrize(("architecture", "is_named"), [("deberta-v2", True), ("bert", False)])
def test_info_names_the_extra_of_a_faster_engine(architecture: str, is_named: bool):
    id = next(c.id for c in catalogue.checkpoints() if c.architecture == architecture)
    assert ("spacy-openmed[openvino]" in facts(run("info", id)).get("faster with", "")) == is_named


def test_info_of_mini_shows_its_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    head = {"dataset": "cll", "start": 0, "labels": ["O", "B-CL", "I-CL"]}
    config = {"openmed": {"heads": [{**head, "f1": 0.81237, "recommended_confidence": 0.35}]}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf8")
    monkeypatch.setattr(paths, "MINI_PATH", tmp_path)
    output = run("info", "mini")
    assert facts(output)["size"] == "mini, 22.6M parameters"
    assert facts(output)["license"] == "apache-2.0"
    assert ["cll", "CL", "0.8124", "0.35"] in [line.split() for line in output.splitlines()]


def test_info_of_an_unknown_name_is_an_error_with_what_there_is():
    message = fail("info", "oncolgy")
    assert "[OM706] 'oncolgy' is no domain, dataset or checkpoint. Did you mean 'oncology'" in (
        message
    )
    assert "Datasets: bc5cdr_chem, bc4chemd" in message


# download


@pytest.fixture
def hub(multi_head_checkpoint: Path) -> Iterator[str]:
    """A hub on this machine with two checkpoints; one has pickled weights only."""
    files = {path.name: path.read_bytes() for path in multi_head_checkpoint.iterdir()}
    pickled = {"config.json": files["config.json"], "pytorch_model.bin": b"pickled"}
    repositories = {
        PHARMA: {**files, "pytorch_model.bin": b"pickled", "modeling.py": b"import os"},
        "someone/pickled": pickled,
    }
    with Hub(repositories) as hub:
        yield hub.url


DOWNLOAD = """
import sys
from pathlib import Path
from spacy_openmed.checkpoints.download import download

folder = Path(sys.argv[1])
for i, id in enumerate(sys.argv[2:]):
    try:
        download(id, folder / str(i))
        print("downloaded")
    except OSError as err:
        print(err)
"""


def test_download(hub: str, run_python: Callable[..., str], tmp_path: Path):
    ids = (PHARMA, "someone/pickled", PHARMA[:-1])
    env = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    output = run_python(DOWNLOAD, tmp_path / "to", *ids, env=env).splitlines()

    assert output[0] == "downloaded"
    names = {path.name for path in (tmp_path / "to" / "0").iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not {"pytorch_model.bin", "modeling.py"} & names
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"model": {"name": str(tmp_path / "to" / "0")}})
    assert [ent.text for ent in nlp("Take aspirin.").ents] == ["aspirin"]

    assert output[1].startswith("[OM120] No safetensors weights came with 'someone/pickled'")
    assert output[2].startswith(f"[OM119] '{PHARMA[:-1]}' could not be downloaded: 404")
    assert f"Did you mean '{PHARMA}'" in output[2]


def test_download_offline_says_why(tmp_path: Path):
    message = fail("download", PHARMA, tmp_path / "to")
    assert f"[OM119] '{PHARMA}' could not be downloaded" in message
    assert "HF_HUB_OFFLINE is not set" in message
    assert "Did you mean" not in message


def test_download_of_what_is_no_id_says_which_are_near(tmp_path: Path):
    message = fail("download", "OpenMed-NER-PharmaDetect-TinyMed-65M", tmp_path / "to")
    assert "[OM051] No checkpoint 'OpenMed-NER-PharmaDetect-TinyMed-65M'" in message
    assert "Did you mean 'OpenMed/OpenMed-NER-PharmaDetect-TinyMed-65M'" in message


def test_download_does_not_mix_checkpoints(multi_head_checkpoint: Path):
    before = (multi_head_checkpoint / "config.json").read_bytes()
    assert "[OM122]" in fail("download", PHARMA, multi_head_checkpoint)
    assert (multi_head_checkpoint / "config.json").read_bytes() == before


def test_mini_needs_no_download(tmp_path: Path):
    assert "[OM121]" in fail("download", "mini", tmp_path / "to")
    assert not (tmp_path / "to").exists()


# ner


def test_ner_prints_entity_label_score_dataset_and_offsets(multi_head_checkpoint: Path):
    rows = [line.split() for line in run("ner", TEXT, "-m", multi_head_checkpoint).splitlines()]
    assert ["entity", "label", "score", "dataset", "start", "end"] in rows
    assert ["Aspirin", "CHEMICAL", "1.00", "bc5cdr_chem", "0", "7"] in rows
    assert ["valproic", "acid", "CHEMICAL", "1.00", "bc5cdr_chem", "12", "25"] in rows
    assert ["asthma", "DISEASE", "1.00", "ncbi_disease", "35", "41"] in rows


def test_ner_json(multi_head_checkpoint: Path):
    first, *_, last = json.loads(run("ner", TEXT, "-m", multi_head_checkpoint, "--json"))
    score = first.pop("score")
    assert 0.99 < score <= 1
    expected = {"text": "Aspirin", "label": "CHEMICAL", "datasets": ["bc5cdr_chem"]}
    assert first == {**expected, "start": 0, "end": 7}
    assert last["text"] == "asthma"


@pytest.mark.parametrize("options", [("--domain", "disease"), ("--dataset", "ncbi_disease")])
def test_ner_of_one_domain_or_dataset(options: tuple[str, str], multi_head_checkpoint: Path):
    found = json.loads(run("ner", TEXT, "-m", multi_head_checkpoint, *options, "--json"))
    assert [entity["text"] for entity in found] == ["asthma"]


def test_ner_reads_a_file_byte_for_byte(multi_head_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_bytes("Ménière:\r\n\r\n\taspirin\n".encode())
    (entity,) = json.loads(run("ner", path, "-m", multi_head_checkpoint, "--json"))
    assert (entity["start"], entity["end"]) == (13, 20)


def test_ner_reads_standard_input(multi_head_checkpoint: Path):
    found = json.loads(run("ner", "-", "-m", multi_head_checkpoint, "--json", input=TEXT))
    assert len(found) == 3


def test_ner_writes_a_page(multi_head_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "page.html"
    assert "asthma" in run("ner", TEXT, "-m", multi_head_checkpoint, "--html", path)
    html = path.read_text(encoding="utf8")
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<mark") == 3


def test_ner_of_a_text_without_entities(multi_head_checkpoint: Path):
    assert "No entities found." in run("ner", "Nothing of note.", "-m", multi_head_checkpoint)
    assert json.loads(run("ner", "", "-m", multi_head_checkpoint, "--json")) == []


def test_ner_drops_entities_below_the_threshold(multi_head_checkpoint: Path):
    assert "No entities" in run("ner", TEXT, "-m", multi_head_checkpoint, "--threshold", "1.0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--domain genomix", "[OM050] Unknown domain 'genomix'. Did you mean 'genomics'?"),
        ("--dataset bc3", "[OM050] Unknown dataset 'bc3'"),
        ("--size huge", "[OM050] Unknown size 'huge'"),
        ("--size best", "[OM055]"),
        ("--size best -d disease -d anatomy", "[OM056]"),
        ("-d disease -D bc2gm", "[OM052]"),
        (
            "-d privacy --language de",
            "[OM061] The bundled model finds personal data in English only",
        ),
        ("-d disease --size best", "[OM100] Can't find the checkpoint"),
        ("--threshold high", "[OM001] threshold has to be a number"),
        ("--threshold 2", "[OM001]"),
        ("--language klingon", "klingon"),
        ("--model no/such/folder", "[OM112]"),
    ],
)
def test_ner_with_a_bad_option_is_an_error(options: str, message: str):
    assert message in fail("ner", TEXT, *options.split())


def test_ner_without_the_file_is_an_error(tmp_path: Path):
    assert "[OM708] There is no text file" in fail("ner", tmp_path / "missing.txt")
    assert "[OM709]" in fail("ner", tmp_path)


def test_ner_of_what_is_no_text_is_an_error(tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_bytes(b"\xff\xfe\x00")
    assert "[OM707]" in fail("ner", path)
    assert "[OM707] '-'" in fail("ner", "-", input=b"\xe9")


def test_ner_says_what_of_the_domain_is_not_bundled():
    choice = catalogue.choose(domain="genomics")
    output = run("ner", "Nothing.", "--domain", "genomics")
    assert choice.note in " ".join(output.split())


def test_spacy_runs_the_command_on_a_file(tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_text("Metformin for type 2 diabetes mellitus.", encoding="utf8")
    command = [sys.executable, "-m", "spacy", "openmed", "ner", str(path), "--json"]
    output = subprocess.run(command, capture_output=True, check=True, encoding="utf8").stdout
    assert {e["label"] for e in json.loads(output)} >= {"CHEMICAL", "DISEASE"}


# Mistakes


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("models -d genomix", "[OM050] Unknown domain 'genomix'. Did you mean 'genomics'?"),
        ("ner TEXT --language frr", "[OM300] spaCy has no language 'frr'. Did you mean 'fr'"),
        ("convert IN out.spacy --format jsnol", "[OM252]"),
        ("convert IN out.spacy --format bratt", "Did you mean 'brat'?"),
        ("process IN OUT -d diseas", "[OM050] Unknown domain 'diseas'. Did you mean 'disease'?"),
        ("process IN OUT -d disease --precision bfloat16", "Did you mean 'bf16'?"),
        ("process IN OUT -s mni", "[OM050] Unknown size 'mni'. Did you mean 'mini'?"),
        ("process IN OUT -D bc5cdr", "[OM050] Unknown dataset 'bc5cdr'. Did you mean 'bc5cdr_"),
        (
            "process PIPLINE IN OUT",
            "[OM600] There is no pipeline 'PIPLINE'. Did you mean 'PIPELINE'",
        ),
        ("serve -d diseas", "Did you mean 'disease'?"),
        ("serve PIPLINE", "Did you mean 'PIPELINE'?"),
        (
            "serve -d disease --token-file tokn",
            "[OM600] There is no file 'tokn'. Did you mean 'token'",
        ),
        ("graph IN OUT --to htm", "[OM676] 'htm' is not a graph format. Did you mean 'html'?"),
        ("graph IN OUT --scope sentense", "[OM675] There is no scope 'sentense'. Did you mean 'se"),
        (
            "hcc notes.jsnol",
            "[OM600] There is no file or folder 'notes.jsnol'. Did you mean 'notes.js",
        ),
        ("hcc notes.jsonl -P PIPLINE", "Did you mean 'PIPELINE'?"),
        ("hcc notes.jsonl --size compct", "Did you mean 'compact'?"),
        (
            "ner note.jsonl",
            "[OM708] There is no text file 'note.jsonl'. Did you",
        ),
    ],
)
def test_what_is_misspelt_and_what_was_meant(command: str, message: str, folder_of_mistakes: Path):
    assert message in fail(*command.split())


@pytest.fixture
def folder_of_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multi_head_checkpoint: Path
) -> Path:
    """A folder to run commands in."""
    monkeypatch.chdir(tmp_path)
    for name in ("PIPELINE", "IN"):
        (tmp_path / name).mkdir()
    for name in ("token", "notes.jsonl", "IN/note.txt", "file"):
        (tmp_path / name).write_text("", encoding="utf8")
    (tmp_path / "CHECKPOINT").symlink_to(multi_head_checkpoint)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ner TEXT --html none/page.html", "[OM600] There is no folder"),
        ("ner TEXT --html file/page.html", "[OM710]"),
        ("hcc notes.jsonl --output none/report.jsonl", "[OM600] There is no folder"),
        ("hcc notes.jsonl --output IN", "[OM710] 'IN' is a folder. Expected a file."),
        ("convert none out.spacy", "[OM600] There is no file or folder 'none'."),
        ("convert IN file/out.spacy", "[OM710]"),
        ("download OpenMed/X file/folder", "[OM710]"),
        ("process file IN OUT", "[OM710] 'file' is a file. Expected a pipeline's folder."),
        ("process IN IN OUT", "[OM713] 'IN' is not a pipeline: it has no config.cfg."),
        ("process CHECKPOINT IN OUT", "It holds a checkpoint: set model.name to it"),
    ],
)
def test_paths_are_checked_before_any_work(command: str, message: str, folder_of_mistakes: Path):
    assert message in fail(*command.split())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is full")
def test_a_full_disk_is_named(multi_head_checkpoint: Path):
    output = fail("ner", TEXT, "-m", multi_head_checkpoint, "--html", "/dev/full")
    assert "[OM711] Can't read or write a file: no space left" in output


def test_a_pipeline_with_a_wrong_setting_prints_the_setting(
    tmp_path: Path, keyword_checkpoint: Path
):
    nlp = make_nlp(keyword_checkpoint)
    nlp.to_disk(tmp_path)
    path = tmp_path / "config.cfg"
    config = path.read_text(encoding="utf8")
    path.write_text(config.replace('precision = "fp32"', 'precision = "float16"'), encoding="utf8")
    (tmp_path / "note.jsonl").write_text('{"text": "x"}', encoding="utf8")
    output = fail("hcc", tmp_path / "note.jsonl", "-P", tmp_path)
    assert (
        "[OM004] model.precision = 'float16' is not a valid setting. Did you mean 'fp16'?" in output
    )
    assert len(output) < 400


def test_a_pipeline_with_an_unknown_setting_prints_no_config(
    tmp_path: Path, keyword_checkpoint: Path
):
    make_nlp(keyword_checkpoint).to_disk(tmp_path)
    path = tmp_path / "config.cfg"
    config = path.read_text(encoding="utf8")
    path.write_text(config.replace("threshold =", "threshhold ="), encoding="utf8")
    (tmp_path / "note.jsonl").write_text('{"text": "x"}', encoding="utf8")
    output = fail("hcc", tmp_path / "note.jsonl", "-P", tmp_path)
    assert "[OM010] Invalid settings: " in output
    assert "threshhold: there is no such setting. Did you mean 'threshold'?" in output
    assert len(output) < 400


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("serve -d disease", "fastapi", "serve"),
        ("app", "gradio", "app"),
        ("graph docs graph", "pyarrow", "graph"),
        ("hcc notes.txt", "negspacy", "hcc"),
    ],
)
def test_commands_name_their_own_extra(
    run_python: Callable[..., str], tmp_path: Path, command: str, package: str, extra: str
):
    (tmp_path / "notes.txt").write_text("Asthma.", encoding="utf8")
    code = (
        "import os, sys\n"
        f"os.chdir({str(tmp_path)!r})\n"
        f"sys.modules[{package!r}] = None\n"
        "from typer.testing import CliRunner\n"
        "from spacy_openmed.cli import openmed_cli\n"
        f"print(CliRunner().invoke(openmed_cli, {command.split()}).output)"
    )
    printed = " ".join(run_python(code).split())
    assert f"the package '{package}'" in printed
    assert f'"spacy-openmed[{extra}]"' in printed


def run_guarded(error: BaseException) -> Result:
    app = typer.Typer()

    def command() -> None:
        raise error

    app.command()(guard(command))
    return CliRunner().invoke(app, [])


def test_interrupted():
    result = run_guarded(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.output == ""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("[OM701] Name a pipeline."), "[OM701] Name a pipeline."),
        (ValueError("[E088] Text of length 9."), "[E088] Text of length 9."),
        (ImportError("Install s3fs."), "Install s3fs."),
        (PermissionError(13, "Permission denied", "a.txt"), "'a.txt': permission denied."),
    ],
)
def test_mistakes_have_no_traceback(error: Exception, message: str):
    result = run_guarded(error)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert "File " not in result.output


@pytest.mark.parametrize("error", [KeyError("Amy Lund"), ValueError("no place for Amy Lund")])
def test_bugs_have_a_traceback_without_the_text(error: Exception):
    result = run_guarded(error)
    assert result.exit_code == 1
    assert f"[OM712] {type(error).__name__}" in result.output
    assert "test_cli.py" in result.output
    assert "Amy Lund" not in result.output


# Texts


def test_byte_order_marks_are_no_part_of_a_text(multi_head_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_text("aspirin", encoding="utf-8-sig")
    for given in ((path,), ("-",)):
        output = run("ner", *given, "-m", multi_head_checkpoint, "-j", input=path.read_bytes())
        assert [e["start"] for e in json.loads(output)] == [0]


def test_ner_takes_texts_of_any_length(multi_head_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_text("aspirin" + "\n" * 1_000_001, encoding="utf8")
    (entity,) = json.loads(run("ner", path, "-m", multi_head_checkpoint, "-j"))
    assert entity["text"] == "aspirin"


def test_the_limit_of_length_stays_for_parsers():
    nlp = blank_pipeline()
    assert nlp.max_length == sys.maxsize
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    assert lift_limit(nlp).max_length == 1_000_000
