"""No label is lost on the way to the canonical ones, and each has a colour."""

from itertools import chain

import pytest
from spacy.displacy.render import DEFAULT_LABEL_COLORS
from spacy.util import registry

from spacy_openmed import catalogue
from spacy_openmed.colors import DISPLACY_COLORS
from spacy_openmed.labels import LABELS, canonical_label, make_tags, split_tags

# What OpenMed's checkpoints and the heads of mini call their types, by dataset.
NATIVE = {
    "bc5cdr_chem": {"CHEM": "CHEMICAL", "Chemical": "CHEMICAL"},
    "fsu": {
        "protein": "PROTEIN",
        "protein_complex": "PROTEIN_COMPLEX",
        "protein_enum": "PROTEIN_ENUM",
        "protein_familiy_or_group": "PROTEIN_FAMILY_OR_GROUP",
        "protein_variant": "PROTEIN_VARIANT",
    },
    "ncbi_disease": {"DISEASE": "DISEASE", "Disease": "DISEASE"},
    "jnlpba": {
        "DNA": "DNA",
        "RNA": "RNA",
        "protein": "PROTEIN",
        "cell_line": "CELL_LINE",
        "cell_type": "CELL_TYPE",
    },
    "bc2gm": {"GENE/PROTEIN": "GENE_OR_GENE_PRODUCT", "GENE": "GENE_OR_GENE_PRODUCT"},
    "species800": {"SPECIES": "SPECIES", "Species": "SPECIES"},
    "gellus": {"Cell-line-name": "CELL_LINE"},
    "anatomy": {"Anatomy": "ANATOMY"},
    "bionlp2013_cg": {
        "Amino_acid": "AMINO_ACID",
        "Anatomical_system": "ANATOMICAL_SYSTEM",
        "Cancer": "CANCER",
        "Cell": "CELL",
        "Cellular_component": "CELLULAR_COMPONENT",
        "Developing_anatomical_structure": "DEVELOPING_ANATOMICAL_STRUCTURE",
        "Gene_or_gene_product": "GENE_OR_GENE_PRODUCT",
        "Immaterial_anatomical_entity": "IMMATERIAL_ANATOMICAL_ENTITY",
        "Multi-tissue_structure": "MULTI_TISSUE_STRUCTURE",
        "Organ": "ORGAN",
        "Organism": "ORGANISM",
        "Organism_subdivision": "ORGANISM_SUBDIVISION",
        "Organism_substance": "ORGANISM_SUBSTANCE",
        "Pathological_formation": "PATHOLOGICAL_FORMATION",
        "Simple_chemical": "SIMPLE_CHEMICAL",
        "Tissue": "TISSUE",
    },
    "cll": {"CL": "CELL_LINE"},
    "notes": {"PROBLEM": "DISEASE", "DRUG": "CHEMICAL", "TEST_RESULT": "TEST_RESULT"},
    "biored": {"Variant": "VARIANT", "SequenceVariant": "VARIANT", "CellLine": "CELL_LINE"},
}
PAIRS = sorted(set(chain.from_iterable(names.items() for names in NATIVE.values())))


@pytest.mark.parametrize(("native", "canonical"), PAIRS)
def test_native_labels_become_canonical(native: str, canonical: str):
    assert canonical_label(native) == canonical


def test_canonical_labels_stay_as_they_are():
    assert [canonical_label(label) for label in LABELS] == list(LABELS)


def test_no_label_of_the_catalogue_is_unknown():
    rows = [*catalogue.checkpoints(), *catalogue.datasets().values(), catalogue.mini()]
    labels = {label for row in rows for label in row.labels}
    assert len(labels) >= 30
    assert {canonical_label(label) for label in labels} <= set(LABELS)


def test_types_of_one_checkpoint_stay_apart():
    for row in [*catalogue.checkpoints(), *catalogue.datasets().values()]:
        assert len(row.canonical_labels) == len(row.labels)


def test_no_spelling_has_two_meanings():
    for label, natives in LABELS.items():
        assert {canonical_label(native) for native in natives} <= {label}


@pytest.mark.parametrize(
    ("native", "canonical"),
    [
        ("chem", "CHEMICAL"),
        ("cell line", "CELL_LINE"),
        ("DateOfBirth", "DATE_OF_BIRTH"),
        ("first-name", "GIVEN_NAME"),
        ("zipcode", "ZIP_CODE"),
    ],
)
def test_case_and_separators_do_not_matter(native: str, canonical: str):
    assert canonical_label(native) == canonical


def test_unknown_labels_keep_their_name():
    assert canonical_label("Lab-test/value") == "LAB_TEST_VALUE"
    assert canonical_label("other") == "OTHER"
    assert canonical_label("Größe") == "GRÖSSE"


@pytest.mark.parametrize(
    ("labels", "tags"),
    [
        (["B-Cell-line-name", "I-Cell-line-name"], ["B Cell-line-name", "I Cell-line-name"]),
        (["B-GENE/PROTEIN", "O"], ["B GENE/PROTEIN", "O "]),
        (["O", "B-B-cell", "I-O"], ["O ", "B B-cell", "I O"]),
        (["O", "B_CHEM", "I_CHEM"], ["O ", "B CHEM", "I CHEM"]),
        (["B-A", "I-A", "E-A", "S-A", "S-B"], ["B A", "I A", "E A", "S A", "S B"]),
        (["B-A", "I-A", "L-A", "U-A"], ["B A", "I A", "L A", "U A"]),
        (["O", "Cell-line-B", "Cell-line-I"], ["O ", "B Cell-line", "I Cell-line"]),
        (["A_I", "A_B", "B_B"], ["I A", "B A", "B B"]),
    ],
)
def test_tags_are_split(labels: list[str], tags: list[str]):
    assert [f"{prefix} {kind}" for prefix, kind in split_tags(labels)] == tags


@pytest.mark.parametrize(
    "labels",
    [
        ["CHEM", "DNA-I", "B-"],
        ["B-cell", "T-cell"],
        ["B_CELL"],
        ["B_CELL", "E-coli", "S-100"],
        ["E-coli", "S-100"],
        ["B-cell", "S-100"],
        ["VITAMIN_B", "VITAMIN_E"],
        ["GROUP_B"],
    ],
)
def test_types_that_look_like_tags_stay_types(labels: list[str]):
    assert split_tags(["O", *labels]) == [("O", ""), *(("", label) for label in labels)]


@pytest.mark.parametrize(
    "labels",
    [["B-A", "I-A", "C"], ["A-B", "A-I", "C"], ["B-A", "I-A", "E-coli"], ["B-A", "I_A", "I-A"]],
)
def test_tags_among_types_are_refused(labels: list[str]):
    with pytest.raises(ValueError, match="OM003.*some/model"):
        split_tags(["O", *labels], name="some/model")


@pytest.mark.parametrize(
    ("labels", "new"),
    [
        (["O"], ["B-NEW", "I-NEW"]),
        (["O", "B_A", "I_A"], ["B_NEW", "I_NEW"]),
        (["O", "A-B", "A-I"], ["NEW-B", "NEW-I"]),
        (["O", "S-100"], ["NEW"]),
    ],
)
def test_new_labels_have_the_style_of_the_others(labels: list[str], new: list[str]):
    assert make_tags(["NEW"], labels) == new


def test_every_label_has_a_colour_of_its_own():
    colours = {**DISPLACY_COLORS, **DEFAULT_LABEL_COLORS}
    assert set(LABELS) <= set(colours)
    biomedical = list(LABELS)[: list(LABELS).index("PERSON")]
    assert len({DISPLACY_COLORS[label] for label in biomedical}) == len(biomedical)


def test_spacys_own_colours_are_left_alone():
    assert not set(DISPLACY_COLORS) & set(DEFAULT_LABEL_COLORS)


def test_black_text_is_readable_on_every_colour():
    for colour in DISPLACY_COLORS.values():
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert (luminance + 0.05) / 0.05 >= 7  # WCAG 2.2, 1.4.6


def test_displacy_knows_the_colours():
    assert registry.displacy_colors.get("openmed") == DISPLACY_COLORS
