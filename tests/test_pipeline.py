"""The component in a pipeline: settings, results, errors, and what spaCy does with a component."""

import copy
import json
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import spacy
from checkpoints import (
    ODD_TEXTS,
    edit_config,
    make_keyword_checkpoint,
    make_multi_head_checkpoint,
)
from conftest import HEADS, add_openmed, found, make_nlp
from safetensors.torch import load_file, save_file
from spacy.cli.debug_config import debug_config
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.util import raise_error

from spacy_openmed import catalogue, paths
from spacy_openmed.ner.component import OpenMedNER
from spacy_openmed.ner.model import TokenClassifier
from spacy_openmed.ner.settings import CHOICES
from spacy_openmed.spans import Entity

TEXT = "Aspirin and ibuprofen for asthma in renal failure."
ENTS = [
    ("Aspirin", "CHEMICAL"),
    ("ibuprofen", "CHEMICAL"),
    ("asthma", "DISEASE"),
    ("renal failure", "DISEASE"),
]
SCORES = ("scores", "datasets", "char_offsets")


def rows(doc: Doc, key: str = "openmed") -> list[tuple]:
    """Text, label, score, datasets and characters of the spans of a group."""
    group = doc.spans[key]
    columns = [group.attrs[name] for name in SCORES]
    assert {len(column) for column in columns} == {len(group)}
    return [
        (span.text, span.label_, score, datasets, doc.text[slice(*offsets)])
        for span, score, datasets, offsets in zip(group, *columns, strict=True)
    ]


def run_words(nlp: Language, *words: str) -> Doc:
    """Run a pipeline on tokens instead of text."""
    return nlp(Doc(nlp.vocab, words=list(words)))


def test_settings_may_change_between_texts(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    component = nlp.get_pipe("openmed_ner")
    assert found(nlp(TEXT)) == ENTS
    component.label_map["CHEMICAL"] = "DRUG"
    component.labels_to_ignore = ("DISEASE",)
    assert found(nlp(TEXT)) == [("Aspirin", "DRUG"), ("ibuprofen", "DRUG")]
    component.label_map.clear()
    component.labels_to_ignore = ()
    assert found(nlp(TEXT)) == ENTS
    component.trim = 1
    with pytest.raises(ValueError, match="OM005"):
        nlp(TEXT)


@pytest.fixture
def nlp(keyword_checkpoint: Path) -> Language:
    return make_nlp(keyword_checkpoint)


@pytest.fixture
def small_mini(multi_head_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny checkpoint in the place of the bundled one. It has the heads of `HEADS`."""
    monkeypatch.setattr(paths, "MINI_PATH", multi_head_checkpoint)
    return multi_head_checkpoint


# What it finds and where it writes it


def test_entities(nlp: Language):
    assert found(nlp(TEXT)) == ENTS


def test_spans_and_attrs_are_in_step(multi_head_checkpoint: Path):
    doc = make_nlp(multi_head_checkpoint)(TEXT)
    chem, disease = ["bc5cdr_chem"], ["ncbi_disease"]
    assert [(*row[:2], *row[3:]) for row in rows(doc)] == [
        ("Aspirin", "CHEMICAL", chem, "Aspirin"),
        ("ibuprofen", "CHEMICAL", chem, "ibuprofen"),
        ("asthma", "DISEASE", disease, "asthma"),
        ("renal failure", "DISEASE", disease, "renal failure"),
    ]
    assert doc.spans["openmed"].attrs["scores"] == pytest.approx([0.9999] * 4, abs=1e-4)
    assert all(type(score) is float for score in doc.spans["openmed"].attrs["scores"])


def test_offsets_are_those_of_the_marked_words(nlp: Language):
    doc = run_words(nlp, "asthma.", "aspirin-induced")
    assert [(row[0], row[-1]) for row in rows(doc)] == [
        ("asthma.", "asthma"),
        ("aspirin-induced", "aspirin"),
    ]


def test_pipe_equals_one_by_one(nlp: Language):
    texts = [TEXT, "", "No entity.", "asthma " * 300, " ", "Ibuprofen"]
    for doc, text in zip(nlp.pipe(texts, batch_size=4), texts, strict=True):
        alone = nlp(text)
        assert doc.text == text
        assert found(doc) == found(alone)
        assert [row[:2] + row[3:] for row in rows(doc)] == [
            row[:2] + row[3:] for row in rows(alone)
        ]
        scores = [row[2] for row in rows(alone)]
        assert [row[2] for row in rows(doc)] == pytest.approx(scores, abs=1e-5)


def test_odd_texts_keep_everything_in_step(nlp: Language, subtests: pytest.Subtests):
    for name, odd_text in ODD_TEXTS:
        with subtests.test(name):
            doc = nlp(odd_text)
            assert doc.text == odd_text
            assert found(doc) == [row[:2] for row in rows(doc)]
            group = doc.spans["openmed"]
            for span, marked in zip(group, group.attrs["char_offsets"], strict=True):
                assert span.start_char <= marked[0] < marked[1] <= span.end_char
                letters = "".join(filter(str.isalnum, doc.text[slice(*marked)])).lower()
                assert letters in ("aspirin", "asthma", "renalfailure")


@pytest.mark.parametrize("text", ["", " ", "\n\n \t"])
def test_nothing_to_read(nlp: Language, text: str):
    for doc in (nlp(text), *nlp.pipe([text, text])):
        assert doc.text == text
        assert doc.ents == ()
        assert rows(doc) == []


def test_only_documents_without_tokens(nlp: Language):
    pipe = nlp.get_pipe("openmed_ner")
    docs = list(pipe.pipe([Doc(nlp.vocab), Doc(nlp.vocab)]))
    assert [rows(doc) for doc in docs] == [[], []]
    assert list(pipe.pipe([])) == []


def test_tokens_without_entities_are_outside(nlp: Language):
    for text in (TEXT, "Nothing here."):
        doc = nlp(text)
        assert doc.has_annotation("ENT_IOB", require_complete=True)


def test_bundled_checkpoint():
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("openmed_ner")
    assert set(pipe.labels) >= {"CHEMICAL", "DISEASE", "GENE_OR_GENE_PRODUCT"}
    doc = nlp("The patient was given aspirin for his asthma.")
    assert ("aspirin", "CHEMICAL") in found(doc)
    assert ("asthma", "DISEASE") in found(doc)


# Which heads are used


def test_all_heads_by_default(small_mini: Path):
    nlp = make_nlp(None)
    assert nlp.get_pipe("openmed_ner").labels == ("CHEMICAL", "DISEASE")
    assert found(nlp(TEXT)) == ENTS


@pytest.mark.parametrize(
    ("settings", "datasets"),
    [
        ({"domain": "pharmacology"}, ["bc5cdr_chem"]),
        ({"domain": ["disease"]}, ["ncbi_disease"]),
        ({"domain": ["disease", "pharmacology"]}, ["bc5cdr_chem", "ncbi_disease"]),
        ({"dataset": "ncbi_disease"}, ["ncbi_disease"]),
        ({"dataset": ["ncbi_disease", "bc5cdr_chem"]}, ["bc5cdr_chem", "ncbi_disease"]),
        ({"domain": "disease", "dataset": "ncbi_disease"}, ["ncbi_disease"]),
    ],
)
@pytest.mark.parametrize("by_name", [False, True], ids=["mini", "named"])
def test_domain_and_dataset_choose_heads(
    small_mini: Path, settings: dict, datasets: list[str], by_name: bool
):
    nlp = make_nlp(small_mini if by_name else None, **settings)
    assert [head.dataset for head in nlp.get_pipe("openmed_ner").heads] == datasets
    labels = {"bc5cdr_chem": "CHEMICAL", "ncbi_disease": "DISEASE"}
    wanted = {labels[dataset] for dataset in datasets}
    assert found(nlp(TEXT)) == [ent for ent in ENTS if ent[1] in wanted]


def test_head_that_mini_lacks(small_mini: Path):
    with pytest.raises(ValueError, match=r"(?s)OM053.*'genomics'.*pharmacology, disease.*best"):
        make_nlp(None, domain="genomics")


def test_head_that_the_named_checkpoint_lacks(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, domain="genomics")
    with pytest.raises(ValueError, match=r"OM202.*jnlpba.*It has: bc5cdr_chem, ncbi_disease"):
        nlp(TEXT)


@pytest.mark.parametrize(
    ("datasets", "chosen"),
    [
        (["fsu"], ["fsu"]),
        (["fsu", "bc5cdr_chem"], ["bc5cdr_chem"]),
    ],
)
def test_a_dataset_that_a_domain_does_not_mean(tmp_path: Path, datasets: list, chosen: list):
    words = {"fsu": {"insulin": "protein"}, "bc5cdr_chem": {"aspirin": "Chemical"}}
    folder = make_multi_head_checkpoint(tmp_path, {name: words[name] for name in datasets})
    component = make_nlp(folder, domain="pharmacology").get_pipe("openmed_ner")
    assert [head.dataset for head in component.heads] == chosen
    component = make_nlp(folder, dataset="fsu").get_pipe("openmed_ner")
    assert component.labels == ("PROTEIN",)


def test_only_head_of_an_unknown_dataset_is_used(keyword_checkpoint: Path):
    assert found(make_nlp(keyword_checkpoint, domain="disease")(TEXT)) == ENTS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain": "farmacology"}, "OM050.*'farmacology'.*'pharmacology'"),
        ({"dataset": "ncbi-disease"}, "OM050.*'ncbi-disease'.*'ncbi_disease'"),
        ({"domain": "genomics", "dataset": "ncbi_disease"}, "OM052"),
        ({"size": "huge"}, 'OM004.*size = .huge.*"mini".*"best"'),
        ({"size": "small"}, "OM004.*'compact'"),
        ({"domain": 3}, "domain"),
    ],
)
@pytest.mark.parametrize("name", [None, "OpenMed/Any"])
def test_unknown_choices(settings: dict, message: str, name: str | None):
    with pytest.raises(ValueError, match=message):
        make_nlp(name, **settings)


def test_hub_size_of_nothing():
    with pytest.raises(ValueError, match=r"OM055.*pharmacology"):
        make_nlp(None, size="compact")


@pytest.mark.parametrize(
    ("key", "names"),
    [("domain", ["pharmacology", "disease"]), ("dataset", ["ncbi_disease", "bc2gm"])],
)
def test_hub_size_of_several_shows_the_components(key: str, names: list[str]):
    with pytest.raises(ValueError, match="OM056") as error:
        make_nlp(None, **{key: names}, size="compact")
    nlp = spacy.blank("en")
    lines = [line for line in str(error.value).splitlines() if line.startswith("nlp.add_pipe(")]
    for line in lines:
        exec(line)
    assert [nlp.get_pipe_config(pipe)[key] for pipe in nlp.pipe_names] == names
    assert {nlp.get_pipe_config(pipe)["size"] for pipe in nlp.pipe_names} == {"compact"}


def test_hub_size_names_a_checkpoint_of_the_catalogue():
    pipe = make_nlp(None, domain="disease", size="compact").get_pipe("openmed_ner")
    info = catalogue.get(pipe.shim.name)
    assert (info.size, info.domain) == ("compact", "disease")
    assert pipe.labels == ("DISEASE",)
    assert pipe.heads[0].dataset == info.dataset


def test_name_wins_over_the_catalogues_choice(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, domain="disease", size="best")
    assert nlp.get_pipe("openmed_ner").shim.name == str(multi_head_checkpoint)
    assert found(nlp(TEXT)) == ENTS[2:]


def test_two_heads_that_agree(tmp_path: Path):
    heads = {
        "bc5cdr_disease": {"asthma": "Disease"},
        # Three more labels to share the probability with: a lower score.
        "ncbi_disease": {"asthma": "DISEASE", "sepsis": "Other"},
    }
    folder = make_multi_head_checkpoint(tmp_path, heads, margin=2.0)
    doc = make_nlp(folder)("Asthma, sepsis.")
    one, both = ["ncbi_disease"], ["bc5cdr_disease", "ncbi_disease"]
    assert [row[:2] + row[3:4] for row in rows(doc)] == [
        ("Asthma", "DISEASE", both),
        ("sepsis", "OTHER", one),
    ]
    e = np.exp(2.0)
    assert doc.spans["openmed"].attrs["scores"] == pytest.approx([(e + 1) / (e + 2)] * 2, abs=0.2)
    best, lower = (
        make_nlp(folder, dataset=name)("Asthma").spans["openmed"].attrs["scores"][0]
        for name in heads
    )
    assert best > lower + 0.05
    assert doc.spans["openmed"].attrs["scores"][0] == pytest.approx(best)


def test_heads_that_disagree_keep_both_spans(tmp_path: Path):
    heads = {"jnlpba": {"il": "protein"}, "bc2gm": {"il": "GENE"}}
    doc = make_nlp(make_multi_head_checkpoint(tmp_path, heads))("IL")
    assert [row[:2] for row in rows(doc)] == [("IL", "GENE_OR_GENE_PRODUCT"), ("IL", "PROTEIN")]
    assert len(doc.ents) == 1


# How pieces become entities


@pytest.fixture(scope="module")
def strategy_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose three texts tell the strategies apart."""
    words = {"aspirin": "Chemical", "x##tussin": "Chemical", "x##profen": "Chemical"}
    margins = {"aspirin": 5.0, "x##tussin": 20.0, "x##profen": 5.0}
    folder = tmp_path_factory.mktemp("strategies")
    make_keyword_checkpoint(folder, words, margins=margins)
    return folder


# The first piece says O and the others Chemical, or the other way round.
STRATEGY_TEXTS = {"first": "aspirins", "max": "ytussin", "average": "yprofenprofenprofenprofen"}


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
@pytest.mark.parametrize("source", ["setting", "checkpoint"])
def test_aggregation_strategy(strategy_heads: Path, tmp_path: Path, strategy: str, source: str):
    if source == "setting":
        nlp = make_nlp(strategy_heads, aggregation_strategy=strategy, decoding="greedy")
    else:
        folder = shutil.copytree(strategy_heads, tmp_path / "copy")
        edit_config(folder, openmed={"aggregation_strategy": strategy})
        nlp = make_nlp(folder, decoding="greedy")
        assert nlp.get_pipe("openmed_ner").aggregation_strategy == "auto"
    tagged = {name for name, text in STRATEGY_TEXTS.items() if nlp(text).ents}
    assert tagged == ({"max", "average"} if strategy == "average" else {strategy})


def test_strategy_is_first_where_nothing_is_said(strategy_heads: Path):
    nlp = make_nlp(strategy_heads)
    assert [bool(nlp(text).ents) for text in STRATEGY_TEXTS.values()] == [True, False, False]


def test_auto_strategy_is_kept(tmp_path: Path):
    folder = make_multi_head_checkpoint(tmp_path / "heads", HEADS, aggregation_strategy="max")
    nlp = make_nlp(folder)
    nlp.to_disk(tmp_path / "saved")
    pipe = spacy.load(tmp_path / "saved").get_pipe("openmed_ner")
    assert pipe.aggregation_strategy == "auto"
    assert pipe.shim.checkpoint.strategy == "max"


@pytest.mark.parametrize(
    ("decoding", "ents"), [("viterbi", []), ("greedy", [("failure", "DISEASE")])]
)
def test_decoding(keyword_checkpoint: Path, tmp_path: Path, decoding: str, ents: list):
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "copy")
    # "O" is likelier than a beginning wherever the model would continue what has not begun.
    weights = load_file(folder / "model.safetensors")
    labels = json.loads((folder / "config.json").read_text(encoding="utf8"))["label2id"]
    weights["classifier.bias"][labels["O"]] += 1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert found(make_nlp(folder, decoding=decoding)("The failure was rare.")) == ents


ALIGNMENT_WORDS = ("aspirin-induced", "asthma", "and", "renal", "failure-like", "illness")


@pytest.mark.parametrize(
    ("mode", "ents", "dropped"),
    [
        ("token", ["aspirin-induced", "asthma", "renal failure-like"], 0),
        ("expand", ["aspirin-induced", "asthma", "renal failure-like"], 0),
        ("contract", ["asthma", "renal"], 1),
        ("strict", ["asthma"], 2),
    ],
)
def test_alignment_mode(keyword_checkpoint: Path, mode: str, ents: list[str], dropped: int):
    nlp = make_nlp(keyword_checkpoint, alignment_mode=mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        doc = run_words(nlp, *ALIGNMENT_WORDS)
    assert [ent.text for ent in doc.ents] == ents
    assert [row[-1] for row in rows(doc) if row[0] == "asthma"] == ["asthma"]
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == bool(dropped)
    assert all(f"[OM907] {dropped} of 3" in message and mode in message for message in messages)


def test_dropped_entities_are_counted_over_heads_and_documents(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, alignment_mode="strict")
    docs = [Doc(nlp.vocab, words=["asthma-like", "aspirin"]) for _ in range(3)]
    docs += [Doc(nlp.vocab, words=["aspirin-like"])]
    with pytest.warns(UserWarning, match="OM907. 4 of 7") as caught:
        list(nlp.pipe(docs))
    assert len(caught) == 1


def test_token_mode_labels_what_every_token_begins_with(nlp: Language):
    doc = run_words(nlp, "p53(aspirin", "aspirin(p53")
    assert found(doc) == [("aspirin(p53", "CHEMICAL")]


# Which entities are kept, and what they are called


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that is sure of asthma and doubts aspirin; it recommends a threshold."""
    folder = tmp_path_factory.mktemp("doubtful")
    heads = {"ncbi_disease": {"aspirin": "Chemical", "asthma": "Disease"}}
    make_multi_head_checkpoint(folder, heads, margins={"aspirin": 2.0})
    head = {"dataset": "ncbi_disease", "start": 0, "recommended_confidence": 0.9}
    head["labels"] = ["O", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease"]
    return edit_config(folder, openmed={"heads": [head]})


@pytest.mark.parametrize(
    ("threshold", "n"), [(0.0, 2), (0, 2), (0.7, 2), (0.8, 1), ("recommended", 1), (1, 0)]
)
def test_threshold(doubtful: Path, threshold: float | str, n: int):
    doc = make_nlp(doubtful, threshold=threshold)("aspirin for asthma")
    assert len(doc.ents) == len(doc.spans["openmed"]) == n


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        (0.0, ["aspirin", "asthma"]),
        (2.0, ["asthma"]),
        ({"bc5cdr_chem": 2.0}, ["asthma"]),
        ({"ncbi_disease": 11}, ["aspirin"]),
        ({}, ["aspirin", "asthma"]),
    ],
)
def test_bias_finds_more_or_less(tmp_path: Path, bias: float | dict[str, float], expected: list):
    folder = make_multi_head_checkpoint(tmp_path / "heads", HEADS, margins={"aspirin": 1.0})
    doc = make_nlp(folder, outside_bias=bias)("aspirin for asthma")
    assert [text for text, _ in found(doc)] == expected
    # What is found has the score that it has without a bias.
    plain = make_nlp(folder)("aspirin for asthma")
    scores = {row[0]: row[2] for row in rows(plain)}
    assert {row[0]: row[2] for row in rows(doc)} == {text: scores[text] for text in expected}


def test_a_bias_finds_what_is_less_likely_than_nothing(tmp_path: Path):
    folder = make_multi_head_checkpoint(tmp_path / "heads", HEADS, margins={"aspirin": -3.0})
    assert found(make_nlp(folder)("aspirin")) == []
    doc = make_nlp(folder, outside_bias=-4.0)("aspirin")
    assert found(doc) == [("aspirin", "CHEMICAL")]
    # The threshold applies to the probability without the bias.
    assert found(make_nlp(folder, outside_bias=-4.0, threshold=0.7)("aspirin")) == []


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("outside_bias", 21, "OM006.*-20 to 20.*21"),
        ("outside_bias", float("nan"), "OM006"),
        ("outside_bias", {"ncbi_disease": "low"}, "OM006"),
        ("outside_bias", {"ncbi_diseases": 1.0}, "OM214.*ncbi_diseases.*bc5cdr_chem, ncbi_disease"),
        ("trim", "yes", "OM005.*trim.*'yes'"),
        ("votes", 1, "OM005.*votes"),
    ],
)
def test_settings_of_a_component_are_checked_when_it_runs(
    multi_head_checkpoint: Path, setting: str, value: object, message: str
):
    nlp = make_nlp(multi_head_checkpoint)
    setattr(nlp.get_pipe("openmed_ner"), setting, value)
    with pytest.raises(ValueError, match=message):
        nlp("aspirin")


@pytest.mark.parametrize("threshold", [-0.1, 1.5, 90])
def test_threshold_out_of_range(keyword_checkpoint: Path, threshold: float):
    with pytest.raises(ValueError, match=r"OM001.*0 to 1"):
        make_nlp(keyword_checkpoint, threshold=threshold)


@pytest.mark.parametrize("threshold", ["high", None, [0.5]])
def test_threshold_of_another_kind(keyword_checkpoint: Path, threshold: object):
    with pytest.raises(ValueError, match="threshold"):
        make_nlp(keyword_checkpoint, threshold=threshold)


def test_threshold_that_nobody_recommended(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, threshold="recommended")
    with pytest.raises(ValueError, match=r"OM204.*number"):
        nlp(TEXT)


def test_recommended_threshold_of_the_catalogue():
    pipe = make_nlp(None, domain="disease", size="compact").get_pipe("openmed_ner")
    info = catalogue.get(pipe.shim.name)
    assert pipe.heads[0].threshold == info.recommended_confidence is not None


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, ["CHEMICAL", "DISEASE"]),
        ({"label_scheme": "native"}, ["CHEM", "Disease"]),
        ({"label_map": {"CHEM": "DRUG"}}, ["DRUG", "DISEASE"]),
        ({"label_map": {"CHEMICAL": "DRUG"}}, ["DRUG", "DISEASE"]),
        ({"label_map": {"CHEMICAL": "DRUG"}, "label_scheme": "native"}, ["DRUG", "Disease"]),
        ({"label_map": {"CHEM": "A", "CHEMICAL": "B"}}, ["A", "DISEASE"]),
        ({"label_map": {"CHEM": "X", "Disease": "X"}}, ["X"]),
        ({"labels_to_ignore": ["CHEM"]}, ["DISEASE"]),
        ({"labels_to_ignore": ["CHEMICAL"], "label_scheme": "native"}, ["Disease"]),
        ({"labels_to_ignore": ["DRUG"], "label_map": {"CHEM": "DRUG"}}, ["DISEASE"]),
        ({"labels_to_ignore": ["CHEM", "DISEASE"]}, []),
    ],
)
def test_labels(keyword_checkpoint: Path, settings: dict, labels: list[str]):
    nlp = make_nlp(keyword_checkpoint, **settings)
    assert list(nlp.get_pipe("openmed_ner").labels) == labels
    doc = nlp("aspirin and asthma")
    assert list(dict.fromkeys(ent.label_ for ent in doc.ents)) == labels


def test_reading_labels_does_not_load_the_weights(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint)
    assert nlp.pipe_labels["openmed_ner"] == ["CHEMICAL", "DISEASE"]
    assert nlp.get_pipe("openmed_ner").shim._checkpoint is None


def test_labels_of_a_checkpoint_that_is_not_there_yet():
    nlp = make_nlp("Somebody/Else", domain="disease")
    assert nlp.pipe_labels["openmed_ner"] == []


@pytest.mark.parametrize(
    ("annotate", "n_ents", "n_spans"), [("both", 4, 4), ("ents", 4, 0), ("spans", 0, 4)]
)
def test_annotate(keyword_checkpoint: Path, annotate: str, n_ents: int, n_spans: int):
    doc = make_nlp(keyword_checkpoint, annotate=annotate, annotate_spans_key="sc")(TEXT)
    assert len(doc.ents) == n_ents
    assert len(doc.spans.get("sc", [])) == n_spans
    assert list(doc.spans) == (["sc"] if n_spans else [])


@pytest.mark.parametrize(
    "setting",
    [
        "aggregation_strategy",
        "decoding",
        "alignment_mode",
        "label_scheme",
        "annotate",
        "ents_policy",
    ],
)
def test_settings_with_other_values(keyword_checkpoint: Path, setting: str):
    with pytest.raises(ValueError, match=setting):
        make_nlp(keyword_checkpoint, **{setting: "other"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"aggregation_strategy": "simple"}, "OM004.*aggregation_strategy.*'first'"),
        ({"ents_policy": "longset"}, "OM004.*ents_policy.*'longest'"),
        ({"size": "small"}, "OM004.*size.*'compact'"),
        ({"size": "smal"}, "OM004.*size.*'compact'"),
        ({"model": "mini"}, "OM111.*leave model and model.name out"),
        ({"threshold": "recomended"}, "OM001.*'recomended'"),
        ({"model": {"precision": "float16"}}, "OM004.*model.precision.*'fp16'"),
        ({"model": {"engine": "openvno"}}, "OM004.*model.engine.*'openvino'"),
        ({"model": {"device": 0}}, 'OM213.*model.device.*"cuda:0"'),
        ({"model": "OpenMed/x"}, r'OM212.*model = \{"name": "OpenMed/x"\}'),
    ],
)
def test_mistakes_say_what_was_meant(settings: dict, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        spacy.blank("en").add_pipe("openmed_ner", config=settings)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("setting", CHOICES)
def test_the_class_checks_its_settings(keyword_checkpoint: Path, setting: str):
    pipe = make_nlp(keyword_checkpoint).get_pipe("openmed_ner")
    with pytest.raises(ValueError, match=f"OM004.*{setting} = 'other'"):
        OpenMedNER(pipe.vocab, pipe.model, **{setting: "other"})
    setattr(pipe, setting, "other")
    with pytest.raises(ValueError, match=f"OM004.*{setting} = 'other'"):
        list(pipe.pipe([Doc(pipe.vocab, ["aspirin"])]))


@pytest.mark.parametrize(
    "settings",
    [
        {"label_map": {"DISEAES": "DX"}},
        {"labels_to_ignore": ["DISEASES"]},
        {"labels_to_ignore": "chemical"},
    ],
)
def test_misspelt_labels_are_warned_of_when_the_component_is_made(settings: dict):
    with pytest.warns(UserWarning, match="OM900.*Did you mean '(DISEASE|CHEMICAL)'"):
        nlp = make_nlp(None, domain="disease", **settings)
    assert nlp.get_pipe("openmed_ner")._told  # and not again


def test_labels_of_nothing_are_warned_of_once(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, label_map={"QQQ": "X"})
    with pytest.warns(UserWarning, match="OM900.*label_map names 'QQQ'") as caught:
        list(nlp.pipe(["aspirin", "asthma"], batch_size=1))
    assert len(caught) == 1


def test_labels_of_other_checkpoints_are_not_warned_of(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, label_map={"CELL_LINE": "CELL"}, labels_to_ignore=["DNA"])
    assert nlp("aspirin").ents


def test_one_label_to_ignore_needs_no_list(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, labels_to_ignore="CHEM")
    assert found(nlp("aspirin and asthma")) == [("asthma", "DISEASE")]


# Several components


def test_two_components_share_the_spans_key(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, name="drugs", domain="pharmacology")
    add_openmed(nlp, multi_head_checkpoint, name="diseases", domain="disease")
    add_openmed(nlp, multi_head_checkpoint, name="again", dataset="ncbi_disease")
    doc = nlp(TEXT)
    assert found(doc) == ENTS
    assert [row[:2] for row in rows(doc)] == ENTS
    assert [row[3] for row in rows(doc)] == [["bc5cdr_chem"]] * 2 + [["ncbi_disease"]] * 2


def test_two_components_with_keys_of_their_own(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint, name="a", domain="pharmacology", annotate_spans_key="a")
    add_openmed(nlp, multi_head_checkpoint, name="b", domain="disease", annotate_spans_key="b")
    doc = nlp(TEXT)
    assert [row[:2] for row in rows(doc, "a")] == ENTS[:2]
    assert [row[:2] for row in rows(doc, "b")] == ENTS[2:]


def test_same_checkpoint_shares_weights(keyword_checkpoint: Path, multi_head_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, name="one")
    add_openmed(nlp, keyword_checkpoint, name="two", decoding="greedy")
    add_openmed(nlp, multi_head_checkpoint, name="three")
    one, two, three = (pipe.shim.checkpoint for _, pipe in nlp.pipeline)
    assert one is two
    assert one is not three


# The model's settings


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"window": 2}, "window = 2.*3 to 128"),
        ({"window": 129}, "window = 129.*3 to 128"),
        ({"window": 10, "stride": 8}, "stride = 8.*0 to 7"),
        ({"stride": -1}, "stride = -1.*0 to 125"),
        ({"max_batch_tokens": 0}, "max_batch_tokens = 0.*1"),
        ({"max_batch_tokens": -5}, "max_batch_tokens = -5.*1"),
    ],
)
def test_sizes_out_of_range(keyword_checkpoint: Path, model: dict, expected: str):
    nlp = make_nlp(keyword_checkpoint, model=model)
    with pytest.raises(ValueError, match=f"OM201.*model.{expected}.*128 pieces at most, 2 of"):
        nlp(TEXT)


@pytest.mark.parametrize(
    "model", [{"window": 3, "stride": 0}, {"window": 16}, {"max_batch_tokens": 1}]
)
def test_sizes_do_not_change_the_result(keyword_checkpoint: Path, model: dict):
    doc = make_nlp(keyword_checkpoint, model=model)(TEXT * 3)
    assert found(doc) == ENTS * 3


@pytest.mark.parametrize("device", ["tpu", "", "cuda:99", "meta", "cuda:x"])
def test_device_that_is_not_there(keyword_checkpoint: Path, device: str):
    nlp = make_nlp(keyword_checkpoint, model={"device": device})
    with pytest.raises(ValueError, match=f"OM150.*'{device}'"):
        nlp(TEXT)


@pytest.mark.parametrize(
    "model",
    [
        {"precision": "int4"},
        {"engine": "tensorrt"},
        {"window": "big"},
        {"stride": 1.5},
        {"windows": 5},
    ],
)
def test_model_settings_of_another_kind(keyword_checkpoint: Path, model: dict):
    with pytest.raises(ValueError, match=next(iter(model))):
        make_nlp(keyword_checkpoint, model=model)


# spaCy's contract: predict finds, set_annotations writes


class OwnPredict(OpenMedNER):
    def predict(self, docs: Iterable[Doc]) -> list[list[Entity]]:
        return [[e for e in found if e.label == "DISEASE"] for found in super().predict(docs)]


class OwnAnnotations(OpenMedNER):
    def set_annotations(self, docs: Iterable[Doc], entities: Sequence[list[Entity]]) -> None:
        super().set_annotations(docs, [[e for e in f if e.label == "DISEASE"] for f in entities])


@pytest.mark.parametrize("kind", [OwnPredict, OwnAnnotations])
def test_subclasses_are_obeyed(keyword_checkpoint: Path, kind: type):
    nlp = make_nlp(keyword_checkpoint)
    nlp.get_pipe("openmed_ner").__class__ = kind
    diseases = [ent for ent in ENTS if ent[1] == "DISEASE"]
    assert found(nlp(TEXT)) == diseases
    assert [found(doc) for doc in nlp.pipe([TEXT, TEXT])] == [diseases] * 2
    reference = nlp.make_doc(TEXT)
    reference.set_ents([Span(reference, 0, 1, "CHEMICAL")])
    assert nlp.evaluate([Example(nlp.make_doc(TEXT), reference)])["ents_r"] == 0


# Documents that fail


class Log:
    """An error handler that goes on."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str], str]] = []

    def __call__(self, name: str, proc: object, docs: list[Doc], error: Exception) -> None:
        self.calls.append((name, [doc.text for doc in docs], type(error).__name__))


MIXED = ["asthma", "an impossible case", "aspirin", "renal failure", "so", "valproic acid"]


@pytest.mark.parametrize("batch_size", [1, 2, 128])
def test_impossible_document_fails_alone(impossible_checkpoint: Path, batch_size: int):
    nlp = make_nlp(impossible_checkpoint)
    log = Log()
    nlp.set_error_handler(log)
    docs = list(nlp.pipe(MIXED, batch_size=batch_size))
    assert [doc.text for doc in docs] == MIXED[:1] + MIXED[2:]
    assert [len(doc.ents) for doc in docs] == [1, 1, 1, 0, 1]
    assert log.calls == [("openmed_ner", [MIXED[1]], "IndexError")]


def test_contexts_stay_with_their_documents(impossible_checkpoint: Path):
    nlp = make_nlp(impossible_checkpoint)
    nlp.set_error_handler(Log())
    pairs = nlp.pipe([(text, i) for i, text in enumerate(MIXED)], as_tuples=True)
    assert [(doc.text, i) for doc, i in pairs] == [
        (text, i) for i, text in enumerate(MIXED) if i != 1
    ]


def test_impossible_document_raises_by_default(impossible_checkpoint: Path):
    nlp = make_nlp(impossible_checkpoint)
    assert nlp.get_pipe("openmed_ner").get_error_handler() is raise_error
    with pytest.raises(IndexError):
        list(nlp.pipe(MIXED))
    with pytest.raises(IndexError):
        nlp(MIXED[1])


def test_failed_documents_are_left_as_they_were(impossible_checkpoint: Path):
    nlp = make_nlp(impossible_checkpoint)
    nlp.set_error_handler(Log())
    doc = nlp.make_doc(MIXED[1])
    doc.set_ents([Span(doc, 0, 1, "X")])
    assert list(nlp.get_pipe("openmed_ner").pipe([doc])) == []
    assert found(doc) == [("an", "X")]
    assert not doc.spans


def test_checkpoint_that_is_not_there_is_no_documents_fault(tmp_path: Path):
    nlp = make_nlp(tmp_path / "nowhere", model={"local_files_only": True})
    log = Log()
    nlp.set_error_handler(log)
    with pytest.raises(OSError, match="OM112"):
        list(nlp.pipe(MIXED))
    assert log.calls == []


# What spaCy does with a component


def test_analyze_pipes(nlp: Language):
    analysis = nlp.analyze_pipes()
    assert analysis["summary"]["openmed_ner"]["assigns"] == [
        "doc.ents",
        "doc.spans",
        "token.ent_iob",
        "token.ent_type",
    ]
    assert analysis["problems"] == {"openmed_ner": []}


def test_config_to_start_from_is_whole():
    debug_config(Path(__file__).parent.parent / "configs" / "inference.cfg")


def test_select_pipes(nlp: Language):
    with nlp.select_pipes(disable="openmed_ner"):
        assert not nlp(TEXT).ents
    assert found(nlp(TEXT)) == ENTS


def test_evaluate(nlp: Language):
    reference = nlp.make_doc(TEXT)
    reference.set_ents([Span(reference, 0, 1, "CHEMICAL"), Span(reference, 6, 8, "DISEASE")])
    scores = nlp.evaluate([Example(nlp.make_doc(TEXT), reference)])
    assert (scores["ents_p"], scores["ents_r"]) == (0.5, 1.0)
    assert scores["ents_per_type"]["DISEASE"]["p"] == 0.5


def test_no_scorer(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, scorer=None)
    scores = nlp.evaluate([Example(nlp.make_doc(TEXT), nlp.make_doc(TEXT))])
    assert "ents_f" not in scores


def test_score_weights(nlp: Language):
    weights = nlp.get_pipe_meta("openmed_ner").default_score_weights
    assert weights == {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None}


def test_initialize_loads_the_checkpoint(nlp: Language):
    nlp.initialize()
    assert nlp.get_pipe("openmed_ner").shim._checkpoint is not None
    assert found(nlp(TEXT)) == ENTS


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))],
    ids=["deepcopy", "pickle"],
)
def test_copies(
    nlp: Language, keyword_checkpoint: Path, duplicate: Callable[[Language], Language], loaded: bool
):
    if loaded:
        nlp(TEXT)
    copied = duplicate(nlp)
    assert found(copied(TEXT)) == ENTS
    assert copied.get_pipe("openmed_ner") is not nlp.get_pipe("openmed_ner")
    assert found(nlp(TEXT)) == ENTS


@pytest.mark.parametrize("relative", [False, True])
def test_pickle_outlives_the_folder(
    keyword_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "copy")
    nlp = make_nlp("copy" if relative else folder)
    doc = nlp(TEXT)
    shutil.rmtree(folder)
    data = pickle.dumps(nlp.get_pipe("openmed_ner"))
    del nlp
    pipe = pickle.loads(data)
    assert found(pipe(spacy.blank("en").make_doc(TEXT))) == found(doc) == ENTS


def test_docbin(multi_head_checkpoint: Path):
    nlp = make_nlp(multi_head_checkpoint)
    docs = [nlp(TEXT), nlp(""), nlp("Nothing.")]
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    read = list(DocBin().from_bytes(data).get_docs(spacy.blank("en").vocab))
    assert [found(doc) for doc in read] == [ENTS, [], []]
    assert [rows(doc) for doc in read] == [rows(doc) for doc in docs]


def test_doc_bytes(multi_head_checkpoint: Path):
    doc = make_nlp(multi_head_checkpoint)(TEXT)
    assert rows(Doc(doc.vocab).from_bytes(doc.to_bytes())) == rows(doc)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(run_python: Callable[..., str], multi_head_checkpoint: Path, method: str):
    code = (
        "import faulthandler, multiprocessing, sys\n"
        "import spacy\n"
        "faulthandler.dump_traceback_later(300, exit=True)\n"
        "multiprocessing.set_start_method(sys.argv[2])\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('openmed_ner', config={'model': {'name': sys.argv[1]}})\n"
        "assert nlp('aspirin ' * 500).ents\n"  # so that torch has started its threads
        "texts = [(f'aspirin {i}', i) for i in range(7)]\n"
        "for doc, i in nlp.pipe(texts, as_tuples=True, n_process=2, batch_size=2):\n"
        "    attrs = doc.spans['openmed'].attrs\n"
        "    print(doc.text, i, doc.ents, attrs['datasets'], attrs['char_offsets'])"
    )
    lines = run_python(code, multi_head_checkpoint, method, env={"OMP_NUM_THREADS": "2"})
    assert lines.splitlines() == [
        f"aspirin {i} {i} (aspirin,) [['bc5cdr_chem']] [[0, 7]]" for i in range(7)
    ]


def test_a_model_alone_has_no_checkpoint():
    with pytest.raises(ValueError, match="OM203"):
        TokenClassifier().predict([spacy.blank("en")(TEXT)])


def test_weights_that_are_not_numbers(keyword_checkpoint: Path, tmp_path: Path):
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "damaged")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="OM205.*damaged"):
        make_nlp(folder)(TEXT)


def test_other_languages(multi_head_checkpoint: Path):
    nlp = spacy.blank("de")
    add_openmed(nlp, multi_head_checkpoint)
    assert found(nlp("Aspirin gegen Asthma.")) == [("Aspirin", "CHEMICAL"), ("Asthma", "DISEASE")]


def test_privacy_of_a_folder_with_several_heads(tmp_path: Path):
    heads = {"notes": {"fever": "PROBLEM"}, "privacy": {"aspirin": "PERSON"}}
    folder = make_multi_head_checkpoint(tmp_path, heads)
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"model": {"name": str(folder)}, "domain": "privacy"})
    assert [ent.label_ for ent in nlp("fever aspirin").ents] == ["PERSON"]
