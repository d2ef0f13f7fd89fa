"""The component `openmed_variant`: finds sequence variants by rules."""

from collections.abc import Container, Sequence
from itertools import groupby

from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.vocab import Vocab

from ..components import RuleComponent
from ..labels import canonical_label
from ..spans import Entity, add_spans, change_ents, change_spans, set_ents, set_ids
from .patterns import RS_ID, find_variants

VARIANT = "VARIANT"
KEPT = {VARIANT, "PROTEIN_VARIANT"}  # labels that a model gives variants
# Labels that a model gives to what is a variant, or to a variant with the name beside it.
MISTAKEN = {
    *("GENE_OR_GENE_PRODUCT", "DNA", "RNA", "PROTEIN", "PROTEIN_COMPLEX", "PROTEIN_ENUM"),
    *("PROTEIN_FAMILY_OR_GROUP", "CHEMICAL", "SIMPLE_CHEMICAL", "AMINO_ACID", "CELL_LINE"),
    *("SPECIES", "ORGANISM"),
}
DBSNP = "DBSNP"  # the prefix of the ids of reference variants


@Language.factory(
    "openmed_variant",
    assigns=["doc.ents", "doc.spans", "token.ent_kb_id"],
    default_config={"annotate_spans_key": "openmed"},
)
def make_openmed_variant(nlp: Language, name: str, annotate_spans_key: str) -> "OpenMedVariant":
    """Make a component that finds sequence variants by rules.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    annotate_spans_key (str): Key in doc.spans to write to, beside doc.ents.
    RETURNS (OpenMedVariant): The component.
    """
    return OpenMedVariant(nlp.vocab, name, annotate_spans_key=annotate_spans_key)


class OpenMedVariant(RuleComponent):
    """Find sequence variants: what is written as HGVS says or nearly so, and ids of dbSNP, ClinVar,
    COSMIC and dbVar. They get the label VARIANT; those of dbSNP get their id as `kb_id_`.

    Entities that are labelled as variants stay. Genes, chemicals, cell lines and species lose the
    tokens of a variant: of "BRAF V600E", the gene is "BRAF".

    The settings are those of the factory, `make_openmed_variant`.
    """

    def __init__(
        self, vocab: Vocab, name: str = "openmed_variant", *, annotate_spans_key: str = "openmed"
    ) -> None:
        super().__init__(vocab, name)
        self.annotate_spans_key = annotate_spans_key

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The label that the component sets."""
        return (VARIANT,)

    def predict(self, doc: Doc) -> list[Entity]:
        """Find the variants of a document.

        doc (Doc): The document.
        RETURNS (list[Entity]): The variants, without those that are known.
        """
        known = {
            token.i
            for span in (*doc.ents, *doc.spans.get(self.annotate_spans_key, ()))
            if canonical_label(span.label_) in KEPT
            for token in span
        }
        found = []
        for start, end in find_variants(doc.text):
            span = doc.char_span(start, end, alignment_mode="expand")
            if span is not None and known.isdisjoint(range(span.start, span.end)):
                found.append(Entity(span.start, span.end, VARIANT, 1.0, (), start, end))
        return found

    def set_annotations(self, doc: Doc, found: Sequence[Entity]) -> None:
        """Add the variants to doc.ents and to the group, and cut them out of other entities.

        doc (Doc): The document.
        found (Sequence[Entity]): What `predict` returned.
        """
        taken = {i for entity in found for i in range(entity.start, entity.end)}

        def cut(span: Span) -> Span | None:
            is_cut = canonical_label(span.label_) in MISTAKEN
            return _cut(span, taken) if is_cut else span

        change_ents(doc, cut)
        change_spans(doc, self.annotate_spans_key, cut)
        add_spans(doc, found, self.annotate_spans_key)
        set_ents(doc, found, "keep")
        label = doc.vocab.strings[VARIANT]
        ids = {
            (entity.start, entity.end, label): f"{DBSNP}:rs{match[1]}"
            for entity in found
            if (match := RS_ID.fullmatch(doc.text, entity.char_start, entity.char_end))
        }
        set_ids(doc, [self.annotate_spans_key], ids)


def _cut(span: Span, taken: Container[int]) -> Span | None:
    """The longest part of a span without tokens that are taken; None if there is no name in it."""
    if not any(token.i in taken for token in span):
        return span
    best: list[Token] = []
    for is_taken, tokens in groupby(span, key=lambda token: token.i in taken):
        part = [*tokens]
        while part and not any(map(str.isalnum, part[-1].text)):
            part.pop()
        while part and not any(map(str.isalnum, part[0].text)):
            part.pop(0)
        if not is_taken and len(part) > len(best):
            best = part
    if not any(c.isalpha() for token in best for c in token.text):
        return None
    return Span(span.doc, best[0].i, best[-1].i + 1, span.label, kb_id=span.kb_id, span_id=span.id)
