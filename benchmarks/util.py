"""What the benchmarks share: gold mentions, the strict score, single-head checkpoints, tables."""

import copy
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import spacy
import typer
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_openmed.checkpoints.heads import Head
from spacy_openmed.checkpoints.loading import load_checkpoint
from spacy_openmed.checkpoints.source import Source
from spacy_openmed.engines.base import EngineSettings
from spacy_openmed.labels import canonical_label

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import Sentence, read_documents, read_sentences
from render_results import to_markdown

OUTPUT = typer.Option(None, "--output", "-o", help="Write the results there, as JSON")
SPANS_KEY = "openmed"
NOTES = "notes"  # the head for clinical notes, and the corpus
DISEASES = ("Disease", "SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention")

Mention = tuple[int, int, str]  # character start, end (exclusive), canonical label


@dataclass(frozen=True)
class Gold:
    """Where the gold mentions of a dataset are.

    corpus (str): Folder of its files.
    labels (dict[str, str]): Canonical label of each type that counts; others are left out.
    heads (tuple[str, ...]): The heads that should find them; empty: the dataset's own head.
    has_texts (bool): Whether its raw texts are available, not only its tokens.
    """

    corpus: str
    labels: dict[str, str]
    heads: tuple[str, ...] = ()
    has_texts: bool = True


def _canonical(*types: str) -> dict[str, str]:
    return {name: canonical_label(name) for name in types}


CANCER_TYPES = (
    *("Amino_acid", "Anatomical_system", "Cancer", "Cell", "Cellular_component"),
    *("Developing_anatomical_structure", "Gene_or_gene_product", "Immaterial_anatomical_entity"),
    *("Multi-tissue_structure", "Organ", "Organism", "Organism_subdivision"),
    *("Organism_substance", "Pathological_formation", "Simple_chemical", "Tissue"),
)

GOLD = {
    # The raw texts tell four kinds of disease apart, the benchmark does not.
    "ncbi_disease": Gold("NCBI-disease", dict.fromkeys(DISEASES, "DISEASE")),
    "bc5cdr_chem": Gold("BC5CDR", _canonical("Chemical")),
    "bc5cdr_disease": Gold("BC5CDR", _canonical("Disease")),
    "bc5cdr": Gold("BC5CDR", _canonical("Chemical", "Disease"), ("bc5cdr_chem", "bc5cdr_disease")),
    "bc4chemd": Gold("BC4CHEMD-partial", _canonical("Chemical")),
    "jnlpba": Gold("JNLPBA", _canonical("protein", "DNA", "RNA", "cell_type", "cell_line")),
    "bc2gm": Gold("BC2GM", _canonical("GENE")),
    "fsu": Gold("FSU-PRGE", _canonical("Gene"), has_texts=False),
    "species800": Gold("S800", _canonical("Species")),
    "linnaeus": Gold("linnaeus", _canonical("Species")),
    "gellus": Gold("Gellus", _canonical("Cell-line-name")),
    # The raw texts tell twelve kinds of anatomy apart, the benchmark does not.
    "anatomy": Gold("AnatEM", dict.fromkeys(("Anatomy", *CANCER_TYPES), "ANATOMY")),
    "bionlp2013_cg": Gold("BioNLP13CG", _canonical(*CANCER_TYPES)),
    "cll": Gold("CLL", _canonical("CL")),
}
# Articles of a corpus that no checkpoint of ours is trained on. Its guidelines are others.
UNSEEN = {
    "craft_chemicals": Gold("CRAFT", {"CHEBI": "CHEMICAL"}, ("bc5cdr_chem",)),
    "craft_species": Gold("CRAFT", dict.fromkeys(("Taxon", "NCBITaxon"), "SPECIES"), ("linnaeus",)),
}
ALL_GOLD = GOLD | UNSEEN


@dataclass(frozen=True)
class Text:
    """A document and the mentions that are to be found in it."""

    doc: Doc
    gold: set[Mention]


def read_gold_tokens(
    dataset: str, split: str, vocab: Vocab, *, context: str = "sentence", limit: int | None = None
) -> list[Text]:
    """Make documents from a corpus's own tokens, separated by single spaces.

    dataset (str): A key of `ALL_GOLD`.
    split (str): "train", "dev" or "test".
    vocab (Vocab): Vocabulary of the documents.
    context (str): Whether a document is a "sentence" or a whole "document" of the corpus. A
        corpus that does not say where its documents end has sentences only.
    limit (int | None): Take the sentences of no more documents than this.
    RETURNS (list[Text]): The documents.
    """
    sentences = read_sentences(ALL_GOLD[dataset].corpus, split)
    if len({sentence.doc for sentence in sentences}) > 1:
        groups = [list(group) for _, group in groupby(sentences, key=lambda s: s.doc)]
    else:
        groups = [[sentence] for sentence in sentences]
    groups = groups[:limit]
    if context == "sentence":
        groups = [[sentence] for group in groups for sentence in group]
    return [make_gold_text(group, ALL_GOLD[dataset].labels, vocab) for group in groups]


def make_gold_text(sentences: Sequence[Sentence], labels: dict[str, str], vocab: Vocab) -> Text:
    """Make one document of tokenised sentences.

    sentences (Sequence[Sentence]): The sentences.
    labels (dict[str, str]): Canonical label of each type that counts.
    vocab (Vocab): Vocabulary of the document.
    RETURNS (Text): The document.
    """
    words = [token for sentence in sentences for token in sentence.tokens]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    doc = Doc(vocab, words=words, spaces=[True] * (len(words) - 1) + [False], ents=tags)
    gold = {
        (ent.start_char, ent.end_char, labels[ent.label_])
        for ent in doc.ents
        if ent.label_ in labels
    }
    doc.set_ents([], default="missing")
    return Text(doc, gold)


def read_raw_texts(
    dataset: str, split: str, nlp: Language, *, limit: int | None = None
) -> list[Text]:
    """Make documents of a corpus's raw texts, with spaCy's own tokens.

    dataset (str): A key of `ALL_GOLD`.
    split (str): "train", "dev" or "test".
    nlp (Language): The pipeline whose tokenizer to use.
    limit (int | None): Take no more texts than this.
    RETURNS (list[Text]): The documents; none of a corpus without raw texts.
    """
    if not ALL_GOLD[dataset].has_texts:
        return []
    labels = ALL_GOLD[dataset].labels
    return [
        Text(
            nlp.make_doc(document.text),
            {(start, end, labels[t]) for start, end, t in document.entities if t in labels},
        )
        for document in read_documents(ALL_GOLD[dataset].corpus, split)[:limit]
    ]


def strict_score(found: Iterable[set[Mention]], gold: Iterable[set[Mention]]) -> PRFScore:
    """Count a mention as found only if its boundaries and its label are exact.

    found (Iterable[set[Mention]]): What was found in each text.
    gold (Iterable[set[Mention]]): What is there.
    RETURNS (PRFScore): Micro-averaged over all texts.
    """
    score = PRFScore()
    for predicted, expected in zip(found, gold, strict=True):
        score.score_set(predicted, expected)
    return score


def count_inside_tokens(text: Text) -> int:
    """Count gold mentions that begin or end inside a token: no span of tokens is exact.

    text (Text): The document.
    RETURNS (int): How many there are.
    """
    starts = {token.idx for token in text.doc}
    ends = {token.idx + len(token) for token in text.doc}
    return sum(start not in starts or end not in ends for start, end, _ in text.gold)


def make_pipeline(checkpoint: str | None, config: dict[str, Any]) -> Language:
    """Make a blank English pipeline with the component, which keeps all it finds in spans.

    checkpoint (str | None): Folder or hub id of the checkpoint; None: the catalogue's choice.
    config (dict[str, Any]): Settings of the component.
    RETURNS (Language): The pipeline.
    """
    nlp = spacy.blank("en")
    config = dict(config)
    model = {"name": checkpoint, **config.pop("model", {})}
    settings = {"annotate_spans_key": SPANS_KEY, "label_scheme": "canonical"}
    nlp.add_pipe("openmed_ner", config={**settings, **config, "model": model})
    return nlp


def get_mentions(doc: Doc) -> set[Mention]:
    """RETURNS (set[Mention]): What the component found, as spans of tokens."""
    return {(s.start_char, s.end_char, s.label_) for s in doc.spans[SPANS_KEY]}


def get_raw_mentions(doc: Doc) -> set[Mention]:
    """RETURNS (set[Mention]): What the component found, as the exact characters that the model
    marked, which may begin or end inside a token."""
    group = doc.spans[SPANS_KEY]
    rows = zip(group, group.attrs["char_offsets"], strict=True)
    return {(start, end, span.label_) for span, (start, end) in rows}


def cut_head(checkpoint: str, dataset: str, output: Path) -> Path:
    """Write one head of a checkpoint as a plain one that every library reads, in fp32.

    checkpoint (str): Folder or hub id of the checkpoint.
    dataset (str): The head's dataset. A checkpoint of one head is taken whole.
    output (Path): Folder to write.
    RETURNS (Path): The folder.
    RAISES (ValueError): If the checkpoint has no such head.
    """
    import torch
    from transformers import AutoTokenizer

    loaded = load_checkpoint(Source(checkpoint), EngineSettings(device="cpu", precision="fp32"))
    head = find_head(loaded.heads, dataset)
    module = copy.deepcopy(loaded.module)
    linear = module.classifier
    linear.weight = torch.nn.Parameter(linear.weight.detach()[head.columns].clone())
    linear.bias = torch.nn.Parameter(linear.bias.detach()[head.columns].clone())
    linear.out_features = module.num_labels = len(head.labels)
    module.config.id2label = dict(enumerate(head.labels))
    module.config.label2id = {label: i for i, label in enumerate(head.labels)}
    row = {"dataset": dataset, "start": 0, "labels": list(head.labels)}
    module.config.openmed = {**loaded.facts, "heads": [row]}
    module.save_pretrained(output)
    for file, content in loaded.files.items():
        (output / file).write_bytes(content)
    tokenizer = AutoTokenizer.from_pretrained(output)
    tokenizer.model_max_length = loaded.limit  # the others believe what it says
    tokenizer.save_pretrained(output)
    return output


def find_head(heads: Sequence[Head], dataset: str) -> Head:
    """RETURNS (Head): The only head, or that of the dataset."""
    for head in heads:
        if head.dataset == dataset or len(heads) == 1:
            return head
    known = ", ".join(head.dataset for head in heads)
    raise ValueError(f"The checkpoint has no head for {dataset}, only for: {known}.")


def quiet_transformers() -> None:
    """Keep transformers' progress bars and loading reports out of what a benchmark prints."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def print_rows(header: Sequence[str], rows: Sequence[Sequence[object]], as_json: bool) -> None:
    """Print rows as a Markdown table, or as JSON records."""
    if as_json:
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2))
    else:
        print(to_markdown(header, rows))


Table = tuple[Sequence[str], Sequence[Sequence[object]]]  # columns and rows


def save_results(
    path: Path | None, tables: Mapping[str, Table], *, processor: str | None = None
) -> None:
    """Write the results of a benchmark, with the command that reproduces them.
    `scripts/render_results.py` puts the tables into the pages of the manual.

    path (Path | None): The file; None: nothing is written.
    tables (Mapping[str, Table]): Columns and rows of each table, by its name.
    processor (str | None): The processor that ran the benchmark, if not this machine's.
    """
    if path is None:
        return
    results = {
        "command": describe_command(sys.argv),
        "commit": find_commit(),
        "date": date.today().isoformat(),
        "processor": processor or describe_processor(),
        "tables": {
            name: {"columns": list(columns), "rows": [list(row) for row in rows]}
            for name, (columns, rows) in tables.items()
        },
    }
    text = json.dumps(results, indent=1, ensure_ascii=False, default=_to_number)
    text = re.sub(r"\[\n {5}(.*?)\n {4}\]", _to_line, text, flags=re.DOTALL)
    path.write_text(text + "\n", encoding="utf8")


def _to_number(value: Any) -> Any:
    return value.item()  # of numpy


def _to_line(row: re.Match[str]) -> str:
    return "[" + re.sub(r"\n {5}", " ", row[1]) + "]"


def describe_command(argv: Sequence[str]) -> str:
    """RETURNS (str): A command as shown in the manual: local paths are cut to their last part, and
    options for the output of results are left out."""
    words = ["python", f"benchmarks/{Path(argv[0]).name}"]
    rest = iter(argv[1:])
    for word in rest:
        if word in ("--output", "-o"):
            next(rest, None)
        elif word != "--json" and not word.startswith("--output="):
            words.append(Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(words)


def find_commit() -> str:
    """RETURNS (str): The commit, with a plus if tracked files were changed; or "unknown"."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", *command],
                cwd=Path(__file__).parent.parent,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            for command in (
                ("rev-parse", "--short=10", "HEAD"),
                (
                    "status",
                    "--porcelain",
                    "--untracked-files=no",
                    "spacy_openmed",
                    "benchmarks/*.py",
                    "scripts/*.py",
                ),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + "+" * bool(changes)


def describe_processor() -> str:
    """RETURNS (str): The processor's name and the number of cores that this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"
