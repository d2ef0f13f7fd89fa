"""The steps of `project.yml` that take more than one of spaCy's own commands.

python scripts/project.py convert CORPUS
python scripts/project.py train CORPUS
python scripts/project.py assemble DOMAIN SIZE
python scripts/project.py package-corpus CORPUS
python scripts/project.py package DOMAIN MODEL OUTPUT
python scripts/project.py evaluate-package FOLDER DATA METRICS
python scripts/project.py evaluate-pretrained DOMAIN
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import spacy
import srsly
import typer
from corpora import find_corpora
from spacy.cli.train import train as spacy_train
from spacy.language import Language
from spacy.tokens import DocBin
from wasabi import msg

from spacy_openmed import __version__, catalogue
from spacy_openmed.apply.requirements import find_requirements
from spacy_openmed.cli.convert import convert_cli

ROOT = Path(__file__).parent.parent
SPLITS = ("train", "dev", "test")
KNOWN_RATE = 5e-5  # peak learning rate of a head that knows the corpus; a higher one unlearns it
# Settings for configs/train.cfg on a GPU.
ON_GPU = {
    "training.batcher.size": 4000,
    "components.openmed_ner.model.device": "cuda",
    "components.openmed_ner.model.precision": "bf16",
}


@dataclass(frozen=True)
class Corpus:
    """A corpus that a pipeline can be trained on.

    domain (str): The domain, for the package's name.
    head (str): The head of mini to train; a new one if mini has no head of that name.
    licence (str): Of the corpus.
    """

    domain: str
    head: str
    licence: str


MTL = "CC BY 4.0 (MTL-Bioinformatics-2016)"
CORPORA = {
    "medication": Corpus("medication", "medication", "MIT (written for this project)"),
    "NCBI-disease": Corpus("disease", "ncbi_disease", "public domain"),
    "BC5CDR-chem": Corpus("pharmacology", "bc5cdr_chem", MTL),
    "BC5CDR-disease": Corpus("disease", "bc5cdr_disease", MTL),
    "JNLPBA": Corpus("genomics", "jnlpba", "CC BY 3.0 (GENIA)"),
    "BC2GM": Corpus("genomics", "bc2gm", MTL),
    "S800": Corpus("genomics", "species800", "unclear"),
    "linnaeus": Corpus("genomics", "linnaeus", "CC BY 4.0"),
    "Gellus": Corpus("genomics", "gellus", "unclear"),
    "AnatEM": Corpus("anatomy", "anatomy", "CC BY-SA 3.0"),
    "BioNLP13CG": Corpus("oncology", "bionlp2013_cg", "CC BY-SA 3.0"),
    "CLL": Corpus("clinical", "cll", "CC BY-SA 3.0"),
}

app = typer.Typer(help=__doc__, no_args_is_help=True)


def get_corpus(name: str) -> Corpus:
    """RETURNS (Corpus): The corpus of that name; ends the program if there is none."""
    if name not in CORPORA:
        msg.fail(f"No corpus '{name}'. There are: {', '.join(CORPORA)}", exits=1)
    return CORPORA[name]


@app.command()
def convert(corpus: str) -> None:
    """Write corpus/NAME/{train,dev,test}.spacy."""
    get_corpus(corpus)
    for split in SPLITS:
        path = ROOT / "examples" / "medication" / f"{split}.pubtator"
        kind = "pubtator"
        if corpus != "medication":
            path, kind = find_split(corpus, split), "iob"
        msg.divider(f"{corpus}, {split}")
        convert_cli(
            path,
            Path("corpus") / corpus / f"{split}.spacy",
            format=kind,
            lang="en",
            rename=[],
            types=[],
            canonical=corpus != "medication",  # it has DRUG where others have chemicals
            n_sents=1,
            encoding="utf-8",
        )


def find_split(corpus: str, split: str) -> Path:
    """Find a benchmark corpus's file: in the folder that OPENMED_CORPORA names, or among the
    assets of project.yml.

    RETURNS (Path): The file; ends the program if it is not there.
    """
    name = "devel" if split == "dev" else split
    asset = Path("assets") / f"{corpus}-IOB" / f"{name}.tsv"
    if asset.is_file() and not os.environ.get("OPENMED_CORPORA"):
        return asset
    try:
        path = find_corpora() / "ner" / corpus / f"{split}.iob"
    except FileNotFoundError as err:
        msg.fail(f"{err} Or fetch them: python -m spacy project assets --extra", exits=1)
    if not path.is_file():
        msg.fail(f"No file {path}", exits=1)
    return path


def plan_steps(n_words: int, batch_size: int, epochs: int, n_evaluations: int = 8) -> tuple:
    """Plan the length of the training.

    n_words (int): Words of the training set.
    batch_size (int): Words of a batch.
    epochs (int): Passes over the set.
    n_evaluations (int): Evaluations after the first one.
    RETURNS (tuple[int, int]): The number of steps, and spaCy's evaluation frequency in steps. The
        frequency divides the number of steps, so that the last step is evaluated.
    """
    frequency = max(epochs * n_words // (batch_size * n_evaluations), 1)
    return frequency * n_evaluations, frequency


@app.command()
def train(corpus: str, config: Path, epochs: int = 8, gpu_id: int = -1) -> None:
    """Run `spacy train`, with a schedule that fits the size of the corpus.

    The result is the pipeline of the last step, where the learning rate has reached zero, not the
    one with the best dev score: the bundled checkpoint has learned from some corpora's dev sets.
    """
    facts = get_corpus(corpus)
    folder = Path("corpus") / corpus
    on_device = ON_GPU if gpu_id >= 0 else {}
    settings = spacy.util.load_config(config, overrides=on_device)["training"]
    vocab = spacy.blank("en").vocab
    docs = DocBin().from_disk(folder / "train.spacy").get_docs(vocab)
    steps, frequency = plan_steps(sum(map(len, docs)), settings["batcher"]["size"], epochs)
    known = facts.head in catalogue.bundled()
    overrides = {
        **on_device,
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "components.openmed_ner.dataset": facts.head if known else None,
        "initialize.components.openmed_ner.head": facts.head,
        "training.max_epochs": 0,
        "training.max_steps": steps,
        "training.patience": 0,  # or training might end before the learning rate has come down
        "training.eval_frequency": frequency,
        "training.optimizer.learn_rate.warmup_steps": steps // 10,
        "training.optimizer.learn_rate.total_steps": steps,
    }
    if known:
        overrides["training.optimizer.learn_rate.initial_rate"] = KNOWN_RATE
    output = Path("training") / corpus
    spacy_train(config, output, use_gpu=gpu_id, overrides=overrides)
    shutil.rmtree(output / "model-best", ignore_errors=True)


@app.command()
def assemble(domain: str, size: str) -> None:
    """Make a pipeline from the catalogue's checkpoint for a domain, without training."""
    nlp = spacy.blank("en")
    try:
        nlp.add_pipe("openmed_ner", config={"domain": domain, "size": size})
        nlp.initialize()
    except (OSError, ValueError) as err:
        msg.fail(str(err), exits=1)
    output = Path("training") / f"pretrained-{domain}"
    nlp.to_disk(output)
    labels = nlp.get_pipe("openmed_ner").labels  # type: ignore[attr-defined]
    msg.good(f"{output}: {', '.join(labels)}")
    for path in sorted((ROOT / "examples").glob("*.txt")):
        doc = nlp(path.read_text(encoding="utf8"))
        msg.text(f"{path.name}: {len(doc.ents)} entities")


def get_source(nlp: Language) -> dict[str, str]:
    """RETURNS (dict[str, str]): The checkpoint of a pipeline, and its licence."""
    config = nlp.get_pipe_config("openmed_ner")
    name = config["model"]["name"]
    if name is None:
        choice = catalogue.choose(
            domain=config["domain"], dataset=config["dataset"], size=config["size"]
        )
        name = choice.checkpoint.id
    info = catalogue.mini() if name == catalogue.MINI else catalogue.lookup(name)
    return {"name": name, "license": (info.license if info else None) or "unknown"}


@app.command()
def package(
    name: str, model: Path, output: Path, metrics: Path | None = None, corpus: str | None = None
) -> None:
    """Build the wheel of a pipeline, with its measured scores in the meta."""
    nlp = spacy.load(model)
    nlp.meta["description"] = f"spacy-openmed pipeline: {name}"
    nlp.meta["requirements"] = find_requirements(nlp)
    nlp.meta["sources"] = [get_source(nlp)]
    if corpus is not None:
        nlp.meta["sources"] += [{"name": corpus, "license": get_corpus(corpus).licence}]
    nlp.meta["license"] = "; ".join(f"{s['name']}: {s['license']}" for s in nlp.meta["sources"])
    if metrics is not None:
        nlp.meta["performance"] = srsly.read_json(metrics)
    prepared = output / "model"
    shutil.rmtree(output, ignore_errors=True)
    prepared.mkdir(parents=True)
    nlp.to_disk(prepared)
    licence = prepared / "openmed_ner" / "checkpoint" / "LICENSE"
    if licence.is_file():
        shutil.copy(licence, prepared)  # spacy package has a place for it
    options = ("--name", f"openmed_{name}", "--version", __version__, "--build", "none", "--force")
    run("spacy", "package", prepared, output, *options)
    shutil.rmtree(prepared)
    project = output / f"en_openmed_{name}-{__version__}"
    run("build", "--wheel", "--no-isolation", "--outdir", output, project)
    msg.good(f"{next(output.glob('*.whl'))}")


@app.command()
def package_corpus(corpus: str) -> None:
    """Build the wheel of the pipeline that was trained on a corpus."""
    package(
        get_corpus(corpus).domain,
        Path("training") / corpus / "model-last",
        Path("packages") / corpus,
        Path("metrics") / f"{corpus}.json",
        corpus,
    )


@app.command()
def evaluate_pretrained(domain: str) -> None:
    """Install and load the package of a domain, and say what it finds in the examples."""
    run_install(f"pretrained-{domain}")
    nlp = spacy.load(f"en_openmed_{domain}")
    found: Counter[str] = Counter()
    for path in sorted((ROOT / "examples").glob("*.txt")):
        found.update(ent.label_ for ent in nlp(path.read_text(encoding="utf8")).ents)
    output = Path("metrics") / f"pretrained-{domain}.json"
    output.parent.mkdir(exist_ok=True)
    srsly.write_json(output, {"entities in examples/": dict(found)})
    msg.good(f"en_openmed_{domain}: {sum(found.values())} entities in examples/ {dict(found)}")


def run_install(name: str) -> str:
    """Install a package's wheel. RETURNS (str): The module's name."""
    wheel = next((Path("packages") / name).glob("*.whl"))
    run("pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", wheel)
    importlib.invalidate_caches()
    return wheel.name.split("-")[0]


@app.command()
def evaluate_package(name: str, data: Path, metrics: Path) -> None:
    """Install a package's wheel and evaluate it, loaded by its name."""
    module = run_install(name)
    metrics.parent.mkdir(parents=True, exist_ok=True)
    run("spacy", "evaluate", module, data, "--output", metrics)
    scores = json.loads(metrics.read_text(encoding="utf8"))
    msg.good(f"{module}: F1 {100 * scores['ents_f']:.1f}")


def run(module: str, *arguments: object) -> None:
    """Run a Python module; ends the program if it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    result = subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
    if result.returncode:
        msg.fail(f"python -m {module} failed", exits=1)


if __name__ == "__main__":
    app()
