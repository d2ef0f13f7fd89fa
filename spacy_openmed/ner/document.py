"""Mend what heads found with the rest of the document. Pure functions, no spaCy objects.

Four remedies, each a setting of the component, applied in this order: votes, trimming,
abbreviations, consistency. All but the votes read one head at a time. They mend names only
(`NAMES`): of doses, dates or identifiers, a bracket or a number alone may be right, and an
identifier is never dropped.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from ..abbreviations import find_definitions
from ..labels import BIOMEDICAL, DETAILS
from .alignment import Buffer
from .decoding import LabelSchemes
from .extraction import Found

NAMES = frozenset(BIOMEDICAL) - frozenset(DETAILS)  # canonical labels of what has a name
CHEMICALS = ("CHEMICAL", "SIMPLE_CHEMICAL", "AMINO_ACID")
ELEMENTS = frozenset("HBCNOFPSKVYIWU")  # the chemicals of one letter
# Labels of names that may be one letter or a number: "MMP-2 and -9", "786-0", "K 4.2".
MAY_BE_SHORT = frozenset(
    {"GENE_OR_GENE_PRODUCT", "PROTEIN", "DNA", "RNA", "CELL_LINE", "VARIANT", "TEST"}
)
# Labels that vote for one kind of thing. Mentions of the first two kinds are put to the vote.
KINDS: Mapping[str, tuple[str, ...]] = {
    "chemical": CHEMICALS,
    "cell line": ("CELL_LINE",),
    "cell": ("CELL", "CELL_TYPE"),
    "gene": ("GENE_OR_GENE_PRODUCT", "DNA", "RNA", "PROTEIN"),
    "disease": ("DISEASE", "CANCER"),
    "species": ("SPECIES", "ORGANISM"),
}
N_VOTED = 2
MARGIN = 0.2  # Without one, chemicals lose as much on their own corpora as they gain elsewhere.

MIN_LETTERS = 3  # of a string that is labelled everywhere
MAX_CAPITALS = 6  # Up to this length, a word in capitals differs from the same in lower case.

_KIND_OF = {label: i for i, labels in enumerate(KINDS.values()) for label in labels}
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


class Mention(NamedTuple):
    """An entity of one head: a row of `Found` without the number of its text.

    start, end (int): First token in its text and the one after the last.
    fits (bool): Whether there are such tokens.
    type (int): Index of the type, counted over all heads.
    score (float): Mean probability of the type.
    char_start, char_end (int): Characters of its text that the model marked.
    """

    start: int
    end: int
    fits: bool
    type: int
    score: float
    char_start: int
    char_end: int


@dataclass(frozen=True)
class Text:
    """A text with its tokens.

    text (str): The text.
    starts, ends (list[int]): Character start and end of its tokens.
    """

    text: str
    starts: list[int]
    ends: list[int]

    @cached_property
    def lower(self) -> str:
        """RETURNS (str): The text in lower case, as long as the text."""
        low = self.text.lower()
        if len(low) == len(self.text):
            return low
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    def token(self, i: int) -> str:
        """RETURNS (str): The text of a token."""
        return self.text[self.starts[i] : self.ends[i]]

    def span(self, start: int, end: int) -> str:
        """RETURNS (str): The text from one token to the one before another."""
        return self.text[self.starts[start] : self.ends[end - 1]]

    def has_odd_end(self, start: int, end: int) -> bool:
        """RETURNS (bool): Whether there may be something to trim: most names have nothing."""
        return (
            self.token(start) in _ENDS
            or self.token(end - 1) in _ENDS
            or _BRACKET.search(self.text, self.starts[start], self.ends[end - 1]) is not None
        )

    def find_tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """Find the tokens that cover exactly these characters.

        start, end (int): First character and the one after the last.
        RETURNS (tuple[int, int] | None): First token and the one after the last; None if the
            characters begin or end inside a token.
        """
        first, last = bisect_left(self.starts, start), bisect_left(self.ends, end)
        if first <= last < len(self.ends) and (self.starts[first], self.ends[last]) == (start, end):
            return first, last + 1
        return None

    def find_places(self, string: str, *, any_case: bool) -> Iterator[tuple[int, int]]:
        """Find the places where a string is whole tokens.

        string (str): The string; in lower case if case does not matter.
        any_case (bool): Whether to ignore case.
        YIELDS (tuple[int, int]): First token and the one after the last.
        """
        text = self.lower if any_case else self.text
        at = text.find(string)
        while at >= 0:
            if tokens := self.find_tokens(at, at + len(string)):
                yield tokens
            at = text.find(string, at + 1)


def mend(
    found: Found,
    buffer: Buffer,
    heads: np.ndarray,
    labels: Sequence[str],
    *,
    trim: bool,
    abbreviations: bool,
    consistency: bool,
) -> Found:
    """Apply the remedies that need only the texts.

    found (Found): The entities of a buffer, made of whole tokens (`alignment_mode` "token").
    buffer (Buffer): The texts with their tokens.
    heads (Ints1d): (n_types,) The head of each type.
    labels (Sequence[str]): (n_types,) Canonical label of each type.
    trim (bool): Whether to apply `trim_mentions`.
    abbreviations (bool): Whether to apply `spread_abbreviations`.
    consistency (bool): Whether to apply `spread_strings`.
    RETURNS (Found): The entities, text by text.
    """
    if not (len(found.texts) and (trim or abbreviations or consistency)):
        return found
    # The head of each type of names; other types are left alone.
    head_of = [
        head if label in NAMES else None for head, label in zip(heads.tolist(), labels, strict=True)
    ]
    rows: list[tuple] = []
    by_text = itemgetter(0)
    for number, group in groupby(sorted(found.rows(), key=by_text), key=by_text):
        text = Text(*buffer.text_at(number))
        mentions = [Mention(*row[1:]) for row in group]
        if trim:
            mentions = trim_mentions(text, mentions, labels)
        if abbreviations:
            mentions = spread_abbreviations(text, mentions, head_of)
        if consistency:
            mentions = spread_strings(text, mentions, head_of)
        rows += [(number, *mention) for mention in mentions]
    return Found.from_rows(rows)


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
                if text.has_odd_end(start, end):
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
    before: tuple[int, int] | None = None
    seen: set[tuple[int, int]] = set()
    # A bracket that is added may be taken off again: no span comes twice.
    while before != (start, end) and start < end and (start, end) not in seen:
        before = start, end
        seen.add(before)
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
        return start, end + 1
    i = bisect_left(text.starts, at, start, end)
    return (start, i) if start < i < end and text.starts[i] == at else (start, end)


def spread_abbreviations(
    text: Text, mentions: Sequence[Mention], head_of: Sequence[int | None]
) -> list[Mention]:
    """Give the short forms of a text the type of their long form (Schwartz and Hearst 2003).

    Where a head finds the long form, each place of the short form gets its type and its score,
    unless the head finds something else there. Where a head finds nothing in the long form, what
    it takes the short form for is wrong, and dropped.

    text (Text): The text.
    mentions (Sequence[Mention]): Its entities.
    head_of (Sequence[int | None]): (n_types,) The head of each type; None: leave it alone.
    RETURNS (list[Mention]): The entities.
    """
    if not mentions or not ("(" in text.text or "[" in text.text):
        return [*mentions]
    forms: dict[str, list[tuple[int, int]]] = {}  # where the long forms of each short form are
    for short_start, short_end, long_start, long_end in find_definitions(text.text):
        short = text.text[short_start:short_end]
        forms.setdefault(short, []).append((long_start, long_end))
    if not forms:
        return [*mentions]
    kept: list[Mention] = []
    for head, own in _by_head(mentions, head_of).items():
        kept += own if head is None else _spread_forms(text, own, forms)
    return kept


def _spread_forms(
    text: Text, mentions: Sequence[Mention], forms: Mapping[str, Sequence[tuple[int, int]]]
) -> list[Mention]:
    """Apply `spread_abbreviations` to one head."""
    covered = _cover(mentions)
    strings = [text.span(mention.start, mention.end) for mention in mentions]
    by_string = {string.lower(): m for string, m in zip(strings, mentions, strict=True)}
    by_end = {mention.end: mention for mention in mentions}
    added: list[Mention] = []
    dropped: set[str] = set()
    # The longest first, so that "AB/CD" is not taken for an "AB".
    for short, places in sorted(forms.items(), key=lambda form: -len(form[0])):
        is_touched = False
        for start, end in places:
            first, stop = bisect_left(text.ends, start + 1), bisect_left(text.ends, end) + 1
            long = by_end.get(stop)
            # "severe aortic stenosis" is one, "deficiency of phenylalanine hydroxylase" is none.
            if long is None or not _begins_with(text, long, start):
                long = by_string.get(text.text[start:end].lower())
            if long is not None:
                new = _label(text, covered, text.find_places(short, any_case=False), long)
                added += new
                covered |= _cover(new)
                break
            is_touched |= not covered.isdisjoint(range(first, stop))
        else:
            # Initials of a name ("Ann Davis (AD)") say nothing of the disease that is called so.
            is_name = any(_is_in_title_case(text.text[a:b]) for a, b in places)
            if not is_touched and not is_name:
                dropped.add(short)
    kept = [m for m, string in zip(mentions, strings, strict=True) if string not in dropped]
    return kept + added


def _is_in_title_case(string: str) -> bool:
    return all(word[0].isupper() for word in string.split())


def _begins_with(text: Text, mention: Mention, start: int) -> bool:
    """Whether an entity begins at a character, or one word before it."""
    first = text.starts[mention.start]
    return first <= start and len(text.text[first:start].split()) <= 1


def spread_strings(
    text: Text, mentions: Sequence[Mention], head_of: Sequence[int | None]
) -> list[Mention]:
    """Label a string everywhere in a text that a head labels alike in most of its places.

    Places inside another entity of the head do not count. Case matters only for short words in
    capitals. A new entity has the mean score of those that it follows.

    text (Text): The text.
    mentions (Sequence[Mention]): Its entities.
    head_of (Sequence[int | None]): (n_types,) The head of each type; None: leave it alone.
    RETURNS (list[Mention]): The entities.
    """
    kept: list[Mention] = []
    for head, own in _by_head(mentions, head_of).items():
        kept += own
        if head is None:
            continue
        covered = _cover(own)
        groups: dict[str, list[Mention]] = {}
        for mention in own:
            string = text.span(mention.start, mention.end)
            if len(string) >= MIN_LETTERS:
                is_short = len(string) <= MAX_CAPITALS and string.isupper()
                groups.setdefault(string if is_short else string.lower(), []).append(mention)
        for string, same in groups.items():
            is_short = string.isupper()
            n_places = (text.text if is_short else text.lower).count(string)
            if n_places <= len(same) or sum(map(str.isalpha, string)) < MIN_LETTERS:
                continue
            type_, n = Counter(mention.type for mention in same).most_common(1)[0]
            score = sum(mention.score for mention in same if mention.type == type_) / n
            like = same[0]._replace(type=type_, score=score)
            places = text.find_places(string, any_case=not is_short)
            new = _label(text, covered, places, like)
            if 2 * n > len(same) + len(new):
                kept += new
                covered |= _cover(new)
    return kept


def _by_head(
    mentions: Iterable[Mention], head_of: Sequence[int | None]
) -> dict[int | None, list[Mention]]:
    """The entities of each head."""
    heads: dict[int | None, list[Mention]] = {}
    for mention in mentions:
        heads.setdefault(head_of[mention.type], []).append(mention)
    return heads


def _cover(mentions: Iterable[Mention]) -> set[int]:
    """The tokens of entities."""
    return {i for mention in mentions for i in range(mention.start, mention.end)}


def _label(
    text: Text, covered: set[int], places: Iterable[tuple[int, int]], like: Mention
) -> list[Mention]:
    """New entities, like another one, in those places where the head has none."""
    taken = set(covered)
    new = []
    for start, end in places:
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            low, high = text.starts[start], text.ends[end - 1]
            new.append(like._replace(start=start, end=end, char_start=low, char_end=high))
    return new


def drop_outvoted(
    found: Found,
    labels: Sequence[str],
    buffer: Buffer,
    logits: np.ndarray,
    schemes: LabelSchemes,
    all_labels: Sequence[str],
    *,
    strategy: str,
) -> Found:
    """Drop chemicals and cell lines that heads for another kind of thing claim with more weight
    than those for their own kind: by more than `MARGIN`, on average over the heads of a kind.

    found (Found): The entities of a buffer, made of whole tokens.
    labels (Sequence[str]): Canonical label of each of their types.
    buffer (Buffer): The texts with their tokens and pieces.
    logits (Floats2d): (n_pieces, n_columns) Logits of the checkpoint.
    schemes (LabelSchemes): The label schemes of all its heads, also of those that are not in use.
    all_labels (Sequence[str]): (n_types,) Canonical label of each of their types.
    strategy (str): "first": a token's first piece votes. Otherwise all of its pieces do.
    RETURNS (Found): The entities that are left.
    """
    kinds = np.array([_KIND_OF.get(label, len(KINDS)) for label in labels], dtype="int64")
    kinds = kinds[found.types]
    voted = np.flatnonzero(kinds < N_VOTED)
    if not len(voted):
        return found
    masses = _find_masses(found.take(voted), buffer, logits, schemes, strategy)
    votes = np.zeros((len(voted), len(KINDS)))
    kind_of_type = np.array([_KIND_OF.get(label, -1) for label in all_labels])
    for kind in range(len(KINDS)):
        columns = np.flatnonzero(kind_of_type == kind)
        n_heads = len(np.unique(schemes.head_of_type[columns]))
        votes[:, kind] = masses[:, columns].sum(axis=1) / max(n_heads, 1)
    own = votes[np.arange(len(voted)), kinds[voted]]
    kept = np.ones(len(kinds), dtype=bool)
    kept[voted[votes.max(axis=1) > own + MARGIN]] = False
    return found.take(kept)


def _find_masses(
    found: Found, buffer: Buffer, logits: np.ndarray, schemes: LabelSchemes, strategy: str
) -> np.ndarray:
    """(n_entities, n_types) Mean probability of every type over the pieces of entities."""
    alignment, index = buffer.tokens.alignment, buffer.tokens.index
    shift = buffer.first_tokens[found.texts]
    first = np.searchsorted(index, found.starts + shift)
    stop = np.searchsorted(index, found.ends + shift)
    pieces = alignment.pieces
    if strategy == "first":
        pieces = pieces[alignment.starts]
    else:
        bounds = np.append(alignment.starts, len(pieces))
        first, stop = bounds[first], bounds[stop]
    counts = stop - first
    starts = np.cumsum(counts) - counts
    rows = np.arange(counts.sum()) + np.repeat(first - starts, counts)
    probs = schemes.to_probs(logits[pieces[rows]])
    n_heads, n_types = len(schemes.schemes), len(schemes.head_of_type)
    mass = probs[:, n_heads : n_heads + n_types] + probs[:, n_heads + n_types :]
    return np.add.reduceat(mass, starts, axis=0) / counts[:, None]
