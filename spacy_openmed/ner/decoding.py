"""Turn label distributions into entities. Pure numpy.

Inside, labels are states. Of one head, 0 is "O", 1..n begin an entity of each of the n types, and
n+1..2n continue one. Of several heads side by side, the "O" of each comes first, then the
beginnings of all their types, then the continuations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..errors import Errors
from ..labels import BEGIN, split_tags


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
        """Read the meaning of a head's labels. The same labels are read once.

        labels (Sequence[str]): The labels by id; "O" may have any.
        name (str): The checkpoint's name, for the error.
        RETURNS (LabelScheme): Their meaning.
        RAISES (ValueError): If there is no "O", or if tags and bare types are mixed.
        """
        return _read_labels(tuple(labels), name)


@lru_cache(maxsize=256)
def _read_labels(labels: tuple[str, ...], name: str) -> LabelScheme:
    if "O" not in labels:
        raise ValueError(Errors.OM200.format(name=name, labels=list(labels)))
    tags = split_tags(labels, name=name)
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
    return LabelScheme(types, fold, begins)


@dataclass(frozen=True, eq=False)
class LabelSchemes:
    """The label schemes of several heads, read side by side.

    schemes (tuple[LabelScheme, ...]): The scheme of each head; all have types.
    columns (Ints1d): (n_labels,) The heads' columns among the checkpoint's logits.
    temperatures (Floats1d): (n_labels,) What each of these columns is divided by.
    """

    schemes: tuple[LabelScheme, ...]
    columns: np.ndarray
    temperatures: np.ndarray

    @cached_property
    def n_types(self) -> np.ndarray:
        """RETURNS (Ints1d): (n_heads,) How many types each head has."""
        return np.array([len(scheme.types) for scheme in self.schemes])

    @cached_property
    def first_types(self) -> np.ndarray:
        """RETURNS (Ints1d): (n_heads,) Where each head's types begin among those of all heads."""
        return np.cumsum(self.n_types) - self.n_types

    @cached_property
    def head_of_type(self) -> np.ndarray:
        """RETURNS (Ints1d): (n_types,) The head of each type."""
        return np.repeat(np.arange(len(self.schemes)), self.n_types)

    @cached_property
    def head_of_state(self) -> np.ndarray:
        """RETURNS (Ints1d): (n_states,) The head of each state."""
        return np.concatenate([np.arange(len(self.schemes)), self.head_of_type, self.head_of_type])

    @cached_property
    def _fold(self) -> np.ndarray:
        """(n_labels, n_states) One where a label of any head counts for a state."""
        heads, types = len(self.schemes), int(self.n_types.sum())
        fold = np.zeros((len(self.columns), heads + 2 * types), dtype="float32")
        row = 0
        for i, scheme in enumerate(self.schemes):
            n, first = len(scheme.types), heads + self.first_types[i]
            part = fold[row : row + len(scheme.fold)]
            part[:, i] = scheme.fold[:, 0]
            part[:, first : first + n] = scheme.fold[:, 1 : 1 + n]
            part[:, types + first : types + first + n] = scheme.fold[:, 1 + n :]
            row += len(scheme.fold)
        return fold

    @cached_property
    def _state_of_label(self) -> np.ndarray | None:
        """(n_labels,) The state of each label; None if labels share one."""
        states = self._fold.argmax(axis=1)
        return states if len(np.unique(states)) == len(states) else None

    @cached_property
    def _label_places(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_heads,) Where each head's labels begin among those of all heads, and (n_labels,) the
        head of each label."""
        sizes = np.array([len(scheme.fold) for scheme in self.schemes])
        return np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)

    def to_probs(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits into each head's distribution over its states.

        logits (Floats2d): (n, n_columns) Logits of the checkpoint.
        RETURNS (Floats2d): (n, n_states) The distributions, side by side.
        """
        firsts, head = self._label_places
        logits = logits[:, self.columns] / self.temperatures
        exp = np.exp(logits - np.maximum.reduceat(logits, firsts, axis=1)[:, head])
        probs = exp / np.add.reduceat(exp, firsts, axis=1)[:, head]
        if self._state_of_label is None:
            return probs @ self._fold
        states = np.zeros((len(probs), self._fold.shape[1]), dtype=probs.dtype)
        states[:, self._state_of_label] = probs
        return states

    def of_head(self, probs: np.ndarray, head: int) -> np.ndarray:
        """RETURNS (Floats2d): (n, n_states) One head's distributions, out of those side by side."""
        start = len(self.schemes) + self.first_types[head]
        begin = slice(start, start + self.n_types[head])
        n_all = len(self.head_of_type)
        cont = slice(begin.start + n_all, begin.stop + n_all)
        return np.concatenate([probs[:, head : head + 1], probs[:, begin], probs[:, cont]], axis=1)

    def decode(
        self, probs: np.ndarray, lengths: np.ndarray, *, decoding: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decode the heads that find anything; most heads find nothing in most sentences.

        probs (Floats2d): (n_units, n_states) Distributions of the heads, side by side, or
            weights (see `bias_outside`).
        lengths (Ints1d): (n_texts,) Number of units of each text.
        decoding (str): "viterbi" or "greedy".
        RETURNS (tuple[Ints1d, Ints2d, Bools2d]): Those heads, and for each of them a row: the type
            of every unit, counted over all heads, -1 for none, and whether an entity begins there.
        """
        n, n_heads = len(self.head_of_type), len(self.schemes)
        best = np.maximum(probs[:, n_heads : n_heads + n], probs[:, n_heads + n :])
        found = np.maximum.reduceat(best, self.first_types, axis=1) > probs[:, :n_heads]
        heads = np.flatnonzero(found.any(axis=0))
        states = np.empty((len(heads), len(probs)), dtype="int64")
        for row, head in enumerate(heads.tolist()):
            states[row] = greedy(self.of_head(probs, head))
        n_types = self.n_types[heads, None]
        if decoding == "viterbi":
            # Where the likeliest states already make a valid sequence, it is the likeliest one.
            types = np.maximum(states - 1 - n_types, 0) + self.first_types[heads, None]
            broken = are_broken(states, lengths, n_types, self._begins[types])
            for row in np.flatnonzero(broken.any(axis=1)).tolist():
                head = int(heads[row])
                own = self.of_head(probs, head)
                states[row] = viterbi(own, lengths, self.schemes[head].begins)
        types, begun = split_states(states, n_types)
        return heads, np.where(types < 0, -1, types + self.first_types[heads, None]), begun

    @cached_property
    def _begins(self) -> np.ndarray:
        """(n_types,) Types with a label that begins an entity."""
        return np.concatenate([scheme.begins for scheme in self.schemes])


def split_states(states: np.ndarray, n_types: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Say what states mean.

    states (Ints): The states of one head, or of several in rows.
    n_types (Ints | int): How many types the head has, or each of them.
    RETURNS (tuple[Ints, Bools]): Type of each unit, -1 for none, and whether it begins an entity.
    """
    begun = (states > 0) & (states <= n_types)
    types = np.where(begun | (states == 0), states - 1, states - 1 - n_types)
    return types, begun


def continue_inside(probs: np.ndarray, inside: np.ndarray, n_heads: int = 1) -> np.ndarray:
    """Where a piece reaches into a second unit, that unit can only continue its entity.

    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    inside (Bools1d): (n_units,) Whether the unit's first piece began before it.
    n_heads (int): How many heads are side by side.
    RETURNS (Floats2d): (n_units, n_states) The same with no mass on beginning there.
    """
    if not inside.any():
        return probs
    begin, cont = _parts(probs, n_heads)
    probs = probs.copy()
    probs[inside, cont] += probs[inside, begin]
    probs[inside, begin] = 0
    return probs


def _parts(probs: np.ndarray, n_heads: int) -> tuple[slice, slice]:
    """The states that begin an entity, and those that continue one."""
    middle = (probs.shape[1] + n_heads) // 2
    return slice(n_heads, middle), slice(middle, None)


def begin_as_first(probs: np.ndarray, first: np.ndarray, n_heads: int = 1) -> np.ndarray:
    """Share out each type's mass between beginning and continuing as the first piece does.

    A later piece of a word says "continue" even where the word begins an entity, so a mean
    over pieces would lose the beginnings.

    probs (Floats2d): (n_units, n_states) Pooled distribution of each unit.
    first (Floats2d): (n_units, n_states) Distribution of each unit's first piece.
    n_heads (int): How many heads are side by side.
    RETURNS (Floats2d): (n_units, n_states) The distribution shared out anew.
    """
    begin, cont = _parts(probs, n_heads)
    mass = probs[:, begin] + probs[:, cont]
    share = first[:, begin] / np.maximum(first[:, begin] + first[:, cont], 1e-30)
    return np.concatenate([probs[:, :n_heads], mass * share, mass * (1 - share)], axis=1)


def bias_outside(probs: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Make "O" more or less likely. What comes out are weights: rows no longer sum up to one.

    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    bias (Floats1d | None): (n_heads,) What is added to the log-probability of each head's "O".
    RETURNS (Floats2d): (n_units, n_states) The weights.
    """
    if bias is None or not bias.any():
        return probs
    probs = probs.copy()
    probs[:, : len(bias)] *= np.exp(bias).astype(probs.dtype)
    return probs


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
    states, n_types = greedy(probs), len(begins)
    if not n_types:
        return states
    must_begin = begins[np.maximum(states - 1 - n_types, 0)]
    broken = np.flatnonzero(are_broken(states, lengths, n_types, must_begin))
    if not len(broken):
        return states
    lengths = _cut_apart(probs, lengths, begins)  # cuts through no entity that has begun
    text = np.repeat(np.arange(len(lengths)), lengths)
    for rows in _alike(np.unique(text[broken]), lengths):
        size = lengths[rows]
        starts = (np.cumsum(lengths) - lengths)[rows]
        at = starts[:, None] + np.minimum(np.arange(size.max()), size[:, None] - 1)
        paths = _best_paths(probs[at], size, begins)
        used = np.arange(size.max()) < size[:, None]
        states[at[used]] = paths[used]
    return states


def are_broken(
    states: np.ndarray, lengths: np.ndarray, n_types: np.ndarray | int, must_begin: np.ndarray
) -> np.ndarray:
    """Find the units that continue an entity which has not begun. Where there are none, the
    likeliest states are the likeliest valid sequence.

    states (Ints): (n_units,) States of one head, or of several in rows.
    lengths (Ints1d): (n_texts,) Number of units of each text.
    n_types (Ints | int): How many types the head has, or each of them.
    must_begin (Bools): As states: Whether an entity of the type that is continued has to begin.
    RETURNS (Bools): As states.
    """
    is_first = np.zeros(states.shape[-1] + 1, dtype=bool)  # of its text
    is_first[np.cumsum(lengths) - lengths] = True
    before = np.zeros_like(states)
    before[..., 1:] = states[..., :-1]
    is_open = is_first[:-1] | ((before != states) & (before != states - n_types))
    return (states > n_types) & must_begin & is_open


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
    types: np.ndarray, begun: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read the entities off the types of units.

    types (Ints1d): (n_units,) Type of each unit, -1 for none.
    begun (Bools1d): (n_units,) Whether an entity begins there, even after one of its type.
    lengths (Ints1d): (n_texts,) Number of units of each text; no entity crosses texts.
    RETURNS (tuple[Ints1d, Ints1d]): First unit of each entity, and the unit after its last.
    """
    ends_of_texts = np.zeros(len(types) + 1, dtype=bool)
    ends_of_texts[np.cumsum(lengths)] = True
    changes = np.ones(len(types) + 1, dtype=bool)
    changes[1:-1] = (types[1:] != types[:-1]) | ends_of_texts[1:-1]
    opens = (types >= 0) & (changes[:-1] | begun)
    starts = np.flatnonzero(opens)
    # An entity ends where the next one begins, or where its run of units of one type does.
    breaks = np.flatnonzero(changes | np.append(opens, True))
    return starts, breaks[np.searchsorted(breaks, starts, side="right")]


def find_scores(
    probs: np.ndarray, starts: np.ndarray, ends: np.ndarray, types: np.ndarray, n_heads: int = 1
) -> np.ndarray:
    """Score entities: the mean probability of the type over their units, beginning and continuing
    taken together.

    probs (Floats2d): (n_units, n_states) Distribution of each unit.
    starts, ends (Ints1d): (n_entities,) First unit of each entity, and the unit after its last.
    types (Ints1d): (n_entities,) Its type.
    n_heads (int): How many heads are side by side.
    RETURNS (Floats1d): (n_entities,) The scores.
    """
    begin, cont = _parts(probs, n_heads)
    used = np.flatnonzero(np.bincount(types))
    columns = np.searchsorted(used, types)
    mass = probs[:, begin][:, used] + probs[:, cont][:, used]
    total = np.concatenate([np.zeros((1, len(used))), np.cumsum(mass, axis=0, dtype="float64")])
    return (total[ends, columns] - total[starts, columns]) / np.maximum(ends - starts, 1)
