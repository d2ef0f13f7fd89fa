"""`python -m spacy openmed serve`: entities over HTTP, and the texts nowhere else."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from spacy.language import Language
from spacy.tokens import Doc
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
uvicorn = pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from checkpoints import ODD_TEXTS
from conftest import make_nlp
from fastapi import FastAPI

from spacy_openmed.apply.fingerprint import fingerprint
from spacy_openmed.apply.texts import read_entities
from spacy_openmed.cli import openmed_cli
from spacy_openmed.serve.application import create_app
from spacy_openmed.serve.guard import Limits

SECRET = "Xanthippe"  # stands in texts, and nowhere else
TOKEN = "0123456789abcdef"
TEXTS = [
    "Metformin for type 2 diabetes.",
    "No asthma, no ulcers.",
    "",
    "Übelkeit 🤢 after renal failure",
    *[text for _, text in ODD_TEXTS if len(text) < 2000],
]


@contextmanager
def serving(nlp: Language, *, token: str | None = None, **limits: Any) -> Iterator[httpx.Client]:
    """A client of a server that runs in a thread."""
    app = create_app(nlp, token=token, limits=Limits(**limits))
    app.add_api_route("/broken", break_down)
    with running(app) as client:
        yield client


@contextmanager
def running(app: Any) -> Iterator[httpx.Client]:
    """A client of a server of an application."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def break_down() -> None:
    raise RuntimeError(SECRET)


@pytest.fixture(scope="module")
def nlp() -> Language:
    """The bundled model."""
    return make_nlp(None, domain="disease", annotate_spans_key="openmed")


@pytest.fixture(scope="module")
def client(nlp: Language) -> Iterator[httpx.Client]:
    """A client of a server of the bundled model, with narrow limits."""
    with serving(nlp, max_texts=50, max_chars=2000, max_body=100_000) as client:
        yield client


class Gate:
    """A component that lets documents through when it is open, and keeps their texts."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.texts: list[str] = []

    def __call__(self, doc: Doc) -> Doc:
        self.texts.append(doc.text)
        assert self.open.wait(30)
        return doc


@pytest.fixture
def gate() -> Gate:
    """What a pipeline of `gated` goes through."""
    return Gate()


@pytest.fixture
def gated(gate: Gate, keyword_checkpoint: Path) -> Language:
    """A pipeline that finds the `KEYWORDS`, with a gate."""
    nlp = make_nlp(keyword_checkpoint)
    Language.component("test_gate", func=gate)
    nlp.add_pipe("test_gate", first=True)
    return nlp


@contextmanager
def sending(client: httpx.Client, *requests: list[str]) -> Iterator[list[Any]]:
    """Requests that are on their way, one after the other."""
    with ThreadPoolExecutor(len(requests)) as pool:
        futures = []
        for texts in requests:
            futures.append(pool.submit(post, client, texts))
            time.sleep(0.1)
        yield futures


def post(client: httpx.Client, texts: list, **options: Any) -> httpx.Response:
    return client.post("/entities", json={"texts": texts}, **options)


def names(response: httpx.Response) -> list[list[str] | None]:
    """The texts of the entities of each row."""
    assert response.status_code == 200, response.text
    return [
        None if row["entities"] is None else [entity["text"] for entity in row["entities"]]
        for row in response.json()["results"]
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_metric(client: httpx.Client, line: str) -> float:
    """A count by its name and labels; 0 if nothing was counted."""
    match = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(match[1]) if match else 0.0


# Answers


def test_entities_are_those_of_the_pipeline(client: httpx.Client, nlp: Language):
    rows = post(client, TEXTS).json()["results"]
    docs = make_nlp(None, domain="disease").pipe(TEXTS)
    assert [row["id"] for row in rows] == list(range(len(TEXTS)))
    assert rows[0]["entities"][0]["text"] == "type 2 diabetes"
    for row, doc in zip(rows, docs, strict=True):
        expected = read_entities(doc, ["openmed"])
        for entity in expected:
            entity["score"] = pytest.approx(entity["score"], abs=1e-3)
        assert row["entities"] == expected
        assert row["error"] is None


def test_ids_come_back(client: httpx.Client):
    texts = [{"id": "b", "text": "asthma"}, "asthma", {"text": "asthma"}, {"id": "b", "text": ""}]
    assert [row["id"] for row in post(client, texts).json()["results"]] == ["b", 1, 2, "b"]


def test_no_texts(client: httpx.Client):
    assert post(client, []).json() == {"results": []}


def test_every_client_gets_its_own_answer(client: httpx.Client):
    diseases = ["asthma", "anemia", "diabetes", "sepsis", "pneumonia", "hypertension"] * 10

    def ask(disease: str) -> list[list[str] | None]:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            return names(post(own, [f"The patient has {disease}.", "Well."]))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, diseases)) == [[[disease], []] for disease in diseases]


def test_texts_of_several_clients_are_one_batch(gated: Language, gate: Gate):
    with serving(gated) as client:
        before = read_metric(client, "openmed_batch_texts_count")
        gate.open.clear()
        with sending(client, ["asthma"], ["aspirin"], ["no", "asthma"]) as futures:
            gate.open.set()
        found = [[["asthma"]], [["aspirin"]], [[], ["asthma"]]]
        assert [names(future.result()) for future in futures] == found
        assert read_metric(client, "openmed_batch_texts_count") - before == 2


def test_a_text_that_fails_harms_no_other(impossible_checkpoint: Path):
    with serving(make_nlp(impossible_checkpoint)) as client:
        response = post(client, ["asthma", f"impossible {SECRET}", "aspirin"])
        assert names(response) == [["asthma"], None, ["aspirin"]]
        assert response.json()["results"][1]["error"].startswith("[OM")
        assert SECRET not in response.text
        assert read_metric(client, "openmed_text_errors_total") == 1


def test_text_that_is_no_unicode(client: httpx.Client):
    body = rb'{"texts": ["No asthma.", "asthma \ud83e"]}'
    answer = client.post("/entities", content=body, headers={"Content-Type": "application/json"})
    assert names(answer) == [["asthma"], None]


def test_a_text_that_is_too_long_harms_no_other(client: httpx.Client):
    before = read_metric(client, "openmed_text_errors_total")
    answer = post(client, ["No asthma.", {"id": "b", "text": SECRET * 300}, "No ulcers."])
    assert names(answer) == [["asthma"], None, ["ulcers"]]
    row = answer.json()["results"][1]
    assert row["id"] == "b"
    assert row["error"].startswith("[OM753]")
    assert SECRET not in answer.text
    assert read_metric(client, "openmed_text_errors_total") == before + 1


class Careless:
    """A component that leaves nothing to the error handler."""

    def __call__(self, doc: Doc) -> Doc:
        if SECRET in doc.text:
            raise ValueError(doc.text)
        return doc

    def pipe(self, docs: Iterator[Doc], **_: Any) -> Iterator[Doc]:
        return map(self, docs)


def test_a_component_that_gives_up_its_batch_harms_no_other(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    Language.component("test_careless", func=Careless())
    nlp.add_pipe("test_careless")
    with serving(nlp) as client:
        response = post(client, ["asthma", SECRET, "aspirin"])
    assert names(response) == [["asthma"], None, ["aspirin"]]
    assert response.json()["results"][1]["error"] == "[OM007] The pipeline failed: ValueError."


def test_models(client: httpx.Client, nlp: Language):
    answer = client.get("/models").json()
    assert answer["labels"] == ["DISEASE"]
    assert answer["domains"] == ["disease"]
    assert answer["datasets"] == ["bc5cdr_disease", "ncbi_disease"]
    assert answer["fingerprint"] == fingerprint(nlp)
    assert answer["components"][0]["checkpoint"] == "mini"


def test_models_tells_no_paths(keyword_checkpoint: Path):
    with serving(make_nlp(keyword_checkpoint)) as client:
        answer = client.get("/models")
    assert answer.json()["components"][0]["checkpoint"] == keyword_checkpoint.name
    assert str(keyword_checkpoint.parent) not in answer.text


def test_metrics(keyword_checkpoint: Path):
    with serving(make_nlp(keyword_checkpoint)) as client:
        post(client, ["asthma", "no asthma"])
        client.get(f"/{SECRET}")
        assert read_metric(client, 'openmed_requests_total{path="/entities",status="200"}') == 1
        assert read_metric(client, 'openmed_requests_total{path="other",status="404"}') == 1
        assert read_metric(client, 'openmed_entities_total{label="DISEASE"}') == 2
        assert read_metric(client, "process_resident_memory_bytes") > 0
        assert SECRET not in client.get("/metrics").text


def test_openapi_without_a_page_that_loads_from_elsewhere(client: httpx.Client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {*paths} == {"/entities", "/health", "/models", "/metrics", "/broken"}
    assert {client.get(path).status_code for path in ("/docs", "/redoc")} == {404}


# What it does not take

MALFORMED = {
    "no json": SECRET.encode(),
    "cut off": f'{{"texts": ["{SECRET}'.encode(),
    "no list": json.dumps({"texts": SECRET}).encode(),
    "null": b'{"texts": null}',
    "other key": json.dumps({"texts": [], SECRET: SECRET}).encode(),
    "other key of a text": json.dumps({"texts": [{"text": SECRET, SECRET: 1}]}).encode(),
    "no text": json.dumps({"texts": [{"id": SECRET}]}).encode(),
    "number": json.dumps({"texts": [SECRET, 3]}).encode(),
    "list in the list": json.dumps({"texts": [[SECRET]]}).encode(),
    "id that can't be sent back": b'{"texts": [{"text": "'
    + SECRET.encode()
    + rb'", "id": "\ud83e"}]}',
    "no UTF-8": b'{"texts": ["' + SECRET.encode() + b'\xff"]}',
    "too deep": b'{"texts": ' + b"[" * 20_000 + SECRET.encode(),
    "number without end": b'{"texts": [' + b"1" * 20_000 + b"]}",
    "nothing": b"",
    "many keys": json.dumps({f"{SECRET}{i}": 1 for i in range(1000)}).encode(),
    "many keys of a text": json.dumps(
        {"texts": [{f"{SECRET}{i}": 1 for i in range(1000)}]}
    ).encode(),
    "many numbers": json.dumps({"texts": [1] * 10_000}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_bodies(client: httpx.Client, body: bytes):
    answer = client.post("/entities", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("[OM750]")
    assert len(answer.json()["errors"]) < 5
    assert SECRET not in answer.text
    assert "ud83e" not in answer.text


def test_too_many_keys(client: httpx.Client):
    answer = client.post("/entities", json={"texts": [], SECRET: 1})
    [error] = answer.json()["errors"]
    assert error["msg"].startswith("[OM761]")


def test_form_of_another_kind(client: httpx.Client):
    """What any page in a browser may send to this machine without being asked."""
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = client.post("/entities", content=b'{"texts": []}', headers=headers)
        assert answer.status_code == 422
        assert "[OM762]" in answer.json()["detail"]
        assert "`Content-Type: application/json`" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("texts", "code"),
    [(["a"] * 51, "OM752"), (["a" * 100_000], "OM751")],
)
def test_requests_that_are_too_large(client: httpx.Client, texts: list[str], code: str):
    answer = post(client, texts)
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith(f"[{code}]")
    assert SECRET not in answer.text


def test_body_without_an_end(client: httpx.Client):
    def parts() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000

    answer = client.post("/entities", content=parts())
    assert answer.status_code == 413
    assert "OM751" in answer.text


def test_token(keyword_checkpoint: Path):
    with serving(make_nlp(keyword_checkpoint), token=TOKEN) as client:
        for path in ("/models", "/metrics", "/nowhere"):
            assert client.get(path).status_code == 401
        assert client.get("/health").status_code == 200
        for header in (None, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer \xfc"):
            headers = {} if header is None else {"Authorization": header.encode("latin-1")}
            answer = post(client, ["asthma"], headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json()["detail"].startswith("[OM754]")
        for kind in ("Bearer", "bearer"):
            answer = post(client, ["asthma"], headers={"Authorization": f"{kind} {TOKEN}"})
            assert names(answer) == [["asthma"]]
        assert client.get("/openapi.json").json()["components"]["securitySchemes"]


def test_timeout(gated: Language, gate: Gate):
    with serving(gated, timeout=0.5) as client:
        gate.open.clear()
        with sending(client, ["asthma"], [SECRET]) as futures:
            for future in futures:
                answer = future.result()
                assert answer.status_code == 504
                assert answer.json()["detail"].startswith("[OM756]")
        gate.open.set()
        assert names(post(client, ["asthma"])) == [["asthma"]]
    assert SECRET not in gate.texts


def test_body_that_does_not_come(keyword_checkpoint: Path):
    with (
        serving(make_nlp(keyword_checkpoint), timeout=0.3) as client,
        socket.create_connection(("127.0.0.1", client.base_url.port)) as raw,
    ):
        raw.sendall(b"POST /entities HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert raw.recv(1000).startswith(b"HTTP/1.1 504")


def test_full_queue(gated: Language, gate: Gate):
    with serving(gated, max_queue=1) as client:
        gate.open.clear()
        with sending(client, ["asthma"], ["aspirin"]) as futures:
            answer = post(client, ["asthma"])
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["detail"].startswith("[OM755]")
            gate.open.set()
        assert [names(future.result()) for future in futures] == [[["asthma"]], [["aspirin"]]]


def test_bodies_that_are_too_much_together(gated: Language, gate: Gate):
    filler = " " * 900
    with serving(gated, max_body=1000, max_queue=100) as client:
        gate.open.clear()
        with sending(client, *[["asthma", filler]] * 10) as futures:
            answer = post(client, ["asthma", filler])
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("[OM755]")
            gate.open.set()
        assert all(names(future.result()) == [["asthma"], []] for future in futures)
        assert names(post(client, ["asthma", filler])) == [["asthma"], []]


def test_client_that_hangs_up(gated: Language, gate: Gate):
    body = json.dumps({"texts": [SECRET]}).encode()
    head = "POST /entities HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with serving(gated, max_queue=1) as client:
        gate.open.clear()
        with sending(client, ["asthma"]) as futures:
            with socket.create_connection(("127.0.0.1", client.base_url.port)) as raw:
                raw.sendall(head.encode() + body)
                wait_for(lambda: read_metric(client, "openmed_waiting_texts") == 1)
            gone = 'openmed_requests_total{path="/entities",status="499"}'
            wait_for(lambda: read_metric(client, gone) == 1)
            with sending(client, ["aspirin"]) as [next_one]:  # there is room for it
                gate.open.set()
        assert names(futures[0].result()) == [["asthma"]]
        assert names(next_one.result()) == [["aspirin"]]
    assert SECRET not in gate.texts


def test_failure_of_the_server_itself(client: httpx.Client, caplog: pytest.LogCaptureFixture):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "[OM757] The server failed: RuntimeError."}
    assert "OM757" in caplog.text
    assert SECRET not in caplog.text


# A pipeline that dies, a service that ends


class Deadly:
    """A component that asks its thread to end."""

    def __call__(self, doc: Doc) -> Doc:
        if SECRET in doc.text:
            raise SystemExit(doc.text)
        return doc


def test_after_the_worker_died_nothing_hangs(keyword_checkpoint: Path, caplog: Any):
    nlp = make_nlp(keyword_checkpoint)
    Language.component("test_deadly", func=Deadly())
    nlp.add_pipe("test_deadly")
    with serving(nlp) as client:
        assert client.get("/health").json() == {"status": "ok"}
        for texts in ([SECRET], ["asthma"]):
            answer = post(client, texts)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("[OM759]")
            assert SECRET not in answer.text + caplog.text
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "failed"})


class Broken:
    """A component that fails on every document."""

    def __call__(self, doc: Doc) -> Doc:
        raise RuntimeError(doc.text)


def test_pipeline_that_fails_always_is_not_served(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    Language.component("test_broken", func=Broken())
    nlp.add_pipe("test_broken")
    with pytest.raises(ValueError, match="OM760.*OM007.*RuntimeError"):
        create_app(nlp)


def test_texts_that_wait_at_the_end_of_the_lifespan(gated: Language, gate: Gate):
    """Servers other than uvicorn may end it before they have answered."""
    app = create_app(gated)

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            async with app.router.lifespan_context(app):
                gate.open.clear()
                tasks = []
                for text in ("asthma", SECRET):
                    body = {"texts": [text]}
                    tasks.append(asyncio.ensure_future(client.post("/entities", json=body)))
                    await asyncio.sleep(0.1)
                asyncio.get_running_loop().call_later(0.1, gate.open.set)
            return [*await asyncio.gather(*tasks), await client.get("/health")]

    first, second, health = asyncio.run(main())
    assert names(first) == [["asthma"]]
    assert second.status_code == health.status_code == 503
    assert second.json()["detail"].startswith("[OM758]")
    assert second.headers["Retry-After"] == "1"
    assert SECRET not in gate.texts


# As a part of another application


@pytest.fixture(scope="module")
def host(nlp: Language, keyword_checkpoint: Path) -> Iterator[httpx.Client]:
    """A client of an application with two services, one of which needs a token."""
    app = FastAPI()
    app.mount("/open", create_app(nlp, limits=Limits(max_chars=100)))
    app.mount("/a/secured", create_app(make_nlp(keyword_checkpoint), token=TOKEN))
    with running(app) as client:
        yield client


@pytest.mark.parametrize("mount", ["/open", "/a/secured"])
def test_open_paths_of_a_mounted_service(host: httpx.Client, mount: str):
    assert host.get(f"{mount}/health").json() == {"status": "ok"}
    answer = host.get(f"{mount}/openapi.json").json()
    assert {*answer["paths"]} == {"/entities", "/health", "/models", "/metrics"}
    assert answer["servers"] == [{"url": mount}]


def test_mounted_services_answer_for_themselves(host: httpx.Client):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {"texts": ["Aspirin for ulcers.", "a" * 101]}
    assert names(host.post("/open/entities", json=body)) == [["ulcers"], None]
    assert names(host.post("/a/secured/entities", json=body, headers=headers)) == [["Aspirin"], []]
    for mount, checkpoint in (("/open", "mini"), ("/a/secured", "keywords")):
        component = host.get(f"{mount}/models", headers=headers).json()["components"][0]
        assert component["checkpoint"].startswith(checkpoint)
        printed = host.get(f"{mount}/metrics", headers=headers).text
        assert 'openmed_requests_total{path="/entities",status="200"} 1.0' in printed


@pytest.mark.parametrize("path", ["/entities", "/models", "/metrics", "/docs", "/health/x", "/"])
def test_mounted_service_needs_its_token(host: httpx.Client, path: str):
    answer = host.get(f"/a/secured{path}")
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("[OM754]")


def test_host_may_run_the_lifespan(keyword_checkpoint: Path):
    service = create_app(make_nlp(keyword_checkpoint))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.router.lifespan_context(service):
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/ner", service)
    with running(app) as client:
        assert names(client.post("/ner/entities", json={"texts": ["asthma"]})) == [["asthma"]]
        assert client.get("/ner/health").status_code == 200


def test_every_event_loop_is_answered(keyword_checkpoint: Path):
    """A host's tests make one for each request."""
    app = create_app(make_nlp(keyword_checkpoint))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/entities", json={"texts": ["asthma"]})

    assert [names(asyncio.run(ask())) for _ in range(2)] == [[["asthma"]]] * 2


@pytest.mark.slow
def test_schemathesis_finds_no_server_error(client: httpx.Client, tmp_path: Path):
    pytest.importorskip("schemathesis")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run"]
    command += [f"{client.base_url}/openapi.json", "--exclude-path", "/broken"]
    command += ["--max-examples", "50", "--seed", "1", "--generation-database", "none"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf8")
    assert result.returncode == 0, result.stdout


# The command


@contextmanager
def started(*options: str, env: dict[str, str] | None = None) -> Iterator[tuple[Any, str]]:
    """The command as a process, and its address."""
    command = [sys.executable, "-m", "spacy", "openmed", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
        env={**os.environ, **(env or {})},
    )
    try:
        assert process.stdout is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        address = next((match[0] for match in found if match), None)
        assert address is not None
        yield process, address
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_command(tmp_path: Path):
    token = tmp_path / "token.txt"
    token.write_text(f"{TOKEN}\n", "utf8")
    with started("-d", "disease", "--token-file", str(token)) as (process, address):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            assert client.get("/health").json() == {"status": "ok"}
            assert names(post(client, [f"{SECRET} has asthma."])) == [["asthma"]]
            assert client.post("/entities", content=SECRET.encode()).status_code == 422
            client.get(f"/entities?{SECRET}")
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Application shutdown complete" in printed
    assert SECRET not in printed


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_command_answers_what_it_has_before_it_ends(end: signal.Signals):
    with (
        started("-d", "disease", "--max-batch", "1") as (process, address),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        with sending(client, ["No asthma. " * 500] * 8) as futures:
            assert not futures[0].done()
            process.send_signal(end)
        assert [row[:1] for row in names(futures[0].result()) if row] == [["asthma"]] * 8
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], "OM701"),
        (["some_pipeline", "-d", "disease"], "OM701"),
        (["no_such_pipeline"], "OM600"),
        (["-d", "astrology"], "OM05"),
        (["-d", "disease", "--token-file", "SHORT"], "OM703"),
        (["-d", "disease", "--token-file", "ODD"], "OM703"),
    ],
)
def test_errors(tmp_path: Path, args: list[str], code: str):
    places = {"SHORT": tmp_path / "short.txt", "ODD": tmp_path / "odd.txt"}
    places["SHORT"].write_text("abc", "utf8")
    places["ODD"].write_text("some words, with blanks", "utf8")
    command = ["serve", *(str(places.get(arg, arg)) for arg in args)]
    result = CliRunner().invoke(openmed_cli, command)
    assert result.exit_code == 1
    assert code in result.output


def test_open_service_warns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENMED_TOKEN", raising=False)
    monkeypatch.setattr("spacy_openmed.serve.application.run", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for host, warns in (("0.0.0.0", True), ("127.0.0.1", False)):
        result = CliRunner().invoke(openmed_cli, ["serve", "-d", "disease", "--host", host])
        assert result.exit_code == 0, result.output
        assert ("[OM913]" in result.output) == warns


def test_token_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENMED_TOKEN", "short")
    result = CliRunner().invoke(openmed_cli, ["serve", "-d", "disease"])
    assert result.exit_code == 1
    assert "OM703" in result.output


def test_extra_that_is_missing(run_python: Callable):
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = None\n"
        "from typer.testing import CliRunner\n"
        "from spacy_openmed.cli import openmed_cli\n"
        "print(CliRunner().invoke(openmed_cli, ['serve', '-d', 'disease']).output)"
    )
    printed = " ".join(run_python(code).split())
    assert "OM002" in printed
    assert "spacy-openmed[serve]" in printed


def test_commands_do_not_import_it(run_python: Callable):
    code = (
        "import sys, spacy_openmed.cli\n"
        "print([name for name in ('fastapi', 'uvicorn', 'pyarrow') if name in sys.modules])"
    )
    assert run_python(code) == "[]\n"


def test_clinical_context():
    nlp = make_nlp(None, domain="disease")
    nlp.add_pipe("openmed_context")
    with serving(nlp) as client:
        [row] = post(client, ["No asthma."]).json()["results"]
    [entity] = row["entities"]
    assert (entity["text"], entity["is_negated"], entity["context"]) == ("asthma", True, "ABSENT")
    assert "kb_id" not in entity
