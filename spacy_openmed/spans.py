"""Write entities to documents."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

SCORES, DATASETS, OFFSETS = ATTRS = ("scores", "datasets", "char_offsets")


class Entity(NamedTuple):
    """One predicted entity.

    start, end (int): First token and the one after the last.
    label (str): Its label, as configured.
    score (float): Mean probability of its type over its tokens.
    datasets (tuple[str, ...]): The heads that found it.
    char_start, char_end (int): Where the words begin and end that the model marked. They may
        lie inside the first and the last token.
    """

    start: int
    end: int
    label: str
    score: float
    datasets: tuple[str, ...]
    char_start: int
    char_end: int

    def join(self, other: "Entity") -> "Entity":
        """Make one of two with the same tokens and label: the better score, both datasets."""
        better = max(self, other, key=lambda entity: entity.score)
        return better._replace(datasets=tuple(dict.fromkeys(self.datasets + other.datasets)))


class Found(NamedTuple):
    """A span of a group, and what is known of it.

    span (Span): The span.
    score (float | None): Its score; None if another component wrote the span.
    datasets (tuple[str, ...]): The heads that found it; none if another component did.
    offsets (tuple[int, int]): The characters that were marked; those of the span if not known.
    """

    span: Span
    score: float | None
    datasets: tuple[str, ...]
    offsets: tuple[int, int]


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
        score, datasets, offsets = (c[i] if i < len(c) else None for c in columns)
        chars = (span.start_char, span.end_char)
        is_own = not offsets or chars[0] <= offsets[0] <= offsets[1] <= chars[1]
        if in_step or is_own:
            found.append(Found(span, score, tuple(datasets or ()), tuple(offsets or chars)))
        else:  # others were not added at the end
            found.append(Found(span, None, (), chars))
    return found


def add_spans(doc: Doc, entities: Iterable[Entity], key: str) -> None:
    """Add entities to a span group. Those that are there already are kept, so that several
    components can write to one group; the same span with the same label is there once.

    The group's attrs keep a list for each of "scores", "datasets" and "char_offsets", in step
    with its spans (values of spans that another component wrote without them are None).

    doc (Doc): The document.
    entities (Iterable[Entity]): The entities.
    key (str): The group's key in `doc.spans`.
    """
    rows: dict[tuple[int, int, str], tuple[Span, list]] = {}
    other_attrs = {}
    if key in doc.spans:
        old = doc.spans[key].attrs
        other_attrs = {name: value for name, value in old.items() if name not in ATTRS}
    for own in read_spans(doc, key):
        is_scored = own.score is not None
        known = [own.score, [*own.datasets], [*own.offsets]] if is_scored else [None] * 3
        rows[own.span.start, own.span.end, own.span.label_] = (own.span, known)
    for entity in entities:
        at = entity[:3]
        span, (score, datasets, offsets) = rows.get(at) or (None, (None, None, None))
        if span is None:
            span = Span(doc, entity.start, entity.end, entity.label)
        if score is not None:
            offsets = offsets or (entity.char_start, entity.char_end)
            entity = entity.join(Entity(*at, float(score), tuple(datasets or ()), *offsets))
        values = [entity.score, list(entity.datasets), [entity.char_start, entity.char_end]]
        rows[at] = (span, values)
    ordered = [rows[at] for at in sorted(rows)]
    attrs = {name: [values[i] for _, values in ordered] for i, name in enumerate(ATTRS)}
    spans = [span for span, _ in ordered]
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs={**other_attrs, **attrs})


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
    known = _known_scores(doc) if policy == "score" else {}
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
            for token in span:  # set_ents leaves the ids of what was there before
                token.ent_id = token.ent_kb_id = 0
    doc.set_ents(chosen, blocked=blocked, default="outside")


def _blocked(doc: Doc) -> list[int]:
    """Tokens that begin an entity without a type: no entity may cover them."""
    iob, kind = doc.to_array(["ENT_IOB", "ENT_TYPE"]).T
    return np.flatnonzero((iob == 3) & (kind == 0)).tolist()


def _known_scores(doc: Doc) -> dict[tuple[int, int, str], float]:
    scores: dict[tuple[int, int, str], float] = {}
    for key in doc.spans:
        for span, score, _, _ in read_spans(doc, key):
            if score is not None:
                at = (span.start, span.end, span.label_)
                scores[at] = max(score, scores.get(at, 0.0))
    return scores
