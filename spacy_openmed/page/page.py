"""A page of the extra [app]: it shows what is found in a text, and the text without identifiers.

The texts are patients'. None of them is logged, stays in a file, or leaves the machine.
"""

import csv
import html
import io
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from spacy import displacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import filter_spans

from .. import catalogue
from ..apply.blank import blank_pipeline
from ..apply.pipelines import find_keys, load_pipeline, to_model, using
from ..apply.texts import process, read_entities
from ..deid.component import OpenMedPHI
from ..deid.pipes import add_phi_pipes
from ..encoding import decode
from ..errors import Errors, describe, missing_extra
from ..formatting import without_formula

try:
    import gradio as gr
    from fastapi import FastAPI
except ImportError as error:
    raise missing_extra("app", error) from error

# Gradio reports its use to its makers, and keeps what was entered in the browser's storage.
PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}
MAX_CHARS = 100_000  # a page with more is no pleasure to look at
MAX_BYTES = 10_000_000  # of an upload; Gradio's own limit
COLUMNS = ("text", "label", "score", "dataset", "start", "end")
ACTIONS = ("redact", "mask", "generalise", "shift", "surrogate")
FONT = "sans-serif"  # the browser's own: nothing to fetch

MARK = (
    '<mark class="entity" style="background: {bg}" title="{title}">{text}'
    "<b>{label}</b><small>{score}</small></mark>"
)
CSS = """
.entities {line-height: 2.1 !important; white-space: pre-wrap; overflow-wrap: anywhere}
.entities mark {padding: 0.3em 0.4em; border-radius: 0.35em; color: black;
    box-decoration-break: clone; -webkit-box-decoration-break: clone}
.entities mark b {font-size: 0.7em; margin-left: 0.6em}
.entities mark small {font-size: 0.7em; margin-left: 0.4em}
"""


def make_app(
    model: str | Path | None = None, *, domains: Sequence[str] = (), size: str = catalogue.MINI
) -> FastAPI:
    """Make the page, for any ASGI server.

    model (str | Path | None): Path or package name of a pipeline. None: the page lets one choose
        domains and size.
    domains (Sequence[str]): The domains that are chosen at first.
    size (str): The size that is chosen at first.
    RETURNS (FastAPI): The page.
    RAISES (OSError): If there is no such pipeline or checkpoint.
    RAISES (ValueError): If its settings are wrong.
    """
    pipeline = None if model is None else to_model(model)
    load_pipeline(pipeline or _to_settings(domains, size))  # or fail now
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
        # Of a mounted page, Gradio does not set it, and then takes any path for that of an upload.
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
    """Set environment variables for a while, and give the user's own back."""
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
    """Lay the page out.

    pipeline (str | None): The pipeline, if it is not chosen on the page.
    domains (Sequence[str]): The domains that are chosen at first.
    size (str): The size that is chosen at first.
    RETURNS (gr.Blocks): The page.
    """
    queue: dict[str, Any] = {"concurrency_id": "pipeline", "api_visibility": "private"}
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
                    # Some browsers send what is entered away to be checked.
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
                threshold = gr.Slider(0, 1, value=0.5, step=0.05, label="Lowest score")
            with gr.Column(scale=3):
                with gr.Tab("Entities"):
                    shown = gr.HTML(elem_id="entities")
                with gr.Tab("Table"):
                    table = gr.Dataframe(headers=list(COLUMNS), interactive=False, wrap=True)
                    download = gr.HTML()
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
        ) -> tuple[str, list[list[Any]], str]:
            with showing_errors():
                rows, marks = find(text, pipeline or _to_settings(domains, size), threshold)
                cells = [[*to_cells(row).values()] for row in rows]
                return marks, cells, to_link(rows)

        def on_deid(text: str, action: str, key: str) -> str:
            with showing_errors():
                return deidentify(text, pipeline, action, key)

        def on_upload(path: str) -> str:
            with showing_errors():
                return read_upload(Path(path))

        outputs = [shown, table, download]
        gr.on(
            [find_button.click, threshold.release],
            on_find,
            [text, chosen, sizes, threshold],
            outputs,
            **queue,
        )
        deid_button.click(on_deid, [text, action, key], safe, **queue)
        upload.upload(on_upload, upload, text, api_visibility="private")
        # What was found in another text must not stand beside this one. In the browser, at once:
        # an answer of the server could come after what is found in this text.
        text.change(None, None, [*outputs, safe], js="() => ['', null, '', '']")
    return page


@contextmanager
def showing_errors() -> Iterator[None]:
    """Show what goes wrong on the page, and print none of it: tracebacks may hold the text."""
    try:
        yield
    except Exception as error:
        message = html.escape(describe(error))
        raise gr.Error(message, duration=None, print_exception=False) from None


def find(text: str, model: str, threshold: float) -> tuple[list[dict[str, Any]], str]:
    """Find the entities of a text.

    text (str): The text.
    model (str): The pipeline, see `apply.pipelines.load_pipeline`.
    threshold (float): Lowest score of an entity. Those without a score are kept.
    RETURNS (tuple[list[dict[str, Any]], str]): The entities, see `apply.texts.read_entities`,
        and the text in HTML with those of them that do not overlap.
    RAISES (ValueError): If the text is too long, or the pipeline failed.
    """
    check_length(text)
    nlp = load_pipeline(model)
    with using(nlp):
        doc = _process(nlp, text)
        rows = [
            row
            for row in read_entities(doc, find_keys(nlp))
            if row["score"] is None or row["score"] >= threshold
        ]
        return rows, to_html(doc, rows)


def _to_settings(domains: Sequence[str], size: str) -> str:
    return to_model({"domain": list(domains) or None, "size": size})


def _process(nlp: Language, text: str) -> Doc:
    (result,) = process(nlp, [text])
    if isinstance(result, str):
        raise ValueError(result)
    return result


def to_html(doc: Doc, rows: Sequence[dict[str, Any]]) -> str:
    """Show entities in their text, in displaCy's colours.

    doc (Doc): The document.
    rows (Sequence[dict[str, Any]]): Its entities. Of those that overlap, the longest is shown,
        then the surest.
    RETURNS (str): HTML.
    """
    by_score = sorted(rows, key=lambda row: -_score(row))
    spans = [doc.char_span(row["start"], row["end"], label=row["label"]) for row in by_score]
    by_place = {(row["start"], row["end"], row["label"]): row for row in rows}
    ents = []
    for span in filter_spans(span for span in spans if span is not None):
        row = by_place[span.start_char, span.end_char, span.label_]
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        title = ", ".join(filter(None, [score and f"score {score}", row["dataset"]]))
        params = {"label": html.escape(row["label"]), "score": score, "title": html.escape(title)}
        ents.append({**{key: row[key] for key in ("start", "end", "label")}, "params": params})
    parsed = {"text": doc.text, "ents": ents}
    marks = displacy.render(
        parsed, style="ent", manual=True, jupyter=False, options={"template": MARK}
    )
    return marks if ents else f"<p>No entities found.</p>{marks}"


def _score(row: dict[str, Any]) -> float:
    return 1.0 if row["score"] is None else row["score"]


def to_cells(row: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): An entity by `COLUMNS`, with a score of four digits."""
    score = row["score"]
    return {name: row[name] for name in COLUMNS} | {"score": score and round(score, 4)}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): Entities as a table, comma-separated, with a header. An apostrophe stands
    before what a spreadsheet would take for a formula (OWASP, "CSV Injection")."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for row in rows:
        cells = to_cells(row)
        writer.writerow({name: without_formula(value) for name, value in cells.items()})
    return out.getvalue()


def to_link(rows: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): HTML to download the table by. It holds the table, so that it is in no file
    of the server's."""
    return (
        f'<a href="data:text/csv;charset=utf-8,{quote(to_csv(rows))}" download="entities.csv">'
        "Download as CSV</a>"
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
        raise ValueError(Errors.OM550) from None
    check_length(text)
    return text


def check_length(text: str) -> None:
    """RAISES (ValueError): If a text is too long for the page."""
    if len(text) > MAX_CHARS:
        raise ValueError(Errors.OM551.format(n_chars=f"{len(text):,}", limit=f"{MAX_CHARS:,}"))


def has_deid() -> bool:
    """RETURNS (bool): Whether the extra [deid] is installed."""
    try:
        from ..deid import anonymize as _  # noqa: F401
    except ImportError:
        return False
    return True


def deidentify(text: str, pipeline: str | None, action: str, key: str) -> str:
    """Take the identifiers out of a text.

    text (str): The text.
    pipeline (str | None): A pipeline. If it has no `openmed_phi`, another one finds identifiers.
    action (str): One of `ACTIONS`.
    key (str): The secret of surrogates and shifted dates. Empty: a new one.
    RETURNS (str): The new text.
    RAISES (ValueError): If the text is too long, the key too short, or the pipeline failed.
    """
    from ..deid.anonymize import deidentify

    check_length(text)
    nlp, spans_key = find_phi(pipeline)
    with using(nlp):
        doc = _process(nlp, text)
        return deidentify(
            doc,
            action,  # type: ignore[arg-type]
            key=key or secrets.token_hex(),
            spans_key=spans_key,
        ).text


def find_phi(pipeline: str | None) -> tuple[Language, str]:
    """Choose what finds identifiers.

    pipeline (str | None): A pipeline, which is taken if it has an `openmed_phi`.
    RETURNS (tuple[Language, str]): A pipeline that has, and the key of its span group.
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
