"""Checkpoints come from the hub whole and unchanged, or an error says why and what to do."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import block_network
from hubs import COMMIT, Hub
from safetensors.torch import load_file, save_file

from spacy_openmed.checkpoints.source import Source, find_folder

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
# Fetches what it is told to, into a folder as the command does, or into the cache.
WORKER = """
import io, json, sys, time
from pathlib import Path
time.sleep = lambda _: None  # the client's pauses before it tries again
from spacy_openmed.checkpoints.source import Source, find_folder
from spacy_openmed.checkpoints.download import download

class Terminal(io.StringIO):
    isatty = lambda _: True

for line in sys.stdin:
    job = json.loads(line)
    if job["in_terminal"]:
        sys.stderr = Terminal()
    try:
        if "folder" in job:
            result = download(job["id"], Path(job["folder"]), revision=job["revision"])
        else:
            result = find_folder(Source(job["id"], revision=job["revision"]))
    except OSError as error:
        result = error
    if job["in_terminal"]:
        result = sys.stderr.getvalue()
        sys.stderr = sys.__stderr__
    print(json.dumps(str(result)), flush=True)
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub; every test adds a repository of its own."""
    with Hub({}) as hub:
        yield hub


@pytest.fixture(scope="module")
def worker(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    """A process that may ask the hub; the client reads its settings when it is imported."""
    folder = tmp_path_factory.mktemp("home")
    env = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder)}
    env |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    code = f"{inspect.getsource(block_network)}\nblock_network()\n{WORKER}"
    with (
        (folder / "stderr.txt").open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf8",
            env={**os.environ, **env},
        ) as process,
    ):
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert (folder / "stderr.txt").read_text() == ""  # neither warnings nor bars


Fetch = Callable[..., str]


@pytest.fixture
def fetch(worker: subprocess.Popen) -> Fetch:
    """Fetch a repository; gives the folder, "None" or the error's message; or what is printed in
    a terminal."""

    def run(
        id: str, folder: Path | None = None, revision: str | None = None, in_terminal: bool = False
    ) -> str:
        job = {"id": id, "revision": revision, "in_terminal": in_terminal}
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(json.dumps({**job, "folder": str(folder)} if folder else job), file=worker.stdin)
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    return run


@pytest.fixture(scope="session")
def files(make_checkpoint: Callable[..., Path]) -> dict[str, bytes]:
    """The files of a checkpoint in two parts."""
    folder = make_checkpoint()
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = dict(zip(SHARDS, (names[::2], names[1::2]), strict=True))
    found = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "model.safetensors"}
    for shard, keys in parts.items():
        path = folder.parent / shard
        save_file({key: weights[key] for key in keys}, path, {"format": "pt"})
        found[shard] = path.read_bytes()
        path.unlink()
    index = {"weight_map": {key: shard for shard, keys in parts.items() for key in keys}}
    return {**found, INDEX: json.dumps(index).encode()}


@pytest.fixture
def id(hub: Hub, files: dict[str, bytes], request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository that is the test's own."""
    id = f"someone/{abs(hash(request.node.name))}"
    hub.repositories[id] = files
    hub.faults.clear()
    hub.sent.clear()
    yield id
    del hub.repositories[id]


def test_download(hub: Hub, fetch: Fetch, id: str, files: dict[str, bytes], tmp_path: Path):
    assert fetch(id, tmp_path) == "None"
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert found == files
    assert find_folder(Source(str(tmp_path))) == tmp_path


def test_progress_counts_bytes(fetch: Fetch, id: str, tmp_path: Path):
    printed = fetch(id, tmp_path, in_terminal=True)
    assert re.search(r": 100%.* [\d.]+k/[\d.]+k \[.*B/s", printed)
    assert "files" not in printed


def test_cache_is_asked_before_the_hub(hub: Hub, fetch: Fetch, id: str, files: dict[str, bytes]):
    folder = Path(fetch(id))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    hub.faults[id] = "closed"
    assert fetch(id) == str(folder)
    assert fetch(id, revision=COMMIT) == str(folder)


REFUSED = {
    "closed": ("closed", "connection to http://127.0.0.1:.* failed or was cut"),
    "hangs": ("hang", "did not answer within 1 seconds.*HF_HUB_ETAG_TIMEOUT"),
    "unauthorised": (401, "needs a token.*gated or private"),
    "forbidden": (403, "needs a token.*gated or private"),
    "gated": ((403, "GatedRepo"), "needs a token.*accept its terms at http"),
    "not found": ((404, "RepoNotFound"), "404: no such repository"),
    "too many": (429, "429: too many requests"),
    "failed": (500, "500: the hub failed"),
}


@pytest.mark.parametrize("into", ["folder", "cache"])
@pytest.mark.parametrize(("fault", "why"), REFUSED.values(), ids=REFUSED)
def test_hub_that_refuses(
    hub: Hub, fetch: Fetch, id: str, tmp_path: Path, fault: str, why: str, into: str
):
    hub.faults[id] = fault
    message = fetch(id, *([tmp_path / "to"] if into == "folder" else []))
    code = "OM119" if into == "folder" else "OM100"
    assert re.match(rf"\[{code}\] [^\n]*{why}[^\n]*$", message), message
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("fault", "into"),
    [("closed", "folder"), ("cut", "folder"), ("cut", "cache"), ("hang", "cache")],
)
def test_interrupted_download_goes_on(
    hub: Hub, fetch: Fetch, id: str, tmp_path: Path, fault: str, into: str
):
    to = [tmp_path] if into == "folder" else []
    hub.faults[SHARDS[1]] = fault
    message = fetch(id, *to)
    assert message.startswith("[OM119]" if into == "folder" else "[OM100]")
    assert "\n" not in message
    if into == "folder":
        with pytest.raises(OSError, match=f"OM123.*openmed download {id} {tmp_path}"):
            find_folder(Source(str(tmp_path)))
    hub.faults.clear()
    hub.sent.clear()
    message = fetch(id, *to)
    assert not message.startswith("[")
    assert SHARDS[0] not in hub.sent  # it was complete
    assert hub.sent.count(SHARDS[1]) == 1
    assert find_folder(Source(str(tmp_path) if to else message))


@pytest.mark.parametrize("into", ["folder", "cache"])
@pytest.mark.parametrize("name", [SHARDS[1], "config.json"])
def test_damaged_file(hub: Hub, fetch: Fetch, id: str, tmp_path: Path, name: str, into: str):
    to = [tmp_path] if into == "folder" else []
    hub.faults[name] = "wrong"
    message = fetch(id, *to)
    assert message.startswith(f"[OM125] The file '{name}' of '{id}' is damaged")
    assert not (tmp_path / name).exists()
    hub.faults.clear()
    assert not fetch(id, *to).startswith("[")


def test_file_that_was_changed_since_is_fetched_again(
    hub: Hub, fetch: Fetch, id: str, files: dict[str, bytes], tmp_path: Path
):
    hub.faults[SHARDS[1]] = "closed"
    fetch(id, tmp_path)
    (tmp_path / SHARDS[0]).write_bytes(files[SHARDS[0]][:-1])
    hub.faults.clear()
    assert fetch(id, tmp_path) == "None"
    assert (tmp_path / SHARDS[0]).read_bytes() == files[SHARDS[0]]


def test_folder_that_waits_for_another_download(hub: Hub, fetch: Fetch, id: str, tmp_path: Path):
    hub.faults[SHARDS[1]] = "closed"
    fetch(id, tmp_path)
    hub.faults.clear()
    for job in ([f"{id}-2", tmp_path], [id, tmp_path, COMMIT]):
        message = fetch(*job)
        assert message.startswith("[OM124]")
        assert f"openmed download {id} {tmp_path}`" in message


def test_folder_without_a_part_of_the_weights(
    fetch: Fetch, id: str, files: dict[str, bytes], tmp_path: Path
):
    """As it was left before downloads left a mark, or as it was copied."""
    for name in {*files} - {SHARDS[1]}:
        (tmp_path / name).write_bytes(files[name])
    with pytest.raises(OSError, match=f"OM106.*lacks {SHARDS[1]}.*download` again"):
        find_folder(Source(str(tmp_path)))
    assert fetch(id, tmp_path) == "None"
    assert find_folder(Source(str(tmp_path))) == tmp_path


def test_revision_that_there_is_not(fetch: Fetch, id: str, tmp_path: Path):
    assert "no such revision 'v9'" in fetch(id, tmp_path / "to", "v9")
    assert "no such revision 'v9'" in fetch(id, revision="v9")


def test_name_that_is_no_id(fetch: Fetch):
    message = fetch("no id/at all")
    assert message.startswith("[OM100]")
    assert "not the id of a repository" in message


def test_hub_without_weights_and_what_is_not_a_hub(hub: Hub, fetch: Fetch, id: str, tmp_path: Path):
    hub.repositories[id] = {"config.json": b"{}"}
    assert fetch(id, tmp_path).startswith("[OM120]")
    hub.faults[id] = "page"
    assert "is not a Hugging Face hub" in fetch(id, tmp_path)


def test_folder_that_can_not_be_written(fetch: Fetch, id: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    message = fetch(id, tmp_path / "file" / "to")
    assert message.startswith("[OM119]")
    assert "can't be written" in message
