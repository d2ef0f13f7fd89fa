"""From gold annotation to targets: the label that each piece should have.

Over a whole buffer of texts at once; pure numpy but for the tags.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from spacy.training import Example

from .alignment import Buffer
from .decoding import LabelScheme

MISSING = -1


def get_tags(examples: Iterable[Example]) -> list[str | None]:
    """RETURNS (list[str | None]): Gold tag of each token of the examples, in BILUO; None where
    nothing is known of it."""
    return [tag for eg in examples for tag in eg.get_aligned_ner()]


def read_states(tags: Sequence[str | None], types: Mapping[str, int], n_types: int) -> np.ndarray:
    """Turn gold tags into states.

    tags (Sequence[str | None]): Tag of each token, see `get_tags`.
    types (Mapping[str, int]): Index of the type that each gold label means. Entities of other
        labels are no entities to this head.
    n_types (int): How many types the head has.
    RETURNS (Ints1d): (n_tokens,) State of each token, `MISSING` where it is not known.
    """
    states = np.zeros(len(tags), dtype="int64")
    for i, tag in enumerate(tags):
        prefix, _, label = (tag or "").partition("-")
        if not prefix:
            states[i] = MISSING
        elif label in types:
            states[i] = 1 + types[label] + (0 if prefix in "BU" else n_types)
    return states


def label_pieces(buffer: Buffer, states: np.ndarray, scheme: LabelScheme, *, by: str) -> np.ndarray:
    """Say what the model should answer for each piece.

    A token's first piece has the token's state, its other pieces continue that. With "first",
    only pieces that begin a token or a word are labelled: the others are not asked for when
    tokens are pooled by their first piece. Words count too, as they are finer than tokens where
    a tokenizer joins what it should not ("p53(R175H"); elsewhere they are the same.

    buffer (Buffer): The texts with their tokens, words and pieces.
    states (Ints1d): (n_tokens,) State of each token of the buffer.
    scheme (LabelScheme): The head's label scheme.
    by (str): "first": label the first pieces; "all": every piece.
    RETURNS (Ints1d): (n_pieces,) State of each piece, `MISSING` for those without label.
    """
    n_types = len(scheme.types)
    tokens, words = buffer.tokens.alignment, buffer.words.alignment
    targets = np.full(buffer.n_pieces, MISSING, dtype="int64")
    counts = np.diff(tokens.starts, append=len(tokens.pieces))
    of_pair = np.repeat(states[tokens.units], counts)
    begins = (of_pair > 0) & (of_pair <= n_types)
    continued = np.where(begins, of_pair + n_types, of_pair)
    # A piece that reaches over several tokens has the label of the first: written last.
    targets[tokens.pieces[::-1]] = continued[::-1]
    opens = np.zeros(buffer.n_pieces, dtype=bool)
    opens[tokens.pieces[tokens.starts[~tokens.inside]]] = True
    firsts = tokens.pieces[tokens.starts]
    own = opens[firsts] & ~tokens.inside
    targets[firsts[own]] = states[tokens.units][own]
    # Types whose labels have no beginning are continued from the start.
    at = np.flatnonzero((targets > 0) & (targets <= n_types))
    targets[at] += np.where(scheme.begins[targets[at] - 1], 0, n_types)
    if by == "first":
        opens[words.pieces[words.starts]] = True
        targets[~opens] = MISSING
    return targets
