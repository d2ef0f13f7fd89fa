"""From what a head says of pieces to entities: pooling, decoding and alignment put together.

Pure numpy, over a whole buffer of texts at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from .alignment import Buffer, Units, pool
from .decoding import LabelScheme, begin_as_first, continue_inside, find_spans, greedy, viterbi


@dataclass(frozen=True)
class Found:
    """The entities that a head finds in a buffer, a column for each of their properties.

    texts (Ints1d): (n_entities,) Number of the text.
    starts, ends (Ints1d): (n_entities,) First token in its text and the one after the last.
    fits (Bools1d): (n_entities,) Whether there are such tokens in the alignment mode.
    types (Ints1d): (n_entities,) Index of the type in the label scheme.
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

    def rows(self) -> Iterator[tuple]:
        """YIELDS (tuple): The properties of one entity, in the order above, as Python's own
        numbers."""
        columns = [getattr(self, field.name).tolist() for field in fields(self)]
        return zip(*columns, strict=True)


def find_entities(
    buffer: Buffer,
    probs: np.ndarray,
    scheme: LabelScheme,
    *,
    strategy: str,
    decoding: str,
    mode: str,
) -> Found:
    """Find the entities of a buffer.

    buffer (Buffer): The texts with their tokens, words and pieces.
    probs (Floats2d): (n_pieces, n_states) The pieces' distributions over the scheme's states.
    scheme (LabelScheme): The head's label scheme.
    strategy (str): How pieces are pooled, see `alignment.pool`.
    decoding (str): "viterbi" or "greedy".
    mode (str): "token": tokens are labelled. "strict", "contract", "expand": words of the
        tokenizer are, and their character spans are turned into token spans.
    RETURNS (Found): The entities, in the order of the texts.
    """
    by_tokens = mode == "token"
    units = buffer.tokens if by_tokens else buffer.words
    pooled = _pool(units, probs, strategy, decoding)
    if decoding == "viterbi":
        states = viterbi(pooled, units.lengths, scheme.begins)
    else:
        states = greedy(pooled)
    starts, ends, types, scores = find_spans(states, units.lengths, pooled)
    last = ends - 1
    if by_tokens:
        first, stop = units.index[starts], units.index[last] + 1
        fits = np.ones(len(first), dtype=bool)
        # Without the words at both ends that are not of the type: the "(R175H" of a token
        # "p53(R175H", the full stop of "kappaB.".
        kinds = greedy(_pool(buffer.words, probs, strategy, decoding))
        kinds = np.where(kinds > 0, (kinds - 1) % max(len(scheme.types), 1), -1)
        char_starts, char_ends = buffer.shrink(first, stop, types, kinds)
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


def _pool(units: Units, probs: np.ndarray, strategy: str, decoding: str) -> np.ndarray:
    pooled = pool(probs, units.alignment, strategy)
    if strategy != "first" and decoding == "viterbi":
        pooled = begin_as_first(pooled, pool(probs, units.alignment, "first"))
    return continue_inside(pooled, units.alignment.inside)
