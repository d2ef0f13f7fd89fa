"""From what heads say of pieces to entities: pooling, decoding and alignment put together.

Pure numpy, over a whole buffer of texts at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .alignment import Buffer, Units, pool
from .decoding import (
    LabelSchemes,
    begin_as_first,
    bias_outside,
    continue_inside,
    find_scores,
    find_spans,
    greedy,
    split_states,
)


@dataclass(frozen=True)
class Found:
    """The entities that heads find in a buffer, a column for each of their properties.

    texts (Ints1d): (n_entities,) Number of the text.
    starts, ends (Ints1d): (n_entities,) First token in its text and the one after the last.
    fits (Bools1d): (n_entities,) Whether there are such tokens in the alignment mode.
    types (Ints1d): (n_entities,) Index of the type, counted over all heads.
    scores (Floats1d): (n_entities,) Mean probability of the type.
    char_starts, char_ends (Ints1d): (n_entities,) Characters of its text that the model marked.
    """

    texts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    fits: np.ndarray
    types: np.ndarray
    scores: np.ndarray
    char_starts: np.ndarray
    char_ends: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[tuple]) -> "Found":
        """RETURNS (Found): The entities whose properties are given, in the order above."""
        kinds = ("int64", "int64", "int64", "bool", "int64", "float64", "int64", "int64")
        columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
        return cls(*(np.array(c, dtype=kind) for c, kind in zip(columns, kinds, strict=True)))

    def take(self, index: np.ndarray) -> "Found":
        """RETURNS (Found): Those of the entities that an index or mask chooses."""
        return Found(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def rows(self) -> Iterator[tuple]:
        """YIELDS (tuple): The properties of one entity, in the order above, as Python's own
        numbers."""
        columns = [getattr(self, name).tolist() for name in self.__dataclass_fields__]
        return zip(*columns, strict=True)


def find_entities(
    buffer: Buffer,
    logits: np.ndarray,
    schemes: LabelSchemes,
    *,
    strategy: str,
    decoding: str,
    mode: str,
    outside_bias: np.ndarray | None = None,
) -> Found:
    """Find the entities of a buffer, with all heads at once.

    buffer (Buffer): The texts with their tokens, words and pieces.
    logits (Floats2d): (n_pieces, n_columns) Logits of the checkpoint.
    schemes (LabelSchemes): The label schemes of the heads.
    strategy (str): How pieces are pooled, see `alignment.pool`.
    decoding (str): "viterbi" or "greedy".
    mode (str): "token": tokens are labelled. "strict", "contract", "expand": words of the
        tokenizer are, and their character spans are turned into token spans.
    outside_bias (Floats1d | None): (n_heads,) What is added to the log-probability of each head's
        "O" before decoding. Scores do without it.
    RETURNS (Found): The entities, head by head in the order of the texts.
    """
    probs, n_heads = schemes.to_probs(logits), len(schemes.schemes)

    def pool_units(units: Units) -> np.ndarray:
        pooled = pool(probs, units.alignment, strategy, schemes.head_of_state)
        if strategy != "first" and decoding == "viterbi":
            pooled = begin_as_first(pooled, pool(probs, units.alignment, "first"), n_heads)
        return continue_inside(pooled, units.alignment.inside, n_heads)

    units = buffer.tokens if mode == "token" else buffer.words
    pooled = pool_units(units)
    heads, kinds, begun = schemes.decode(
        bias_outside(pooled, outside_bias), units.lengths, decoding=decoding
    )
    # The heads' answers one after the other, as if each had texts of its own.
    lengths = np.concatenate([units.lengths[:0], *[units.lengths] * len(heads)])
    starts, ends = find_spans(kinds.ravel(), begun.ravel(), lengths)
    types = kinds.ravel()[starts]
    shift = starts // max(len(pooled), 1) * len(pooled)
    starts, ends = starts - shift, ends - shift
    scores = find_scores(pooled, starts, ends, types, n_heads)
    last = ends - 1
    if mode == "token":
        first, stop = units.index[starts], units.index[last] + 1
        fits = np.ones(len(first), dtype=bool)
        pooled_words: list[np.ndarray] = []  # few tokens need them

        def is_marked(i: int, low: int, high: int) -> np.ndarray:
            if not pooled_words:
                pooled_words.append(bias_outside(pool_units(buffer.words), outside_bias))
            head = int(schemes.head_of_type[types[i]])
            states = greedy(schemes.of_head(pooled_words[0][low:high], head))
            own, _ = split_states(states, schemes.n_types[head])
            return own == types[i] - schemes.first_types[head]

        # Without the words at both ends that are not of the type: the "(R175H" of a token
        # "p53(R175H", the full stop of "kappaB.".
        char_starts, char_ends = buffer.shrink(first, stop, is_marked)
    else:
        char_starts, char_ends = units.starts[starts], units.ends[last]
        first, stop, fits = buffer.to_tokens(char_starts, char_ends, mode=mode)
    texts = buffer.text_of(char_starts)
    first_tokens, first_chars = buffer.first_tokens[texts], buffer.first_chars[texts]
    return Found(
        texts,
        first - first_tokens,
        stop - first_tokens,
        fits,
        types,
        scores,
        char_starts - first_chars,
        char_ends - first_chars,
    )
