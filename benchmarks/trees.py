"""Run the component of another commit, in a process that times its texts on request."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# Reads its settings, then batch size and texts as JSON. An empty line: run the texts.
WORKER = """
import json, sys, warnings
import spacy
warnings.simplefilter("ignore")
nlp = spacy.blank("en")
nlp.add_pipe("openmed_ner", config=json.loads(sys.argv[1]))
for line in sys.stdin:
    if line.strip():
        batch_size, texts = json.loads(line)
    else:
        for _ in nlp.pipe(texts, batch_size=batch_size):
            pass
        print("done", flush=True)
"""

Worker = Callable[[Sequence[str], int], Callable[[], None]]


def unpack(commit: str, folder: Path) -> Path:
    """Write the files of a commit, with the entry points of its components.

    commit (str): The commit.
    folder (Path): The folder to write.
    RETURNS (Path): The folder.
    """
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "egg_info"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


@contextmanager
def start_worker(tree: Path, settings: Mapping[str, Any]) -> Iterator[Worker]:
    """Start a process with the component of a source tree.

    tree (Path): The tree.
    settings (Mapping[str, Any]): Settings of the component.
    YIELDS (Worker): A function that sends the process texts and their batch size. It returns
        another function that runs them and returns when they are done.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(settings)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    given, said = process.stdin, process.stdout

    def run() -> None:
        given.write("\n")
        given.flush()
        if said.readline() != "done\n":
            raise RuntimeError(f"The process of {tree.name} has ended.")

    def give(texts: Sequence[str], batch_size: int) -> Callable[[], None]:
        given.write(json.dumps([batch_size, list(texts)]) + "\n")
        return run

    try:
        yield give
    finally:
        given.close()
        process.kill()
        said.close()
        process.wait()
