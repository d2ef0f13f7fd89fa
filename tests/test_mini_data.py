"""What the bundled checkpoint is trained on: no sentence of any corpus's test set."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
import mini_data
from corpora import Document, read_sentences
from mini_data import IGNORE, Corpus, Encoder, Passage, find_mentions, make_pool, swap_mentions
from privacy_data import SLOTS, TEMPLATES, TYPES, fill, to_sentence
from transformers import AutoTokenizer

from notes_corpus import annotate, read_notes
from spacy_openmed.paths import MINI_PATH


@pytest.fixture(scope="module")
def heads_file():
    return mini_data.read_heads(SCRIPTS / "mini_heads.json")


@pytest.fixture(scope="module")
def trained_on(corpora, heads_file) -> dict[str, list[str]]:
    """The texts that the final runs learn from, by corpus."""
    splits = ("train", "dev")
    leaks = mini_data.find_leaks(heads_file[1], splits)
    texts: dict[str, list[str]] = {}
    for corpus in heads_file[1]:
        own = texts.setdefault(corpus.name, [])
        for split in splits:
            if corpus.reader in ("iob", "privacy"):
                rows = mini_data.training_sentences(corpus, split, leaks)
                own += [" ".join(row.tokens) for row in rows]
            else:
                own += [d.text for d in mini_data.training_documents(corpus, split, leaks)]
    assert all(texts.values())
    return texts


def test_no_test_sentence_is_trained_on(trained_on, heads_file):
    text = "\n".join(mini_data.to_key(text) for texts in trained_on.values() for text in texts)
    iob = [c for c in heads_file[1] if c.reader == "iob" and not c.splits]
    folders = {folder for c in iob for folder in (c.name, *c.tags.values())} | {"FSU-PRGE", "CRAFT"}
    for folder in sorted(folders):
        tests = [s for s in read_sentences(folder, "test") if len(s.tokens) >= 8]
        for sentence in random.Random(1).sample(tests, min(len(tests), 150)):
            key = mini_data.to_key("".join(sentence.tokens))
            assert len(key) < mini_data.Leaks.PREFIX or key not in text, folder


def test_no_run_of_15_words_of_a_test_note_is_trained_on(trained_on):
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 15]) for i in range(len(words) - 14)}

    tests = set().union(*(runs(annotate(note).text) for note in read_notes(split="test")))
    for name, texts in trained_on.items():
        for text in texts:
            assert tests.isdisjoint(runs(text)), name


def test_templates_name_known_slots():
    slots = set(re.findall(r"\{(\w+)\}", TEMPLATES.read_text(encoding="utf8")))
    assert slots <= {*SLOTS}
    assert {*SLOTS.values()} == {*TYPES.values()}


def test_filled_template_has_its_entities():
    values = {"PERSON": ["Ada Lovelace"], "LOCATION": ["Bath"], "ORGANIZATION": ["Acme"]}
    note = fill("1", "Patient: {PERSON}\nMRN {MRN}, BP 120/80", values, random.Random(1))
    assert [kind for _, _, kind in note.entities] == ["PERSON", "ID"]
    assert all(note.text[start:end].strip() for start, end, _ in note.entities)


def test_tags_follow_the_offsets():
    sentence = to_sentence(Document("1", "Dr. Ada Lovelace came.", ((4, 16, "PERSON"),)), 0)
    assert sentence.tokens == ("Dr", ".", "Ada", "Lovelace", "came", ".")
    assert sentence.tags == ("O", "O", "B-PERSON", "I-PERSON", "O", "O")


CORPUS = Corpus(
    "made-up",
    "docs",
    {"notes": {"PROBLEM": "PROBLEM", "DRUG": "DRUG"}, "assertion": {"ABSENT": "ABSENT"}},
    {"assertion": "assertion"},
    {},
    {},
)
HEADS = [
    mini_data.Head("notes", ("PROBLEM", "DRUG"), 0),
    mini_data.Head(
        "assertion", ("PRESENT", "ABSENT"), 5, groups={"PROBLEM": ("PRESENT", "ABSENT")}
    ),
]


@pytest.fixture(scope="module")
def encoder():
    return Encoder(AutoTokenizer.from_pretrained(MINI_PATH), HEADS)


def encode(encoder, text, *spans, **layers):
    found = [mini_data.Span(text.index(s), text.index(s) + len(s), kind) for s, kind in spans]
    other = {
        name: [mini_data.Span(text.index(s), text.index(s) + len(s), kind) for s, kind in rows]
        for name, rows in layers.items()
    }
    annotated = mini_data.Annotated("1", text, {"entities": found, **other})
    return encoder.encode_documents(CORPUS, [annotated])


def read(encoder, passage, row):
    """Pieces with their labels; those that are not asked for have none."""
    names = HEADS[row].labels
    pieces = encoder.tokenizer.convert_ids_to_tokens(passage.pieces)
    labels = [None if label == IGNORE else names[label] for label in passage.labels[row]]
    return list(zip(pieces, labels, strict=True))


def test_pieces_that_begin_a_token_of_spacy_are_labelled(encoder):
    [passage] = encode(encoder, "Take 40mg Lasix", ("Lasix", "DRUG"))
    assert read(encoder, passage, 0) == [
        *(("take", "O"), ("40", "O"), ("##mg", "O")),
        *(("las", "B-DRUG"), ("##ix", None)),
    ]


def test_assertion_is_asked_for_on_mentions_only(encoder):
    fever = [("fever", "ABSENT")]
    [passage] = encode(encoder, "No fever.", ("fever", "PROBLEM"), assertion=fever)
    assert read(encoder, passage, 1) == [("no", None), ("fever", "ABSENT"), (".", None)]


def test_documents_are_cut_at_sentences_but_in_no_mention(encoder):
    text = "Seen today. Has St. Anthony fire. Well"
    parts = encode(encoder, text, ("St. Anthony fire", "PROBLEM"))
    assert [len(part.pieces) for part in parts] == [3, 6, 1]


def test_mentions_of_other_types_are_negatives_only_where_they_stand(encoder):
    corpus = Corpus("made-up", "docs", {"notes": {"Gene": None}}, {}, {}, {})
    text = mini_data.Annotated("1", "the CAT gene", {"entities": [mini_data.Span(4, 7, "Gene")]})
    [passage] = encoder.encode_documents(corpus, [text])
    assert passage.labels.tolist() == [[IGNORE, 0, IGNORE]]


def test_a_swapped_mention_is_asserted_as_the_one_before(encoder):
    fever, asthma = [("fever", "ABSENT")], [("asthma", "PRESENT")]
    [denied] = encode(encoder, "no fever", ("fever", "PROBLEM"), assertion=fever)
    corpus = replace(CORPUS, heads={**CORPUS.heads, "assertion": {"PRESENT": "PRESENT"}})
    spans = {
        "entities": [mini_data.Span(0, 6, "PROBLEM")],
        "assertion": [mini_data.Span(0, 6, "PRESENT")],
    }
    [other] = encoder.encode_documents(corpus, [mini_data.Annotated("2", asthma[0][0], spans)])
    pool = make_pool([other])
    swapped = [swap_mentions([denied], pool, 1.0, random.Random(seed))[0] for seed in range(20)]
    answers = {tuple(read(encoder, passage, 1)) for passage in swapped}
    assert answers == {(("no", None), (name, "ABSENT")) for name in ("fever", "asthma")}


def test_leaks_are_found_whatever_the_tokens_are():
    leaks = mini_data.Leaks()
    leaks.add(["Patients", "with", "p53-", "mutations", "were", "followed", "."])
    assert leaks.are_in("See above. Patients with p53 mutations were followed. Then …")
    assert not leaks.are_in("Patients with p53 mutations were not followed.")


def passage(*rows):
    labels = np.array(rows)
    return Passage("corpus", 0, np.arange(labels.shape[1]) + 100, labels)


def test_mentions_end_before_the_next_word():
    begin, inside = 1, 2
    labels = passage([0, begin, IGNORE, inside, IGNORE, 0, begin, begin, IGNORE]).labels
    assert find_mentions(labels) == [(0, 1, 1, 5), (0, 1, 6, 7), (0, 1, 7, 9)]


def test_mentions_that_cut_another_heads_mention_are_left_out():
    within = passage([0, 1, 0, 1], [1, 2, 0, 1]).labels
    assert find_mentions(within) == [(0, 1, 3, 4), (1, 1, 0, 2), (1, 1, 3, 4)]


def test_swapped_mentions_are_of_the_same_type_and_bring_their_labels():
    short, long = passage([0, 1, 0, 3]), passage([0, 1, 2, IGNORE, 0])
    long.pieces[:] += 100
    swapped = [
        p
        for seed in range(20)
        for p in swap_mentions([short, long], make_pool([short, long]), 1.0, random.Random(seed))
    ]
    results = {(tuple(p.pieces), tuple(p.labels[0])) for p in swapped}
    assert results == {
        ((100, 101, 102, 103), (0, 1, 0, 3)),
        ((100, 201, 202, 203, 102, 103), (0, 1, 2, IGNORE, 0, 3)),
        ((200, 201, 202, 203, 204), (0, 1, 2, IGNORE, 0)),
        ((200, 101, 204), (0, 1, 0)),
    }
    assert [list(p.pieces) for p in (short, long)] == [[100, 101, 102, 103], [*range(200, 205)]]
