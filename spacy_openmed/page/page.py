"""The web page: shows the entities of a text, and the de-identified text. Needs the extra [app].

Texts may be about patients. They are not logged, not kept in files, and do not leave the machine.
"""

import csv
import io
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import lru_cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

from spacy.language import Language
from spacy.tokens import Doc

from .. import catalogue
from ..apply.blank import blank_pipeline
from ..apply.findings import find_findings, read_findings
from ..apply.pipelines import find_keys, load_pipeline, to_model, using
from ..apply.texts import process, read_entities
from ..deid.component import OpenMedPHI
from ..deid.pipes import add_phi_pipes, read_fields
from ..encoding import decode
from ..errors import Errors, describe, hiding_text, missing_extra
from ..formatting import without_formula
from .address import DOMAIN, SIZE, read_choices, remember, restore
from .address import THRESHOLD as SCORE
from .views import CONTEXT, CONTEXT_SCORE, CSS, to_codes, to_html, to_relations

try:
    import gradio as gr
    from fastapi import FastAPI
except ImportError as error:
    raise missing_extra("app", error) from error

# By default, Gradio sends usage data to its makers, and keeps input in the browser's storage.
PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}
MAX_CHARS = 100_000  # longer pages are hard to read
MAX_BYTES = 10_000_000  # of an upload; Gradio's own limit
COLUMNS = ("text", "label", "score", "dataset", "start", "end")
SCORES = ("score", CONTEXT_SCORE)
ACTIONS = ("redact", "mask", "generalise", "shift", "surrogate")
FONT = "sans-serif"  # the browser's own: nothing to fetch
THRESHOLD = 0.5  # at first
CLEARED = "['', null, '', '', '', '']"  # outputs without results


class Found(NamedTuple):
    """The results for a text, for the page.

    rows (list[dict[str, Any]]): The entities, see `apply.texts.read_entities`.
    columns (tuple[str, ...]): Their columns.
    marks (str): The text in HTML, with the entities highlighted that do not overlap.
    codes, relations (str): Tables in HTML; empty if the pipeline does not look for them.
    """

    rows: list[dict[str, Any]]
    columns: tuple[str, ...]
    marks: str
    codes: str
    relations: str


def make_app(
    model: str | Path | None = None, *, domains: Sequence[str] = (), size: str = catalogue.MINI
) -> FastAPI:
    """Make the page, for any ASGI server.

    model (str | Path | None): Path or package name of a pipeline. None: users choose domains and
        size on the page.
    domains (Sequence[str]): The domains selected initially.
    size (str): The size selected initially.
    RETURNS (FastAPI): The page.
    RAISES (OSError): If there is no such pipeline or checkpoint.
    RAISES (ValueError): If its settings are wrong.
    """
    pipeline = None if model is None else to_model(model)
    load_pipeline(pipeline or _to_settings(domains, size))  # fail fast
    # Gradio writes uploads to a file before it hands them over.
    folder = TemporaryDirectory(prefix="openmed-app-")
    running = ExitStack()  # Gradio reads the variable with each request
    running.enter_context(_environment(GRADIO_TEMP_DIR=folder.name))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            running.close()
            folder.cleanup()

    with _environment(**PRIVATE):
        page = make_page(pipeline, domains, size)
        # Gradio does not set it for a mounted page, and then accepts any path as an upload's.
        page.has_launched = True
        return gr.mount_gradio_app(
            FastAPI(lifespan=lifespan, openapi_url=None),
            page,
            path="/",
            footer_links=[],
            max_file_size=MAX_BYTES,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=gr.themes.Default(font=FONT, font_mono="monospace"),
            css=CSS,
        )


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables temporarily, then restore the user's own."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def make_page(pipeline: str | None, domains: Sequence[str], size: str) -> gr.Blocks:
    """Lay out the page.

    pipeline (str | None): The pipeline, if it is not chosen on the page.
    domains (Sequence[str]): The domains selected initially.
    size (str): The size selected initially.
    RETURNS (gr.Blocks): The page.
    """
    queue: dict[str, Any] = {"concurrency_id": "pipeline", "api_visibility": "private"}
    findings = read_findings(pipeline or _to_settings(domains, size))
    with gr.Blocks(title="OpenMed", analytics_enabled=False) as page:
        gr.Markdown(
            "# OpenMed\nNo text is kept, and none leaves the machine that this page comes from."
        )
        with gr.Row():
            with gr.Column(scale=2):
                text = gr.Textbox(
                    label="Text",
                    lines=14,
                    max_lines=14,
                    autoscroll=False,
                    # Some browsers send input to a server for spell checking.
                    html_attributes=gr.InputHTMLAttributes(spellcheck=False, autocomplete="off"),
                )
                with gr.Row():
                    upload = gr.UploadButton("Upload a text file")
                    find_button = gr.Button("Find entities", variant="primary")
                chosen = gr.CheckboxGroup(
                    list(catalogue.domains()),
                    value=list(domains),
                    label="Domains",
                    info="None: all that mini finds but personal data. Other sizes take one.",
                    visible=pipeline is None,
                )
                sizes = gr.Dropdown(
                    list(catalogue.SIZES), value=size, label="Size", visible=pipeline is None
                )
                threshold = gr.Slider(0, 1, value=THRESHOLD, step=0.05, label="Lowest score")
            with gr.Column(scale=3):
                with gr.Tab("Entities"):
                    shown = gr.HTML(elem_id="entities")
                with gr.Tab("Table"):
                    table = gr.Dataframe(headers=list(COLUMNS), interactive=False, wrap=True)
                    download = gr.HTML()
                with gr.Tab("Codes", visible="hcc" in findings.columns):
                    codes = gr.HTML(elem_id="codes")
                with gr.Tab("Relations", visible="relations" in findings.columns):
                    relations = gr.HTML(elem_id="relations")
                with gr.Tab("De-identified", visible=has_deid()):
                    with gr.Row():
                        action = gr.Dropdown(list(ACTIONS), value="redact", label="Identifiers")
                        key = gr.Textbox(
                            label="Key",
                            type="password",
                            info="Of surrogates and shifted dates. Empty: a new one",
                        )
                    deid_button = gr.Button("De-identify", variant="primary")
                    safe = gr.Textbox(
                        label="Text without identifiers. Some may be missed: read it",
                        lines=14,
                        buttons=["copy"],
                        elem_id="safe",
                    )

        def on_find(
            text: str, domains: list[str], size: str, threshold: float
        ) -> tuple[str, dict[str, Any], str, str, str]:
            with showing_errors():
                found = find(text, pipeline or _to_settings(domains, size), threshold)
                cells = [[*to_cells(row, found.columns).values()] for row in found.rows]
                return (
                    found.marks,
                    {"headers": list(found.columns), "data": cells},
                    to_link(found.rows, found.columns),
                    found.codes,
                    found.relations,
                )

        def on_deid(text: str, action: str, key: str) -> str:
            with showing_errors():
                return deidentify(text, pipeline, action, key)

        def on_upload(path: str) -> str:
            with showing_errors():
                return read_upload(Path(path))

        def on_load(request: gr.Request) -> list[Any]:
            return [*read_choices(str(request.query_params), domains, size, THRESHOLD)]

        choices: dict[str, Any] = {DOMAIN: chosen, SIZE: sizes, SCORE: threshold}
        # In two steps: choices made before a late response arrived must stay.
        given = gr.JSON(visible=False)
        page.load(on_load, None, given, queue=False, api_visibility="private").then(
            None,
            [given, *choices.values()],
            [*choices.values()],
            js=restore(domains, size, THRESHOLD),
        )
        remembered = {SCORE: threshold} if pipeline else choices
        gr.on(
            [choice.change for choice in remembered.values()],
            None,
            [*remembered.values()],
            None,
            js=remember([*remembered]),
        )
        outputs = [shown, table, download, codes, relations]
        gr.on(
            [find_button.click, threshold.release],
            on_find,
            [text, chosen, sizes, threshold],
            outputs,
            **queue,
        )
        deid_button.click(on_deid, [text, action, key], safe, **queue)
        upload.upload(on_upload, upload, text, api_visibility="private")
        # Results of another text must not stay beside this one. They are cleared in the browser,
        # because a response from the server could arrive after the results of this text.
        text.change(None, None, [*outputs, safe], js=f"() => {CLEARED}")
    return page


@contextmanager
def showing_errors() -> Iterator[None]:
    """Show errors on the page, and print none of them: tracebacks may contain the text."""
    try:
        yield
    except Exception as error:
        message = escape(describe(error))
        raise gr.Error(message, duration=None, print_exception=False) from None


def find(text: str, model: str, threshold: float) -> Found:
    """Find the entities of a text, and what else the pipeline looks for.

    text (str): The text.
    model (str): The pipeline, see `apply.pipelines.load_pipeline`.
    threshold (float): Minimum score of an entity. Those without a score are kept.
    RETURNS (Found): The results.
    RAISES (ValueError): If the text is too long, or the pipeline failed.
    """
    check_length(text)
    nlp = load_pipeline(model)
    findings = find_findings(nlp)
    context = [name for name in (CONTEXT, CONTEXT_SCORE) if name in findings.context]
    with using(nlp):
        doc = _process(nlp, text)
        rows = [
            row
            for row in read_entities(doc, find_keys(nlp), context)
            if row["score"] is None or row["score"] >= threshold
        ]
        return Found(
            rows,
            (*COLUMNS, *context),
            to_html(doc, rows),
            to_codes(doc) if "hcc" in findings.columns else "",
            to_relations(doc) if "relations" in findings.columns else "",
        )


def _to_settings(domains: Sequence[str], size: str) -> str:
    return to_model({"domain": list(domains) or None, "size": size})


def _process(nlp: Language, text: str) -> Doc:
    (result,) = process(nlp, [text])
    if isinstance(result, str):
        raise ValueError(result)
    return result


def to_cells(row: dict[str, Any], columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): An entity by columns, with scores of four digits."""
    cells = {name: row[name] for name in columns}
    scores = {name: value and round(value, 4) for name, value in cells.items() if name in SCORES}
    return cells | scores


def to_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """RETURNS (str): Entities as CSV with a header. Cells that a spreadsheet would take for a
    formula are prefixed with an apostrophe (OWASP, "CSV Injection")."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    for row in rows:
        cells = to_cells(row, columns)
        writer.writerow({name: without_formula(value) for name, value in cells.items()})
    return out.getvalue()


def to_link(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """RETURNS (str): An HTML download link that contains the table itself, so that the server needs
    no file for it."""
    return (
        f'<a href="data:text/csv;charset=utf-8,{quote(to_csv(rows, columns))}" '
        'download="entities.csv">Download as CSV</a>'
    )


def read_upload(path: Path) -> str:
    """Read an uploaded file, and delete it.

    path (Path): The file.
    RETURNS (str): Its text.
    RAISES (ValueError): If it is not encoded in UTF-8 or too long.
    """
    content = path.read_bytes()
    path.unlink()
    try:
        text = decode(content)
    except UnicodeDecodeError:
        raise ValueError(Errors.OM800) from None
    check_length(text)
    return text


def check_length(text: str) -> None:
    """RAISES (ValueError): If a text is too long for the page."""
    if len(text) > MAX_CHARS:
        raise ValueError(Errors.OM801.format(n_chars=f"{len(text):,}", limit=f"{MAX_CHARS:,}"))


def has_deid() -> bool:
    """RETURNS (bool): Whether the extra [deid] is installed."""
    try:
        from ..deid import anonymize as _  # noqa: F401
    except ImportError:
        return False
    return True


def deidentify(text: str, pipeline: str | None, action: str, key: str) -> str:
    """De-identify a text.

    text (str): The text.
    pipeline (str | None): A pipeline. If it has no `openmed_phi`, another one finds identifiers.
    action (str): One of `ACTIONS`.
    key (str): The secret for surrogates and date shifts. Empty: a new one.
    RETURNS (str): The new text.
    RAISES (ValueError): If the text is too long, the key too short, or the pipeline failed.
    """
    from ..deid.anonymize import deidentify

    check_length(text)
    nlp, spans_key = find_phi(pipeline)
    with using(nlp):
        doc = _process(nlp, text)
        with hiding_text():
            doc = read_fields(nlp, doc)
        return deidentify(
            doc,
            action,  # type: ignore[arg-type]
            key=key or secrets.token_hex(),
            spans_key=spans_key,
        ).text


def find_phi(pipeline: str | None) -> tuple[Language, str]:
    """Choose the pipeline that finds identifiers.

    pipeline (str | None): A pipeline, which is used if it has an `openmed_phi`.
    RETURNS (tuple[Language, str]): A pipeline with `openmed_phi`, and the key of its span group.
    """
    nlp = load_phi() if pipeline is None else load_pipeline(pipeline)
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, OpenMedPHI):
            return nlp, pipe.annotate_spans_key
    return find_phi(None)


@lru_cache(maxsize=1)
def load_phi() -> Language:
    """RETURNS (Language): A pipeline that finds identifiers with mini and rules."""
    return add_phi_pipes(blank_pipeline())
