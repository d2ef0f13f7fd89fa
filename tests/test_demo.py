"""`scripts/demo.py` over the example texts, and its failure where nothing is found."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.txt"))


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
    return page.with_suffix(".out").read_text(encoding="utf8")


def test_there_are_examples_of_several_kinds():
    assert {"discharge_note", "oncology_note"} <= {path.stem for path in EXAMPLES}


def test_counts_entities_of_all_three_domains(output: str):
    counts = re.findall(r"(\w+): (\d+) entities", output)
    assert [domain for domain, _ in counts] == ["pharmacology", "disease", "genomics"]
    assert all(int(n) > 20 for _, n in counts)


def test_prints_label_score_dataset_and_offsets(output: str):
    texts = [path.read_text(encoding="utf8") for path in EXAMPLES]
    rows = re.findall(
        r"^(\S.*?) {2,}([A-Z_]+) {2,}([01]\.\d\d) {2,}([a-z].*?) {2,}(\d+) {2,}(\d+) *$",
        output,
        re.MULTILINE,
    )
    assert {label for _, label, *_ in rows} >= {"CHEMICAL", "DISEASE", "GENE_OR_GENE_PRODUCT"}
    for entity, _, _, _, start, end in rows:
        mentions = [" ".join(text[int(start) : int(end)].split()) for text in texts]
        assert entity in mentions


def test_prints_every_text_under_its_name(output: str):
    for path in EXAMPLES:
        assert path.stem in output


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
