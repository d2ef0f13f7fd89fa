"""The training data of `mini`: passages of pieces, with labels for the heads that learn from them.

The heads file names the corpora, and says which types of which corpus are gold for which head. A
passage has a row of labels for each of those heads, with `IGNORE` where a head does not learn.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import spacy
from corpora import find_corpora, read_sentences
from mini_training import batch_rows, bucket, make_batches
from mini_words import make_fragment, make_names
from privacy_data import read_privacy

from notes_corpus import annotate, read_notes, read_rows, read_standoff

IGNORE = -100
ASSERTION = "assertion"
ALL = "all"  # types of a head, in the heads file
# A DRUG that is taken is asserted as a PROBLEM that is present.
SAME_ASSERTION = {"TAKEN": "PRESENT"}


@dataclass(frozen=True)
class Head:
    """A label set: a slice of the checkpoint's logits.

    dataset (str): Its name.
    types (tuple[str, ...]): Its entity types, or the values of the assertion head.
    start (int): First column of its slice.
    is_kept (bool): False if it is only used in training, and not bundled.
    groups (Mapping[str, Sequence[str]]): For the assertion head: the values that mentions of each
        type may have.
    """

    dataset: str
    types: tuple[str, ...]
    start: int
    is_kept: bool = True
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_assertion(self) -> bool:
        return bool(self.groups)

    @property
    def labels(self) -> list[str]:
        if self.is_assertion:
            return list(self.types)
        return ["O", *(f"{bio}-{t}" for t in self.types for bio in "BI")]


class Span(NamedTuple):
    """An annotation of a text: its characters, and the type."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Annotated:
    """A text with annotations in layers.

    id (str): Its id.
    text (str): The text.
    layers (Mapping[str, Sequence[Span]]): "entities" and, in the notes corpus, "assertion" and
        "privacy".
    """

    id: str
    text: str
    layers: Mapping[str, Sequence[Span]]


@dataclass(frozen=True)
class Passage:
    """A run of pieces of one corpus.

    corpus (str): The corpus.
    doc (int): Number of its document. Neighbours of one document may be joined.
    pieces (Ints1d): (n_pieces,) Ids of the pieces.
    labels (Ints2d): (n_rows, n_pieces) A row for each head that the corpus is gold for.
    fixed (tuple[int, ...]): Rows that describe the place rather than the words. They stay in place
        when a mention is swapped for another.
    """

    corpus: str
    doc: int
    pieces: np.ndarray
    labels: np.ndarray
    fixed: tuple[int, ...] = ()

    @cached_property
    def mentions(self) -> list[tuple[int, int, int, int]]:
        return find_mentions(self.labels, self.fixed)


@dataclass(frozen=True)
class Corpus:
    """A corpus of the heads file.

    name (str): Its name, and its folder's.
    reader (str): "iob", "docs", "notes", "standoff", "privacy" or "fragments".
    heads (Mapping[str, Mapping[str, str | None]]): For each head, its type for each type of the
        corpus. None: such mentions are not entities for this head, and nothing else is known. No
        types at all: the corpus has no entities of this head.
    layers (Mapping[str, str]): The layer that a head reads, if it is not "entities".
    tags (Mapping[str, str]): The folder of a head's tags, if it is not the corpus' own. It has the
        same tokens.
    splits (Mapping[str, str]): The files of the splits, if they have other names.
    held_out (int): Every n-th document of the training split forms the dev split. 0: the corpus
        has a dev split.
    is_document (bool): Whether neighbouring sentences belong to one document.
    sample (float): How often it is read in an epoch.
    negatives (float): Share of the passages without a mention that are read.
    swap (float): Share of the passages in which mentions are swapped.
    wrap (float): Share of the passages that are wrapped into lines.
    names (bool): Whether mentions are also swapped for names from `mini_words.json`.
    texts (int): For fragments: how many are made for an epoch.
    repeat (Mapping[str, int]): For a head with few mentions, how many extra times each passage with
        one of them is read.
    """

    name: str
    reader: str
    heads: Mapping[str, Mapping[str, str | None]]
    layers: Mapping[str, str]
    tags: Mapping[str, str]
    splits: Mapping[str, str]
    held_out: int = 0
    is_document: bool = True
    sample: float = 1.0
    negatives: float = 1.0
    swap: float | None = None
    wrap: float = 0.1
    names: bool = False
    texts: int = 0
    repeat: Mapping[str, int] = field(default_factory=dict)


def read_heads(path: Path) -> tuple[list[Head], list[Corpus]]:
    """Read the heads file.

    path (Path): The file.
    RETURNS (tuple[list[Head], list[Corpus]]): Its heads, in the order of their logits, and the
        corpora.
    """
    data = json.loads(path.read_text(encoding="utf8"))
    heads: list[Head] = []
    start = 0
    for dataset, row in data["heads"].items():
        groups = row.get("groups", {})
        types = row.get("types") or dict.fromkeys(t for own in groups.values() for t in own)
        head = Head(dataset, tuple(types), start, row.get("keep", True), groups)
        start += len(head.labels)
        heads.append(head)
    corpora = []
    for name, row in data["corpora"].items():
        parts = {"layers": {}, "tags": {}, "splits": {}, **row}
        # A list of types, or all of a head, are called so in the corpus, too.
        types_of = {head.dataset: head.types for head in heads}
        parts["heads"] = {
            head: types
            if isinstance(types, dict)
            else {t: t for t in (types_of[head] if types == ALL else types)}
            for head, types in row["heads"].items()
        }
        corpora.append(Corpus(name, **parts))
    return heads, corpora


# ---------------------------------------------------------------------------------------
# Texts


class TaggedSentence(NamedTuple):
    """A sentence: number of its document, tokens, and the tags for each head of its corpus."""

    doc: int
    tokens: Sequence[str]
    tags: list[Sequence[str]]


def read_iob(corpus: Corpus, split: str) -> list[TaggedSentence]:
    """RETURNS (list[TaggedSentence]): The sentences of a split."""
    file = corpus.splits.get(split, split)
    if corpus.reader == "privacy":
        own = read_privacy(split)
        tags = dict.fromkeys(corpus.heads, own)
    else:
        own = read_sentences(corpus.name, file)
        tags = {h: read_sentences(corpus.tags[h], file) for h in corpus.heads if h in corpus.tags}
    columns = [tags.get(head, own) for head in corpus.heads]
    return [
        TaggedSentence(sentence.doc, sentence.tokens, [column[i].tags for column in columns])
        for i, sentence in enumerate(own)
        if _is_in(split, corpus, sentence.doc if corpus.is_document else i // 20)
    ]


def _is_in(split: str, corpus: Corpus, group: int) -> bool:
    if not corpus.held_out or split == "test":
        return True
    return (group % corpus.held_out == corpus.held_out - 1) == (split == "dev")


def read_documents(corpus: Corpus, split: str, epoch: int = 0) -> Iterator[Annotated]:
    """Read whole texts.

    corpus (Corpus): A corpus of documents.
    split (str): The split.
    epoch (int): Notes have other identifiers in every epoch.
    YIELDS (Annotated): Its texts.
    """
    if corpus.reader == "notes":
        for note in read_notes(split=split):
            yield _from_note(note.id, annotate(note, seed=epoch))
    elif corpus.reader == "fragments":
        rng = random.Random(f"{corpus.name}-{epoch}")
        for i in range(corpus.texts if split == "train" else 0):
            yield _from_note(f"{corpus.name}-{i}", make_fragment(rng))
    elif corpus.reader == "standoff":
        for id, text in read_standoff(split):
            yield _from_note(id, text)
    else:
        path = find_corpora() / "docs" / corpus.name / f"{corpus.splits.get(split, split)}.jsonl"
        for i, row in enumerate(read_rows(path)):
            if _is_in(split, corpus, i):
                spans = [Span(*span) for span in row["entities"]]
                yield Annotated(f"{corpus.name}/{row['id']}", row["text"], {"entities": spans})


def _from_note(id: str, text: Any) -> Annotated:
    return Annotated(
        id,
        text.text,
        {
            "entities": [Span(s.start, s.end, s.label) for s in text.entities],
            ASSERTION: [
                Span(s.start, s.end, SAME_ASSERTION.get(s.assertion, s.assertion))
                for s in text.entities
                if s.assertion
            ],
            "privacy": [Span(s.start, s.end, s.label) for s in text.identifiers],
        },
    )


SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


class Leaks:
    """Sentences that must not be trained on, wherever they occur.

    Short ones (headings, "METHODS:") are everywhere and give nothing away.
    """

    PREFIX = 25  # fewest letters and digits of a sentence

    def __init__(self) -> None:
        self.keys: dict[str, list[str]] = {}
        self.exact: set[str] = set()

    def add(self, tokens: Sequence[str]) -> None:
        key = to_key("".join(tokens))
        if len(tokens) >= 5:
            self.exact.add(key)
            if len(key) >= self.PREFIX:
                self.keys.setdefault(key[: self.PREFIX], []).append(key)

    def add_text(self, text: str) -> None:
        for sentence in SENTENCE_END.split(text):
            self.add(sentence.split())

    def are_in(self, text: str) -> bool:
        """RETURNS (bool): Whether a text is, or holds, one of them."""
        key = to_key(text)
        return key in self.exact or any(
            key.startswith(found, i)
            for i in range(len(key) - self.PREFIX + 1)
            for found in self.keys.get(key[i : i + self.PREFIX], ())
        )


def to_key(text: str) -> str:
    """RETURNS (str): A text without case, spaces and punctuation, whatever its tokens are."""
    return re.sub(r"[\W_]+", "", text).lower()


# Never trained on: they show how the model does on corpora that it has not seen.
UNSEEN = {"CRAFT": ("train", "dev", "test"), "FSU-PRGE": ("test",)}


def find_leaks(corpora: Iterable[Corpus], splits: Sequence[str]) -> Leaks:
    """Collect the sentences of all corpora that are not trained on.

    corpora (Iterable[Corpus]): The corpora.
    splits (Sequence[str]): What is trained on: train, or train and dev.
    RETURNS (Leaks): The other sentences.
    """
    leaks = Leaks()
    folders: dict[str, tuple[str, ...]] = dict(UNSEEN)
    others = tuple(split for split in ("dev", "test") if split not in splits)
    for corpus in corpora:
        if corpus.reader == "iob" and not corpus.splits:
            for folder in {corpus.name, *corpus.tags.values()}:
                folders[folder] = others
        elif corpus.reader == "privacy":
            for split in others:
                for sentence in read_privacy(split):
                    leaks.add(sentence.tokens)
        elif corpus.held_out and "dev" in others and corpus.reader == "iob":
            for _, tokens, _ in read_iob(corpus, "dev"):
                leaks.add(tokens)
        elif corpus.reader == "docs":
            for split in others:
                if split == "dev" or not corpus.splits:
                    for document in read_documents(corpus, split) if _has(corpus, split) else ():
                        leaks.add_text(document.text)
    for folder, names in folders.items():
        for split in names:
            for sentence in read_sentences(folder, split):
                leaks.add(sentence.tokens)
    return leaks


def _has(corpus: Corpus, split: str) -> bool:
    return not corpus.splits or split in corpus.splits


def training_sentences(corpus: Corpus, split: str, leaks: Leaks) -> list[TaggedSentence]:
    """RETURNS (list[TaggedSentence]): The sentences of a split that may be learned from."""
    if not _has(corpus, split):
        return []
    return [row for row in read_iob(corpus, split) if not leaks.are_in("".join(row.tokens))]


def training_documents(corpus: Corpus, split: str, leaks: Leaks, epoch: int = 0) -> list[Annotated]:
    """RETURNS (list[Annotated]): The documents of a split that may be learned from."""
    if not _has(corpus, split):
        return []
    return [d for d in read_documents(corpus, split, epoch) if not leaks.are_in(d.text)]


# ---------------------------------------------------------------------------------------
# Pieces


class Encoder:
    """Turns texts into passages without special pieces.

    tokenizer (PreTrainedTokenizerFast): The checkpoint's tokenizer.
    heads (Sequence[Head]): All heads.
    """

    def __init__(self, tokenizer: Any, heads: Sequence[Head]) -> None:
        self.tokenizer = tokenizer
        self.ids = {
            head.dataset: {label: i for i, label in enumerate(head.labels)} for head in heads
        }
        self.words = spacy.blank("en").tokenizer
        ids = range(len(tokenizer))
        self.is_word = np.array(
            [not p.startswith("##") for p in tokenizer.convert_ids_to_tokens(ids)]
        )
        # None: of an encoder that prepare_mini.py did not write.
        self.newline: int | None = tokenizer.get_vocab().get("\n")

    def encode_sentences(self, corpus: Corpus, rows: Sequence[TaggedSentence]) -> list[Passage]:
        """One passage a sentence. Labels stand on the first piece of every word of the tokenizer.
        These words are finer than the corpora's tokens: other tokenizers may cut "OCI-AML-1" at
        its hyphens."""
        encoding = self.tokenizer(
            [list(tokens) for _, tokens, _ in rows],
            is_split_into_words=True,
            add_special_tokens=False,
        )
        passages = []
        for i, (doc, _, tags) in enumerate(rows):
            pieces = np.asarray(encoding["input_ids"][i], dtype="int64")
            tokens = encoding.word_ids(i)
            starts = self.is_word[pieces]
            labels = np.full((len(tags), len(pieces)), IGNORE, dtype="int64")
            for h, head in enumerate(corpus.heads):
                previous = None
                for p, token in enumerate(tokens):
                    if token != previous:
                        labels[h, p] = self._label(corpus, head, tags[h][token])
                    elif starts[p]:
                        tag = tags[h][token].replace("B-", "I-", 1)
                        labels[h, p] = self._label(corpus, head, tag)
                    previous = token
            passages.append(Passage(corpus.name, doc, pieces, labels))
        return passages

    def _label(self, corpus: Corpus, head: str, tag: str) -> int:
        prefix, _, kind = tag.partition("-")
        types = corpus.heads[head]
        if tag == "O":
            return IGNORE if None in types.values() else 0
        known = types.get(kind, "")
        if known is None:
            return 0
        return self.ids[head].get(f"{prefix}-{known}", 0)

    def encode_documents(self, corpus: Corpus, texts: Sequence[Annotated]) -> list[Passage]:
        """Passages of a sentence or line each. Labels stand on the first piece of every word of
        the tokenizer, and of every spaCy token ("40mg" is one word and two tokens)."""
        if not texts:
            return []
        fixed = tuple(h for h, head in enumerate(corpus.heads) if head == ASSERTION)
        passages = []
        encoding = self.tokenizer(
            [text.text for text in texts], add_special_tokens=False, return_offsets_mapping=True
        )
        for doc, text in enumerate(texts):
            pieces = np.asarray(encoding["input_ids"][doc], dtype="int64")
            if not len(pieces):
                continue
            starts, ends = np.asarray(encoding["offset_mapping"][doc], dtype="int64").T
            tokens = np.array([token.idx for token in self.words(text.text)])
            asked = (self.is_word[pieces] | np.isin(starts, tokens)) & (
                pieces != (-1 if self.newline is None else self.newline)
            )
            labels = np.full((len(corpus.heads), len(pieces)), IGNORE, dtype="int64")
            cuts = np.ones(len(pieces), dtype=bool)  # places that no mention spans
            for h, (head, types) in enumerate(corpus.heads.items()):
                spans = longest(text.layers.get(corpus.layers.get(head, "entities"), ()))
                if head != ASSERTION and None not in types.values():
                    labels[h, asked] = 0
                for span in spans:
                    first, last = (
                        np.searchsorted(ends, span.start, "right"),
                        np.searchsorted(starts, span.end),
                    )
                    cuts[first + 1 : last] = False
                    where = np.flatnonzero(asked[first:last]) + first
                    kind = types.get(span.type, "")
                    if not len(where) or kind == "":
                        continue
                    if head == ASSERTION:
                        labels[h, where] = self.ids[head][str(kind)]
                    elif kind is None:
                        labels[h, where] = 0
                    else:
                        labels[h, where] = self.ids[head][f"I-{kind}"]
                        labels[h, where[0]] = self.ids[head][f"B-{kind}"]
            ends_of_lines = [
                m.end() for m in re.finditer(r"\n+|(?<=[.!?])\s+(?=[A-Z(\"'])", text.text)
            ]
            places = np.searchsorted(starts, ends_of_lines)
            inner = [int(i) for i in places if 0 < i < len(pieces) and cuts[i]]
            at = [0, *inner, len(pieces)]
            for a, b in zip(at, at[1:], strict=False):
                if b > a:
                    passages.append(Passage(corpus.name, doc, pieces[a:b], labels[:, a:b], fixed))
        return passages


def longest(spans: Iterable[Span]) -> list[Span]:
    """RETURNS (list[Span]): Spans that do not overlap: the longest of those that do."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= other.start or span.start >= other.end for other in chosen):
            chosen.append(span)
    return chosen


# ---------------------------------------------------------------------------------------
# Epochs


def join(passages: Sequence[Passage]) -> Passage:
    """RETURNS (Passage): Several passages joined to one."""
    first = passages[0]
    if len(passages) == 1:
        return first
    return Passage(
        first.corpus,
        first.doc,
        np.concatenate([p.pieces for p in passages]),
        np.concatenate([p.labels for p in passages], axis=1),
        first.fixed,
    )


def join_context(
    passages: Sequence[Passage], lengths: Sequence[int], rng: random.Random
) -> list[Passage]:
    """A third of the sentences alone, the others joined with those that follow in their document.

    passages (Sequence[Passage]): The sentences of a corpus, in order.
    lengths (Sequence[int]): Most pieces of a passage; one is drawn for each.
    rng (Random): Random numbers.
    RETURNS (list[Passage]): The passages.
    """
    joined = []
    i = 0
    while i < len(passages):
        group = [passages[i]]
        if rng.random() < 0.67:
            target = rng.choice(lengths)
            size = len(passages[i].pieces)
            while (
                i + len(group) < len(passages)
                and passages[i + len(group)].doc == passages[i].doc
                and size + len(passages[i + len(group)].pieces) <= target
            ):
                size += len(passages[i + len(group)].pieces)
                group.append(passages[i + len(group)])
        i += len(group)
        joined.append(join(group))
    return joined


def cut(passages: Sequence[Passage], length: int) -> list[Passage]:
    """Cut passages that are too long."""
    return [
        replace(p, pieces=p.pieces[i : i + length], labels=p.labels[:, i : i + length])
        for p in passages
        for i in range(0, len(p.pieces), length)
    ]


def find_mentions(labels: np.ndarray, fixed: Sequence[int] = ()) -> list[tuple[int, int, int, int]]:
    """RETURNS: Row, id of the type's "B-" label, start and end of each mention of a passage.

    Only those whose borders cut no mention of another row.
    """
    found = []
    rows = [h for h in range(len(labels)) if h not in fixed]
    for h in rows:
        row = labels[h]
        words = np.flatnonzero(row != IGNORE)
        for begin in words[(row[words] > 0) & (row[words] % 2 == 1)]:
            after = words[words > begin]
            ends = after[row[after] != row[begin] + 1]
            end = int(ends[0]) if len(ends) else len(row)
            inside = [labels[rows, i] for i in (begin, end) if i < len(row)]
            if not any(((edge > 0) & (edge % 2 == 0)).any() for edge in inside):
                found.append((h, int(row[begin]), int(begin), end))
    return found


Pool = dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]]


def make_pool(passages: Sequence[Passage]) -> Pool:
    """RETURNS (Pool): Pieces and labels of the different mentions of each type."""
    found: dict[tuple[int, int], dict[bytes, tuple[np.ndarray, np.ndarray]]] = {}
    for passage in passages:
        for h, label, start, end in passage.mentions:
            pieces = passage.pieces[start:end]
            part = (pieces, passage.labels[:, start:end])
            found.setdefault((h, label), {}).setdefault(pieces.tobytes(), part)
    return {key: list(parts.values()) for key, parts in found.items()}


def swap_mentions(
    passages: Sequence[Passage], pool: Pool, share: float, rng: random.Random
) -> list[Passage]:
    """Replace half of the mentions by others of their type, in a share of the passages.

    A name that the model knows by heart teaches it nothing about context; an unfamiliar one must be
    found by its context. A mention brings the labels of all heads with it, except those that
    describe the place (its assertion), which stay.
    """
    swapped = []
    for passage in passages:
        if rng.random() < share and passage.mentions:
            pieces, labels, last = [], [], 0
            for h, label, start, end in sorted(passage.mentions, key=lambda span: span[2]):
                if start >= last and rng.random() < 0.5:
                    new_pieces, new_labels = rng.choice(pool[h, label])
                    if passage.fixed:
                        new_labels = new_labels.copy()
                        asked = (new_labels != IGNORE).any(axis=0)
                        for row in passage.fixed:
                            new_labels[row] = np.where(asked, passage.labels[row, start], IGNORE)
                    pieces += [passage.pieces[last:start], new_pieces]
                    labels += [passage.labels[:, last:start], new_labels]
                    last = end
            if last:
                pieces.append(passage.pieces[last:])
                labels.append(passage.labels[:, last:])
                passage = replace(
                    passage, pieces=np.concatenate(pieces), labels=np.concatenate(labels, axis=1)
                )
        swapped.append(passage)
    return swapped


def wrap_lines(passage: Passage, is_word: np.ndarray, newline: int, rng: random.Random) -> Passage:
    """Wrap a passage into lines of similar length, like many stored notes and abstracts."""
    width = rng.randint(8, 24)
    words = np.flatnonzero(is_word[passage.pieces])[width::width]
    if not len(words):
        return passage
    return replace(
        passage,
        pieces=np.insert(passage.pieces, words, newline),
        labels=np.insert(passage.labels, words, IGNORE, axis=1),
    )


class Data:
    """Training passages: a fresh, reproducible order and grouping for every epoch.

    heads, corpora: See `read_heads`.
    splits (Sequence[str]): What is trained on.
    tokenizer (PreTrainedTokenizerFast): The tokenizer.
    lengths (Sequence[int]): Most pieces of a passage; one is drawn for each.
    seed (int): Of the random numbers.
    swap (float): Share of the passages with swaps, where the corpus says nothing else.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        corpora: Sequence[Corpus],
        splits: Sequence[str],
        tokenizer: Any,
        *,
        lengths: Sequence[int] = (128,),
        seed: int = 0,
        swap: float = 0.0,
    ) -> None:
        self.heads, self.corpora, self.splits = heads, corpora, splits
        self.lengths, self.seed, self.swap = lengths, seed, swap
        self.encoder = Encoder(tokenizer, heads)
        self.cls, self.sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.pad = tokenizer.pad_token_id
        numbers = {head.dataset: i for i, head in enumerate(heads)}
        self.rows = {c.name: [numbers[head] for head in c.heads] for c in corpora}
        self.leaks = find_leaks(corpora, splits)
        self.encoded: dict[str, list[Passage]] = {}
        self.pools: dict[str, Pool] = {}
        for corpus in corpora:
            passages = self._encode(corpus, 0)
            self.encoded[corpus.name] = passages
            self.pools[corpus.name] = make_pool([*passages, *self._encode_names(corpus)])
            n = sum(len(p.pieces) for p in passages)
            print(f"{corpus.name}: {len(passages)} sentences, {n} pieces", flush=True)

    def _encode(self, corpus: Corpus, epoch: int) -> list[Passage]:
        passages = []
        for number, split in enumerate(self.splits):
            if corpus.reader in ("iob", "privacy"):
                part = self.encoder.encode_sentences(
                    corpus, training_sentences(corpus, split, self.leaks)
                )
            else:
                texts = training_documents(corpus, split, self.leaks, epoch)
                part = self.encoder.encode_documents(corpus, texts)
            # Documents are numbered in each split: they get a number of their own here.
            passages += [replace(p, doc=p.doc * len(self.splits) + number) for p in part]
        return passages

    def _encode_names(self, corpus: Corpus) -> list[Passage]:
        if not corpus.names:
            return []
        texts = [_from_note("", text) for text in make_names()]
        return self.encoder.encode_documents(corpus, texts)

    def passages(self, epoch: int) -> list[Passage]:
        """RETURNS (list[Passage]): What is learned from in an epoch, in its order."""
        rng = random.Random(f"{self.seed}-{epoch}")
        found: list[Passage] = []
        limit = max(self.lengths)
        for corpus in self.corpora:
            encoded = self.encoded[corpus.name]
            whole, rest = divmod(corpus.sample, 1)
            for turn in range(int(whole) + (rest > 0)):
                if corpus.reader in ("notes", "fragments"):
                    encoded = self._encode(corpus, epoch * 100 + turn)
                part = encoded
                swap = self.swap if corpus.swap is None else corpus.swap
                if swap:
                    part = swap_mentions(part, self.pools[corpus.name], swap, rng)
                joined = join_context(part, self.lengths, rng) if corpus.is_document else part
                if corpus.negatives < 1:
                    joined = [
                        p for p in joined if (p.labels > 0).any() or rng.random() < corpus.negatives
                    ]
                for head, times in corpus.repeat.items():
                    row = list(corpus.heads).index(head)
                    joined = [
                        p for p in joined for _ in range(1 + times * (p.labels[row] > 0).any())
                    ]
                if turn == whole:  # a part of a turn
                    joined = rng.sample(joined, int(np.ceil(rest * len(joined))))
                for passage in joined:
                    newline = self.encoder.newline
                    if newline is not None and rng.random() < corpus.wrap:
                        passage = wrap_lines(passage, self.encoder.is_word, newline, rng)
                    found.append(passage)
        found = cut(found, limit)
        rng.shuffle(found)
        return found

    def epoch(self, epoch: int, max_pieces: int) -> list[list[Passage]]:
        """RETURNS (list[list[Passage]]): The batches of an epoch."""
        rng = random.Random(f"{self.seed}-{epoch}-batches")
        passages = self.passages(epoch)
        return make_batches(passages, lambda p: len(p.pieces) + 2, max_pieces, rng)

    def collate(self, batch: Sequence[Passage], max_pieces: int) -> tuple[np.ndarray, np.ndarray]:
        """RETURNS: pieces, (batch, length), and labels, (n_heads, batch, length). A batch that is
        not full has rows of padding."""
        length = bucket(max(len(p.pieces) for p in batch) + 2)
        shape = (batch_rows(length, max_pieces), length)
        pieces = np.full(shape, self.pad, dtype="int64")
        labels = np.full((len(self.heads), *shape), IGNORE, dtype="int64")
        for b, passage in enumerate(batch):
            n = len(passage.pieces)
            pieces[b, 0], pieces[b, n + 1] = self.cls, self.sep
            pieces[b, 1 : n + 1] = passage.pieces
            labels[self.rows[passage.corpus], b, 1 : n + 1] = passage.labels
        return pieces, labels
