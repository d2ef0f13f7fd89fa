"""The benchmarks count right: on made-up corpora whose every number is known beforehand."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import accuracy
import alignment
import calibration
import checkpoints as ckpt
import document
import engines
import fit_mini
import latency
import mini_data
import numpy as np
import plots
import privacy
import pytest
import relations
import scaling
import spacy
import speed
import torch
import trees
import typer
import util
from corpora import Sentence
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from transformers import AutoModelForTokenClassification
from transformers.utils import logging
from typer.testing import CliRunner

from spacy_openmed import catalogue
from spacy_openmed.checkpoints.heads import Head

# "aspirin(oral" is one token of spaCy's. "placebo" is gold, and no keyword of the checkpoints.
TEXTS = ["Aspirin was given for asthma.", "We gave aspirin(oral) and placebo."]
CHEMICALS = [[0, 7, "Chemical"]], [[8, 15, "Chemical"], [26, 33, "Chemical"]]
DISEASES = [[22, 28, "Modifier"]], []
TOKENS = [
    ["Aspirin/B-Chemical was given for asthma/B-Disease ."],
    ["We gave aspirin/B-Chemical ( oral ) and placebo/B-Chemical ."],
]


def write_corpus(folder: Path, corpus: str, split: str, docs: list, entities: tuple) -> None:
    iob = folder / "ner" / corpus / f"{split}.iob"
    raw = folder / "docs" / corpus / f"{split}.jsonl"
    for path in (iob, raw):
        path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for sentences in docs:
        lines += ["-DOCSTART- (1)\tO", ""]
        for sentence in sentences:
            for token in sentence.split():
                word, _, tag = token.partition("/")
                lines.append(f"{word}\t{tag or 'O'}")
            lines.append("")
    iob.write_text("\n".join(lines), encoding="utf8")
    rows = [
        json.dumps({"id": str(i), "text": text, "entities": found})
        for i, (text, found) in enumerate(zip(TEXTS, entities, strict=True))
    ]
    raw.write_text("\n".join(rows), encoding="utf8")


@pytest.fixture
def made_up_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corpora"
    both = tuple(a + b for a, b in zip(CHEMICALS, DISEASES, strict=True))
    for split in ("dev", "test"):
        write_corpus(folder, "BC5CDR", split, TOKENS, both)
        diseases = [[s.replace("B-Chemical", "O") for s in doc] for doc in TOKENS]
        write_corpus(folder, "NCBI-disease", split, diseases, DISEASES)
    monkeypatch.setenv("OPENMED_CORPORA", str(folder))
    return folder


@pytest.fixture(autouse=True)
def loud_transformers() -> Iterator[None]:
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    yield
    logging.set_verbosity(level)
    if bar:
        logging.enable_progress_bar()


def run(main: Callable, *args: object) -> list[dict]:
    """Run a benchmark with --json; gives its records."""
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, [*map(str, args), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_strict_score_wants_exact_boundaries_and_label():
    gold = [{(0, 7, "CHEMICAL"), (10, 15, "DISEASE")}, {(3, 9, "DISEASE"), (20, 25, "DISEASE")}]
    found = [{(0, 7, "CHEMICAL"), (10, 15, "CHEMICAL")}, {(3, 8, "DISEASE")}]
    score = util.strict_score(found, gold)
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 4)
    assert score.fscore == pytest.approx(2 / 7)


def test_strict_score_keeps_texts_apart():
    mention = {(0, 7, "CHEMICAL")}
    assert util.strict_score([mention, set()], [set(), mention]).tp == 0


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [(0, 2, 0), (0, 5, 0), (3, 5, 0), (0, 4, 1), (1, 5, 1), (1, 4, 1), (0, 3, 1)],
)
def test_counts_mentions_that_begin_or_end_inside_a_token(start: int, end: int, inside: int):
    doc = Doc(Vocab(), words=["ab", "cd"], spaces=[True, False])
    assert util.count_inside_tokens(util.Text(doc, {(start, end, "X")})) == inside


def test_gold_tokens_become_words_with_single_spaces():
    sentences = [
        Sentence(1, ("renal", "failure", "."), ("B-Disease", "I-Disease", "O")),
        Sentence(1, ("No", "asthma"), ("O", "B-Disease")),
    ]
    text = util.make_gold_text(sentences, {"Disease": "DISEASE"}, Vocab())
    assert text.doc.text == "renal failure . No asthma"
    assert text.gold == {(0, 13, "DISEASE"), (19, 25, "DISEASE")}
    assert not text.doc.ents


def test_types_that_do_not_count_are_no_gold(made_up_corpora: Path):
    nlp = spacy.blank("en")
    tokens = util.read_gold_tokens("bc5cdr_disease", "test", nlp.vocab)
    raw = util.read_raw_texts("bc5cdr_chem", "test", nlp)
    assert [text.gold for text in tokens] == [{(22, 28, "DISEASE")}, set()]
    assert [text.gold for text in raw][0] == {(0, 7, "CHEMICAL")}


@pytest.mark.parametrize(
    ("docs", "context", "limit", "texts"),
    [
        ([["a b", "c"], ["d"]], "sentence", None, ["a b", "c", "d"]),
        ([["a b", "c"], ["d"]], "document", None, ["a b c", "d"]),
        ([["a b", "c"], ["d"]], "sentence", 1, ["a b", "c"]),
        ([["a b", "c"]], "document", None, ["a b", "c"]),
    ],
    ids=["sentences", "documents", "limit_counts_documents", "corpus_without_documents"],
)
def test_texts_of_gold_tokens(
    made_up_corpora: Path, docs: list, context: str, limit: int | None, texts: list[str]
):
    write_corpus(made_up_corpora, "BC2GM", "test", docs, DISEASES)
    read = util.read_gold_tokens("bc2gm", "test", Vocab(), context=context, limit=limit)
    assert [text.doc.text for text in read] == texts


def test_accuracy(made_up_corpora: Path, multi_head_checkpoint: Path):
    datasets = ("-d", "bc5cdr_chem", "-d", "ncbi_disease")
    chemicals, diseases = run(accuracy.main, "--checkpoint", multi_head_checkpoint, *datasets)
    assert chemicals == {
        "dataset": "bc5cdr_chem",
        "mentions": 3,
        "P": pytest.approx(100),
        "R": pytest.approx(100 * 2 / 3),
        "F1, gold tokens": pytest.approx(80),
        "F1, sentences": pytest.approx(80),
        "P, raw": pytest.approx(50),
        "R, raw": pytest.approx(100 / 3),
        "F1, raw text": pytest.approx(40),
        "difference": pytest.approx(-40),
        "inside a token": 1,
        "% inside": pytest.approx(100 / 3),
        "F1, raw characters": pytest.approx(80),
    }
    assert diseases["F1, raw text"] == pytest.approx(100)


def test_accuracy_writes_its_results(made_up_corpora: Path, tmp_path: Path):
    path = tmp_path / "accuracy.json"
    rows = run(accuracy.main, "-d", "ncbi_disease", "--output", path)
    table = json.loads(path.read_text(encoding="utf8"))["tables"]["accuracy"]
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] == rows


def test_accuracy_of_a_few_documents(made_up_corpora: Path, multi_head_checkpoint: Path):
    args = ("--checkpoint", multi_head_checkpoint, "-d", "bc5cdr_chem", "--limit", 1)
    assert run(accuracy.main, *args)[0]["mentions"] == 1


def test_thresholds_fit_into_config_json(made_up_corpora: Path, tmp_path: Path):
    # "asthma" is no chemical; a margin of 1 gives it a score of (e + 1) / (e + 2).
    folder = ckpt.make_multi_head_checkpoint(
        tmp_path / "wrong",
        {"bc5cdr_chem": {"aspirin": "Chemical", "asthma": "Chemical"}},
        margins={"asthma": 1.0},
    )
    args = ("--checkpoint", folder, "-d", "bc5cdr_chem", "--thresholds")
    assert run(accuracy.main, *args) == [{"dataset": "bc5cdr_chem", "recommended_confidence": 0.79}]


def test_document_measures_each_setting(made_up_corpora: Path, tmp_path: Path):
    folder = ckpt.make_multi_head_checkpoint(
        tmp_path / "doubtful",
        {"bc5cdr_chem": {"aspirin": "Chemical", ".": "Chemical"}},
        margins={"aspirin": 1.0},
    )
    args = ("--checkpoint", folder, "--corpus", "BC5CDR")
    (row,) = run(document.main, *args)
    # Right is one of four; both full stops are trimmed away.
    assert (row["mentions"], row["P"], row["R"]) == (3, 25, pytest.approx(100 / 3))
    assert row["trim"] == row["defaults"] == row["all"] == pytest.approx(40 - 200 / 7)
    assert row["abbreviations"] == row["consistency"] == row["votes"] == 0
    curve = {row["bias"]: row for row in run(document.main, *args, "--curve")}
    assert curve[0.0]["F1"] == pytest.approx(40)
    assert curve[2.0]["F1"] == 0
    rows = run(document.main, *args, "--time", "--limit", 2)
    assert [row["setting"] for row in rows] == ["none", *document.COLUMNS]


def test_calibration_divides_the_logits_of_a_head_that_is_too_sure(
    made_up_corpora: Path, tmp_path: Path
):
    # One of two chemicals that it finds on gold tokens is none, both with a score of 0.98.
    folder = ckpt.make_multi_head_checkpoint(
        tmp_path / "sure",
        {"bc5cdr_chem": {"aspirin": "Chemical", "asthma": "Chemical"}},
        margin=5.0,
    )
    (row,) = run(calibration.main, "--checkpoint", folder, "-d", "bc5cdr_chem")
    assert row["best temperature"] > 1.5
    assert row["ECE with it, %"] < row["ECE, %"] - 3


def test_fitted_facts_are_those_that_the_benchmarks_find(
    made_up_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    heads = {
        "corpora": {"BC5CDR": {"reader": "iob", "heads": {"bc5cdr_chem": "all", "more": "all"}}},
        "heads": {"bc5cdr_chem": {"types": ["Chemical"]}, "more": {"types": ["X"], "keep": False}},
    }
    file, facts = tmp_path / "heads.json", tmp_path / "facts.json"
    file.write_text(json.dumps(heads), encoding="utf8")
    words = {"aspirin": "Chemical", "asthma": "Chemical"}
    folder = ckpt.make_multi_head_checkpoint(
        tmp_path / "sure", {"bc5cdr_chem": words, "more": {"asthma": "X"}}, margins={"asthma": 4.0}
    )
    argv = ["fit_mini.py", folder, facts, "--heads", file]
    monkeypatch.setattr("sys.argv", [*map(str, argv)])
    fit_mini.main()
    (row,) = json.loads(facts.read_text(encoding="utf8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    config["openmed"]["heads"][0] |= row
    (folder / "config.json").write_text(json.dumps(config), encoding="utf8")
    options = ("--checkpoint", folder, "-d", "bc5cdr_chem")
    (found,) = run(calibration.main, *options)
    assert found["temperature"] == found["best temperature"] != 1
    (found,) = run(accuracy.main, *options, "--thresholds")
    assert found["recommended_confidence"] == row["recommended_confidence"] > 0.5


@pytest.mark.parametrize(
    ("reader", "mentions"), [("iob", ["Aspirin"]), ("docs", ["aspirin", "placebo"])]
)
def test_facts_of_a_held_out_part_are_fitted_on_nothing_else(
    made_up_corpora: Path, reader: str, mentions: list[str]
):
    heads = {"bc5cdr_chem": {"Chemical": "Chemical"}}
    splits = {"train": "dev", "dev": "dev"}
    corpus = mini_data.Corpus("BC5CDR", reader, heads, {}, {}, splits, held_out=2)
    (text,) = fit_mini.read_held_out(corpus, Head("bc5cdr_chem", 0, ()), spacy.blank("en"))
    assert sorted(text.doc.text[start:end] for start, end, _ in text.gold) == mentions


def test_calibration_error_is_the_weighted_distance():
    scores, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([True, False, False, False])
    error = calibration.calibration_error(scores, right, n_bins=10)
    assert error == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)


def test_privacy_counts_tokens_of_any_kind(keyword_checkpoint: Path):
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"model": {"name": str(keyword_checkpoint)}})
    doc = nlp.make_doc("aspirin asthma renal failure oral")
    # Found: the first four. The second counts neither way, the last is missed.
    kinds = {0: "PERSON", 1: privacy.IGNORED, 2: "DATE", 4: "DATE"}
    total, dates, persons = privacy.score(nlp, [(doc, kinds)])
    assert total == ("all", 3, *(pytest.approx(200 / 3),) * 3)
    assert dates == ("DATE", 2, None, 50.0, None)
    assert persons == ("PERSON", 1, None, 100.0, None)


@pytest.mark.parametrize(
    ("scores", "correct", "n_gold", "expected"),
    [
        ([0.9, 0.8, 0.3], [True, True, False], 2, (0.31, 1.0)),
        ([0.9, 0.3], [True, True], 2, (0.0, 1.0)),
        ([0.5, 0.5], [True, False], 1, (0.0, 2 / 3)),
        ([], [], 3, (0.0, 0.0)),
    ],
    ids=["drops_wrong_ones", "lowest_of_several", "equal_scores", "nothing_found"],
)
def test_best_threshold(scores: list, correct: list, n_gold: int, expected: tuple[float, float]):
    assert accuracy.best_threshold(scores, correct, n_gold) == pytest.approx(expected)


@pytest.mark.parametrize("dataset", list(util.GOLD))
def test_every_dataset_is_known_to_the_catalogue(dataset: str):
    assert {*(util.GOLD[dataset].heads or [dataset])} <= {*catalogue.datasets()}


def test_cut_head_gives_the_logits_of_the_slice(multi_head_checkpoint: Path, tmp_path: Path):
    cut = util.cut_head(str(multi_head_checkpoint), "ncbi_disease", tmp_path / "cut")
    ids = torch.arange(5, 25)[None]
    whole, head = (
        AutoModelForTokenClassification.from_pretrained(folder).eval()
        for folder in (multi_head_checkpoint, cut)
    )
    with torch.inference_mode():
        assert torch.equal(head(ids).logits, whole(ids).logits[..., 3:])
    assert head.config.id2label == {0: "O", 1: "B-Disease", 2: "I-Disease"}


def test_cut_head_names_the_heads_there_are(multi_head_checkpoint: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="bc5cdr_chem, ncbi_disease"):
        util.cut_head(str(multi_head_checkpoint), "jnlpba", tmp_path / "cut")


def test_alignment(made_up_corpora: Path, multi_head_checkpoint: Path):
    args = ("--checkpoint", multi_head_checkpoint, "-d", "bc5cdr_chem")
    rows = {(row["component"], row["strategy"]): row for row in run(alignment.main, *args)}
    # The mean over the pieces of "aspirin(oral" says that it is none.
    for strategy, predicted in (("first", 2), ("average", 1), ("max", 2)):
        ours = rows["openmed_ner", strategy]
        assert (ours["gold"], ours["predicted"], ours["lost"]) == (3, predicted, 0)
    assert rows["openmed_ner", "first"]["F1"] == pytest.approx(40)
    assert rows["openmed_ner, char_offsets", "first"]["F1"] == pytest.approx(80)
    for strategy in alignment.STRATEGIES:
        assert rows["transformers, characters", strategy]["F1"] == pytest.approx(80)
        if alignment.has_peer():
            assert rows["hf_token_pipe, strict", strategy]["lost"] == 1
            assert rows["hf_token_pipe, expand", strategy]["lost"] == 0
    assert ("openmed_ner", "simple") not in rows


def test_peer_is_given_what_its_own_factory_would_find(keyword_checkpoint: Path):
    pytest.importorskip(alignment.PEER)
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "hf_token_pipe", config={"model": str(keyword_checkpoint), "alignment_mode": "expand"}
    )
    texts = [util.Text(nlp.make_doc(text), set()) for text in TEXTS]
    answers = alignment.ask_transformers(texts, keyword_checkpoint, "average")
    for doc in alignment.run_peer(texts, answers, "expand"):
        assert doc.ents
        assert alignment.ents_of(doc) == alignment.ents_of(nlp(doc.text))


def test_rates_are_medians_and_ratios_those_of_the_rounds():
    seconds = {
        "torch-fp32": [1.0, 2.0, 4.0],
        "hf_token_pipe": [4.0, 4.0, 4.0],
        "limit fp32": [5 * 1.024] * 3,  # five times 1,024 pieces: 1,000 a second
    }
    ours, peer = speed.summarize("sentences", seconds, n_texts=100, n_pieces=1000)
    assert ours == ("sentences", "torch-fp32", 50.0, 25.0, 100.0, 500, 2.0, 50.0)
    assert peer == ("sentences", "hf_token_pipe", 25.0, 25.0, 25.0, 250, 1.0, 25.0)


def test_rounds_are_interleaved_after_one_that_is_not_timed():
    order: list[str] = []
    seconds = speed.measure({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert "".join(order) == "abbaab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_no_round_is_begun_that_would_end_too_late():
    seconds = speed.measure({"a": lambda: time.sleep(0.02)}, 50, most=0.01)
    assert len(seconds["a"]) == 1


def test_cost_is_in_hours_of_all_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    rows = [("notes", "auto", 1000.0), ("abstracts", "auto", 10.0)]
    # 100 million at 1,000 a second are 27.8 hours of two cores.
    costs = speed.find_costs(rows, price=0.1)
    assert costs == [("openmed_ner (the default)", 1000.0, 56, 6)]


def test_speed_is_listed_by_component():
    rates = [1234.4, *[0.0] * 3, 1.26, None]
    rows = [("notes", "torch-bf16", *rates), ("articles", "hf_token_pipe", *rates)]
    columns, cells = speed.pivot(rows)
    assert columns == ("component", "notes", "articles")
    assert cells[0] == ("openmed_ner, torch, bf16", "1,234 (1.3)", None)


def test_commits_are_compared_with_the_older_one_as_it_was():
    seconds = {"now": [1.0, 2.0], "now, windows of 128": [2.0, 2.0], "old": [2.0, 6.0]}
    seconds["old, this checkpoint"] = [1.0, 3.0]
    rows = speed.compare("notes", seconds, n_texts=6)
    assert rows[0] == ("notes", "now", 4.0, 2.5)
    assert rows[2] == ("notes", "old", 1.5, 1.0)


@pytest.mark.slow
def test_another_source_tree_runs_the_texts(keyword_checkpoint: Path):
    settings = {"model": {"name": str(keyword_checkpoint)}}
    with trees.start_worker(trees.ROOT, settings) as worker:
        seconds = speed.measure({"now": worker(TEXTS, 1), "again": worker(TEXTS, 2)}, 1)
    assert all(times[0] > 0 for times in seconds.values())


def test_latency_is_held_against_the_same_texts():
    seconds = {
        latency.ALL: [2.0, 4.0],
        latency.ONE: [1.0, 2.0],
        latency.BARE: [1.0, 1.0],
        latency.MODULE: [4.0, 4.0],
    }
    first = latency.summarize(seconds)[0]
    assert first == (latency.ALL, 3000.0, pytest.approx(3980.0), 3.0, 2.0)


@pytest.mark.slow
def test_single_texts(multi_head_checkpoint: Path, made_up_corpora: Path):
    args = ["-d", "ncbi_disease", "--number", 2, "--rounds", 1]
    rows = run(latency.main, "--checkpoint", multi_head_checkpoint, *args)
    assert [row["text"] for row in rows[::4]] == ["sentence", "note", "abstract"]
    assert all(row["to the forward pass"] == 1.0 for row in rows[2::4])


def test_notes_are_made_different():
    notes = [scaling.vary("Seen on 12/03.", seed) for seed in (0, 0, 1)]
    assert notes[0] == notes[1] != notes[2]
    assert notes[0].splitlines()[0] != notes[2].splitlines()[0]


def test_busy_processes_end():
    with speed.keep_busy(1) as processes:
        assert processes[0].poll() is None
    assert processes[0].poll() is not None


def test_nothing_set_is_compared_with_the_limit_in_fp32():
    seconds = {"auto": [2.0], "torch-int8": [1.0], "limit fp32": [1.0], "limit int8": [0.5]}
    rows = speed.summarize("sentences", seconds, 10, 1000, limit_pieces=1000)
    assert [(row[1], row[-1]) for row in rows] == [("auto", 50.0), ("torch-int8", 50.0)]


def test_other_components_that_fail_are_left_out(capsys: pytest.CaptureFixture):
    def fail() -> None:
        raise ZeroDivisionError

    seconds = speed.measure({"openmed": fail, "torch-fp32": lambda: None}, 1)
    assert list(seconds) == ["torch-fp32"]
    assert "openmed is left out: ZeroDivisionError" in capsys.readouterr().out
    with pytest.raises(ZeroDivisionError):
        speed.measure({"torch-fp32": fail}, 1)


def test_sentences():
    texts = ["One here. Two here.\n", " Three."]
    assert speed.split_sentences(texts) == ["One here.", "Two here.", "Three."]


@pytest.mark.parametrize("name", ["sentences", "abstracts"])
def test_texts_are_repeated_if_there_are_too_few(
    name: str, keyword_checkpoint: Path, made_up_corpora: Path
):
    nlp = util.make_pipeline(str(keyword_checkpoint), {})
    texts = speed.take_texts(name, 200, nlp)
    assert 200 < sum(speed.count_pieces(nlp, texts)) < 240
    assert set(texts) == set(TEXTS)


def test_documents_of_two_corpora_in_turn(made_up_corpora: Path):
    first, second = TEXTS
    assert speed.find_documents("NCBI-disease", "BC5CDR") == [first, first, second, second]


def test_short_articles_are_put_together():
    lengths = [5000, 4999, 1, 6000, 7]
    assert speed.join_short(list("abcde"), lengths) == ["a", "b\n\nc", "d", "e"]


def test_speed(multi_head_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENMED_CORPORA", str(tmp_path / "none"))
    args = ["--set", "sentences", "--pieces", 50, "--rounds", 1, "-e", "torch-fp32"]
    peers = ["transformers, batch 1", "transformers, batch 16", "en_core_web_sm ner"]
    args += [part for peer in peers for part in ("--peer", peer)]
    rows = run(speed.main, "--checkpoint", multi_head_checkpoint, *args)
    assert [row["component"] for row in rows] == ["torch-fp32", *peers]
    assert all(row["docs/s"] > 0 and row["pieces/s"] > 0 for row in rows)
    assert rows[0]["% of limit"] > 0


def test_engines_are_held_against_the_first(keyword_checkpoint: Path, made_up_corpora: Path):
    args = ["-d", "bc5cdr_chem", "-e", "torch-fp32", "-e", "torch-fp32"]
    first, second = run(engines.main, "--checkpoint", keyword_checkpoint, *args)
    assert first["F1"] > 0
    assert {**second, "engine": ""} == {**first, "engine": ""}
    assert (second["difference"], second["changed, %"]) == (0.0, 0.0)


def test_ids_of_the_linker_fill_those_of_names():
    named = Doc(Vocab(), words=["gout", "tremor", "fever"])
    linked = named.copy()
    named.ents = [Span(named, 0, 1, "DISEASE", kb_id="A")]
    linked.ents = [Span(linked, i, i + 1, "DISEASE", kb_id=id) for i, id in ((0, "B"), (2, "C"))]
    filled = relations.fill(named, linked)
    assert [(ent.text, ent.kb_id_) for ent in filled.ents] == [("gout", "A"), ("fever", "C")]


def test_engines_are_summed_up_over_datasets_with_many_entities():
    differences = {"a": (600, -0.2), "b": (700, 0.1), "few": (400, -0.9)}
    rows = [
        (dataset, engine, 90.0, own, n, 1.0)
        for dataset, (n, difference) in differences.items()
        for engine, own in (("torch-fp32", 0.0), ("torch-int8", difference))
    ]
    [(engine, worst, of, mean, changed)] = engines.summarize(rows)
    assert (engine, worst, of, changed) == ("torch-int8", -0.2, "a, 600 entities", 1.0)
    assert mean == pytest.approx(-0.05)


def test_share_of_the_forward_pass(keyword_checkpoint: Path, made_up_corpora: Path):
    args = ["-e", "torch-fp32", "--set", "sentences", "--pieces", 50, "--rounds", 1]
    (row,) = run(scaling.forward, "--checkpoint", keyword_checkpoint, *args)
    assert (row["texts"], row["number"]) == ("sentences", 4)
    assert 0 < row["forward pass, %"] < 100


def test_share_of_reading_the_heads(made_up_corpora: Path):
    rows = run(scaling.heads, "--number", 2, "--rounds", 1)
    assert [row["sentences"] for row in rows] == ["one by one", "nlp.pipe"]
    for row in rows:
        assert 0 < row["finding entities, %"] < 100 - row["forward pass, %"]


def test_time_by_the_size_of_the_buffer(keyword_checkpoint: Path, made_up_corpora: Path):
    args = ["--checkpoint", keyword_checkpoint, "--number", 4, "--rounds", 1]
    rows = run(scaling.buffer, *args, "--sizes", 1, "--sizes", 4)
    assert [row["buffered"] for row in rows] == [1, 4]
    assert rows[0]["ratio to the first"] == 1.0
    assert all(row["sentences/s"] > 0 for row in rows)


def test_plots(tmp_path: Path):
    pytest.importorskip("matplotlib")
    tables = {
        "speed": [
            {"texts": "sentences", "component": name, "ratio": ratio}
            for name, ratio in (("torch-fp32", 3.5), ("hf_token_pipe", 1.0))
        ],
        "length": [{"pieces": n, "microseconds a piece": 90.0} for n in (100, 1000)],
    }
    paths = [tmp_path / f"{name}.json" for name in tables]
    for path, rows in zip(paths, tables.values(), strict=True):
        path.write_text(json.dumps(rows), encoding="utf8")
    plots.main(paths, tmp_path / "made")
    drawn = {path.name: path.read_text("utf8") for path in (tmp_path / "made").iterdir()}
    assert set(drawn) == {"speed.svg", "length.svg"}
    assert ">openmed_ner, torch-fp32<" in drawn["speed.svg"]
    assert ">microseconds a piece<" in drawn["length.svg"]


def test_tables_are_markdown():
    assert util.to_markdown(("a", "b"), [("x", 1.234), (2, None)]) == (
        "| a | b |\n| --- | --- |\n| x | 1.23 |\n| 2 |  |"
    )


def test_results_say_how_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "made.json"
    argv = [
        "/home/me/benchmarks/made.py",
        "--checkpoint",
        "/home/me/mine",
        "-o",
        str(path),
        "--json",
    ]
    monkeypatch.setattr("sys.argv", argv)
    rows = [("x", np.float32(0.5)), ("y", None)]
    util.save_results(path, {"made": (("a", "b"), rows)})
    written = path.read_text(encoding="utf8")
    result = json.loads(written)
    assert result["tables"] == {"made": {"columns": ["a", "b"], "rows": [["x", 0.5], ["y", None]]}}
    assert result["command"] == "python benchmarks/made.py --checkpoint mine"
    assert result["processor"].endswith("cores")
    assert "/home" not in written
    assert '["x", 0.5]' in written  # a row is a line
    assert plots.read_rows(path)[1] == {"a": "y", "b": None}
