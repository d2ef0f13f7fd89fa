"""Mend what heads found with the rest of the document. Pure functions, no spaCy objects.

Four remedies, each a setting of the component, applied in this order: votes, trimming,
abbreviations, consistency. All but the votes read one head at a time. They mend names only
(`mentions.NAMES`): of doses, dates or identifiers, a bracket or a number alone may be right, and an
identifier is never dropped.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np

from ..abbreviations import find_definitions
from .alignment import Buffer
from .decoding import LabelSchemes
from .extraction import Found
from .mentions import CHEMICALS, NAMES, Mention, Text
from .trimming import trim_mentions

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
