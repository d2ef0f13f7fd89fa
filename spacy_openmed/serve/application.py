"""Find entities over HTTP. Error responses and logs never contain any of the texts."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from .. import __version__
from ..apply.findings import find_findings
from ..apply.pipelines import find_keys, using
from ..apply.texts import process, read_entities, read_result
from ..errors import Errors, missing_extra
from .description import describe_pipeline
from .guard import GONE, Guard, Limits
from .metrics import Metrics
from .microbatch import MicroBatcher, QueueFull, Stopped
from .schemas import Health, Malformed, Pipeline, Problem, Rows, Text, Texts

try:
    import prometheus_client as prometheus
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse
    from fastapi.security import HTTPBearer
except ImportError as error:
    raise missing_extra("serve", error) from error

WARM_UP = "Aspirin can cause gastric ulcers."

Read = Callable[[Doc], list[dict[str, Any]]]
Found = tuple[list[dict[str, Any]] | None, str | None]  # entities, or what is wrong


def create_app(nlp: Language, *, token: str | None = None, limits: Limits | None = None) -> FastAPI:
    """Make an application for any ASGI server.

    nlp (Language): The pipeline. The application must be its only user: it runs in a thread, with
        an error handler of the application.
    token (str | None): The bearer token that clients must send, except for /health and
        /openapi.json. None: no token.
    limits (Limits | None): Limits of requests and batches. None: the defaults.
    RETURNS (FastAPI): The application. It can be mounted into another one, which does not run its
        lifespan. The end of the lifespan only matters for answering 503 to waiting requests.
    RAISES (ValueError): If the pipeline's checkpoints can't be used, or it fails on a sample text.
    """
    limits = limits or Limits()
    metrics = Metrics()
    pipeline = describe_pipeline(nlp)
    findings = find_findings(nlp)
    read = partial(
        read_entities,
        keys=find_keys(nlp),
        attributes=findings.context,
        kb_ids=findings.kb_ids,
    )
    # Engines initialise at first use.
    [(_, problem)] = _annotate(nlp, read, [WARM_UP])
    if problem is not None:
        raise ValueError(Errors.OM760.format(error=problem))
    batcher = MicroBatcher(
        partial(annotate, nlp, read, metrics),
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
    app.add_exception_handler(400, refuse_malformed)  # bodies that json can't parse
    # The guard checks the token before a body is read; this only documents it.
    secured = [Depends(HTTPBearer(auto_error=False))] if token else []
    refusals: dict[int | str, dict[str, Any]] = {401: {"model": Problem}} if token else {}
    failures: dict[int | str, dict[str, Any]] = {
        code: {"model": Problem} for code in (413, 500, 503, 504)
    }

    @app.post(
        "/entities",
        response_model=Rows,
        response_model_exclude_unset=True,
        dependencies=secured,
        responses={**refusals, **failures, 422: {"model": Malformed}},
    )
    async def entities(query: Texts, request: Request) -> dict[str, Any]:
        """Find the entities of texts."""
        rows = [Text(text=row, id=None) if isinstance(row, str) else row for row in query.texts]
        if len(rows) > limits.max_texts:
            raise HTTPException(413, Errors.OM752.format(n=len(rows), limit=limits.max_texts))
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
            raise HTTPException(503, Errors.OM755, {"Retry-After": "1"}) from None
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
        """Check whether the service is working."""
        response.status_code = 200 if batcher.is_working else 503
        return Health(status="ok" if batcher.is_working else "failed")

    @app.get("/models", dependencies=secured, responses=refusals)
    async def models() -> Pipeline:
        """Describe the pipeline, and what it can find."""
        return pipeline

    @app.get("/metrics", dependencies=secured, responses=refusals, response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        """Get the metrics, for Prometheus."""
        return Response(
            prometheus.generate_latest(metrics.registry),
            media_type=prometheus.CONTENT_TYPE_LATEST,
        )

    return app


def run(app: FastAPI, host: str, port: int, grace: float) -> None:
    """Serve an application until the process is asked to stop.

    app (FastAPI): The application.
    host (str): Address to listen at.
    port (int): Port; 0: any that is free.
    grace (float): Seconds for requests to finish then.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,  # logs would have the query, which may hold a text
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace),
    )


def annotate(nlp: Language, read: Read, metrics: Metrics, texts: Sequence[str]) -> list[Found]:
    """Find the entities of texts.

    nlp (Language): The pipeline.
    read (Callable[[Doc], list[dict[str, Any]]]): Reads the entities of a document.
    metrics (Metrics): Where to count.
    texts (Sequence[str]): The texts.
    RETURNS (list[Found]): The entities of each, or what is wrong with it.
    """
    if not texts:
        return []
    with metrics.batch_seconds.time():
        found = _annotate(nlp, read, texts)
    metrics.batches.observe(len(texts))
    metrics.errors.inc(sum(error is not None for _, error in found))
    labels = Counter(entity["label"] for entities, _ in found for entity in entities or ())
    for label, n in labels.items():
        metrics.entities.labels(label).inc(n)
    return found


def _annotate(nlp: Language, read: Read, texts: Sequence[str]) -> list[Found]:
    with using(nlp):
        return [read_result(result, read) for result in process(nlp, texts)]


def refuse_long(texts: Sequence[str], max_chars: int) -> dict[int, Found]:
    """Refuse the texts of a request that are too long.

    texts (Sequence[str]): The texts.
    max_chars (int): Most characters of a text.
    RETURNS (dict[int, Found]): What is wrong with those that are, by their numbers.
    """
    return {
        i: (None, Errors.OM753.format(i=i, n=len(text), limit=max_chars))
        for i, text in enumerate(texts)
        if len(text) > max_chars
    }


async def wait_until_gone(request: Request) -> None:
    """Wait until a client, whose request was read, hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def refuse_malformed(request: Request, error: Exception) -> Response:
    """Say where a request is malformed. FastAPI's default response repeats the input."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    places = [
        # For a key that is not allowed, the last part of the location is the client's own input.
        {"loc": e["loc"][: -1 if e["type"] == "extra_forbidden" else None], "msg": e["msg"]}
        for e in (error.errors() if isinstance(error, RequestValidationError) else ())
    ]
    detail = Errors.OM750 if is_json else Errors.OM762
    return JSONResponse({"detail": detail, "errors": places}, 422)
