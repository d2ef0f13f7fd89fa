"""Writing entities to documents."""

import pytest
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.vocab import Vocab

from spacy_openmed.spans import Entity, add_spans, read_spans, set_ents

WORDS = ["Valproic", "acid", "in", "acute", "renal", "failure", "and", "asthma"]


@pytest.fixture
def doc() -> Doc:
    return Doc(Vocab(), words=WORDS)


def entity(start: int, end: int, label: str = "CHEM", score: float = 0.5, *datasets: str) -> Entity:
    return Entity(start, end, label, score, datasets or ("chem",), 10 * start, 10 * end)


def rows(doc: Doc, key: str = "openmed") -> list[tuple]:
    """What a group says of each of its spans."""
    group = doc.spans[key]
    attrs = group.attrs
    return [
        (span.start, span.end, span.label_, *values)
        for span, *values in zip(
            group, attrs["scores"], attrs["datasets"], attrs["char_offsets"], strict=True
        )
    ]


def ents(doc: Doc) -> list[tuple[int, int, str]]:
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def test_spans_are_in_order_with_attrs_in_step(doc: Doc):
    add_spans(
        doc, [entity(7, 8, "Disease", 0.9), entity(0, 2), entity(0, 1, "Drug", 0.7)], "openmed"
    )
    assert rows(doc) == [
        (0, 1, "Drug", 0.7, ["chem"], [0, 10]),
        (0, 2, "CHEM", 0.5, ["chem"], [0, 20]),
        (7, 8, "Disease", 0.9, ["chem"], [70, 80]),
    ]


def test_no_entities_make_an_empty_group(doc: Doc):
    add_spans(doc, [], "openmed")
    assert rows(doc) == []


def test_groups_are_added_to(doc: Doc):
    add_spans(doc, [entity(7, 8, "Disease", 0.9)], "openmed")
    add_spans(doc, [entity(0, 2)], "openmed")
    add_spans(doc, [entity(3, 4)], "other")
    assert [row[:4] for row in rows(doc)] == [(0, 2, "CHEM", 0.5), (7, 8, "Disease", 0.9)]
    assert [row[:4] for row in rows(doc, "other")] == [(3, 4, "CHEM", 0.5)]


@pytest.mark.parametrize(("old", "new"), [(0.3, 0.8), (0.8, 0.3)])
def test_the_same_span_is_there_once(doc: Doc, old: float, new: float):
    first = entity(0, 2, "CHEM", old, "bc5cdr_chem")._replace(char_end=17)
    second = entity(0, 2, "CHEM", new, "bc4chemd")._replace(char_end=18)
    add_spans(doc, [first], "openmed")
    add_spans(doc, [second], "openmed")
    [(*span, score, datasets, offsets)] = rows(doc)
    assert (span, score) == ([0, 2, "CHEM"], 0.8)
    assert sorted(datasets) == ["bc4chemd", "bc5cdr_chem"]
    assert offsets == [0, 17 if old > new else 18]


def test_a_dataset_is_named_once(doc: Doc):
    for _ in range(2):
        add_spans(doc, [entity(0, 2, "CHEM", 0.5, "a", "b")], "openmed")
    assert rows(doc) == [(0, 2, "CHEM", 0.5, ["a", "b"], [0, 20])]


def test_spans_with_other_labels_are_others(doc: Doc):
    add_spans(doc, [entity(0, 2, "CHEM"), entity(0, 2, "Drug")], "openmed")
    assert [row[2] for row in rows(doc)] == ["CHEM", "Drug"]


def test_spans_of_other_components_are_kept(doc: Doc):
    theirs = Span(doc, 3, 6, "Disease", kb_id="Q476921", span_id="rule 7")
    doc.spans["openmed"] = [theirs, Span(doc, 0, 2, "CHEM")]
    add_spans(doc, [entity(0, 2), entity(7, 8)], "openmed")
    assert rows(doc) == [
        (0, 2, "CHEM", 0.5, ["chem"], [0, 20]),
        (3, 6, "Disease", None, None, None),
        (7, 8, "CHEM", 0.5, ["chem"], [70, 80]),
    ]
    kept = doc.spans["openmed"][1]
    assert (kept.kb_id_, kept.id_) == ("Q476921", "rule 7")


def test_spans_without_values_stay_so_when_a_third_component_writes(doc: Doc):
    doc.spans["openmed"] = [Span(doc, 3, 6, "Disease")]
    add_spans(doc, [entity(0, 2)], "openmed")
    add_spans(doc, [entity(7, 8)], "openmed")
    assert [row[3] for row in rows(doc)] == [0.5, None, 0.5]


def test_twins_keep_the_assertion_of_the_better_score(doc: Doc):
    denied = entity(7, 8, "Disease", 0.6)._replace(assertion="ABSENT", assertion_score=0.9)
    present = entity(7, 8, "Disease", 0.8)._replace(assertion="PRESENT", assertion_score=0.7)
    silent = entity(7, 8, "Disease", 0.9)
    for others in ([denied, present, silent], [silent, present, denied], [present, silent, denied]):
        for other in others:
            add_spans(doc, [other], "openmed")
        [found] = read_spans(doc, "openmed")
        assert (found.score, found.assertion, found.assertion_score) == (0.9, "PRESENT", 0.7)
        del doc.spans["openmed"]


def test_spans_that_were_appended_have_no_values(doc: Doc):
    add_spans(doc, [entity(0, 1)._replace(char_start=0, char_end=2)], "openmed")
    doc.spans["openmed"].append(Span(doc, 3, 6, "Disease"))
    found = read_spans(doc, "openmed")
    assert [(own.span.label_, own.score, own.datasets) for own in found] == [
        ("CHEM", 0.5, ("chem",)),
        ("Disease", None, ()),
    ]
    assert found[1].offsets == (doc[3].idx, doc[3:6].end_char)


@pytest.mark.parametrize("left", [[(0, 2, "CHEM"), (7, 8, "Disease")], []])
def test_values_of_other_spans_are_not_taken(doc: Doc, left: list[tuple]):
    at = (doc[7].idx, doc[7].idx + len(doc[7]))
    add_spans(doc, [Entity(7, 8, "Disease", 0.9, ("x",), *at)], "openmed")
    attrs = doc.spans["openmed"].attrs
    spans = [Span(doc, *span) for span in left]
    doc.spans["openmed"] = SpanGroup(doc, name="openmed", spans=spans, attrs=attrs)
    assert [found.score for found in read_spans(doc, "openmed")] == [None] * len(left)


def test_there_may_be_no_group(doc: Doc):
    assert read_spans(doc, "nothing") == []


def test_groups_survive_a_doc_bin(doc: Doc):
    add_spans(doc, [entity(7, 8, "Disease", 0.9), entity(0, 2)], "openmed")
    expected = rows(doc)
    data = DocBin(docs=[doc]).to_bytes()
    [again] = DocBin().from_bytes(data).get_docs(Vocab())
    assert rows(again) == expected


EARLIER = [(0, 2, "RULE"), (4, 6, "RULE")]


@pytest.mark.parametrize(
    ("policy", "new", "expected"),
    [
        ("keep", [entity(4, 5)], EARLIER),
        ("keep", [entity(3, 6, score=1.0)], EARLIER),
        ("replace", [entity(4, 5)], [(0, 2, "RULE"), (4, 5, "CHEM")]),
        ("replace", [entity(1, 5)], [(1, 5, "CHEM")]),
        ("longest", [entity(3, 6)], [(0, 2, "RULE"), (3, 6, "CHEM")]),
        ("longest", [entity(4, 5, score=1.0)], EARLIER),
        ("longest", [entity(1, 5)], [(1, 5, "CHEM")]),
        ("longest", [entity(5, 7, score=1.0)], EARLIER),
        ("score", [entity(3, 6, score=0.99)], EARLIER),
        ("score", [entity(3, 6, score=1.0)], EARLIER),
    ],
)
def test_who_wins_an_overlap(doc: Doc, policy: str, new: list[Entity], expected: list):
    doc.ents = [Span(doc, *earlier) for earlier in EARLIER]
    set_ents(doc, new, policy)
    assert ents(doc) == expected


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_entities_without_overlap_are_all_set(doc: Doc, policy: str):
    doc.ents = [Span(doc, 4, 6, "RULE")]
    set_ents(doc, [entity(7, 8, "Disease"), entity(0, 2)], policy)
    assert ents(doc) == [(0, 2, "CHEM"), (4, 6, "RULE"), (7, 8, "Disease")]


@pytest.mark.parametrize(
    ("earlier", "new", "winner"),
    [(0.4, 0.6, "CHEM"), (0.6, 0.4, "RULE"), (0.5, 0.5, "RULE")],
)
def test_scores_of_earlier_entities_count(doc: Doc, earlier: float, new: float, winner: str):
    add_spans(doc, [entity(3, 6, "RULE", earlier)], "first")
    doc.ents = [Span(doc, 3, 6, "RULE")]
    set_ents(doc, [entity(4, 8, "CHEM", new)], "score")
    assert [label for *_, label in ents(doc)] == [winner]


@pytest.mark.parametrize(
    ("policy", "new", "expected"),
    [
        ("keep", [entity(0, 2, score=0.9), entity(0, 3, score=0.1)], [(0, 3, "CHEM")]),
        ("replace", [entity(0, 2, score=0.9), entity(0, 3, score=0.1)], [(0, 3, "CHEM")]),
        ("longest", [entity(0, 2, score=0.9), entity(0, 3, score=0.1)], [(0, 3, "CHEM")]),
        ("score", [entity(0, 2, score=0.9), entity(0, 3, score=0.1)], [(0, 2, "CHEM")]),
        ("score", [entity(0, 2), entity(0, 3)], [(0, 3, "CHEM")]),
        ("keep", [entity(0, 2, "A", 0.4), entity(0, 2, "B", 0.6)], [(0, 2, "B")]),
        ("replace", [entity(0, 2, "A", 0.4), entity(0, 2, "B", 0.6)], [(0, 2, "B")]),
        ("longest", [entity(0, 2, "A", 0.4), entity(0, 2, "B", 0.6)], [(0, 2, "B")]),
        ("score", [entity(0, 2, "A", 0.4), entity(0, 2, "B", 0.6)], [(0, 2, "B")]),
    ],
)
def test_who_wins_among_new_entities(doc: Doc, policy: str, new: list[Entity], expected: list):
    set_ents(doc, new, policy)
    assert ents(doc) == expected


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
@pytest.mark.parametrize("new", [[entity(0, 2), entity(4, 6)], [entity(4, 8)], []])
def test_blocked_tokens_stay_so(doc: Doc, policy: str, new: list[Entity]):
    doc.set_ents([], blocked=[doc[1:2], doc[6:7]])
    set_ents(doc, new, policy)
    assert ents(doc) == [(e.start, e.end, e.label) for e in new if (e.start, e.end) == (4, 6)]
    blocked = [i for i, token in enumerate(doc) if token.ent_iob == 3 and not token.ent_type]
    assert blocked == [1, 6]


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_earlier_entities_keep_what_they_carry(doc: Doc, policy: str):
    doc.ents = [Span(doc, 4, 6, "RULE", kb_id="Q476921", span_id="rule 7")]
    set_ents(doc, [entity(0, 2)], policy)
    assert [(ent.kb_id_, ent.id_) for ent in doc.ents] == [("", ""), ("Q476921", "rule 7")]


@pytest.mark.parametrize("new", [[], [entity(0, 2)]])
def test_tokens_without_entity_are_outside(doc: Doc, new: list[Entity]):
    set_ents(doc, new, "keep")
    assert [token.ent_iob_ for token in doc] == (["B", "I"] if new else ["O"] * 2) + ["O"] * 6


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_no_new_entities_change_nothing(doc: Doc, policy: str):
    doc.set_ents([Span(doc, 0, 2, "RULE")], missing=[doc[2:4]], default="outside")
    before = [(token.ent_iob, token.ent_type) for token in doc]
    set_ents(doc, [], policy)
    assert [(token.ent_iob, token.ent_type) for token in doc] == before


@pytest.mark.parametrize("policy", ["keep", "replace", "longest", "score"])
def test_a_doc_without_tokens(policy: str):
    doc = Doc(Vocab())
    add_spans(doc, [], "openmed")
    set_ents(doc, [], policy)
    assert ents(doc) == rows(doc) == []


def test_spans_with_other_ids_are_others(doc: Doc):
    spans = [Span(doc, 0, 2, "CHEM", kb_id=id) for id in ("MESH:1", "MESH:2")]
    doc.spans["openmed"] = [*spans, Span(doc, 7, 8, "Disease")]
    add_spans(doc, [entity(0, 2), entity(7, 8, "Disease", 0.9)], "openmed")
    assert [span.kb_id_ for span in doc.spans["openmed"]] == ["MESH:1", "MESH:2", ""]
    assert [row[3] for row in rows(doc)] == [0.5, 0.5, 0.9]
