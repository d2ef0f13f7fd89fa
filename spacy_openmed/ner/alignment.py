"""Map pieces to the tokens that they overlap, and pool what the model says of them. Pure numpy.

All positions are characters of one string, the texts of a buffer one after the other, so
that a whole buffer is aligned at once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..checkpoints.windows import Pieces

# What stands before an entry of a list without a blank: a sign, or a number.
MARKER = re.compile(r"(?:[-–—•·*+|~>]{1,2}|\d{1,2}(?:\)|\.(?=[A-Z])))(?=[^\W\d_])")


@dataclass(frozen=True)
class Alignment:
    """The pieces of each unit (a spaCy token, or a word of the tokenizer).

    Units without a piece (spaces, characters that the tokenizer drops) are left out.

    units (Ints1d): (n_aligned,) The units that have pieces, ascending.
    pieces (Ints1d): (n_pairs,) Their pieces, unit by unit.
    starts (Ints1d): (n_aligned,) Where in `pieces` those of each unit begin.
    inside (Bools1d): (n_aligned,) Whether the unit's first piece began in the unit before, so
        that no entity can begin here.
    """

    units: np.ndarray
    pieces: np.ndarray
    starts: np.ndarray
    inside: np.ndarray


def align(offsets: np.ndarray, unit_starts: np.ndarray, unit_ends: np.ndarray) -> Alignment:
    """Find the pieces that overlap each unit by at least one character.

    offsets (Ints2d): (n_pieces, 2) Character start and end of the pieces; empty ones align
        with nothing.
    unit_starts, unit_ends (Ints1d): (n_units,) Character start and end of the units, ascending
        and without overlap.
    RETURNS (Alignment): The pieces of each unit.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    first = np.searchsorted(unit_ends, starts, side="right")
    stop = np.searchsorted(unit_starts, ends, side="left")
    counts = np.where(ends > starts, np.maximum(stop - first, 0), 0)
    pieces = np.repeat(np.arange(len(offsets)), counts)
    nth = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
    units = first[pieces] + nth
    order = np.argsort(units, kind="stable")
    units, pieces, nth = units[order], pieces[order], nth[order]
    opens = np.ones(len(units), dtype=bool)
    opens[1:] = units[1:] != units[:-1]
    heads = np.flatnonzero(opens)
    return Alignment(units[heads], pieces, heads, nth[heads] > 0)


def pool(
    probs: np.ndarray, alignment: Alignment, strategy: str, heads: np.ndarray | None = None
) -> np.ndarray:
    """Make one distribution a unit out of those of its pieces, as transformers'
    token-classification pipeline does for its words.

    probs (Floats2d): (n_pieces, n_labels) Distribution of each piece.
    alignment (Alignment): The pieces of each unit.
    strategy (str): "first": that of the first piece. "average": the mean. "max": that of the
        piece with the highest single probability.
    heads (Ints1d | None): (n_labels,) The head of each label, if several are side by side.
    RETURNS (Floats2d): (n_aligned, n_labels) Distribution of each unit.
    """
    if not len(alignment.units):
        return probs[:0]
    if strategy == "first":
        return probs[alignment.pieces[alignment.starts]]
    pairs = probs[alignment.pieces]
    counts = np.diff(alignment.starts, append=len(alignment.pieces))
    if strategy == "average":
        return np.add.reduceat(pairs, alignment.starts, axis=0) / counts[:, None]
    heads = np.zeros(probs.shape[1], dtype="int64") if heads is None else heads
    peaks = np.stack([pairs[:, heads == head].max(axis=1) for head in range(heads.max() + 1)], 1)
    best = np.repeat(np.maximum.reduceat(peaks, alignment.starts, axis=0), counts, axis=0)
    positions = np.where(peaks == best, np.arange(len(pairs))[:, None], len(pairs))
    winners = np.minimum.reduceat(positions, alignment.starts, axis=0)
    return np.take_along_axis(pairs, winners[:, heads], axis=0)


def char_table(text: str, test: Callable[[str], bool]) -> np.ndarray:
    """Ask a question of every character, each different one asked once.

    text (str): The text.
    test (Callable[[str], bool]): The question, e.g. str.isspace.
    RETURNS (Bools1d): (len(text),) The answers.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="uint32")
    answers = _ascii_table(test)[np.minimum(codes, 127)]
    other = np.flatnonzero(codes > 127)
    if len(other):
        different, index = np.unique(codes[other], return_inverse=True)
        answers[other] = np.array([test(chr(code)) for code in different])[index]
    return answers


@lru_cache
def _ascii_table(test: Callable[[str], bool]) -> np.ndarray:
    return np.array([test(chr(code)) for code in range(128)])


def trim(offsets: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Take spaces off both ends of pieces: some tokenizers count the space before a word as
    part of its first piece.

    offsets (Ints2d): (n_pieces, 2) Character start and end.
    space (Bools1d): (n_chars,) Which characters are spaces.
    RETURNS (Ints2d): (n_pieces, 2) The trimmed ones; a piece of spaces becomes empty.
    """
    n_chars = len(space)
    position = np.arange(n_chars)
    # The first character that is no space, from here on; one after the last, up to here.
    forward = np.append(np.where(space, n_chars, position), n_chars)
    forward = np.minimum.accumulate(forward[::-1])[::-1]
    backward = np.append(0, np.where(space, 0, position + 1))
    backward = np.maximum.accumulate(backward)
    starts = np.minimum(forward[offsets[:, 0]], offsets[:, 1])
    ends = np.maximum(backward[offsets[:, 1]], starts)
    return np.stack([starts, ends], axis=1)


def find_words(
    offsets: np.ndarray, words: np.ndarray, alnum: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the words that the checkpoint was trained to see, by joining pieces.

    A word is a word of the tokenizer, cut at everything that is neither letter nor digit:
    tokenizers that know only spaces would leave the full stop on a word.

    offsets (Ints2d): (n_pieces, 2) Trimmed character start and end.
    words (Ints1d): (n_pieces,) Number of the tokenizer's word, different in different texts.
    alnum (Bools1d): (n_chars,) Which characters are letters or digits.
    RETURNS (tuple[Ints1d, Ints1d]): Character starts and ends of the words.
    """
    filled = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    starts, ends, words = offsets[filled, 0], offsets[filled, 1], words[filled]
    opens = np.ones(len(filled), dtype=bool)
    opens[1:] = (words[1:] != words[:-1]) | ~alnum[starts[1:]] | ~alnum[ends[:-1] - 1]
    opens[1:] &= starts[1:] >= ends[:-1]  # pieces of one character belong together
    heads = np.flatnonzero(opens)
    if not len(heads):
        return starts, ends
    return starts[heads], np.maximum.reduceat(ends, heads)


def to_tokens(
    starts: np.ndarray,
    ends: np.ndarray,
    token_starts: np.ndarray,
    token_ends: np.ndarray,
    mode: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn character spans into token spans, with the meaning of `Doc.char_span`.

    starts, ends (Ints1d): (n_spans,) Character start and end.
    token_starts, token_ends (Ints1d): (n_tokens,) Character start and end of the tokens.
    mode (str): "strict": only spans that begin and end where tokens do. "contract": the tokens
        that lie inside. "expand": the tokens that are touched.
    RETURNS (tuple[Ints1d, Ints1d, Bools1d]): (n_spans,) First token, the token after the last,
        and whether the span could be turned.
    """
    if mode == "contract":
        first = np.searchsorted(token_starts, starts, side="left")
        stop = np.searchsorted(token_ends, ends, side="right")
    else:
        first = np.searchsorted(token_ends, starts, side="right")
        stop = np.searchsorted(token_starts, ends, side="left")
    fits = first < stop
    if mode == "strict":
        at = np.flatnonzero(fits)
        fits[at] = (token_starts[first[at]] == starts[at]) & (token_ends[stop[at] - 1] == ends[at])
    return first, stop, fits


def skip_markers(text: str, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Skip the markers of a list that tokens begin with: spaCy makes one token of "-Asthma", of
    "•Asthma" and of "1)Asthma". The label of such a token is that of its word.

    text (str): The text.
    starts, ends (Ints1d): (n_tokens,) Character start and end of the tokens.
    RETURNS (Ints1d): (n_tokens,) Where they begin, without the markers.
    """
    if not len(starts):
        return starts
    is_free = char_table(text, str.isspace)[starts - 1] | (starts == 0)
    is_free &= char_table(text, str.isalpha)[ends - 1] & ~char_table(text, str.isalpha)[starts]
    starts = starts.copy()
    for i in np.flatnonzero(is_free).tolist():
        if match := MARKER.match(text, starts[i], ends[i]):
            starts[i] = match.end()
    return starts


@dataclass(frozen=True)
class Units:
    """What is labelled: the tokens or the words of a buffer, as far as they have pieces.

    alignment (Alignment): Their pieces.
    index (Ints1d): (n_aligned,) Their numbers among all tokens or words of the buffer.
    starts, ends (Ints1d): (n_aligned,) Character start and end.
    lengths (Ints1d): (n_texts,) How many there are of each text.
    """

    alignment: Alignment
    index: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray

    @classmethod
    def align(
        cls, offsets: np.ndarray, starts: np.ndarray, ends: np.ndarray, first_chars: np.ndarray
    ) -> "Units":
        """Align pieces with units.

        offsets (Ints2d): (n_pieces, 2) Character start and end of the pieces.
        starts, ends (Ints1d): (n_units,) Those of the units.
        first_chars (Ints1d): (n_texts,) Where each text begins.
        RETURNS (Units): The units that have pieces.
        """
        alignment = align(offsets, starts, ends)
        starts, ends = starts[alignment.units], ends[alignment.units]
        bounds = np.append(np.searchsorted(starts, first_chars), len(starts))
        return cls(alignment, alignment.units, starts, ends, bounds[1:] - bounds[:-1])


class Buffer:
    """The texts of some documents, one after the other, with their tokens, words and pieces.

    texts (Sequence[str]): The texts.
    token_starts, token_ends (Sequence[Ints1d]): (n_tokens,) each: Character start and end of
        the tokens of each text, counted from its start.
    pieces (Pieces): The pieces of the texts.
    """

    def __init__(
        self,
        texts: Sequence[str],
        token_starts: Sequence[np.ndarray],
        token_ends: Sequence[np.ndarray],
        pieces: Pieces,
    ) -> None:
        self.pieces = pieces
        self.n_pieces = len(pieces.ids)
        self._text = "\n".join(texts)
        sizes = np.array([len(text) + 1 for text in texts], dtype="int64")
        n_tokens = np.array([len(starts) for starts in token_starts], dtype="int64")
        self.first_chars = np.cumsum(sizes) - sizes
        self.first_tokens = np.cumsum(n_tokens) - n_tokens
        shift = np.repeat(self.first_chars, n_tokens)
        self.token_starts = _concatenate(token_starts) + shift
        self.token_ends = _concatenate(token_ends) + shift
        self._text_of_piece = np.repeat(np.arange(len(texts)), pieces.lengths)

    @cached_property
    def _offsets(self) -> np.ndarray:
        """(n_pieces, 2) Characters of the pieces, without spaces."""
        offsets = self.pieces.offsets + self.first_chars[self._text_of_piece][:, None]
        return trim(offsets, char_table(self._text, str.isspace))

    @cached_property
    def tokens(self) -> Units:
        """RETURNS (Units): The tokens that have pieces."""
        starts = skip_markers(self._text, self.token_starts, self.token_ends)
        return Units.align(self._offsets, starts, self.token_ends, self.first_chars)

    @cached_property
    def _word_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_words,) Start and end of the words; all of them have pieces."""
        # Words are numbered from 0 in every text; here each gets a number of its own.
        words = self.pieces.words
        words = words + self._text_of_piece * (words.max(initial=0) + 2)
        return find_words(self._offsets, words, char_table(self._text, str.isalnum))

    @cached_property
    def words(self) -> Units:
        """RETURNS (Units): The words of the tokenizer."""
        return Units.align(self._offsets, *self._word_bounds, self.first_chars)

    def text_of(self, chars: np.ndarray) -> np.ndarray:
        """Find the texts that characters are in.

        chars (Ints1d): (n,) Characters of the buffer.
        RETURNS (Ints1d): (n,) Numbers of the texts.
        """
        return np.searchsorted(self.first_chars, chars, side="right") - 1

    def text_at(self, i: int) -> tuple[str, list[int], list[int]]:
        """Read one of the texts.

        i (int): Its number.
        RETURNS (tuple[str, list[int], list[int]]): The text, and the character starts and ends of
            its tokens in it.
        """
        is_last = i + 1 == len(self.first_chars)
        first = int(self.first_chars[i])
        stop = len(self._text) if is_last else int(self.first_chars[i + 1]) - 1
        tokens = slice(self.first_tokens[i], None if is_last else self.first_tokens[i + 1])
        starts, ends = self.token_starts[tokens] - first, self.token_ends[tokens] - first
        return self._text[first:stop], starts.tolist(), ends.tolist()

    def to_tokens(
        self, starts: np.ndarray, ends: np.ndarray, *, mode: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn character spans into token spans; see the function of the same name."""
        return to_tokens(starts, ends, self.token_starts, self.token_ends, mode)

    def shrink(
        self,
        first: np.ndarray,
        stop: np.ndarray,
        is_marked: Callable[[int, int, int], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Make character spans of token spans, without the words of their first and last token
        that come before or after all words of the span's type.

        first, stop (Ints1d): (n_spans,) First token and the one after the last.
        is_marked (Callable[[int, int, int], Bools1d]): Says, of a span's number and its words
            from one to another, which of these are of its type.
        RETURNS (tuple[Ints1d, Ints1d]): (n_spans,) Character start and end.
        """
        starts, ends = self.token_starts[first], self.token_ends[stop - 1]
        word_starts, word_ends = self._word_bounds
        low = np.searchsorted(word_ends, starts, side="right")
        high = np.searchsorted(word_starts, ends, side="left")
        # Most tokens are one word; only the others are looked at one by one.
        after_first = np.searchsorted(word_starts, self.token_ends[first], side="left")
        before_last = np.searchsorted(word_ends, self.token_starts[stop - 1], side="right")
        for i in np.flatnonzero((after_first - low > 1) | (high - before_last > 1)).tolist():
            typed = low[i] + np.flatnonzero(is_marked(i, low[i], high[i]))
            if len(typed) and typed[0] < after_first[i]:
                starts[i] = max(starts[i], word_starts[typed[0]])
            if len(typed) and typed[-1] >= before_last[i]:
                ends[i] = min(ends[i], word_ends[typed[-1]])
        return starts, ends


def _concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype="int64"), *arrays])
