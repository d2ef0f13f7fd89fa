"""What the bundled checkpoint is trained on: no sentence of any corpus's test set."""

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from privacy_data import SLOTS, TEMPLATES, TYPES, fill, to_sentence
from train_mini import (
    IGNORE,
    Data,
    Passage,
    mentions,
    read,
    read_heads,
    sentence_key,
    swap_mentions,
)
from transformers import AutoTokenizer

from spacy_openmed.catalogue import MINI_PATH
from spacy_openmed.corpora import Document


@pytest.mark.parametrize("splits", [["train"], ["train", "dev"]])
def test_no_test_sentence_is_trained_on(corpora, splits):
    heads, names = read_heads(SCRIPTS / "mini_heads.json")
    tokenizer = AutoTokenizer.from_pretrained(MINI_PATH)
    data = Data(heads, names, splits, tokenizer, 0)
    trained = set().union(*data.keys.values())
    folders = {head.tags for head in heads} | {*names}
    held_back = ("test",) if "dev" in splits else ("dev", "test")
    for folder in sorted(folders):
        for split in held_back:
            tests = {sentence_key(s) for s in read(folder, split) if len(s.tokens) >= 5}
            assert not trained & tests, f"{folder}/{split}"


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


def passage(*rows):
    labels = np.array(rows)
    return Passage("corpus", np.arange(labels.shape[1]) + 100, labels)


def test_mentions_end_before_the_next_word():
    begin, inside = 1, 2
    labels = passage([0, begin, IGNORE, inside, IGNORE, 0, begin, begin, IGNORE]).labels
    assert mentions(labels) == [(0, 1, 1, 5), (0, 1, 6, 7), (0, 1, 7, 9)]


def test_mentions_that_cut_another_heads_mention_are_left_out():
    within = passage([0, 1, 0, 1], [1, 2, 0, 1]).labels
    assert mentions(within) == [(0, 1, 3, 4), (1, 1, 0, 2), (1, 1, 3, 4)]


def test_swapped_mentions_are_of_the_same_type_and_bring_their_labels():
    short, long = passage([0, 1, 0, 3]), passage([0, 1, 2, IGNORE, 0])
    long.pieces[:] += 100
    swapped = [
        p for seed in range(20) for p in swap_mentions([short, long], 1.0, random.Random(seed))
    ]
    results = {(tuple(p.pieces), tuple(p.labels[0])) for p in swapped}
    assert results == {
        ((100, 101, 102, 103), (0, 1, 0, 3)),
        ((100, 201, 202, 203, 102, 103), (0, 1, 2, IGNORE, 0, 3)),
        ((200, 201, 202, 203, 204), (0, 1, 2, IGNORE, 0)),
        ((200, 101, 204), (0, 1, 0)),
    }
    assert [list(p.pieces) for p in (short, long)] == [[100, 101, 102, 103], [*range(200, 205)]]
