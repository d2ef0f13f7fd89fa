"""Vocabularies: records by id and by name, in a folder whose files are mapped into memory."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import Errors
from ..suggestions import near_path
from .index import CHUNK, IndexWriter, NameIndex, find_hash, to_hashes, to_starts
from .named import NAMED
from .normalise import WORDS, to_key
from .reading import read_records
from .records import Record

META = "vocabulary.json"  # written last: a folder without it is incomplete
VERSION = 1
RECORDS = "records.jsonl"
ID_ARRAYS = ("record_starts", "ids", "id_records")


class Counts(NamedTuple):
    """What a vocabulary holds.

    records (int): Its concepts.
    names (int): Their names.
    ambiguous (int): Names that several concepts have.
    """

    records: int
    names: int
    ambiguous: int


class Vocabulary:
    """The concepts of a vocabulary, by their ids and by their names.

    path (str | Path): The folder that `build_vocabulary` wrote. Its files are mapped into memory.
    RAISES (OSError): If it is not such a folder.
    """

    _record_starts: np.ndarray
    _ids: np.ndarray
    _id_records: np.ndarray

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.meta: dict[str, Any] = json.loads((self.path / META).read_text("utf8"))
            if self.meta["version"] != VERSION:
                raise OSError(Errors.OM602.format(path=path, version=self.meta["version"]))
            self.names = NameIndex(self.path)
            for name in ID_ARRAYS:
                array = np.load(self.path / f"{name}.npy", mmap_mode="r")
                setattr(self, f"_{name}", array.view(np.ndarray))
            self._texts = np.memmap(self.path / RECORDS, np.uint8, "r").view(np.ndarray)
        except (FileNotFoundError, NotADirectoryError, KeyError, ValueError) as error:
            raise OSError(Errors.OM601.format(path=path)) from error
        self.counts = Counts(*(self.meta[name] for name in Counts._fields))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return self.counts.records

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._find(id) is not None

    def __getitem__(self, id: str) -> Record:
        """RETURNS (Record): The concept with an id. RAISES (KeyError): If there is none."""
        number = self._find(id)
        if number is None:
            raise KeyError(id)
        return self.get_record(number)

    def __iter__(self) -> Iterator[str]:
        """YIELDS (str): The ids."""
        for number in range(len(self)):
            yield self.get_record(number).concept_id

    def get_record(self, number: int) -> Record:
        """RETURNS (Record): The concept with a number."""
        start, end = self._record_starts[number : number + 2]
        id, name, aliases, types, definition = json.loads(self._texts[start:end].tobytes())
        return Record(id, name, tuple(aliases), tuple(types), definition)

    def find_name(self, name: str) -> set[str]:
        """RETURNS (set[str]): The ids of the concepts with a name, ignoring case and the like."""
        numbers = self.names.get_records(self.names.find_key(to_key(name)))
        return {self.get_id(int(number)) for number in numbers}

    def get_id(self, number: int) -> str:
        """RETURNS (str): The id of the concept with a number."""
        return self.get_record(number).concept_id

    def get_types(self, number: int) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The semantic types of the concept with a number."""
        return self.get_record(number).types

    def _find(self, id: str) -> int | None:
        found = find_hash(self._ids, self._id_records, id)
        return next((int(n) for n in found if self.get_record(n).concept_id == id), None)


def build_vocabulary(
    records: Iterable[Record], path: str | Path, *, source: str = ""
) -> Vocabulary:
    """Write a vocabulary.

    records (Iterable[Record]): The concepts, each id once.
    path (str | Path): The folder to write. It must be new or empty.
    source (str): A description of the source of the records.
    RETURNS (Vocabulary): The vocabulary.
    RAISES (ValueError): If there are no records, or an id has no prefix.
    RAISES (OSError): If the folder is not empty, or is a file.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OSError(Errors.OM603.format(path=path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder) / "draft"
        draft.mkdir()
        _write(records, draft, source)
        if path.exists():
            path.rmdir()
        draft.rename(path)
    return Vocabulary(path)


def _write(records: Iterable[Record], path: Path, source: str) -> None:
    digest = blake2b(digest_size=16)
    sizes: list[int] = []
    ids: list[str] = []
    names: list[str] = []
    owners: list[int] = []
    with IndexWriter(path) as index, (path / RECORDS).open("wb") as file:
        for record in records:
            prefix, colon, local = record.concept_id.partition(":")
            if not (prefix and colon and local):
                raise ValueError(Errors.OM604.format(id=record.concept_id))
            line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
            data = line.encode("utf8")
            file.write(data)
            digest.update(data)
            sizes.append(len(data))
            names.extend(record.names)
            owners.extend([len(ids)] * (len(names) - len(owners)))
            ids.append(record.concept_id)
            if len(names) >= CHUNK:
                index.add(names, owners)
                names, owners = [], []
        if not ids:
            raise ValueError(Errors.OM605.format(source=source or "the records"))
        if names:
            index.add(names, owners)
        index.finish()
    hashes = to_hashes(ids)
    order = np.argsort(hashes, kind="stable")
    np.save(path / "record_starts.npy", to_starts(np.array(sizes, np.int64)))
    np.save(path / "ids.npy", hashes[order])
    np.save(path / "id_records.npy", order.astype(np.int32))
    meta = {
        "version": VERSION,
        "source": source,
        "fingerprint": digest.hexdigest(),
        "records": len(ids),
        "names": index.n_names,
        "ambiguous": index.n_ambiguous,
    }
    (path / META).write_text(json.dumps(meta, indent=2), "utf8")


def open_vocabulary(name: str | Path) -> Vocabulary:
    """Open a vocabulary.

    name (str | Path): The folder that `build_vocabulary` wrote; or "icd10cm", "hpo", or a file or
        folder that `read_records` reads. The first time, such a vocabulary is built in the cache
        (`HF_HOME`).
    RETURNS (Vocabulary): The vocabulary. Opening it again returns the same object.
    RAISES (OSError): If there is no such file, folder or name.
    RAISES (ValueError): If it can't be read.
    RAISES (ImportError): If the extra `linking` is not installed, and is needed.
    """
    path = Path(name)
    if (path / META).is_file():
        folder = path
    elif path.exists():
        files = [path] if path.is_file() else sorted(path.iterdir())
        stats = [(file.resolve(), file.stat()) for file in files]
        stamp: list[Any] = [[str(at), stat.st_size, stat.st_mtime_ns] for at, stat in stats]
        folder = _cache(path.name, stamp, lambda: read_records(path), path.name)
    elif str(name) in NAMED:
        named = NAMED[str(name)]
        source = f"{named.package} {named.version}"
        stamp = [source, *map(_digest, named.files)]
        folder = _cache(str(name), stamp, named.read, source)
    else:
        near = near_path(path, sorted(NAMED))
        raise OSError(Errors.OM609.format(name=name, nearest=near, known=", ".join(sorted(NAMED))))
    return _open(folder.resolve(), (folder / META).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _open(path: Path, _stamp: int) -> Vocabulary:
    return Vocabulary(path)


def _cache(name: str, stamp: Any, read: Callable[[], Iterable[Record]], source: str) -> Path:
    """RETURNS (Path): The folder in the cache with a vocabulary, written if it is not there."""
    from huggingface_hub import cached_assets_path

    # The words decide how names are indexed.
    key = _hash(json.dumps([VERSION, _digest(WORDS), stamp]).encode())
    folder = cached_assets_path("spacy-openmed", "vocabularies") / f"{name}-{key}"
    if not (folder / META).is_file():
        try:
            build_vocabulary(read(), folder, source=source)
        except OSError:
            if not (folder / META).is_file():
                raise
            # Another process wrote it in the meantime.
    return folder


def _digest(path: Path) -> str:
    return _hash(path.read_bytes())


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
