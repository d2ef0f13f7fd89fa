"""Refuse requests that are too large, too many, or have no token."""

import asyncio
import logging
import secrets
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from ..errors import Errors, missing_extra
from .metrics import Metrics

try:
    from fastapi import HTTPException, Response
    from fastapi.responses import JSONResponse
except ImportError as error:
    raise missing_extra("serve", error) from error

GONE = 499  # the client hung up: nginx's number, for the counts alone
HELD = 10  # requests of `Limits.max_body` bytes that may be in memory at a time
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The limits of a service, and how it batches texts.

    max_texts (int): Maximum texts in a request.
    max_chars (int): Maximum characters in a text. A longer one gets an error instead of entities.
    max_body (int): Maximum bytes in a request's body.
    timeout (float): Seconds to read and answer a request.
    wait (float): Milliseconds that a text waits for others to share its batch.
    max_batch (int): Maximum texts in a batch.
    max_queue (int): Requests are refused while this many texts are waiting.
    """

    max_texts: int = 256
    max_chars: int = 100_000
    max_body: int = 10_000_000
    timeout: float = 30.0
    wait: float = 5.0
    max_batch: int = 64
    max_queue: int = 1024


Scope = MutableMapping[str, Any]


class Guard:
    """ASGI middleware that checks the token before anything is read, limits the size and time of
    requests, counts them, and holds back errors that could contain a text.

    app (ASGI application): The application.
    token (str | None): The token that clients must send.
    limits (Limits): The limits.
    metrics (Metrics): Where to count.
    """

    # Paths that need no token, relative to where the application is mounted.
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
                raise HTTPException(413, Errors.OM751.format(limit=self.limits.max_body))
            if self.held > HELD * self.limits.max_body:
                raise HTTPException(503, Errors.OM755, {"Retry-After": "1"})
            return message

        try:
            if not self.may_pass(scope):
                return await answer(refuse(401, Errors.OM754, {"WWW-Authenticate": "Bearer"}))
            declared = int(dict(scope["headers"]).get(b"content-length", 0))
            call = self.app(scope, receive_and_count, send_and_note)
            await asyncio.wait_for(call, self.limits.timeout)
        except asyncio.TimeoutError:
            await answer(refuse(504, Errors.OM756.format(seconds=self.limits.timeout)))
        except Exception as error:
            problem = Errors.OM757.format(error=type(error).__name__)
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
    """RETURNS (Response): A response that says why the request is refused."""
    return JSONResponse({"detail": detail}, status, headers)
