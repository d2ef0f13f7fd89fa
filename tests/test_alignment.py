"""Alignment and pooling, against brute force and against spaCy."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_openmed.checkpoints.windows import Pieces
from spacy_openmed.ner.alignment import (
    Alignment,
    Buffer,
    Units,
    align,
    char_table,
    find_words,
    pool,
    to_tokens,
    trim,
)

Interval = tuple[int, int]

TOKENIZER = spacy.blank("en").tokenizer
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=25) | st.text(
    "ab1 .-(\n\t\u200b\u0301é患😀", max_size=25
)


def ints(rows: list[Interval]) -> np.ndarray:
    return np.array(rows, dtype="int64").reshape(-1, 2)


@st.composite
def units(draw: st.DrawFn) -> list[Interval]:
    """Intervals without overlap, in order, with or without gaps."""
    bounds = sorted(draw(st.sets(st.integers(0, 30), max_size=12)))
    spans = list(zip(bounds, bounds[1:], strict=False))
    return [span for span in spans if draw(st.booleans())]


intervals = st.tuples(st.integers(0, 30), st.integers(0, 6)).map(lambda t: (t[0], t[0] + t[1]))
pieces_lists = st.lists(intervals, max_size=12)


def overlap(a: Interval, b: Interval) -> bool:
    return max(a[0], b[0]) < min(a[1], b[1])


def rows_of(alignment: Alignment) -> list[tuple[int, list[int], bool]]:
    """Unit, pieces and `inside`, unit by unit."""
    groups = np.split(alignment.pieces, alignment.starts[1:])
    return [
        (unit, group.tolist(), inside)
        for unit, group, inside in zip(
            alignment.units.tolist(), groups, alignment.inside.tolist(), strict=False
        )
    ]


@pytest.mark.parametrize(
    ("pieces", "spans", "expected"),
    [
        ([], [(0, 3)], []),
        ([(0, 3)], [], []),
        ([(0, 3), (3, 5)], [(0, 5)], [(0, [0, 1], False)]),
        ([(0, 5)], [(0, 3), (3, 5)], [(0, [0], False), (1, [0], True)]),
        ([(0, 2), (2, 4)], [(0, 3), (3, 4)], [(0, [0, 1], False), (1, [1], True)]),
        ([(0, 2), (5, 6)], [(0, 2), (2, 5), (5, 6)], [(0, [0], False), (2, [1], False)]),
        ([(0, 1), (0, 1), (0, 1)], [(0, 1)], [(0, [0, 1, 2], False)]),
        ([(2, 2), (2, 3)], [(1, 4)], [(0, [1], False)]),
    ],
)
def test_align(pieces: list[Interval], spans: list[Interval], expected: list):
    assert rows_of(align(ints(pieces), *ints(spans).T)) == expected


@given(pieces_lists, units())
def test_align_is_overlap(pieces: list[Interval], spans: list[Interval]):
    expected = []
    for unit, span in enumerate(spans):
        mine = [i for i, piece in enumerate(pieces) if overlap(piece, span)]
        if mine:
            inside = any(overlap(pieces[mine[0]], before) for before in spans[:unit])
            expected.append((unit, mine, inside))
    assert rows_of(align(ints(pieces), *ints(spans).T)) == expected


def pool_slowly(rows: np.ndarray, strategy: str) -> np.ndarray:
    if strategy == "first":
        return rows[0]
    if strategy == "average":
        return sum(rows) / len(rows)
    return max(rows, key=lambda row: row.max())


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
@given(pieces_lists, units(), st.integers(0, 2**32 - 1))
def test_pool(strategy: str, pieces: list[Interval], spans: list[Interval], seed: int):
    # Few different values, so that some pieces tie.
    probs = np.random.default_rng(seed).integers(0, 5, (len(pieces), 3)).astype("float32")
    alignment = align(ints(pieces), *ints(spans).T)
    pooled = pool(probs, alignment, strategy)
    assert pooled.shape == (len(alignment.units), 3)
    for row, (_, mine, _) in zip(pooled, rows_of(alignment), strict=True):
        np.testing.assert_allclose(row, pool_slowly(probs[mine], strategy), rtol=1e-6)


@pytest.mark.parametrize("test", [str.isspace, str.isalnum])
@given(st.text(st.characters()))
def test_char_table(test, text: str):
    assert char_table(text, test).tolist() == [test(char) for char in text]


def trim_slowly(text: str, start: int, end: int) -> Interval:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


@given(st.text("a .\n\u00a0", max_size=12), st.data())
def test_trim_takes_spaces_off_both_ends(text: str, data: st.DataObject):
    edge = st.integers(0, len(text))
    spans = [tuple(sorted(pair)) for pair in data.draw(st.lists(st.tuples(edge, edge)))]
    trimmed = trim(ints(spans), char_table(text, str.isspace))
    for (start, end), found in zip(spans, trimmed.tolist(), strict=True):
        if text[start:end].strip():
            assert tuple(found) == trim_slowly(text, start, end)
        else:
            assert start <= found[0] == found[1] <= end


def words_of(text: str, pieces: list[str], words: list[int]) -> list[str]:
    """The words of a text whose pieces stand in it one after another."""
    offsets, at = [], 0
    for piece in pieces:
        at = text.index(piece, at)
        offsets.append((at, at + len(piece)))
        at += len(piece)
    found = find_words(ints(offsets), np.array(words), char_table(text, str.isalnum))
    return [text[start:end] for start, end in zip(*found, strict=True)]


@pytest.mark.parametrize(
    ("text", "pieces", "words", "expected"),
    [
        ("aspirin relieves", ["asp", "irin", "relie", "ves"], [0, 0, 1, 1], "aspirin relieves"),
        ("NF-kappaB.", ["NF", "-", "kap", "paB", "."], [0] * 5, "NF - kappaB ."),
        ("p53(R175H", ["p", "53", "(", "R", "175", "H"], [0] * 6, "p53 ( R175H"),
        ("BRCA1/2", ["BRCA", "1/2"], [0, 0], "BRCA1/2"),
        ("vB_SauS", ["vB", "_", "Sa", "uS"], [0] * 4, "vB _ SauS"),
        ("ab", ["a", "b"], [0, 1], "a b"),
        ("(a)", ["(a", ")"], [0, 0], "(a )"),
        ("患者", ["患", "者"], [0, 1], "患 者"),
    ],
)
def test_find_words(text: str, pieces: list[str], words: list[int], expected: str):
    assert words_of(text, pieces, words) == expected.split()


def test_pieces_of_one_character_are_one_word():
    offsets = ints([(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)])
    starts, ends = find_words(offsets, np.zeros(5, dtype="int64"), np.zeros(2, dtype=bool))
    assert (starts.tolist(), ends.tolist()) == ([0, 1], [1, 2])


def test_empty_pieces_are_no_words():
    starts, ends = find_words(ints([(0, 0), (1, 1)]), np.array([0, 1]), np.ones(2, dtype=bool))
    assert len(starts) == len(ends) == 0


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[Interval], list[int]]:
    """A text, pieces of it with gaps and the number of the word of each."""
    text = draw(TEXTS)
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=12))})
    pieces = [span for span in zip(cuts, cuts[1:], strict=False) if draw(st.integers(0, 5))]
    words = np.cumsum([draw(st.booleans()) for _ in pieces]).tolist()
    return text, pieces, words


@given(cut_texts())
def test_words_begin_and_end_where_the_rule_says(case: tuple[str, list[Interval], list[int]]):
    text, pieces, words = case
    offsets = trim(ints(pieces), char_table(text, str.isspace))
    starts, ends = find_words(offsets, np.array(words), char_table(text, str.isalnum))
    filled = [(s, e, w) for (s, e), w in zip(offsets.tolist(), words, strict=True) if s < e]
    expected: list[list[int]] = []
    last = None
    for start, end, word in filled:
        joined = word == last and text[start].isalnum() and text[expected[-1][1] - 1].isalnum()
        if joined:
            expected[-1][1] = end
        else:
            expected.append([start, end])
        last = word
    assert [list(pair) for pair in zip(starts.tolist(), ends.tolist(), strict=True)] == expected


@pytest.mark.parametrize("mode", ["strict", "contract", "expand"])
@given(TEXTS)
def test_to_tokens_is_char_span(mode: str, text: str):
    doc = TOKENIZER(text)
    tokens = ints([(token.idx, token.idx + len(token)) for token in doc])
    spans = [
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if text[start:end] != " "  # for which spaCy gives a span of no tokens
    ]
    first, stop, fits = to_tokens(*ints(spans).T, *tokens.T, mode)
    for i, (start, end) in enumerate(spans):
        span = doc.char_span(start, end, alignment_mode=mode)
        assert fits[i] == (span is not None)
        if span is not None:
            assert (first[i], stop[i]) == (span.start, span.end)


@pytest.mark.parametrize("mode", ["strict", "contract", "expand"])
def test_to_tokens_of_no_tokens(mode: str):
    empty = np.empty(0, dtype="int64")
    *_, fits = to_tokens(np.array([0]), np.array([3]), empty, empty, mode)
    assert not fits.any()


def make_buffer(cases: list[tuple[str, list[Interval], list[int]]]) -> Buffer:
    tokens = [
        ints([(token.idx, token.idx + len(token)) for token in TOKENIZER(text)])
        for text, _, _ in cases
    ]
    offsets = [piece for _, pieces, _ in cases for piece in pieces]
    return Buffer(
        [text for text, _, _ in cases],
        [rows[:, 0] for rows in tokens],
        [rows[:, 1] for rows in tokens],
        Pieces(
            np.zeros(len(offsets), dtype="int64"),
            ints(offsets),
            np.array([word for _, _, words in cases for word in words], dtype="int64"),
            np.array([len(pieces) for _, pieces, _ in cases], dtype="int64"),
        ),
    )


def described(units: Units, first_unit: int, first_piece: int, first_char: int) -> list[tuple]:
    """What a text's units are, counted from where the text begins."""
    return [
        (unit - first_unit, [piece - first_piece for piece in pieces], inside, start, end)
        for (unit, pieces, inside), start, end in zip(
            rows_of(units.alignment),
            (units.starts - first_char).tolist(),
            (units.ends - first_char).tolist(),
            strict=True,
        )
    ]


@given(st.lists(cut_texts(), max_size=4))
def test_a_buffer_aligns_each_text_as_if_alone(cases: list[tuple[str, list[Interval], list[int]]]):
    buffer = make_buffer(cases)
    tokens, words = [], []
    n_tokens = n_words = n_pieces = 0
    for i, case in enumerate(cases):
        alone = make_buffer([case])
        assert buffer.tokens.lengths[i] == alone.tokens.lengths[0]
        assert buffer.words.lengths[i] == alone.words.lengths[0]
        shift = (-n_pieces, -buffer.first_chars[i])
        tokens += described(alone.tokens, -n_tokens, *shift)
        words += described(alone.words, -n_words, *shift)
        assert buffer.first_tokens[i] == n_tokens
        n_tokens += len(alone.token_starts)
        n_words += int(alone.words.lengths[0])
        n_pieces += len(case[1])
    assert described(buffer.tokens, 0, 0, 0) == tokens
    assert described(buffer.words, 0, 0, 0) == words


def test_a_buffer_knows_the_text_of_a_character():
    buffer = make_buffer([("ab", [], []), ("", [], []), ("c", [], []), ("", [], [])])
    assert buffer.first_chars.tolist() == [0, 3, 4, 6]
    assert buffer.text_of(np.array([0, 1, 4])).tolist() == [0, 0, 2]


def test_a_buffer_of_nothing():
    buffer = make_buffer([])
    assert len(buffer.tokens.index) == len(buffer.words.index) == 0


def test_a_buffer_turns_characters_into_its_tokens():
    buffer = make_buffer([("one (two", [], []), ("three", [], [])])
    starts, ends = np.array([5, 6, 9]), np.array([8, 8, 13])
    for mode, expected in [
        ("strict", [(2, 3), None, None]),
        ("contract", [(2, 3), None, None]),
        ("expand", [(2, 3), (2, 3), (3, 4)]),
    ]:
        first, stop, fits = buffer.to_tokens(starts, ends, mode=mode)
        found = zip(first.tolist(), stop.tolist(), fits.tolist(), strict=True)
        assert [(start, end) if fit else None for start, end, fit in found] == expected


@pytest.mark.parametrize(
    ("first", "stop", "types", "expected"),
    [
        (1, 2, [-1, 0, -1, -1, -1], "p53"),
        (1, 2, [-1, -1, -1, 0, -1], "R175H"),
        (1, 2, [-1, 0, -1, 0, -1], "p53(R175H"),
        (1, 2, [0, 1, 0, 1, 0], "("),
        (1, 2, [0, -1, -1, -1, 0], "p53(R175H"),
        (1, 2, [0, 1, 1, 1, 0], "p53(R175H"),
        (0, 2, [0, 0, -1, -1, -1], "lost p53"),
        (0, 2, [-1, -1, -1, 0, -1], "lost p53(R175H"),
        (1, 3, [-1, -1, -1, 0, 0], "R175H here"),
        (1, 3, [-1, 0, -1, -1, -1], "p53(R175H here"),
        (0, 3, [0, -1, -1, -1, 0], "lost p53(R175H here"),
    ],
)
def test_shrink_leaves_out_words_of_other_types(
    first: int, stop: int, types: list[int], expected: str
):
    text = "lost p53(R175H here"
    pieces = [(0, 4), (5, 8), (8, 9), (9, 14), (15, 19)]
    buffer = make_buffer([("before", [], []), (text, pieces, [0, 1, 1, 1, 2])])
    assert len(buffer.token_starts) == 4
    starts, ends = buffer.shrink(
        np.array([first + 1]),
        np.array([stop + 1]),
        lambda i, low, high: np.array(types)[low:high] == i,
    )
    at = buffer.first_chars[1]
    assert text[starts[0] - at : ends[0] - at] == expected
