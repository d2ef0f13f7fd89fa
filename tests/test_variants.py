"""The component `openmed_variant`."""

import time

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_openmed.spans import Entity, add_spans
from spacy_openmed.variants import find_variants

GENE, VARIANT = "GENE_OR_GENE_PRODUCT", "VARIANT"


def make_nlp(**patterns: str) -> Language:
    nlp = spacy.blank("en")
    rows = [{"label": label, "pattern": text} for label, text in patterns.items()]
    if rows:
        nlp.add_pipe("entity_ruler").add_patterns(rows)
    nlp.add_pipe("openmed_variant")
    return nlp


def ents(doc: Doc) -> list[tuple[str, str, str]]:
    return [(ent.text, ent.label_, ent.kb_id_) for ent in doc.ents]


@pytest.mark.parametrize(
    "variant",
    [
        *("c.1799T>A", "c.76_78del", "c.76_77insG", "c.76dup", "c.112_117delinsTG", "c.88+2T>G"),
        *("c.-14G>C", "c.*1T>A", "c.1799T > A", "c.1799T-->A", "c. 2097insT", "c.G518A"),
        *("g.33038255C>A", "m.3243A>G", "n.5C>T", "r.76a>c", "g.123_345inv", "c.123="),
        *("NM_004333.6:c.1799T>A", "NP_004324.2:p.(Val600Glu)", "NC_000007.14(BRAF):g.1A>T"),
        *("p.V600E", "p.Val600Glu", "p.(Val600Glu)", "p.R213*", "p.Trp24Ter", "p.Arg97ProfsTer23"),
        *("p.Arg97fs", "p.Lys23_Val25del", "p.Cys28delinsTrpVal", "p.Asp4=", "p.Met1ext-5"),
        *("V600E", "R213X", "N102DfsX4", "F508del", "ΔF508", "delta F508", "H3K27M", "H3.3G34R"),
        *("Val66Met", "Arg95Stop", "Gln-552-Arg", "Thr(799)Met", "Leu99-->Pro", "Ala 54 Val"),
        *("1799T>A", "-308G/A", "185delAG", "35 delG", "295-298delTCAT", "C(-344)T", "T-786C"),
        *("735-6 TG>AT", "IVS4+1G>A", "IVS14 + 1G > A", "IVS10-6T", "5007+2insA", "76_78del"),
        *("rs113488022", "Rs702553", "COSM476", "VCV000013961.4", "nsv530705"),
    ],
)
def test_notation(variant: str):
    text = f"Carriers of {variant}, as reported ({variant})."
    assert [text[start:end] for start, end in find_variants(text)] == [variant, variant]


@pytest.mark.parametrize(
    "text",
    [
        "T47D and MDA-MB-231 cells; C57L/J and C57BL/6 mice; M13F primers",
        "S100A and S100A8, P450S, D2R and A2A receptors, H2A, E2F1, TNFRSF10A, miR-200C, CD45RA",
        "Vancomycin 1 g Q12H, morphine Q4H, D50W, vitamin B12, HbA1C, T12-L1, L5-S1, q15min",
        "p < 0.05, p.05, c.f. Smith, 20 C, -80C, 10M/8F, 5 G/L, group A>C, t(9;22), 1p19q",
        "ratios of 3:1, 24-48 h, 10-20 A, RS 485, Rs. 5000, rs1, V.600.E, 2-ins, grade II>III",
        "the silent R26R, H1N1, SARS-CoV-2, COVID19, G6PD, 5-FU, IL-10R, NF1, CO2, C60",
    ],
)
def test_what_is_no_variant(text: str):
    assert [text[start:end] for start, end in find_variants(text)] == []


def test_a_long_insertion_is_read_at_once():
    start = time.process_time()
    assert [*find_variants(f"p.V600_K601ins{'ALA' * 25}x")] == []
    assert time.process_time() - start < 1


def test_behind_the_name_of_a_gene():
    text = "KrasG12D mice, BRAFV600E tumours, rtM204V"
    assert [text[start:end] for start, end in find_variants(text)] == ["G12D", "V600E", "rtM204V"]


def test_entities_and_group():
    doc = make_nlp()("BRAF V600E (rs113488022) was found.")
    assert ents(doc) == [("V600E", VARIANT, ""), ("rs113488022", VARIANT, "DBSNP:rs113488022")]
    group = doc.spans["openmed"]
    assert [(span.text, span.kb_id_) for span in group] == [(e[0], e[2]) for e in ents(doc)]
    assert group.attrs["char_offsets"] == [[5, 10], [12, 23]]


@pytest.mark.parametrize("gene", ["BRAF V600E", "BRAF p.V600E", "V600E BRAF", "BRAF / V600E"])
def test_genes_lose_the_variant(gene: str):
    doc = make_nlp(**{GENE: gene})(f"The {gene} was found.")
    assert sorted(label for _, label, _ in ents(doc)) == [GENE, VARIANT]
    assert next(text for text, label, _ in ents(doc) if label == GENE) == "BRAF"


def test_a_variant_is_no_gene():
    assert ents(make_nlp(**{GENE: "V600E"})("V600E")) == [("V600E", VARIANT, "")]


def test_only_what_is_left_of_a_gene_keeps_its_ids():
    nlp = make_nlp()
    doc = nlp.make_doc("BRAF V600E - and ( V600E )")
    at = [(0, 3), (4, 7)]
    doc.ents = [Span(doc, *tokens, label=GENE, kb_id="HGNC:1097", span_id="1") for tokens in at]
    doc = nlp.get_pipe("openmed_variant")(doc)
    ids = [(token.ent_kb_id_, token.ent_id_) for token in doc]
    assert ids == [("HGNC:1097", "1"), *[("", "")] * 6]


def test_genes_of_a_group_keep_their_scores():
    nlp = make_nlp()
    doc = nlp.make_doc("KRAS, BRAF V600E and L858R")
    genes = [Entity(0, 1, GENE, 0.9, ("a",), 0, 4), Entity(2, 4, GENE, 0.8, ("b",), 6, 16)]
    add_spans(doc, [*genes, Entity(5, 6, GENE, 0.7, ("c",), 21, 26)], "openmed")
    group = nlp.get_pipe("openmed_variant")(doc).spans["openmed"]
    rows = zip(map(str, group), group.attrs["scores"], group.attrs["char_offsets"], strict=True)
    assert [*rows] == [
        ("KRAS", 0.9, [0, 4]),
        ("BRAF", 0.8, [6, 10]),
        ("V600E", 1.0, [11, 16]),
        ("L858R", 1.0, [21, 26]),
    ]
    assert group.attrs["datasets"] == [["a"], ["b"], [], []]


def test_diseases_stay():
    doc = make_nlp(DISEASE="V600E melanoma")("A V600E melanoma")
    assert ents(doc) == [("V600E melanoma", "DISEASE", "")]
    assert [span.text for span in doc.spans["openmed"]] == ["V600E"]


def test_variants_of_a_model_stay():
    doc = make_nlp(VARIANT="BRAF V600E")("BRAF V600E and L858R")
    assert [text for text, _, _ in ents(doc)] == ["BRAF V600E", "L858R"]
