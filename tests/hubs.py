"""A hub on this machine: the part of the Hugging Face hub's interface that a download needs, and
the ways in which it fails."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlparse

COMMIT = "0" * 40


def etag(name: str, content: bytes) -> str:
    """What the hub calls a file: by its SHA-256 if it is large, else as git does."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub:
    """The server. Used in `with`, it runs in a thread.

    repositories (dict[str, dict[str, bytes]]): Files by name, by the repository's id.
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        # How a request fails, by the file or the id that it is for: a status (perhaps with the
        # hub's own code for it), "closed" (no answer), "hang", "page" (of a provider that wants
        # one to log in), or for a file "cut" (half of it) or "wrong" (other bytes).
        self.faults: dict[str, str | int | tuple[int, str]] = {}
        self.sent: list[str] = []  # the files that were asked for
        self.ended = threading.Event()
        handler = type("Bound", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        for id, files in self.hub.repositories.items():
            if path.startswith(f"/api/models/{id}/revision/"):
                if path.rpartition("/")[2] not in ("main", COMMIT):
                    return self.refuse(404, "RevisionNotFound")
                siblings = [{"rfilename": name} for name in files]
                return self.answer(id, {"id": id, "sha": COMMIT, "siblings": siblings})
            if path.startswith(f"/{id}/resolve/"):
                name = path.rpartition("/")[2]
                return self.answer(name, files[name])
        self.refuse(404, "RepoNotFound")

    def answer(self, name: str, content: Any) -> None:
        if self.hub.faults.get(name) == "page":
            content = "<html>"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        fault = self.hub.faults.get(name)
        is_file = isinstance(content, bytes)
        if isinstance(fault, (int, tuple)):
            return self.refuse(*((fault, "") if isinstance(fault, int) else fault))
        if self.command == "HEAD" and is_file:
            fault = None  # a file fails while its bytes come
        if fault == "hang":
            self.hub.ended.wait(30)
        if fault in ("hang", "closed"):
            self.close_connection = True
            return None
        if self.command == "GET" and is_file:
            self.hub.sent.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{etag(name, body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if fault == "cut":
            body = body[: len(body) // 2]
        elif fault == "wrong":
            body = body[::-1]
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass
