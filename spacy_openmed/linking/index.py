"""The names of a vocabulary, in memory-mapped files that processes share.

A name is found by its key (`normalise.to_key`), by its words in any order, or by the character
trigrams that it shares with a mention. The mention's rarest trigrams are looked up first, until
they have led to `MOST_POSTINGS` names. The best of these names are then compared in full. So the
time per mention does not grow with the vocabulary.
"""

import threading
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import numpy as np

from .normalise import to_key, to_word_key, to_words

N_GRAMS = 1 << 18  # buckets of groups of three characters
N_WORDS = 1 << 18  # buckets of words
MOST_POSTINGS = 20_000  # names sharing a trigram with a mention, to choose the nearest from
CHUNK = 50_000  # names indexed at once
ARRAYS = (
    "name_starts",  # where the text of each name begins
    "name_records",  # its record
    "name_norms",  # the length of its vector
    "keys",  # sorted hashes of keys
    "key_names",  # the name of each
    "words",  # the same for words
    "word_names",
    "gram_starts",  # where the names with each group of characters begin
    "gram_names",
    "name_gram_starts",  # where the groups of characters of each name begin
    "name_grams",
    "gram_idf",
    "word_idf",
)
TEXTS = "names.txt"


class NameIndex:
    """The names of a vocabulary, indexed for comparison with mentions.

    path (Path): The folder that `IndexWriter` wrote.
    """

    _name_starts: np.ndarray
    _name_records: np.ndarray
    _name_norms: np.ndarray
    _keys: np.ndarray
    _key_names: np.ndarray
    _words: np.ndarray
    _word_names: np.ndarray
    _gram_starts: np.ndarray
    _gram_names: np.ndarray
    _name_gram_starts: np.ndarray
    _name_grams: np.ndarray
    _gram_idf: np.ndarray
    _word_idf: np.ndarray

    def __init__(self, path: Path) -> None:
        # As plain arrays: slicing a memmap is slower.
        for name in ARRAYS:
            array = np.load(path / f"{name}.npy", mmap_mode="r")
            setattr(self, f"_{name}", array.view(np.ndarray))
        self._texts = np.memmap(path / TEXTS, np.uint8, "r").view(np.ndarray)
        self._local = threading.local()

    def __len__(self) -> int:
        return len(self._name_records)

    def get_text(self, name: int) -> str:
        """RETURNS (str): The text of a name."""
        start, end = self._name_starts[name : name + 2]
        return self._texts[start:end].tobytes().decode("utf8")

    def get_records(self, names: np.ndarray) -> np.ndarray:
        """RETURNS (Ints1d): The record of each name."""
        return self._name_records[names]

    def find_key(self, key: str) -> np.ndarray:
        """RETURNS (Ints1d): The names of a key, see `to_key`."""
        return find_hash(self._keys, self._key_names, key)

    def find_words(self, key: str) -> np.ndarray:
        """RETURNS (Ints1d): The names with the same words as a key, in any order."""
        return find_hash(self._words, self._word_names, to_word_key(key))

    def get_idf(self, words: Sequence[str]) -> np.ndarray:
        """RETURNS (Floats1d): How rare each word is in the vocabulary."""
        return self._word_idf[_to_buckets(words)]

    def is_canonical(self, names: np.ndarray) -> np.ndarray:
        """RETURNS (Bools1d): Whether each name is the first of its record."""
        before = np.maximum(names - 1, 0)
        return (names == 0) | (self._name_records[before] != self._name_records[names])

    def search(self, grams: np.ndarray, n: int) -> np.ndarray:
        """Find the names that share the most groups of three characters with a key.

        grams (Ints1d): What `to_bag` returned for the key.
        n (int): How many to find.
        RETURNS (Ints1d): The names, the nearest first, judged by the rarest groups.
        """
        starts, ends = self._gram_starts[grams], self._gram_starts[grams + 1]
        order = np.argsort(ends - starts)
        order = order[(ends - starts)[order] > 0]
        n_met = np.cumsum((ends - starts)[order])
        rare = order[: max(1, int(np.searchsorted(n_met, MOST_POSTINGS, side="right")))]
        if not len(rare):
            return np.empty(0, np.int64)
        sums, _ = self._scratch
        weights = self._gram_idf[grams] ** 2
        lists = [self._gram_names[starts[i] : ends[i]] for i in rare]
        for names, i in zip(lists, rare, strict=True):
            sums[names] += weights[i]
        met = np.concatenate(lists)
        partial = sums[met] / self._name_norms[met]
        sums[met] = 0
        # A name was met once for each group that it shares.
        best = met[find_best(partial, n * len(rare))]
        return best[np.sort(np.unique(best, return_index=True)[1])[:n]].astype(np.int64)

    def compare(self, grams: np.ndarray, names: np.ndarray) -> np.ndarray:
        """Compare names with a key.

        grams (Ints1d): What `to_bag` returned for the key.
        names (Ints1d): The names.
        RETURNS (Floats1d): The cosines of their vectors: of groups of three characters, in the key
            and in the words that it is compared by, weighted by how rare they are.
        """
        if not len(names):
            return np.empty(0, np.float32)
        _, weights = self._scratch
        squares = self._gram_idf[grams] ** 2
        weights[grams] = squares
        # The groups of all names one after another, and where those of each begin.
        begin, end = self._name_gram_starts[names], self._name_gram_starts[names + 1]
        sizes = end - begin
        at = np.cumsum(sizes) - sizes
        places = np.arange(sizes.sum()) + np.repeat(begin - at, sizes)
        found = np.concatenate([weights[self._name_grams[places]], [0]])
        sums = np.where(sizes > 0, np.add.reduceat(found, at), 0)
        weights[grams] = 0
        return sums / (self._name_norms[names] * (float(np.sqrt(squares.sum())) or 1.0))

    @property
    def _scratch(self) -> tuple[np.ndarray, np.ndarray]:
        """Scratch arrays for counting, zero between calls, one set per thread."""
        if not hasattr(self._local, "scratch"):
            self._local.scratch = (
                np.zeros(len(self), np.float32),
                np.zeros(N_GRAMS, np.float32),
            )
        return self._local.scratch


class IndexWriter:
    """Writes the files that `NameIndex` reads. Names are added in the order of their records.

    path (Path): The folder, which must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_names = 0
        self._file = (path / TEXTS).open("wb")
        self._sizes: list[np.ndarray] = []
        self._records: list[np.ndarray] = []
        self._keys: list[np.ndarray] = []
        self._words: list[np.ndarray] = []
        self._grams: list[np.ndarray] = []
        self._n_grams: list[np.ndarray] = []
        self._word_counts = np.zeros(N_WORDS, np.int64)
        self.n_ambiguous = 0

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, names: Sequence[str], records: Sequence[int]) -> None:
        """Add names.

        names (Sequence[str]): The names.
        records (Sequence[int]): The number of each name's record.
        """
        texts = [name.encode("utf8") for name in names]
        keys = [to_key(name) for name in names]
        self._file.write(b"".join(texts))
        self._sizes.append(np.array([len(text) for text in texts], np.int64))
        self._records.append(np.array(records, np.int32))
        self._keys.append(to_hashes(keys))
        self._words.append(to_hashes([to_word_key(key) for key in keys]))
        own_words = [" ".join(to_words(key)) for key in keys]
        words = [word for text in own_words for word in {*text.split()}]
        self._word_counts += np.bincount(_to_buckets(words), minlength=N_WORDS)
        grams, owners = _to_grams(keys)
        more, their_owners = _to_grams(own_words)
        grams, owners = np.concatenate([grams, more]), np.concatenate([owners, their_owners])
        pairs = np.unique(owners * N_GRAMS + grams)
        self._grams.append((pairs % N_GRAMS).astype(np.int32))
        self._n_grams.append(np.bincount(pairs // N_GRAMS, minlength=len(names)))
        self.n_names += len(names)

    def finish(self) -> None:
        """Write the arrays. At least one name must have been added."""
        grams = np.concatenate(self._grams)
        n_grams = np.concatenate(self._n_grams)
        counts = np.bincount(grams, minlength=N_GRAMS)
        idf = _to_idf(counts, self.n_names)
        name_starts = to_starts(n_grams)
        squares = np.concatenate([[0.0], np.cumsum(idf[grams].astype(np.float64) ** 2)])
        norms = np.sqrt(np.diff(squares[name_starts]))
        owners = np.repeat(np.arange(self.n_names, dtype=np.int32), n_grams)
        arrays = {
            "name_starts": to_starts(np.concatenate(self._sizes)),
            "name_records": np.concatenate(self._records),
            "name_norms": np.maximum(norms, 1e-6).astype(np.float32),
            "gram_starts": to_starts(counts),
            "gram_names": owners[np.argsort(grams, kind="stable")],
            "name_gram_starts": name_starts,
            "name_grams": grams,
            "gram_idf": idf,
            "word_idf": _to_idf(self._word_counts, self.n_names),
        }
        for kind, hashes in (("key", self._keys), ("word", self._words)):
            joined = np.concatenate(hashes)
            order = np.argsort(joined, kind="stable")
            arrays[f"{kind}s"] = joined[order]
            arrays[f"{kind}_names"] = order.astype(np.int32)
        owners = arrays["name_records"][arrays["key_names"]]
        keys = arrays["keys"]
        is_shared = (keys[1:] == keys[:-1]) & (owners[1:] != owners[:-1])
        self.n_ambiguous = len(np.unique(keys[1:][is_shared]))
        for name in ARRAYS:
            np.save(self.path / f"{name}.npy", arrays[name])


def to_bag(key: str) -> np.ndarray:
    """RETURNS (Ints1d): The groups of three characters of a key, and of its words, each once."""
    return np.unique(_to_grams([key, " ".join(to_words(key))])[0])


def _to_grams(keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """RETURNS (tuple[Ints1d, Ints1d]): The groups of three characters of keys, with a space before
    and after each key, as numbers of buckets; and the key of each."""
    sizes = np.array([len(key) + 1 for key in keys])
    points = np.frombuffer(f" {' '.join(keys)} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashed = points[:-2] * 0x9E3779B1 + points[1:-1] * 0x85EBCA77 + points[2:] * 0xC2B2AE3D
    hashed ^= hashed >> np.uint64(15)
    grams = (hashed * np.uint64(0x27D4EB2F) >> np.uint64(13)) % N_GRAMS
    # At the start of a key, two groups span two keys; the first is the end of the previous key.
    owners = np.repeat(np.arange(len(keys)), sizes)[: len(grams)]
    is_own = np.ones(len(grams), bool)
    is_own[np.cumsum(sizes)[:-1] - 1] = False
    return grams[is_own].astype(np.int64), owners[is_own]


def to_hashes(texts: Iterable[str]) -> np.ndarray:
    """RETURNS (Ints1d): A hash of 64 bits for each text, the same in every process."""
    digests = [blake2b(text.encode("utf8"), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), np.uint64)


def _to_buckets(words: Iterable[str]) -> np.ndarray:
    return np.array([crc32(word.encode("utf8")) % N_WORDS for word in words], np.int64)


def find_hash(hashes: np.ndarray, values: np.ndarray, text: str) -> np.ndarray:
    """RETURNS (Ints1d): The values at the positions of a text's hash among sorted hashes. With 64
    bits, collisions are negligible."""
    start, end = np.searchsorted(hashes, [number := to_hashes([text])[0], number + 1])
    return values[start:end]


def to_starts(sizes: np.ndarray) -> np.ndarray:
    """RETURNS (Ints1d): Where each of several pieces begins, and where the last ends."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _to_idf(counts: np.ndarray, n: int) -> np.ndarray:
    return (np.log((1 + n) / (1 + counts)) + 1).astype(np.float32)


def find_best(values: np.ndarray, n: int) -> np.ndarray:
    """RETURNS (Ints1d): The places of the highest values, the best first."""
    best = np.argpartition(-values, min(n, len(values) - 1))[:n]
    return best[np.argsort(-values[best], kind="stable")]
