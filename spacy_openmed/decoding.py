"""Turn label distributions into entities. Pure numpy.

Inside, labels are states: 0 is "O", 1..n begin an entity of each of the n types, n+1..2n
continue one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import Errors

# Prefixes of the tagging schemes in use (IOB2, BILOU, IOBES), by what they say.
BEGIN, CONTINUE = "BSU", "IEL"


def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its prefix and its entity type, which may hold hyphens and slashes.

    tag (str): E.g. "B-Cell-line-name", "O", or a bare type.
    RETURNS (tuple[str, str]): E.g. ("B", "Cell-line-name"), ("O", ""), ("", type).
    """
    if tag == "O":
        return "O", ""
    if len(tag) > 2 and tag[1] in "-_" and tag[0] in BEGIN + CONTINUE:
        return tag[0], tag[2:]
    return "", tag


@dataclass(frozen=True)
class LabelScheme:
    """What the labels of a head mean.

    types (tuple[str, ...]): The entity types, in the order of their first label.
    fold (Floats2d): (n_labels, n_states) One where a label counts for a state.
    begins (Bools1d): (n_types,) Types with a label that begins an entity. Without one, any
        label of the type may come after any other, and neighbours are one entity.
    """

    types: tuple[str, ...]
    fold: np.ndarray
    begins: np.ndarray

    @classmethod
    def from_labels(cls, labels: Sequence[str], *, name: str) -> "LabelScheme":
        """Read the meaning of a head's labels.

        labels (Sequence[str]): The labels by id; "O" may have any.
        name (str): The checkpoint's name, for the error.
        RETURNS (LabelScheme): Their meaning.
        RAISES (ValueError): If there is no "O".
        """
        tags = [split_tag(label) for label in labels]
        if ("O", "") not in tags:
            raise ValueError(Errors.OM006.format(name=name, labels=list(labels)))
        types = tuple(dict.fromkeys(kind for prefix, kind in tags if prefix != "O"))
        fold = np.zeros((len(labels), 1 + 2 * len(types)), dtype="float32")
        begins = np.zeros(len(types), dtype=bool)
        for i, (prefix, kind) in enumerate(tags):
            if prefix == "O":
                fold[i, 0] = 1
            elif prefix in BEGIN and prefix:
                fold[i, 1 + types.index(kind)] = 1
                begins[types.index(kind)] = True
            else:
                fold[i, 1 + len(types) + types.index(kind)] = 1
        return cls(types, fold, begins)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, row by row.

    logits (Floats2d): (n, n_labels) Logits.
    RETURNS (Floats2d): (n, n_labels) Probabilities.
    """
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def continue_inside(probs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Where a piece reaches into a second unit, that unit can only continue its entity.

    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    inside (Bools1d): (n_units,) Whether the unit's first piece began before it.
    RETURNS (Floats2d): (n_units, n_states) The same with no mass on beginning there.
    """
    if not inside.any():
        return probs
    n_types = probs.shape[1] // 2
    probs = probs.copy()
    probs[inside, 1 + n_types :] += probs[inside, 1 : 1 + n_types]
    probs[inside, 1 : 1 + n_types] = 0
    return probs


def begin_as_first(probs: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Share out each type's mass between beginning and continuing as the first piece does.

    A later piece of a word says "continue" even where the word begins an entity, so a mean
    over pieces would lose the beginnings.

    probs (Floats2d): (n_units, n_states) Pooled distribution of each unit.
    first (Floats2d): (n_units, n_states) Distribution of each unit's first piece.
    RETURNS (Floats2d): (n_units, n_states) The distribution shared out anew.
    """
    n_types = probs.shape[1] // 2
    begin, cont = slice(1, 1 + n_types), slice(1 + n_types, None)
    mass = probs[:, begin] + probs[:, cont]
    share = first[:, begin] / np.maximum(first[:, begin] + first[:, cont], 1e-30)
    return np.concatenate([probs[:, :1], mass * share, mass * (1 - share)], axis=1)


def greedy(probs: np.ndarray) -> np.ndarray:
    """Take the likeliest state of each unit, as transformers' pipeline does.

    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    RETURNS (Ints1d): (n_units,) State of each unit.
    """
    return probs.argmax(axis=1)


def viterbi(probs: np.ndarray, lengths: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Find the likeliest sequence of states in which no entity continues that has not begun.

    probs (Floats2d): (n_units, n_states) Distribution of each unit, text after text.
    lengths (Ints1d): (n_texts,) Number of units of each text.
    begins (Bools1d): (n_types,) Types for which that rule holds.
    RETURNS (Ints1d): (n_units,) State of each unit.
    """
    states = greedy(probs)
    n_types = len(begins)
    lengths = _cut_apart(probs, lengths, begins)
    text = np.repeat(np.arange(len(lengths)), lengths)
    # Where the likeliest states already make a valid sequence, it is the likeliest sequence.
    kind = (states - 1) % max(n_types, 1)
    continues = states > n_types
    previous = np.roll(kind, 1)
    opens = np.ones(len(states), dtype=bool)
    opens[1:] = (text[1:] != text[:-1]) | (states[:-1] == 0) | (previous[1:] != kind[1:])
    broken = np.flatnonzero(continues & opens & begins[kind] if n_types else continues)
    for rows in _alike(np.unique(text[broken]), lengths):
        size = lengths[rows]
        starts = (np.cumsum(lengths) - lengths)[rows]
        at = starts[:, None] + np.minimum(np.arange(size.max()), size[:, None] - 1)
        paths = _best_paths(probs[at], size, begins)
        used = np.arange(size.max()) < size[:, None]
        states[at[used]] = paths[used]
    return states


def _cut_apart(probs: np.ndarray, lengths: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Cut texts where no entity of the likeliest sequence goes on, to decode the parts alone.

    If one did from unit s to s + 1, O at s and its beginning at s + 1 would be as valid. So where
    that is likelier, for every type, none does.
    """
    n_types = len(begins)
    begin, cont = probs[:, 1 : 1 + n_types], probs[:, 1 + n_types :]
    apart = probs[:-1, :1] * begin[1:] > np.maximum(begin, cont)[:-1] * cont[1:]
    starts = np.ones(len(probs), dtype=bool)
    starts[1:] = (apart | ~begins).all(axis=1)
    starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
    return np.diff(np.append(np.flatnonzero(starts), len(probs)))


def _alike(texts: np.ndarray, lengths: np.ndarray, most: int = 50_000) -> list[np.ndarray]:
    """Texts of like length in groups of some `most` units, to be decoded side by side. The
    longest of a group is at most twice as long as the shortest."""
    if not len(texts):
        return []
    texts = texts[np.argsort(lengths[texts], kind="stable")]
    doublings = np.floor(np.log2(lengths[texts])).astype("int64")
    total = np.cumsum(lengths[texts]) // most
    return np.split(texts, np.flatnonzero(np.diff(total) + np.diff(doublings)) + 1)


def _best_paths(probs: np.ndarray, lengths: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Viterbi over padded rows: (n_rows, n_steps, n_states) -> (n_rows, n_steps)."""
    n_rows, n_steps, n_states = probs.shape
    n_types = len(begins)
    first_continue = 1 + n_types
    logs = np.log(np.maximum(probs, 1e-30)).astype("float64")
    score = logs[:, 0].copy()
    score[:, first_continue:][:, begins] = -np.inf
    back = np.zeros((n_rows, n_steps, n_states), dtype="int16")
    rows = np.arange(n_rows)
    cont_states = np.arange(first_continue, n_states)
    for step in range(1, n_steps):
        best = score.argmax(axis=1)
        top = score[rows, best][:, None]
        begin, cont = score[:, 1:first_continue], score[:, first_continue:]
        own = np.where(begin > cont, cont_states - n_types, cont_states)
        back[:, step, :first_continue] = best[:, None]
        back[:, step, first_continue:] = np.where(begins, own, best[:, None])
        before = np.where(begins, np.maximum(begin, cont), top)
        new = logs[:, step] + np.concatenate([np.repeat(top, first_continue, 1), before], axis=1)
        score = np.where((step < lengths)[:, None], new, score)
    paths = np.zeros((n_rows, n_steps), dtype="int64")
    state = score.argmax(axis=1)
    for step in range(n_steps - 1, -1, -1):
        inside = step < lengths
        paths[:, step] = state
        state = np.where(inside, back[rows, step, state], state)
    return paths


def find_spans(
    states: np.ndarray, lengths: np.ndarray, probs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the entities off a sequence of states.

    states (Ints1d): (n_units,) State of each unit.
    lengths (Ints1d): (n_texts,) Number of units of each text; no entity crosses texts.
    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    RETURNS (tuple[Ints1d, Ints1d, Ints1d, Floats1d]): First unit, the unit after the last,
        index of the type, and score of each entity: the mean probability of its type over its
        units, beginning and continuing taken together.
    """
    n_types = probs.shape[1] // 2
    inside = states > 0
    kind = np.where(inside, (states - 1) % max(n_types, 1), -1)
    ends_of_texts = np.zeros(len(states) + 1, dtype=bool)
    ends_of_texts[np.cumsum(lengths)] = True
    changes = np.ones(len(states) + 1, dtype=bool)
    changes[1:-1] = (kind[1:] != kind[:-1]) | ends_of_texts[1:-1]
    opens = inside & (changes[:-1] | (states <= n_types))
    starts = np.flatnonzero(opens)
    # An entity ends where the next one begins, or where its run of units of one type does.
    breaks = np.flatnonzero(changes | np.append(opens, True))
    ends = breaks[np.searchsorted(breaks, starts, side="right")]
    types = kind[starts]
    mass = probs[:, 1 : 1 + n_types] + probs[:, 1 + n_types :]
    total = np.concatenate([np.zeros((1, n_types)), np.cumsum(mass, axis=0, dtype="float64")])
    scores = (total[ends, types] - total[starts, types]) / np.maximum(ends - starts, 1)
    return starts, ends, types, scores
