"""What the rest of a document says about its entities."""

import re
from pathlib import Path

import pytest
import spacy
from checkpoints import make_multi_head_checkpoint
from conftest import found, make_nlp

from spacy_openmed.abbreviations import find_definitions
from spacy_openmed.ner.document import spread_abbreviations, spread_strings
from spacy_openmed.ner.mentions import Mention, Text
from spacy_openmed.ner.trimming import trim_mentions

LABELS = ["DISEASE", "CHEMICAL", "GENE_OR_GENE_PRODUCT", "DOSE", "PERSON", "SPECIES"]
HEADS = [0, 0, 1, 2, None, 3]  # of each label
NLP = spacy.blank("en")


def make_text(text: str) -> Text:
    doc = NLP.make_doc(text)
    starts = [token.idx for token in doc]
    return Text(text, starts, [token.idx + len(token) for token in doc])


def find(text: Text, string: str, label: str = "DISEASE", *, score: float = 0.9) -> list[Mention]:
    """Mentions at all places of a string that are whole tokens."""
    type_ = LABELS.index(label)
    return [
        Mention(start, end, True, type_, score, text.starts[start], text.ends[end - 1])
        for start, end in text.find_places(string, any_case=False)
    ]


def strings(text: Text, mentions: list[Mention]) -> list[str]:
    """The texts of mentions, in order."""
    return [text.span(m.start, m.end) for m in sorted(mentions)]


def mark(written: str, label: str) -> tuple[Text, Mention]:
    """A text, and the entity that stands between < and > in it."""
    before, string, after = re.split("[<>]", written)
    text = make_text(before + string + after)
    start, end = len(before), len(before) + len(string)
    first, last = text.starts.index(start), text.ends.index(end)
    return text, Mention(first, last + 1, True, LABELS.index(label), 0.9, start, end)


def test_trimming_ends_where_a_bracket_is_added_and_taken_off_again():
    """The tokens are "a(", "b)" and ")"; the model marked the letters."""
    text = Text("a(b))", [0, 2, 4], [2, 4, 5])
    mention = Mention(0, 2, True, LABELS.index("CHEMICAL"), 0.9, 0, 3)
    assert strings(text, trim_mentions(text, [mention], LABELS)) == ["a(b)"]


@pytest.mark.parametrize(
    ("written", "label", "expected"),
    [
        ("has <asthma>", "DISEASE", "asthma"),
        ("a <Shprintzen (>VCFS) type", "DISEASE", "Shprintzen"),
        ("syndrome (<MKS) type 3>", "DISEASE", "MKS"),
        ("of <RAD51 [1,2> ,3]", "GENE_OR_GENE_PRODUCT", "RAD51"),
        ("reflux <(GERD)>", "DISEASE", "GERD"),
        ("with <NaAsO(2>) in", "CHEMICAL", "NaAsO(2)"),
        ("on <(S)-warfarin>", "CHEMICAL", "(S)-warfarin"),
        ("the <factor (TNF)-alpha>", "GENE_OR_GENE_PRODUCT", "factor (TNF)-alpha"),
        ("a <deficiency in> it", "DISEASE", "deficiency"),
        ("so <. Fatty acid> is", "CHEMICAL", "Fatty acid"),
        ("no <diarrhoea –> ok", "DISEASE", "diarrhoea"),
        ("and <the gout of the> toe", "DISEASE", "gout"),
        ("and <the> toe", "DISEASE", None),
        ("so <. ,> it", "DISEASE", None),
        ("an <in situ carcinoma>", "DISEASE", "in situ carcinoma"),
        ("of <TNF a>", "GENE_OR_GENE_PRODUCT", "TNF a"),
        ("the <Zea sp.> here", "SPECIES", "Zea sp."),
        ("the <Zea mays .> Here", "SPECIES", "Zea mays"),
        ("has <hepatitis A>", "DISEASE", "hepatitis A"),
        ("has <X> ", "DISEASE", None),
        ("low <K> ", "CHEMICAL", "K"),
        ("low <x> ", "CHEMICAL", None),
        ("see <615> ", "CHEMICAL", None),
        ("MMP-2 and <9>", "GENE_OR_GENE_PRODUCT", "9"),
        ("on <(5 mg> daily", "DOSE", "(5 mg"),
        ("on <5> daily", "DOSE", "5"),
        ("Dr <J.> ", "PERSON", "J."),
    ],
)
def test_names_are_trimmed(written: str, label: str, expected: str | None):
    text, mention = mark(written, label)
    trimmed = trim_mentions(text, [mention], LABELS)
    assert strings(text, trimmed) == ([] if expected is None else [expected])
    for new in trimmed:  # the characters go with the tokens
        assert text.text[new.char_start : new.char_end] == expected


@pytest.mark.parametrize("label", ["DISEASE", "DOSE", "PERSON"])
def test_entities_end_at_blank_lines(label: str):
    text, whole = mark("Dx: <gout\n \n\nasthma\nattack> seen", label)
    assert strings(text, trim_mentions(text, [whole], LABELS)) == ["gout", "asthma\nattack"]


def test_inside_a_token_the_models_characters_stay():
    text, mention = mark("a <p53/R175H (>", "GENE_OR_GENE_PRODUCT")
    [trimmed] = trim_mentions(text, [mention._replace(char_start=6)], LABELS)
    assert text.text[trimmed.char_start : trimmed.char_end] == "R175H"


@pytest.mark.parametrize(
    ("written", "given", "expected"),
    [
        # Found: all short forms.
        (
            "chronic kidney disease (CKD). CKD; CKD-related, pCKD",
            ["chronic kidney disease"],
            ["chronic kidney disease", "CKD", "CKD", "CKD"],
        ),
        (
            "CKD (chronic kidney disease) in CKD",
            ["chronic kidney disease"],
            ["CKD", "chronic kidney disease", "CKD"],
        ),
        # With a word before it, or found at another place.
        (
            "severe aortic stenosis (AS)",
            ["severe aortic stenosis"],
            ["severe aortic stenosis", "AS"],
        ),
        (
            "Aortic stenosis. By aortic stenosis (AS)",
            ["Aortic stenosis"],
            ["Aortic stenosis", "AS"],
        ),
        # Not found: the short forms go.
        ("intraocular pressure (IOP) and IOP", ["IOP"], []),
        # Touched, or part of something else: nothing is known.
        ("glaucoma pressure (GP), GP", ["glaucoma", "GP"], ["glaucoma", "GP", "GP"]),
        (
            "deficiency of phenylalanine hydroxylase (PAH); PAH",
            ["deficiency of phenylalanine hydroxylase"],
            ["deficiency of phenylalanine hydroxylase"],
        ),
        # Case counts, and what is found stays.
        (
            "acute myocardial infarct (AMI); ami; AMI stage 2",
            ["acute myocardial infarct", "AMI stage 2"],
            ["acute myocardial infarct", "AMI", "AMI stage 2"],
        ),
        ("asthma (see there), gout", ["asthma"], ["asthma"]),
        ("asthma and gout", ["gout"], ["gout"]),
    ],
)
def test_abbreviations(written: str, given: list[str], expected: list[str]):
    text = make_text(written)
    mentions: list[Mention] = []
    for string in sorted(given, key=len, reverse=True):
        taken = {i for m in mentions for i in range(m.start, m.end)}
        mentions += [m for m in find(text, string) if m.start not in taken]
    assert strings(text, spread_abbreviations(text, mentions, HEADS)) == expected


def test_short_forms_have_type_and_score_of_their_long_form():
    text = make_text("tumour necrosis factor (TNF). TNF")
    long = find(text, "tumour necrosis factor", "GENE_OR_GENE_PRODUCT", score=0.7)
    other = find(text, "TNF", "DISEASE", score=0.9)[1:]  # another head's
    spread = spread_abbreviations(text, [*long, *other], HEADS)
    genes = [m for m in spread if m.type == 2]
    assert strings(text, genes) == ["tumour necrosis factor", "TNF", "TNF"]
    assert {m.score for m in genes} == {0.7}
    assert genes[-1].char_start == text.text.rfind("TNF")
    # The other head found nothing in the long form.
    assert not [m for m in spread if m.type == 0]


def test_identifiers_are_never_dropped():
    text = make_text("Mass General Hospital (MGH) and MGH")
    names = find(text, "MGH", "PERSON")
    assert spread_abbreviations(text, names, HEADS) == names


@pytest.mark.parametrize(
    ("written", "string", "n_given", "expected"),
    [
        ("gout, Gout and GOUT", "gout", 1, 1),  # one of three
        ("gout, gout and Gout", "gout", 2, 3),
        ("gout, gout", "gout", 1, 1),  # half is not most
        ("CAT; CAT; CAT; cat", "CAT", 2, 3),
        ("IL; IL; IL", "IL", 2, 2),  # too short
        ("gouty gout, gout, gout", "gout", 2, 3),
    ],
)
def test_consistency(written: str, string: str, n_given: int, expected: int):
    text = make_text(written)
    given = find(text, string)[:n_given]
    assert len(given) == n_given
    assert len(spread_strings(text, given, HEADS)) == expected


def test_consistency_leaves_other_entities_alone():
    text = make_text("gout, gout, acute gout, gout")
    mentions = find(text, "acute gout")
    mentions += find(text, "gout", score=0.8)[:1] + find(text, "gout", score=0.6)[1:2]
    spread = spread_strings(text, mentions, HEADS)
    assert strings(text, spread) == ["gout", "gout", "acute gout", "gout"]
    assert max(spread).score == pytest.approx(0.7)
    # Another type of the same head counts against it.
    mentions = find(text, "gout", "DISEASE")[:1] + find(text, "gout", "CHEMICAL")[1:2]
    assert len(spread_strings(text, mentions, HEADS)) == 2


def test_letters_that_grow_in_lower_case():
    text = make_text("İ gout, gout, Gout")
    assert len(spread_strings(text, find(text, "gout"), HEADS)) == 3


@pytest.fixture(scope="module")
def voting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chemical head that takes a gene for a chemical, and a gene head that is surer."""
    heads = {
        "bc5cdr_chem": {"aspirin": "Chemical", "insulin": "Chemical"},
        "bc2gm": {"insulin": "GENE", "leptin": "GENE"},
        "bc4chemd": {"aspirin": "Chemical"},
    }
    return make_multi_head_checkpoint(tmp_path_factory.mktemp("votes"), heads)


def test_votes_of_heads_that_are_not_in_use(voting: Path):
    text = "aspirin, insulin, leptin"
    nlp = make_nlp(voting, dataset="bc5cdr_chem")
    assert found(nlp(text)) == [("aspirin", "CHEMICAL"), ("insulin", "CHEMICAL")]
    for strategy in ("first", "average"):
        nlp = make_nlp(voting, dataset="bc5cdr_chem", votes=True, aggregation_strategy=strategy)
        assert found(nlp(text)) == [("aspirin", "CHEMICAL")]
    # Genes are not put to the vote.
    nlp = make_nlp(voting, dataset="bc2gm", votes=True)
    assert [text for text, _ in found(nlp(text))] == ["insulin", "leptin"]


def test_the_settings_work_document_by_document(multi_head_checkpoint: Path):
    texts = ["Anti-social (asthma) CKD", "renal failure (RF). RF", "", "RF"]
    nlp = make_nlp(multi_head_checkpoint, dataset="ncbi_disease", abbreviations=True)
    assert [[t for t, _ in found(doc)] for doc in nlp.pipe(texts)] == [
        ["asthma"],
        ["renal failure", "RF", "RF"],
        [],
        [],
    ]
    nlp = make_nlp(multi_head_checkpoint, dataset="ncbi_disease")
    assert [t for t, _ in found(nlp(texts[1]))] == ["renal failure"]


def test_a_long_form_below_the_threshold_is_not_found(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, dataset="ncbi_disease", threshold=1.0, abbreviations=True)
    assert found(nlp("renal failure (RF). RF")) == []


def test_spaces_after_an_open_bracket_take_no_time():
    assert find_definitions("aspirin (" + " " * 20_000 + "(") == []


def test_initials_of_a_name_do_not_drop_a_disease():
    text = make_text("Seen by Ann Davis (AD). Known AD since 2010, on donepezil for AD.")
    found = find(text, "AD")
    assert sorted(spread_abbreviations(text, found, HEADS)) == sorted(found)


def test_new_entities_of_one_head_do_not_overlap():
    text = make_text("alpha beta (AB) and alpha beta/carbon dioxide (AB/CD). AB/CD rose.")
    longs = find(text, "alpha beta/carbon dioxide") or find(text, "dioxide")
    longs += [m for m in find(text, "alpha beta") if m.start != longs[0].start]
    tokens = [i for m in spread_abbreviations(text, longs, HEADS) for i in range(m.start, m.end)]
    assert len(tokens) > len({i for m in longs for i in range(m.start, m.end)})
    assert len(tokens) == len({*tokens})
