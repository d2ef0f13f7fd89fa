"""`make demo`: what it installs, its summary, its page, and its failure if nothing is found."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from spacy.cli._util import app
from spacy.util import registry
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.txt"))
DOMAINS = ["pharmacology", "disease", "genomics"]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture(scope="module")
def main() -> Callable[..., None]:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "scripts" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def page(main: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that the demo writes. What it prints is in a file beside it."""
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *args, **kwargs: lines.append(" ".join(args)))
        main(ROOT / "examples", path)
    path.with_suffix(".out").write_text("\n".join(lines), encoding="utf8")
    return path


@pytest.fixture
def output(page: Path) -> str:
    return click.unstyle(page.with_suffix(".out").read_text(encoding="utf8"))


def test_there_are_examples_of_several_kinds():
    assert {"discharge_note", "oncology_note"} <= {path.stem for path in EXAMPLES}


def test_counts_entities_of_all_three_domains(output: str):
    counts = re.findall(r"(\w+): (\d+) entities", output)
    assert [domain for domain, _ in counts] == DOMAINS
    assert all(int(n) > 20 for _, n in counts)


def test_shows_the_surest_entities_of_every_text_by_domain(output: str):
    parts = re.split(r"=+ (.+) =+", output)
    tables = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(tables) == [*(path.stem for path in EXAMPLES), "all texts"]
    for path in EXAMPLES:
        text = " ".join(path.read_text(encoding="utf8").split()).casefold()
        rows = re.findall(r"^(\w+) +(\d+)  (.*?) *$", tables[path.stem], re.MULTILINE)
        assert [domain for domain, *_ in rows] == DOMAINS
        for _, n_entities, examples in rows:
            shown = re.findall(r"(\S.*?) ([01]\.\d\d)(?:, |$)", examples)
            assert bool(shown) == (n_entities != "0")
            assert all(entity.casefold() in text for entity, _ in shown)
            scores = [score for _, score in shown]
            assert scores == sorted(scores, reverse=True)


def test_summary_is_short_and_fits_a_terminal(output: str):
    lines = output.partition("Wrote")[0].splitlines()
    assert len(lines) < 12 * len(EXAMPLES)
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_commands_to_try_next_work(output: str):
    registry.cli.get_all()
    commands = re.findall(r"^  \S+ -m spacy (.+)$", output, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, result.output


def test_page_shows_every_text_in_colours(page: Path):
    html = page.read_text(encoding="utf8")
    assert html.count("<mark") > 60
    for path in EXAMPLES:
        assert path.stem in html
    colours = re.findall(r"background: (#\w+)", html)
    assert len(set(colours)) >= 4


@pytest.mark.filterwarnings("ignore:.W006")  # displaCy has nothing to show
def test_fails_if_a_domain_finds_nothing(
    main: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty.txt").write_text("", encoding="utf8")
    with pytest.raises(SystemExit) as exit:
        main(tmp_path, tmp_path / "demo.html")
    assert exit.value.code == 1
    assert "Nothing found for: pharmacology, disease, genomics" in capsys.readouterr().out


def pip_commands(target: str, torch_index: str) -> list[str]:
    """The calls of pip that a target makes in a clean clone."""
    command = ["make", "--dry-run", "--always-make", target, f"TORCH_INDEX={torch_index}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf8", check=True)
    return re.findall(r"^\S+/bin/pip install (.*)$", result.stdout, re.MULTILINE)


@needs_make
def test_make_demo_installs_the_core_only():
    (command,) = pip_commands("demo", torch_index="")
    assert command.endswith("--constraint constraints/dev.txt --editable .")
    assert "index-url" not in command


@needs_make
@pytest.mark.parametrize("target", ["demo", "test", "test-transformers-4.53"])
def test_torch_comes_from_the_index_that_is_asked_for(target: str):
    torch, package, *_ = pip_commands(target, torch_index="https://torch.example/cpu")
    assert torch.endswith("--index-url https://torch.example/cpu torch")
    assert "--no-deps --constraint constraints/" in torch
    assert "index-url" not in package
