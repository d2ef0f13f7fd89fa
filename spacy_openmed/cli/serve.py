import os
import re
import signal
import sys
from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg

from ..errors import Errors, Warnings
from ._options import LOOPBACK, SIZES, WITHOUT_MODEL, choose_model, read_file

TOKEN = "OPENMED_TOKEN"  # environment variable
LEAST = 16  # characters of a token

# PyTorch and oneDNN keep what they prepare for each size of a forward pass, for 1,024 sizes. A
# service sees them all; with fewer its memory is level sooner, and it is no slower.
CACHES = {"LRU_CACHE_CAPACITY": "256", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}

MODEL = "A pipeline's path or package, left out where --domain, --dataset or --size is given"


def serve_cli(
    # fmt: off
    model: str | None = Arg(None, help=MODEL),
    domain: list[str] | None = Opt(None, "--domain", "-d", help="Name of a domain, repeatable"),
    dataset: list[str] | None = Opt(None, "--dataset", "-D", help="Name of a dataset, repeatable"),
    size: str | None = Opt(None, "--size", "-s", help=f"Size of the checkpoint: {SIZES}"),
    precision: str = Opt("auto", "--precision", help=WITHOUT_MODEL),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    host: str = Opt("127.0.0.1", "--host", help="Address; the default is for this machine alone"),
    port: int = Opt(8000, "--port", "-p", min=0, max=65535, help="Port; 0: any that is free"),
    token_file: Path | None = Opt(
        None,
        "--token-file",
        help=f"File of the token that clients send; else {TOKEN} holds it",
    ),
    max_texts: int = Opt(256, "--max-texts", min=1, help="Most texts of a request"),
    max_chars: int = Opt(100_000, "--max-chars", min=1, help="Most characters of a text"),
    max_body: int = Opt(10_000_000, "--max-body", min=1, help="Most bytes of a request"),
    timeout: float = Opt(30, "--timeout", min=0.1, help="Seconds that a request may take"),
    wait: float = Opt(5, "--wait", min=0, help="Milliseconds that a text waits for others"),
    max_batch: int = Opt(64, "--max-batch", "-b", min=1, help="Most texts answered at once"),
    max_queue: int = Opt(1024, "--max-queue", min=1, help="Texts waiting before it refuses more"),
    # fmt: on
) -> None:
    """
    Find entities over HTTP: POST /entities {"texts": ["..."]}. What it takes is in /openapi.json;
    there are /health, /models and /metrics (Prometheus) too.

    EXAMPLE: python -m spacy openmed serve --domain disease --port 8000

    Shuts down gracefully on Ctrl-C or SIGTERM, after in-flight requests finish.
    """
    from ..apply.pipelines import load_pipeline
    from ..serve.application import create_app, run
    from ..serve.guard import Limits

    chosen = choose_model(model, domain, dataset, size, precision)
    for name, capacity in CACHES.items():
        os.environ.setdefault(name, capacity)
    token = read_token(token_file)
    if host not in LOOPBACK and token is None:
        msg.warn(Warnings.OM913.format(host=host))
    nlp = load_pipeline(chosen, device=f"cuda:{gpu_id}" if gpu_id >= 0 else None)
    limits = Limits(
        max_texts=max_texts,
        max_chars=max_chars,
        max_body=max_body,
        timeout=timeout,
        wait=wait,
        max_batch=max_batch,
        max_queue=max_queue,
    )
    app = create_app(nlp, token=token, limits=limits)
    signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again when it is done
    run(app, host, port, limits.timeout)


def read_token(path: Path | None) -> str | None:
    """Read the token that clients have to send.

    path (Path | None): Its file. None: it is in the environment, or there is none.
    RETURNS (str | None): The token.
    RAISES (ValueError): If it can't be sent in a header, or is too short to be secret.
    """
    token = os.environ.get(TOKEN) if path is None else read_file(path).strip()
    if token is not None and not re.fullmatch(rf"[A-Za-z0-9._~+/=-]{{{LEAST},}}", token):
        raise ValueError(Errors.OM703.format(least=LEAST))
    return token


def _end(*_: object) -> None:
    sys.exit(0)
