"""Turn documents of annotated corpora into spaCy's, and count what had to be changed."""

from collections import Counter
from collections.abc import Collection, Mapping

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from .labels import canonical_label
from .readers import Change, Mention, SourceDocument

GOLD_KEY = "gold"  # span group of all mentions, those that overlap too
NEAR = 5  # characters that a mention may be off by


def to_doc(
    source: SourceDocument,
    nlp: Language,
    *,
    labels: Mapping[str, str] | None = None,
    types: Collection[str] = (),
    canonical: bool = False,
) -> tuple[Doc, Counter[Change]]:
    """Make a document with its entities.

    source (SourceDocument): What a reader gives.
    nlp (Language): The pipeline whose tokenizer cuts texts that come without tokens.
    labels (Mapping[str, str] | None): Other names for types.
    types (Collection[str]): The types to take, by the source's names. None: all.
    canonical (bool): Name types as the components do ("Disease" becomes "DISEASE").
    RETURNS (tuple[Doc, Counter]): The document, and what was changed. `doc.ents` has the longest
        of mentions that overlap, `doc.spans["gold"]` has all of them; `doc.user_data` has "id"
        and "relations": type, head and tail, each a concept id or the index of a span in
        `doc.spans["gold"]`.
    """
    counts = Counter(source.changes)
    if source.words is None:
        doc = nlp.make_doc(source.text)
    else:
        starts: list[bool | int | None] | None = [*(source.sent_starts or ())] or None
        doc = Doc(nlp.vocab, words=source.words, spaces=_spaces(source), sent_starts=starts)
    spans: list[Span] = []
    place: dict[int, int] = {}
    for number, mention in enumerate(source.mentions):
        if types and mention.label not in types:
            counts[Change.OTHER_TYPE] += 1
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
    doc.spans[GOLD_KEY] = spans
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
    """Where a mention stands: at its offsets, or a few characters off."""
    if not mention.fragments:
        counts[Change.EMPTY] += 1
        return None
    nearest = sorted(range(-NEAR, NEAR + 1), key=abs) if mention.text is not None else [0]
    shift = next((shift for shift in nearest if mention.stands(text, shift)), None)
    if shift is None:
        counts[Change.MISMATCHED] += 1
        return None
    start, end = mention.fragments[0][0] + shift, mention.fragments[-1][1] + shift
    extent = text[start:end]
    if not extent.strip():
        counts[Change.EMPTY] += 1
        return None
    counts[Change.MOVED] += shift != 0
    counts[Change.GAPS] += mention.has_gaps or len(mention.fragments) > 1
    counts[Change.TRIMMED] += extent != extent.strip()
    start += len(extent) - len(extent.lstrip())
    return start, start + len(extent.strip())
