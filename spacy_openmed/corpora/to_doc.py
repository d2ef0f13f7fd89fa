"""Turn documents of annotated corpora into spaCy's, and count what had to be changed."""

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import pairwise

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import filter_spans

from ..labels import canonical_label
from ..spans import OFFSETS
from .documents import Change, Mention, SourceDocument

GOLD_KEY = "gold"  # span group of all mentions, including overlapping ones
NEAR = 5  # characters by which a mention's offsets may be wrong


def to_doc(
    source: SourceDocument,
    nlp: Language,
    *,
    labels: Mapping[str, str] | None = None,
    types: Collection[str] = (),
    canonical: bool = False,
) -> tuple[Doc, Counter[Change]]:
    """Make a document with its entities.

    source (SourceDocument): A document from a reader.
    nlp (Language): The pipeline whose tokenizer splits texts that come without tokens.
    labels (Mapping[str, str] | None): Other names for types.
    types (Collection[str]): The types to take, by the source's names. Empty: all.
    canonical (bool): Whether to use the components' canonical names of types ("Disease" becomes
        "DISEASE").
    RETURNS (tuple[Doc, Counter]): The document, and what was changed. `doc.ents` has the longest
        of overlapping mentions, `doc.spans["gold"]` all of them. `doc.user_data` has "id" and
        "relations": type, head and tail, each a concept id or the index of a span in
        `doc.spans["gold"]`. The group's `attrs["char_offsets"]` has the exact start and end of
        each mention, which may lie inside a token.
    """
    counts = Counter(source.changes)
    if source.words is None:
        doc = nlp.make_doc(source.text)
    else:
        starts: list[bool | int | None] | None = [*(source.sent_starts or ())] or None
        doc = Doc(nlp.vocab, words=source.words, spaces=_spaces(source), sent_starts=starts)
    spans: list[Span] = []
    offsets: list[list[int]] = []
    place: dict[int, int] = {}
    for number, mention in enumerate(source.mentions):
        if types and mention.label not in types:
            counts[Change.OTHER_TYPE] += 1
            continue
        if not mention.label:  # spaCy takes an entity without a label for a blocked token
            counts[Change.UNLABELLED] += 1
            continue
        at = _find(mention, source.text, counts)
        if at is None:
            continue
        label = (labels or {}).get(mention.label, mention.label)
        label = canonical_label(label) if canonical else label
        span = doc.char_span(*at, label, kb_id=mention.concept, alignment_mode="expand")
        if span is None:
            counts[Change.EMPTY] += 1
            continue
        counts[Change.EXPANDED] += (span.start_char, span.end_char) != at
        place[number] = len(spans)
        spans.append(span)
        offsets.append([*at])
    doc.spans[GOLD_KEY] = SpanGroup(doc, name=GOLD_KEY, spans=spans, attrs={OFFSETS: offsets})
    doc.ents = filter_spans(spans)
    counts[Change.OVERLAPPING] += len(spans) - len(doc.ents)
    relations = []
    for kind, *ends in source.relations:
        found = [place.get(end) if isinstance(end, int) else end for end in ends]
        if None in found:
            counts[Change.UNRESOLVED] += 1
        else:
            relations.append([kind, *found])
    doc.user_data |= {"id": source.id, "relations": relations}
    return doc, +counts


def _spaces(source: SourceDocument) -> list[bool]:
    """Whether a space follows each word."""
    spaces, at = [], 0
    for word in source.words or ():
        at = source.text.index(word, at) + len(word)
        spaces.append(source.text[at : at + 1].isspace())
    return spaces


def _find(mention: Mention, text: str, counts: Counter[Change]) -> tuple[int, int] | None:
    """Locate a mention: at its offsets, or at the nearest place a few characters off."""
    if not mention.fragments:
        counts[Change.EMPTY] += 1
        return None
    shift = 0 if mention.stands(text) else _nearest(mention, text)
    if shift is None:
        counts[Change.MISMATCHED] += 1
        return None
    places = [(start + shift, end + shift) for start, end in mention.fragments]
    start, end = places[0][0], max(end for _, end in places)
    extent = text[start:end]
    if not extent.strip():
        counts[Change.EMPTY] += 1
        return None
    counts[Change.MOVED] += shift != 0
    # brat cuts a mention at line ends: only what is between its parts makes a gap.
    between = [text[left:right] for (_, left), (right, _) in pairwise(places)]
    counts[Change.GAPS] += mention.has_gaps or any(gap.strip() for gap in between)
    counts[Change.TRIMMED] += extent != extent.strip()
    start += len(extent) - len(extent.lstrip())
    return start, start + len(extent.strip())


def _nearest(mention: Mention, text: str) -> int | None:
    """How many characters off a mention is; None if it isn't found, or equally near on both sides.

    Places inside a word do not count, because short mentions often occur in longer words.
    """
    if mention.text is None:
        return None
    start, end = mention.fragments[0][0], mention.fragments[-1][1]
    for size in range(1, NEAR + 1):
        found = [
            shift
            for shift in (-size, size)
            if mention.stands(text, shift)
            and not _is_inside_word(text, start + shift)
            and not _is_inside_word(text, end + shift)
        ]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _is_inside_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
