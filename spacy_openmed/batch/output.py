"""Write the rows of a job, part by part, so that it can go on where it stopped."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs, parquet
from spacy.tokens import DocBin

from ..errors import Errors
from .sources import find_filesystem

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"


@dataclass
class Summary:
    """What a run, or a part of it, came to.

    rows (int): Texts.
    entities (Counter[str]): Entities by label.
    errors (Counter[str]): Rows without entities, by what is wrong with them.
    places (dict[str, str]): Where the first of these rows is.
    n_kept (int): Texts that an earlier run has done.
    """

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)
    n_kept: int = 0

    def add(self, other: "Summary") -> None:
        """Add another's counts."""
        self.rows += other.rows
        self.entities.update(other.entities)
        self.errors.update(other.errors)
        self.places = {**other.places, **self.places}
        self.n_kept += other.n_kept

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The counts, for JSON."""
        return {
            "rows": self.rows,
            "entities": dict(self.entities),
            "errors": dict(self.errors),
            "places": self.places,
        }


class Output:
    """The folder that a job writes.

    path (str): The folder, or its URL.
    format (str): One of `FORMATS`.
    """

    def __init__(self, path: str, format: str) -> None:
        self.path, self.format = path, format
        self.filesystem, self.root = find_filesystem(path)

    def check(self, *, force: bool, is_stream: bool) -> list[str]:
        """Look at what the folder holds. Nothing is written.

        force (bool): Whether an earlier run's output may be removed.
        is_stream (bool): Whether the job reads standard input, and so can't go on.
        RETURNS (list[str]): The names of an earlier run's files.
        RAISES (ValueError): If it holds anything else, or what was read from standard input.
        """
        with self._writing():
            if self.filesystem.get_file_info(self.root).type == fs.FileType.NotFound:
                return []
            files = self.filesystem.get_file_info(fs.FileSelector(self.root))
        names = [file.base_name for file in files]
        ours = re.compile(r"\.?_?part-\d+\..*|\.?_SUCCESS|\.?_manifest\.json")
        if any(not ours.fullmatch(name) for name in names):
            raise ValueError(Errors.OM358.format(path=self.path))
        if is_stream and not force and MANIFEST in names:
            raise ValueError(Errors.OM361.format(path=self.path))
        return names

    def compare(self, names: Sequence[str], manifest: bytes, force: bool) -> None:
        """Make sure that the folder's files are the same job's. Nothing is written.

        names (Sequence[str]): The files.
        manifest (bytes): The job's manifest.
        force (bool): Whether they are to be removed.
        RAISES (ValueError): If they are not.
        """
        has_shards = any("part-" in name and name[0] != "." for name in names)
        if force:
            return
        if MANIFEST not in names:
            if has_shards or SUCCESS in names:
                raise ValueError(Errors.OM358.format(path=self.path))
            return
        try:
            known = self._read_json(MANIFEST)
        except ValueError:
            if has_shards:
                raise ValueError(Errors.OM370.format(path=self.path, file=MANIFEST)) from None
            return
        own = json.loads(manifest)
        if what := [key for key in own if known.get(key) != own[key]]:
            raise ValueError(Errors.OM357.format(path=self.path, what=" and ".join(what)))

    def begin(self, names: Sequence[str], manifest: bytes, force: bool) -> None:
        """Make the folder ready: what a run that was killed was writing is removed.

        names (Sequence[str]): The files that are there.
        manifest (bytes): The job's manifest.
        force (bool): Remove all of them.
        RAISES (OSError): If it can't be written to.
        """
        with self._writing():
            self.filesystem.create_dir(self.root, recursive=True)
            for name in names:
                if force or name.startswith("."):
                    self.filesystem.delete_file(self._path(name))
        self._write(MANIFEST, manifest)

    def read_counts(self, number: int) -> Summary | None:
        """RETURNS (Summary | None): What is in a shard; None if it is not there."""
        paths = [self._path(name) for name in self._names(number)]
        if not all(info.size for info in self.filesystem.get_file_info(paths)):
            return None
        try:
            counts = self._read_json(self._names(number)[1])
            return Summary(
                counts["rows"],
                Counter(counts["entities"]),
                Counter(counts["errors"]),
                dict(counts["places"]),
            )
        except (KeyError, ValueError):
            return None

    def write(self, number: int, parts: Sequence[Any], counts: Summary) -> None:
        """Write a shard.

        number (int): Its number.
        parts (Sequence[pa.Table | bytes]): Its parts.
        counts (Summary): What is in them.
        """
        shard, sidecar = self._names(number)
        self._write(sidecar, to_json(counts.to_dict()))  # first: what counts is the shard
        self._write(shard, _WRITERS[self.format](parts))

    def finish(self, summary: Summary) -> None:
        """Say that all is there.

        summary (Summary): What is in all shards.
        """
        self._write(SUCCESS, to_json(summary.to_dict()))

    def _names(self, number: int) -> tuple[str, str]:
        return f"part-{number:05}.{self.format}", f"_part-{number:05}.json"

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self.root) / name)

    def _read_json(self, name: str) -> dict[str, Any]:
        """RAISES (ValueError): If the file does not hold a JSON object."""
        with self.filesystem.open_input_stream(self._path(name)) as stream:
            value = json.loads(stream.read())
        if not isinstance(value, dict):
            raise ValueError
        return value

    def _write(self, name: str, content: Any) -> None:
        """Write a file beside its place, and then move it there."""
        temporary = self._path(f".{name}")
        with self._writing():
            try:
                with self.filesystem.open_output_stream(temporary, compression=None) as stream:
                    stream.write(content)
                self.filesystem.move(temporary, self._path(name))
            except OSError:
                with suppress(OSError):  # on a full disk, it only takes room
                    self.filesystem.delete_file(temporary)
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what can't be written, and how to go on."""
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            raise OSError(Errors.OM366.format(path=self.path, error=why)) from error


def to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf8")


def _to_parquet(parts: Sequence[pa.Table]) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.concat_tables(parts), sink, compression="zstd")
    return sink.getvalue()


def _to_jsonl(parts: Sequence[pa.Table]) -> bytes:
    rows = (row for part in parts for row in part.to_pylist())
    lines = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    return "".join(lines).encode("utf8")


def _to_spacy(parts: Sequence[bytes]) -> bytes:
    docs = DocBin(store_user_data=True)
    for part in parts:
        docs.merge(DocBin(store_user_data=True).from_bytes(part))
    return docs.to_bytes()


_WRITERS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "parquet": _to_parquet,
    "jsonl": _to_jsonl,
    "spacy": _to_spacy,
}
FORMATS = tuple(_WRITERS)
