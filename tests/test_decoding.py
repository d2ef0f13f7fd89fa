"""Decoding, against every sequence that there is and against rules stated unit by unit."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_openmed.ner import decoding
from spacy_openmed.ner.decoding import (
    LabelScheme,
    LabelSchemes,
    begin_as_first,
    bias_outside,
    continue_inside,
    find_scores,
    find_spans,
    greedy,
    split_states,
    viterbi,
)
from spacy_openmed.ner.loss import softmax


def states_of(scheme: LabelScheme) -> list[int]:
    """The state of each label; every label has one."""
    assert set(scheme.fold.sum(axis=1)) == {1}
    return scheme.fold.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("labels", "types", "states", "begins"),
    [
        (["O", "B-A", "I-A", "B-B", "I-B"], ("A", "B"), [0, 1, 3, 2, 4], [True, True]),
        (["I-A", "B-A", "O"], ("A",), [2, 1, 0], [True]),
        (["B-B", "O", "I-A", "B-A", "I-B"], ("B", "A"), [1, 0, 4, 2, 3], [True, True]),
        (["O", "B-A"], ("A",), [0, 1], [True]),
        (["O", "I-A", "I-B"], ("A", "B"), [0, 3, 4], [False, False]),
        (["O", "A", "B"], ("A", "B"), [0, 3, 4], [False, False]),
        (["O", "I-A", "B-B", "I-B"], ("A", "B"), [0, 3, 2, 4], [False, True]),
        (["O", "B-A", "I-A", "E-A", "S-A"], ("A",), [0, 1, 2, 2, 1], [True]),
        (["O", "B-A", "I-A", "L-A", "U-A"], ("A",), [0, 1, 2, 2, 1], [True]),
        (
            ["O", "B-Cell-line-name", "I-Cell-line-name", "B-GENE/PROTEIN", "I-GENE/PROTEIN"],
            ("Cell-line-name", "GENE/PROTEIN"),
            [0, 1, 3, 2, 4],
            [True, True],
        ),
        (["O", "A-B", "A-I", "B-B", "B-I"], ("A", "B"), [0, 1, 3, 2, 4], [True, True]),
        (["O", "B_CELL", "E-coli", "S-100"], ("B_CELL", "E-coli", "S-100"), [0, 4, 5, 6], [0] * 3),
        (["O"], (), [0], []),
    ],
)
def test_label_scheme(
    labels: list[str], types: tuple[str, ...], states: list[int], begins: list[bool]
):
    scheme = LabelScheme.from_labels(labels, name="model")
    assert scheme.types == types
    assert states_of(scheme) == states
    assert scheme.begins.tolist() == begins
    assert scheme.fold.shape == (len(labels), 1 + 2 * len(types))


def test_label_scheme_needs_an_o():
    with pytest.raises(ValueError, match="OM200.*some/model"):
        LabelScheme.from_labels(["LABEL_0", "LABEL_1"], name="some/model")


def test_softmax():
    logits = np.array([[0, 0], [1000, -1000], [np.log(3), 0]], dtype="float32")
    expected = [[0.5, 0.5], [1, 0], [0.75, 0.25]]
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-6)
    assert softmax(np.empty((0, 3), dtype="float32")).shape == (0, 3)


@st.composite
def decodings(draw: st.DrawFn) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Distributions, lengths of texts, and which types have a label that begins an entity."""
    begins = np.array(draw(st.lists(st.booleans(), max_size=2)), dtype=bool)
    lengths = draw(st.lists(st.integers(0, 4), max_size=4))
    n_states = 1 + 2 * len(begins)
    weights = st.lists(st.integers(0, 9), min_size=n_states, max_size=n_states)
    rows = [draw(weights) for _ in range(sum(lengths))]
    probs = np.array(rows, dtype="float32").reshape(-1, n_states) + 0.001
    probs[:, 1 : 1 + len(begins)][:, ~begins] = 0
    return probs / probs.sum(axis=1, keepdims=True), lengths, begins


def is_valid(states: tuple[int, ...], begins: np.ndarray) -> bool:
    n_types = len(begins)
    for before, state in zip((0, *states), states, strict=False):
        kind = state - 1 - n_types
        if state > n_types and begins[kind] and before not in (1 + kind, state):
            return False
    return True


def texts_of(rows: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(lengths)[:-1]) if lengths else []


@given(decodings())
def test_viterbi_finds_the_likeliest_valid_sequence(case):
    probs, lengths, begins = case
    found = viterbi(probs, np.array(lengths, dtype="int64"), begins)
    assert len(found) == len(probs)
    logs = np.log(np.maximum(probs.astype("float64"), 1e-30))
    for states, rows in zip(texts_of(found, lengths), texts_of(logs, lengths), strict=True):
        assert is_valid(tuple(states), begins)
        every = product(range(probs.shape[1]), repeat=len(rows))
        steps = np.arange(len(rows))
        best = max(rows[steps, list(path)].sum() for path in every if is_valid(path, begins))
        assert rows[steps, states].sum() == pytest.approx(best, abs=1e-4)


def test_viterbi_does_not_leave_an_entity_without_a_beginning():
    begins = np.array([True])
    probs = np.array([[0.1, 0.4, 0.5], [0.1, 0.0, 0.9]])
    assert greedy(probs).tolist() == [2, 2]
    assert viterbi(probs, np.array([2]), begins).tolist() == [1, 2]
    assert viterbi(probs, np.array([1, 1]), begins).tolist() == [1, 0]


def test_viterbi_of_many_texts_is_that_of_each():
    random = np.random.default_rng(0)
    begins = np.array([True, False, True])
    lengths = random.integers(0, 9, 30_000)
    logits = random.normal(0, 3, (lengths.sum(), 7)).astype("float32")
    logits[:, 2] = -np.inf
    probs = softmax(logits)
    found = viterbi(probs, lengths, begins)
    assert (found != greedy(probs)).any()
    ends = np.cumsum(lengths)
    for i in random.integers(0, len(lengths), 200):
        mine = slice(ends[i] - lengths[i], ends[i])
        alone = viterbi(probs[mine], lengths[i : i + 1], begins)
        assert found[mine].tolist() == alone.tolist()


def test_greedy():
    probs = np.array([[0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.2, 0.5, 0.3]])
    assert greedy(probs).tolist() == [0, 2, 1]


def find_slowly(states: np.ndarray, lengths: list[int], probs: np.ndarray) -> list[tuple]:
    n_types = probs.shape[1] // 2
    found: list[list[int]] = []
    at = 0
    for length in lengths:
        last = None
        for i in range(at, at + length):
            state = states[i]
            kind = None if state == 0 else (state - 1) % n_types
            if kind is not None and (kind != last or state <= n_types):
                found.append([i, i + 1, kind])
            elif kind is not None:
                found[-1][1] = i + 1
            last = kind
        at += length
    return [
        (start, end, kind, probs[start:end, [1 + kind, 1 + n_types + kind]].sum() / (end - start))
        for start, end, kind in found
    ]


def spans_of(states: np.ndarray, lengths: list[int], probs: np.ndarray) -> tuple:
    """First and last unit, type and score of each entity."""
    types, begun = split_states(states, probs.shape[1] // 2)
    starts, ends = find_spans(types, begun, np.array(lengths, dtype="int64"))
    return starts, ends, types[starts], find_scores(probs, starts, ends, types[starts])


@given(decodings(), st.data())
def test_find_spans(case, data: st.DataObject):
    probs, lengths, _ = case
    state = st.integers(0, probs.shape[1] - 1)
    states = data.draw(st.lists(state, min_size=len(probs), max_size=len(probs)))
    states = np.array(states, dtype="int64")
    found = spans_of(states, lengths, probs)
    expected = find_slowly(states, lengths, probs)
    assert [column.tolist() for column in found[:3]] == [
        [row[i] for row in expected] for i in range(3)
    ]
    np.testing.assert_allclose(found[3], [row[3] for row in expected], atol=1e-5)


@pytest.mark.parametrize(
    ("states", "lengths", "expected"),
    [
        ([1, 3, 0, 2], [4], [(0, 2, 0), (3, 4, 1)]),
        ([1, 1, 3], [3], [(0, 1, 0), (1, 3, 0)]),
        ([1, 4], [2], [(0, 1, 0), (1, 2, 1)]),
        ([3, 3], [2], [(0, 2, 0)]),
        ([3, 3], [1, 1], [(0, 1, 0), (1, 2, 0)]),
        ([1, 3], [0, 2, 0], [(0, 2, 0)]),
        ([1, 0, 3], [3], [(0, 1, 0), (2, 3, 0)]),
        ([], [0, 0], []),
    ],
)
def test_find_spans_of_states(states: list[int], lengths: list[int], expected: list):
    probs = np.full((len(states), 5), 0.2)
    starts, ends, types, scores = spans_of(np.array(states, dtype="int64"), lengths, probs)
    assert list(zip(starts.tolist(), ends.tolist(), types.tolist(), strict=True)) == expected
    np.testing.assert_allclose(scores, 0.4)


def test_scores_are_means_over_the_units():
    probs = np.array([[0.1, 0.7, 0.2], [0.4, 0.1, 0.5]])
    *_, scores = spans_of(np.array([1, 2]), [2], probs)
    assert scores.tolist() == pytest.approx([0.75])


@given(decodings(), st.data())
def test_units_that_begin_inside_a_piece_only_continue(case, data: st.DataObject):
    probs, _, begins = case
    n_types = len(begins)
    inside = data.draw(st.lists(st.booleans(), min_size=len(probs), max_size=len(probs)))
    inside = np.array(inside, dtype=bool)
    before = probs.copy()
    found = continue_inside(probs, inside)
    np.testing.assert_array_equal(probs, before)
    np.testing.assert_array_equal(found[~inside], probs[~inside])
    np.testing.assert_array_equal(found[inside, : 1 + n_types][:, 1:], 0)
    np.testing.assert_array_equal(found[:, 0], probs[:, 0])
    np.testing.assert_allclose(mass(found), mass(probs), rtol=1e-6)


def mass(probs: np.ndarray) -> np.ndarray:
    """What a type has, beginning and continuing taken together."""
    n_types = probs.shape[1] // 2
    return probs[:, 1 : 1 + n_types] + probs[:, 1 + n_types :]


def test_begin_as_first_shares_out_as_the_first_piece_does():
    pooled = np.array([[0.2, 0.1, 0.1, 0.5, 0.1]])
    first = np.array([[0.0, 0.6, 0.0, 0.2, 0.2]])
    np.testing.assert_allclose(begin_as_first(pooled, first), [[0.2, 0.45, 0.0, 0.15, 0.2]])


@given(decodings(), st.randoms(use_true_random=False))
def test_begin_as_first_keeps_what_a_type_has(case, random):
    probs, _, _ = case
    order = list(range(len(probs)))
    random.shuffle(order)
    found = begin_as_first(probs, probs[order])
    assert found.min(initial=0) >= 0
    np.testing.assert_array_equal(found[:, 0], probs[:, 0])
    np.testing.assert_allclose(mass(found), mass(probs), rtol=1e-5)


@given(decodings())
def test_begin_as_first_leaves_single_pieces_as_they_are(case):
    probs, _, _ = case
    np.testing.assert_allclose(begin_as_first(probs, probs), probs, atol=1e-6)


def test_begin_as_first_where_the_first_piece_knows_nothing_of_the_type():
    pooled, first = np.array([[0.5, 0.2, 0.3]]), np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(begin_as_first(pooled, first), [[0.5, 0.0, 0.5]])


@pytest.mark.parametrize("begins", [[True, True, True], [True, False, True]])
def test_texts_decoded_in_parts_are_what_they_are_whole(begins: list[bool]):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2.0, size=(4000, 7)) + [4, 0, 0, 0, 1, 1, 1]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    lengths, rule = np.array([1500, 0, 2500]), np.array(begins)
    parts = decoding._cut_apart(probs, lengths, rule)
    assert parts.sum() == 4000
    assert len(parts) > 500
    whole = [
        decoding._best_paths(text[None], np.array([len(text)]), rule)[0]
        for text in (probs[:1500], probs[1500:])
    ]
    np.testing.assert_array_equal(viterbi(probs, lengths, rule), np.concatenate(whole))


@pytest.fixture
def heads() -> list[LabelScheme]:
    """Heads of several styles; two labels of the last one mean the same."""
    labels = (["O", "B-A", "I-A", "B-B", "I-B"], ["C", "O"], ["I-D", "E-D", "B-D", "S-D", "O"])
    return [LabelScheme.from_labels(each, name="x") for each in labels]


@pytest.mark.parametrize("decoding", ["viterbi", "greedy"])
def test_heads_side_by_side_are_decoded_as_each_alone(heads: list[LabelScheme], decoding: str):
    rng = np.random.default_rng(0)
    columns = np.array([*range(3, 8), 0, 1, *range(9, 14)])
    temperatures = np.repeat([1.0, 0.5, 2.0], [5, 2, 5])
    logits = rng.normal(scale=2.0, size=(300, 14))
    lengths = np.array([100, 0, 200])
    schemes = LabelSchemes(tuple(heads), columns, temperatures)
    probs = schemes.to_probs(logits)
    rows, types, begun = schemes.decode(probs, lengths, decoding=decoding)
    assert rows.tolist() == [0, 1, 2]
    first = 0
    for i, (scheme, own) in enumerate(
        zip(heads, (slice(3, 8), slice(0, 2), slice(9, 14)), strict=True)
    ):
        alone = softmax(logits[:, own] / (1.0, 0.5, 2.0)[i]) @ scheme.fold
        np.testing.assert_allclose(schemes.of_head(probs, i), alone, atol=1e-6)
        states = viterbi(alone, lengths, scheme.begins) if decoding == "viterbi" else greedy(alone)
        kinds, begins = split_states(states, len(scheme.types))
        np.testing.assert_array_equal(types[i], np.where(kinds < 0, -1, kinds + first))
        np.testing.assert_array_equal(begun[i], begins)
        first += len(scheme.types)


def test_heads_that_find_nothing_are_left_out(heads: list[LabelScheme]):
    schemes = LabelSchemes(tuple(heads), np.arange(12), np.ones(12))
    logits = np.zeros((4, 12))
    logits[:, [0, 6, 11]] = 9.0  # "O" of each head
    logits[2, 10] = 20.0
    rows, types, begun = schemes.decode(schemes.to_probs(logits), np.array([4]), decoding="viterbi")
    assert (rows.tolist(), types.tolist()) == ([2], [[-1, -1, 3, -1]])
    assert begun.tolist() == [[False, False, True, False]]


def test_bias_moves_the_decision_of_each_head():
    scheme = LabelScheme.from_labels(["O", "B-A", "I-A"], name="model")
    columns, temperatures = np.arange(6), np.ones(6, dtype="float32")
    schemes = LabelSchemes((scheme, scheme), columns, temperatures)
    # Two units, two heads with the same distribution: O .7, B .2, I .1, then O .6, B .1, I .3.
    probs = np.array([[0.7, 0.7, 0.2, 0.2, 0.1, 0.1], [0.6, 0.6, 0.1, 0.1, 0.3, 0.3]])
    lengths = np.array([2])
    for decoding_ in ("viterbi", "greedy"):
        heads, *_ = schemes.decode(probs, lengths, decoding=decoding_)
        assert heads.tolist() == []
        biased = bias_outside(probs, np.array([0.0, -2.0]))
        heads, types, begun = schemes.decode(biased, lengths, decoding=decoding_)
        assert heads.tolist() == [1]
        assert types.tolist() == [[1, 1]]
        assert begun.tolist() == [[True, False]]
    assert probs[0, 1] == 0.7  # as it was
