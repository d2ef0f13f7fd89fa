"""Find entities over HTTP. No answer to an error, and no log, holds any of the texts."""

import asyncio
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from spacy.language import Language

from . import __version__, catalogue
from .batch import find_keys, process, read_entities, read_result, using
from .errors import Errors, missing_extra
from .microbatch import MicroBatcher, QueueFull, Stopped
from .pipeline import OpenMedNER
from .process import fingerprint

try:
    import prometheus_client as prometheus
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse
    from fastapi.security import HTTPBearer
    from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator
    from pydantic_core import PydanticCustomError
except ImportError as error:
    raise missing_extra("serve", error) from error

WARM_UP = "Aspirin can cause gastric ulcers."
GONE = 499  # the client hung up: nginx's number, for the counts alone
HELD = 10  # requests of `Limits.max_body` bytes that may be in memory at a time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a service takes, and how it gathers texts.

    max_texts (int): Most texts of a request.
    max_chars (int): Most characters of a text. A longer one gets an error instead of entities.
    max_body (int): Most bytes of a request's body.
    timeout (float): Seconds within which a request is read and answered.
    wait (float): Milliseconds that a text waits for others, to be answered together.
    max_batch (int): Most texts that are answered together.
    max_queue (int): No further request is taken while so many texts are waiting.
    """

    max_texts: int = 256
    max_chars: int = 100_000
    max_body: int = 10_000_000
    timeout: float = 30.0
    wait: float = 5.0
    max_batch: int = 64
    max_queue: int = 1024


def check_unicode(value: str) -> str:
    """RETURNS (str): The value, if it can be sent back.
    RAISES (PydanticCustomError): If it holds half of a surrogate pair."""
    try:
        value.encode("utf8")
    except UnicodeEncodeError:  # its message quotes the value
        raise PydanticCustomError("unicode", "Input should be valid Unicode") from None
    return value


class Strict(BaseModel):
    """A part of a request that takes no other keys than its own."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def check_keys(cls, value: Any) -> Any:
        """Refuse too many keys at once: an error for each of a million would fill the memory."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields):
            raise PydanticCustomError("extra_keys", Errors.OM653)
        return value


class Text(Strict):
    """A text, and what tells it from the others."""

    text: str
    id: Annotated[str, AfterValidator(check_unicode)] | None = Field(
        None, description="If there is none, the text's number"
    )


class Texts(Strict):
    """Texts to find entities in."""

    texts: Annotated[list[str | Text], FailFast()]


class Entity(BaseModel):
    """An entity. Score and dataset are null if it is not of `openmed_ner`."""

    start: int = Field(description="Characters, as Python counts them (code points)")
    end: int
    label: str
    score: float | None
    text: str
    dataset: str | None


class Row(BaseModel):
    """What was found in a text, or why nothing could be."""

    id: str | int
    entities: list[Entity] | None
    error: str | None


class Rows(BaseModel):
    """The same number of rows as of texts, in the same order."""

    results: list[Row]


class Component(BaseModel):
    """A component of the pipeline. Datasets, domains and checkpoint are `openmed_ner`'s."""

    name: str
    factory: str
    labels: list[str]
    datasets: list[str] = []
    domains: list[str] = []
    checkpoint: str | None = None


class Pipeline(BaseModel):
    """What answers."""

    name: str
    version: str
    lang: str
    components: list[Component]
    labels: list[str]
    datasets: list[str]
    domains: list[str]
    fingerprint: str = Field(description="A hash of all settings and weights")


class Health(BaseModel):
    """Whether texts are answered."""

    status: str


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(description="Begins with a code: [OM541]")


class Place(BaseModel):
    """Where in a request something is wrong."""

    loc: list[str | int]
    msg: str


class Malformed(Problem):
    """Why a request was not understood."""

    errors: list[Place]


class Metrics:
    """What is counted, for Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self.requests = prometheus.Counter(
            "openmed_requests", "Requests", ["path", "status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "openmed_request_seconds", "Time of a request", ["path"], registry=registry
        )
        self.entities = prometheus.Counter(
            "openmed_entities", "Entities found", ["label"], registry=registry
        )
        self.errors = prometheus.Counter(
            "openmed_text_errors", "Texts that could not be annotated", registry=registry
        )
        self.batches = prometheus.Histogram(
            "openmed_batch_texts",
            "Texts answered together",
            buckets=[2**i for i in range(11)],
            registry=registry,
        )
        self.batch_seconds = prometheus.Histogram(
            "openmed_batch_seconds", "Time of a batch", registry=registry
        )
        self.waiting = prometheus.Gauge(
            "openmed_waiting_texts", "Texts that are waiting", registry=registry
        )


Found = tuple[list[dict[str, Any]] | None, str | None]  # entities, or what is wrong


def create_app(nlp: Language, *, token: str | None = None, limits: Limits | None = None) -> FastAPI:
    """Make an application for any ASGI server.

    nlp (Language): The pipeline. It is the application's own: documents that fail are noted, and
        it runs in a thread.
    token (str | None): What clients have to send as a bearer token, but for /health and
        /openapi.json. None: nothing.
    limits (Limits | None): What it takes. None: the defaults.
    RETURNS (FastAPI): The application. It can be mounted into another one, which does not run its
        lifespan; the lifespan's end is only needed to answer 503 to requests that still wait.
    RAISES (ValueError): If the pipeline's checkpoints can't be used, or it fails on a sample text.
    """
    limits = limits or Limits()
    metrics = Metrics()
    pipeline = describe_pipeline(nlp)
    keys = find_keys(nlp)
    # Engines make themselves ready when first used.
    [(_, problem)] = _annotate(nlp, keys, [WARM_UP])
    if problem is not None:
        raise ValueError(Errors.OM652.format(error=problem))
    batcher = MicroBatcher(
        partial(annotate, nlp, keys, metrics),
        wait=limits.wait / 1000,
        max_batch=limits.max_batch,
        max_chars=limits.max_chars,
        max_queue=limits.max_queue,
    )
    metrics.waiting.set_function(batcher.__len__)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPI(
        title="spacy-openmed",
        version=__version__,
        summary="Entities of biomedical and clinical texts",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(Guard, token=token, limits=limits, metrics=metrics)
    app.add_exception_handler(RequestValidationError, refuse_malformed)
    app.add_exception_handler(400, refuse_malformed)  # what json can't make anything of
    # The token is looked at by the guard, before a body is read; this only documents it.
    secured = [Depends(HTTPBearer(auto_error=False))] if token else []
    refusals: dict[int | str, dict[str, Any]] = {401: {"model": Problem}} if token else {}
    failures: dict[int | str, dict[str, Any]] = {
        code: {"model": Problem} for code in (413, 500, 503, 504)
    }

    @app.post(
        "/entities",
        response_model=Rows,
        dependencies=secured,
        responses={**refusals, **failures, 422: {"model": Malformed}},
    )
    async def entities(query: Texts, request: Request) -> dict[str, Any]:
        """Find the entities of texts."""
        rows = [Text(text=row, id=None) if isinstance(row, str) else row for row in query.texts]
        if len(rows) > limits.max_texts:
            raise HTTPException(413, Errors.OM542.format(n=len(rows), limit=limits.max_texts))
        found = refuse_long([row.text for row in rows], limits.max_chars)
        metrics.errors.inc(len(found))
        todo = [i for i in range(len(rows)) if i not in found]
        answer = asyncio.ensure_future(batcher.answer([rows[i].text for i in todo]))
        gone = asyncio.ensure_future(wait_until_gone(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise HTTPException(GONE)
            found |= zip(todo, answer.result(), strict=True)
        except QueueFull:
            raise HTTPException(503, Errors.OM545, {"Retry-After": "1"}) from None
        except Stopped as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
        finally:
            answer.cancel()
            gone.cancel()
        results = [
            {"id": i if row.id is None else row.id, "entities": found[i][0], "error": found[i][1]}
            for i, row in enumerate(rows)
        ]
        return {"results": results}

    @app.get("/health", responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        """Tell whether texts are answered."""
        response.status_code = 200 if batcher.is_working else 503
        return Health(status="ok" if batcher.is_working else "failed")

    @app.get("/models", dependencies=secured, responses=refusals)
    async def models() -> Pipeline:
        """Tell what answers, and what it can find."""
        return pipeline

    @app.get("/metrics", dependencies=secured, responses=refusals, response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        """Tell the counts, for Prometheus."""
        return Response(
            prometheus.generate_latest(metrics.registry),
            media_type=prometheus.CONTENT_TYPE_LATEST,
        )

    return app


def run(app: FastAPI, host: str, port: int, grace: float) -> None:
    """Serve an application until the process is told to end.

    app (FastAPI): The application.
    host (str): Address to listen at.
    port (int): Port; 0: any that is free.
    grace (float): Seconds that requests have to end then.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,  # it has the query, where a client may have put a text
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace),
    )


def annotate(
    nlp: Language, keys: Sequence[str], metrics: Metrics, texts: Sequence[str]
) -> list[Found]:
    """Find the entities of texts.

    nlp (Language): The pipeline.
    keys (Sequence[str]): The span groups to read.
    metrics (Metrics): Where to count.
    texts (Sequence[str]): The texts.
    RETURNS (list[Found]): The entities of each, or what is wrong with it.
    """
    if not texts:
        return []
    with metrics.batch_seconds.time():
        found = _annotate(nlp, keys, texts)
    metrics.batches.observe(len(texts))
    metrics.errors.inc(sum(error is not None for _, error in found))
    labels = Counter(entity["label"] for entities, _ in found for entity in entities or ())
    for label, n in labels.items():
        metrics.entities.labels(label).inc(n)
    return found


def _annotate(nlp: Language, keys: Sequence[str], texts: Sequence[str]) -> list[Found]:
    with using(nlp):
        read = partial(read_entities, keys=keys)
        return [read_result(result, read) for result in process(nlp, texts)]


def refuse_long(texts: Sequence[str], max_chars: int) -> dict[int, Found]:
    """Refuse the texts of a request that are too long.

    texts (Sequence[str]): The texts.
    max_chars (int): Most characters of a text.
    RETURNS (dict[int, Found]): What is wrong with those that are, by their numbers.
    """
    return {
        i: (None, Errors.OM543.format(i=i, n=len(text), limit=max_chars))
        for i, text in enumerate(texts)
        if len(text) > max_chars
    }


async def wait_until_gone(request: Request) -> None:
    """Wait until a client, whose request was read, hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def refuse_malformed(request: Request, error: Exception) -> Response:
    """Say where a request is malformed. FastAPI's own answer repeats what was sent."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    places = [
        # The last part of the place is the client's own word where it is not to be there.
        {"loc": e["loc"][: -1 if e["type"] == "extra_forbidden" else None], "msg": e["msg"]}
        for e in (error.errors() if isinstance(error, RequestValidationError) else ())
    ]
    detail = Errors.OM540 if is_json else Errors.OM704
    return JSONResponse({"detail": detail, "errors": places}, 422)


def describe_pipeline(nlp: Language) -> Pipeline:
    """Describe a pipeline. Its checkpoints are loaded, if they were not.

    nlp (Language): The pipeline.
    RETURNS (Pipeline): What /models tells.
    """
    hash = fingerprint(nlp)  # first, as it loads what labels are read from
    components = [_describe_component(nlp, name) for name in nlp.pipe_names]
    return Pipeline(
        name=nlp.meta["name"],
        version=nlp.meta["version"],
        lang=nlp.lang or "",
        components=components,
        labels=list(catalogue.unique(label for c in components for label in c.labels)),
        datasets=list(catalogue.unique(dataset for c in components for dataset in c.datasets)),
        domains=list(catalogue.unique(domain for c in components for domain in c.domains)),
        fingerprint=hash,
    )


def _describe_component(nlp: Language, name: str) -> Component:
    pipe = nlp.get_pipe(name)
    component = Component(
        name=name,
        factory=nlp.get_pipe_meta(name).factory,
        labels=list(getattr(pipe, "labels", ())),
    )
    if isinstance(pipe, OpenMedNER):
        component.datasets = [head.dataset for head in pipe.heads]
        component.checkpoint = _name_checkpoint(pipe)
        component.domains = [
            name
            for name, domain in catalogue.domains().items()
            if {*domain.datasets} & {*component.datasets}
        ]
    return component


def _name_checkpoint(pipe: OpenMedNER) -> str:
    """A hub id, or the last part of a path: the others are the machine's own matter."""
    name = pipe.shim.name
    return Path(name).name if Path(name).is_absolute() or Path(name).is_dir() else name


Scope = MutableMapping[str, Any]


class Guard:
    """Stands before an application: looks at the token before anything is read, at the size of
    bodies and at the time, counts requests, and lets no error out that could hold a text.

    app (ASGI application): The application.
    token (str | None): The token that is asked for.
    limits (Limits): What is taken.
    metrics (Metrics): Where to count.
    """

    # Where nothing is secret, relative to where the application is mounted.
    OPEN = ("/health", "/openapi.json")

    def __init__(self, app: Any, *, token: str | None, limits: Limits, metrics: Metrics) -> None:
        self.app = app
        self.token = token and token.encode("ascii")
        self.limits = limits
        self.metrics = metrics
        self.held = 0  # bytes of the requests that are being read or answered

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start = time.perf_counter()
        status = None
        declared = read = 0

        async def send_and_note(message: Scope) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def answer(response: Response) -> None:
            if status is None:
                await response(scope, receive, send_and_note)

        async def receive_and_count() -> Scope:
            nonlocal read
            message = {} if declared > self.limits.max_body else await receive()
            size = len(message.get("body", b""))
            read += size
            self.held += size
            if max(declared, read) > self.limits.max_body:
                raise HTTPException(413, Errors.OM541.format(limit=self.limits.max_body))
            if self.held > HELD * self.limits.max_body:
                raise HTTPException(503, Errors.OM545, {"Retry-After": "1"})
            return message

        try:
            if not self.may_pass(scope):
                return await answer(refuse(401, Errors.OM544, {"WWW-Authenticate": "Bearer"}))
            declared = int(dict(scope["headers"]).get(b"content-length", 0))
            call = self.app(scope, receive_and_count, send_and_note)
            await asyncio.wait_for(call, self.limits.timeout)
        except asyncio.TimeoutError:
            await answer(refuse(504, Errors.OM546.format(seconds=self.limits.timeout)))
        except Exception as error:
            problem = Errors.OM547.format(error=type(error).__name__)
            logger.error(problem)
            await answer(refuse(500, problem))
        finally:
            self.held -= read
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, status or "none").inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)

    def may_pass(self, scope: Scope) -> bool:
        """RETURNS (bool): Whether a request has the token, or needs none."""
        if self.token is None or find_path(scope) in self.OPEN:
            return True
        kind, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        return kind.lower() == b"bearer" and secrets.compare_digest(given.strip(), self.token)


def find_path(scope: Scope) -> str:
    """RETURNS (str): A request's path, relative to where the application is mounted."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if path.startswith(f"{root}/") else path


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """RETURNS (Response): An answer that says why there is none."""
    return JSONResponse({"detail": detail}, status, headers)
