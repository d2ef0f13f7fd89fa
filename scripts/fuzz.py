"""Send fuzzed documents through `process` and `serve`, and check that nothing is lost or leaked.

    python scripts/fuzz.py --documents 100000

Every document must come back in its place, with entities or an error. No part of a text may appear
in an error, a refusal or a log; the texts contain marker words to search for.
Prints a summary. Exits with 1 if anything is wrong.
"""

import argparse
import json
import math
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MARKED = re.compile(r"zqk\d{7}xj")  # in every text that has room for it
LONG = 1_000_001  # characters of the longest texts
MAX_CHARS = 100_000  # of a text, as `serve` takes them
TOGETHER = 64  # texts of a request
SENTENCE = "No sign of asthma or renal failure; 5 mg/kg aspirin (twice) – p53, E. coli K-12\n"
WORDS = SENTENCE.split(" ")
CONTROLS = [chr(i) for i in (*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x202E, 0x2028, 0xFEFF)]
PLANES = [(0x20, 0xD7FF), (0xE000, 0xFFFF), *((i << 16, (i << 16) + 0xFFFF) for i in range(1, 17))]


@dataclass
class Case:
    """A document.

    kind (str): What it is made of.
    line (bytes): Its line, which may not be valid JSON.
    text (Any): The value in place of its text; None also if the line is not JSON.
    is_good (bool): Whether it must be annotated.
    """

    kind: str
    line: bytes
    text: Any = None
    is_good: bool = False


def make_case(seed: int, number: int, is_long: bool, max_chars: int) -> Case:
    """Make a document.

    seed (int): The seed of the run.
    number (int): The document's number; it is its id, too.
    is_long (bool): Whether it should have more than a million characters.
    max_chars (int): Maximum characters otherwise.
    RETURNS (Case): The document, the same for the same arguments.
    """
    rng = random.Random(seed * 10_000_019 + number)
    word = f"zqk{number:07}xj"
    if is_long:  # white space, mostly: it costs little
        text = f"asthma {word}" + rng.choice(" \n\t") * LONG + f"{word} aspirin"
        return Case("long", _to_line(number, text), text, is_good=True)
    kind = rng.choices(
        ["words", "unicode", "controls", "surrogate", "odd", "malformed", "bytes"],
        [60, 20, 10, 3, 3, 3, 1],
    )[0]
    n_chars = round(math.exp(rng.uniform(0, math.log(max_chars))))
    if kind == "words":
        text = " ".join(rng.choices(WORDS, k=n_chars // 6 + 1))[:n_chars]
    elif kind == "controls":
        text = "".join(rng.choices([*CONTROLS, "a", " "], k=n_chars))
    else:
        text = "".join(chr(rng.randint(*rng.choice(PLANES))) for _ in range(n_chars))
    if n_chars > 2 * len(word):
        at = rng.randrange(len(text) + 1)
        text = f"{word} {text[:at]} {word} {text[at:]} {word}"
    if kind == "surrogate":
        text += chr(rng.randint(0xD800, 0xDFFF)) + word
    elif kind == "odd":
        odd: list[Any] = [None, 7, -0.5, True, [text], {"text": text}, [[word], None], {word: 1}]
        value = rng.choice(odd)
        return Case(kind, _to_line(number, value), value)
    elif kind == "malformed":
        lines = (f'{{"id": {number}, "text": "{word}', f"[{json.dumps(text)}]", word, "[" * 5000)
        return Case(kind, rng.choice(lines).encode())
    elif kind == "bytes":
        return Case(kind, b'{"id": %d, "text": "%s \xff\xfe\xc3("}' % (number, word.encode()))
    return Case(kind, _to_line(number, text), text, is_good=kind != "surrogate")


def _to_line(number: int, text: Any) -> bytes:
    escaped = number % 2 == 0 or not isinstance(text, str) or not _is_unicode(text)
    return json.dumps({"id": number, "text": text}, ensure_ascii=escaped).encode("utf8")


def _is_unicode(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


class Run:
    """A run: its documents, and what is wrong with the answers.

    n (int): Documents.
    seed (int): Their seed.
    n_long (int): How many have more than a million characters.
    max_chars (int): Most characters of the others.
    model (list[str]): What names the pipeline on the command line.
    """

    def __init__(self, n: int, seed: int, n_long: int, max_chars: int, model: list[str]) -> None:
        self.n, self.seed, self.max_chars, self.model = n, seed, max_chars, model
        self.long = {*random.Random(seed).sample(range(n), min(n_long, n))}
        self.wrong: list[str] = []
        self.errors: Counter[str] = Counter()

    def cases(self) -> Iterator[Case]:
        """YIELDS (Case): The documents, in their order."""
        for number in range(self.n):
            yield make_case(self.seed, number, number in self.long, self.max_chars)

    def check_log(self, name: str, content: str) -> None:
        """Look for parts of texts; lines may have been broken inside a word."""
        for found in MARKED.findall(re.sub(r"\s+", "", content)):
            self.wrong.append(f"{name}: holds the text of document {int(found[3:-2])}")

    def check_row(self, where: str, case: Case, row: dict[str, Any]) -> None:
        """Check that a document has valid entities, or an error that quotes no text."""
        error, entities = row.get("error"), row.get("entities")
        if (error is None) == (entities is None):
            self.wrong.append(f"{where}: not either entities or an error")
        elif error is not None:
            self.errors[error[:7]] += 1
            self.check_log(where, error)
            if case.is_good and case.kind != "long":  # saved pipelines have a limit
                self.wrong.append(f"{where}: a text that is one has the error {error[:7]}")
        elif not case.is_good:
            self.wrong.append(f"{where}: what is not a text has no error ({case.kind})")
        elif any(case.text[e["start"] : e["end"]] != e["text"] for e in entities or ()):
            self.wrong.append(f"{where}: an entity is not at its offsets")

    def process(self, folder: Path) -> None:
        """Send all documents through `process`."""
        with (folder / "in.jsonl").open("wb") as file:
            file.writelines(case.line + b"\n" for case in self.cases())
        command = [sys.executable, "-m", "spacy", "openmed", "process", *self.model]
        command += [str(folder / "in.jsonl"), str(folder / "out"), "--to", "jsonl"]
        done = subprocess.run(command, capture_output=True)
        log = (done.stdout + done.stderr).decode("utf8", "replace")
        self.check_log("log of process", log)
        if done.returncode not in (0, 3):
            self.wrong.append(f"process: exit code {done.returncode}")
        rows = (
            json.loads(line)
            for path in sorted((folder / "out").glob("part-*.jsonl"))
            for line in path.read_text("utf8").rstrip("\n").split("\n")
        )
        for number, case in enumerate(self.cases()):
            row = next(rows, None)
            if row is None:
                self.wrong.append(f"process: no row for document {number} and those after it")
                return
            if row["id"] != str(number) and (row["id"] is not None or row["error"] is None):
                self.wrong.append(f"process, document {number}: another's id")
            self.check_row(f"process, document {number}", case, row)
        if next(rows, None) is not None:
            self.wrong.append("process: more rows than documents")

    def serve(self, folder: Path) -> None:
        """Send all documents that JSON can hold through `serve`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "spacy", "openmed", "serve", *self.model]
        command += ["--port", str(port), "--timeout", "300"]
        with (folder / "serve.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        client = HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            self._connect(server, client)
            together: list[tuple[int, Case]] = []
            for number, case in enumerate(self.cases()):
                if case.is_good and len(case.text) <= MAX_CHARS:
                    together.append((number, case))
                elif case.line.startswith(b'{"id"') and case.kind in ("long", "odd", "surrogate"):
                    self._ask_alone(client, number, case)
                if len(together) == TOGETHER:
                    self._ask(client, together)
                    together = []
            self._ask(client, together)
        finally:
            client.close()
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        self.check_log("log of serve", (folder / "serve.log").read_text("utf8", "replace"))

    def _connect(self, server: "subprocess.Popen[bytes]", client: HTTPConnection) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and server.poll() is None:
            try:
                client.request("GET", "/health")
                client.getresponse().read()
                return
            except OSError:
                client.close()
                time.sleep(0.2)
        raise OSError("The server did not start")

    def _post(self, client: HTTPConnection, texts: list[Any]) -> tuple[int, str]:
        body = json.dumps({"texts": texts}).encode("ascii")
        client.request("POST", "/entities", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        return answer.status, answer.read().decode("utf8")

    def _ask(self, client: HTTPConnection, cases: list[tuple[int, Case]]) -> None:
        texts = [{"id": str(number), "text": case.text} for number, case in cases]
        status, answer = self._post(client, texts)
        rows = json.loads(answer).get("results", []) if status == 200 else []
        if [row["id"] for row in rows] != [text["id"] for text in texts]:
            self.wrong.append(f"serve: answer {status} without the rows of {cases[0][0]} and on")
            return
        for (number, case), row in zip(cases, rows, strict=True):
            self.check_row(f"serve, document {number}", case, row)

    def _ask_alone(self, client: HTTPConnection, number: int, case: Case) -> None:
        """Send a text on its own: for some, the whole request is refused; others get an error."""
        status, answer = self._post(client, [{"id": str(number), "text": case.text}])
        where = f"serve, document {number}"
        if status == 200 and case.kind in ("long", "surrogate"):
            row = json.loads(answer)["results"][0]
            self.check_row(where, case, row)
            if row["error"] is None:
                self.wrong.append(f"{where}: no error ({case.kind})")
            return
        self.check_log(where, answer)
        self.errors[str(status)] += 1
        if status != (413 if case.kind == "long" else 422):
            self.wrong.append(f"{where}: answer {status} ({case.kind})")


def main(args: list[str] | None = None) -> int:
    """RETURNS (int): The exit code: 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--long", type=int, default=20, help="Of these, over a million characters")
    parser.add_argument("--max-chars", type=int, default=400, help="Of the others")
    parser.add_argument("--model", help="Path of a pipeline; else the bundled one, for diseases")
    parser.add_argument("--only", choices=["process", "serve"])
    given = parser.parse_args(args)
    model = [given.model] if given.model else ["--domain", "disease"]
    run = Run(given.documents, given.seed, given.long, given.max_chars, model)
    for name in (given.only,) if given.only else ("process", "serve"):
        run.errors.clear()
        start = time.perf_counter()
        with TemporaryDirectory() as folder:
            getattr(run, name)(Path(folder))
        seconds = time.perf_counter() - start
        print(f"{name}: {run.n:,} documents in {seconds:,.0f} s, {run.n / seconds:,.0f} a second")
        print("  " + ", ".join(f"{error}: {n:,}" for error, n in sorted(run.errors.items())))
    for what in run.wrong[:20]:
        print(f"WRONG {what}")
    print(f"{len(run.wrong):,} wrong (seed {run.seed})")
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
