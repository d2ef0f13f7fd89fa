"""The manual's code runs, page by page; and what its pages are made of."""

import ast
import contextlib
import io
import json
import re
import shlex
import warnings
from pathlib import Path

import pytest
import spacy.cli
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent

import make_reference
import render_results
import site_pages
from list_blocks import Block, Page, describe, find_pages, read_page

import spacy_openmed.cli  # noqa: F401, adds the command to spaCy's

LINKED = ("configs", "examples")  # folders of the repository that pages use
OUT = re.compile(r"^\s*# Out:(?: (.*))?$")
SPACY = ("python", "-m", "spacy")
PAGES = [
    page
    for page in map(read_page, find_pages())
    if any(block.reason is None for block in page.blocks)
]


def run_page(page: Page, folder: Path) -> None:
    """Run a page's blocks in order, in a folder that is empty but for links."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    namespace: dict = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in page.blocks:
            if block.reason is None:
                run = run_python if block.language == "python" else run_console
                run(block, page.path, namespace)


def run_python(block: Block, path: Path, namespace: dict) -> None:
    """Run a block of Python. `# Out:` lines are what it prints, all of it and in order; of an
    expression before such a line, its value is printed."""
    lines = block.code.splitlines()
    expected = [match[1] or "" for line in lines if (match := OUT.match(line))]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for statement in ast.parse(block.code, str(path)).body:
            after = lines[statement.end_lineno] if statement.end_lineno < len(lines) else ""
            ast.increment_lineno(statement, block.line - 1)
            if isinstance(statement, ast.Expr) and OUT.match(after):
                value = eval(compile(ast.Expression(statement.value), path, "eval"), namespace)
                if value is not None:
                    print(repr(value))
            else:
                exec(compile(ast.Module([statement], []), path, "exec"), namespace)
    if expected:
        assert_matches(printed.getvalue(), "\n".join(expected), f"{path}, line {block.line}")


def run_console(block: Block, path: Path, namespace: dict) -> None:
    """Run the commands of a block; the lines below a command are what it prints."""
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", " ").partition("\n")
        words = shlex.split(command, comments=True)
        where = f"{path}, line {block.line}: {command}"
        assert tuple(words[:3]) == SPACY, f"{where}: only spaCy's commands can be run"
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as in a process of its own
            result = CliRunner().invoke(spacy.cli.app, words[3:])
        assert result.exit_code == 0, f"{where}\n{result.output}"
        if expected.strip():
            assert_matches(result.stdout, expected, where)


def assert_matches(printed: str, expected: str, where: str) -> None:
    """Assert that the output is the expected one, whose `...` stand for anything."""
    printed, expected = (
        "\n".join(line.rstrip() for line in text.strip().splitlines())
        for text in (printed, expected)
    )
    pattern = ".*".join(map(re.escape, expected.split("...")))
    assert re.fullmatch(pattern, printed, re.DOTALL), f"{where}\n{printed}\n!=\n{expected}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=str(page.path.relative_to(ROOT)),
            marks=[pytest.mark.slow] if page.is_slow else [],
        )
        for page in PAGES
    ],
)
def test_page_runs(page: Page, tmp_path: Path):
    for module in page.needs:
        pytest.importorskip(module)
    run_page(page, tmp_path)


# How pages are run


def write_page(folder: Path, text: str) -> Page:
    path = folder / "page.md"
    path.write_text(text, encoding="utf8")
    (folder / "empty").mkdir(exist_ok=True)
    return read_page(path)


def run_text(folder: Path, text: str) -> None:
    run_page(write_page(folder, text), folder / "empty")


def test_a_page_is_one_namespace(tmp_path: Path):
    run_text(tmp_path, "```python\nx = 1\n```\ntext\n```python\nassert x == 1\n```\n")


@pytest.mark.parametrize(
    "code",
    [
        "print('a')\n# Out: a\n",
        "1 + 1\n# Out: 2\nprint('b')\n# Out: b\n",
        "for i in range(2):\n    print(i)\n# Out: 0\n# Out: 1\n",
        "print('score 0.123')\n# Out: score 0...\n",
        "1 + 1\n",  # a value is printed where output is expected only
    ],
)
def test_output_is_as_expected(code: str, tmp_path: Path):
    run_text(tmp_path, f"```python\n{code}```\n")


@pytest.mark.parametrize(
    "code",
    [
        "print('a')\n# Out: b\n",
        "print('a')\nprint('b')\n# Out: a\n",
        "print('b')\nprint('a')\n# Out: a\n# Out: b\n",
        "x = 1\n# Out: 1\n",
    ],
)
def test_other_output_fails(code: str, tmp_path: Path):
    with pytest.raises(AssertionError, match=r"page\.md, line 2"):
        run_text(tmp_path, f"```python\n{code}```\n")


def test_an_error_names_the_line_of_the_page(tmp_path: Path):
    with pytest.raises(ZeroDivisionError) as error:
        run_text(tmp_path, "# Page\n\n```python\nx = 0\n1 / x\n```\n")
    assert error.traceback[-1].lineno + 1 == 5
    assert Path(error.traceback[-1].path).name == "page.md"


def test_commands_run_with_their_output(tmp_path: Path):
    console = "$ python -m spacy openmed info disease\ndomain...bc5cdr_disease...\n"
    run_text(tmp_path, f"```console\n{console}```\n")


@pytest.mark.parametrize(
    ("console", "message"),
    [
        ("$ python -m spacy openmed info disease\npharmacology\n", "!="),
        ("$ python -m spacy openmed info nonsense\n", "OM706"),
        ("$ ls\n", "only spaCy's commands"),
    ],
)
def test_commands_that_do_something_else_fail(console: str, message: str, tmp_path: Path):
    with pytest.raises(AssertionError, match=message):
        run_text(tmp_path, f"```console\n{console}```\n")


def test_blocks_in_lists_and_tabs_are_run(tmp_path: Path):
    page = write_page(tmp_path, "- one\n\n    ```python\n    if True:\n        x = 1\n    ```\n")
    assert page.blocks == (Block(4, "python", "if True:\n    x = 1\n", None),)


def test_blocks_that_are_not_run_say_why(tmp_path: Path):
    page = write_page(
        tmp_path,
        "<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n"
        "<!-- not run: waits for requests -->\n\n```console\n$ python -m spacy openmed serve\n```\n"
        "```bash\npip install .\n```\n",
    )
    assert [block.reason for block in page.blocks] == ["needs a GPU", None, "waits for requests"]
    run_page(page, tmp_path / "empty")
    listed = describe([page])
    assert "1 run, 2 not run" in listed
    assert "line 3, python: needs a GPU" in listed


def test_pages_say_what_they_need(tmp_path: Path):
    page = write_page(tmp_path, "<!-- slow -->\n<!-- needs: pyarrow, negspacy -->\n\n# Page\n")
    assert page.is_slow
    assert page.needs == ("pyarrow", "negspacy")


def test_a_block_without_an_end_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="line 1"):
        write_page(tmp_path, "```python\nx = 1\n")


# Pages that are made from the code


@pytest.mark.parametrize("name", ["commands.md", "engines.md", "errors.md"])
def test_generated_pages_are_up_to_date(name: str):
    path = make_reference.PAGES / name
    page = make_reference.make_pages()[path]
    assert path.read_text(encoding="utf8") == page, "run: python scripts/make_reference.py"


# Links


@pytest.mark.parametrize(
    "path",
    [*find_pages(), *(ROOT / name for name in site_pages.PAGES)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_lead_to_files_of_the_repository(path: Path):
    links = site_pages.LINK.findall(path.read_text(encoding="utf8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("page", "link", "moved"),
    [
        ("evidence/accuracy.md", "../../spacy_openmed/mini/README.md", "model-card.md"),
        ("guides/training.md", "../../CONTRIBUTING.md#train", "../contributing.md#train"),
        ("contributing.md", "docs/guides/training.md", "guides/training.md"),
        ("evidence/model-card.md", "../../docs/limits.md", "../limits.md"),
        ("limits.md", "reference/settings.md", "reference/settings.md"),
        ("limits.md", "https://spacy.io/api.md", "https://spacy.io/api.md"),
    ],
)
def test_links_of_the_site_lead_to_its_pages(page: str, link: str, moved: str):
    assert site_pages.move_links(f"See [it]({link}).", page) == f"See [it]({moved})."


def test_commands_show_their_parameters():
    def count(
        path: Path = typer.Argument(..., help="A file"),
        n: int = typer.Option(1, "--number", "-n", min=0, help="A | B"),
        names: list[str] | None = typer.Option(None, help="Some"),
        fast: bool = typer.Option(False, help="Be fast"),
    ) -> None:
        """
        Count.

        EXAMPLE: python -m spacy openmed count a.txt
        """

    section = make_reference.describe_command("count", count)
    assert "python -m spacy openmed count PATH [OPTIONS]" in section
    assert "Count.\n\nExample:\n\n```bash\npython -m spacy openmed count a.txt\n```" in section
    assert "| `PATH` | path | required | A file |" in section
    assert "| `--number`, `-n` | integer, 0 or more | `1` | A \\| B |" in section
    assert "| `--names` | text, repeatable |  | Some |" in section
    assert "| `--fast` | flag |  | Be fast |" in section


def test_errors_are_grouped_and_without_their_fields():
    source = (
        "class Errors:\n"
        "    # Files\n"
        "    OM101 = '[OM101] {a} | {b}.{nearest} Set {{x}}.'\n"
        "    OM100 = '[OM100] No.'\n"
        "    # Other\n"
        "    OM102 = '[OM102] model.{name}'\n"
    )
    page = make_reference.make_errors(source)
    files, other = page.split("## Files\n")[1].split("## Other\n")
    assert files.index("OM100") < files.index("OM101")
    assert "| A \\| B. Set {x}. |" in files
    assert "| model.NAME |" in other


# Tables of results

RESULT = {
    "command": "python benchmarks/accuracy.py",
    "commit": "0123456789",
    "date": "2026-01-31",
    "processor": "Made-up CPU, 2 cores",
    "tables": {
        "accuracy": {"columns": ["dataset", "F1, raw", "n"], "rows": [["cll", 81.25, 3]]},
        "more": {"columns": ["a"], "rows": [["b"]]},
    },
}
SOURCE = "*`python benchmarks/accuracy.py`, Made-up CPU, 2 cores, 2026-01-31, commit 0123456789.*"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "accuracy.json").write_text(json.dumps(RESULT), encoding="utf8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("accuracy", "| dataset | F1, raw | n |\n| --- | --- | --- |\n| cll | 81.25 | 3 |"),
        ("accuracy | n | F1, raw = F1", "| n | F1 |\n| --- | --- |\n| 3 | 81.25 |"),
        ("accuracy.more", "| a |\n| --- |\n| b |"),
    ],
)
def test_tables_are_put_into_pages(name: str, table: str, results: Path):
    page = f"# Page\n\n<!-- results: {name} -->\n\n| old |\n\n<!-- /results -->\n\nEnd.\n"
    filled = render_results.render(page, results)
    assert filled == (
        f"# Page\n\n<!-- results: {name} -->\n\n{table}\n\n{SOURCE}\n\n<!-- /results -->\n\nEnd.\n"
    )
    assert render_results.render(filled, results) == filled


def test_a_table_without_a_result_stays(results: Path):
    page = "<!-- results: speed -->\n| old |\n<!-- /results -->\n"
    assert render_results.render(page, results) == page


@pytest.mark.parametrize("name", ["accuracy.nonsense", "accuracy | nonsense"])
def test_what_a_result_lacks_is_an_error(name: str, results: Path):
    with pytest.raises(ValueError, match="nonsense"):
        render_results.render(f"<!-- results: {name} -->\n<!-- /results -->", results)


def test_figures_of_datasets_are_put_into_their_column():
    rows = "| d | cll | 1.0 | 2 |\n|  | **notes** | **1.0** |  |\n|  | other | see |  |\n"
    table = f"| domain | dataset | `mini` | x |\n| --- | --- | --- | --- |\n{rows}"
    filled = render_results.fill_figures(table, {"cll": "81.2", "notes": "85.5"})
    assert filled == table.replace("| 1.0 |", "| 81.2 |").replace("**1.0**", "**85.5**")


def test_pages_show_the_results():
    render_results.main(["--check"])
