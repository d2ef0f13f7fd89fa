"""Fetch checkpoints from the Hugging Face hub. Files that are there are kept, those that come are
checked, and errors say what to do."""

import errno
import hashlib
import inspect
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import srsly

from ..errors import Errors, HubReasons

# Stands in a folder while a checkpoint is being downloaded into it, and says which.
MARKER = ".openmed-download.json"
RESTARTS = 5  # times that a server may break off a file and send it from its start again


class HubError(OSError):
    """The hub gave no checkpoint. The message is a part of the caller's: the reason."""


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Say which download a folder waits for.

    folder (Path): The folder.
    RETURNS (dict[str, Any] | None): Its "id" and "revision"; None if there is none.
    """
    path = folder / MARKER
    try:
        return dict(srsly.read_json(path)) if path.is_file() else None
    except (TypeError, ValueError):
        return {}


def find_missing(folder: Path) -> list[str]:
    """Say which weights a folder lacks.

    folder (Path): The folder of a checkpoint.
    RETURNS (list[str]): The files that its index names and that are not there.
    """
    missing: set[str] = set()
    if not (folder / "model.safetensors").is_file():
        for index in folder.glob("*.safetensors.index.json"):
            try:
                files = srsly.read_json(index)["weight_map"].values()
                missing.update(file for file in files if not (folder / file).is_file())
            except (ValueError, KeyError, AttributeError, TypeError):
                missing.add(index.name)
    return sorted(missing)


def check_complete(folder: Path) -> None:
    """Refuse a folder that holds a part of a checkpoint.

    folder (Path): The folder.
    RAISES (OSError): If its download was interrupted, or it lacks weights.
    """
    marker = read_marker(folder)
    if marker is not None:
        raise OSError(Errors.OM123.format(folder=folder, command=_command(marker, folder)))
    if missing := find_missing(folder):
        why = HubReasons.LACKING.format(missing=", ".join(missing))
        raise OSError(Errors.OM106.format(name=folder, error=why))


def download(id: str, folder: Path, revision: str | None, patterns: Sequence[str]) -> None:
    """Download the files of a repository into a folder, or go on with it. Until `finish` is called
    the folder counts as incomplete.

    id (str): Id of a repository.
    folder (Path): The folder; made if it is not there.
    revision (str | None): Branch, tag or commit.
    patterns (Sequence[str]): What files to take. There have to be safetensors among them.
    RAISES (HubError): If the hub does not give them.
    RAISES (OSError): If the folder waits for another download, or a file is damaged.
    """
    marker = {"id": id, "revision": revision}
    other = read_marker(folder)
    if other and other != marker:
        raise OSError(Errors.OM124.format(folder=folder, command=_command(other, folder)))
    with _asking(id, revision):
        commit, names = _list_files(id, revision, patterns)
        folder.mkdir(parents=True, exist_ok=True)
        srsly.write_json(folder / f"{MARKER}.new", marker)
        (folder / f"{MARKER}.new").replace(folder / MARKER)
        _fetch(id, commit, names, folder)


def finish(folder: Path) -> None:
    """Declare a download complete.

    folder (Path): Its folder.
    """
    (folder / MARKER).unlink()


def download_to_cache(id: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Download the files of a repository into the local cache, or go on with it.

    id (str): Id of a repository.
    revision (str | None): Branch, tag or commit.
    patterns (Sequence[str]): What files to take. There have to be safetensors among them.
    RETURNS (Path): Their folder in the cache.
    RAISES (HubError): If the hub does not give them.
    RAISES (OSError): If a file is damaged.
    """
    from huggingface_hub import hf_hub_download

    with _asking(id, revision):
        commit, names = _list_files(id, revision, patterns)
        path = _fetch(id, commit, names)
        # The cache now learns which commit the revision is: never before it has all of it.
        hf_hub_download(id, names[0], revision=revision)
    return path


def _command(marker: dict[str, Any], folder: Path) -> str:
    """The command that goes on with a download."""
    revision = marker.get("revision")
    options = ["--revision", revision] if revision else []
    words = ["download", marker.get("id", "ID"), str(folder), *options]
    return f"python -m spacy openmed {shlex.join(words)}"


def _list_files(id: str, revision: str | None, patterns: Sequence[str]) -> tuple[str, list[str]]:
    """The commit that a revision is, and the names of its files, without those in folders."""
    from huggingface_hub import HfApi, constants

    timeout = constants.HF_HUB_ETAG_TIMEOUT
    info = HfApi().model_info(id, revision=revision or "main", timeout=timeout)
    names = [file.rfilename for file in info.siblings or ()]
    names = [name for name in names if "/" not in name and any(fnmatch(name, p) for p in patterns)]
    if not any(name.endswith(".safetensors") for name in names):
        raise OSError(Errors.OM120.format(id=id))
    return str(info.sha), names


def _fetch(id: str, commit: str, names: Sequence[str], folder: Path | None = None) -> Path:
    """Download files into a folder, or into the cache, and check them. The folder they are in."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.utils import are_progress_bars_disabled
    from tqdm.auto import tqdm

    timeout = constants.HF_HUB_ETAG_TIMEOUT
    # Asked for here, as the client's own download would try for minutes where the hub hangs.
    facts = {
        name: get_hf_file_metadata(hf_hub_url(id, name, revision=commit), timeout=timeout)
        for name in names
    }
    todo = list(names)
    for path in [folder / name for name in names] if folder is not None else ():
        is_right = _check(path, facts[path.name]) if path.is_file() else None
        if is_right:
            todo.remove(path.name)
        elif is_right is False:
            path.unlink()
    options: dict[str, Any] = {"revision": commit, "local_dir": folder}
    # Older clients show bars of their own for the bytes of each file.
    can_count = "tqdm_class" in inspect.signature(hf_hub_download).parameters
    total = sum(facts[name].size or 0 for name in todo)
    silent = are_progress_bars_disabled() or not can_count or None  # None: unless in a terminal
    with tqdm(total=total, desc=id, unit="B", unit_scale=True, disable=silent) as bar:
        if can_count:
            options["tqdm_class"] = _count_in(bar)
        for name in todo:
            path = Path(hf_hub_download(id, name, **options))
            if _check(path, facts[name]) is False:
                for damaged in {path, path.resolve()}:
                    damaged.unlink()
                raise OSError(Errors.OM125.format(file=name, id=id))
    return folder or path.parent


def _count_in(bar: Any) -> type:
    """A class of bars that are not shown: what they count, another bar does."""
    from tqdm.auto import tqdm

    class Part(tqdm):  # type: ignore[type-arg]
        def __init__(self, *_args: Any, **_settings: Any) -> None:
            super().__init__(disable=True)
            self.n_restarts = 0

        def update(self, n: float | None = 1) -> None:
            bar.update(n)
            self.n_restarts += (n or 0) < 0
            if self.n_restarts > RESTARTS:
                raise ConnectionError

        def update_transfer(self, n: float | None = 1) -> None:
            """What came over the network, which `update` counts again when it is written."""

        def set_transfer_postfix_str(self, *_args: Any, **_settings: Any) -> None:
            pass

    return Part


def _check(path: Path, facts: Any) -> bool | None:
    """Whether a file is the one that the hub tells of. None: the hub does not tell enough.

    The hub's ETag is the SHA-256 of a large file and git's name of a small one. Mirrors may give
    its plain SHA-1.
    """
    size = path.stat().st_size
    etag = facts.etag or ""
    hashes = []
    if re.fullmatch("[0-9a-f]{64}", etag):
        hashes = [hashlib.sha256()]
    elif re.fullmatch("[0-9a-f]{40}", etag):
        git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        hashes = [git, hashlib.sha1(usedforsecurity=False)]
    if facts.size is not None and facts.size != size:
        return False
    if not hashes:
        return None
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for hash in hashes:
                hash.update(chunk)
    return etag in [hash.hexdigest() for hash in hashes]


@contextmanager
def _asking(id: str, revision: str | None) -> Iterator[None]:
    """Give errors of the hub's client a reason that a user understands, in place of the client's
    warnings and of a trace through two libraries."""
    from huggingface_hub import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except Exception as error:
        if str(error).startswith("[OM"):
            raise
        raise HubError(explain(error, id, revision)) from None
    finally:
        logging.set_verbosity(verbosity)


def explain(error: BaseException, id: str, revision: str | None = None) -> str:
    """Say why the hub gave nothing, and what to do.

    error (BaseException): What its client raised, of whichever version.
    id (str): Id of a repository.
    revision (str | None): Branch, tag or commit.
    RETURNS (str): The reason.
    """
    from huggingface_hub import constants, errors

    while isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    kind, endpoint = type(error).__name__, constants.ENDPOINT
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubReasons.OFFLINE
    if isinstance(error, errors.HFValidationError):
        return HubReasons.NO_ID
    if isinstance(error, errors.RevisionNotFoundError):
        return HubReasons.NO_REVISION.format(revision=revision)
    if isinstance(error, errors.GatedRepoError):
        return HubReasons.GATED.format(url=f"{endpoint}/{id}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubReasons.NO_REPOSITORY.format(status=status)
    if status in (401, 403):
        return HubReasons.NO_ACCESS.format(status=status)
    if status == 404:
        return HubReasons.NO_FILE.format(status=status)
    if status == 429:
        return HubReasons.TOO_MANY.format(status=status)
    if status is not None:
        return HubReasons.FAILED.format(status=status)
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any("Timeout" in type(cause).__name__ for cause in causes):
        return HubReasons.TIMEOUT.format(
            endpoint=endpoint,
            seconds=max(constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT),
        )
    if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
        return HubReasons.NOT_WRITTEN.format(error=error)
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError, AssertionError)):
        return HubReasons.NO_HUB.format(endpoint=endpoint, kind=kind)
    return HubReasons.CUT.format(endpoint=endpoint, kind=kind)
