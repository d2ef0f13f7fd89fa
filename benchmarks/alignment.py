"""What is kept of the same predictions by our component, hf_token_pipe, transformers' pipeline.

    python benchmarks/alignment.py

All run the same weights (one head, written as a plain checkpoint) on the same raw texts, and
are scored on exact characters. An entity is lost if it was predicted but is not in the
document. hf_token_pipe (spacy-huggingface-pipelines) gets the output of transformers' pipeline,
so their rows differ by alignment alone. It is left out if it is not installed. Neither of the two
truncates here: both use hf_token_pipe's default stride.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
import typer
from spacy.tokens import Doc
from util import (
    GOLD,
    Mention,
    Text,
    cut_head,
    get_raw_mentions,
    make_pipeline,
    print_rows,
    quiet_transformers,
    read_raw_texts,
    strict_score,
)
from wasabi import Printer

from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.engines.base import EngineSettings
from spacy_openmed.labels import canonical_label
from spacy_openmed.ner.settings import SWITCHES
from spacy_openmed.paths import MINI_PATH

DATASETS = ("ncbi_disease", "bc5cdr_chem", "bc5cdr_disease")
STRATEGIES = ("simple", "first", "average", "max")
STRIDE = 16  # hf_token_pipe's default: pieces that neighbouring windows share
PEER = "spacy_huggingface_pipelines"
HEADER = (
    "dataset",
    "strategy",
    "component",
    "gold",
    "predicted",
    "lost",
    "P",
    "R",
    "F1",
)

Answers = Mapping[str, list[dict[str, Any]]]  # what transformers' pipeline says of each text


def main(
    dataset: list[str] = typer.Option(
        [*DATASETS], "--dataset", "--corpus", "-d", help="Dataset, repeatable"
    ),
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    split: str = typer.Option("test", help="Split to evaluate on"),
    decoding: str = typer.Option("viterbi", help="Ours: viterbi, or greedy as the others"),
    limit: int | None = typer.Option(None, help="Evaluate on the first documents only"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
) -> None:
    """
    Compare what is kept of the predictions (folder of the corpora: OPENMED_CORPORA).
    """
    quiet_transformers()
    msg = Printer(no_print=as_json)
    if not has_peer():
        msg.warn("hf_token_pipe is left out: spacy-huggingface-pipelines is not installed.")
    rows: list[tuple] = []
    with TemporaryDirectory() as temporary:
        for name in dataset:
            if name not in GOLD:
                raise typer.BadParameter(f"'{name}' is none of: {', '.join(GOLD)}.")
            folder = cut_head(checkpoint, name, Path(temporary) / name)
            texts = read_raw_texts(name, split, spacy.blank("en"), limit=limit)
            msg.info(f"{name}: {count_long(texts, folder)}")
            for strategy in STRATEGIES:
                for row in compare(texts, folder, strategy, decoding):
                    rows.append((name, strategy, *row))
    print_rows(HEADER, rows, as_json)


def has_peer() -> bool:
    """RETURNS (bool): Whether hf_token_pipe is installed."""
    return find_spec(PEER) is not None


def count_long(texts: Sequence[Text], folder: Path) -> str:
    """Say how many texts are longer than the model's window.

    texts (Sequence[Text]): The texts.
    folder (Path): The checkpoint.
    RETURNS (str): A sentence.
    """
    checkpoint = load_checkpoint(Source(str(folder)), EngineSettings(device="cpu"))
    special = len(checkpoint.prefix) + len(checkpoint.suffix)
    lengths = checkpoint.encode([text.doc.text for text in texts]).lengths + special
    long = int((lengths > checkpoint.limit).sum())
    return (
        f"{long} of {len(texts)} texts are longer than {checkpoint.limit} pieces (transformers' "
        "pipeline would truncate such texts without a stride)"
    )


def compare(
    texts: Sequence[Text], folder: Path, strategy: str, decoding: str
) -> list[tuple[Any, ...]]:
    """Run every component with one strategy.

    texts (Sequence[Text]): The texts.
    folder (Path): A checkpoint of one head.
    strategy (str): The aggregation strategy. Ours has no "simple".
    decoding (str): Our decoding.
    RETURNS (list[tuple]): The columns of `HEADER` after the first two.
    """
    answers = ask_transformers(texts, folder, strategy)
    predicted = [to_mentions(answers[text.doc.text]) for text in texts]
    n_predicted = sum(map(len, predicted))
    rows = [("transformers, characters", *score_row(predicted, texts, n_predicted))]
    for mode in ("strict", "expand") if has_peer() else ():
        kept = [ents_of(doc) for doc in run_peer(texts, answers, mode)]
        rows.append((f"hf_token_pipe, {mode}", *score_row(kept, texts, n_predicted)))
    if strategy != "simple":
        docs, n_found = run_ours(texts, folder, strategy, decoding)
        ents, raw = [ents_of(doc) for doc in docs], [get_raw_mentions(doc) for doc in docs]
        rows.append(("openmed_ner", *score_row(ents, texts, n_found)))
        rows.append(("openmed_ner, char_offsets", *score_row(raw, texts, n_found)))
    return rows


def ask_transformers(texts: Sequence[Text], folder: Path, strategy: str) -> Answers:
    """Run transformers' pipeline.

    texts (Sequence[Text]): The texts.
    folder (Path): A checkpoint of one head.
    strategy (str): The aggregation strategy.
    RETURNS (Answers): Its answers.
    """
    from transformers import pipeline

    pipe = pipeline(
        "token-classification",
        model=str(folder),
        aggregation_strategy=strategy,
        stride=STRIDE,
        device="cpu",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Length of IterableDataset")
        return {text.doc.text: pipe(text.doc.text) for text in texts}


def run_peer(texts: Sequence[Text], answers: Answers, mode: str) -> list[Doc]:
    """Let hf_token_pipe write transformers' answers to documents.

    texts (Sequence[Text]): The texts.
    answers (Answers): What transformers' pipeline says of them.
    mode (str): Its alignment mode.
    RETURNS (list[Doc]): New documents.
    """
    from spacy_huggingface_pipelines import HFTokenPipe

    def answer(asked: str | list[str]) -> list:
        return answers[asked] if isinstance(asked, str) else [answers[text] for text in asked]

    component = HFTokenPipe("hf_token_pipe", answer, alignment_mode=mode)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping annotation")
        return list(component.pipe(text.doc.copy() for text in texts))


def run_ours(
    texts: Sequence[Text], folder: Path, strategy: str, decoding: str
) -> tuple[list[Doc], int]:
    """Run our component.

    texts (Sequence[Text]): The texts.
    folder (Path): A checkpoint of one head.
    strategy, decoding (str): Its settings.
    RETURNS (tuple[list[Doc], int]): New documents, and how many entities were predicted.
    """
    settings: dict[str, Any] = {"aggregation_strategy": strategy, "decoding": decoding}
    settings |= dict.fromkeys(SWITCHES, False)  # only what the model says
    nlp = make_pipeline(str(folder), settings)
    component: Any = nlp.get_pipe("openmed_ner")
    # The others read as much at once as the checkpoint takes.
    component.model.attrs["window"] = min(component.shim.checkpoint.limit, 512)
    docs = [nlp.make_doc(text.doc.text) for text in texts]
    found = component.predict(docs)
    component.set_annotations(docs, found)
    return docs, sum(map(len, found))


def ents_of(doc: Doc) -> set[Mention]:
    """RETURNS (set[Mention]): What is in `doc.ents`."""
    return {(e.start_char, e.end_char, canonical_label(e.label_)) for e in doc.ents}


def to_mentions(answers: Sequence[dict[str, Any]]) -> set[Mention]:
    """RETURNS (set[Mention]): What transformers' pipeline says of a text."""
    return {(a["start"], a["end"], canonical_label(a["entity_group"])) for a in answers}


def score_row(
    found: Sequence[set[Mention]], texts: Sequence[Text], n_predicted: int
) -> tuple[Any, ...]:
    """Score what is in the documents.

    found (Sequence[set[Mention]]): The mentions in each document.
    texts (Sequence[Text]): The texts.
    n_predicted (int): How many entities the model predicted.
    RETURNS (tuple): The columns of `HEADER` from "gold" on.
    """
    score = strict_score(found, (text.gold for text in texts))
    return (
        sum(len(text.gold) for text in texts),
        n_predicted,
        n_predicted - sum(map(len, found)),
        100 * score.precision,
        100 * score.recall,
        100 * score.fscore,
    )


if __name__ == "__main__":
    typer.run(main)
