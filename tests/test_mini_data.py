"""What the bundled checkpoint is trained on: no sentence of any corpus's test set."""

import re
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from privacy_data import SLOTS, TEMPLATES, TYPES, fill, to_sentence  # noqa: E402
from train_mini import Data, read, read_heads, sentence_key  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from spacy_openmed.catalogue import MINI_PATH  # noqa: E402
from spacy_openmed.corpora import Document  # noqa: E402


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
    import random

    values = {"PERSON": ["Ada Lovelace"], "LOCATION": ["Bath"], "ORGANIZATION": ["Acme"]}
    note = fill("1", "Patient: {PERSON}\nMRN {MRN}, BP 120/80", values, random.Random(1))
    assert [kind for _, _, kind in note.entities] == ["PERSON", "ID"]
    assert all(note.text[start:end].strip() for start, end, _ in note.entities)


def test_tags_follow_the_offsets():
    sentence = to_sentence(Document("1", "Dr. Ada Lovelace came.", ((4, 16, "PERSON"),)), 0)
    assert sentence.tokens == ("Dr", ".", "Ada", "Lovelace", "came", ".")
    assert sentence.tags == ("O", "O", "B-PERSON", "I-PERSON", "O", "O")
