"""Decode texts: encodings by name, byte-order marks, and lines that are not valid in them."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from encodings.aliases import aliases
from typing import Any, TextIO

from .errors import Errors
from .suggestions import nearest

UTF8 = "utf-8"
# What a byte-order mark says. UTF-32 comes first: its mark begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Stands for bytes that could not be decoded. No encoding gives it: it is half of a surrogate pair.
BROKEN = "\udcff"
codecs.register_error("spacy_openmed.mark", lambda error: (BROKEN, error.end))  # type: ignore[attr-defined]


def find_encoding(name: str) -> str:
    """Check the name of an encoding.

    name (str): Any name that Python has for it: "cp1252", "windows-1252", "utf-16".
    RETURNS (str): Python's own name.
    RAISES (ValueError): If there is no such encoding of text.
    """
    try:
        info = codecs.lookup(name)
        if getattr(info, "_is_text_encoding", True):
            return info.name
    except (LookupError, ValueError):
        pass
    near = nearest(name.lower().replace("-", "_"), {*aliases, *aliases.values()})
    raise ValueError(Errors.OM009.format(name=name, nearest=near))


def is_unicode(text: str) -> bool:
    """RETURNS (bool): Whether a text can be encoded: it holds no half of a surrogate pair."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True


def decode(content: bytes, encoding: str = UTF8) -> str:
    """Decode a whole text.

    content (bytes): The text. A byte-order mark at its start is left out, and says more than
        `encoding`.
    encoding (str): The encoding.
    RETURNS (str): The text.
    RAISES (UnicodeDecodeError): If it is not valid in the encoding.
    """
    encoding, mark = _find_mark(content, encoding)
    return content[len(mark) :].decode(encoding)


@contextmanager
def open_lines(stream: Any, encoding: str = UTF8, newline: str = "\n") -> Iterator[TextIO]:
    """Decode a stream line by line. The stream stays open.

    stream (BinaryIO): The stream. A byte-order mark is treated as by `decode`.
    encoding (str): The encoding.
    newline (str): "\\n" for lines that end there only; "" for any line end, as `csv` expects.
    YIELDS (TextIO): The lines with their ends. What could not be decoded is `BROKEN`.
    """
    buffer = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
    encoding, mark = _find_mark(buffer.peek(4)[:4], encoding)
    buffer.read(len(mark))
    lines = io.TextIOWrapper(buffer, encoding, errors="spacy_openmed.mark", newline=newline)
    try:
        yield lines
    finally:
        lines.detach()
        if buffer is not stream:
            buffer.detach()


def _find_mark(start: bytes, encoding: str) -> tuple[str, bytes]:
    for mark, name in MARKS.items():
        if start.startswith(mark):
            return name, mark
    return encoding, b""
