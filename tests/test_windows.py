"""Windows and batches, against rules stated piece by piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_openmed.checkpoints.windows import Windows, plan_batches, plan_windows


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Lengths of texts, a capacity and a stride."""
    lengths = draw(st.lists(st.integers(0, 60), max_size=6))
    capacity = draw(st.integers(1, 20))
    return lengths, capacity, draw(st.integers(0, capacity - 1))


def plan(lengths: list[int], capacity: int, stride: int) -> Windows:
    return plan_windows(np.array(lengths, dtype="int64"), capacity, stride)


def pairs(starts: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@pytest.mark.parametrize(
    ("lengths", "windows", "own"),
    [
        ([], [], []),
        ([0], [], []),
        ([1], [(0, 1)], [(0, 1)]),
        ([8], [(0, 8)], [(0, 8)]),
        ([9], [(0, 7), (2, 9)], [(0, 4), (4, 9)]),
        ([12], [(0, 8), (4, 12)], [(0, 6), (6, 12)]),
        ([3, 0, 14], [(0, 3), (3, 11), (7, 15), (9, 17)], [(0, 3), (3, 9), (9, 12), (12, 17)]),
        ([15], [(0, 8), (4, 12), (7, 15)], [(0, 6), (6, 9), (9, 15)]),
    ],
)
def test_plan_windows(
    lengths: list[int], windows: list[tuple[int, int]], own: list[tuple[int, int]]
):
    found = plan(lengths, capacity=8, stride=4)
    assert pairs(found.starts, found.ends) == windows
    assert pairs(found.own_starts, found.own_ends) == own


@given(plans())
def test_every_piece_is_owned_once(case: tuple[list[int], int, int]):
    windows = plan(*case)
    owned = [
        i for start, end in pairs(windows.own_starts, windows.own_ends) for i in range(start, end)
    ]
    assert owned == list(range(sum(case[0])))


@given(plans())
def test_windows_own_what_is_deepest_inside_them(case: tuple[list[int], int, int]):
    windows = plan(*case)
    spans = pairs(windows.starts, windows.ends)
    for owner, (start, end) in enumerate(pairs(windows.own_starts, windows.own_ends)):
        assert spans[owner][0] <= start < end <= spans[owner][1]
        for piece in range(start, end):
            depths = [min(piece - first, last - 1 - piece) for first, last in spans]
            assert depths[owner] == max(depths)


@given(plans())
def test_windows_stay_inside_their_text(case: tuple[list[int], int, int]):
    lengths, capacity, stride = case
    windows = plan(*case)
    spans = pairs(windows.starts, windows.ends)
    base = 0
    for length in lengths:
        mine = [(start - base, end - base) for start, end in spans if base <= start < base + length]
        base += length
        if length <= capacity:
            assert mine == [(0, length)] * (length > 0)
            continue
        assert (mine[0][0], mine[-1][1]) == (0, length)
        (size,) = {end - start for start, end in mine}
        assert len(mine) <= -((stride - length) // (capacity - stride))
        shared = [end - start for (_, end), (start, _) in zip(mine, mine[1:], strict=False)]
        assert set(shared[:-1]) <= {stride}
        assert stride <= shared[-1] < size <= capacity


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "batches"),
    [
        ([], 10, []),
        ([3], 10, [[0]]),
        ([2, 5, 3], 10, [[1, 2], [0]]),
        ([5, 5, 5], 10, [[0, 1], [2]]),
        ([2, 20, 2], 10, [[1], [0, 2]]),
        ([4, 4], 1, [[0], [1]]),
    ],
)
def test_plan_batches(lengths: list[int], max_tokens: int, batches: list[list[int]]):
    found = plan_batches(np.array(lengths, dtype="int64"), max_tokens)
    assert [batch.tolist() for batch in found] == batches


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_batches_hold_every_window_once(lengths: list[int], max_tokens: int):
    batches = plan_batches(np.array(lengths, dtype="int64"), max_tokens)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_batches_are_as_full_as_the_budget_allows(lengths: list[int], max_tokens: int):
    batches = plan_batches(np.array(lengths, dtype="int64"), max_tokens)
    for number, batch in enumerate(batches, start=1):
        longest = max(lengths[i] for i in batch)
        assert len(batch) * longest <= max_tokens or len(batch) == 1
        assert (len(batch) + 1) * longest > max_tokens or number == len(batches)


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_batches_go_from_long_to_short(lengths: list[int], max_tokens: int):
    batches = plan_batches(np.array(lengths, dtype="int64"), max_tokens)
    order = [lengths[i] for batch in batches for i in batch]
    assert order == sorted(lengths, reverse=True)
