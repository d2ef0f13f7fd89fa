"""Write entities to documents."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

ATTRS = ("scores", "datasets", "char_offsets", "assertions", "assertion_scores")
SCORES, DATASETS, OFFSETS, ASSERTIONS, ASSERTION_SCORES = ATTRS
USER_DATA = "openmed_assertions"  # where assertions are kept without a span group


class Entity(NamedTuple):
    """One predicted entity.

    start, end (int): First token and the one after the last.
    label (str): Its label, as configured.
    score (float): Mean probability of its type over its tokens.
    datasets (tuple[str, ...]): The heads that found it.
    char_start, char_end (int): Where the words begin and end that the model marked. They may
        lie inside the first and the last token.
    assertion (str | None): What the text asserts of it, e.g. "ABSENT"; None if the checkpoint
        does not say.
    assertion_score (float | None): The probability of that.
    """

    start: int
    end: int
    label: str
    score: float
    datasets: tuple[str, ...]
    char_start: int
    char_end: int
    assertion: str | None = None
    assertion_score: float | None = None

    def join(self, other: "Entity") -> "Entity":
        """Make one of two with the same tokens and label: the better score and its assertion (if
        it has none, that of the other), both datasets."""
        better, worse = (self, other) if self.score >= other.score else (other, self)
        datasets = tuple(dict.fromkeys(self.datasets + other.datasets))
        asserted = better if better.assertion is not None else worse
        return better._replace(
            datasets=datasets,
            assertion=asserted.assertion,
            assertion_score=asserted.assertion_score,
        )


class Found(NamedTuple):
    """A span of a group, and what is known of it.

    span (Span): The span.
    score (float | None): Its score; None if another component wrote the span.
    datasets (tuple[str, ...]): The heads that found it; none if another component did.
    offsets (tuple[int, int]): The characters that were marked; those of the span if not known.
    assertion (str | None): What the text asserts of it; None if not known.
    assertion_score (float | None): The probability of that.
    """

    span: Span
    score: float | None
    datasets: tuple[str, ...]
    offsets: tuple[int, int]
    assertion: str | None = None
    assertion_score: float | None = None


def read_spans(doc: Doc, key: str) -> list[Found]:
    """Read a span group, whoever wrote to it since: nothing is known of spans that were added,
    nor of any if some were taken away.

    doc (Doc): The document.
    key (str): The group's key in `doc.spans`. There may be no such group.
    RETURNS (list[Found]): Its spans, in its order.
    """
    group = doc.spans.get(key, ())
    columns = [list(getattr(group, "attrs", {}).get(name) or ()) for name in ATTRS]
    columns = [[] if len(c) > len(group) else c for c in columns]
    in_step = len(columns[0]) == len(group)
    found = []
    for i, span in enumerate(group):
        score, datasets, offsets, *asserted = (c[i] if i < len(c) else None for c in columns)
        chars = (span.start_char, span.end_char)
        is_own = not offsets or chars[0] <= offsets[0] <= offsets[1] <= chars[1]
        if in_step or is_own:
            at = tuple(offsets or chars)
            found.append(Found(span, score, tuple(datasets or ()), at, *asserted))
        else:  # others were not added at the end
            found.append(Found(span, None, (), chars))
    return found


def add_spans(doc: Doc, entities: Iterable[Entity], key: str) -> None:
    """Add entities to a span group. Those that are there already are kept, so that several
    components can write to one group; the same span with the same label and ids is there once.

    The group's attrs keep a list for each of `ATTRS`, in step with its spans (values of spans
    that another component wrote without them are None).

    doc (Doc): The document.
    entities (Iterable[Entity]): The entities.
    key (str): The group's key in `doc.spans`.
    """
    rows: dict[tuple[int, int, str], dict[tuple[int, int], tuple[Span, Entity | None]]] = {}
    other_attrs = {}
    if key in doc.spans:
        old = doc.spans[key].attrs
        other_attrs = {name: value for name, value in old.items() if name not in ATTRS}
    for own in read_spans(doc, key):
        span, known = own.span, None
        at = (span.start, span.end, span.label_)
        if own.score is not None:
            asserted = (own.assertion, own.assertion_score)
            known = Entity(*at, float(own.score), own.datasets, *own.offsets, *asserted)
        rows.setdefault(at, {})[span.kb_id, span.id] = (span, known)
    for entity in entities:
        same = rows.setdefault(entity[:3], {})
        if not same:
            same[0, 0] = (Span(doc, entity.start, entity.end, entity.label), None)
        for ids, (span, known) in same.items():
            same[ids] = (span, entity if known is None else entity.join(known))
    ordered = [row for at in sorted(rows) for row in rows[at].values()]
    columns = [_to_attrs(entity) for _, entity in ordered]
    attrs = {name: [values[i] for values in columns] for i, name in enumerate(ATTRS)}
    spans = [span for span, _ in ordered]
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs={**other_attrs, **attrs})


def change_spans(doc: Doc, key: str, change: Callable[[Span], Span | None]) -> None:
    """Change the spans of a group, or take some away. What is known of the others stays.

    doc (Doc): The document.
    key (str): The group's key in `doc.spans`. There may be no such group.
    change (Callable[[Span], Span | None]): Returns the span to have for a span, or None.
    """
    changed = [(change(own.span), own) for own in read_spans(doc, key)]
    if all(span is own.span for span, own in changed):
        return
    old = doc.spans[key].attrs
    spans, rows = [], []
    for span, own in changed:
        if span is None:
            continue
        chars = [max(span.start_char, own.offsets[0]), min(span.end_char, own.offsets[1])]
        asserted = [own.assertion, own.assertion_score]
        spans.append(span)
        rows.append([own.score, list(own.datasets), chars, *asserted])
    attrs = {name: [row[i] for row in rows] for i, name in enumerate(ATTRS)}
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs={**old, **attrs})


def change_ents(doc: Doc, change: Callable[[Span], Span | None]) -> None:
    """Change entities of `doc.ents`, or take some away.

    doc (Doc): The document.
    change (Callable[[Span], Span | None]): Returns the span to have for an entity, or None.
    """
    for ent in doc.ents:
        changed = change(ent)
        if changed is ent:
            continue
        _forget_ids(ent)
        doc.set_ents([], outside=[ent], default="unmodified")
        if changed is not None:
            doc.set_ents([changed], default="unmodified")


def set_ids(doc: Doc, keys: Iterable[str], ids: Mapping[tuple[int, int, int], str]) -> None:
    """Give entities an id, unless they have one.

    doc (Doc): The document.
    keys (Iterable[str]): The groups in `doc.spans` whose spans get it too.
    ids (Mapping[tuple[int, int, int], str]): The id of what has these tokens (the first, and the
        one after the last) and this label.
    """
    for key in keys:
        group = doc.spans.get(key, ())
        for i, span in enumerate(group):
            id = ids.get((span.start, span.end, span.label))
            if id and not span.kb_id:
                group[i] = Span(doc, span.start, span.end, span.label, kb_id=id, span_id=span.id)
    for ent in doc.ents:
        id = ids.get((ent.start, ent.end, ent.label))
        if id and not ent.kb_id:
            for token in ent:
                token.ent_kb_id_ = id


def _to_attrs(entity: Entity | None) -> list[Any]:
    """What each of `ATTRS` says of an entity."""
    if entity is None:
        return [None] * len(ATTRS)
    chars = [entity.char_start, entity.char_end]
    asserted = [entity.assertion, entity.assertion_score]
    return [entity.score, list(entity.datasets), chars, *asserted]


def add_assertions(doc: Doc, entities: Iterable[Entity]) -> None:
    """Keep what is asserted of entities that no span group has: in
    `doc.user_data["openmed_assertions"]`, a list of [start, end, label, assertion, score] with
    characters as start and end. `Doc.from_docs` does not take it along.

    doc (Doc): The document, with the entities in `doc.ents`.
    entities (Iterable[Entity]): The entities.
    """
    ents = {(ent.start_char, ent.end_char) for ent in doc.ents}
    known = doc.user_data.get(USER_DATA, ())
    rows = {tuple(row[:3]): row for row in known if (row[0], row[1]) in ents}
    for entity in entities:
        if entity.assertion is not None:
            span = doc[entity.start : entity.end]
            at = (span.start_char, span.end_char, entity.label)
            rows[at] = [*at, entity.assertion, entity.assertion_score]
    if rows or known:
        doc.user_data[USER_DATA] = [rows[at] for at in sorted(rows)]


def read_assertions(doc: Doc) -> dict[tuple[int, int], tuple[str, float | None]]:
    """Read what is asserted of the entities of a document, in whatever group they are. Of several
    with the same tokens, the one with the best score counts.

    doc (Doc): The document.
    RETURNS (dict[tuple[int, int], tuple[str, float | None]]): Assertion and its score, by the
        first character of a span and the one after the last.
    """
    found: dict[tuple[int, int], tuple[float, str, float | None]] = {}
    for key in doc.spans:
        for own in read_spans(doc, key):
            if own.assertion is not None:
                at = (own.span.start_char, own.span.end_char)
                row = (own.score or 0.0, own.assertion, own.assertion_score)
                found[at] = max(row, found.get(at, row), key=lambda row: row[0])
    for start, end, _, assertion, score in doc.user_data.get(USER_DATA, ()):
        found.setdefault((start, end), (0.0, assertion, score))
    return {at: (assertion, score) for at, (_, assertion, score) in found.items()}


def set_ents(doc: Doc, entities: Sequence[Entity], policy: str) -> None:
    """Set `doc.ents` to a choice of earlier and new entities that do not overlap.

    Tokens that are blocked from being entities stay so.

    doc (Doc): The document.
    entities (Sequence[Entity]): The new entities.
    policy (str): Who wins an overlap. "keep": the earlier one. "replace": the new one.
        "longest": the longer one. "score": that with the better score; an earlier one counts as
        1.0 if no span group has a score for it. Ties go to the earlier one; among new ones the
        longer wins, then the better score.
    """
    if not entities:
        if not doc.has_annotation("ENT_IOB"):
            doc.set_ents([], default="outside")
        return
    free = np.ones(len(doc), dtype=bool)
    blocked = [doc[i : i + 1] for i in _blocked(doc)]
    for span in blocked:
        free[span.start : span.end] = False
    known = read_scores(doc, doc.spans) if policy == "score" else {}
    earlier = [
        (span, known.get((span.start, span.end, span.label_), 1.0), False) for span in doc.ents
    ]
    new = [(Span(doc, e.start, e.end, e.label), e.score, True) for e in entities]

    def rank(candidate: tuple[Span, float, bool]) -> tuple[float, ...]:
        span, score, is_new = candidate
        size = span.end - span.start
        if policy == "longest":
            return (-size, is_new, -score)
        if policy == "score":
            return (-score, is_new, -size)
        return (is_new == (policy == "keep"), -size, -score)

    chosen = []
    for span, _, _ in sorted([*earlier, *new], key=rank):
        if free[span.start : span.end].all():
            free[span.start : span.end] = False
            chosen.append(span)
    kept = {id(span) for span in chosen}
    for span, _, _ in earlier:
        if id(span) not in kept:
            _forget_ids(span)
    doc.set_ents(chosen, blocked=blocked, default="outside")


def _forget_ids(ent: Span) -> None:
    """Take the ids off the tokens of an entity: `Doc.set_ents` leaves them there."""
    for token in ent:
        token.ent_id = token.ent_kb_id = 0


def _blocked(doc: Doc) -> list[int]:
    """Tokens that begin an entity without a type: no entity may cover them."""
    iob, kind = doc.to_array(["ENT_IOB", "ENT_TYPE"]).T
    return np.flatnonzero((iob == 3) & (kind == 0)).tolist()


def read_scores(doc: Doc, keys: Iterable[str]) -> dict[tuple[int, int, str], float]:
    """Read the scores of entities.

    doc (Doc): The document.
    keys (Iterable[str]): The groups in `doc.spans` to read.
    RETURNS (dict[tuple[int, int, str], float]): The best score of an entity, by its first token,
        the one after the last, and its label.
    """
    scores: dict[tuple[int, int, str], float] = {}
    for key in keys:
        for own in read_spans(doc, key):
            if own.score is not None:
                at = (own.span.start, own.span.end, own.span.label_)
                scores[at] = max(own.score, scores.get(at, 0.0))
    return scores
