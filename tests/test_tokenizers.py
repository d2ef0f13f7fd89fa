"""Offsets and alignment of every tokenizer family, on texts that are hard to get right."""

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from checkpoints import LABELS, ODD_TEXTS, make_keyword_checkpoint
from conftest import make_nlp
from spacy.language import Language
from spacy.tokens import Doc
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from spacy_openmed.checkpoints.windows import Pieces
from spacy_openmed.ner.alignment import Buffer

BYTE_LEVEL = ("roberta", "modernbert", "eurobert")

# What a family leaves out besides spaces: Unicode categories, characters, and those that
# normalization makes one with the character before.
DROPPED: dict[str, tuple[str, ...]] = {
    "bert": ("Cc", "Cf", "Mn", "\ufffd"),
    "bert-cased": ("Cc", "Cf", "\ufffd"),
    "distilbert": ("Cc", "Cf", "Mn", "\ufffd"),
    "roberta": (),
    "xlm-roberta": ("Cc", "Cf", "composed", "\ufffd", "▁"),
    "deberta-v2": ("Cc", "Cf", "composed", "\ufffd", "▁"),
    "modernbert": ("composed",),
    "eurobert": (),
}


@pytest.fixture(scope="module")
def nlp(checkpoint: Path) -> Language:
    settings = {"decoding": "greedy", "label_scheme": "native"}
    return make_nlp(checkpoint, trim=False, abbreviations=False, **settings)


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> PreTrainedTokenizerFast:
    """The tokenizer, as transformers has it."""
    return AutoTokenizer.from_pretrained(checkpoint)


def encode(nlp: Language, text: str) -> Pieces:
    return nlp.get_pipe("openmed_ner").shim.checkpoint.encode([text])


def trimmed_offsets(tokenizer: PreTrainedTokenizerFast, text: str) -> list[tuple[int, int]]:
    """Where the pieces stand according to transformers, without spaces around them."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    trimmed = []
    for start, end in encoded["offset_mapping"]:
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        trimmed.append((start, end))
    return trimmed


def composes(text: str, i: int) -> bool:
    """Whether a character becomes part of the one before when the text is normalized."""
    nfc = (unicodedata.normalize("NFC", text[:end]) for end in (i, i + 1))
    return len(next(nfc)) >= len(next(nfc)) > 0


def byte_values() -> dict[str, int]:
    """The bytes that the characters of byte-level pieces stand for."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {**{chr(b): b for b in shown}, **{chr(256 + i): b for i, b in enumerate(hidden)}}


BYTES = byte_values()


def as_letters(text: str) -> str:
    """What is left of a text where neither case nor marks nor compatibility forms count."""
    decomposed = unicodedata.normalize("NFKD", text.replace("▁", " ")).casefold()
    return "".join(c for c in decomposed if unicodedata.category(c)[0] not in "CM").strip()


def test_pieces_are_those_of_transformers(
    nlp: Language, tokenizer: PreTrainedTokenizerFast, subtests: pytest.Subtests
):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            encoded = tokenizer(odd_text, add_special_tokens=False, return_offsets_mapping=True)
            pieces = encode(nlp, odd_text)
            assert pieces.ids.tolist() == encoded["input_ids"]
            assert list(map(tuple, pieces.offsets.tolist())) == encoded["offset_mapping"]
            assert pieces.words.tolist() == encoded.word_ids()
            assert pieces.lengths.tolist() == [len(encoded["input_ids"])]


def test_pieces_match_the_text_that_they_point_at(
    family: str, nlp: Language, tokenizer: PreTrainedTokenizerFast, subtests: pytest.Subtests
):
    for id, odd_text in ODD_TEXTS:
        with subtests.test(id):
            pieces = encode(nlp, odd_text)
            names = tokenizer.convert_ids_to_tokens(pieces.ids.tolist())
            for name, (start, end) in zip(names, pieces.offsets.tolist(), strict=True):
                if name in tokenizer.all_special_tokens:
                    continue
                if "composed" in DROPPED[family]:
                    while end < len(odd_text) and composes(odd_text, end):
                        end += 1
                    whole = unicodedata.normalize("NFC", odd_text[start:end]).strip(" ")
                else:
                    whole = odd_text[start:end].strip(" ")
                # Of its first and its last character a piece may be a part: "½" is "1", "⁄", "2".
                if family in BYTE_LEVEL:
                    piece = bytes(BYTES.get(char, 32) for char in name).strip(b" ")
                    assert piece in whole.encode("utf8")
                    assert whole[1:-1].encode("utf8") in piece
                else:
                    piece = as_letters(name.removeprefix("##"))
                    assert piece in as_letters(whole)
                    assert as_letters(whole[1:-1]) in piece


def test_pieces_are_in_order(nlp: Language, subtests: pytest.Subtests):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            starts, ends = encode(nlp, odd_text).offsets.T
            assert (np.diff(starts) >= 0).all()
            assert (np.diff(ends) >= 0).all()


def test_pieces_leave_out_only_what_is_known(family: str, nlp: Language, subtests: pytest.Subtests):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            covered = np.zeros(len(odd_text), dtype=bool)
            for start, end in encode(nlp, odd_text).offsets:
                covered[start:end] = True
            for i in np.flatnonzero(~covered):
                char = odd_text[i]
                reasons = {
                    char,
                    unicodedata.category(char),
                    "composed" if composes(odd_text, i) else "",
                }
                assert char.isspace() or reasons & set(DROPPED[family])


def test_tokens_get_the_pieces_that_overlap_them(
    nlp: Language, tokenizer: PreTrainedTokenizerFast, subtests: pytest.Subtests
):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            doc = nlp.make_doc(odd_text)
            spans = np.array([(token.idx, token.idx + len(token)) for token in doc]).reshape(-1, 2)
            buffer = Buffer([odd_text], [spans[:, 0]], [spans[:, 1]], encode(nlp, odd_text))
            alignment = buffer.tokens.alignment
            groups = np.split(alignment.pieces, alignment.starts[1:])
            found = dict(
                zip(alignment.units.tolist(), (group.tolist() for group in groups), strict=False)
            )
            assert found == overlapping(doc, trimmed_offsets(tokenizer, odd_text))


def overlapping(doc: Doc, offsets: list[tuple[int, int]]) -> dict[int, list[int]]:
    """The pieces of each token that has some."""
    pieces = {
        token.i: [
            i
            for i, (start, end) in enumerate(offsets)
            if max(start, token.idx) < min(end, token.idx + len(token))
        ]
        for token in doc
    }
    return {i: mine for i, mine in pieces.items() if mine}


def entities_slowly(
    doc: Doc, offsets: list[tuple[int, int]], logits: np.ndarray
) -> list[tuple[int, int]]:
    """Entities of one type, token by token: each takes the label of its first piece."""
    begin, inside, outside = map(LABELS.index, ("B-Cell-line-name", "I-Cell-line-name", "O"))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entities: list[list[int]] = []
    is_open = False
    for i, (first, *_) in overlapping(doc, offsets).items():
        row = probs[first].copy()
        if offsets[first][0] < doc[i].idx:
            row[inside] += row[begin]
            row[begin] = 0
        if row.argmax() == outside:
            is_open = False
        elif row.argmax() == begin or not is_open:
            entities.append([i, i + 1])
            is_open = True
        else:
            entities[-1][1] = i + 1
    return [(start, end) for start, end in entities]


def test_entities_are_those_of_the_tokens_first_pieces(
    nlp: Language, tokenizer: PreTrainedTokenizerFast, subtests: pytest.Subtests
):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            doc = nlp(odd_text)
            logits = nlp.get_pipe("openmed_ner").model.predict([doc]).logits
            expected = entities_slowly(doc, trimmed_offsets(tokenizer, odd_text), logits)
            assert [(span.start, span.end) for span in doc.spans["openmed"]] == expected
            assert [(ent.start, ent.end) for ent in doc.ents] == expected


def test_attrs_are_in_step_and_inside_the_text(nlp: Language, subtests: pytest.Subtests):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            doc = nlp(odd_text)
            group = doc.spans["openmed"]
            values = (group.attrs["scores"], group.attrs["datasets"], group.attrs["char_offsets"])
            for span, score, datasets, (start, end) in zip(group, *values, strict=True):
                assert 0 < score <= 1
                assert len(datasets) == 1
                first, last = span[0], span[-1]
                assert first.idx <= start < first.idx + len(first)
                assert last.idx < end <= last.idx + len(last)
                assert odd_text[start:end] == odd_text[start:end].strip() != ""


def test_a_batch_gives_what_each_text_gives_alone(nlp: Language):
    pipe = nlp.get_pipe("openmed_ner")
    docs = [nlp.make_doc(text) for _, text in ODD_TEXTS]
    together = pipe.predict(docs)
    assert sum(map(len, together)) > len(docs)
    for doc, entities in zip(docs, together, strict=True):
        [alone] = pipe.predict([doc])
        assert [entity.score for entity in entities] == pytest.approx(
            [entity.score for entity in alone], abs=1e-4
        )
        for entity, expected in zip(entities, alone, strict=True):
            assert entity._replace(score=expected.score) == expected


@pytest.mark.parametrize("mode", ["strict", "contract", "expand"])
def test_alignment_modes_are_those_of_char_span(checkpoint: Path, mode: str):
    nlp = make_nlp(checkpoint, alignment_mode=mode)
    docs = [nlp.make_doc(text) for _, text in ODD_TEXTS]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "\\[OM907\\]")
        found = nlp.get_pipe("openmed_ner").predict(docs)
    assert any(found)
    for doc, entities in zip(docs, found, strict=True):
        for entity in entities:
            span = doc.char_span(entity.char_start, entity.char_end, alignment_mode=mode)
            assert (entity.start, entity.end) == (span.start, span.end)


@pytest.fixture(scope="module")
def keyword_nlp(tmp_path_factory: pytest.TempPathFactory) -> Language:
    words = {
        "aspirin": "CHEM",
        "renal failure": "Disease",
        "p53": "GENE",
        "NF-kappaB": "GENE",
        "BRCA1": "GENE",
        "vB_SauS_SA2": "Species",
    }
    folder = tmp_path_factory.mktemp("odd_keywords")
    return make_nlp(make_keyword_checkpoint(folder, words, cased=True))


@pytest.mark.parametrize(
    ("text", "entity", "marked"),
    [
        ("   aspirin relieves pain", "aspirin", "aspirin"),
        ("She took\taspirin\n\nfor pain", "aspirin", "aspirin"),
        ("took aspirin\u00a010\u00a0mg", "aspirin", "aspirin"),
        ("with renal  failure now", "renal  failure", "renal  failure"),
        ("with renal\nfailure now", "renal\nfailure", "renal\nfailure"),
        ("took asp\u200birin now", "asp\u200birin", "asp\u200birin"),
        ("fever 🤒 aspirin 😀", "aspirin", "aspirin"),
        ("took aspirin\u200b\u200b now", "aspirin\u200b\u200b", "aspirin\u200b\u200b"),
        ("the tumour carries p53(R175H", "p53(R175H", "p53"),
        ("activation of NF-kappaB.", "NF-kappaB.", "NF-kappaB"),
        ("mutations in BRCA1/2", "BRCA1/2", "BRCA1"),
        ("the phage vB_SauS_SA2 was found", "vB_SauS_SA2", "vB_SauS_SA2"),
        ("aspirin_" + "A" * 3000, "aspirin_" + "A" * 3000, "aspirin"),
    ],
)
def test_entities_and_what_was_marked(keyword_nlp: Language, text: str, entity: str, marked: str):
    doc = keyword_nlp(text)
    assert [span.text for span in doc.spans["openmed"]] == [entity]
    [(start, end)] = doc.spans["openmed"].attrs["char_offsets"]
    assert text[start:end] == marked


@pytest.mark.parametrize("text", ["", " ", "     ", "\n", "\u200b\ufeff", "\x01\x02"])
def test_nothing_to_find(keyword_nlp: Language, text: str):
    doc = keyword_nlp(text)
    assert (doc.text, len(doc.ents), len(doc.spans["openmed"])) == (text, 0, 0)
