"""Encodings: names, byte-order marks, and bytes that are not valid."""

import io

import pytest

from spacy_openmed.encoding import BROKEN, decode, find_encoding, open_lines


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be", "cp1252"])
def test_byte_order_marks_are_left_out(encoding: str):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = f"{mark}é\n–\n".encode(encoding)
    named = encoding if encoding == "cp1252" else "utf-8"
    assert decode(content, named) == "é\n–\n"
    with open_lines(io.BytesIO(content), named) as lines:
        assert [*lines] == ["é\n", "–\n"]


def test_bytes_that_are_not_valid_do_not_spoil_other_lines():
    with open_lines(io.BytesIO(b"a\n\xe2\x82\n\xed\xa0\x80b\nc")) as lines:
        first, *broken, last = lines
    assert (first, last) == ("a\n", "c")
    assert all(BROKEN in line for line in broken)
    assert len(broken) == 2


def test_lines_end_where_they_should():
    content = "a\rb\u2028c\x85d\r\ne".encode()
    with open_lines(io.BytesIO(content)) as lines:
        assert [*lines] == ["a\rb\u2028c\x85d\r\n", "e"]


def test_stream_stays_open():
    stream = io.BytesIO(b"a")
    with open_lines(stream) as lines:
        next(lines)
    assert not stream.closed


def test_names_of_encodings():
    assert find_encoding("Windows-1252") == find_encoding("cp1252") == "cp1252"
    for name in ("hex", "no such", "", "utf\0"):
        with pytest.raises(ValueError, match="OM009"):
            find_encoding(name)
    with pytest.raises(ValueError, match="Did you mean 'latin_1'"):
        find_encoding("latin-11")
