"""Trim what heads found: brackets without a partner, punctuation, articles and prepositions."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .mentions import CHEMICALS, NAMES, Mention, Text

ELEMENTS = frozenset("HBCNOFPSKVYIWU")  # the chemicals of one letter
# Labels of names that may be one letter or a number: "MMP-2 and -9", "786-0", "K 4.2".
MAY_BE_SHORT = frozenset(
    {"GENE_OR_GENE_PRODUCT", "PROTEIN", "DNA", "RNA", "CELL_LINE", "VARIANT", "TEST"}
)

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_BRACKET = re.compile(r"[()\[\]{}]")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
# Words that no name begins or ends with. Case matters: "In", "As" and "AND" may be names.
_WORDS = frozenset(
    {
        *("a", "an", "the", "The", "this", "these", "its", "their"),
        *("in", "of", "with", "and", "or", "to", "by", "for", "from", "on", "at", "as", "into"),
        *("after", "during", "than", "via", "due", "that", "which", "is", "are", "was", "were"),
    }
)
_PUNCTUATION = frozenset({*".,;:/!?–—•|", "...", "--"})
_LEADING, _TRAILING = _PUNCTUATION | _CLOSE, _PUNCTUATION | _OPEN
_ENDS = _WORDS | _LEADING | _TRAILING
_SHORTENED = frozenset({"sp", "spp", "ssp", "subsp", "var", "nov"})  # keep their full stop
_PLACES = frozenset({"situ", "vitro", "vivo", "utero"})


def trim_mentions(text: Text, mentions: Iterable[Mention], labels: Sequence[str]) -> list[Mention]:
    """Take off both ends what is no part of a name: brackets without a partner, punctuation,
    articles and prepositions. Names without a letter, or of one character, are dropped. Whatever
    its label, an entity that runs over a blank line is cut there.

    text (Text): The text.
    mentions (Iterable[Mention]): Its entities.
    labels (Sequence[str]): (n_types,) Canonical label of each type.
    RETURNS (list[Mention]): The entities.
    """
    trimmed = []
    for mention in mentions:
        label = labels[mention.type]
        for start, end in _split_lines(text, mention.start, mention.end):
            if label in NAMES:
                if _has_odd_end(text, start, end):
                    start, end = _trim(text, start, end, mention)
                if start == end or not _is_name(text.span(start, end), label):
                    continue
            if (start, end) != mention[:2]:
                low, high = text.starts[start], text.ends[end - 1]
                # What the model marked, unless the entity grew at that end.
                char_start = max(low, mention.char_start) if start >= mention.start else low
                char_end = min(high, mention.char_end) if end <= mention.end else high
                mention_left = mention._replace(
                    start=start, end=end, char_start=char_start, char_end=char_end
                )
                trimmed.append(mention_left)
            else:
                trimmed.append(mention)
    return trimmed


def _is_name(string: str, label: str) -> bool:
    """Whether a text may be a name with that label."""
    if label in MAY_BE_SHORT:
        return True
    if len(string) == 1:
        return label in CHEMICALS and string in ELEMENTS
    return string[0].isalpha() or any(map(str.isalpha, string))


def _split_lines(text: Text, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a span of tokens between its blank lines."""
    low, high = text.starts[start], text.ends[end - 1]
    if text.text.find("\n", low, high) < 0 or not _BLANK_LINE.search(text.text, low, high):
        yield start, end
        return
    for match in [*_BLANK_LINE.finditer(text.text, low, high), None]:
        # The first token that begins in the blank line or after it.
        stop = end if match is None else bisect_left(text.starts, match.start(), start, end)
        last = stop
        while last > start and text.token(last - 1).isspace():
            last -= 1
        if last > start:
            yield start, last
        start = stop
        while start < end and text.token(start).isspace():
            start += 1


def _trim(text: Text, start: int, end: int, mention: Mention) -> tuple[int, int]:
    """A span of a mention's tokens without text that is not part of the name. It is empty if
    nothing is left."""
    while start < end:
        before = start, end
        first, last = text.token(start), text.token(end - 1)
        if first in _LEADING or first.isspace() or _is_word_before(text, start, end):
            start += 1
        elif last in _TRAILING or last.isspace() or _is_word_after(text, start, end):
            is_part = last == "." and end - start > 1 and text.token(end - 2) in _SHORTENED
            end -= not is_part
        else:
            # A bracket inside its first or last token that the model did not mark is not its own.
            low = mention.char_start if start == mention.start else text.starts[start]
            high = mention.char_end if end == mention.end else text.ends[end - 1]
            start, end = _balance(text, start, end, low, high)
        if (start, end) == before:
            break
    return start, end


def _is_word_before(text: Text, start: int, end: int) -> bool:
    """Whether a first token is an article or a preposition: not the a of "a-tubulin", nor the
    in of "in situ"."""
    if text.token(start) not in _WORDS:
        return False
    is_alone = end - start == 1 or text.starts[start + 1] > text.ends[start]
    return is_alone and not (end - start > 1 and text.token(start + 1) in _PLACES)


def _is_word_after(text: Text, start: int, end: int) -> bool:
    """Whether a last token is an article or a preposition: not the a of "TNF a"."""
    last = text.token(end - 1)
    if last not in _WORDS or last == "a":
        return False
    return end - start == 1 or text.starts[end - 1] > text.ends[end - 2]


def _balance(text: Text, start: int, end: int, low: int, high: int) -> tuple[int, int]:
    """A span of tokens without the brackets that have no partner and what is beyond them, and
    without brackets around all of it. Where the partner comes next, and the bracket is part of a
    word ("NaAsO(2"), the partner is added instead. `low` and `high` are its characters."""
    opened: list[int] = []
    for match in _BRACKET.finditer(text.text, low, high):
        at = match.start()
        if match[0] in _OPEN:
            opened.append(at)
        elif opened:
            is_around = opened.pop() == low and at == high - 1
            if is_around and text.token(start) in _OPEN and text.token(end - 1) in _CLOSE:
                return start + 1, end - 1
        else:
            tokens = text.find_tokens(at, at + 1)
            if tokens is None:  # inside a token
                return start, end
            # Of "(MKS) type 3" the name, otherwise the longer part.
            is_after_open = start > 0 and text.token(start - 1) in _OPEN
            if is_after_open or at - low >= high - at - 1:
                return start, tokens[0]
            return tokens[1], end
    if not opened:
        return start, end
    at = opened[0]
    is_in_word = at > low and not text.text[at - 1].isspace()
    if is_in_word and len(opened) == 1 and end < len(text.starts) and text.token(end) in _CLOSE:
        # The rest of the last token, which the model did not mark, may have the partner already.
        rest = Counter(_BRACKET.findall(text.text, high, text.ends[end - 1]))
        is_closed = sum(rest[c] for c in _CLOSE) > sum(rest[c] for c in _OPEN)
        return start, end + (not is_closed)
    i = bisect_left(text.starts, at, start, end)
    return (start, i) if start < i < end and text.starts[i] == at else (start, end)


def _has_odd_end(text: Text, start: int, end: int) -> bool:
    """Whether there may be something to trim: most names have nothing."""
    return (
        text.token(start) in _ENDS
        or text.token(end - 1) in _ENDS
        or _BRACKET.search(text.text, text.starts[start], text.ends[end - 1]) is not None
    )
