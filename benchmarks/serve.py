"""Load test of `openmed serve` on loopback: many clients, batched together or one text at a time.

    python benchmarks/serve.py [--number 2000]

Two servers, each a process of its own; `one at a time` is --max-batch 1 --wait 0. A client sends
a text, waits for its answer, and sends the next. Sentences (`--abstracts`: abstracts) of BC5CDR's
test set or of the examples, repeated. Rounds are interleaved. Clients and servers share the
machine. Each answer is compared with what `nlp.pipe` finds: `wrong`, of all that were sent.
"""

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle, islice, product
from statistics import median, quantiles
from typing import Any

import typer
from speed import find_documents, split_sentences
from util import print_rows

from spacy_openmed.apply.pipelines import find_keys, load_pipeline, to_model
from spacy_openmed.apply.texts import read_entities

BASE = "one at a time"
SERVERS = {"batched": (), BASE: ("--max-batch", "1", "--wait", "0")}
HEADERS = {"Content-Type": "application/json"}
HEADER = (
    *("clients", "requests", "requests/s", "ratio", "p50, ms", "p99, ms", "sent", "wrong"),
    *("MB, first round", "MB, last round"),
)


@dataclass(frozen=True)
class Round:
    """The result of one round.

    seconds (float): How long it took.
    latencies (list[float]): Seconds of each request.
    wrong (int): Answers that differ from the entities of `nlp.pipe`, or are missing.
    memory (float): Resident memory of the server afterwards, in MB.
    """

    seconds: float
    latencies: list[float]
    wrong: int
    memory: float


def main(
    number: int = typer.Option(1000, min=1, help="Requests of a round"),
    clients: list[int] = typer.Option([1, 8, 32], help="Clients at once, repeatable"),
    abstracts: bool = typer.Option(False, "--abstracts", help="Abstracts instead of sentences"),
    precision: str = typer.Option("fp32", help="fp32, bf16 or int8"),
    rounds: int = typer.Option(3, min=1, help="Rounds, after one that is not timed"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Compare requests that are batched with requests one at a time.
    """
    documents = find_documents()
    texts = list(islice(cycle(documents if abstracts else split_sentences(documents)), number))
    nlp = load_pipeline(to_model({"domain": "disease", "model": {"precision": precision}}))
    keys = find_keys(nlp)
    expected = [read_entities(doc, keys) for doc in nlp.pipe(texts)]
    measured: dict[tuple[str, int], list[Round]] = {}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(start_server(["--precision", precision, *options]))
            for name, options in SERVERS.items()
        }
        for turn in range(rounds + 1):
            for n_clients in clients:
                for name in list(SERVERS)[:: 1 if turn % 2 else -1]:
                    done = measure(ports[name], texts, n_clients, expected)
                    measured.setdefault((name, n_clients), []).append(done)
    rows = [
        summarize(name, n_clients, measured[name, n_clients], measured[BASE, n_clients])
        for n_clients, name in product(clients, SERVERS)
    ]
    print_rows(HEADER, rows, as_json)


def measure(
    port: int, texts: Sequence[str], n_clients: int, expected: Sequence[list[dict[str, Any]]]
) -> Round:
    """Send texts, a text a request.

    port (int): Port of the server.
    texts (Sequence[str]): The texts.
    n_clients (int): How many clients share them.
    expected (Sequence[list[dict]]): The entities of each.
    RETURNS (Round): The result.
    """
    start = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        shares = list(pool.map(lambda i: send(port, texts[i::n_clients]), range(n_clients)))
    seconds = time.perf_counter() - start
    wrong = sum(
        not is_same(answer, entities)
        for i, share in enumerate(shares)
        for (answer, _), entities in zip(share, expected[i::n_clients], strict=True)
    )
    return Round(seconds, [s for share in shares for _, s in share], wrong, read_memory(port))


def summarize(
    name: str, n_clients: int, own: Sequence[Round], base: Sequence[Round]
) -> tuple[object, ...]:
    """Make a row of the table of rounds, the first of which is not timed.

    name (str): Name of the server.
    n_clients (int): Clients at once.
    own (Sequence[Round]): Its rounds.
    base (Sequence[Round]): The other server's, in step.
    RETURNS (tuple[object, ...]): The cells, as in `HEADER`.
    """
    timed = own[1:]
    centiles = quantiles([s for r in timed for s in r.latencies], n=100, method="inclusive")
    return (
        n_clients,
        name,
        median(len(r.latencies) / r.seconds for r in timed),
        median(b.seconds / a.seconds for a, b in zip(timed, base[1:], strict=True)),
        centiles[49] * 1000,
        centiles[98] * 1000,
        sum(len(r.latencies) for r in own),
        sum(r.wrong for r in own),
        own[0].memory,
        own[-1].memory,
    )


@contextmanager
def start_server(options: Sequence[str]) -> Iterator[int]:
    """Run the command.

    options (Sequence[str]): Its further options.
    YIELDS (int): The port.
    """
    command = [sys.executable, "-m", "spacy", "openmed", "serve", "--domain", "disease"]
    process = subprocess.Popen(
        [*command, "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        found = (re.search(r"http://127.0.0.1:(\d+)", line) for line in process.stderr)
        yield next(int(match[1]) for match in found if match)
    finally:
        process.terminate()
        process.communicate()


def send(port: int, texts: Sequence[str]) -> list[tuple[dict[str, Any], float]]:
    """RETURNS (list[tuple[dict[str, Any], float]]): Answers and seconds of one client."""
    connection = HTTPConnection("127.0.0.1", port)
    answers = []
    for text in texts:
        body = json.dumps({"texts": [text]})
        start = time.perf_counter()
        connection.request("POST", "/entities", body, HEADERS)
        content = connection.getresponse().read()
        answers.append((json.loads(content), time.perf_counter() - start))
    connection.close()
    return answers


def is_same(answer: dict[str, Any], entities: Sequence[dict[str, Any]]) -> bool:
    """RETURNS (bool): Whether an answer has these entities. Scores may differ by rounding, because
    a text may have another place in the forward pass."""
    rows = answer.get("results") or [{"entities": None}]
    found = rows[0]["entities"]
    return (
        found is not None
        and len(found) == len(entities)
        and all(
            {**a, "score": 0} == {**b, "score": 0}
            and math.isclose(a["score"], b["score"], abs_tol=1e-3)
            for a, b in zip(found, entities, strict=True)
        )
    )


def read_memory(port: int) -> float:
    """RETURNS (float): Resident memory of a server, in MB."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode("utf8")
    connection.close()
    match = re.search(r"^process_resident_memory_bytes (\S+)$", metrics, re.MULTILINE)
    assert match is not None
    return float(match[1]) / 2**20


if __name__ == "__main__":
    typer.run(main)
